//! Who may write to which channel: stdout carries the result and nothing else, stderr everything for people.
//!
//! A reader who has gone away (`platform runs | head -1`) is no error: what could not be written is dropped, and the
//! exit code still says how the work itself went. Anything else that keeps the result from being written is one.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
    sync::{Arc, OnceLock},
};

use anstream::{AutoStream, ColorChoice};
use indicatif::{MultiProgress, ProgressDrawTarget};
use owo_colors::OwoColorize;
use platform_app::Refusal;
use platform_spec::{
    Class, Code, Failure,
    report::{Finding, Severity},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    args::{Common, Output},
    exit::Exit,
    words,
};

/// The only one who writes. Clones share the screen.
#[derive(Clone, Debug)]
pub struct Printer {
    output: Output,
    quiet: bool,
    colour: ColorChoice,
    /// Draws on stderr when that is a terminal, and nowhere otherwise.
    bars: MultiProgress,
    /// Why stdout takes no more.
    broken: Arc<OnceLock<io::Error>>,
}

impl Printer {
    /// A printer as the flags ask.
    pub fn new(common: &Common) -> Self {
        let colour = if common.no_color { ColorChoice::Never } else { ColorChoice::Auto };
        let bars = MultiProgress::with_draw_target(if io::stderr().is_terminal() && !common.quiet {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        Self { output: common.output, quiet: common.quiet, colour, bars, broken: Arc::default() }
    }

    /// Whether stdout is to carry one JSON document.
    pub fn wants_json(&self) -> bool {
        self.output == Output::Json
    }

    /// The bars at the foot of the screen, when there is a screen.
    pub fn bars(&self) -> Option<&MultiProgress> {
        (!self.bars.is_hidden()).then_some(&self.bars)
    }

    /// Whether stderr shows colours.
    pub fn colours_stderr(&self) -> bool {
        AutoStream::new(io::stderr(), self.colour).current_choice() != ColorChoice::Never
    }

    /// Whether stdout takes no more: its reader has gone away, or it cannot be written.
    pub fn nobody_reads(&self) -> bool {
        self.broken.get().is_some()
    }

    /// How a command that ended so really ended: a result that could not be written in full is a failure.
    pub fn ended(&self, exit: Exit) -> Exit {
        match self.broken.get() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let failure =
                    Failure::new(Code::new("P0906"), Class::Config, "could not write the result to stdout");
                self.explain(&failure.caused_by(error));
                if exit == Exit::Ok { Exit::Failed } else { exit }
            }
            _ => exit,
        }
    }

    /// Part of the result, for people; the caller ends its lines.
    pub fn text(&self, text: impl Display) {
        self.write_out(|out| write!(out, "{text}"));
    }

    /// The one JSON document.
    pub fn json(&self, document: &impl Serialize) {
        self.write_out(|out| {
            serde_json::to_writer_pretty(&mut *out, document)?;
            writeln!(out)
        });
    }

    /// One line of a stream of JSON lines.
    pub fn json_line(&self, document: &impl Serialize) {
        self.write_out(|out| {
            serde_json::to_writer(&mut *out, document)?;
            writeln!(out)
        });
    }

    /// A line for people on stderr, unless they asked for quiet.
    pub fn say(&self, line: impl Display) {
        if !self.quiet {
            self.write_err(&line);
        }
    }

    /// A warning for people on stderr, unless they asked for quiet.
    pub fn warn(&self, line: impl Display) {
        self.say(format_args!("{} {line}", "warning:".yellow().bold()));
    }

    /// A line on stderr whether or not quiet was asked for: what `-v` asked for, and questions.
    pub fn diagnostic(&self, line: impl Display) {
        self.write_err(&line);
    }

    /// Writes to stderr what another program wrote there.
    pub fn as_it_is(&self, text: impl Display) {
        // There is no third channel to complain on.
        let _ = write!(io::stderr(), "{text}");
    }

    /// Writes a question to stderr, without a line's end.
    pub fn ask(&self, question: impl Display) {
        let mut err = AutoStream::new(io::stderr(), self.colour);
        // Who cannot be asked cannot be told either.
        let _ = write!(err, "{question} ").and_then(|()| err.flush());
    }

    /// A refusal that ends the command: on stderr for people, as the one document for programs.
    pub fn refusal(&self, refusal: &Refusal) -> Exit {
        if self.wants_json() {
            let Refusal { failure, findings } = refusal;
            self.json(&json!({"schema": "platform.error/v1", "error": failure, "findings": findings}));
        }
        self.findings(&refusal.findings);
        self.explain(&refusal.failure);
        Exit::of_refusal(refusal)
    }

    /// A failure in words, on stderr.
    pub fn explain(&self, failure: &Failure) {
        self.write_err(&failure_text(failure));
    }

    /// Findings in words, on stderr; warnings only unless quiet was asked for.
    pub fn findings(&self, findings: &[Finding]) {
        for finding in findings {
            if finding.severity == Severity::Error || !self.quiet {
                self.write_err(&finding_text(finding, None));
            }
        }
    }

    fn write_out(&self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) {
        self.bars.suspend(|| {
            let mut out = AutoStream::new(io::stdout().lock(), self.colour);
            if let Err(error) = write(&mut out).and_then(|()| out.flush()) {
                // The first failure says why; later ones only follow from it.
                let _ = self.broken.set(error);
            }
        });
    }

    fn write_err(&self, text: &dyn Display) {
        self.bars.suspend(|| {
            let mut err = AutoStream::new(io::stderr().lock(), self.colour);
            // There is no third channel to complain on.
            let _ = writeln!(err, "{text}");
        });
    }
}

/// A failure as people read it; no line break at the end.
fn failure_text(failure: &Failure) -> String {
    let label = format!("error[{}]:", failure.code);
    let mut text = format!("{} {}", label.red().bold(), words::harmless(&failure.message));
    for cause in &failure.causes {
        text.push_str(&format!(
            "\n  {} {}",
            "because:".dimmed(),
            words::harmless(cause).replace('\n', "\n           ")
        ));
    }
    for hint in &failure.hints {
        text.push_str(&format!("\n{} {hint}", "hint:".cyan()));
    }
    text
}

/// A finding as people read it, with its place and, where given, the line of the file that it is about; no line break
/// at the end.
pub fn finding_text(finding: &Finding, source: Option<&str>) -> String {
    let mut text = match finding.severity {
        Severity::Error => format!("{}", format!("error[{}]:", finding.code).red().bold()),
        Severity::Warning => format!("{}", format!("warning[{}]:", finding.code).yellow().bold()),
    };
    text.push_str(&format!(" {}", finding.message));
    if let Some(file) = &finding.file {
        let place = [finding.line, finding.column].into_iter().flatten().map(|n| format!(":{n}"));
        text.push_str(&format!("\n  {} {file}{}", "-->".blue(), place.collect::<String>()));
    }
    if let (Some(line), Some(source)) = (finding.line, source) {
        let number = format!("{line:>4} |");
        text.push_str(&format!("\n{} {source}", number.blue()));
        if let Some(column) = finding.column {
            let before: String = source.chars().take(column.saturating_sub(1) as usize).collect();
            // A tab is as wide in the line of the mark as in the line above it.
            let blank: String = before.chars().map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            text.push_str(&format!("\n{} {blank}{}", "     |".blue(), "^".red().bold()));
        }
    }
    if let Some(hint) = &finding.hint {
        text.push_str(&format!("\n{} {hint}", "hint:".cyan()));
    }
    text
}
