//! A run, read from its events: what every screen and every report shows.
//!
//! Pure: the same events give the same reading, whether they come live from the engine or from last year's journal.

use std::collections::BTreeMap;

use jiff::Timestamp;
use platform_spec::{
    Class, Code, Event, Failure, Outcome, PlatformName, RunId, StepEvent, StepId,
    event::Recorded,
    report::{Counts, Finding, Orphan, RUN_SCHEMA, RunReport, RunStatus, StepReport, StepState},
};

/// A run as far as its events have been read.
#[derive(Clone, Debug)]
pub struct Reading {
    run: RunId,
    flow: String,
    platform: Option<PlatformName>,
    status: RunStatus,
    order: Vec<StepId>,
    steps: BTreeMap<StepId, Line>,
    began: Option<Timestamp>,
    actor: Option<String>,
    last: Option<Timestamp>,
    orphans: Vec<Orphan>,
    findings: Vec<Finding>,
}

/// One step as far as its events have been read.
#[derive(Clone, Debug, Default)]
struct Line {
    title: String,
    status: Option<StepState>,
    outcome: Option<Outcome>,
    attempts: u32,
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
    note: Option<String>,
    failure: Option<Failure>,
}

impl Reading {
    /// A run of which no event has been read; `steps` in the plan's order with their titles.
    pub fn new(
        run: RunId,
        flow: impl Into<String>,
        platform: Option<PlatformName>,
        steps: impl IntoIterator<Item = (StepId, String)>,
    ) -> Self {
        let mut order = Vec::new();
        let mut lines = BTreeMap::new();
        for (id, title) in steps {
            order.push(id.clone());
            lines.insert(id, Line { title, ..Line::default() });
        }
        Self {
            run,
            flow: flow.into(),
            platform,
            status: RunStatus::Running,
            order,
            steps: lines,
            began: None,
            actor: None,
            last: None,
            orphans: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Takes it as read that a step stands where a resumed run left it.
    pub fn already(&mut self, step: &StepId, status: StepState) {
        if let Some(line) = self.steps.get_mut(step) {
            line.status = Some(status);
        }
    }

    /// Reads one more event. Events of a newer program, and of steps that the plan does not have, change nothing.
    pub fn apply(&mut self, recorded: &Recorded) {
        let at = recorded.at;
        self.began.get_or_insert(at);
        self.last = Some(at);
        match &recorded.event {
            Event::RunCreated { actor, .. } => {
                self.actor = Some(actor.clone());
                self.status = RunStatus::Running;
            }
            Event::RunResumed { .. } => self.status = RunStatus::Running,
            Event::RunSucceeded => self.status = RunStatus::Succeeded,
            Event::RunFailed => self.status = RunStatus::Failed,
            Event::RunHeld => self.status = RunStatus::Held,
            Event::RunInterrupted => self.status = RunStatus::Interrupted,
            Event::RunAbandoned { .. } => self.status = RunStatus::Abandoned,
            Event::Step { step, event } => {
                if let StepEvent::Succeeded { output, .. } = event {
                    self.take_remarks(output);
                }
                if let Some(line) = self.steps.get_mut(step) {
                    line.apply(step, event, at);
                }
            }
            Event::Unknown => {}
        }
    }

    /// The lists `orphans` and `findings` in the output of a step belong to the report of its run.
    fn take_remarks(&mut self, output: &serde_json::Value) {
        fn list<T: serde::de::DeserializeOwned>(output: &serde_json::Value, key: &str) -> Vec<T> {
            let items = output.get(key).and_then(serde_json::Value::as_array).cloned().unwrap_or_default();
            items.into_iter().filter_map(|item| serde_json::from_value(item).ok()).collect()
        }
        self.orphans.extend(list(output, "orphans"));
        self.findings.extend(list(output, "findings"));
    }

    /// Which run.
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// Where the run stands, by its events alone.
    pub fn status(&self) -> RunStatus {
        self.status
    }

    /// The title of a step; empty when the plan does not have it.
    pub fn title(&self, step: &StepId) -> &str {
        self.steps.get(step).map_or("", |line| &line.title)
    }

    /// One step; `now` ends the time of one that has not ended. `None` when the plan does not have it.
    pub fn step(&self, id: &StepId, now: Timestamp) -> Option<StepReport> {
        let line = self.steps.get(id)?;
        let elapsed = line.began.map_or(0, |began| millis(began, line.ended.unwrap_or(now)));
        Some(StepReport {
            id: id.clone(),
            status: line.status.unwrap_or(StepState::Pending),
            outcome: line.outcome,
            attempts: line.attempts,
            elapsed_ms: elapsed,
            note: line.note.clone(),
        })
    }

    /// The whole run; `now` ends the time of what has not ended.
    ///
    /// A run that its events leave running is reported as [`RunStatus::Interrupted`] unless `alive`: whoever carried
    /// it out is gone.
    pub fn report(&self, now: Timestamp, alive: bool) -> RunReport {
        let status = match self.status {
            RunStatus::Running if !alive => RunStatus::Interrupted,
            status => status,
        };
        let end = if status == RunStatus::Running { Some(now) } else { self.last };
        let steps: Vec<StepReport> =
            self.order.iter().filter_map(|id| self.step(id, end.unwrap_or(now))).collect();
        RunReport {
            schema: RUN_SCHEMA.to_owned(),
            run: Some(self.run.clone()),
            flow: self.flow.clone(),
            platform: self.platform.clone(),
            status,
            began_at: self.began,
            actor: self.actor.clone(),
            spec_digest: None,
            counts: count(&steps),
            steps,
            orphans: self.orphans.clone(),
            findings: self.findings.clone(),
            elapsed_ms: self.began.zip(end).map_or(0, |(began, end)| millis(began, end)),
            error: if status == RunStatus::Succeeded { None } else { self.first_failure() },
        }
    }

    /// The earliest failure that still stands: later ones are often its consequences.
    fn first_failure(&self) -> Option<Failure> {
        self.steps
            .values()
            .filter_map(|line| Some((line.ended, line.failure.clone()?)))
            .min_by_key(|(ended, _)| *ended)
            .map(|(_, failure)| failure)
    }
}

impl Line {
    fn apply(&mut self, step: &StepId, event: &StepEvent, at: Timestamp) {
        use StepState as S;
        let (status, note) = match event {
            StepEvent::Started { attempt, .. } => {
                self.attempts = *attempt;
                self.began.get_or_insert(at);
                (S::Running, None)
            }
            // From here on a call is in flight, also after a look at a step that waited.
            StepEvent::Intended { .. } => (S::Running, self.note.take()),
            StepEvent::Waiting { waiting_for, .. } => (S::Waiting, Some(waiting_for.clone())),
            StepEvent::GateOpened { question, .. } => (S::Gated, Some(question.clone())),
            StepEvent::GateDecided { approved: true, .. } => (S::Pending, None),
            StepEvent::GateDecided { approved: false, by } => (S::Failed, Some(format!("rejected by {by}"))),
            StepEvent::Succeeded { outcome, .. } => {
                self.outcome = Some(*outcome);
                (S::Succeeded, None)
            }
            StepEvent::Retrying { failure, .. } => (S::Retrying, Some(in_short(failure))),
            StepEvent::Failed { failure, .. } => (S::Failed, Some(in_short(failure))),
            StepEvent::Skipped { because } => {
                self.outcome = Some(Outcome::Skipped);
                (S::Skipped, Some(because.clone()))
            }
            StepEvent::InDoubt => (S::InDoubt, None),
            StepEvent::Reopened => (S::Pending, None),
            StepEvent::UndoStarted { .. } => (S::Undoing, None),
            StepEvent::Undone { .. } => (S::Undone, None),
            StepEvent::Stuck { failure } => (S::Stuck, Some(in_short(failure))),
        };
        self.failure = match event {
            StepEvent::Failed { failure, .. } | StepEvent::Stuck { failure } => {
                Some(Failure { step: Some(step.clone()), ..failure.clone() })
            }
            StepEvent::GateDecided { approved: false, by } => Some(rejected(step, by)),
            // A step that is undone after its failure has still failed.
            StepEvent::UndoStarted { .. } | StepEvent::Undone { .. } => self.failure.take(),
            _ => None,
        };
        if matches!(event, StepEvent::Reopened) {
            self.outcome = None;
        }
        self.ended =
            matches!(status, S::Succeeded | S::Skipped | S::Failed | S::Undone | S::Stuck).then_some(at);
        self.status = Some(status);
        self.note = note;
    }
}

fn rejected(step: &StepId, by: &str) -> Failure {
    let failure = Failure::new(Code::new("P0708"), Class::Config, format!("step `{step}` may not go on"))
        .because(format!("{by} said no"))
        .hint("if the answer stands, give the run up with `platform run abandon`");
    Failure { step: Some(step.clone()), ..failure }
}

/// A failure in one line: what was done, and the last cause, which holds the original words.
fn in_short(failure: &Failure) -> String {
    match failure.causes.last() {
        Some(cause) => format!("{}: {cause}", failure.message),
        None => failure.message.clone(),
    }
}

fn count(steps: &[StepReport]) -> Counts {
    let mut counts = Counts::default();
    for step in steps {
        let sum = match (step.status, step.outcome) {
            (StepState::Skipped, _) | (StepState::Succeeded, Some(Outcome::Skipped)) => &mut counts.skipped,
            (StepState::Succeeded, Some(Outcome::Unchanged)) => &mut counts.unchanged,
            (StepState::Succeeded, _) => &mut counts.changed,
            (StepState::Failed | StepState::Stuck, _) => &mut counts.failed,
            _ => &mut counts.pending,
        };
        *sum += 1;
    }
    counts
}

/// From one moment to a later one; 0 when the clock jumped back in between.
fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests;
