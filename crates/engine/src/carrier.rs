//! The loop: decide, put down, send to the disk, listen. One process, one run.
//!
//! The board is ahead of the disk by at most one batch on its way and one that gathers. Meanwhile calls may look, and none
//! acts: see docs/decisions/looking-need-not-wait-for-the-disk.md.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use platform_spec::{Class, Code, Event, Failure, RunId, StepEvent, event::Recorded, report::Notice};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    clock::{Clock, add},
    decide::{Action, Ending, decide, next_wake},
    graph::Graph,
    journal::Head,
    local::{Ended, Local, Options},
    plan::Retry,
    resolve::resolve,
    retry::{Verdict, after_failure, token},
    status::Status,
    step::{Call, Registry},
    store::{Lease, Store, StoreError},
    worker::{End, Errand, Message},
};

/// How many messages of calls, and how many events, may wait for the journal.
///
/// Small on purpose: a step that outruns the journal should wait here, where the delay shows, and not build a queue
/// that a crash would lose.
const BACKLOG: usize = 256;

/// How long calls in flight may go on after the run was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// What a turn of the loop has to do.
enum Effect {
    /// A call may act: only once its intent is durable.
    Acknowledge(oneshot::Sender<()>),
    /// A call into a step. One that looks first needs nothing to be durable: before it acts it hands in its intent. One
    /// that undoes acts at once, so its start must be durable.
    Call { at: usize, how: How },
}

/// A batch on its way to the disk, and what waits for it.
struct Flight {
    stored: JoinHandle<Result<Vec<Recorded>, StoreError>>,
    effects: Vec<Effect>,
}

#[derive(Clone, Copy)]
enum How {
    Run,
    Look,
    Undo,
}

pub(crate) struct Carrier {
    store: Arc<dyn Store>,
    registry: Registry,
    clock: Arc<dyn Clock>,
    lease: Lease,
    run: RunId,
    graph: Arc<Graph>,
    board: Board,
    head: Head,
    options: Options,
    created: Timestamp,
    tell: mpsc::Sender<Message>,
    hear: mpsc::Receiver<Message>,
    calls: JoinSet<()>,
    stop_calls: CancellationToken,
    batch: Vec<Recorded>,
    effects: Vec<Effect>,
    flight: Option<Flight>,
}

