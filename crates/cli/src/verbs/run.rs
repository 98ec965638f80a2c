use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use platform_app::{App, Refusal, runs};
use platform_spec::RunId;
use serde_json::json;

use crate::{exit::Exit, printer::Printer, report, words};

/// Look at one run, or give it up
///
/// A run may be named by the beginning of its id, as long as only one run begins so.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  platform run show 01JD\n  platform run events 01JD --follow\n  \
                        platform run report 01JD --format md > ticket.md\n  \
                        platform run abandon 01JD --because \"made the cluster by hand\"")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show a run and its steps
    Show {
        /// The run, or the beginning of its id
        run: String,
    },
    /// Print the journal of a run
    ///
    /// With --output json every event is one line of JSON, with its place, its time and its hash.
    Events {
        /// The run, or the beginning of its id
        run: String,
        /// Go on printing until the run has ended or rests
        #[arg(long)]
        follow: bool,
    },
    /// Give a run up for good
    ///
    /// What it has made stays and stays recorded; `platform up` or `platform down` take it from there.
    Abandon {
        /// The run, or the beginning of its id
        run: String,
        /// Why; kept in the journal
        #[arg(long, value_name = "TEXT")]
        because: String,
    },
    /// Print a run as a page for a ticket
    Report {
        /// The run, or the beginning of its id
        run: String,
        /// Markdown or JSON (--output json means JSON too)
        #[arg(long, value_name = "FORM", default_value = "md")]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    Md,
    Json,
}

/// How often a followed journal is looked at. People notice half a second; SQLite does not notice two reads in one.
const LOOK: Duration = Duration::from_millis(250);

impl Args {
    /// Whether it leaves the state as it is.
    pub fn only_looks(&self) -> bool {
        !matches!(self.what, What::Abandon { .. })
    }
}

pub async fn run(args: &Args, app: &App, printer: &Printer) -> Result<Exit, Refusal> {
    match &args.what {
        What::Show { run } => {
            let report = runs::report(app, &runs::find(app, run).await?).await?;
            if printer.wants_json() {
                printer.json(&report);
                return Ok(Exit::Ok);
            }
            printer.text(format_args!("{}\n\n{}", report::headline(&report), report::steps(&report.steps)));
            if !report.orphans.is_empty() {
                printer.text(format_args!("\nleft behind:\n{}", report::orphans(&report.orphans)));
            }
            if let Some(failure) = &report.error {
                printer.explain(failure);
            }
        }
        What::Events { run, follow } => events(app, &runs::find(app, run).await?, *follow, printer).await?,
        What::Abandon { run, because } => {
            let run = runs::find(app, run).await?;
            runs::abandon(app, &run, because).await?;
            if printer.wants_json() {
                printer.json(&runs::report(app, &run).await?);
            } else {
                printer.say(format_args!("gave up run {run}"));
            }
        }
        What::Report { run, format } => {
            let report = runs::report(app, &runs::find(app, run).await?).await?;
            if *format == Format::Json || printer.wants_json() {
                printer.json(&report);
            } else {
                printer.text(report::markdown(&report));
            }
        }
    }
    Ok(Exit::Ok)
}

async fn events(app: &App, run: &RunId, follow: bool, printer: &Printer) -> Result<(), Refusal> {
    let mut seen = 0;
    loop {
        // Asked before reading: a run that ends in between is read once more, and nothing is missed.
        let goes_on = follow && runs::is_alive(app, run).await?;
        for recorded in runs::events_after(app, run, seen).await? {
            seen = recorded.seq;
            if printer.wants_json() {
                printer.json_line(&recorded);
            } else {
                let event =
                    serde_json::to_value(&recorded.event).unwrap_or_else(|_| json!({"type": "unreadable"}));
                printer.text(format_args!(
                    "{:>5} {} {}\n",
                    recorded.seq,
                    words::moment(recorded.at),
                    in_words(&event)
                ));
            }
        }
        if !goes_on || printer.nobody_reads() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// An event as words: its type, then what it says, without the parts that only programs want.
fn in_words(event: &serde_json::Value) -> String {
    let text = |key: &str| event.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    let mut words = match event.get("step") {
        Some(_) => format!("{} {}", text("step"), text("what")),
        None => text("type"),
    };
    for key in ["outcome", "waiting_for", "question", "because", "actor", "by"] {
        let said = text(key);
        if !said.is_empty() {
            words.push_str(&format!(" {key}={said:?}"));
        }
    }
    if let Some(message) = event.pointer("/failure/message").and_then(serde_json::Value::as_str) {
        words.push_str(&format!(" failure={message:?}"));
    }
    words
}
