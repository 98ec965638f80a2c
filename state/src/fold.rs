//! What a batch of events says of steps, intents, the ledger and the run.
//!
//! Pure, and folded to at most one change for each row, so that a batch of any size is a fixed number of statements.
//! What is said here of a step is what [`Status`](platform_engine::status::Status) and the board say of it; a property
//! test compares them over random histories.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use platform_spec::{
    Event, LedgerChange, Outcome, StepEvent,
    event::{LedgerEntry, Recorded},
    report::{RunStatus, StepState},
};
use serde_json::{Value, json};

use crate::{
    text::{json as text, time},
    trouble::Trouble,
};

/// What a batch changes beside the events themselves.
#[derive(Debug, Default)]
pub(crate) struct Fold<'a> {
    /// The run's status after it, when the batch says so.
    pub(crate) status: Option<RunStatus>,
    /// Who gave the run up and why.
    pub(crate) abandoned: Option<(&'a str, &'a str)>,
    steps: HashMap<&'a str, StepChange<'a>>,
    intents: HashMap<&'a str, IntentChange<'a>>,
    ledger: BTreeMap<&'a str, Option<Entered<'a>>>,
}

#[derive(Debug)]
struct StepChange<'a> {
    state: StepState,
    /// Attempts begun, when one was.
    attempts: Option<u32>,
    outcome: Option<Outcome>,
    note: Note<'a>,
    /// When it was started, for a step that had not been.
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
}

#[derive(Debug, Default)]
struct IntentChange<'a> {
    put: Option<(&'a Recorded, u32, &'a str, &'a Value)>,
    operation: Option<&'a Value>,
    settled: Option<Timestamp>,
}

#[derive(Debug)]
struct Entered<'a> {
    entry: &'a LedgerEntry,
    seq: u64,
    at: Timestamp,
}

