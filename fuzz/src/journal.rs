//! Histories of runs.

use jiff::{SignedDuration, Timestamp};
use platform_engine::{
    board::{Board, Slot},
    decide::{Action, Ending, Limits, decide, take_over},
    graph::Graph,
    journal::{Head, plan_digest_of, verify},
    plan::{Plan, PlannedStep, Policy, Retry},
    status::Status,
};
use platform_spec::{
    Class, Code, Event, Failure, Outcome, PlatformName, StepEvent, StepId, event::Recorded, report::RunStatus,
};
use serde_json::{Value, json};

use super::choices::Choices;

/// More events than a mistake needs, and few enough to try every place at which they may end.
const LONGEST: usize = 60;

/// Lines of JSON are a journal as it is stored; anything else is a story that the bytes choose, one event after another,
/// most of them such as may follow.
pub fn holds(data: &[u8]) {
    if data.first() == Some(&b'{') {
        stored(data);
    } else {
        let choices = &mut Choices(data);
        let graph = Graph::of(plan(choices)).expect("needs point backwards");
        let events = story(&graph, choices);
        chained(&graph.plan, &events);
        cut_anywhere(&graph, &events);
    }
}

/// Each line that is an event is the same event when written and read again; and whatever they say is read, or refused.
fn stored(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n');
    let events: Vec<Recorded> =
        lines.filter_map(|line| serde_json::from_slice(line).ok()).take(LONGEST).collect();
    for event in &events {
        let text = serde_json::to_vec(event).expect("an event is plain data");
        let again: Recorded = serde_json::from_slice(&text).expect("what was written can be read");
        assert_eq!(*event, again);
        // What is hashed is the text, so that has to be the same as well.
        assert_eq!(text, serde_json::to_vec(&again).expect("plain data"));
    }
    let mut steps: Vec<&StepId> = Vec::new();
    for recorded in &events {
        if let Event::Step { step, .. } = &recorded.event
            && !steps.contains(&step)
        {
            steps.push(step);
        }
    }
    let steps = steps.into_iter().map(|id| planned(id.clone(), Vec::new())).collect();
    let plan = of_steps(Policy::Hold, steps);
    // Nobody has sealed these; that is said, and is no reason to stop.
    let _said = verify(&plan, &events);
    cut_anywhere(&Graph::of(plan).expect("nobody needs anybody"), &events);
}

fn of_steps(policy: Policy, steps: Vec<PlannedStep>) -> Plan {
    Plan {
        flow: "up".to_owned(),
        platform: PlatformName::new("p"),
        policy,
        spec_digest: String::new(),
        state_digest: String::new(),
        steps,
    }
}

fn planned(id: StepId, needs: Vec<StepId>) -> PlannedStep {
    PlannedStep {
        id,
        title: String::new(),
        uses: "test".to_owned(),
        version: 1,
        input: Value::Null,
        needs,
        retry: Retry::R1,
        deadline_ms: 60_000,
        attempt_timeout_ms: 1_000,
        shares: Vec::new(),
        typical_ms: 0,
    }
}

fn plan(choices: &mut Choices<'_>) -> Plan {
    let policy = choices.pick(&[Policy::Hold, Policy::Unwind, Policy::Forward]);
    let count = 1 + choices.of(5);
    let id = |at: usize| StepId::new(format!("s{at}"));
    let mut steps = Vec::new();
    for at in 0..count {
        let bits = choices.byte();
        steps.push(planned(id(at), (0..at).filter(|need| bits & (1 << need) != 0).map(id).collect()));
    }
    of_steps(policy, steps)
}

