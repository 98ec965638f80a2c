//! The loop: read, decide, write, act. One process, one run.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use platform_spec::{Class, Code, Event, Failure, RunId, StepEvent, event::Recorded, report::Notice};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    clock::{Clock, Continued, add},
    decide::{Action, Ending, Limits, decide, next_wake},
    graph::Graph,
    journal::{Head, plan_digest_of, verify},
    plan::{Plan, Retry},
    resolve::resolve,
    retry::{Verdict, after_failure, token},
    status::Status,
    step::{Call, Registry},
    store::{Lease, NewRun, Store, StoredRun},
    worker::{End, Errand, Message},
};

/// How many messages of calls may wait for the journal.
///
/// Small on purpose: a step that outruns the journal should wait here, where the delay shows, and not build a queue
/// that a crash would lose.
const BACKLOG: usize = 256;

/// How long calls in flight may go on after the run was asked to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Carries plans out in this process.
#[derive(Clone)]
pub struct Local {
    /// Where runs are remembered.
    pub store: Arc<dyn Store>,
    /// The steps this program knows.
    pub registry: Registry,
    /// Where time comes from.
    pub clock: Arc<dyn Clock>,
}

/// What one carrying-out may do, and whom it tells.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How much may go on at once.
    pub limits: Limits,
    /// Who asked for it: `user@host`.
    pub actor: String,
    /// A person has agreed to what cannot be undone (retry class R5).
    pub confirmed: bool,
    /// Asks the run to stop, or to stop at once.
    pub stop: Stop,
    /// Told of everything that is stored, after it is stored.
    pub notices: Option<mpsc::UnboundedSender<Notice>>,
}

/// Two ways of stopping.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    /// Start nothing new, let calls in flight finish (up to ten seconds), then rest.
    pub gently: CancellationToken,
    /// Rest at once; calls in flight are in doubt.
    pub now: CancellationToken,
}

/// A run that has ended or come to rest.
#[derive(Debug)]
pub struct Ended {
    /// Which run.
    pub run: RunId,
    /// How.
    pub ending: Ending,
    /// Where everything stands.
    pub board: Board,
    /// The plan.
    pub graph: Arc<Graph>,
    /// When it was created, and when it came to rest.
    pub span: (Timestamp, Timestamp),
}

impl Local {
    /// Starts a run of a plan and carries it out until it ends or rests.
    ///
    /// # Errors
    /// A plan that is unsound or unknown to the registry, before anything is stored; trouble with the store, with the
    /// run left resumable.
    pub async fn start(
        &self,
        lease: &Lease,
        run: RunId,
        plan: Plan,
        options: Options,
    ) -> Result<Ended, Failure> {
        let graph = self.check(plan)?;
        let event =
            Event::RunCreated { plan_digest: plan_digest_of(&graph.plan), actor: options.actor.clone() };
        let mut head = Head::default();
        let first = head.seal(self.clock.now(), event);
        let new = NewRun { id: run.clone(), plan: graph.plan.clone(), first: first.clone() };
        self.store.create_run(lease, &new).await.map_err(|e| e.into_failure())?;
        let mut board = Board::new(&graph);
        board.apply(&graph, first.at, &first.event).map_err(illegal)?;
        let created = first.at;
        let carrier = Carrier::new(self, lease, run, graph, board, head, options, created);
        carrier.announce(Some(first));
        carrier.carry().await
    }

