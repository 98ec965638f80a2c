//! How long a run that was cut off takes to its first step, and how long `status` takes to read it.

use std::{
    path::Path,
    sync::Mutex,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use platform_engine::{
    journal::{Head, plan_digest_of},
    local::{Options, Stop},
    step::{Call, Observed, Progress, Registry, Step},
    store::{NewRun, Store},
};
use platform_spec::{Event, Failure, event::Recorded};
use platform_state::Sqlite;
use serde_json::{Value, json};

use crate::{
    child,
    common::{at, demo, intended, open, started, succeeded},
    table::{against, fact, median, ms, spread},
    work::{self, RECORDED, engine, plan},
};

/// Steps of the run, as the goals say.
const STEPS: usize = 10_000;

/// Steps that were under way when it was cut off: as many as the engine has at a time.
const CUT_OFF: usize = 16;

/// Each try needs a state of its own, because resuming writes.
const TRIES: usize = 7;

/// A state with a run of [`STEPS`] steps of which `done` are done, with intents and outputs, and [`CUT_OFF`] begun.
async fn half_done(dir: &Path, done: usize) -> u64 {
    let (store, _, lease) = engine(dir, Registry::default()).await;
    let mut head = Head::default();
    let plan = plan(STEPS, RECORDED, work::chains);
    let created = Event::RunCreated { plan_digest: plan_digest_of(&plan), actor: "ada@loft".into() };
    let first = head.seal(at(0), created);
    store
        .create_run(&lease, &NewRun { id: work::run(), plan: plan.into(), first })
        .await
        .expect("a run that can be made");
    let mut seconds = 0;
    let mut seal = |events: Vec<Event>| -> Vec<Recorded> {
        seconds += 1;
        events.into_iter().map(|event| head.seal(at(seconds), event)).collect()
    };
    let numbers: Vec<usize> = (0..done).collect();
    for some in numbers.chunks(CUT_OFF) {
        let events = some
            .iter()
            .flat_map(|&number| [started(number), intended(number), succeeded(number, Vec::new())])
            .collect();
        store.append(&lease, &work::run(), &seal(events)).await.expect("events that follow");
    }
    let begun =
        (done..STEPS.min(done + CUT_OFF)).flat_map(|number| [started(number), intended(number)]).collect();
    let last = seal(begun);
    store.append(&lease, &work::run(), &last).await.expect("events that follow");
    store.close().await;
    last.last().map_or(0, |event| event.seq)
}

pub async fn resume() {
    for done in [STEPS / 2, STEPS - CUT_OFF] {
        let origin = tempfile::tempdir().expect("a directory");
        let events = half_done(origin.path(), done).await;
        let mut times = Vec::new();
        for _ in 0..TRIES {
            let copy = tempfile::tempdir().expect("a directory");
            let file = platform_state::FILE;
            std::fs::copy(origin.path().join(file), copy.path().join(file)).expect("a copy");
            let nanos = child::ask("resume", copy.path(), 0);
            times.push(Duration::from_nanos(nanos[0]));
        }
        let took = median(times.clone());
        let what = format!(
            "resume of a {STEPS}-step run with {done} steps done ({events} events), from opening the state to the first step"
        );
        if done == STEPS / 2 {
            against(&what, &spread(&times), "< 100 ms", took < Duration::from_millis(100));
        } else {
            fact(&what, &spread(&times));
        }
    }
}

/// Says when it is called for the first time, and stops the run.
struct Witness {
    begin: Instant,
    first: Mutex<Option<Duration>>,
    stop: Stop,
    heard: std::sync::mpsc::Sender<Duration>,
}

#[async_trait]
impl Step for Witness {
    async fn observe(&self, _call: &Call) -> Result<Observed, Failure> {
        let took = self.begin.elapsed();
        let mut first = self.first.lock().expect("no panic before");
        if first.is_none() {
            *first = Some(took);
            self.heard.send(took).expect("the child listens");
            self.stop.now.cancel();
        }
        Ok(Observed::Absent)
    }

    fn intent(&self, _call: &Call) -> Option<Value> {
        Some(json!({}))
    }

    async fn ensure(&self, _call: &Call) -> Result<Progress, Failure> {
        std::future::pending().await
    }
}

/// In a process of its own, as `platform resume` is: from opening the state to the first step, in nanoseconds.
pub async fn child(dir: &Path) -> Vec<u64> {
    let stop = Stop::default();
    let (heard, hear) = std::sync::mpsc::channel();
    let witness = Witness { begin: Instant::now(), first: Mutex::new(None), stop: stop.clone(), heard };
    let (store, local, lease) = engine(dir, Registry::default().with(RECORDED, 1, witness)).await;
    let options = Options { stop, ..Options::default() };
    local.resume(&lease, &work::run(), options).await.expect("a run that can be resumed");
    store.close().await;
    let took = hear.recv().expect("a step was begun");
    vec![u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)]
}

/// What `platform status` reads: platforms, locks, the latest run with its counts, the ledger.
pub async fn status() {
    let dir = tempfile::tempdir().expect("a directory");
    half_done(dir.path(), STEPS / 2).await;
    let store: Sqlite = open(dir.path()).await;
    let mut times = Vec::new();
    for _ in 0..21 {
        let begin = Instant::now();
        store.leases().await.expect("leases");
        let platforms = store.platforms().await.expect("platforms");
        let run = store.latest_run(&demo()).await.expect("a database that answers").expect("a run");
        store.ledger(&demo()).await.expect("a ledger");
        times.push(begin.elapsed());
        assert_eq!((platforms.len(), run.counts.changed as usize), (1, STEPS / 2));
    }
    let took = median(times.clone());
    against(
        &format!("what `status` reads, a run of {STEPS} steps"),
        &spread(&times),
        "≤ 5 ms",
        took <= Duration::from_millis(5),
    );
    let begin = Instant::now();
    let rows = store.steps(&work::run()).await.expect("steps");
    assert_eq!(rows.len(), STEPS);
    fact(&format!("all {STEPS} step rows, for `run show`"), &ms(begin.elapsed()));
}
