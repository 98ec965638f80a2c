//! One call into a step: look, write down, act. Everything a call reports goes to the loop; nothing is decided here.

use std::{future::Future, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures::FutureExt;
use platform_spec::{Class, Code, Failure, LedgerChange, Outcome};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::{Clock, add},
    plan::Retry,
    retry::R1_ATTEMPTS,
    step::{Call, Observed, Progress, Step, Wait},
};

/// What a call tells the loop.
#[derive(Debug)]
pub(crate) enum Message {
    /// It is about to act; it waits until that is durable.
    Intends { at: usize, intent: Value, durable: oneshot::Sender<()> },
    /// It has ended.
    Ended { at: usize, end: End },
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum End {
    Succeeded {
        outcome: Outcome,
        output: Value,
        ledger: Vec<LedgerChange>,
    },
    Waiting(Wait),
    Gate {
        question: String,
    },
    Failed(Failure),
    Undone(Vec<LedgerChange>),
    Stuck(Failure),
    /// The loop is gone, or has stopped listening: nothing to tell.
    Dropped,
}

/// What a call needs besides its step.
pub(crate) struct Errand {
    pub at: usize,
    pub step: Arc<dyn Step>,
    pub call: Call,
    pub retry: Retry,
    /// For one call into the step.
    pub timeout: Duration,
    pub tell: mpsc::Sender<Message>,
}

/// How long to wait for something that was begun and cannot be seen yet: reads of many clouds lag behind writes.
const LAG: Duration = Duration::from_secs(5);

impl Errand {
    /// Looks, and acts if need be.
    pub async fn run(self) {
        let end = self.guarded(self.attempt()).await;
        self.report(end).await;
    }

    /// Only looks: the step waits for something.
    pub async fn look(self) {
        let end = self.guarded(self.look_once()).await;
        self.report(end).await;
    }

    /// Removes again what the step made, with patience for transient trouble.
    pub async fn undo(self, output: Value, clock: Arc<dyn Clock>) {
        let end = self.guarded(self.undo_patiently(&output, clock.as_ref())).await;
        let end = match end {
            End::Failed(failure) => End::Stuck(failure),
            other => other,
        };
        self.report(end).await;
    }

    async fn report(&self, end: End) {
        // The loop is gone only when the whole run was dropped; then nobody is left to tell.
        let _ = self.tell.send(Message::Ended { at: self.at, end }).await;
    }

    /// A step that panics is a failed step, not a dead program.
    async fn guarded(&self, work: impl Future<Output = End>) -> End {
        match AssertUnwindSafe(work).catch_unwind().await {
            Ok(end) => end,
            Err(panic) => {
                let words = panic
                    .downcast_ref::<&str>()
                    .map(|text| (*text).to_owned())
                    .or_else(|| panic.downcast_ref::<String>().cloned())
                    .unwrap_or_else(|| "no message".into());
                End::Failed(
                    Failure::new(
                        Code::new("P0703"),
                        Class::Bug,
                        format!("step `{}` panicked", self.call.step),
                    )
                    .because(words)
                    .hint("this is a defect of the program; `platform resume` tries the step again"),
                )
            }
        }
    }

    async fn attempt(&self) -> End {
        match self.timed("looking", self.step.observe(&self.call)).await {
            Ok(Observed::Absent) if self.begun_and_never_again() => End::Waiting(Wait {
                waiting_for: format!("what `{}` began to appear", self.call.step),
                operation: self.call.memory.operation.clone(),
                look_after: LAG,
            }),
            Ok(Observed::Absent | Observed::Differs { .. }) => self.act().await,
            other => self.seen(other),
        }
    }

    async fn look_once(&self) -> End {
        match self.timed("looking", self.step.observe(&self.call)).await {
            Ok(Observed::Absent | Observed::Differs { .. }) if self.begun_and_never_again() => {
                End::Waiting(Wait {
                    waiting_for: format!("what `{}` began to appear", self.call.step),
                    operation: self.call.memory.operation.clone(),
                    look_after: LAG,
                })
            }
            Ok(Observed::Absent | Observed::Differs { .. }) => self.act().await,
            other => self.seen(other),
        }
    }

    /// Class R2: an operation once begun is polled until the deadline and never begun again.
    fn begun_and_never_again(&self) -> bool {
        self.retry == Retry::R2 && !self.call.memory.operation.is_null()
    }

    fn seen(&self, seen: Result<Observed, Failure>) -> End {
        match seen {
            Ok(Observed::Matches { output, ledger }) => {
                // Once this run has written an intent, what is there is there because of us.
                let ours = self.call.memory.intent.is_some();
                let outcome = if ours { Outcome::Changed } else { Outcome::Unchanged };
                End::Succeeded { outcome, output, ledger }
            }
            Ok(Observed::InProgress(wait)) => End::Waiting(wait),
            Ok(Observed::Gate { question }) => End::Gate { question },
            Ok(Observed::NotApplicable { because }) => End::Succeeded {
                outcome: Outcome::Skipped,
                output: serde_json::json!({ "skipped": because }),
                ledger: Vec::new(),
            },
            Ok(Observed::Absent | Observed::Differs { .. }) => End::Dropped,
            Err(failure) => End::Failed(failure),
        }
    }

    async fn act(&self) -> End {
        let mut outcome = Outcome::Unchanged;
        if let Some(intent) = self.step.intent(&self.call) {
            outcome = Outcome::Changed;
            let (durable, written) = oneshot::channel();
            if self.tell.send(Message::Intends { at: self.at, intent, durable }).await.is_err()
                || written.await.is_err()
            {
                return End::Dropped;
            }
        }
        match self.timed("acting", self.step.ensure(&self.call)).await {
            Ok(Progress::Done { output, ledger }) => End::Succeeded { outcome, output, ledger },
            Ok(Progress::InProgress(wait)) => End::Waiting(wait),
            Err(failure) => End::Failed(failure),
        }
    }

    async fn undo_patiently(&self, output: &Value, clock: &dyn Clock) -> End {
        let mut wait = Duration::from_secs(2);
        for tries_left in (0..R1_ATTEMPTS).rev() {
            match self.timed("undoing", self.step.undo(&self.call, output)).await {
                Ok(ledger) => return End::Undone(ledger),
                Err(failure)
                    if tries_left > 0
                        && matches!(
                            failure.class,
                            Class::Retryable
                                | Class::Throttled
                                | Class::ConflictInProgress
                                | Class::DependencyViolation
                        ) =>
                {
                    let asked = Duration::from_millis(failure.retry_after_ms.unwrap_or(0));
                    clock.sleep_until(add(clock.now(), wait.max(asked))).await;
                    wait = (wait * 2).min(Duration::from_secs(60));
                }
                Err(failure) => return End::Stuck(failure),
            }
        }
        End::Dropped
    }

    async fn timed<T>(
        &self,
        deed: &str,
        call: impl Future<Output = Result<T, Failure>> + Send,
    ) -> Result<T, Failure> {
        let limit = self.timeout;
        let result = match tokio::time::timeout(limit, call).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(
                Code::new("P0704"),
                Class::Retryable,
                format!("step `{}` gave no answer within {limit:?} while {deed}", self.call.step),
            )),
        };
        result.map_err(|mut failure| {
            failure.step.get_or_insert_with(|| self.call.step.clone());
            failure
        })
    }
}
