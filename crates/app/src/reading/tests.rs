use serde_json::{Value, json};

use super::*;

/// A journal whose events are one second apart; hashes are not read here.
fn read(events: Vec<Event>) -> Reading {
    let steps = ["a", "b"].map(|id| (StepId::new(id), format!("do {id}")));
    let mut reading = Reading::new(RunId::new("R"), "up", None, steps);
    for (second, event) in (0..).zip(events) {
        let at = Timestamp::from_second(second).expect("in range");
        reading.apply(&Recorded { seq: second as u64 + 1, at, event, hash: String::new() });
    }
    reading
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("in range")
}

fn step(id: &str, event: StepEvent) -> Event {
    Event::Step { step: StepId::new(id), event }
}

fn created() -> Event {
    Event::RunCreated { plan_digest: String::new(), actor: "ada@loom".into() }
}

fn started(id: &str, attempt: u32) -> Event {
    step(id, StepEvent::Started { attempt, input: None })
}

fn done(id: &str, outcome: Outcome, output: Value) -> Event {
    step(id, StepEvent::Succeeded { attempt: 1, outcome, output, ledger: Vec::new() })
}

fn failure() -> Failure {
    Failure::new(Code::new("P0401"), Class::Retryable, "could not reach the API")
        .because("connection refused")
}

#[test]
fn a_finished_run_counts_its_outcomes_and_ends_its_clock() {
    let reading = read(vec![
        created(),
        started("a", 1),
        done("a", Outcome::Changed, Value::Null),
        started("b", 1),
        done("b", Outcome::Unchanged, Value::Null),
        Event::RunSucceeded,
    ]);
    let report = reading.report(at(1_000), false);
    assert_eq!(report.status, RunStatus::Succeeded);
    assert_eq!(report.counts, Counts { changed: 1, unchanged: 1, ..Counts::default() });
    assert_eq!((report.elapsed_ms, report.steps[0].elapsed_ms), (5_000, 1_000));
    assert_eq!(report.error, None);
}

#[test]
fn a_failed_step_is_the_error_and_says_which_step_it_was() {
    let reading = read(vec![
        created(),
        started("a", 1),
        step("a", StepEvent::Failed { attempt: 1, failure: failure() }),
        Event::RunHeld,
    ]);
    let report = reading.report(at(9), false);
    assert_eq!(report.status, RunStatus::Held);
    assert_eq!(report.counts, Counts { failed: 1, pending: 1, ..Counts::default() });
    assert_eq!(report.error, Some(Failure { step: Some(StepId::new("a")), ..failure() }));
    assert_eq!(report.steps[0].note.as_deref(), Some("could not reach the API: connection refused"));
}

#[test]
fn resuming_forgets_the_failure_and_keeps_the_attempts() {
    let reading = read(vec![
        created(),
        started("a", 3),
        step("a", StepEvent::Failed { attempt: 3, failure: failure() }),
        Event::RunHeld,
        Event::RunResumed { actor: "ada@loom".into() },
        step("a", StepEvent::Reopened),
    ]);
    let report = reading.report(at(9), true);
    assert_eq!(report.status, RunStatus::Running);
    assert_eq!(report.error, None);
    assert_eq!((report.steps[0].status, report.steps[0].attempts), (StepState::Pending, 3));
}

#[test]
fn a_run_without_a_process_is_interrupted_when_its_last_event_was_written() {
    let reading = read(vec![created(), started("a", 1)]);
    let report = reading.report(at(100), false);
    assert_eq!((report.status, report.elapsed_ms), (RunStatus::Interrupted, 1_000));
    assert_eq!(reading.report(at(100), true).elapsed_ms, 100_000);
}

#[test]
fn what_was_left_behind_comes_from_the_output_of_a_step() {
    let orphan = json!({"place": "demo", "kind": "Service", "name": "lb", "why": "finalizer x", "age_ms": 5});
    let reading =
        read(vec![created(), started("b", 1), done("b", Outcome::Changed, json!({"orphans": [orphan]}))]);
    assert_eq!(reading.report(at(9), true).orphans[0].name, "lb");
}

#[test]
fn a_newer_program_and_a_foreign_step_change_nothing() {
    let reading = read(vec![created(), Event::Unknown, started("zzz", 1)]);
    assert_eq!(reading.report(at(9), true).counts.pending, 2);
}

#[test]
fn a_rejected_gate_is_the_error_of_its_run() {
    let decided = StepEvent::GateDecided { approved: false, by: "ada@loom".into() };
    let opened = StepEvent::GateOpened { attempt: 1, question: "go on?".into() };
    let reading =
        read(vec![created(), started("a", 1), step("a", opened), Event::RunHeld, step("a", decided)]);
    let report = reading.report(at(9), false);
    assert_eq!(report.counts.failed, 1);
    assert_eq!(report.error.map(|error| error.code), Some(Code::new("P0708")));
}
