//! The closed set of things that can happen to a run. The journal is a list of these, and every screen is a reading
//! of that list.
//!
//! The set is closed for writers. A reader from last year meets tomorrow's event as [`Event::Unknown`]; it may show
//! such a run, and must not continue it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Failure, StepId};

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The run exists; its plan is stored beside it. Always the first event.
    RunCreated {
        /// Digest of the stored plan (hex SHA-256).
        plan_digest: String,
        /// Who asked for it: `user@host`.
        actor: String,
    },
    /// Another process has taken the run over, after a crash, an interruption or a hold.
    RunResumed {
        /// Who resumed it: `user@host`.
        actor: String,
    },
    /// Something happened to one step.
    Step {
        /// Which step.
        step: StepId,
        /// What happened to it.
        #[serde(flatten)]
        event: StepEvent,
    },
    /// Every step that should be done is done.
    RunSucceeded,
    /// The run cannot succeed any more, and nothing is left to do (policies Unwind and Forward).
    RunFailed,
    /// A step failed, or a person is needed; what was made stays, and `resume` continues (policy Hold).
    RunHeld,
    /// A person or a signal stopped it; `resume` continues.
    RunInterrupted,
    /// A person gave it up.
    RunAbandoned {
        /// Who: `user@host`.
        by: String,
        /// Why, in their words.
        because: String,
    },
    /// Written by a newer program.
    #[serde(other)]
    Unknown,
}

/// Something that happened to one step. `attempt` counts from 1 within the run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum StepEvent {
    /// An attempt begins: first by looking at the world.
    Started {
        /// Which attempt.
        attempt: u32,
        /// The input with every reference to earlier outputs filled in; written only when it differs from the plan's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Value>,
    },
    /// Written before a side effect, so that a crash after it leaves a question and not a duplicate.
    Intended {
        /// Which attempt.
        attempt: u32,
        /// Client token: the same for every try that must not make a second object.
        token: String,
        /// What is about to be made: deterministic names, the operation. No secrets.
        intent: Value,
    },
    /// The outside works on it; nobody here is occupied with it.
    Waiting {
        /// Which attempt.
        attempt: u32,
        /// What for, in words: shown on the line of the step, and in the timeout.
        waiting_for: String,
        /// What is needed to ask again, also after a restart (an operation id, a URL).
        #[serde(default)]
        operation: Value,
    },
    /// A person must decide (retry class R4).
    GateOpened {
        /// Which attempt.
        attempt: u32,
        /// What is asked.
        question: String,
    },
    /// A person has decided.
    GateDecided {
        /// Go on, or not.
        approved: bool,
        /// Who: `user@host`.
        by: String,
    },
    /// Done.
    Succeeded {
        /// Which attempt.
        attempt: u32,
        /// Whether the world was changed for it.
        outcome: Outcome,
        /// What later steps may use. No secrets.
        #[serde(default)]
        output: Value,
        /// What changed in the list of things that exist outside; applied in the same transaction as this event.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ledger: Vec<LedgerChange>,
    },
    /// An attempt failed and another will follow.
    Retrying {
        /// The attempt that failed.
        attempt: u32,
        /// Why it failed.
        failure: Failure,
        /// When the next one may begin.
        not_before: Timestamp,
    },
    /// The step failed for good in this run, until somebody resumes it.
    Failed {
        /// The last attempt.
        attempt: u32,
        /// Why.
        failure: Failure,
    },
    /// Not done, and rightly so: something it needs failed (policy Forward), or it does not apply.
    Skipped {
        /// Why, in words.
        because: String,
    },
    /// The process that ran it is gone, or was stopped; what it did is to be looked up before anything else.
    InDoubt,
    /// A resumed run tries a failed, skipped or undone step again.
    Reopened,
    /// What it made is about to be removed again (policy Unwind).
    UndoStarted {
        /// Which attempt at undoing.
        attempt: u32,
    },
    /// What it made is gone.
    Undone {
        /// What changed in the list of things that exist outside.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ledger: Vec<LedgerChange>,
    },
    /// Undoing failed for good: a person must look.
    Stuck {
        /// Why.
        failure: Failure,
    },
}

/// What a finished step did to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was not so before.
    Changed,
    /// It was already so.
    Unchanged,
    /// It does not apply.
    Skipped,
}

/// A change to the ledger: the list of things outside that exist because of us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ledger", rename_all = "snake_case")]
pub enum LedgerChange {
    /// It exists now (or still), and it is ours or adopted.
    Put(LedgerEntry),
    /// It is gone, or no longer ours to care for.
    Drop {
        /// The entry's key.
        key: String,
    },
}

/// One thing outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// Unique within the platform: `<cluster or zone or repository>/<resource>`.
    pub key: String,
    /// What it is: `cluster`, `application`, `dns_record`, `repository`, …
    pub kind: String,
    /// The other side's own name for it.
    pub external_id: String,
    /// Whether `down` removes it, or only lets it go.
    pub owned: bool,
    /// Anything a person or the inventory wants to know. No secrets.
    #[serde(default)]
    pub detail: Value,
}

/// An event at its place in a run's history, chained to the one before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Place in the run, from 1 without gaps.
    pub seq: u64,
    /// When it was written; never earlier than the event before.
    pub at: Timestamp,
    /// What happened.
    pub event: Event,
    /// Hex SHA-256 over the previous hash, `seq`, `at` and the event's JSON.
    pub hash: String,
}
