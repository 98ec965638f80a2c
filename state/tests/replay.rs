//! Over random histories: the rows that screens read are what a replay of the events says.

mod common;

use std::collections::BTreeMap;

use common::{Trial, at, demo, put, step};
use jiff::Timestamp;
use platform_engine::{board::Board, graph::Graph, journal::verify, report, status::next_run, store::Store};
use platform_spec::{
    Class, Code, Event, Failure, LedgerChange, Outcome, StepEvent,
    event::{LedgerEntry, Recorded},
};
use platform_state::StepRow;
use proptest::prelude::*;
use serde_json::json;

const STEPS: usize = 4;

/// Everything that might happen next to a step, legal or not.
fn candidates(attempts: u32, flavour: u8) -> Vec<StepEvent> {
    let failure = Failure::new(Code::new("P0113"), Class::Retryable, format!("broke {flavour}"));
    let outcome = [Outcome::Changed, Outcome::Unchanged, Outcome::Skipped][usize::from(flavour % 3)];
    let key = format!("thing/{}", flavour % 5);
    let ledger = match flavour % 4 {
        0 => vec![],
        1 => vec![put(&key, "id"), put("thing/0", "other")],
        2 => vec![LedgerChange::Drop { key: key.clone() }],
        _ => vec![put(&key, "id"), LedgerChange::Drop { key }],
    };
    let operation = if flavour.is_multiple_of(2) { json!(null) } else { json!({ "operation": flavour }) };
    let mut all = vec![
        StepEvent::GateDecided { approved: flavour.is_multiple_of(2), by: "ada@loft".into() },
        StepEvent::Skipped { because: format!("no zone {flavour}") },
        StepEvent::InDoubt,
        StepEvent::Reopened,
        StepEvent::Undone { ledger: ledger.clone() },
        StepEvent::Stuck { failure: failure.clone() },
    ];
    for attempt in [attempts, attempts + 1] {
        all.extend([
            StepEvent::Started { attempt, input: None },
            StepEvent::Intended { attempt, token: format!("t{flavour}"), intent: json!({ "make": flavour }) },
            StepEvent::Waiting {
                attempt,
                waiting_for: format!("it {flavour}"),
                operation: operation.clone(),
            },
            StepEvent::GateOpened { attempt, question: "go on?".into() },
            StepEvent::Succeeded { attempt, outcome, output: json!(flavour), ledger: ledger.clone() },
            StepEvent::Retrying { attempt, failure: failure.clone(), not_before: at(5) },
            StepEvent::Failed { attempt, failure: failure.clone() },
        ]);
    }
    all.extend((1..4).map(|attempt| StepEvent::UndoStarted { attempt }));
    all
}

/// A legal next event, chosen by three numbers.
fn choose(board: &Board, (which, index, flavour): (u8, usize, u8)) -> Option<Event> {
    let number = usize::from(which) % (STEPS + 1);
    let legal: Vec<Event> = if number == STEPS {
        [Event::RunHeld, Event::RunInterrupted, Event::RunResumed { actor: "ada@loft".into() }].into()
    } else {
        let status = board.slot(number).status;
        candidates(status.attempts(), flavour)
            .into_iter()
            .filter(|event| status.next(event).is_ok())
            .map(|event| Event::Step { step: step(number), event })
            .collect()
    };
    let legal: Vec<Event> = legal.into_iter().filter(|event| next_run(board.run, event).is_ok()).collect();
    (!legal.is_empty()).then(|| legal[index % legal.len()].clone())
}

fn rows_of(graph: &Graph, board: &Board) -> Vec<StepRow> {
    let now = at(0);
    let reports = report::of(&common_run(), graph, board, (now, now)).steps;
    reports
        .into_iter()
        .zip(board.slots())
        .zip(&graph.plan.steps)
        .map(|((report, slot), planned)| StepRow {
            id: report.id,
            title: planned.title.clone(),
            state: report.status,
            outcome: report.outcome,
            attempts: report.attempts,
            note: report.note,
            started_at: slot.started,
            ended_at: slot.ended,
        })
        .collect()
}

fn common_run() -> platform_spec::RunId {
    platform_spec::RunId::new("01RUN0000000000000000000AA")
}

fn ledger_of(events: &[Recorded]) -> BTreeMap<String, LedgerEntry> {
    let mut ledger = BTreeMap::new();
    for recorded in events {
        let Event::Step {
            event: StepEvent::Succeeded { ledger: changes, .. } | StepEvent::Undone { ledger: changes },
            ..
        } = &recorded.event
        else {
            continue;
        };
        for change in changes {
            match change {
                LedgerChange::Put(entry) => ledger.insert(entry.key.clone(), entry.clone()),
                LedgerChange::Drop { key } => ledger.remove(key),
            };
        }
    }
    ledger
}

async fn history(choices: Vec<(u8, usize, u8)>, batch_sizes: Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), STEPS).await;
    let graph = Graph::of(trial.plan.clone()).unwrap();
    let mut board = Board::new(&graph);
    let first = trial.store.load(&trial.run).await.unwrap().events;
    board.apply(&graph, first[0].at, &first[0].event).unwrap();
    let mut all = first;
    let mut sizes = batch_sizes.into_iter().cycle();
    let mut choices = choices.into_iter().peekable();
    while choices.peek().is_some() {
        let size = sizes.next().unwrap();
        let mut batch = Vec::new();
        for choice in choices.by_ref().take(size) {
            let Some(event) = choose(&board, choice) else { continue };
            let sealed = trial.seal([event]).remove(0);
            board.apply(&graph, sealed.at, &sealed.event).unwrap();
            batch.push(sealed);
        }
        trial.store.append(&trial.lease, &trial.run, &batch).await.unwrap();
        all.extend(batch);
        // Not after every batch, so that the writer also goes on unobserved, and the test stays short.
        if size.is_multiple_of(2) && choices.peek().is_some() {
            continue;
        }
        let row = trial.store.run(&trial.run).await.unwrap();
        assert_eq!(Some(row.status), board.run);
        let span: (Timestamp, Timestamp) = (at(0), at(0));
        assert_eq!(row.counts, report::of(&trial.run, &graph, &board, span).counts);
        assert_eq!(trial.store.steps(&trial.run).await.unwrap(), rows_of(&graph, &board));
        let ledger = trial.store.ledger(&demo()).await.unwrap();
        let ledger: BTreeMap<_, _> =
            ledger.into_iter().map(|row| (row.entry.key.clone(), row.entry)).collect();
        assert_eq!(ledger, ledger_of(&all));
    }
    let stored = trial.store.load(&trial.run).await.unwrap();
    assert_eq!(stored.events, all);
    verify(&stored.plan, &stored.events).unwrap();
    trial.store.check().await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rows_say_what_the_events_say(
        choices in prop::collection::vec((any::<u8>(), any::<usize>(), any::<u8>()), 20..150),
        batch_sizes in prop::collection::vec(1_usize..9, 1..4),
    ) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
            .block_on(history(choices, batch_sizes));
    }
}
