//! How much longer a run takes than its longest path, under a clock that only moves when everybody waits.
//!
//! Virtual time does not see what the processor takes; it sees every wait that the engine causes: looks that come late,
//! steps that start late, writes to the journal. So the store here takes a fixed virtual time for each write.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_engine::memory::MemoryStore;
use platform_engine::{
    clock::{Clock, SystemClock},
    decide::Ending,
    local::{Local, Options},
    plan::Plan,
    step::{Call, Observed, Progress, Registry, Step, Wait},
    store::{Holder, Lease, NewRun, Store, StoreError, StoredRun},
};
use platform_spec::{Failure, PlatformName, RunId, StepId, event::Recorded};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    common::{demo, holder},
    table::against,
    work,
};

const GRAPHS: u64 = 20;

/// What a durable write takes on a slow disk.
const WRITE: Duration = Duration::from_millis(5);

/// How often the platform's own steps look at what they wait for: one to two seconds.
const LOOK: Duration = Duration::from_secs(2);

const OUTSIDE: &str = "bench.outside";

/// Something that takes a while to ask for, and then a while to come.
#[derive(Default)]
struct Outside {
    comes: Mutex<HashMap<StepId, Instant>>,
}

fn part(input: &Value, name: &str) -> Duration {
    Duration::from_millis(input[name].as_u64().expect("a plan of `random`"))
}

#[async_trait]
impl Step for Outside {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let comes = self.comes.lock().expect("no panic before").get(&call.step).copied();
        Ok(match comes {
            None => Observed::Absent,
            Some(when) if when <= Instant::now() => {
                Observed::Matches { output: Value::Null, ledger: Vec::new() }
            }
            Some(_) => Observed::InProgress(wait()),
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "make": call.step }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        sleep(part(&call.input, "call_ms")).await;
        let waits = part(&call.input, "wait_ms");
        if waits.is_zero() {
            return Ok(Progress::Done { output: Value::Null, ledger: Vec::new() });
        }
        self.comes.lock().expect("no panic before").insert(call.step.clone(), Instant::now() + waits);
        Ok(Progress::InProgress(wait()))
    }
}

fn wait() -> Wait {
    Wait { waiting_for: "it to come".into(), operation: json!({ "id": 1 }), look_after: LOOK }
}

/// A store whose writes take [`WRITE`].
struct Slow(MemoryStore);

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
        self.0.acquire(platform, holder, ttl, now, presumed_dead).await
    }

    async fn renew(&self, lease: &Lease, ttl: Duration, now: Timestamp) -> Result<Lease, StoreError> {
        self.0.renew(lease, ttl, now).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.0.release(lease).await
    }

    async fn create_run(&self, lease: &Lease, run: &NewRun) -> Result<(), StoreError> {
        sleep(WRITE).await;
        self.0.create_run(lease, run).await
    }

    async fn append(&self, lease: &Lease, run: &RunId, events: &[Recorded]) -> Result<(), StoreError> {
        sleep(WRITE).await;
        self.0.append(lease, run, events).await
    }

    async fn load(&self, run: &RunId) -> Result<StoredRun, StoreError> {
        self.0.load(run).await
    }
}

/// Chance that is the same every time: splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}

/// 40 to 160 steps, each needing up to three of the twelve before it; calls of 50 ms to 2 s, and after two of three a
/// wait of 5 s to 5 min.
fn random(seed: u64) -> Plan {
    let mut chance = Chance(seed);
    let steps = 40 + chance.below(121) as usize;
    let needs: Vec<Vec<usize>> = (0..steps)
        .map(|number| {
            let mut needs: Vec<usize> = (0..chance.below(4).min(number as u64))
                .map(|_| number - 1 - chance.below(12.min(number as u64)) as usize)
                .collect();
            needs.sort_unstable();
            needs.dedup();
            needs
        })
        .collect();
    let mut plan = work::plan(steps, OUTSIDE, |number| needs[number].clone());
    for step in &mut plan.steps {
        let waits = if chance.below(3) < 2 { 5_000 + chance.below(295_000) } else { 0 };
        step.input = json!({ "call_ms": 50 + chance.below(1_950), "wait_ms": waits });
    }
    plan
}

/// The longest path: no engine can be faster.
fn critical_path(plan: &Plan) -> Duration {
    let mut ends: HashMap<&StepId, Duration> = HashMap::new();
    for step in &plan.steps {
        let begins = step.needs.iter().map(|need| ends[need]).max().unwrap_or_default();
        ends.insert(&step.id, begins + part(&step.input, "call_ms") + part(&step.input, "wait_ms"));
    }
    ends.into_values().max().unwrap_or_default()
}

async fn makespan(plan: Plan) -> Duration {
    let clock = SystemClock::start();
    let store = Slow(MemoryStore::default());
    let lease = store
        .acquire(&demo(), &holder("bench"), Duration::from_secs(86_400), clock.now(), &|_| false)
        .await
        .expect("a free lease");
    let registry = Registry::default().with(OUTSIDE, 1, Outside::default());
    let local = Local { store: Arc::new(store), registry, clock: Arc::new(clock) };
    let begin = Instant::now();
    let ended = local.start(&lease, work::run(), plan, Options::default()).await.expect("a run");
    assert_eq!(ended.ending, Ending::Succeeded);
    begin.elapsed()
}

pub fn overhead() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime of virtual time");
    let mut over = Vec::new();
    for seed in 1..=GRAPHS {
        let plan = random(seed);
        let least = critical_path(&plan);
        let took = runtime.block_on(makespan(plan));
        over.push((took.as_secs_f64() / least.as_secs_f64() - 1.0) * 100.0);
    }
    let worst = over.iter().copied().fold(f64::MIN, f64::max);
    let mean = over.iter().sum::<f64>() / over.len() as f64;
    against(
        &format!(
            "overhead over the longest path, {GRAPHS} random graphs with waits (looks every {LOOK:?}, writes of {WRITE:?}, virtual clock)"
        ),
        &format!("mean {mean:.2} %, worst {worst:.2} %"),
        "≤ 2 %",
        worst <= 2.0,
    );
}
