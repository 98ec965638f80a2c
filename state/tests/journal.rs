//! X-03, X-06: what is appended is kept, in order, with everything it says, or not at all.

mod common;

use common::{
    Trial, at, code, created, demo, intended, of_step, open, plan, put, sql, started, step, succeeded,
};
use platform_engine::{
    journal::{Head, verify},
    store::{NewRun, Store},
};
use platform_spec::{
    Event, LedgerChange, Outcome, RunId, StepEvent,
    report::{RunStatus, StepState},
};
use platform_state::Artifact;
use serde_json::json;

#[tokio::test]
async fn a_run_reads_back_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 2).await;
    let strange = StepEvent::Waiting {
        attempt: 1,
        waiting_for: "a \"line\nbreak\" and ümläuts \u{1f600}".into(),
        operation: json!({ "z": 1.50, "a": [null, "\u{1f}"], "big": 18_446_744_073_709_551_615_u64 }),
    };
    trial.append([started(0), intended(0)]).await;
    trial.append([of_step(0, strange)]).await;
    trial.append([succeeded(0, vec![]), started(1), succeeded(1, vec![]), Event::RunSucceeded]).await;

    let stored = open(dir.path()).await.load(&trial.run).await.unwrap();
    assert_eq!(stored.plan, trial.plan);
    assert_eq!(stored.status, RunStatus::Succeeded);
    assert_eq!(stored.events.len(), 8);
    verify(&stored.plan, &stored.events).expect("the chain holds over a round trip");

    let row = trial.store.run(&trial.run).await.unwrap();
    assert_eq!((row.events, row.counts.changed, row.counts.pending), (8, 2, 0));
    assert_eq!(row.ended_at, Some(stored.events[7].at));
    let later = trial.store.events_after(&trial.run, 6).await.unwrap();
    assert_eq!(later, stored.events[6..]);
}

#[tokio::test]
async fn gaps_repetitions_and_strangers_are_refused_and_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 2).await;
    let first = trial.seal([started(0), succeeded(0, vec![put("a", "1")])]);
    trial.store.append(&trial.lease, &trial.run, &first).await.unwrap();
    let next = trial.seal([started(1), succeeded(1, vec![put("b", "2")])]);

    let append = |events: Vec<_>| {
        let (store, lease, run) = (trial.store.clone(), trial.lease.clone(), trial.run.clone());
        async move { store.append(&lease, &run, &events).await }
    };
    assert_eq!(code(append(first.clone()).await), "P0107", "the same batch again");
    assert_eq!(code(append(vec![next[1].clone()]).await), "P0107", "a gap before the batch");
    assert_eq!(code(append(vec![next[0].clone(), next[0].clone()]).await), "P0107", "a repetition within it");
    let mut stranger = next.clone();
    stranger[0].event = Event::Step { step: step(9), event: StepEvent::InDoubt };
    assert_eq!(code(append(stranger).await), "P0107", "a step the plan does not have");
    let missing = trial.store.append(&trial.lease, &RunId::new("01NOSUCH"), &next).await;
    assert_eq!(code(missing), "P0104");

    assert_eq!(trial.store.load(&trial.run).await.unwrap().events.len(), 3);
    assert_eq!(trial.store.ledger(&demo()).await.unwrap().len(), 1, "X-06: no event, no entry");
    assert_eq!(trial.store.steps(&trial.run).await.unwrap()[1].state, StepState::Pending);
    append(next).await.expect("what follows is taken");
}

#[tokio::test]
async fn the_ledger_says_who_made_what_and_who_saw_it_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 2).await;
    trial
        .append([started(0), succeeded(0, vec![put("a", "id-1"), put("b", "id-2"), put("c", "id-3")])])
        .await;
    let drop = |key: &str| LedgerChange::Drop { key: key.into() };
    // Within one batch the last word counts.
    trial
        .append([
            started(1),
            succeeded(1, vec![drop("a"), drop("b"), put("b", "id-9"), put("d", "x"), drop("d")]),
        ])
        .await;
    trial.append([Event::RunSucceeded]).await;
    let first = trial.run.clone();

    let mut second = Trial::begin_with(trial.store, trial.lease, "01RUN0000000000000000000BB", 1).await;
    second.append([started(0), succeeded(0, vec![put("c", "id-3")])]).await;
    let ledger = second.store.ledger(&demo()).await.unwrap();
    let told: Vec<_> = ledger
        .iter()
        .map(|row| (row.entry.key.as_str(), row.entry.external_id.as_str(), &row.made_by, &row.seen_by))
        .collect();
    assert_eq!(told, [("b", "id-9", &first, &first), ("c", "id-3", &first, &second.run)]);
    assert_eq!(ledger[0].entry.detail, json!({ "colour": "blue" }));
    assert_eq!(second.store.platforms().await.unwrap()[0].ledger, 2);
}

