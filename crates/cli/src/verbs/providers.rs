use platform_app::{
    Refusal,
    providers::{self, Description},
};
use serde_json::json;

use crate::{exit::Exit, printer::Printer, table};

/// List the providers: what each can do, and what it needs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform providers\n  platform providers --output json")]
pub struct Args {}

pub async fn run(_args: &Args, printer: &Printer) -> Result<Exit, Refusal> {
    let providers = providers::describe().await?;
    if printer.wants_json() {
        printer.json(&json!({"schema": "platform.providers/v1", "providers": providers}));
    } else {
        let rows: Vec<_> = providers.iter().map(row).collect();
        printer.text(table::render(&["KIND", "CLUSTERS", "NEEDS", "WHAT"], &rows));
    }
    Ok(Exit::Ok)
}

fn row(provider: &Description) -> Vec<String> {
    let clusters = if provider.capabilities.makes_clusters { "makes" } else { "finds" };
    let needs: Vec<&str> =
        provider.tools.iter().chain(&provider.credentials).map(|need| need.name.as_str()).collect();
    vec![provider.kind.clone(), clusters.to_owned(), needs.join(", "), provider.summary.clone()]
}
