//! The words a person may type, and the flags common to all verbs.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, ValueEnum, error::ErrorKind};
use platform_app::specs::Chosen;
use platform_spec::{Class, Code, Failure};

use crate::{exit::Exit, printer::Printer, verbs::Verb};

/// Stands up and operates whole Kubernetes platforms, from one file
///
/// You describe a platform in `platform.yaml`. `platform` works out a plan, shows it, and carries it out one recorded
/// step at a time. A run that was interrupted, by whatever, is continued with `platform resume`.
#[derive(Debug, Parser)]
#[command(
    name = "platform",
    version,
    max_term_width = 100,
    after_help = AFTER_HELP,
    after_long_help = AFTER_LONG_HELP,
    disable_help_subcommand = true
)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    pub verb: Verb,
}

const AFTER_HELP: &str = "Begin with `platform init`, then `platform plan` and `platform up`.";

/// All exit codes; the numbers are those of [`Exit`].
const AFTER_LONG_HELP: &str = "\
Begin with `platform init`, then `platform plan` and `platform up`.
`platform explain CODE` explains an error; `platform explain` lists them all.

Exit codes:
    0  ok
    1  failed
    2  the spec or the command line is invalid
    3  a gate was rejected
    4  an objective was missed (RTO, RPO)
    5  a difference was found
    6  something was left behind
   75  locked, or waiting for a person: try again
  130  interrupted, resumable";

/// The flags common to all verbs.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// The spec file [default: platform.yaml]
    #[arg(short, long, global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Where runs are remembered [default: the XDG state directory]
    #[arg(long, global = true, value_name = "PATH", env = "PLATFORM_STATE", hide_env_values = true)]
    pub state: Option<PathBuf>,
    /// Only these clusters (repeat it, or separate names with commas)
    #[arg(long, global = true, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    pub cluster: Vec<String>,
    /// Only the clusters of this provider; with no spec file, the starter spec of that provider
    #[arg(long, global = true, value_name = "P")]
    pub provider: Option<String>,
    /// Ask nothing
    #[arg(short, long, global = true)]
    pub yes: bool,
    /// What stdout carries: text for people, or one JSON document
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    pub output: Output,
    /// No colours (also: NO_COLOR in the environment)
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Say more on stderr (-vv, -vvv: much more)
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// How many steps may run at once
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_parallel: Option<u16>,
}

impl Common {
    /// The spec these flags choose, and which part of it.
    pub fn chosen(&self) -> Chosen {
        Chosen { file: self.file.clone(), provider: self.provider.clone(), clusters: self.cluster.clone() }
    }
}

/// What stdout carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

/// Answers a command line that clap refused (or a call for help), and says how to exit.
pub fn refuse(refusal: &clap::Error) -> Exit {
    if matches!(refusal.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        // Nobody is left to tell when stdout is closed.
        let _ = refusal.print();
        return Exit::Ok;
    }
    let common = Common { output: output_of(std::env::args_os()), ..Common::default() };
    Printer::new(&common).refusal(&usage(&refusal.to_string()).into())
}

/// What the command line wants on stdout, read from a command line that could not be read in full.
fn output_of(arguments: impl Iterator<Item = std::ffi::OsString>) -> Output {
    let words: Vec<_> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    let json = words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| pair == ["--output", "json"]);
    if json { Output::Json } else { Output::Text }
}

/// clap's refusal in our words: its first line is the message, its tips are hints.
fn usage(text: &str) -> Failure {
    let mut lines = text.trim().lines();
    let first = lines.next().unwrap_or_default().trim_start_matches("error: ");
    let mut failure = Failure::new(Code::new("P0901"), Class::Config, first.to_owned());
    for line in lines.map(str::trim).filter(|line| !line.is_empty()) {
        if let Some(usage) = line.strip_prefix("Usage: ") {
            failure = failure.hint(format!("usage: {usage}"));
            continue;
        }
        failure = match line.strip_prefix("tip: ").or_else(|| line.strip_prefix("For more information, ")) {
            Some(tip) => failure.hint(tip.trim_end_matches('.')),
            None => failure.because(line),
        };
    }
    failure
}
