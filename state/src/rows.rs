//! Rows as screens get them.

use jiff::Timestamp;
use platform_spec::{
    Outcome, PlatformName, RunId, StepId,
    event::LedgerEntry,
    report::{Counts, RunStatus, StepReport, StepState},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A platform that something was done with.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PlatformRow {
    /// Its name.
    pub name: PlatformName,
    /// When it was first locked here.
    pub created_at: Timestamp,
    /// Its newest run.
    pub last_run: Option<RunId>,
    /// How many things the ledger says exist outside because of it.
    pub ledger: u64,
}

/// A run without its steps.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunRow {
    /// Its id.
    pub run: RunId,
    /// Whose.
    pub platform: PlatformName,
    /// `up`, `down`, …
    pub flow: String,
    /// Who asked for it: `user@host`.
    pub actor: String,
    /// Where it stands. `running` is what was last written; whether its process lives, the lease says.
    pub status: RunStatus,
    /// Sums over its steps.
    pub counts: Counts,
    /// How many events it has; the `seq` of the last.
    pub events: u64,
    /// Digest of the spec it was made from (hex SHA-256).
    pub spec_digest: String,
    /// Digest of its plan (hex SHA-256).
    pub plan_digest: String,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its last event was written.
    pub updated_at: Timestamp,
    /// When it ended, for one that will not be continued.
    pub ended_at: Option<Timestamp>,
    /// Who gave it up, and why.
    pub abandoned: Option<Abandoned>,
}

/// Who gave a run up, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Abandoned {
    /// Who: `user@host`.
    pub by: String,
    /// Why, in their words.
    pub because: String,
}

/// Where a step stands. The query in `read` gives the fields in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepRow {
    /// Which step.
    pub id: StepId,
    /// What a person reads.
    pub title: String,
    /// Where it stands.
    pub state: StepState,
    /// What it did, once it is done.
    pub outcome: Option<Outcome>,
    /// Attempts begun.
    pub attempts: u32,
    /// What it waits for, or why it failed or was skipped.
    pub note: Option<String>,
    /// When it was first started.
    pub started_at: Option<Timestamp>,
    /// When it settled.
    pub ended_at: Option<Timestamp>,
}

impl StepRow {
    /// The step as reports have it; `now` stands in for the end of one that goes on.
    pub fn report(&self, now: Timestamp) -> StepReport {
        StepReport {
            id: self.id.clone(),
            status: self.state,
            outcome: self.outcome,
            attempts: self.attempts,
            elapsed_ms: self
                .started_at
                .map_or(0, |from| platform_engine::clock::elapsed_ms(from, self.ended_at.unwrap_or(now))),
            note: self.note.clone(),
        }
    }
}

/// An entry of the ledger, and how it came there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LedgerRow {
    /// The entry.
    pub entry: LedgerEntry,
    /// Which run entered it.
    pub made_by: RunId,
    /// When.
    pub made_at: Timestamp,
    /// Which run last confirmed it.
    pub seen_by: RunId,
    /// When.
    pub seen_at: Timestamp,
}

/// Something a step set out to make, whose answer is not recorded: it may exist outside without being in the ledger.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IntentRow {
    /// Which run.
    pub run: RunId,
    /// Which step.
    pub step: StepId,
    /// Which attempt.
    pub attempt: u32,
    /// Client token.
    pub token: String,
    /// What was about to be made.
    pub intent: Value,
    /// What the outside works on, when it said so.
    pub operation: Option<Value>,
    /// When the intent was written.
    pub at: Timestamp,
}

/// A file that a run used or left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Unique within the run: `argocd/install.yaml`, `report.json`.
    pub name: String,
    /// What it is: `manifest`, `chart`, `report`, …
    pub kind: String,
    /// Digest of its content (hex SHA-256).
    pub sha256: String,
    /// Where it was found or put: a path or a URL without credentials.
    pub location: String,
}

/// An artifact as it was recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ArtifactRow {
    /// What.
    #[serde(flatten)]
    pub artifact: Artifact,
    /// When.
    pub at: Timestamp,
}
