//! What a command says at its end, and what a running one says on its way. Field names are a contract with scripts.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Failure, Outcome, PlatformName, RunId, StepId, event::Recorded};

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// A live process is carrying it out.
    Running,
    /// Done.
    Succeeded,
    /// Not done, and nothing more to do.
    Failed,
    /// Stopped at a failure or a gate; resumable.
    Held,
    /// Its process is gone; resumable.
    Interrupted,
    /// Given up by a person.
    Abandoned,
}

impl RunStatus {
    /// The word used in JSON, SQL and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Held => "held",
            Self::Interrupted => "interrupted",
            Self::Abandoned => "abandoned",
        }
    }

    /// Whether `resume` may continue it once its process is gone.
    pub fn is_resumable(self) -> bool {
        matches!(self, Self::Running | Self::Held | Self::Interrupted)
    }
}

/// Where a step stands, as people and scripts see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Being worked on here.
    Running,
    /// Being worked on outside.
    Waiting,
    /// Waits for a person.
    Gated,
    /// Failed an attempt, will try again.
    Retrying,
    /// Its process is gone; to be looked up.
    InDoubt,
    /// Done.
    Succeeded,
    /// Not done, rightly.
    Skipped,
    /// Failed for good.
    Failed,
    /// Being removed again.
    Undoing,
    /// Removed again.
    Undone,
    /// Could not be removed again; a person must look.
    Stuck,
}

impl StepState {
    /// The word used in JSON, SQL and on screen.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Waiting => "waiting",
            Self::Gated => "gated",
            Self::Retrying => "retrying",
            Self::InDoubt => "in_doubt",
            Self::Succeeded => "succeeded",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Undoing => "undoing",
            Self::Undone => "undone",
            Self::Stuck => "stuck",
        }
    }
}

/// One step in a report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Which step.
    pub id: StepId,
    /// Where it stands.
    pub status: StepState,
    /// What it did, once it is done.
    pub outcome: Option<Outcome>,
    /// Attempts begun.
    pub attempts: u32,
    /// From its first start to its end (or to the report), in milliseconds.
    pub elapsed_ms: u64,
    /// What it waits for, or why it failed or was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// How many steps did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Succeeded, and changed the world.
    pub changed: u32,
    /// Succeeded; it was already so.
    pub unchanged: u32,
    /// Did not apply, or stood behind a failure.
    pub skipped: u32,
    /// Failed or stuck.
    pub failed: u32,
    /// Everything else.
    pub pending: u32,
}

/// Something that was left behind, found by the independent inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orphan {
    /// Where: a cluster, a zone, a provider.
    pub place: String,
    /// What kind of thing.
    pub kind: String,
    /// Its name there.
    pub name: String,
    /// Why it is still there (a finalizer, a blocker), in the words found.
    pub why: String,
    /// How long it has been going (or, when not going, existing), in milliseconds.
    pub age_ms: Option<u64>,
}

/// A remark that is no failure: a finding of validation or preflight.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable code with a page.
    pub code: crate::Code,
    /// `error` or `warning`.
    pub severity: Severity,
    /// Why the outside refused, when it is about the outside and not about the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<crate::Class>,
    /// What is wrong.
    pub message: String,
    /// What to write instead, or which command to run.
    pub hint: Option<String>,
    /// Where in the spec file, when it is about the file.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<u64>,
    /// Column, from 1.
    pub column: Option<u64>,
    /// Path within the spec, such as `spec.clusters[0].name`.
    pub path: Option<String>,
}

impl From<crate::Failure> for Finding {
    /// An error that looking ahead has found: message and causes in one sentence, and the first hint.
    fn from(failure: crate::Failure) -> Self {
        Self {
            code: failure.code,
            severity: Severity::Error,
            class: Some(failure.class),
            message: std::iter::once(failure.message).chain(failure.causes).collect::<Vec<_>>().join(": "),
            hint: failure.hints.into_iter().next(),
            file: None,
            line: None,
            column: None,
            path: None,
        }
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Warning,
    /// Nothing may be done before it is mended.
    Error,
}

/// One run in full: what `up`, `down` and `resume` print with `--output json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Always `platform.run/v1`.
    pub schema: String,
    /// The run; absent when it never came to be.
    pub run: Option<RunId>,
    /// `up`, `down`, …
    pub flow: String,
    /// Whose.
    pub platform: Option<PlatformName>,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was created.
    #[serde(default)]
    pub began_at: Option<Timestamp>,
    /// Who asked for it: `user@host`.
    #[serde(default)]
    pub actor: Option<String>,
    /// Digest of the spec that it was made from.
    #[serde(default)]
    pub spec_digest: Option<String>,
    /// Sums over `steps`.
    pub counts: Counts,
    /// Every step, in the plan's order.
    pub steps: Vec<StepReport>,
    /// What `down` found left behind.
    pub orphans: Vec<Orphan>,
    /// Remarks of validation and preflight.
    pub findings: Vec<Finding>,
    /// From creation to end (or to the report), in milliseconds.
    pub elapsed_ms: u64,
    /// Why it failed or holds.
    pub error: Option<Failure>,
}

/// The value of [`RunReport::schema`].
pub const RUN_SCHEMA: &str = "platform.run/v1";

/// What a running engine tells whoever watches. The first two are readings of the journal; the last is not recorded.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// A run begins or continues: its steps in the plan's order with their titles.
    Plan {
        /// Which run.
        run: RunId,
        /// Its flow.
        flow: String,
        /// Steps and titles.
        steps: Vec<(StepId, String)>,
        /// Where each step that has begun stands already.
        already: Vec<(StepId, StepState)>,
    },
    /// An event has been stored.
    Stored(Recorded),
    /// A step was looked at again and still waits.
    StillWaiting {
        /// Which step.
        step: StepId,
        /// What for.
        waiting_for: String,
        /// When it will be looked at again.
        next_look: Timestamp,
    },
}
