//! Kill the process before and after every write of a run: `resume` ends in the same state, with every outside object
//! made exactly once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use platform_engine::memory::{Kill, MemoryStore};
use platform_engine::{
    clock::{Clock, SystemClock},
    decide::Ending,
    local::{Ended, Local, Options},
    plan::{Plan, PlannedStep, Policy, Retry, ledger_digest},
    status::Status,
    step::{Call, Observed, Progress, Registry, Step, Wait},
    store::{Holder, Store},
};
use platform_spec::{
    Class, Code, Failure, LedgerChange, Outcome, PlatformName, RunId, StepId, event::LedgerEntry,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// An outside that counts: objects by name, with how often each was made and how often it was asked since.
#[derive(Clone, Default)]
struct World(Arc<Mutex<BTreeMap<String, Thing>>>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Thing {
    made: u32,
    tokens: Vec<String>,
    looks: u64,
    refusals: u64,
}

/// Makes one thing. Input: `polls` (looks until it is ready), `refuse` (times it is refused first), `lose` (the reply
/// is lost after the effect), `fatal` (refused for good), `seconds` (how long asking takes).
struct Make(World);

#[async_trait]
impl Step for Make {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        tokio::task::yield_now().await;
        let mut world = self.0.0.lock().expect("no panic holds it");
        let Some(thing) = world.get_mut(call.step.as_str()).filter(|thing| thing.made > 0) else {
            return Ok(Observed::Absent);
        };
        thing.looks += 1;
        if thing.looks < call.input["polls"].as_u64().unwrap_or(0) {
            return Ok(Observed::InProgress(wait(&call.step)));
        }
        Ok(Observed::Matches { output: json!({"name": call.step}), ledger: ledger(&call.step) })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({"create": call.step}))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        tokio::time::sleep(Duration::from_secs(call.input["seconds"].as_u64().unwrap_or(0))).await;
        {
            let mut world = self.0.0.lock().expect("no panic holds it");
            let thing = world.entry(call.step.to_string()).or_default();
            if call.input["fatal"] == true {
                return Err(Failure::new(Code::new("P0203"), Class::Quota, "quota is used up"));
            }
            if thing.refusals < call.input["refuse"].as_u64().unwrap_or(0) {
                thing.refusals += 1;
                return Err(Failure::new(Code::new("P0201"), Class::Retryable, "connection reset"));
            }
            thing.made += 1;
            thing.tokens.push(call.token.clone());
            if call.input["lose"] == true && thing.made == 1 {
                return Err(Failure::new(Code::new("P0201"), Class::Retryable, "reply lost"));
            }
        }
        tokio::task::yield_now().await;
        if call.input["polls"].as_u64().unwrap_or(0) > 0 {
            return Ok(Progress::InProgress(wait(&call.step)));
        }
        Ok(Progress::Done { output: json!({"name": call.step}), ledger: ledger(&call.step) })
    }

    async fn undo(&self, call: &Call, _output: &Value) -> Result<Vec<LedgerChange>, Failure> {
        self.0.0.lock().expect("no panic holds it").remove(call.step.as_str());
        Ok(vec![LedgerChange::Drop { key: call.step.to_string() }])
    }
}

fn wait(step: &StepId) -> Wait {
    Wait {
        waiting_for: format!("{step} to be ready"),
        operation: json!({"operation": step}),
        look_after: Duration::from_secs(30),
    }
}

fn ledger(step: &StepId) -> Vec<LedgerChange> {
    vec![LedgerChange::Put(LedgerEntry {
        key: step.to_string(),
        kind: "thing".into(),
        external_id: step.to_string(),
        owned: true,
        detail: Value::Null,
    })]
}

struct Stage {
    world: World,
    store: MemoryStore,
    plan: Plan,
}

impl Stage {
    fn new(plan: &Plan) -> Self {
        Self { world: World::default(), store: MemoryStore::default(), plan: plan.clone() }
    }

    /// One life of the process: it starts the run, or resumes the one that is there.
    async fn live(&self) -> Result<Ended, Failure> {
        self.live_by(SystemClock::start()).await
    }

    async fn live_by(&self, clock: impl Clock) -> Result<Ended, Failure> {
        let local = Local {
            store: Arc::new(self.store.clone()),
            registry: Registry::default().with("make", 1, Make(self.world.clone())),
            clock: Arc::new(clock),
        };
        let holder = Holder {
            id: "one".into(),
            user: "u".into(),
            host: "h".into(),
            pid: 1,
            process_start: "0".into(),
        };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let lease = self
            .store
            .acquire(&self.plan.platform, &holder, Duration::from_secs(60), now, &|_| false)
            .await
            .expect("nobody else");
        match self.store.resumable() {
            Some(run) => local.resume(&lease, &run, Options::default()).await,
            None => local.start(&lease, RunId::new("run"), self.plan.clone(), Options::default()).await,
        }
    }

