//! Where every step stands: the journal, read.
//!
//! Statuses follow from the events alone. Beside them the board keeps what only lives as long as the process: which
//! calls are in flight and when a waiting step is looked at next. The indexes exist so that deciding costs as much as
//! what is decided, not as much as the plan is long.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use platform_spec::{Event, Failure, Outcome, StepEvent, StepId, event::Recorded, report::RunStatus};
use serde_json::Value;

use crate::{
    graph::Graph,
    status::{Illegal, Status, next_run},
    step::Memory,
};

/// What is known of one step.
#[derive(Clone, Debug, PartialEq)]
pub struct Slot {
    /// Where it stands.
    pub status: Status,
    /// Failed attempts since it was begun or reopened.
    pub failures: u32,
    /// When it was first started in this run.
    pub started: Option<Timestamp>,
    /// When its deadline began: at its first start, or when the run was last resumed.
    pub deadline_from: Option<Timestamp>,
    /// When it settled.
    pub ended: Option<Timestamp>,
    /// What the run has recorded for it. The intent is forgotten once the step is done, unless the policy may undo it:
    /// nobody asks for it any more, and there may be thousands.
    pub memory: Memory,
    /// Its input as recorded at its last start, when that differs from the plan's.
    pub input: Option<Value>,
    /// What later steps may use.
    pub output: Option<Value>,
    /// What it waits for, or why it was skipped.
    pub note: Option<String>,
    /// Why its last attempt failed; boxed, because most steps have none.
    pub failure: Option<Box<Failure>>,
}

impl Default for Slot {
    fn default() -> Self {
        Self {
            status: Status::Pending { attempts: 0 },
            failures: 0,
            started: None,
            deadline_from: None,
            ended: None,
            memory: Memory::default(),
            input: None,
            output: None,
            note: None,
            failure: None,
        }
    }
}

/// Indexes over the slots; always what [`Indexes::of`] would compute from scratch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Indexes {
    /// For each step, how many of its needs are not done.
    pub open_needs: Vec<u32>,
    /// Pending, all needs done.
    pub ready: BTreeSet<usize>,
    /// Policy Forward: pending, and some need failed or was skipped.
    pub doomed: BTreeSet<usize>,
    /// Retrying, by time.
    pub due: BTreeSet<(Timestamp, usize)>,
    /// In doubt.
    pub doubt: BTreeSet<usize>,
    /// Waiting.
    pub waiting: BTreeSet<usize>,
    /// Gated.
    pub gated: BTreeSet<usize>,
    /// Failed or stuck.
    pub failed: BTreeSet<usize>,
    /// Being undone.
    pub undoing: BTreeSet<usize>,
    /// Undone steps: once there is one, the run goes on unwinding.
    pub undone: usize,
    /// Steps to which nothing more will happen.
    pub settled: usize,
}

/// Where a run and its steps stand.
#[derive(Clone, Debug)]
pub struct Board {
    /// The run itself; `None` before its first event.
    pub run: Option<RunStatus>,
    slots: Vec<Slot>,
    pub(crate) index: Indexes,
    /// When each waiting step that is not in flight is looked at next, by time.
    pub(crate) looks: BTreeSet<(Timestamp, usize)>,
    /// The same, by step.
    look_times: BTreeMap<usize, Timestamp>,
    /// Calls in flight.
    pub(crate) live: BTreeSet<usize>,
    /// Calls in flight by share.
    pub(crate) shares: BTreeMap<String, usize>,
}

impl Board {
    /// A board on which nothing has happened.
    pub fn new(graph: &Graph) -> Self {
        let mut board = Self::blank(graph);
        board.reindex(graph);
        board
    }

    /// The same before its indexes are computed.
    fn blank(graph: &Graph) -> Self {
        Self {
            run: None,
            slots: vec![Slot::default(); graph.len()],
            index: Indexes::default(),
            looks: BTreeSet::new(),
            look_times: BTreeMap::new(),
            live: BTreeSet::new(),
            shares: BTreeMap::new(),
        }
    }

    /// Reads a whole history. Every waiting step is to be looked at at once.
    ///
    /// # Errors
    /// A history that cannot have happened.
    pub fn replay(graph: &Graph, events: &[Recorded]) -> Result<Self, Illegal> {
        let mut board = Self::blank(graph);
        for event in events {
            board.take(graph, event.at, &event.event)?;
        }
        board.reindex(graph);
        Ok(board)
    }

    /// Computes the indexes from the statuses, and puts every waiting step up for a look at once.
    pub fn reindex(&mut self, graph: &Graph) {
        self.index = Indexes::of(graph, &self.slots);
        self.looks = self.index.waiting.iter().map(|&at| (Timestamp::MIN, at)).collect();
        self.look_times = self.index.waiting.iter().map(|&at| (at, Timestamp::MIN)).collect();
    }

