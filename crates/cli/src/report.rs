//! A finished run, told in words and as a page.

use std::fmt::Write;

use platform_spec::report::{Orphan, RunReport, RunStatus, StepReport};

use crate::{exit::Exit, printer::Printer, table, words};

/// Says how a run ended: one JSON document, or one line on stdout and what a person should know on stderr.
pub fn print(report: &RunReport, printer: &Printer) -> Exit {
    if printer.wants_json() {
        printer.json(report);
    } else if report.run.is_some() {
        printer.text(format_args!("{}\n", headline(report)));
        if !report.orphans.is_empty() {
            printer.text(format_args!("\nleft behind:\n{}", orphans(&report.orphans)));
        }
    }
    printer.findings(&report.findings);
    if let Some(failure) = &report.error {
        printer.explain(failure);
    }
    if let Some(line) = way_on(report) {
        printer.say(line);
    }
    Exit::of_report(report)
}

/// `up demo: succeeded in 3 m 12 s (14 changed)`.
pub fn headline(report: &RunReport) -> String {
    let whose = report.platform.as_ref().map_or_else(String::new, |name| format!(" {name}"));
    format!(
        "{}{whose}: {} in {} ({})",
        report.flow,
        report.status.as_str(),
        words::duration(report.elapsed_ms),
        words::counts(&report.counts)
    )
}

/// Which command continues the run, when one does.
fn way_on(report: &RunReport) -> Option<String> {
    let run = report.run.as_ref()?;
    match report.status {
        RunStatus::Held | RunStatus::Interrupted => {
            Some(format!("nothing is lost; continue with: platform resume {run}"))
        }
        _ => None,
    }
}

/// The steps of a run as a table.
pub fn steps(steps: &[StepReport]) -> String {
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            vec![
                step.id.to_string(),
                state(step),
                step.attempts.to_string(),
                took(step),
                step.note.as_deref().map(words::brief).unwrap_or_default(),
            ]
        })
        .collect();
    table::render(&["STEP", "STATE", "ATTEMPTS", "TOOK", "NOTE"], &rows)
}

/// What was left behind as a table.
pub fn orphans(orphans: &[Orphan]) -> String {
    let rows: Vec<Vec<String>> = orphans
        .iter()
        .map(|orphan| {
            vec![
                orphan.place.clone(),
                orphan.kind.clone(),
                orphan.name.clone(),
                orphan.age_ms.map(words::duration).unwrap_or_default(),
                orphan.why.clone(),
            ]
        })
        .collect();
    table::render(&["WHERE", "KIND", "NAME", "FOR", "WHY"], &rows)
}

/// The run as a page of Markdown, fit for a ticket.
pub fn markdown(report: &RunReport) -> String {
    let mut page = String::new();
    let run = report.run.as_ref().map_or("", |run| run.as_str());
    // Writing into a String cannot fail.
    let _ = writeln!(page, "# Run {run}\n\n{}\n", headline(report));
    let facts = [
        ("began", report.began_at.map(words::moment)),
        ("asked for by", report.actor.clone()),
        ("spec", report.spec_digest.clone()),
    ];
    for (what, fact) in facts {
        if let Some(fact) = fact {
            let _ = writeln!(page, "- {what}: {fact}");
        }
    }
    let _ = writeln!(page, "\n## Steps\n");
    let _ = writeln!(page, "| step | state | attempts | took | note |\n|---|---|---|---|---|");
    for step in &report.steps {
        let note = cell(step.note.as_deref().unwrap_or_default());
        let took = took(step);
        let _ = writeln!(page, "| `{}` | {} | {} | {took} | {note} |", step.id, state(step), step.attempts);
    }
    if let Some(failure) = &report.error {
        let _ = writeln!(page, "\n## Error {}\n\n{}\n", failure.code, failure.message);
        for cause in &failure.causes {
            let _ = writeln!(page, "- because: {}", cause.replace('\n', " "));
        }
        for hint in &failure.hints {
            let _ = writeln!(page, "- hint: {hint}");
        }
    }
    if !report.orphans.is_empty() {
        let _ = writeln!(page, "\n## Left behind\n\n| where | kind | name | why |\n|---|---|---|---|");
        for orphan in &report.orphans {
            let why = cell(&orphan.why);
            let _ = writeln!(
                page,
                "| {} | {} | {} | {why} |",
                cell(&orphan.place),
                orphan.kind,
                cell(&orphan.name)
            );
        }
    }
    page
}

/// How long a step took; nothing for one that was not begun, or that another process began.
fn took(step: &StepReport) -> String {
    if step.attempts == 0 || step.elapsed_ms == 0 { String::new() } else { words::duration(step.elapsed_ms) }
}

/// A finished step by what it did, another by where it stands.
fn state(step: &StepReport) -> String {
    let outcome = step.outcome.and_then(|outcome| serde_json::to_value(outcome).ok());
    match outcome {
        Some(serde_json::Value::String(word)) => word,
        _ => step.status.as_str().to_owned(),
    }
}

/// Text as a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