impl Carrier {
    #[expect(
        clippy::too_many_arguments,
        reason = "made in two places, next door; a builder would only hide them"
    )]
    pub fn new(
        local: &Local,
        lease: &Lease,
        run: RunId,
        graph: Arc<Graph>,
        board: Board,
        head: Head,
        options: Options,
        created: Timestamp,
    ) -> Self {
        let (tell, hear) = mpsc::channel(BACKLOG);
        Self {
            store: local.store.clone(),
            registry: local.registry.clone(),
            clock: local.clock.clone(),
            lease: lease.clone(),
            run,
            graph,
            board,
            head,
            options,
            created,
            tell,
            hear,
            calls: JoinSet::new(),
            stop_calls: CancellationToken::new(),
            batch: Vec::new(),
            effects: Vec::new(),
            flight: None,
        }
    }

    /// Tells the viewers what is ahead, and what of it is done already.
    pub fn announce(&self, first: Option<Recorded>) {
        let Some(notices) = &self.options.notices else { return };
        let steps = self.graph.plan.steps.iter().map(|s| (s.id.clone(), s.title.clone())).collect();
        let already = self
            .board
            .slots()
            .iter()
            .zip(&self.graph.plan.steps)
            .filter(|(slot, _)| slot.started.is_some())
            .map(|(slot, step)| (step.id.clone(), slot.status.state()))
            .collect();
        let plan = Notice::Plan { run: self.run.clone(), flow: self.graph.plan.flow.clone(), steps, already };
        // A viewer that has gone away does not stop the run.
        let _ = notices.send(plan);
        if let Some(first) = first {
            let _ = notices.send(Notice::Stored(first));
        }
    }

    /// Turns until the run ends or rests.
    pub async fn carry(mut self) -> Result<Ended, Failure> {
        let mut stop_at: Option<Timestamp> = None;
        loop {
            let stopping = self.options.stop.gently.is_cancelled() || self.options.stop.now.is_cancelled();
            if stopping && stop_at.is_none() {
                self.stop_calls.cancel();
                stop_at = Some(add(self.clock.now(), GRACE));
            }
            let impatient =
                self.options.stop.now.is_cancelled() || stop_at.is_some_and(|at| at <= self.clock.now());
            if stopping && impatient {
                self.leave_in_doubt()?;
            }

            let (ending, decided) = self.decide_all(stopping)?;
            self.commit();
            if let Some(ending) = ending {
                self.calls.abort_all();
                while self.flight.is_some() {
                    self.land().await?;
                    self.commit();
                }
                let now = self.clock.now();
                let span = (self.created, now);
                return Ok(Ended { run: self.run, ending, board: self.board, graph: self.graph, span });
            }
            let wake = if stopping { stop_at } else { next_wake(&self.board, decided) };
            self.listen(stopping, wake).await?;
        }
    }

    /// Waits until something happens, and takes in everything that has.
    async fn listen(&mut self, stopping: bool, wake: Option<Timestamp>) -> Result<(), Failure> {
        let clock = self.clock.clone();
        let timer = async move {
            match wake {
                Some(when) => clock.sleep_until(when).await,
                None => std::future::pending().await,
            }
        };
        let (gently, at_once) = (self.options.stop.gently.clone(), self.options.stop.now.clone());
        let room = BACKLOG.saturating_sub(self.batch.len());
        let mut heard = Vec::new();
        let mut landed = None;
        tokio::select! {
            // The same story whenever it is played again: no dice of the runtime's.
            biased;
            result = stored(&mut self.flight) => landed = Some(result),
            _ = self.hear.recv_many(&mut heard, room), if room > 0 => {}
            () = timer => {}
            () = gently.cancelled(), if !stopping => {}
            () = at_once.cancelled() => {}
        }
        if let Some(result) = landed {
            self.landed(result)?;
        }
        while self.calls.try_join_next().is_some() {}
        for message in heard {
            self.take(message)?;
        }
        Ok(())
    }

    fn take(&mut self, message: Message) -> Result<(), Failure> {
        match message {
            Message::Intends { at, intent, durable } => {
                let attempt = self.board.slot(at).status.attempts();
                let step = self.graph.step(at);
                let token = token(&self.run, &step.id, step.retry, attempt);
                self.write(at, StepEvent::Intended { attempt, token, intent })?;
                self.effects.push(Effect::Acknowledge(durable));
                Ok(())
            }
            Message::Ended { at, end } => {
                if !self.board.live.contains(&at) {
                    // It was left in doubt already; its word comes too late.
                    return Ok(());
                }
                self.board.end_call(&self.graph, at);
                self.end(at, end)
            }
        }
    }

    fn end(&mut self, at: usize, end: End) -> Result<(), Failure> {
        let slot = self.board.slot(at);
        let attempt = slot.status.attempts();
        match end {
            End::Succeeded { outcome, output, ledger } => {
                self.write(at, StepEvent::Succeeded { attempt, outcome, output, ledger })
            }
            End::Waiting(wait) => {
                let same = matches!(slot.status, Status::Waiting { .. })
                    && slot.memory.operation == wait.operation
                    && slot.note.as_deref() == Some(&wait.waiting_for);
                let deadline = self.board.deadline(&self.graph, at).unwrap_or(Timestamp::MAX);
                let now = self.clock.now();
                let begun = slot.started.unwrap_or(now);
                let next_look = add(now, soon(wait.look_after, begun, now)).min(deadline);
                if same {
                    self.notify(Notice::StillWaiting {
                        step: self.graph.step(at).id.clone(),
                        waiting_for: wait.waiting_for,
                        next_look,
                    });
                } else {
                    let (waiting_for, operation) = (wait.waiting_for, wait.operation);
                    self.write(at, StepEvent::Waiting { attempt, waiting_for, operation })?;
                }
                self.board.look_at(next_look, at);
                Ok(())
            }
            End::Gate { question } => self.write(at, StepEvent::GateOpened { attempt, question }),
            End::Failed(failure) => self.fail(at, attempt, failure),
            End::Undone(ledger) => self.write(at, StepEvent::Undone { ledger }),
            End::Stuck(failure) => self.write(at, StepEvent::Stuck { failure }),
            End::Dropped => Err(Failure::new(
                Code::new("P0703"),
                Class::Bug,
                format!("a call into step `{}` ended without an answer", self.graph.step(at).id),
            )),
        }
    }

    fn fail(&mut self, at: usize, attempt: u32, failure: Failure) -> Result<(), Failure> {
        let step = self.graph.step(at);
        let now = self.clock.now();
        let deadline = self.board.deadline(&self.graph, at).unwrap_or(Timestamp::MAX);
        let failures = self.board.slot(at).failures + 1;
        let event = match after_failure(step.retry, failures, &failure, now, deadline, &self.run, &step.id) {
            Verdict::At(not_before) => StepEvent::Retrying { attempt, failure, not_before },
            Verdict::GiveUp => StepEvent::Failed { attempt, failure },
        };
        self.write(at, event)
    }

    /// Asks [`decide`] until it has nothing more to say, and puts down what it says. Returns when it was last asked.
    fn decide_all(&mut self, stopping: bool) -> Result<(Option<Ending>, Timestamp), Failure> {
        loop {
            let now = self.clock.now();
            let actions = decide(&self.graph, &self.board, &self.options.limits, stopping, now);
            if actions.is_empty() {
                return Ok((None, now));
            }
            for action in actions {
                match action {
                    Action::Start { at, attempt } => self.start(at, attempt)?,
                    Action::Look { at } => {
                        self.board.begin_call(&self.graph, at);
                        self.effects.push(Effect::Call { at, how: How::Look });
                    }
                    Action::Expire { at } => self.expire(at)?,
                    Action::Skip { at, lost } => {
                        let because = format!("it needs `{}`", self.graph.step(lost).id);
                        self.write(at, StepEvent::Skipped { because })?;
                    }
                    Action::Undo { at, attempt } => {
                        self.write(at, StepEvent::UndoStarted { attempt })?;
                        self.board.begin_call(&self.graph, at);
                        self.effects.push(Effect::Call { at, how: How::Undo });
                    }
                    Action::Finish(ending) => {
                        self.record(match ending {
                            Ending::Succeeded => Event::RunSucceeded,
                            Ending::Failed => Event::RunFailed,
                            Ending::Held => Event::RunHeld,
                            Ending::Interrupted => Event::RunInterrupted,
                        })?;
                        return Ok((Some(ending), now));
                    }
                }
            }
        }
    }

    fn start(&mut self, at: usize, attempt: u32) -> Result<(), Failure> {
        let step = self.graph.step(at);
        let input = match resolve(&step.input, &|id| self.board.output(&self.graph, id)) {
            Ok(std::borrow::Cow::Borrowed(_)) => None,
            Ok(std::borrow::Cow::Owned(filled)) => Some(filled),
            Err(dangling) => {
                let failure =
                    Failure::new(Code::new("P0702"), Class::Bug, format!("step `{}` has no input", step.id))
                        .because(dangling);
                self.write(at, StepEvent::Started { attempt, input: None })?;
                return self.write(at, StepEvent::Failed { attempt, failure });
            }
        };
        let unconfirmed = step.retry == Retry::R5 && !self.options.confirmed;
        self.write(at, StepEvent::Started { attempt, input })?;
        if unconfirmed {
            let failure = Failure::new(
                Code::new("P0706"),
                Class::Config,
                format!("step `{}` destroys something and nobody has agreed to it", self.graph.step(at).id),
            )
            .hint("run the command again and confirm, or give `--yes`");
            return self.write(at, StepEvent::Failed { attempt, failure });
        }
        self.board.begin_call(&self.graph, at);
        self.effects.push(Effect::Call { at, how: How::Run });
        Ok(())
    }

    fn expire(&mut self, at: usize) -> Result<(), Failure> {
        let step = self.graph.step(at);
        let slot = self.board.slot(at);
        let limit = Duration::from_millis(step.deadline_ms);
        let waiting_for = slot.note.clone().unwrap_or_else(|| "an answer".into());
        let failure = Failure::new(
            Code::new("P0707"),
            Class::Retryable,
            format!("step `{}` was not done within {limit:?}", step.id),
        )
        .because(format!("it waited for {waiting_for}"))
        .hint(format!("see what holds it up, then `platform resume {}` waits again", self.run));
        let failure = Failure { step: Some(step.id.clone()), ..failure };
        let attempt = slot.status.attempts();
        self.write(at, StepEvent::Failed { attempt, failure })
    }

    /// Calls that would not end in time are in doubt: whoever resumes looks them up first.
    fn leave_in_doubt(&mut self) -> Result<(), Failure> {
        for at in std::mem::take(&mut self.board.live.clone()) {
            self.board.end_call(&self.graph, at);
            if matches!(self.board.slot(at).status, Status::Running { .. }) {
                self.write(at, StepEvent::InDoubt)?;
            }
        }
        Ok(())
    }

    fn write(&mut self, at: usize, event: StepEvent) -> Result<(), Failure> {
        let step = self.graph.step(at).id.clone();
        self.record(Event::Step { step, event })
    }

    /// Puts an event into the batch. The board is ahead of the disk from here until the batch has landed. In between
    /// calls may look, and nobody acts: an intent is acknowledged when it is durable, and then so is all before it.
    fn record(&mut self, event: Event) -> Result<(), Failure> {
        let recorded = self.head.seal(self.clock.now(), event);
        self.board.apply(&self.graph, recorded.at, &recorded.event).map_err(illegal)?;
        self.batch.push(recorded);
        Ok(())
    }

    /// Starts the calls that look first, and sends the batch to the disk unless another one is still on its way: then it
    /// waits, grows, and goes as one.
    fn commit(&mut self) {
        let (calls, waiting) = std::mem::take(&mut self.effects)
            .into_iter()
            .partition(|effect| matches!(effect, Effect::Call { how: How::Run | How::Look, .. }));
        self.effects = waiting;
        self.perform(calls);
        if self.flight.is_some() || self.batch.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let (store, lease, run) = (self.store.clone(), self.lease.clone(), self.run.clone());
        let stored = tokio::spawn(async move { store.append(&lease, &run, &batch).await.map(|()| batch) });
        self.flight = Some(Flight { stored, effects: std::mem::take(&mut self.effects) });
    }

    /// Waits for the batch that is on its way.
    async fn land(&mut self) -> Result<(), Failure> {
        let result = stored(&mut self.flight).await;
        self.landed(result)
    }

    /// A batch is durable: tells the viewers and does what waited for it.
    fn landed(&mut self, (stored, effects): Landed) -> Result<(), Failure> {
        for recorded in stored? {
            self.notify(Notice::Stored(recorded));
        }
        self.perform(effects);
        Ok(())
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Acknowledge(durable) => {
                    // The call may have been given up meanwhile; then nobody acts on the intent.
                    let _ = durable.send(());
                }
                Effect::Call { at, how } => self.call(at, how),
            }
        }
    }

    fn call(&mut self, at: usize, how: How) {
        let step = self.graph.step(at);
        let slot = self.board.slot(at);
        let Some(does) = self.registry.get(&step.uses, step.version) else {
            unreachable!("the registry was asked for every step before the run began")
        };
        let attempt = slot.status.attempts();
        let left = self
            .board
            .deadline(&self.graph, at)
            .and_then(|deadline| Duration::try_from(deadline.duration_since(self.clock.now())).ok())
            .unwrap_or(Duration::MAX);
        // A look at the very deadline still gets a second: the thing may have come just now.
        let timeout = Duration::from_millis(step.attempt_timeout_ms).min(left.max(Duration::from_secs(1)));
        let errand = Errand {
            at,
            step: does,
            call: Call {
                run: self.run.clone(),
                step: step.id.clone(),
                attempt,
                epoch: self.lease.epoch,
                input: slot.input.clone().unwrap_or_else(|| step.input.clone()),
                token: token(&self.run, &step.id, step.retry, attempt),
                memory: slot.memory.clone(),
                cancel: self.stop_calls.clone(),
            },
            retry: step.retry,
            timeout,
            tell: self.tell.clone(),
        };
        match how {
            How::Run => self.calls.spawn(errand.run()),
            How::Look => self.calls.spawn(errand.look()),
            How::Undo => {
                let output = slot.output.clone().unwrap_or(Value::Null);
                self.calls.spawn(errand.undo(output, self.clock.clone()))
            }
        };
    }

    fn notify(&self, notice: Notice) {
        if let Some(notices) = &self.options.notices {
            // A viewer that has gone away does not stop the run.
            let _ = notices.send(notice);
        }
    }
}

