use std::path::Path;

use platform_app::{Refusal, specs};
use serde_json::json;

use crate::{args::Common, exit::Exit, printer::Printer};

/// Write a commented platform.yaml to begin with
///
/// The file validates as it stands. An existing file is never overwritten.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform init\n  platform init --blueprint starter --provider existing\n  \
                        platform init --file demo.yaml"
)]
pub struct Args {
    /// Which blueprint the platform is made from
    #[arg(long, value_name = "B", default_value = "starter")]
    blueprint: String,
}

pub fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let file = common.file.as_deref().unwrap_or(Path::new(specs::DEFAULT_FILE));
    let provider = common.provider.as_deref().unwrap_or(specs::DEFAULT_PROVIDER);
    specs::init(file, &args.blueprint, provider, common.state_dir().as_deref())?;
    if printer.wants_json() {
        printer.json(&json!({"schema": "platform.init/v1", "file": file.to_string_lossy()}));
    } else {
        printer.text(format_args!("wrote {}\n", file.display()));
        printer.say("read it, change it, and then: platform plan");
    }
    Ok(Exit::Ok)
}