/// What an event does to the words beside a step.
#[derive(Debug, PartialEq)]
enum Note<'a> {
    Keep,
    Clear,
    Say(&'a str),
    RejectedBy(&'a str),
}

/// Rows for SQL: each field a JSON array of rows, to be taken apart by `json_each`; `None` when there are none.
///
/// One statement for each: sqlx numbers parameters through all statements of a text, and leaves the last ones unbound
/// where a statement skips a number.
#[derive(Debug)]
pub(crate) struct Rows {
    /// `[step, state, attempts?, outcome?, keeps note, note?, started?, ended?]`.
    pub(crate) steps: String,
    /// How many of these.
    pub(crate) step_count: u64,
    /// `[step, seq, attempt, token, intent, at]`.
    pub(crate) intended: Option<String>,
    /// `[step, operation?, settled?]`.
    pub(crate) answered: Option<String>,
    /// `[key, kind, external_id, owned, detail, seq, at]`.
    pub(crate) put: Option<String>,
    /// `key`.
    pub(crate) dropped: Option<String>,
}

impl<'a> Fold<'a> {
    /// Folds a batch.
    pub(crate) fn of(events: &'a [Recorded]) -> Self {
        let mut fold = Self::default();
        for recorded in events {
            match &recorded.event {
                Event::RunCreated { .. } | Event::RunResumed { .. } => fold.status = Some(RunStatus::Running),
                Event::RunSucceeded => fold.status = Some(RunStatus::Succeeded),
                Event::RunFailed => fold.status = Some(RunStatus::Failed),
                Event::RunHeld => fold.status = Some(RunStatus::Held),
                Event::RunInterrupted => fold.status = Some(RunStatus::Interrupted),
                Event::RunAbandoned { by, because } => {
                    fold.status = Some(RunStatus::Abandoned);
                    fold.abandoned = Some((by, because));
                }
                Event::Step { step, event } => fold.step(recorded, step.as_str(), event),
                Event::Unknown => {}
            }
        }
        fold
    }

    fn step(&mut self, recorded: &'a Recorded, step: &'a str, event: &'a StepEvent) {
        let at = recorded.at;
        let change = self.steps.entry(step).or_insert(StepChange {
            state: StepState::Pending,
            attempts: None,
            outcome: None,
            note: Note::Keep,
            started: None,
            ended: None,
        });
        let (state, outcome, note) = after(event);
        change.state = state;
        change.outcome = outcome;
        if note != Note::Keep {
            change.note = note;
        }
        change.ended = is_settled(state).then_some(at);
        match event {
            StepEvent::Started { attempt, .. } => {
                change.attempts = Some(*attempt);
                change.started.get_or_insert(at);
            }
            StepEvent::Intended { attempt, token, intent } => {
                self.intents.insert(
                    step,
                    IntentChange {
                        put: Some((recorded, *attempt, token, intent)),
                        ..IntentChange::default()
                    },
                );
            }
            StepEvent::Waiting { operation, .. } => {
                self.intents.entry(step).or_default().operation = Some(operation);
            }
            StepEvent::Succeeded { ledger, .. } | StepEvent::Undone { ledger } => {
                self.intents.entry(step).or_default().settled = Some(at);
                for change in ledger {
                    match change {
                        LedgerChange::Put(entry) => {
                            self.ledger.insert(&entry.key, Some(Entered { entry, seq: recorded.seq, at }));
                        }
                        LedgerChange::Drop { key } => {
                            self.ledger.insert(key, None);
                        }
                    }
                }
            }
            StepEvent::GateOpened { .. }
            | StepEvent::GateDecided { .. }
            | StepEvent::Retrying { .. }
            | StepEvent::Failed { .. }
            | StepEvent::Skipped { .. }
            | StepEvent::InDoubt
            | StepEvent::Reopened
            | StepEvent::UndoStarted { .. }
            | StepEvent::Stuck { .. } => {}
        }
    }

    /// The changes as rows.
    pub(crate) fn rows(&self) -> Result<Rows, Trouble> {
        let steps: Vec<Value> = self
            .steps
            .iter()
            .map(|(step, change)| {
                let note = match change.note {
                    Note::Keep | Note::Clear => None,
                    Note::Say(words) => Some(words.to_owned()),
                    Note::RejectedBy(by) => Some(format!("rejected by {by}")),
                };
                json!([
                    step,
                    change.state,
                    change.attempts,
                    change.outcome,
                    change.note == Note::Keep,
                    note,
                    change.started.map(time),
                    change.ended.map(time),
                ])
            })
            .collect();
        let mut intended = Vec::new();
        let mut answered = Vec::new();
        for (step, change) in &self.intents {
            if let Some((recorded, attempt, token, intent)) = change.put {
                intended.push(json!([step, recorded.seq, attempt, token, text(intent)?, time(recorded.at)]));
            }
            if change.operation.is_some() || change.settled.is_some() {
                let operation = change.operation.map(text).transpose()?;
                answered.push(json!([step, operation, change.settled.map(time)]));
            }
        }
        let mut put = Vec::new();
        let mut dropped = Vec::new();
        for (key, change) in &self.ledger {
            match change {
                Some(Entered { entry, seq, at }) => put.push(json!([
                    key,
                    entry.kind,
                    entry.external_id,
                    u8::from(entry.owned),
                    text(&entry.detail)?,
                    seq,
                    time(*at),
                ])),
                None => dropped.push(json!(key)),
            }
        }
        Ok(Rows {
            step_count: steps.len() as u64,
            steps: text(&steps)?,
            intended: some(&intended)?,
            answered: some(&answered)?,
            put: some(&put)?,
            dropped: some(&dropped)?,
        })
    }
}

/// The rows as JSON, if there are any.
fn some(rows: &[Value]) -> Result<Option<String>, Trouble> {
    if rows.is_empty() { Ok(None) } else { text(&rows).map(Some) }
}

/// Where a step stands after an event, whatever stood before.
fn after(event: &StepEvent) -> (StepState, Option<Outcome>, Note<'_>) {
    use StepState as S;
    match event {
        StepEvent::Started { .. } => (S::Running, None, Note::Clear),
        StepEvent::Intended { .. } => (S::Running, None, Note::Keep),
        StepEvent::Waiting { waiting_for, .. } => (S::Waiting, None, Note::Say(waiting_for)),
        StepEvent::GateOpened { question, .. } => (S::Gated, None, Note::Say(question)),
        StepEvent::GateDecided { approved: true, .. } => (S::Pending, None, Note::Clear),
        StepEvent::GateDecided { approved: false, by } => (S::Failed, None, Note::RejectedBy(by)),
        StepEvent::Succeeded { outcome, .. } => (S::Succeeded, Some(*outcome), Note::Clear),
        StepEvent::Retrying { failure, .. } => (S::Retrying, None, Note::Say(&failure.message)),
        StepEvent::Failed { failure, .. } => (S::Failed, None, Note::Say(&failure.message)),
        StepEvent::Skipped { because } => (S::Skipped, Some(Outcome::Skipped), Note::Say(because)),
        StepEvent::InDoubt => (S::InDoubt, None, Note::Keep),
        StepEvent::Reopened => (S::Pending, None, Note::Clear),
        StepEvent::UndoStarted { .. } => (S::Undoing, None, Note::Keep),
        StepEvent::Undone { .. } => (S::Undone, None, Note::Keep),
        StepEvent::Stuck { failure } => (S::Stuck, None, Note::Say(&failure.message)),
    }
}

/// The states that have an end; the schema asks for the same ones.
fn is_settled(state: StepState) -> bool {
    matches!(
        state,
        StepState::Succeeded | StepState::Skipped | StepState::Failed | StepState::Undone | StepState::Stuck
    )
}
