//! Findings that somebody has accepted: a comment says which rule, until when, and why.
//!
//! `# platform:accept G-14 until 2027-03-31: the vendor gives it no other tag`
//!
//! It holds for its own line, and as part of a comment for the line below that comment. In the comment that a file begins
//! with, it holds for the whole file, but for credentials (X-08): those are accepted one by one. Nothing is accepted silently:
//! the report lists what was, and an acceptance that is over, or that nothing needs, is said.

use std::sync::LazyLock;

use jiff::civil::Date;
use platform_spec::report::{self, Severity};
use regex::Regex;

use super::{ABOUT_ACCEPTANCES, ACCEPTANCE, Accepted, Finding, Raw, Report, ids, rules, sheet::is_comment};

const MARK: &str = "platform:accept";

static FORM: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"platform:accept\s+(\S+)\s+until\s+(\d{4}-\d{2}-\d{2}):\s*(\S.*)")
        .expect("a test has compiled the pattern")
});

/// An acceptance as it stands in a file.
#[derive(Debug)]
pub(super) struct Note {
    file: String,
    line: u64,
    /// The lines it holds for, the last one included.
    holds: (u64, u64),
    whole_file: bool,
    /// What it says, or nothing when it cannot be read.
    said: Option<Said>,
    used: bool,
}

#[derive(Debug)]
struct Said {
    rule: &'static str,
    until: Date,
    reason: String,
}

/// Every acceptance in a file.
pub(super) fn notes(path: &str, text: &str) -> Vec<Note> {
    if !text.contains(MARK) {
        return Vec::new();
    }
    let lines: Vec<&str> = text.lines().collect();
    let blank = |line: &str| line.trim().is_empty() || line.trim() == "---" || is_comment(line);
    let head = lines.iter().take_while(|line| blank(line)).count();
    let mut notes = Vec::new();
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_note(line)) {
        let below = lines[at..].iter().take_while(|line| is_comment(line)).count();
        let number = |at: usize| at as u64 + 1;
        notes.push(Note {
            file: path.to_owned(),
            line: number(at),
            holds: (number(at), number(at + below)),
            whole_file: at < head,
            said: read(line),
            used: false,
        });
    }
    notes
}

/// A note stands in a comment, and not in a text about notes.
fn is_note(line: &str) -> bool {
    let Some(at) = line.find(MARK) else { return false };
    let before = line[..at].trim_end();
    ["#", "//", "/*", "<!--"].iter().any(|mark| before.ends_with(mark))
}

fn read(line: &str) -> Option<Said> {
    let said = FORM.captures(line)?;
    let rule = ids().into_iter().find(|id| *id == &said[1])?;
    let reason = said[3].trim_end_matches("-->").trim_end_matches("*/}}").trim_end_matches("*/").trim();
    let until = said[2].parse().ok()?;
    (!reason.is_empty()).then(|| Said { rule, until, reason: reason.to_owned() })
}

impl Note {
    fn covers(&self, raw: &Raw) -> bool {
        let alone = raw.rule.id == rules::CREDENTIALS;
        let here = (self.holds.0..=self.holds.1).contains(&raw.line) || (self.whole_file && !alone);
        self.file == raw.file && here && self.said.as_ref().is_some_and(|said| said.rule == raw.rule.id)
    }

    fn finding(&self, severity: Severity, message: &str, hint: &str) -> Finding {
        Finding {
            rule: ABOUT_ACCEPTANCES,
            finding: report::Finding {
                code: ACCEPTANCE,
                severity,
                class: None,
                message: message.to_owned(),
                hint: Some(hint.to_owned()),
                file: Some(self.file.clone()),
                line: Some(self.line),
                column: None,
                path: None,
            },
        }
    }
}

/// Sorts what was found into what is accepted and what is not.
pub(super) fn settle(raw: Vec<Raw>, mut notes: Vec<Note>, today: Option<Date>, report: &mut Report) {
    for raw in raw {
        let note = notes.iter_mut().find(|note| note.covers(&raw));
        let Some((note, said)) = note.and_then(|note| {
            note.used = true;
            let note = &*note;
            Some((note, note.said.as_ref()?))
        }) else {
            report.findings.push(raw.finding(None));
            continue;
        };
        if today.is_some_and(|today| today > said.until) {
            let also = format!("accepted in line {} until {}, which is over", note.line, said.until);
            report.findings.push(raw.finding(Some(&also)));
        } else {
            report.accepted.push(Accepted {
                finding: raw.finding(None),
                until: said.until.to_string(),
                reason: said.reason.clone(),
            });
        }
    }
    let asked = |id: &str| today.is_some() || rules::RULES.iter().any(|it| it.id == id && !it.asks_operation);
    for note in &notes {
        match &note.said {
            None => report.findings.push(note.finding(
                Severity::Error,
                "this acceptance cannot be read, so it accepts nothing",
                "write `platform:accept RULE until YEAR-MONTH-DAY: REASON` with the id of a rule",
            )),
            Some(said) if !note.used && asked(said.rule) => report.findings.push(note.finding(
                Severity::Warning,
                &format!("nothing here breaks {}, which this accepts", said.rule),
                "take the comment out, or move it to the line above the one it is about",
            )),
            Some(_) => {}
        }
    }
}