    /// Continues a run that rests, or whose process is gone.
    ///
    /// # Errors
    /// A run that has ended (`P0705`), a history that does not verify (`P0107`), steps unknown to this program.
    pub async fn resume(&self, lease: &Lease, run: &RunId, options: Options) -> Result<Ended, Failure> {
        let StoredRun { id, plan, events, .. } = self.store.load(run).await.map_err(|e| e.into_failure())?;
        let (plan, events) = (Arc::new(plan), Arc::new(events));
        // Hashing takes as long as everything else here, so it goes on beside it. Nothing is believed before it is done.
        let verified = tokio::task::spawn_blocking({
            let (plan, events) = (plan.clone(), events.clone());
            move || verify(&plan, &events)
        });
        let read = self.check(plan).and_then(|graph| {
            let board = Board::replay(&graph, &events).map_err(illegal)?;
            Ok((graph, board))
        });
        let verified = verified.await.map_err(|lost| {
            Failure::new(
                Code::new("P0703"),
                Class::Bug,
                format!("verifying the journal of run `{id}` broke off"),
            )
            .because(lost)
        })?;
        verified.map_err(|broken| {
            Failure::new(Code::new("P0107"), Class::Bug, format!("the journal of run `{id}` does not verify"))
                .because(broken)
                .hint(format!("give the run up with `platform run abandon {id} --because …` and start `platform up` again"))
        })?;
        let (graph, mut board) = read?;
        if !board.run.is_some_and(|status| status.is_resumable()) {
            let word = board.run.map_or("unknown", |status| status.as_str());
            return Err(Failure::new(
                Code::new("P0705"),
                Class::Config,
                format!("run `{id}` cannot be continued: it is {word}"),
            )
            .hint("`platform runs` lists the runs and where they stand"));
        }
        let mut head = Head::after(&events);
        let this = Self { clock: Arc::new(Continued::after(head.at, self.clock.clone())), ..self.clone() };
        let created = events.first().map_or_else(|| this.clock.now(), |first| first.at);
        drop(events);

        let mut wake = vec![Event::RunResumed { actor: options.actor.clone() }];
        for (at, slot) in board.slots().iter().enumerate() {
            let event = match slot.status {
                Status::Running { .. } => StepEvent::InDoubt,
                Status::Failed { .. } | Status::Skipped { .. }
                    if graph.plan.policy != crate::plan::Policy::Unwind =>
                {
                    StepEvent::Reopened
                }
                _ => continue,
            };
            wake.push(Event::Step { step: graph.step(at).id.clone(), event });
        }
        let now = this.clock.now();
        let mut batch = Vec::with_capacity(wake.len());
        for event in wake {
            let recorded = head.seal(now, event);
            board.apply(&graph, recorded.at, &recorded.event).map_err(illegal)?;
            batch.push(recorded);
        }
        board.reindex(&graph);
        self.store.append(lease, &id, &batch).await.map_err(|e| e.into_failure())?;
        let carrier = Carrier::new(&this, lease, id, graph, board, head, options, created);
        carrier.announce(None);
        carrier.carry().await
    }

    fn check(&self, plan: impl Into<Arc<Plan>>) -> Result<Arc<Graph>, Failure> {
        let plan = plan.into();
        let unknown: Vec<String> = plan
            .steps
            .iter()
            .filter(|step| self.registry.get(&step.uses, step.version).is_none())
            .map(|step| format!("{} uses {} v{}", step.id, step.uses, step.version))
            .collect();
        if !unknown.is_empty() {
            let mut failure = Failure::new(
                Code::new("P0701"),
                Class::Config,
                format!("the plan has {} step(s) that this program does not know", unknown.len()),
            )
            .hint("the plan was made by another version of `platform`: continue it with that version");
            failure.causes = unknown.into_iter().take(5).collect();
            return Err(failure);
        }
        Graph::of(plan).map(Arc::new).map_err(|unsound| {
            Failure::new(Code::new("P0702"), Class::Bug, "the plan cannot be carried out").because(unsound)
        })
    }
}

/// A history, or an event about to be written, that cannot be.
fn illegal(illegal: crate::status::Illegal) -> Failure {
    Failure::new(Code::new("P0107"), Class::Bug, "the history of the run contradicts itself").because(illegal)
}

/// What is to be done once a batch is durable.
enum Effect {
    Acknowledge(oneshot::Sender<()>),
    Call { at: usize, how: How },
}

#[derive(Clone, Copy)]
enum How {
    Run,
    Look,
    Undo,
}

struct Carrier {
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
}

impl Carrier {
    #[expect(
        clippy::too_many_arguments,
        reason = "made in two places, next door; a builder would only hide them"
    )]
    fn new(
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
        }
    }

    fn announce(&self, first: Option<Recorded>) {
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

    async fn carry(mut self) -> Result<Ended, Failure> {
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
            self.commit().await?;
            if let Some(ending) = ending {
                self.calls.abort_all();
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
        let mut heard = Vec::new();
        tokio::select! {
            _ = self.hear.recv_many(&mut heard, BACKLOG) => {}
            () = timer => {}
            () = gently.cancelled(), if !stopping => {}
            () = at_once.cancelled() => {}
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
                let next_look = add(self.clock.now(), wait.look_after).min(deadline);
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

    /// Puts an event into the batch. The board is ahead of the disk from here until [`Self::commit`], and nobody acts
    /// on it in between.
    fn record(&mut self, event: Event) -> Result<(), Failure> {
        let recorded = self.head.seal(self.clock.now(), event);
        self.board.apply(&self.graph, recorded.at, &recorded.event).map_err(illegal)?;
        self.batch.push(recorded);
        Ok(())
    }

    /// Makes the batch durable, then tells the viewers and does what waited for it.
    async fn commit(&mut self) -> Result<(), Failure> {
        if !self.batch.is_empty() {
            self.store.append(&self.lease, &self.run, &self.batch).await.map_err(|e| e.into_failure())?;
            for recorded in std::mem::take(&mut self.batch) {
                self.notify(Notice::Stored(recorded));
            }
        }
        for effect in std::mem::take(&mut self.effects) {
            match effect {
                Effect::Acknowledge(durable) => {
                    // The call may have been given up meanwhile; then nobody acts on the intent.
                    let _ = durable.send(());
                }
                Effect::Call { at, how } => self.call(at, how),
            }
        }
        Ok(())
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
