use platform_app::{Refusal, specs};

use crate::{exit::Exit, printer::Printer};

/// Print the JSON Schema of the spec file, for editors
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform schema > platform.schema.json\n\nThen begin platform.yaml with:\n  \
                        # yaml-language-server: $schema=platform.schema.json"
)]
pub struct Args {}

pub fn run(_args: &Args, printer: &Printer) -> Result<Exit, Refusal> {
    printer.json(&specs::schema());
    Ok(Exit::Ok)
}
