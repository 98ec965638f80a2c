//! The words a person may type, and the flags common to all verbs.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Command, CommandFactory, FromArgMatches, Parser, ValueEnum, error::ErrorKind};
use jiff::SignedDuration;
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
    after_long_help = AFTER_LONG_HELP
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
    /// Where runs are remembered [env: PLATFORM_STATE] [default: the XDG state directory]
    #[arg(long, global = true, value_name = "PATH")]
    pub state: Option<PathBuf>,
    /// Only these clusters (repeat it, or separate names with commas)
    #[arg(long, global = true, value_name = "NAME", value_delimiter = ',', num_args = 1..)]
    pub cluster: Vec<String>,
    /// Only the clusters of this provider; with no spec file, the starter spec of that provider
    #[arg(long, global = true, value_name = "P")]
    pub provider: Option<String>,
    /// Make clusters in emulated clouds on this machine, whatever their provider
    #[arg(long, global = true)]
    pub sandbox: bool,
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
    /// The state directory asked for. Not left to clap, which refuses a variable that is set and empty: an empty
    /// variable counts as unset.
    pub fn state_dir(&self) -> Option<PathBuf> {
        let from_env =
            || std::env::var_os("PLATFORM_STATE").filter(|path| !path.is_empty()).map(PathBuf::from);
        self.state.clone().or_else(from_env)
    }

    /// As [`Self::chosen`]; where there is no spec file, the starter spec on the sandbox.
    pub fn chosen_or_starter(&self) -> Chosen {
        Chosen { or_starter: true, ..self.chosen() }
    }

    /// The spec these flags choose, and which part of it.
    pub fn chosen(&self) -> Chosen {
        Chosen {
            file: self.file.clone(),
            provider: self.provider.clone(),
            clusters: self.cluster.clone(),
            or_starter: false,
            state: self.state_dir(),
            emulated: self.sandbox,
        }
    }
}

/// `90s`, `10m`, `1h 30m`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(parsed).map_err(|_| "it is negative".to_owned())
}

/// What stdout carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

/// Which of the common flags mean something to a verb, besides those that say how it speaks.
fn meant(verb: &str) -> &'static [&'static str] {
    match verb {
        "init" => &["file", "state", "provider"],
        "simulate" => &["file", "cluster", "provider", "max_parallel"],
        "sandbox" => &["state", "yes"],
        "conformance" => &["file", "state", "cluster", "provider", "sandbox", "yes"],
        "kubeconfig" => &["file", "state", "cluster", "provider", "sandbox"],
        "validate" => &["file", "sandbox"],
        "render" => &["file", "state", "provider"],
        "plan" => &["file", "state", "cluster", "provider", "sandbox"],
        "up" => &["file", "state", "cluster", "provider", "sandbox", "max_parallel"],
        "down" => &["file", "state", "cluster", "provider", "sandbox", "yes", "max_parallel"],
        "verify" => &["file", "state", "cluster", "provider", "sandbox"],
        "doctor" => &["file", "state", "cluster", "provider", "sandbox", "yes"],
        "sweep" => &["file", "state", "provider", "sandbox", "yes"],
        "ci" => &["file", "state", "provider", "sandbox", "max_parallel"],
        "resume" => &["state", "yes", "max_parallel"],
        "status" | "runs" | "run" | "lock" => &["state"],
        _ => &[],
    }
}

/// The command line as it is parsed and explained: every verb takes every common flag, and shows those that mean
/// something to it.
pub fn command() -> Command {
    /// How a verb speaks is the same for all.
    const SPEECH: [&str; 4] = ["output", "no_color", "verbose", "quiet"];
    let command = Cli::command();
    let common: Vec<_> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    verbs.iter().fold(command, |command, name| {
        let hidden = common.iter().filter(|arg| {
            let id = arg.get_id().as_str();
            !SPEECH.contains(&id) && !meant(name).contains(&id)
        });
        let hidden: Vec<_> = hidden.map(|arg| arg.clone().hide(true)).collect();
        command.mut_subcommand(name, |verb| verb.args(hidden))
    })
}

/// Reads the command line of this process.
///
/// # Errors
/// What clap refuses, and calls for help.
pub fn read() -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Cli::from_arg_matches(&matches).map_err(|refusal| refusal.format(&mut command))
}

/// Answers a command line that clap refused (or a call for help), and says how to exit.
pub fn refuse(refusal: &clap::Error) -> Exit {
    let common = Common { output: output_of(std::env::args_os()), ..Common::default() };
    let printer = Printer::new(&common);
    match refusal.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            printer.text(refusal.render().ansi());
            printer.ended(Exit::Ok)
        }
        // The command was not finished; its help says how it may go on.
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand if !printer.wants_json() => {
            printer.diagnostic(refusal.render().ansi().to_string().trim_end());
            Exit::Invalid
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let failure = Failure::new(Code::new("P0901"), Class::Config, "a command is missing");
            printer.refusal(&failure.hint("`platform --help` lists the commands").into())
        }
        _ => printer.ended(printer.refusal(&usage(&refusal.to_string()).into())),
    }
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
