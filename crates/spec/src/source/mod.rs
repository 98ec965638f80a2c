//! From text to findings and a typed [`crate::platform::Platform`], with the position of everything.
//!
//! The file is read into a tree that remembers line and column of each key and value ([`yaml`]). The tree is checked
//! against the JSON Schema that the types of [`crate::platform`] give ([`check`]): that one walk finds everything that
//! is wrong with the form, and turns scalars into what the schema asks for, so that an unquoted `1.30` stays a text
//! and `no` is never taken for `false`. Only then do serde and the rules see it.
//!
//! Reading YAML straight into the types would stop at the first mistake, and would guess at scalars.

mod check;
pub(crate) mod code;
mod form;
mod scalar;
mod secrets;
mod shape;
mod yaml;

pub(crate) use check::{check, check_part};
pub(crate) use form::is_dns_name;
pub(crate) use yaml::{Kind, Node, Position, Tree};

use crate::{
    Code,
    report::{Finding, Severity},
};

/// A finding that does not know its line yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Issue {
    pub code: Code,
    pub severity: Severity,
    pub path: String,
    pub message: String,
    pub hint: Option<String>,
    /// Where it is, when the path alone does not say (a key instead of its value).
    pub at: Option<Position>,
}

impl Issue {
    pub(crate) fn error(code: Code, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            path: path.into(),
            message: message.into(),
            hint: None,
            at: None,
        }
    }

    pub(crate) fn warning(code: Code, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, path, message) }
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(crate) fn at(mut self, at: Position) -> Self {
        self.at = Some(at);
        self
    }

    /// Gives it a place in the file; a path that is not in the file is placed at the nearest thing around it.
    pub(crate) fn locate(self, file: &str, tree: Option<&Tree>) -> Finding {
        let at = self.at.or_else(|| tree.map(|tree| tree.locate(&self.path)));
        Finding {
            code: self.code,
            severity: self.severity,
            class: None,
            message: self.message,
            hint: self.hint,
            file: Some(file.to_owned()),
            line: at.map(|at| at.line),
            column: at.map(|at| at.column),
            path: (!self.path.is_empty()).then_some(self.path),
        }
    }
}

/// The candidate nearest to `wrong`, when one is near enough to be what was meant.
pub fn did_you_mean<'a>(wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = wrong.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