/// What came of a flight, and what waited for it.
type Landed = (Result<Vec<Recorded>, Failure>, Vec<Effect>);

/// Waits until the flight has landed; without one for ever. Nothing is lost when this is given up half-way.
async fn stored(flight: &mut Option<Flight>) -> Landed {
    let Some(under_way) = flight else { return std::future::pending().await };
    let result = match (&mut under_way.stored).await {
        Ok(result) => result.map_err(StoreError::into_failure),
        Err(lost) => {
            Err(Failure::new(Code::new("P0703"), Class::Bug, "the journal's writer is gone").because(lost))
        }
    };
    let effects = flight.take().map(|landed| landed.effects).unwrap_or_default();
    (result, effects)
}

/// A history, or an event about to be written, that cannot be.
pub(crate) fn illegal(illegal: crate::status::Illegal) -> Failure {
    Failure::new(Code::new("P0107"), Class::Bug, "the history of the run contradicts itself").because(illegal)
}

/// The longest wait that is shortened: whoever asks for a longer one has reasons, such as a cloud's rate limits.
const SHORT: Duration = Duration::from_secs(2);
/// The shortest that it is shortened to.
const SOONEST: Duration = Duration::from_millis(50);

/// When to look again at what changes within seconds: often at first, since much is done at once, and then at leisure.
fn soon(asked: Duration, begun: Timestamp, now: Timestamp) -> Duration {
    if asked > SHORT {
        return asked;
    }
    let waited = Duration::try_from(now.duration_since(begun)).unwrap_or_default();
    asked.min((waited / 4).max(SOONEST))
}
