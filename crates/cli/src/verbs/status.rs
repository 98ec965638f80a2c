use platform_app::{App, Refusal, status};
use serde_json::json;

use crate::{exit::Exit, printer::Printer, table, words};

/// Show what exists
///
/// For every platform: its last run, whether it is locked, and everything outside that exists because of it. Reads only
/// what is recorded here; it asks nobody outside, so it does not know of what a sweep or somebody else has removed.
/// `platform plan` looks at what is there, `platform verify` asks whether it works.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform status\n  platform status demo --output json")]
pub struct Args {
    /// Only this platform
    platform: Option<String>,
}

pub async fn run(args: &Args, app: &App, printer: &Printer) -> Result<Exit, Refusal> {
    let mut platforms = status::list(app).await?;
    if let Some(name) = &args.platform {
        status::known(app, name).await?;
        platforms.retain(|platform| platform.platform.as_str() == name);
    }
    if printer.wants_json() {
        printer.json(&json!({"schema": "platform.status/v1", "platforms": platforms}));
        return Ok(Exit::Ok);
    }
    if platforms.is_empty() {
        printer.say("there are no platforms yet; begin with: platform init");
    }
    for (at, platform) in platforms.iter().enumerate() {
        if at > 0 {
            printer.text("\n");
        }
        printer.text(one(platform));
    }
    Ok(Exit::Ok)
}

fn one(platform: &status::PlatformStatus) -> String {
    let mut text = format!("platform {}\n", platform.platform);
    match &platform.last_run {
        Some(run) => text.push_str(&format!(
            "  last run  {} {} ({}, {})\n",
            run.flow,
            run.status.as_str(),
            words::moment(run.created_at),
            run.run
        )),
        None => text.push_str("  last run  none\n"),
    }
    if let Some(lock) = &platform.lock {
        let holder = &lock.held.holder;
        text.push_str(&format!(
            "  locked by {}@{} (pid {}{}) since {}\n",
            holder.user,
            holder.host,
            holder.pid,
            if lock.holder_is_gone { ", which is gone" } else { "" },
            words::moment(lock.held.since)
        ));
    }
    if platform.resources.is_empty() {
        text.push_str("  nothing exists because of it\n");
        return text;
    }
    let rows: Vec<_> = platform
        .resources
        .iter()
        .map(|entry| {
            let fate = if entry.owned { "removed" } else { "kept" };
            vec![entry.key.clone(), entry.kind.clone(), fate.to_owned(), entry.external_id.clone()]
        })
        .collect();
    match &platform.gone {
        Some(why) => text.push_str(&format!("  gone      {why}\n")),
        None => text.push_str("  recorded  by its runs, and not asked for now: `platform plan` looks\n"),
    }
    text.push('\n');
    text.push_str(&table::render(&["RESOURCE", "KIND", "BY DOWN", "NAME OUTSIDE"], &rows));
    text
}
