use std::path::PathBuf;

use platform_app::{Refusal, specs};
use platform_spec::report::{Finding, Severity};
use serde_json::json;

use crate::{
    args::Common,
    exit::Exit,
    printer::{Printer, finding_text},
    words,
};

/// Check spec files, and report everything that is wrong with them
///
/// Reads strictly: an unknown or repeated key, a wrong type, a reference to nothing, a bad name and overlapping networks
/// are errors; so is what a provider's `config` does not have. Every finding names file, line and column, a code (`platform explain CODE`) and what to write instead.
/// Exits 2 when there is an error; warnings alone exit 0.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  platform validate platform.yaml\n  platform validate specs/*.yaml --output json\n  \
    platform validate --sandbox"
)]
pub struct Args {
    /// The spec files [default: the one that --file names]
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub async fn run(args: &Args, common: &Common, printer: &Printer) -> Result<Exit, Refusal> {
    let files = if args.files.is_empty() {
        vec![common.file.clone().unwrap_or_else(|| PathBuf::from(specs::DEFAULT_FILE))]
    } else {
        args.files.clone()
    };
    let mut findings = Vec::new();
    for file in &files {
        let checked = specs::check(file, common.sandbox).await?;
        if !printer.wants_json() {
            for finding in &checked.findings {
                printer.text(format_args!("{}\n\n", finding_text(finding, source_line(finding, &checked))));
            }
            if checked.findings.is_empty() {
                printer.text(format_args!("{}: valid\n", file.display()));
            }
        }
        findings.extend(checked.findings);
    }
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if printer.wants_json() {
        printer.json(&json!({
            "schema": "platform.validate/v1",
            "valid": errors == 0,
            "files": files.iter().map(|file| file.to_string_lossy()).collect::<Vec<_>>(),
            "findings": findings,
        }));
    } else if !findings.is_empty() {
        let warnings = findings.len() - errors;
        printer.say(format_args!("{}, {}", words::many(errors, "error"), words::many(warnings, "warning")));
    }
    Ok(if errors == 0 { Exit::Ok } else { Exit::Invalid })
}

/// The line of the file that a finding is about, unless a secret may stand in it.
fn source_line<'a>(finding: &Finding, checked: &'a specs::Checked) -> Option<&'a str> {
    /// A secret stands where a handle belongs.
    const SECRET_IN_THE_CLEAR: &str = "P0008";
    /// The parser can only warn of what it could parse; these words warn of the rest.
    const SUSPICIOUS: [&str; 6] = ["passw", "token", "secret", "credential", "apikey", "private"];

    let line = finding.line?;
    let text = checked.text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)?;
    let known = checked
        .findings
        .iter()
        .any(|other| other.line == Some(line) && other.code.as_str() == SECRET_IN_THE_CLEAR);
    let folded = text.to_lowercase().replace(['_', '-'], "");
    (!known && !SUSPICIOUS.iter().any(|word| folded.contains(word))).then_some(text)
}