/// Seals one event after another. What cannot follow is left out, but for the last, which may be anything.
fn story(graph: &Graph, choices: &mut Choices<'_>) -> Vec<Recorded> {
    let mut head = Head::default();
    let mut board = Board::new(graph);
    let created = Event::RunCreated { plan_digest: plan_digest_of(&graph.plan), actor: "a@b".to_owned() };
    let mut events = vec![head.seal(Timestamp::UNIX_EPOCH, created)];
    board.apply(graph, events[0].at, &events[0].event).expect("a run begins");
    while !choices.is_empty() && events.len() < LONGEST {
        // The clock may also be set back.
        let now = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::from(choices.byte()));
        let recorded = head.clone().seal(now, event(graph, &board, choices));
        // Nothing begins before what it needs, and only an unwinding run undoes; a journal does not say so, its chain does.
        if let Event::Step { step, event } = &recorded.event {
            let early = |at: usize| graph.needs(at).iter().any(|need| !is_done(&board, *need));
            let never = match event {
                StepEvent::Started { .. } => graph.at(step).is_some_and(early),
                StepEvent::UndoStarted { .. } => graph.plan.policy != Policy::Unwind,
                _ => false,
            };
            if never {
                continue;
            }
        }
        let last = choices.is_empty();
        if last || board.apply(graph, recorded.at, &recorded.event).is_ok() {
            head = Head::after(std::slice::from_ref(&recorded));
            events.push(recorded);
        }
    }
    events
}

fn is_done(board: &Board, at: usize) -> bool {
    matches!(board.slot(at).status, Status::Succeeded { .. })
}

fn failure() -> Failure {
    Failure::new(Code::new("P0704"), Class::Retryable, "no luck")
}

fn event(graph: &Graph, board: &Board, choices: &mut Choices<'_>) -> Event {
    let kind = choices.of(21);
    let at = choices.of(graph.len());
    let attempts = board.slot(at).status.attempts();
    // Mostly the attempt that may be.
    let attempt = if choices.once_in(8) { u32::from(choices.byte()) } else { attempts };
    let begun = if attempt == attempts { attempts + 1 } else { attempt };
    let output = choices.pick(&[Choice::Nothing, Choice::Word, Choice::Number]).value();
    let event = match kind {
        0..=2 => StepEvent::Started { attempt: begun, input: choices.once_in(4).then(|| json!({ "x": 1 })) },
        3 => StepEvent::Intended { attempt, token: "t".to_owned(), intent: output },
        4 => StepEvent::Waiting { attempt, waiting_for: "it".to_owned(), operation: output },
        5 => StepEvent::GateOpened { attempt, question: "go on?".to_owned() },
        6 => StepEvent::GateDecided { approved: choices.once_in(2), by: "a@b".to_owned() },
        7 | 8 => StepEvent::Succeeded { attempt, outcome: Outcome::Changed, output, ledger: Vec::new() },
        9 => {
            let not_before = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(i64::from(choices.byte()));
            StepEvent::Retrying { attempt, failure: failure(), not_before }
        }
        10 => StepEvent::Failed { attempt, failure: failure() },
        11 => StepEvent::Skipped { because: "lost".to_owned() },
        12 => StepEvent::InDoubt,
        13 => StepEvent::Reopened,
        14 => StepEvent::UndoStarted { attempt: 1 + u32::from(choices.byte() % 3) },
        15 => StepEvent::Undone { ledger: Vec::new() },
        16 => StepEvent::Stuck { failure: failure() },
        17 => return Event::RunResumed { actor: "c@d".to_owned() },
        18 => return Event::RunHeld,
        19 => return Event::RunInterrupted,
        _ => {
            let ends = [Event::RunSucceeded, Event::RunFailed, Event::Unknown];
            return ends[choices.of(ends.len())].clone();
        }
    };
    Event::Step { step: graph.step(at).id.clone(), event }
}

/// What an output may hold.
#[derive(Clone, Copy)]
enum Choice {
    Nothing,
    Word,
    Number,
}

impl Choice {
    fn value(self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Word => json!({ "id": "x-1" }),
            Self::Number => json!(0.1),
        }
    }
}

