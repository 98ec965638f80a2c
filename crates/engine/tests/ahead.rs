//! How far the loop may be ahead of the disk: calls look, and none acts before its intent is durable.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_engine::memory::MemoryStore;
use platform_engine::{
    clock::SystemClock,
    decide::Ending,
    local::{Local, Options},
    plan::{Plan, PlannedStep, Policy, Retry, ledger_digest},
    step::{Call, Observed, Progress, Registry, Step},
    store::{Holder, Lease, NewRun, Store, StoreError, StoredRun},
};
use platform_spec::{Failure, PlatformName, RunId, StepId, event::Recorded};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// A store whose disk is as slow as the test wants: each append needs a permit.
#[derive(Clone)]
struct Slow {
    inner: MemoryStore,
    permits: Arc<Semaphore>,
    appends: Arc<AtomicUsize>,
}

#[async_trait]
impl Store for Slow {
    async fn acquire(
        &self,
        platform: &PlatformName,
        holder: &Holder,
        ttl: Duration,
        now: Timestamp,
        presumed_dead: &(dyn for<'a> Fn(&'a Holder) -> bool + Send + Sync),
    ) -> Result<Lease, StoreError> {
        self.inner.acquire(platform, holder, ttl, now, presumed_dead).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration, now: Timestamp) -> Result<Lease, StoreError> {
        self.inner.renew(lease, ttl, now).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.inner.release(lease).await
    }

    async fn create_run(&self, lease: &Lease, run: &NewRun) -> Result<(), StoreError> {
        self.inner.create_run(lease, run).await
    }

    async fn append(&self, lease: &Lease, run: &RunId, events: &[Recorded]) -> Result<(), StoreError> {
        self.permits.acquire().await.expect("it is never closed").forget();
        self.appends.fetch_add(1, Ordering::SeqCst);
        self.inner.append(lease, run, events).await
    }

    async fn load(&self, run: &RunId) -> Result<StoredRun, StoreError> {
        self.inner.load(run).await
    }
}

/// Counts looks and deeds; with an intent it has an effect outside.
struct Counts {
    looks: Arc<AtomicUsize>,
    deeds: Arc<AtomicUsize>,
    intends: bool,
}

#[async_trait]
impl Step for Counts {
    async fn observe(&self, _call: &Call) -> Result<Observed, Failure> {
        self.looks.fetch_add(1, Ordering::SeqCst);
        Ok(Observed::Absent)
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        self.intends.then(|| json!({ "make": call.step }))
    }

    async fn ensure(&self, _call: &Call) -> Result<Progress, Failure> {
        self.deeds.fetch_add(1, Ordering::SeqCst);
        Ok(Progress::Done { output: Value::Null, ledger: Vec::new() })
    }
}

/// A chain of steps that all do the same.
fn chain(uses: &str, length: usize) -> Plan {
    let step = |at: usize| PlannedStep {
        id: StepId::new(format!("s{at}")),
        title: String::new(),
        uses: uses.into(),
        version: 1,
        input: Value::Null,
        needs: at.checked_sub(1).map(|below| StepId::new(format!("s{below}"))).into_iter().collect(),
        retry: Retry::R1,
        deadline_ms: 3_600_000,
        attempt_timeout_ms: 600_000,
        shares: Vec::new(),
        typical_ms: 0,
    };
    Plan {
        flow: "test".into(),
        platform: PlatformName::new("demo"),
        policy: Policy::Hold,
        spec_digest: String::new(),
        state_digest: ledger_digest([]),
        steps: (0..length).map(step).collect(),
    }
}

struct Stage {
    store: Slow,
    looks: Arc<AtomicUsize>,
    deeds: Arc<AtomicUsize>,
    run: tokio::task::JoinHandle<Ending>,
}

/// Starts a chain on a disk that writes nothing yet.
async fn begin(uses: &'static str, length: usize) -> Stage {
    let store =
        Slow { inner: MemoryStore::default(), permits: Arc::new(Semaphore::new(0)), appends: Arc::default() };
    let (looks, deeds) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counts = |intends| Counts { looks: looks.clone(), deeds: deeds.clone(), intends };
    let local = Local {
        store: Arc::new(store.clone()),
        registry: Registry::default().with("effect", 1, counts(true)).with("none", 1, counts(false)),
        clock: Arc::new(SystemClock::start()),
    };
    let holder =
        Holder { id: "one".into(), user: "u".into(), host: "h".into(), pid: 1, process_start: "0".into() };
    let plan = chain(uses, length);
    let now = Timestamp::UNIX_EPOCH;
    let lease = store.acquire(&plan.platform, &holder, Duration::from_secs(60), now, &|_| false).await;
    let lease = lease.expect("nobody else");
    let run = tokio::spawn(async move {
        let ended = local.start(&lease, RunId::new("run"), plan, Options::default()).await;
        ended.expect("no trouble").ending
    });
    Stage { store, looks, deeds, run }
}

/// Lets everything run that can; under a paused clock a sleep returns when nothing else can go on.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn nothing_acts_before_its_intent_is_durable() {
    let stage = begin("effect", 3).await;
    for done in 0..3 {
        // The disk has written the end of the step before, and what it had taken with it, but no intent of this one.
        settle().await;
        assert_eq!(stage.deeds.load(Ordering::SeqCst), done, "it acted without a durable intent");
        while stage.deeds.load(Ordering::SeqCst) == done {
            stage.store.permits.add_permits(1);
            settle().await;
        }
        let stored = stage.store.load(&RunId::new("run")).await.expect("it is there");
        let intents =
            stored.events.iter().filter(|it| format!("{:?}", it.event).contains("Intended")).count();
        assert_eq!(intents, done + 1, "each deed has its durable intent");
    }
    stage.store.permits.add_permits(100);
    assert_eq!(stage.run.await.expect("no panic"), Ending::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn steps_without_an_effect_do_not_wait_for_the_disk_and_end_on_it() {
    const STEPS: usize = 100;
    let stage = begin("none", STEPS).await;
    settle().await;
    assert_eq!(stage.looks.load(Ordering::SeqCst), STEPS, "all have looked while the disk wrote nothing");
    assert!(!stage.run.is_finished(), "a run has not ended before its end is durable");
    assert_eq!(stage.store.appends.load(Ordering::SeqCst), 0);
    stage.store.permits.add_permits(100);
    assert_eq!(stage.run.await.expect("no panic"), Ending::Succeeded);
    let appends = stage.store.appends.load(Ordering::SeqCst);
    assert!(appends < 10, "what waits goes in one batch, not in {appends}");
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_writes_nothing_stops_the_run_before_memory_fills() {
    let stage = begin("none", 2_000).await;
    settle().await;
    let looked = stage.looks.load(Ordering::SeqCst);
    assert!(looked < 1_000, "{looked} steps ran ahead of the disk");
    stage.store.permits.add_permits(10_000);
    assert_eq!(stage.run.await.expect("no panic"), Ending::Succeeded);
    assert_eq!(stage.looks.load(Ordering::SeqCst), 2_000);
}
