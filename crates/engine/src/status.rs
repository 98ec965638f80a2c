//! Where a step and a run stand, and the one function for each that says what may follow what.
//!
//! Recovery is these functions folded over the journal. Every pair that is not listed is an error: a history that
//! cannot have happened is refused, not interpreted.

use jiff::Timestamp;
use platform_spec::{
    Event, Outcome, StepEvent,
    report::{RunStatus, StepState},
};

/// Where a step stands. `attempt` counts the attempts begun in this run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Not begun, or reopened after `attempts`.
    Pending {
        /// Attempts begun so far.
        attempts: u32,
    },
    /// Being worked on by this process.
    Running {
        /// Which attempt.
        attempt: u32,
    },
    /// Being worked on outside.
    Waiting {
        /// Which attempt.
        attempt: u32,
    },
    /// Waits for a person.
    Gated {
        /// Which attempt.
        attempt: u32,
    },
    /// An attempt failed; the next may begin at `not_before`.
    Retrying {
        /// The attempt that failed.
        attempt: u32,
        /// When the next may begin.
        not_before: Timestamp,
    },
    /// Whoever ran it is gone: look before anything else.
    InDoubt {
        /// The attempt that was cut off.
        attempt: u32,
    },
    /// Done.
    Succeeded {
        /// The attempt that did it.
        attempt: u32,
        /// Whether the world was changed for it.
        outcome: Outcome,
    },
    /// Not done, rightly.
    Skipped {
        /// Attempts begun so far.
        attempts: u32,
    },
    /// Failed for good in this run, until reopened.
    Failed {
        /// The last attempt.
        attempt: u32,
    },
    /// Being removed again.
    Undoing {
        /// Attempts to do the step.
        attempts: u32,
        /// Attempts to undo it.
        undo: u32,
    },
    /// Removed again.
    Undone {
        /// Attempts to do the step.
        attempts: u32,
    },
    /// Could not be removed again.
    Stuck {
        /// Attempts to do the step.
        attempts: u32,
        /// Attempts to undo it.
        undo: u32,
    },
}

/// A pair of status and event that cannot be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{event}` cannot follow `{was}`")]
pub struct Illegal {
    /// Where it stood.
    pub was: String,
    /// What is said to have happened.
    pub event: String,
}

impl Status {
    /// What may follow what.
    ///
    /// # Errors
    /// Every pair that is not listed.
    pub fn next(self, event: &StepEvent) -> Result<Self, Illegal> {
        use Status as S;
        use StepEvent as E;
        Ok(match (self, event) {
            (S::Pending { attempts }, E::Started { attempt, .. }) if *attempt == attempts + 1 => {
                S::Running { attempt: *attempt }
            }
            (
                S::Retrying { attempt: last, .. } | S::InDoubt { attempt: last },
                E::Started { attempt, .. },
            ) if *attempt == last + 1 => S::Running { attempt: *attempt },

            // A look at something waited for may find that it has to act again.
            (S::Running { attempt: a } | S::Waiting { attempt: a }, E::Intended { attempt, .. })
                if a == *attempt =>
            {
                S::Running { attempt: a }
            }
            (S::Running { attempt: a } | S::Waiting { attempt: a }, E::Waiting { attempt, .. })
                if a == *attempt =>
            {
                S::Waiting { attempt: a }
            }
            (S::Running { attempt: a }, E::GateOpened { attempt, .. }) if a == *attempt => {
                S::Gated { attempt: a }
            }
            (
                S::Running { attempt: a } | S::Waiting { attempt: a },
                E::Succeeded { attempt, outcome, .. },
            ) if a == *attempt => S::Succeeded { attempt: a, outcome: *outcome },
            (
                S::Running { attempt: a } | S::Waiting { attempt: a },
                E::Retrying { attempt, not_before, .. },
            ) if a == *attempt => S::Retrying { attempt: a, not_before: *not_before },
            (S::Running { attempt: a } | S::Waiting { attempt: a }, E::Failed { attempt, .. })
                if a == *attempt =>
            {
                S::Failed { attempt: a }
            }
            (S::Running { attempt }, E::InDoubt) => S::InDoubt { attempt },

            (S::Gated { attempt }, E::GateDecided { approved: true, .. }) => S::Pending { attempts: attempt },
            (S::Gated { attempt }, E::GateDecided { approved: false, .. }) => S::Failed { attempt },

            (S::Pending { attempts }, E::Skipped { .. }) => S::Skipped { attempts },
            (S::Failed { attempt: attempts } | S::Skipped { attempts }, E::Reopened) => {
                S::Pending { attempts }
            }

            (
                S::Succeeded { attempt: attempts, .. }
                | S::Failed { attempt: attempts }
                | S::Waiting { attempt: attempts }
                | S::InDoubt { attempt: attempts }
                | S::Retrying { attempt: attempts, .. },
                E::UndoStarted { attempt: 1 },
            ) => S::Undoing { attempts, undo: 1 },
            (S::Undoing { attempts, undo } | S::Stuck { attempts, undo }, E::UndoStarted { attempt })
                if *attempt == undo + 1 =>
            {
                S::Undoing { attempts, undo: *attempt }
            }
            (S::Undoing { attempts, .. }, E::Undone { .. }) => S::Undone { attempts },
            (S::Undoing { attempts, undo }, E::Stuck { .. }) => S::Stuck { attempts, undo },

            (was, event) => {
                return Err(Illegal { was: format!("{was:?}"), event: short(event) });
            }
        })
    }

