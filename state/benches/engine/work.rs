//! Plans whose steps do nothing, and carrying them out with the real store.

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use platform_engine::{
    clock::{Clock, SystemClock},
    decide::Ending,
    local::{Local, Options},
    plan::{Plan, PlannedStep, Policy, Retry, ledger_digest},
    step::{Call, Observed, Progress, Registry, Step},
    store::{Lease, Store},
};
use platform_spec::{Failure, LedgerChange, RunId, StepId, event::LedgerEntry};
use platform_state::Sqlite;
use serde_json::{Value, json};

use crate::common::{TTL, demo, holder};

/// Nothing outside, nothing to be durable before.
struct Noop;

/// Nothing outside either, but written down like something: an intent before, an output and a ledger entry after.
struct Recorded;

#[async_trait]
impl Step for Noop {
    async fn observe(&self, _call: &Call) -> Result<Observed, Failure> {
        Ok(Observed::Absent)
    }

    fn intent(&self, _call: &Call) -> Option<Value> {
        None
    }

    async fn ensure(&self, _call: &Call) -> Result<Progress, Failure> {
        Ok(Progress::Done { output: Value::Null, ledger: Vec::new() })
    }
}

#[async_trait]
impl Step for Recorded {
    async fn observe(&self, _call: &Call) -> Result<Observed, Failure> {
        Ok(Observed::Absent)
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "make": call.step }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let entry = LedgerEntry {
            key: call.step.to_string(),
            kind: "thing".into(),
            external_id: call.token.clone(),
            owned: true,
            detail: Value::Null,
        };
        Ok(Progress::Done { output: json!({ "id": call.token }), ledger: vec![LedgerChange::Put(entry)] })
    }
}

/// Names of steps in [`registry`].
pub const NOOP: &str = "bench.noop";
pub const RECORDED: &str = "bench.recorded";

pub fn registry() -> Registry {
    Registry::default().with(NOOP, 1, Noop).with(RECORDED, 1, Recorded)
}

/// A plan in which step `n` needs what `needs(n)` says.
pub fn plan(steps: usize, uses: &str, needs: impl Fn(usize) -> Vec<usize>) -> Plan {
    Plan {
        flow: "up".into(),
        platform: demo(),
        policy: Policy::Hold,
        spec_digest: "5".repeat(64),
        state_digest: ledger_digest([]),
        steps: (0..steps)
            .map(|number| PlannedStep {
                id: id(number),
                title: format!("do thing {number}"),
                uses: uses.into(),
                version: 1,
                input: json!({ "number": number }),
                needs: needs(number).into_iter().map(id).collect(),
                retry: Retry::R1,
                deadline_ms: 3_600_000,
                attempt_timeout_ms: 60_000,
                shares: Vec::new(),
                typical_ms: 0,
            })
            .collect(),
    }
}

pub fn id(number: usize) -> StepId {
    StepId::new(format!("demo/thing-{number}"))
}

/// One after the other.
pub fn chain(number: usize) -> Vec<usize> {
    number.checked_sub(1).into_iter().collect()
}

/// A hundred chains side by side.
pub fn chains(number: usize) -> Vec<usize> {
    number.checked_sub(100).into_iter().collect()
}

/// Nothing needs anything.
pub fn independent(_number: usize) -> Vec<usize> {
    Vec::new()
}

/// An engine on the state in `dir`, and the lease it needs.
pub async fn engine(dir: &Path, registry: Registry) -> (Sqlite, Local, Lease) {
    let store = Sqlite::open(dir).await.expect("a state that opens");
    let clock = SystemClock::start();
    // The one before is gone: these processes do not live at the same time.
    let lease =
        store.acquire(&demo(), &holder("bench"), TTL, clock.now(), &|_| true).await.expect("a free lease");
    (store.clone(), Local { store: Arc::new(store), registry, clock: Arc::new(clock) }, lease)
}

/// Carries a plan out on a new state in `dir` and says how long that took, from the plan to the last event on disk.
pub async fn carried_out(dir: &Path, plan: Plan) -> Duration {
    let (store, local, lease) = engine(dir, registry()).await;
    let begin = Instant::now();
    let ended =
        local.start(&lease, run(), plan, Options::default()).await.expect("a run that can be carried out");
    let took = begin.elapsed();
    assert_eq!(ended.ending, Ending::Succeeded);
    store.close().await;
    took
}

pub fn run() -> RunId {
    RunId::new("01RUN0000000000000000000AA")
}
