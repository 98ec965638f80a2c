use platform_engine::{
    journal::plan_digest_of,
    plan::{Plan, PlannedStep, Policy, Retry, ledger_digest},
    store::{Holder, Lease, NewRun},
};
use platform_spec::{StepEvent, StepId};
use serde_json::Value;
use tempfile::TempDir;

use super::*;
use crate::locks;

/// An app on an empty state directory.
async fn app() -> (App, TempDir) {
    let dir = TempDir::new().expect("a temporary directory");
    let app = App::open(Some(dir.path())).await.expect("an empty state opens");
    (app, dir)
}

fn plan(platform: &str) -> Plan {
    let step = PlannedStep {
        id: StepId::new("a"),
        title: "do a".into(),
        uses: "noop".into(),
        version: 1,
        input: Value::Null,
        needs: Vec::new(),
        retry: Retry::R0,
        deadline_ms: 1_000,
        attempt_timeout_ms: 1_000,
        shares: Vec::new(),
        typical_ms: 0,
    };
    Plan {
        flow: "up".into(),
        platform: PlatformName::new(platform),
        policy: Policy::Hold,
        spec_digest: String::new(),
        state_digest: ledger_digest([]),
        steps: vec![step],
    }
}

async fn take(app: &App, platform: &str, holder: &Holder) -> Lease {
    let ttl = std::time::Duration::from_secs(60);
    let platform = PlatformName::new(platform);
    app.state.acquire(&platform, holder, ttl, app.clock.now(), &|_| false).await.expect("it is free")
}

/// A run of `platform` that is under way; its lease is still held.
async fn begin(app: &App, id: &str, platform: &str, holder: &Holder) -> Lease {
    let lease = take(app, platform, holder).await;
    let plan = plan(platform);
    let event = Event::RunCreated { plan_digest: plan_digest_of(&plan), actor: holder::actor() };
    let mut head = Head::default();
    let first = head.seal(app.clock.now(), event);
    let run = RunId::new(id);
    app.state
        .create_run(&lease, &NewRun { id: run.clone(), plan: plan.into(), first })
        .await
        .expect("a new run");
    let step = Event::Step { step: StepId::new("a"), event: StepEvent::Started { attempt: 1, input: None } };
    let started = head.seal(app.clock.now(), step);
    app.state.append(&lease, &run, &[started]).await.expect("the lease is ours");
    lease
}

/// A process that was on this machine and is no more.
fn gone() -> Holder {
    Holder {
        id: "gone".into(),
        process_start: "before-the-last-boot/pid:[1]/1".into(),
        ..holder::this_process()
    }
}

const A: &str = "01JD0000000000000000000001";
const B: &str = "01JD0000000000000000000002";

#[tokio::test]
async fn a_run_whose_process_is_gone_is_interrupted_and_one_that_lives_is_running() {
    let (app, _dir) = app().await;
    begin(&app, A, "dead", &gone()).await;
    begin(&app, B, "alive", &holder::this_process()).await;
    let lines = list(&app).await.expect("the state is sound");
    let seen: Vec<_> = lines.iter().map(|line| (line.platform.as_str(), line.status)).collect();
    assert_eq!(seen, [("alive", RunStatus::Running), ("dead", RunStatus::Interrupted)]);
    assert!(is_alive(&app, &RunId::new(B)).await.expect("it exists"));
    assert!(!is_alive(&app, &RunId::new(A)).await.expect("it exists"));
    let report = report(&app, &RunId::new(A)).await.expect("it exists");
    assert_eq!((report.status, report.counts.pending), (RunStatus::Interrupted, 1));
    assert_eq!(only_resumable(&app).await.expect("there is one"), RunId::new(A));
}

#[tokio::test]
async fn a_run_may_be_named_by_the_beginning_of_its_id() {
    let (app, _dir) = app().await;
    begin(&app, A, "one", &gone()).await;
    begin(&app, B, "two", &gone()).await;
    assert_eq!(find(&app, "01jd0000000000000000000002").await.expect("it exists"), RunId::new(B));
    let several = find(&app, "01JD").await.expect_err("two begin so");
    assert_eq!((several.code.as_str(), several.hints.len()), ("P0907", 2));
    assert_eq!(find(&app, "02").await.expect_err("none begins so").code.as_str(), "P0104");
    assert_eq!(only_resumable(&app).await.expect_err("there are two").code.as_str(), "P0907");
}

#[tokio::test]
async fn without_a_run_there_is_nothing_to_resume() {
    let (app, _dir) = app().await;
    assert_eq!(only_resumable(&app).await.expect_err("nothing").code.as_str(), "P0908");
}

#[tokio::test]
async fn an_abandoned_run_says_why_and_is_not_given_up_twice() {
    let (app, _dir) = app().await;
    begin(&app, A, "demo", &gone()).await;
    let run = RunId::new(A);
    abandon(&app, &run, "made by hand").await.expect("its holder is gone");
    assert_eq!(report(&app, &run).await.expect("it exists").status, RunStatus::Abandoned);
    let events = events_after(&app, &run, 2).await.expect("it exists");
    let [Recorded { event: Event::RunAbandoned { because, .. }, .. }] = events.as_slice() else {
        panic!("one event after the second, not {events:?}");
    };
    assert_eq!(because, "made by hand");
    assert_eq!(abandon(&app, &run, "again").await.expect_err("it has ended").code.as_str(), "P0705");
    assert!(locks::list(&app).await.expect("the state is sound").is_empty(), "the lease was given back");
}

#[tokio::test]
async fn a_lock_is_freed_when_its_holder_is_gone_or_named() {
    let (app, _dir) = app().await;
    let alive = Holder { id: "alive".into(), ..holder::this_process() };
    take(&app, "dead", &gone()).await;
    take(&app, "alive", &alive).await;
    let which = locks::release(&app, None, None).await.expect_err("there are two");
    assert_eq!((which.code.as_str(), which.hints.len()), ("P0907", 2));
    let freed = locks::release(&app, Some("dead"), None).await.expect("its holder is gone");
    assert_eq!(freed.map(|held| held.holder.id).as_deref(), Some("gone"));
    let refused = locks::release(&app, None, None).await.expect_err("its holder lives");
    assert_eq!(refused.code.as_str(), "P0910");
    let wrong = locks::release(&app, None, Some("somebody")).await.expect_err("another holder");
    assert_eq!(wrong.code.as_str(), "P0101");
    assert!(locks::release(&app, None, Some("alive")).await.expect("named").is_some());
    assert!(locks::release(&app, None, None).await.expect("nothing is locked").is_none());
}