#[tokio::test]
async fn a_plan_made_from_another_ledger_is_stale() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 1).await;
    let old = trial.plan.clone();
    trial.append([started(0), succeeded(0, vec![put("a", "id-1")]), Event::RunSucceeded]).await;
    let mut head = Head::default();
    let first = created(&mut head, &old);
    let new = NewRun { id: RunId::new("01RUN0000000000000000000BB"), plan: old.into(), first };
    assert_eq!(code(trial.store.create_run(&trial.lease, &new).await), "P0103");
    assert_eq!(trial.store.runs(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_platform_has_one_unfinished_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 1).await;
    trial.append([Event::RunHeld]).await;
    assert_eq!(trial.store.resumable(Some(&demo())).await.unwrap()[0].status, RunStatus::Held);
    let mut head = Head::default();
    let new = NewRun {
        id: RunId::new("01RUN0000000000000000000BB"),
        first: created(&mut head, &trial.plan),
        plan: trial.plan.clone().into(),
    };
    let failure = trial.store.create_run(&trial.lease, &new).await.unwrap_err().into_failure();
    assert_eq!(failure.code.as_str(), "P0112");
    assert!(failure.hints[0].contains(trial.run.as_str()), "{:?}", failure.hints);

    trial.append([Event::RunAbandoned { by: "ada@loft".into(), because: "typo in the spec".into() }]).await;
    let row = trial.store.latest_run(&demo()).await.unwrap().unwrap();
    let gave_up = row.abandoned.expect("who and why");
    assert_eq!(
        (row.status, gave_up.by.as_str(), gave_up.because.as_str()),
        (RunStatus::Abandoned, "ada@loft", "typo in the spec")
    );
    assert!(trial.store.resumable(None).await.unwrap().is_empty());
    trial.store.create_run(&trial.lease, &new).await.expect("the way is free");
}

#[tokio::test]
async fn a_run_that_has_ended_takes_no_more_events() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 1).await;
    trial.append([Event::RunFailed]).await;
    let more = trial.seal([Event::RunResumed { actor: "ada@loft".into() }]);
    assert_eq!(code(trial.store.append(&trial.lease, &trial.run, &more).await), "P0107");
}

#[tokio::test]
async fn only_the_lease_of_its_own_platform_opens_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 1).await;
    let other = platform_spec::PlatformName::new("other");
    let lease =
        trial.store.acquire(&other, &common::holder("one"), common::TTL, at(0), &|_| false).await.unwrap();
    let batch = trial.seal([started(0)]);
    assert_eq!(code(trial.store.append(&lease, &trial.run, &batch).await), "P0107");
    let mut head = Head::default();
    let plan = plan(1, platform_engine::plan::ledger_digest([]));
    let new = NewRun {
        id: RunId::new("01RUN0000000000000000000BB"),
        first: created(&mut head, &plan),
        plan: plan.into(),
    };
    assert_eq!(code(trial.store.create_run(&lease, &new).await), "P0107");
}

#[tokio::test]
async fn an_intent_is_open_until_its_step_is_answered() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 1).await;
    trial.append([started(0), intended(0)]).await;
    let operation = json!({ "url": "https://cloud/op/1" });
    let waits =
        StepEvent::Waiting { attempt: 1, waiting_for: "the cloud".into(), operation: operation.clone() };
    trial.append([of_step(0, waits)]).await;
    let open = trial.store.open_intents(&demo()).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].token.as_str(), &open[0].operation), ("token-0", &Some(operation)));
    trial.append([succeeded(0, vec![])]).await;
    assert!(trial.store.open_intents(&demo()).await.unwrap().is_empty());
}

#[tokio::test]
async fn artifacts_are_kept_with_their_run() {
    let dir = tempfile::tempdir().unwrap();
    let trial = Trial::begin(dir.path(), 1).await;
    let report = Artifact {
        name: "report.json".into(),
        kind: "report".into(),
        sha256: "a".repeat(64),
        location: "/somewhere/report.json".into(),
    };
    trial.store.record_artifact(&trial.lease, &trial.run, &report, at(1)).await.unwrap();
    let rows = trial.store.artifacts(&trial.run).await.unwrap();
    assert_eq!((&rows[0].artifact, rows[0].at, rows.len()), (&report, at(1), 1));
    trial.store.release(&trial.lease).await.unwrap();
    assert_eq!(code(trial.store.record_artifact(&trial.lease, &trial.run, &report, at(2)).await), "P0102");
}

