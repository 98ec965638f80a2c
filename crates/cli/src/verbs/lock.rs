use clap::Subcommand;
use platform_app::{App, Refusal, locks};
use serde_json::json;

use crate::{exit::Exit, printer::Printer, table, words};

/// See who is changing a platform, or free a lock whose holder is gone
///
/// Only one process may change a platform at a time; it holds the platform's lock and renews it while it lives.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform lock show\n  platform lock release --platform demo")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show every lock and its holder
    Show,
    /// Free a lock
    ///
    /// Works by itself when the holder was a process on this machine that is no more. For any other holder, name it:
    /// then you say that it is gone.
    Release {
        /// Which platform's lock [default: the only one that is held]
        #[arg(long, value_name = "NAME")]
        platform: Option<String>,
        /// The holder's id, as `platform lock show` prints it
        #[arg(long, value_name = "ID")]
        holder: Option<String>,
    },
}

pub async fn run(args: &Args, app: &App, printer: &Printer) -> Result<Exit, Refusal> {
    match &args.what {
        What::Show => {
            let held = locks::list(app).await?;
            if printer.wants_json() {
                printer.json(&json!({"schema": "platform.locks/v1", "locks": held}));
            } else if held.is_empty() {
                printer.say("nothing is locked");
            } else {
                printer.text(to_table(&held));
            }
        }
        What::Release { platform, holder } => {
            let freed = locks::release(app, platform.as_deref(), holder.as_deref()).await?;
            if printer.wants_json() {
                printer.json(&json!({"schema": "platform.lock-release/v1", "released": freed}));
            } else {
                match freed {
                    Some(held) => printer.say(format_args!("freed the lock of platform {}", held.platform)),
                    None => printer.say("nothing is locked"),
                }
            }
        }
    }
    Ok(Exit::Ok)
}

fn to_table(held: &[locks::Lock]) -> String {
    let rows: Vec<_> = held
        .iter()
        .map(|lock| {
            let holder = &lock.held.holder;
            vec![
                lock.held.platform.to_string(),
                format!("{}@{}", holder.user, holder.host),
                holder.pid.to_string(),
                words::moment(lock.held.since),
                words::moment(lock.held.expires),
                if lock.holder_is_gone { "gone" } else { "alive" }.to_owned(),
                holder.id.clone(),
            ]
        })
        .collect();
    table::render(&["PLATFORM", "WHO", "PID", "SINCE", "UNTIL", "HOLDER", "ID"], &rows)
}
