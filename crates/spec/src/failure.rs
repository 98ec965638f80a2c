//! What went wrong, in a form that can be stored, shown, and acted upon.
//!
//! Each crate has error types of its own; at its border they become a [`Failure`]: the retry policy reads the
//! [`Class`], a person reads message, causes and hints, a script reads the [`Code`].

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stable error code such as `P0203`. Each has a page, `docs/errors/P0203.md` (`platform explain P0203`).
///
/// Ranges: P00 spec · P01 state and locks · P02 providers · P03 Git · P04 Kubernetes, Argo CD, Velero · P05 DNS ·
/// P06 blueprints and artifacts · P07 engine and runs · P08 sandbox and simulation · P09 usage and the program itself ·
/// P10 kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Code(std::borrow::Cow<'static, str>);

impl Code {
    /// A code known at compile time: `Code::new("P0203")`. A test finds every such literal and asks for its page.
    pub const fn new(text: &'static str) -> Self {
        Self(std::borrow::Cow::Borrowed(text))
    }

    /// The text, `P` and four digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why the outside refused, decided once at the border where the refusal arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// A hiccup: network, timeout, 5xx. The same call may work in a moment.
    Retryable,
    /// Too many calls; [`Failure::retry_after_ms`] says how long to wait when the other side said so.
    Throttled,
    /// The other side has no room now (a zone, a shape).
    Capacity,
    /// A limit of the account; a person must raise it.
    Quota,
    /// Credentials ran out or were refused as such; logging in again helps.
    AuthExpired,
    /// Credentials are good and do not allow this.
    Forbidden,
    /// Another operation holds the thing; wait for it.
    ConflictInProgress,
    /// Something else still uses the thing; [`Failure::blockers`] names it.
    DependencyViolation,
    /// The thing is not there.
    NotFound,
    /// What was asked for is wrong; asking again will not help.
    Config,
    /// Our own mistake, or an answer that should not exist.
    Bug,
}

impl Class {
    /// The word used in JSON and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retryable => "retryable",
            Self::Throttled => "throttled",
            Self::Capacity => "capacity",
            Self::Quota => "quota",
            Self::AuthExpired => "auth_expired",
            Self::Forbidden => "forbidden",
            Self::ConflictInProgress => "conflict_in_progress",
            Self::DependencyViolation => "dependency_violation",
            Self::NotFound => "not_found",
            Self::Config => "config",
            Self::Bug => "bug",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A failure as it is stored in the journal and printed at the edge. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Stable code with a page.
    pub code: Code,
    /// What was being done, to which thing. No cause in it, no full stop.
    pub message: String,
    /// The chain of causes, outermost first; the last keeps the original words of whoever refused.
    #[serde(default)]
    pub causes: Vec<String>,
    /// What to do next, with the exact command.
    #[serde(default)]
    pub hints: Vec<String>,
    /// The step that failed, when a step did.
    #[serde(default)]
    pub step: Option<crate::StepId>,
    /// What the retry policy reads.
    pub class: Class,
    /// How long the other side asked us to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// What stands in the way, for [`Class::DependencyViolation`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blockers: Vec<String>,
}

impl Failure {
    /// A failure with neither causes nor hints yet.
    pub fn new(code: Code, class: Class, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            causes: Vec::new(),
            hints: Vec::new(),
            step: None,
            class,
            retry_after_ms: None,
            blockers: Vec::new(),
        }
    }

    /// Adds one cause, in the words it came with.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.causes.push(cause.to_string());
        self
    }

    /// Adds an error and its whole chain of sources as causes, leaving out repetitions.
    #[must_use]
    pub fn caused_by(mut self, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(error);
        while let Some(cause) = next {
            let text = cause.to_string();
            if self.causes.last() != Some(&text) {
                self.causes.push(text);
            }
            next = cause.source();
        }
        self
    }

    /// Adds a hint: one sentence with the exact command.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Says how long to wait before the next try.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }

    /// Names what stands in the way.
    #[must_use]
    pub fn blocked_by(mut self, blockers: Vec<String>) -> Self {
        self.blockers = blockers;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)
    }
}

impl std::error::Error for Failure {}