    /// Nothing more will happen to it unless somebody reopens or undoes it.
    pub fn is_settled(self) -> bool {
        matches!(
            self,
            Self::Succeeded { .. }
                | Self::Skipped { .. }
                | Self::Failed { .. }
                | Self::Undone { .. }
                | Self::Stuck { .. }
        )
    }

    /// Attempts begun so far.
    pub fn attempts(self) -> u32 {
        match self {
            Self::Pending { attempts }
            | Self::Skipped { attempts }
            | Self::Undoing { attempts, .. }
            | Self::Undone { attempts }
            | Self::Stuck { attempts, .. } => attempts,
            Self::Running { attempt }
            | Self::Waiting { attempt }
            | Self::Gated { attempt }
            | Self::Retrying { attempt, .. }
            | Self::InDoubt { attempt }
            | Self::Succeeded { attempt, .. }
            | Self::Failed { attempt } => attempt,
        }
    }

    /// The word people and scripts see.
    pub fn state(self) -> StepState {
        match self {
            Self::Pending { .. } => StepState::Pending,
            Self::Running { .. } => StepState::Running,
            Self::Waiting { .. } => StepState::Waiting,
            Self::Gated { .. } => StepState::Gated,
            Self::Retrying { .. } => StepState::Retrying,
            Self::InDoubt { .. } => StepState::InDoubt,
            Self::Succeeded { .. } => StepState::Succeeded,
            Self::Skipped { .. } => StepState::Skipped,
            Self::Failed { .. } => StepState::Failed,
            Self::Undoing { .. } => StepState::Undoing,
            Self::Undone { .. } => StepState::Undone,
            Self::Stuck { .. } => StepState::Stuck,
        }
    }
}

/// What may follow what, for a run. `None` is a run that does not exist yet.
///
/// # Errors
/// Every pair that is not listed, and any event of a newer program: such a run can be shown, not continued.
pub fn next_run(was: Option<RunStatus>, event: &Event) -> Result<RunStatus, Illegal> {
    use RunStatus as R;
    Ok(match (was, event) {
        (None, Event::RunCreated { .. }) => R::Running,
        (Some(R::Running | R::Held | R::Interrupted), Event::RunResumed { .. }) => R::Running,
        (Some(R::Running), Event::Step { .. }) => R::Running,
        // A person may decide a gate while nobody carries the run out.
        (
            Some(was @ (R::Held | R::Interrupted)),
            Event::Step { event: StepEvent::GateDecided { .. }, .. },
        ) => was,
        (Some(R::Running), Event::RunSucceeded) => R::Succeeded,
        (Some(R::Running), Event::RunFailed) => R::Failed,
        (Some(R::Running), Event::RunHeld) => R::Held,
        (Some(R::Running), Event::RunInterrupted) => R::Interrupted,
        (Some(R::Running | R::Held | R::Interrupted), Event::RunAbandoned { .. }) => R::Abandoned,
        (was, event) => {
            return Err(Illegal {
                was: was.map_or_else(|| "no run".into(), |was| was.as_str().into()),
                event: match event {
                    Event::Step { event, .. } => short(event),
                    other => tag(other, "type"),
                },
            });
        }
    })
}

fn short(event: &StepEvent) -> String {
    tag(event, "what")
}

fn tag(event: &impl serde::Serialize, field: &str) -> String {
    serde_json::to_value(event)
        .ok()
        .and_then(|value| value.get(field).and_then(|tag| tag.as_str().map(str::to_owned)))
        .unwrap_or_else(|| "unknown".into())
}
