//! Starting and resuming runs in this process.

use std::sync::Arc;

use jiff::Timestamp;
use platform_spec::{Class, Code, Event, Failure, RunId, report::Notice};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    carrier::{Carrier, illegal},
    clock::{Clock, Shifted},
    decide::{Ending, Limits, take_over},
    graph::Graph,
    journal::{Head, plan_digest_of, verify},
    plan::Plan,
    step::Registry,
    store::{Lease, NewRun, Store, StoredRun},
};

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
        let this = Self { clock: Arc::new(Shifted::after(head.at, self.clock.clone())), ..self.clone() };
        let created = events.first().map_or_else(|| this.clock.now(), |first| first.at);
        drop(events);

        let wake = take_over(&graph, &board, &options.actor);
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
