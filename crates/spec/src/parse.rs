//! From the text of a `platform.yaml` to a [`Platform`], or to everything that is wrong with it.

use crate::{
    platform::Platform,
    report::{Finding, Severity},
    rules,
    schema::schema,
    source::{self, Issue, Tree, code},
};

/// A file that may be acted upon.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub platform: Platform,
    /// Warnings, in the order of the file.
    pub findings: Vec<Finding>,
}

/// Line and column, from 1, of a path such as `spec.addons[0]` in a file that [`parse`] took, or of the nearest thing
/// around it: for findings of those who know more than the file.
pub fn place(text: &str, path: &str) -> Option<(u64, u64)> {
    let (tree, _) = Tree::read(text);
    let at = tree?.locate(path);
    Some((at.line, at.column))
}

/// Reads a file and checks everything that can be checked without looking at the world.
///
/// `file_name` is only repeated in the findings.
///
/// # Errors
/// All findings in the order of the file, at least one of them an error. Values that may be secrets are in none.
pub fn parse(file_name: &str, text: &str) -> Result<Parsed, Vec<Finding>> {
    read(file_name, text, false)
}

/// As [`parse`], for clusters that are made in emulated clouds: their pods are on this machine and reach its files.
///
/// # Errors
/// As [`parse`].
pub fn parse_emulated(file_name: &str, text: &str) -> Result<Parsed, Vec<Finding>> {
    read(file_name, text, true)
}

fn read(file_name: &str, text: &str, emulated: bool) -> Result<Parsed, Vec<Finding>> {
    let (tree, mut issues) = Tree::read(text);
    let platform = tree.as_ref().and_then(|tree| {
        let checked = source::check(tree, schema());
        let whole = checked.issues.is_empty();
        issues.extend(checked.issues);
        match serde_json::from_value::<Platform>(checked.value) {
            Ok(platform) => {
                let damaged = |path: &str| {
                    let around = |outer: &String| {
                        path.strip_prefix(outer.as_str())
                            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
                    };
                    checked.damaged.iter().any(around)
                };
                issues.extend(
                    rules::check(&platform, whole && checked.damaged.is_empty())
                        .into_iter()
                        .filter(|issue| !damaged(&issue.path)),
                );
                Some(platform)
            }
            Err(_) if !whole => None,
            Err(error) => {
                // serde's words may repeat a value of the file; which key it was is enough to report the mistake.
                let place = error.to_string().split('`').nth(1).unwrap_or_default().to_owned();
                issues.push(
                    Issue::error(
                        code::DISAGREE,
                        "",
                        format!("the schema and the types disagree near `{place}`"),
                    )
                    .hint("this is a mistake of the program; please report it with the file's shape"),
                );
                None
            }
        }
    });
    if emulated {
        issues.retain(|issue| issue.code != code::LOCAL_GIT);
    }
    let mut findings: Vec<Finding> =
        issues.into_iter().map(|issue| issue.locate(file_name, tree.as_ref())).collect();
    findings.sort_by(|a, b| (a.line, a.column, &a.code, &a.path).cmp(&(b.line, b.column, &b.code, &b.path)));
    findings.dedup();
    match platform {
        Some(platform) if findings.iter().all(|finding| finding.severity == Severity::Warning) => {
            Ok(Parsed { platform, findings })
        }
        _ => Err(findings),
    }
}