    /// Takes one more event, indexes included.
    ///
    /// # Errors
    /// An event that cannot follow.
    pub fn apply(&mut self, graph: &Graph, at: Timestamp, event: &Event) -> Result<(), Illegal> {
        if let Some((step, was)) = self.take(graph, at, event)? {
            self.move_index(graph, step, was);
        }
        Ok(())
    }

    fn take(
        &mut self,
        graph: &Graph,
        at: Timestamp,
        event: &Event,
    ) -> Result<Option<(usize, Status)>, Illegal> {
        let run = next_run(self.run, event)?;
        let touched = match event {
            Event::Step { step, event } => {
                let number = graph
                    .at(step)
                    .ok_or_else(|| Illegal { was: "a plan without it".into(), event: step.to_string() })?;
                let was = self.slots[number].status;
                self.slots[number].take(at, event)?;
                if is_done(self.slots[number].status) && graph.plan.policy != crate::plan::Policy::Unwind {
                    self.slots[number].memory.intent = None;
                }
                Some((number, was))
            }
            Event::RunResumed { .. } => {
                for slot in &mut self.slots {
                    if slot.deadline_from.is_some() {
                        slot.deadline_from = Some(at);
                    }
                }
                None
            }
            _ => None,
        };
        self.run = Some(run);
        Ok(touched)
    }

    /// One step.
    pub fn slot(&self, at: usize) -> &Slot {
        &self.slots[at]
    }

    /// All steps, in the plan's order.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// The output of a step, once it is done.
    pub fn output(&self, graph: &Graph, id: &StepId) -> Option<&Value> {
        self.slots[graph.at(id)?].output.as_ref()
    }

    /// When a step's time is up, once it has begun.
    pub fn deadline(&self, graph: &Graph, at: usize) -> Option<Timestamp> {
        let from = self.slots[at].deadline_from?;
        Some(crate::clock::add(from, std::time::Duration::from_millis(graph.step(at).deadline_ms)))
    }

    /// Whether the run may have made something for this step that is not removed yet.
    pub fn to_undo(&self, at: usize) -> bool {
        let slot = &self.slots[at];
        slot.memory.intent.is_some()
            && matches!(
                slot.status,
                Status::Succeeded { .. }
                    | Status::Failed { .. }
                    | Status::Waiting { .. }
                    | Status::InDoubt { .. }
                    | Status::Retrying { .. }
            )
    }

    /// A call into a step begins.
    pub(crate) fn begin_call(&mut self, graph: &Graph, at: usize) {
        self.live.insert(at);
        self.forget_look(at);
        for share in &graph.step(at).shares {
            *self.shares.entry(share.clone()).or_default() += 1;
        }
    }

    /// It has ended.
    pub(crate) fn end_call(&mut self, graph: &Graph, at: usize) {
        if !self.live.remove(&at) {
            return;
        }
        for share in &graph.step(at).shares {
            if let Some(count) = self.shares.get_mut(share) {
                *count -= 1;
            }
        }
    }

    /// A waiting step is to be looked at at this time.
    pub(crate) fn look_at(&mut self, when: Timestamp, at: usize) {
        self.forget_look(at);
        self.looks.insert((when, at));
        self.look_times.insert(at, when);
    }

    fn forget_look(&mut self, at: usize) {
        if let Some(when) = self.look_times.remove(&at) {
            self.looks.remove(&(when, at));
        }
    }

    fn move_index(&mut self, graph: &Graph, at: usize, was: Status) {
        let now = self.slots[at].status;
        if std::mem::discriminant(&was) == std::mem::discriminant(&now)
            && !matches!(now, Status::Retrying { .. })
        {
            return;
        }
        if matches!(was, Status::Waiting { .. }) {
            self.forget_look(at);
        }
        self.index.leave(graph, at, was);
        self.index.enter(graph, &self.slots, at, now);
    }
}

impl Slot {
    fn take(&mut self, at: Timestamp, event: &StepEvent) -> Result<(), Illegal> {
        self.status = self.status.next(event)?;
        match event {
            StepEvent::Started { input, .. } => {
                self.started.get_or_insert(at);
                self.deadline_from.get_or_insert(at);
                self.note = None;
                if input.is_some() {
                    self.input.clone_from(input);
                }
            }
            StepEvent::Intended { intent, .. } => {
                self.memory.intent = Some(intent.clone());
                self.memory.in_doubt = false;
            }
            StepEvent::Waiting { waiting_for, operation, .. } => {
                self.note = Some(waiting_for.clone());
                self.memory.operation = operation.clone();
                self.memory.in_doubt = false;
            }
            StepEvent::GateOpened { question, .. } => self.note = Some(question.clone()),
            StepEvent::GateDecided { approved, by } => {
                self.memory.approved_by = approved.then(|| by.clone());
                self.note = (!approved).then(|| format!("rejected by {by}"));
            }
            StepEvent::Succeeded { output, .. } => {
                self.output = Some(output.clone());
                self.failure = None;
                self.note = None;
            }
            StepEvent::Retrying { failure, .. } => {
                self.failures += 1;
                self.note = Some(failure.message.clone());
                self.failure = Some(Box::new(failure.clone()));
            }
            StepEvent::Failed { failure, .. } | StepEvent::Stuck { failure } => {
                self.failures += 1;
                self.note = Some(failure.message.clone());
                self.failure = Some(Box::new(failure.clone()));
            }
            StepEvent::Skipped { because } => self.note = Some(because.clone()),
            StepEvent::InDoubt => self.memory.in_doubt = true,
            StepEvent::Reopened => {
                self.failures = 0;
                self.deadline_from = None;
                self.note = None;
            }
            StepEvent::UndoStarted { .. } => {}
            StepEvent::Undone { .. } => self.memory = crate::step::Memory::default(),
        }
        self.ended = self.status.is_settled().then_some(at);
        Ok(())
    }
}

