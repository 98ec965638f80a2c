//! A platform, its plan and a run that can be told what happens: enough to make each test a few lines.

#![allow(dead_code, reason = "each test file uses the part it needs")]

use std::{path::Path, time::Duration};

use jiff::Timestamp;
use platform_engine::{
    journal::{Head, plan_digest_of},
    plan::{Plan, PlannedStep, Policy, Retry, ledger_digest},
    store::{Holder, Lease, NewRun, Store, StoreError},
};
use platform_spec::{
    Event, LedgerChange, Outcome, PlatformName, RunId, StepEvent, StepId,
    event::{LedgerEntry, Recorded},
};
use platform_state::Sqlite;
use serde_json::json;

pub const TTL: Duration = Duration::from_secs(30);

pub fn at(seconds: i64) -> Timestamp {
    Timestamp::new(1_780_000_000 + seconds, 123_456_789).expect("a time in range")
}

pub fn demo() -> PlatformName {
    PlatformName::new("demo")
}

pub fn holder(id: &str) -> Holder {
    Holder { id: id.into(), user: "ada".into(), host: "loft".into(), pid: 42, process_start: "7@boot".into() }
}

pub fn plan(steps: usize, state_digest: String) -> Plan {
    Plan {
        flow: "up".into(),
        platform: demo(),
        policy: Policy::Hold,
        spec_digest: "5".repeat(64),
        state_digest,
        steps: (0..steps)
            .map(|number| PlannedStep {
                id: step(number),
                title: format!("do thing {number}"),
                uses: "test.noop".into(),
                version: 1,
                input: json!({ "number": number }),
                needs: number.checked_sub(1).map(step).into_iter().collect(),
                retry: Retry::R1,
                deadline_ms: 60_000,
                attempt_timeout_ms: 10_000,
                shares: Vec::new(),
                typical_ms: 0,
            })
            .collect(),
    }
}

pub fn step(number: usize) -> StepId {
    StepId::new(format!("demo/thing-{number}"))
}

pub fn of_step(number: usize, event: StepEvent) -> Event {
    Event::Step { step: step(number), event }
}

pub fn started(number: usize) -> Event {
    of_step(number, StepEvent::Started { attempt: 1, input: None })
}

pub fn intended(number: usize) -> Event {
    let token = format!("token-{number}");
    of_step(number, StepEvent::Intended { attempt: 1, token, intent: json!({ "make": number }) })
}

pub fn succeeded(number: usize, ledger: Vec<LedgerChange>) -> Event {
    let output = json!({ "id": number });
    of_step(number, StepEvent::Succeeded { attempt: 1, outcome: Outcome::Changed, output, ledger })
}

pub fn put(key: &str, external_id: &str) -> LedgerChange {
    LedgerChange::Put(LedgerEntry {
        key: key.into(),
        kind: "thing".into(),
        external_id: external_id.into(),
        owned: true,
        detail: json!({ "colour": "blue" }),
    })
}

pub async fn never_dead(store: &Sqlite, who: &str, now: Timestamp) -> Result<Lease, StoreError> {
    store.acquire(&demo(), &holder(who), TTL, now, &|_| false).await
}

pub async fn open(dir: &Path) -> Sqlite {
    Sqlite::open(dir).await.expect("a state that opens")
}

/// The code a person would see.
pub fn code<T: std::fmt::Debug>(result: Result<T, StoreError>) -> String {
    result.expect_err("a refusal").into_failure().code.to_string()
}

/// A run with its lease and its chain.
pub struct Trial {
    pub store: Sqlite,
    pub lease: Lease,
    pub run: RunId,
    pub plan: Plan,
    pub head: Head,
    pub seconds: i64,
}

impl Trial {
    /// A run of `steps` steps on a new state in `dir`.
    pub async fn begin(dir: &Path, steps: usize) -> Self {
        let store = open(dir).await;
        let lease = never_dead(&store, "one", at(0)).await.expect("a free lease");
        Self::begin_with(store, lease, "01RUN0000000000000000000AA", steps).await
    }

    pub async fn begin_with(store: Sqlite, lease: Lease, run: &str, steps: usize) -> Self {
        let entries: Vec<LedgerEntry> =
            store.ledger(&demo()).await.expect("a ledger").into_iter().map(|row| row.entry).collect();
        let plan = plan(steps, ledger_digest(&entries));
        let mut head = Head::default();
        let first = created(&mut head, &plan);
        let run = RunId::new(run);
        let new = NewRun { id: run.clone(), plan: plan.clone().into(), first };
        store.create_run(&lease, &new).await.expect("a run that can be made");
        Self { store, lease, run, plan, head, seconds: 1 }
    }

    pub fn seal(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<Recorded> {
        self.seconds += 1;
        events.into_iter().map(|event| self.head.seal(at(self.seconds), event)).collect()
    }

    pub async fn append(&mut self, events: impl IntoIterator<Item = Event>) {
        let batch = self.seal(events);
        self.store.append(&self.lease, &self.run, &batch).await.expect("events that follow");
    }
}

pub fn created(head: &mut Head, plan: &Plan) -> Recorded {
    head.seal(at(0), Event::RunCreated { plan_digest: plan_digest_of(plan), actor: "ada@loft".into() })
}

/// A second way in, past the crate: what SQL itself allows.
pub async fn sql(store: &Sqlite) -> sqlx::SqliteConnection {
    use sqlx::ConnectOptions;
    sqlx::sqlite::SqliteConnectOptions::new()
        .filename(store.path())
        .foreign_keys(true)
        .connect()
        .await
        .expect("a connection")
}
