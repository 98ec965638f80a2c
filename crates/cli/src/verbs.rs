//! One file per verb: its arguments, whose doc comments are its help, and a `run` that resolves them, asks the app,
//! and reports.

mod completions;
mod explain;
mod man;

use std::{io, path::Path};

use clap::Subcommand;
use platform_app::Refusal;
use platform_spec::{Class, Code, Failure};

use crate::{args::Common, exit::Exit, printer::Printer};

/// What can be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    Explain(explain::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Does it.
///
/// # Errors
/// A refusal that ended the command and that nobody has printed yet.
pub async fn run(verb: Verb, _common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    match verb {
        Verb::Explain(args) => explain::run(&args, printer),
        Verb::Completions(args) => completions::run(&args, printer),
        Verb::Man(args) => man::run(&args, printer),
    }
}

/// The failure to write something a person asked for.
fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::new("P0906"), Class::Config, format!("could not write `{}`", path.display()))
        .caused_by(error)
}