impl Indexes {
    fn of(graph: &Graph, slots: &[Slot]) -> Self {
        let done = |&&need: &&usize| is_done(slots[need].status);
        let mut index = Self {
            open_needs: (0..slots.len())
                .map(|at| (graph.needs(at).len() - graph.needs(at).iter().filter(done).count()) as u32)
                .collect(),
            ..Self::default()
        };
        for (at, slot) in slots.iter().enumerate() {
            index.sort_in(graph, slots, at, slot.status);
        }
        index
    }

    /// Puts a step under its status.
    fn sort_in(&mut self, graph: &Graph, slots: &[Slot], at: usize, status: Status) {
        match status {
            Status::Pending { .. } => {
                if self.open_needs[at] == 0 {
                    self.ready.insert(at);
                } else if forward(graph) && graph.needs(at).iter().any(|&need| is_lost(slots[need].status)) {
                    self.doomed.insert(at);
                }
            }
            Status::Retrying { not_before, .. } => {
                self.due.insert((not_before, at));
            }
            Status::InDoubt { .. } => {
                self.doubt.insert(at);
            }
            Status::Waiting { .. } => {
                self.waiting.insert(at);
            }
            Status::Gated { .. } => {
                self.gated.insert(at);
            }
            Status::Failed { .. } | Status::Stuck { .. } => {
                self.failed.insert(at);
            }
            Status::Undoing { .. } => {
                self.undoing.insert(at);
            }
            Status::Running { .. }
            | Status::Succeeded { .. }
            | Status::Skipped { .. }
            | Status::Undone { .. } => {}
        }
        self.undone += usize::from(matches!(status, Status::Undone { .. }));
        self.settled += usize::from(status.is_settled());
    }

    /// Takes a step from under its old status; what needed it done no longer has that.
    fn leave(&mut self, graph: &Graph, at: usize, was: Status) {
        if is_done(was) {
            for &dependent in graph.dependents(at) {
                self.open_needs[dependent] += 1;
                self.ready.remove(&dependent);
            }
        }
        match was {
            Status::Pending { .. } => {
                self.ready.remove(&at);
                self.doomed.remove(&at);
            }
            Status::Retrying { not_before, .. } => {
                self.due.remove(&(not_before, at));
            }
            Status::InDoubt { .. } => {
                self.doubt.remove(&at);
            }
            Status::Waiting { .. } => {
                self.waiting.remove(&at);
            }
            Status::Gated { .. } => {
                self.gated.remove(&at);
            }
            Status::Failed { .. } | Status::Stuck { .. } => {
                self.failed.remove(&at);
            }
            Status::Undoing { .. } => {
                self.undoing.remove(&at);
            }
            Status::Running { .. }
            | Status::Succeeded { .. }
            | Status::Skipped { .. }
            | Status::Undone { .. } => {}
        }
        self.undone -= usize::from(matches!(was, Status::Undone { .. }));
        self.settled -= usize::from(was.is_settled());
    }

    /// Puts a step under its new status, and tells those that need it.
    fn enter(&mut self, graph: &Graph, slots: &[Slot], at: usize, now: Status) {
        self.sort_in(graph, slots, at, now);
        if is_done(now) {
            for &dependent in graph.dependents(at) {
                self.open_needs[dependent] -= 1;
                if self.open_needs[dependent] == 0
                    && matches!(slots[dependent].status, Status::Pending { .. })
                {
                    self.ready.insert(dependent);
                }
            }
        } else if forward(graph) && is_lost(now) {
            for &dependent in graph.dependents(at) {
                if matches!(slots[dependent].status, Status::Pending { .. }) {
                    self.doomed.insert(dependent);
                }
            }
        }
    }
}

/// Only under this policy is a step left out because of another.
fn forward(graph: &Graph) -> bool {
    graph.plan.policy == crate::plan::Policy::Forward
}

fn is_done(status: Status) -> bool {
    matches!(status, Status::Succeeded { .. })
}

fn is_lost(status: Status) -> bool {
    matches!(status, Status::Failed { .. } | Status::Skipped { .. })
}

impl Board {
    /// How many steps have each outcome.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.slots
            .iter()
            .filter(|slot| matches!(slot.status, Status::Succeeded { outcome: o, .. } if o == outcome))
            .count()
    }
}
