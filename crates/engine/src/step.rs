//! What a step is.
//!
//! A step brings the world to a state; it is not a command. The engine always looks first ([`Step::observe`]),
//! writes down what it is about to do ([`Step::intent`]), and only then acts ([`Step::ensure`]). That order is kept
//! here and nowhere else, so no step can forget it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use platform_spec::{Failure, LedgerChange, RunId, StepId};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

/// What brings one kind of thing about. Registered under a name and a version in a [`Registry`].
#[async_trait]
pub trait Step: Send + Sync + 'static {
    /// Looks at the world and changes nothing.
    ///
    /// Called before every effect, at every look while waiting, and first of all after a crash. `call.memory` holds
    /// the intent and the operation that this run has recorded for the step, if any.
    ///
    /// # Errors
    /// A failure whose class says whether to look again.
    async fn observe(&self, call: &Call) -> Result<Observed, Failure>;

    /// What [`Step::ensure`] is about to do, for the journal: deterministic names, the operation. No secrets.
    ///
    /// `None` says that `ensure` has no effect outside this process, so that nothing needs to be durable before it.
    fn intent(&self, call: &Call) -> Option<Value>;

    /// Acts, after `observe` said [`Observed::Absent`] or [`Observed::Differs`] and the intent is durable.
    ///
    /// # Guarantees
    /// Called twice with the same token, the second call makes no second object. Never blocks on a long operation:
    /// it returns [`Progress::InProgress`] and the engine looks again by `observe`.
    ///
    /// # Errors
    /// A failure whose class decides about retrying.
    async fn ensure(&self, call: &Call) -> Result<Progress, Failure>;

    /// Removes again what `ensure` made (policy Unwind). The default has nothing to remove.
    ///
    /// # Errors
    /// A failure whose class decides about retrying.
    async fn undo(&self, _call: &Call, _output: &Value) -> Result<Vec<LedgerChange>, Failure> {
        Ok(Vec::new())
    }
}

/// What a step is given at each call.
#[derive(Clone, Debug)]
pub struct Call {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepId,
    /// Which attempt, from 1; steps of class R3 rotate their zone by it.
    pub attempt: u32,
    /// The lease's epoch: an outside that can check it refuses calls of an older holder.
    pub epoch: u64,
    /// The input with all references filled in.
    pub input: Value,
    /// Client token: the same for every try that must not make a second object.
    pub token: String,
    /// What this run has recorded for the step.
    pub memory: Memory,
    /// Set when the process is asked to stop; long local work should end early.
    pub cancel: CancellationToken,
}

/// What a run has recorded for a step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// The last intent, if one was written: from then on the thing may exist because of us.
    pub intent: Option<Value>,
    /// The last operation the outside works on (`null` when none).
    pub operation: Value,
    /// Whether the process that wrote the intent was lost before its result was written.
    pub in_doubt: bool,
    /// Who approved the gate of this step, once somebody did.
    pub approved_by: Option<String>,
}

/// What looking found.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// Not there.
    Absent,
    /// There, and as asked.
    Matches {
        /// What later steps may use.
        output: Value,
        /// What the ledger should say.
        ledger: Vec<LedgerChange>,
    },
    /// There, and not as asked; `ensure` will change it.
    Differs {
        /// What differs, in words.
        how: String,
    },
    /// On its way.
    InProgress(Wait),
    /// A person must decide (retry class R4).
    Gate {
        /// What is asked.
        question: String,
    },
    /// Does not apply here.
    NotApplicable {
        /// Why, in words.
        because: String,
    },
}

/// What acting achieved.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// Done.
    Done {
        /// What later steps may use.
        output: Value,
        /// What the ledger should say.
        ledger: Vec<LedgerChange>,
    },
    /// Begun; look again later.
    InProgress(Wait),
}

/// Something the outside works on.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// What for, in words.
    pub waiting_for: String,
    /// What is needed to ask again, also after a restart.
    pub operation: Value,
    /// When to look again.
    pub look_after: Duration,
}

/// The steps a program knows, by name and version.
#[derive(Clone, Default)]
pub struct Registry {
    steps: BTreeMap<(String, u32), Arc<dyn Step>>,
}

impl Registry {
    /// Adds one; a second one under the same name and version replaces it.
    #[must_use]
    pub fn with(mut self, name: &str, version: u32, step: impl Step) -> Self {
        self.steps.insert((name.to_owned(), version), Arc::new(step));
        self
    }

    /// Finds one.
    pub fn get(&self, name: &str, version: u32) -> Option<Arc<dyn Step>> {
        self.steps.get(&(name.to_owned(), version)).cloned()
    }
}
