use std::{fs::File, io::Write, os::unix::fs::OpenOptionsExt, path::PathBuf};

use platform_app::{App, Refusal, clusters, specs};
use secrecy::ExposeSecret;
use serde_json::json;

use super::cannot_write;
use crate::{args::Common, exit::Exit, printer::Printer};

/// Print the kubeconfig of a cluster
///
/// Asks the cluster's provider how it is reached, and prints that as it would stand in a file of its own: with the
/// credentials in it. Where the provider can, they are short-lived; ask again when they have ended.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform kubeconfig > kubeconfig\n  platform kubeconfig --cluster demo --out kubeconfig"
)]
pub struct Args {
    /// Write it there, readable by you alone, instead of printing it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let wanted = specs::load_for_removal(&common.chosen_or_starter()).await?;
    let app = App::open(common.state_dir().as_deref()).await?;
    let (cluster, kubeconfig) = clusters::kubeconfig(&app, &wanted).await?;
    match &args.out {
        Some(path) => {
            File::options()
                .create(true)
                .truncate(true)
                .write(true)
                .mode(0o600)
                .open(path)
                .and_then(|mut file| file.write_all(kubeconfig.expose_secret().as_bytes()))
                .map_err(|error| cannot_write(path, &error))?;
            if printer.wants_json() {
                printer.json(&json!({"schema": "platform.kubeconfig/v1", "cluster": cluster, "file": path}));
            } else {
                printer.say(format_args!("wrote {}", path.display()));
            }
        }
        None if printer.wants_json() => printer.json(&json!({
            "schema": "platform.kubeconfig/v1", "cluster": cluster, "kubeconfig": kubeconfig.expose_secret(),
        })),
        None => printer.text(kubeconfig.expose_secret()),
    }
    Ok(Exit::Ok)
}
