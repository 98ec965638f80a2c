use std::path::PathBuf;

use platform_app::{
    Refusal,
    repo::{self, Report},
};
use platform_spec::report::{Finding, Severity};

use crate::{
    exit::Exit,
    printer::{Printer, finding_text},
    words,
};

/// Hold a GitOps repository against the rules that rendered trees keep
///
/// Reads every file of a folder: literal credentials, images and charts without one version, pods with rights over their
/// nodes, provider details outside overlays, and more (docs/guides/verify-repo.md). Each finding names the rule, its code
/// (`platform explain CODE`), file and line. Changes nothing; exits 1 when a rule is broken that nobody has accepted.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform verify repo .\n  platform verify repo checkout --output json\n  \
    platform render --out trees && platform verify repo trees/platform"
)]
pub struct Args {
    /// The folder of the repository
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub fn run(args: &Args, printer: &Printer) -> Result<Exit, Refusal> {
    let report = repo::verify(&args.directory)?;
    if printer.wants_json() {
        printer.json(&report);
    } else {
        text(&report, printer);
    }
    Ok(if report.passed { Exit::Ok } else { Exit::Failed })
}

fn text(report: &Report, printer: &Printer) {
    let said = &report.said;
    for found in &said.findings {
        let harmless = Finding { message: words::harmless(&found.finding.message), ..found.finding.clone() };
        printer.text(format_args!("{}\n\n", finding_text(&harmless, None)));
    }
    if !said.accepted.is_empty() {
        printer.text("accepted:\n");
        for accepted in &said.accepted {
            let Finding { file, line, message, .. } = &accepted.finding.finding;
            let place = format!("{}:{}", file.as_deref().unwrap_or_default(), line.unwrap_or_default());
            let (message, reason) = (words::harmless(message), words::harmless(&accepted.reason));
            printer.text(format_args!("  {place}: {message}\n    until {}: {reason}\n", accepted.until));
        }
        printer.text("\n");
    }
    if !said.unjudged.is_empty() {
        printer.text("not judged, or not in full:\n");
        for unjudged in &said.unjudged {
            printer.text(format_args!("  {}: {}\n", unjudged.file, unjudged.why));
        }
        printer.text("\n");
    }
    let is_error = |severity: Severity| severity == Severity::Error;
    let errors = said.findings.iter().filter(|found| is_error(found.finding.severity)).count();
    printer.text(format_args!(
        "{}, {}, {} accepted, {} in {}\n",
        words::many(errors, "error"),
        words::many(said.findings.len() - errors, "warning"),
        said.accepted.len(),
        words::many(report.rules.len(), "rule"),
        words::many(said.files, "file"),
    ));
}