/// A history verifies, cut off anywhere too; and no longer when one event was changed, taken out or moved.
fn chained(plan: &Plan, events: &[Recorded]) {
    for end in 0..=events.len() {
        assert_eq!(verify(plan, &events[..end]), Ok(()), "cut off after {end}");
    }
    for at in 0..events.len() {
        let mut changed = events.to_vec();
        changed[at].at += SignedDuration::from_nanos(1);
        assert!(verify(plan, &changed).is_err(), "event {at} was changed");
        if at + 1 < events.len() {
            let mut missing = events.to_vec();
            missing.remove(at);
            assert!(verify(plan, &missing).is_err(), "event {at} was taken out");
            let mut moved = events.to_vec();
            moved.swap(at, at + 1);
            assert!(verify(plan, &moved).is_err(), "event {at} was moved");
        }
    }
}

/// What a board shows.
fn picture(board: &Board) -> (Option<RunStatus>, Vec<Slot>) {
    (board.run, board.slots().to_vec())
}

/// Wherever a history ends, reading it at once and bit by bit is the same, and it can be continued. What cannot follow is
/// refused and changes nothing.
fn cut_anywhere(graph: &Graph, events: &[Recorded]) {
    let mut board = Board::new(graph);
    for (at, recorded) in events.iter().enumerate() {
        let before = picture(&board);
        let applied = board.apply(graph, recorded.at, &recorded.event);
        match Board::replay(graph, &events[..=at]) {
            Err(_) => {
                assert!(applied.is_err(), "event {at} is refused only when all are read");
                assert_eq!(picture(&board), before, "event {at} is refused and has changed something");
                return;
            }
            Ok(read) => {
                applied.unwrap_or_else(|illegal| panic!("event {at} is refused only by itself: {illegal}"));
                assert_eq!(picture(&read), picture(&board), "read at once, and bit by bit");
                continued(graph, read, recorded.at);
            }
        }
    }
}

/// Another process takes over, and what it decides to do may follow. A run that has ended is left alone.
fn continued(graph: &Graph, mut board: Board, at: Timestamp) {
    if !board.run.is_some_and(RunStatus::is_resumable) {
        return;
    }
    for event in take_over(graph, &board, "next@b") {
        board.apply(graph, at, &event).unwrap_or_else(|illegal| panic!("{event:?}: {illegal}"));
    }
    board.reindex(graph);
    let far = Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365);
    for now in [at, far] {
        let actions = decide(graph, &board, &Limits::default(), false, now);
        for action in &actions {
            let board = &mut board.clone();
            let step = |at: usize, event| Event::Step { step: graph.step(at).id.clone(), event };
            let follows = match action {
                Action::Start { at, attempt } => {
                    let needs = graph.needs(*at);
                    assert!(needs.iter().all(|need| is_done(board, *need)), "begun before what it needs");
                    step(*at, StepEvent::Started { attempt: *attempt, input: None })
                }
                Action::Expire { at } => {
                    let attempt = board.slot(*at).status.attempts();
                    step(*at, StepEvent::Failed { attempt, failure: failure() })
                }
                Action::Skip { at, .. } => step(*at, StepEvent::Skipped { because: "lost".to_owned() }),
                Action::Undo { at, attempt } => step(*at, StepEvent::UndoStarted { attempt: *attempt }),
                Action::Look { .. } => continue,
                Action::Finish(ending) => match ending {
                    Ending::Succeeded => Event::RunSucceeded,
                    Ending::Failed => Event::RunFailed,
                    Ending::Held => Event::RunHeld,
                    Ending::Interrupted => Event::RunInterrupted,
                },
            };
            board.apply(graph, now, &follows).unwrap_or_else(|illegal| panic!("{action:?}: {illegal}"));
        }
        // Nobody is at work, so there is something to do, or something to wait for.
        let waits = board.slots().iter().any(|slot| matches!(slot.status, Status::Retrying { .. }));
        assert!(!actions.is_empty() || waits, "a run stands still");
    }
}