    fn things(&self) -> BTreeMap<String, (u32, usize)> {
        let world = self.world.0.lock().expect("no panic holds it");
        world
            .iter()
            .map(|(name, thing)| {
                let mut tokens = thing.tokens.clone();
                tokens.dedup();
                (name.clone(), (thing.made, tokens.len()))
            })
            .collect()
    }
}

fn step(at: usize, needs: Vec<usize>, input: Value) -> PlannedStep {
    PlannedStep {
        id: StepId::new(format!("s{at}")),
        title: format!("thing {at}"),
        uses: "make".into(),
        version: 1,
        input,
        needs: needs.into_iter().map(|need| StepId::new(format!("s{need}"))).collect(),
        retry: Retry::R2,
        deadline_ms: 3_600_000,
        attempt_timeout_ms: 60_000,
        shares: Vec::new(),
        typical_ms: 0,
    }
}

fn plan(policy: Policy, steps: Vec<PlannedStep>) -> Plan {
    Plan {
        flow: "test".into(),
        platform: PlatformName::new("demo"),
        policy,
        spec_digest: String::new(),
        state_digest: ledger_digest([]),
        steps,
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let shape = (any::<u8>(), 0..3_u64, 0..3_u64, any::<bool>());
    prop::collection::vec(shape, 1..6).prop_map(|shapes| {
        let steps = shapes
            .into_iter()
            .enumerate()
            .map(|(at, (needs, polls, refuse, lose))| {
                let needs = (0..at).filter(|need| needs >> (need % 8) & 1 == 1).collect();
                step(at, needs, json!({"polls": polls, "refuse": refuse, "lose": lose}))
            })
            .collect();
        plan(Policy::Hold, steps)
    })
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn killed_at_any_write_every_thing_is_made_once(plan in plans()) {
        paused().block_on(async {
            let whole = Stage::new(&plan);
            let ended = whole.live().await.expect("no trouble");
            assert_eq!(ended.ending, Ending::Succeeded);
            let writes = whole.store.writes();
            let made = whole.things();
            assert!(made.values().all(|&(count, tokens)| count == 1 && tokens == 1), "{made:?}");

            for write in 1..=writes {
                for kill in [Kill::BeforeWrite(write), Kill::AfterWrite(write)] {
                    let stage = Stage::new(&plan);
                    stage.store.kill(Some(kill));
                    stage.live().await.expect_err("killed");
                    stage.store.kill(None);
                    // The last write makes the run succeed: then nothing is left to resume.
                    if kill != Kill::AfterWrite(writes) {
                        let ended = stage.live().await.unwrap_or_else(|e| panic!("{kill:?}: {e:?}"));
                        assert_eq!(ended.ending, Ending::Succeeded, "{kill:?}");
                    }
                    assert_eq!(stage.store.resumable(), None, "{kill:?}");
                    assert_eq!(stage.things(), made, "{kill:?}");
                    assert_eq!(
                        stage.store.ledger(&plan.platform), whole.store.ledger(&plan.platform), "{kill:?}"
                    );
                }
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_holds_and_resume_goes_on_from_there() {
    let plan = plan(
        Policy::Hold,
        vec![
            step(0, vec![], json!({})),
            step(1, vec![0], json!({"fatal": true})),
            step(2, vec![1], json!({})),
        ],
    );
    let stage = Stage::new(&plan);
    for _ in 0..2 {
        let ended = stage.live().await.expect("no trouble with the store");
        assert_eq!(ended.ending, Ending::Held);
        let report = platform_engine::report::of(&ended.run, &ended.graph, &ended.board, ended.span);
        assert_eq!((report.counts.changed, report.counts.failed, report.counts.pending), (1, 1, 1));
        let error = report.error.expect("the quota");
        assert_eq!((error.class, error.step), (Class::Quota, Some(StepId::new("s1"))));
    }
    assert_eq!(stage.things()["s0"], (1, 1), "what was made is kept and not made again");
}

/// A clock that somebody has set back by an hour.
struct SetBack(SystemClock);

const HOUR: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

#[async_trait]
impl Clock for SetBack {
    fn now(&self) -> jiff::Timestamp {
        self.0.now() - HOUR
    }

    async fn sleep_until(&self, when: jiff::Timestamp) {
        self.0.sleep_until(when + HOUR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_set_back_makes_nobody_wait_for_the_old_time() {
    let plan = plan(Policy::Hold, vec![step(0, vec![], json!({"refuse": 2, "polls": 2}))]);
    let whole = Stage::new(&plan);
    whole.live().await.expect("no trouble");
    for write in 1..whole.store.writes() {
        let stage = Stage::new(&plan);
        stage.store.kill(Some(Kill::AfterWrite(write)));
        stage.live().await.expect_err("killed");
        stage.store.kill(None);
        let begun = tokio::time::Instant::now();
        let ended = stage.live_by(SetBack(SystemClock::start())).await.expect("resumed");
        assert_eq!(ended.ending, Ending::Succeeded, "write {write}");
        assert!(begun.elapsed() < Duration::from_secs(120), "write {write}: {:?}", begun.elapsed());
        assert!(ended.span.0 <= ended.span.1, "time goes on");
        assert_eq!(stage.things()["s0"], (1, 1), "write {write}");
    }
}

/// A clock that notices when somebody waits over and over for what is past: that is a core kept busy with nothing.
struct Watchful(SystemClock, std::sync::atomic::AtomicU32);

#[async_trait]
impl Clock for Watchful {
    fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }

    async fn sleep_until(&self, when: jiff::Timestamp) {
        if when <= self.now() {
            let times = self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            assert!(times < 100, "the engine waits for {when} again and again, and it is {}", self.now());
        }
        self.0.sleep_until(when).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_look_that_is_due_and_has_no_room_waits_for_a_call_to_end() {
    let mut steps = vec![step(0, vec![], json!({"polls": 2}))];
    steps.extend((1..40).map(|at| step(at, vec![], json!({"seconds": 45}))));
    let stage = Stage::new(&plan(Policy::Hold, steps));
    let ended = stage.live_by(Watchful(SystemClock::start(), 0.into())).await.expect("no trouble");
    assert_eq!(ended.ending, Ending::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn unwind_leaves_nothing_wherever_it_is_killed() {
    let steps = vec![
        step(0, vec![], json!({})),
        step(1, vec![0], json!({"polls": 2})),
        step(2, vec![1], json!({"fatal": true})),
    ];
    let plan = plan(Policy::Unwind, steps);
    let whole = Stage::new(&plan);
    let ended = whole.live().await.expect("no trouble");
    assert_eq!(ended.ending, Ending::Failed);
    assert!(whole.things().is_empty());
    for write in 1..=whole.store.writes() {
        for kill in [Kill::BeforeWrite(write), Kill::AfterWrite(write)] {
            let stage = Stage::new(&plan);
            stage.store.kill(Some(kill));
            stage.live().await.expect_err("killed");
            stage.store.kill(None);
            if stage.store.resumable().is_some() || kill == Kill::BeforeWrite(1) {
                stage.live().await.expect("resumed");
            }
            assert!(stage.things().is_empty(), "{kill:?} left {:?}", stage.things());
            assert!(stage.store.ledger(&plan.platform).is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn forward_does_what_it_can_and_says_what_it_left() {
    let steps = vec![
        step(0, vec![], json!({"fatal": true})),
        step(1, vec![0], json!({})),
        step(2, vec![], json!({})),
    ];
    let stage = Stage::new(&plan(Policy::Forward, steps));
    let ended = stage.live().await.expect("no trouble");
    assert_eq!(ended.ending, Ending::Failed);
    let states: Vec<Status> = ended.board.slots().iter().map(|slot| slot.status).collect();
    assert_eq!(
        states,
        [
            Status::Failed { attempt: 1 },
            Status::Skipped { attempts: 0 },
            Status::Succeeded { attempt: 1, outcome: Outcome::Changed }
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_never_comes_is_given_up_at_the_deadline_and_says_what_it_waited_for() {
    let plan = plan(Policy::Hold, vec![step(0, vec![], json!({"polls": 1_000_000}))]);
    let stage = Stage::new(&plan);
    let ended = stage.live().await.expect("no trouble");
    let failure = ended.board.slot(0).failure.clone().expect("timed out");
    assert_eq!(failure.code.as_str(), "P0707");
    assert_eq!(failure.causes, ["it waited for s0 to be ready"]);
    assert_eq!(platform_engine::clock::elapsed_ms(ended.span.0, ended.span.1), 3_600_000);
}