#[tokio::test]
async fn sql_itself_refuses_what_must_not_be() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 1).await;
    trial.append([started(0), intended(0), succeeded(0, vec![put("a", "1")]), Event::RunSucceeded]).await;
    let mut db = sql(&trial.store).await;
    for (statement, because) in [
        ("UPDATE events SET event = '{}' WHERE seq = 2", "events never change"),
        ("DELETE FROM events WHERE seq = 5", "events are kept"),
        ("INSERT OR REPLACE INTO events SELECT * FROM events WHERE seq = 2", "events have no gaps"),
        ("INSERT INTO events SELECT run, seq + 2, at, event, hash FROM events WHERE seq = 5", "events have no gaps"),
        ("UPDATE plans SET plan = '{}'", "plans never change"),
        ("DELETE FROM plans", "plans are kept"),
        ("DELETE FROM runs", "runs are kept"),
        ("UPDATE runs SET status = 'running', ended_at = NULL", "the run has ended"),
        ("UPDATE platforms SET epoch = epoch - 1", "an epoch only grows"),
        ("UPDATE steps SET state = 'sleeping'", "CHECK"),
        ("UPDATE steps SET outcome = NULL", "CHECK"),
        ("UPDATE steps SET ended_at = NULL", "CHECK"),
        ("UPDATE resources SET platform = 'nobody'", "FOREIGN KEY"),
        ("UPDATE intents SET seq = 99", "FOREIGN KEY"),
        ("INSERT INTO runs SELECT 7, 'x', platform, flow, actor, epoch, spec_digest, plan_digest, 'abandoned', 1,
            created_at, updated_at, ended_at, NULL, NULL FROM runs", "CHECK"),
        ("INSERT INTO runs SELECT 7, 'x', platform, flow, actor, epoch, spec_digest, plan_digest, 'failed', 1,
            created_at, updated_at, ended_at, 'ada', 'why' FROM runs", "CHECK"),
    ] {
        let refused = sqlx::query(statement).execute(&mut db).await.expect_err(statement).to_string();
        assert!(refused.contains(because), "{statement}: {refused}");
    }
    let stored = trial.store.load(&trial.run).await.unwrap();
    verify(&stored.plan, &stored.events).expect("nothing of it happened");
}

#[tokio::test]
async fn an_event_of_a_newer_program_is_shown_and_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 1).await;
    let mut db = sql(&trial.store).await;
    for event in
        [r#"{"type":"run_teleported","to":"mars"}"#, r#"{"type":"step","step":"demo/thing-0","what":"sang"}"#]
    {
        sqlx::query("INSERT INTO events SELECT run, max(seq) + 1, max(at), ?, hash FROM events")
            .bind(event)
            .execute(&mut db)
            .await
            .unwrap();
    }
    sqlx::query("UPDATE runs SET last_seq = 3").execute(&mut db).await.unwrap();
    let events = trial.store.load(&trial.run).await.unwrap().events;
    assert_eq!((&events[1].event, &events[2].event), (&Event::Unknown, &Event::Unknown));
    trial.head.seq = 3;
    let unknown = trial.seal([Event::Unknown]);
    assert_eq!(code(trial.store.append(&trial.lease, &trial.run, &unknown).await), "P0107");
}

#[tokio::test]
async fn steps_carry_what_status_shows() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 3).await;
    trial.append([started(0), of_step(1, StepEvent::Skipped { because: "no zone".into() })]).await;
    trial.append([succeeded(0, vec![])]).await;
    let steps = trial.store.steps(&trial.run).await.unwrap();
    let told: Vec<_> = steps.iter().map(|s| (s.state, s.outcome, s.attempts, s.note.as_deref())).collect();
    assert_eq!(
        told,
        [
            (StepState::Succeeded, Some(Outcome::Changed), 1, None),
            (StepState::Skipped, Some(Outcome::Skipped), 0, Some("no zone")),
            (StepState::Pending, None, 0, None),
        ]
    );
    assert_eq!(steps[0].title, "do thing 0");
    assert_eq!(steps[0].report(at(100)).elapsed_ms, 1000);
}

#[tokio::test]
async fn an_append_that_is_dropped_half_way_is_there_in_full_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), 1).await;
    let (mut dropped, mut stored) = (0, 1);
    for patience in 0..200 {
        let resumed = |who: &str| Event::RunResumed { actor: who.into() };
        let head = trial.head.clone();
        let batch = trial.seal([resumed("one"), resumed("two")]);
        let patience = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            () = patience => dropped += 1,
            done = trial.store.append(&trial.lease, &trial.run, &batch) => done.unwrap(),
        }
        // A write waits until the one before it is over, a read does not.
        trial.store.renew(&trial.lease, common::TTL, at(0)).await.unwrap();
        let events = trial.store.run(&trial.run).await.unwrap().events;
        match events - stored {
            0 => trial.head = head,
            2 => stored = events,
            other => panic!("{other} of two events"),
        }
    }
    assert!(dropped > 0, "some were dropped");
    let stored = trial.store.load(&trial.run).await.unwrap();
    verify(&stored.plan, &stored.events).unwrap();
    trial.store.check().await.unwrap();
}
