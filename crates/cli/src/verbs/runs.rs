use platform_app::{App, Refusal, runs, status};
use serde_json::json;

use crate::{exit::Exit, printer::Printer, table, words};

/// List what was done
///
/// Shows every run of every platform, the latest first: what it did, how it ended, and when it began.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform runs\n  platform runs --platform demo\n  platform run show 01JD"
)]
pub struct Args {
    /// Only the runs of this platform
    #[arg(long, value_name = "NAME")]
    platform: Option<String>,
}

pub async fn run(args: &Args, app: &App, printer: &Printer) -> Result<Exit, Refusal> {
    let mut lines = runs::list(app).await?;
    if let Some(platform) = &args.platform {
        status::known(app, platform).await?;
        lines.retain(|line| line.platform.as_str() == platform);
    }
    if printer.wants_json() {
        printer.json(&json!({"schema": "platform.runs/v1", "runs": lines}));
    } else if lines.is_empty() {
        printer.say("there are no runs yet");
    } else {
        printer.text(to_table(&lines));
    }
    Ok(Exit::Ok)
}

fn to_table(lines: &[runs::RunLine]) -> String {
    let rows: Vec<_> = lines
        .iter()
        .map(|line| {
            vec![
                line.run.to_string(),
                line.platform.to_string(),
                line.flow.clone(),
                line.status.as_str().to_owned(),
                words::moment(line.created_at),
            ]
        })
        .collect();
    table::render(&["RUN", "PLATFORM", "FLOW", "STATUS", "BEGAN"], &rows)
}
