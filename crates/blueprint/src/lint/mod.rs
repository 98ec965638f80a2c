//! The rules that a GitOps tree must keep, whoever wrote it: what a blueprint renders, and a repository of people.
//!
//! A tree is read file by file, each file once. Every rule sees every file ([`sheet::Sheet`]) and may judge at the end what
//! only the whole tree can tell. What cannot be judged as it stands in Git, such as the templates of a Helm chart, is listed
//! and not guessed.
//!
//! | room | what it holds |
//! |---|---|
//! | [`rules`] | one file per rule, and the list of them: [`RULES`] |
//! | `sheet` | a file as rules see it: its part in the tree, its objects, its lines |
//! | `place` | the line that a value stands in |
//! | `accept` | findings that somebody has accepted, why, and until when |

mod accept;
mod place;
pub mod rules;
mod sheet;

use std::{collections::BTreeSet, fmt};

use jiff::civil::Date;
use platform_spec::{
    Code,
    report::{self, Severity},
};
use serde::Serialize;

pub use rules::RULES;
use rules::{Check, Rule};
use sheet::{Part, Sheet};

use crate::{Tree, yaml};

/// The code of an acceptance that cannot be read, or that nothing needs.
const ACCEPTANCE: Code = Code::new("P0317");

/// The name that findings about acceptances bear in place of a rule's.
const ABOUT_ACCEPTANCES: &str = "accept";

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The rule's id, such as `G-14`.
    pub rule: &'static str,
    /// Code, severity, words and place.
    #[serde(flatten)]
    pub finding: report::Finding,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report::Finding { file, line, message, code, .. } = &self.finding;
        if let (Some(file), Some(line)) = (file, line) {
            write!(f, "{file}:{line}: ")?;
        }
        write!(f, "{message}")?;
        // That of credentials is the code of the refusal itself.
        if self.rule == rules::CREDENTIALS { Ok(()) } else { write!(f, " ({code})") }
    }
}

/// A place that breaks a rule, which somebody has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// What breaks which rule.
    #[serde(flatten)]
    pub finding: Finding,
    /// Until when.
    pub until: String,
    /// Why.
    pub reason: String,
}

/// A file of which nothing, or not everything, could be judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unjudged {
    /// Which file.
    pub file: String,
    /// What stands in the way.
    pub why: String,
}

/// What the rules say about a tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// How many files were read.
    pub files: usize,
    /// What breaks a rule, by file and line.
    pub findings: Vec<Finding>,
    /// What breaks a rule and was accepted.
    pub accepted: Vec<Accepted>,
    /// What could not be judged.
    pub unjudged: Vec<Unjudged>,
}

impl Report {
    /// Whether nothing is wrong that counts as an error.
    pub fn passed(&self) -> bool {
        self.findings.iter().all(|it| it.finding.severity != Severity::Error)
    }
}

/// Holds a tree against every rule.
///
/// `today` says which acceptances are over. Without it no acceptance is over, and rules that ask what happens in time
/// ([`Rule::asks_operation`]) are left out: so is a tree judged that was just rendered, which must not depend on the day.
pub fn check(tree: &Tree, today: Option<Date>) -> Report {
    let mut checks: Vec<(&Rule, Box<dyn Check>)> = RULES
        .iter()
        .filter(|rule| today.is_some() || !rule.asks_operation)
        .map(|rule| (rule, (rule.make)()))
        .collect();
    let mut report = Report { files: tree.files.len(), ..Report::default() };
    let mut raw = Vec::new();
    let mut notes = Vec::new();
    for (path, file) in &tree.files {
        let Some(text) = file.text() else {
            report.unjudged.push(Unjudged { file: path.clone(), why: "it is no text".to_owned() });
            continue;
        };
        notes.extend(accept::notes(path, text));
        let sheet = match read(tree, path, text) {
            Ok(sheet) => sheet,
            Err((sheet, why)) => {
                report.unjudged.push(Unjudged { file: path.clone(), why });
                sheet
            }
        };
        for (rule, check) in &mut checks {
            check.sheet(&sheet, &mut Found { rule, raw: &mut raw });
        }
    }
    for (rule, check) in &mut checks {
        check.end(tree, &mut Found { rule, raw: &mut raw });
    }
    accept::settle(raw, notes, today, &mut report);
    report.findings.sort_by(|a, b| by_place(&a.finding).cmp(&by_place(&b.finding)).then(a.rule.cmp(b.rule)));
    report
}

fn by_place(finding: &report::Finding) -> (Option<&str>, Option<u64>) {
    (finding.file.as_deref(), finding.line)
}

/// A file as rules see it; with the reason where its objects could not be read.
fn read<'a>(tree: &'a Tree, path: &'a str, text: &'a str) -> Result<Sheet<'a>, (Sheet<'a>, String)> {
    let part = Part::of(tree, path);
    let blank = |part| Sheet { tree, path, text, part, documents: Vec::new() };
    match part {
        Part::HelmTemplate => Err((
            blank(part),
            "a template of a Helm chart: read as text, since its objects exist only once it is rendered"
                .to_owned(),
        )),
        _ if !yaml::is_yaml(path) => Ok(blank(part)),
        _ => match yaml::documents(text) {
            Ok(documents) => Ok(Sheet { documents, ..blank(part) }),
            // The parser's words may repeat what stands there, which may be a secret.
            Err(why) => Err((blank(part), format!("it is not valid YAML{}", place_of(&why)))),
        },
    }
}

/// ` at line 3 column 5`, from the parser's words.
fn place_of(why: &str) -> &str {
    why.rfind(" at line ").map_or("", |at| &why[at..])
}

/// What is found, before anybody has asked whether it was accepted.
#[derive(Debug)]
pub(crate) struct Raw {
    rule: &'static Rule,
    file: String,
    line: u64,
    message: String,
}

/// Where a rule says what it has found.
pub(crate) struct Found<'a> {
    rule: &'static Rule,
    raw: &'a mut Vec<Raw>,
}

impl Found<'_> {
    /// Something in a line of a file.
    pub(crate) fn at(&mut self, file: &str, line: u64, message: impl Into<String>) {
        self.raw.push(Raw { rule: self.rule, file: file.to_owned(), line, message: message.into() });
    }

    /// A value within a file's objects.
    pub(crate) fn value(&mut self, sheet: &Sheet<'_>, value: &yaml_serde::Value, message: impl Into<String>) {
        self.at(sheet.path, sheet.line(value), message);
    }
}

impl Raw {
    fn finding(&self, also: Option<&str>) -> Finding {
        let message = match also {
            Some(also) => format!("{} ({also})", self.message),
            None => self.message.clone(),
        };
        Finding {
            rule: self.rule.id,
            finding: report::Finding {
                code: self.rule.code.clone(),
                severity: Severity::Error,
                class: None,
                message: format!("{}: {message}", self.rule.id),
                hint: Some(self.rule.hint.to_owned()),
                file: Some(self.file.clone()),
                line: Some(self.line),
                column: None,
                path: None,
            },
        }
    }
}

/// The ids of all rules.
fn ids() -> BTreeSet<&'static str> {
    RULES.iter().map(|rule| rule.id).collect()
}
