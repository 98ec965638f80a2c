//! The immutable graph of steps.

use platform_spec::{PlatformName, StepId, event::LedgerEntry};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a flow wants done. Once stored it is never changed; a changed wish is a new plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// `up`, `down`, …
    pub flow: String,
    /// Whose.
    pub platform: PlatformName,
    /// What to do when a step fails for good.
    pub policy: Policy,
    /// Digest of the spec it was made from (hex SHA-256).
    pub spec_digest: String,
    /// Digest of the ledger it was made from; a plan whose ledger has moved on is refused.
    pub state_digest: String,
    /// The steps, in the order a person would read them.
    pub steps: Vec<PlannedStep>,
}

/// What to do when a step fails for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Start nothing new, keep what was made, stay resumable.
    Hold,
    /// Undo what was made, last first.
    Unwind,
    /// Go on with everything that does not need the failed step; report the rest.
    Forward,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// Unique in the plan.
    pub id: StepId,
    /// What a person reads: `install Argo CD 3.5.7`.
    pub title: String,
    /// Which registered step carries it out: `argocd.install`.
    pub uses: String,
    /// Version of that step's meaning; a registry that does not know it refuses the plan.
    pub version: u32,
    /// Its input; `{"$from": STEP, "path": JSON-POINTER}` anywhere in it names an output of an earlier step.
    pub input: Value,
    /// Steps that must be done before.
    pub needs: Vec<StepId>,
    /// How failures are met.
    pub retry: Retry,
    /// How long the whole step may take from its first start in this run, waiting included, in milliseconds.
    pub deadline_ms: u64,
    /// How long one call into the step may take, in milliseconds.
    pub attempt_timeout_ms: u64,
    /// What it takes a share of: `provider:aws`, `account:123`. Limits are set when the run starts.
    #[serde(default)]
    pub shares: Vec<String>,
    /// How long it usually takes, in milliseconds; for estimates only.
    #[serde(default)]
    pub typical_ms: u64,
}

/// How failures of a step are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Retry {
    /// None: it is deterministic.
    R0,
    /// Transient trouble: 2 s doubling to 60 s with jitter, six attempts.
    R1,
    /// Converge: an operation once begun is polled until the deadline and never begun again.
    R2,
    /// Capacity: 1 min doubling to 15 min until the deadline (24 h by default), then held. The attempt number lets the
    /// step rotate its zone.
    R3,
    /// A person decides.
    R4,
    /// Destructive: each attempt looks anew, and needs the run's confirmation.
    R5,
}

/// Digest of a ledger (hex SHA-256): what [`Plan::state_digest`] is compared with. Order does not matter.
pub fn ledger_digest<'a>(entries: impl IntoIterator<Item = &'a LedgerEntry>) -> String {
    let mut lines: Vec<String> = entries
        .into_iter()
        .map(|e| format!("{}\u{1f}{}\u{1f}{}\u{1f}{}\n", e.key, e.kind, e.external_id, e.owned))
        .collect();
    lines.sort_unstable();
    let mut hasher = Sha256::new();
    for line in &lines {
        hasher.update(line.as_bytes());
    }
    hex::encode(hasher.finalize())
}
