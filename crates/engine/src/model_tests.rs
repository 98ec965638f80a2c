//! Properties of the pure side: replay, decide and the indexes agree with what they are defined by, on random plans
//! and random luck.

use jiff::Timestamp;
use platform_spec::{Class, Code, Event, Failure, Outcome, PlatformName, StepEvent, StepId, event::Recorded};
use proptest::prelude::*;
use serde_json::Value;

use crate::{
    board::{Board, Indexes},
    clock::add,
    decide::{Action, Ending, Limits, decide, next_wake},
    graph::Graph,
    journal::{Broken, Head, plan_digest_of, verify},
    plan::{Plan, PlannedStep, Policy, Retry},
    status::Status,
};

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
enum Luck {
    Done,
    Waits,
    Retries,
    Fails,
    Gates,
}

fn luck() -> impl Strategy<Value = Luck> {
    prop_oneof![
        6 => Just(Luck::Done),
        3 => Just(Luck::Waits),
        2 => Just(Luck::Retries),
        1 => Just(Luck::Fails),
        1 => Just(Luck::Gates),
    ]
}

fn plans() -> impl Strategy<Value = Plan> {
    let policy = prop_oneof![Just(Policy::Hold), Just(Policy::Unwind), Just(Policy::Forward)];
    (1..12_usize)
        .prop_flat_map(move |n| {
            (policy.clone(), prop::collection::vec(prop::collection::vec(any::<bool>(), n), n))
        })
        .prop_map(|(policy, edges)| Plan {
            flow: "test".into(),
            platform: PlatformName::new("p"),
            policy,
            spec_digest: String::new(),
            state_digest: String::new(),
            steps: edges
                .iter()
                .enumerate()
                .map(|(at, row)| PlannedStep {
                    id: id(at),
                    title: String::new(),
                    uses: "t".into(),
                    version: 1,
                    input: Value::Null,
                    needs: (0..at).filter(|&need| row[need] && need + 4 > at).map(id).collect(),
                    retry: Retry::R1,
                    deadline_ms: 600_000,
                    attempt_timeout_ms: 1_000,
                    shares: if row[0] { vec!["share".into()] } else { Vec::new() },
                    typical_ms: 0,
                })
                .collect(),
        })
}

fn id(at: usize) -> StepId {
    StepId::new(format!("s{at}"))
}

fn failure() -> Failure {
    Failure::new(Code::new("P0704"), Class::Retryable, "no luck")
}

/// Carries a plan out against luck, without a clock or a task: calls end in the order of a lottery.
struct Game<'a> {
    graph: &'a Graph,
    board: Board,
    head: Head,
    events: Vec<Recorded>,
    now: Timestamp,
    limits: Limits,
}

impl Game<'_> {
    fn write(&mut self, event: Event) {
        let recorded = self.head.seal(self.now, event);
        self.board.apply(self.graph, recorded.at, &recorded.event).expect("the game plays by the rules");
        self.events.push(recorded);
    }

    fn step(&mut self, at: usize, event: StepEvent) {
        self.write(Event::Step { step: id(at), event });
    }

    fn act(&mut self, action: Action) -> Option<Ending> {
        match action {
            Action::Start { at, attempt } => {
                assert!(!self.board.live.contains(&at), "never started twice");
                for &need in self.graph.needs(at) {
                    let status = self.board.slot(need).status;
                    assert!(matches!(status, Status::Succeeded { .. }), "needs are done first");
                }
                self.step(at, StepEvent::Started { attempt, input: None });
                self.step(at, StepEvent::Intended { attempt, token: String::new(), intent: Value::Null });
                self.board.begin_call(self.graph, at);
            }
            Action::Look { at } => {
                self.board.begin_call(self.graph, at);
                if at % 2 == 0 {
                    // This one finds that it has to act again.
                    let attempt = self.board.slot(at).status.attempts();
                    let (token, intent) = (String::new(), Value::Null);
                    self.step(at, StepEvent::Intended { attempt, token, intent });
                }
            }
            Action::Expire { at } => {
                let attempt = self.board.slot(at).status.attempts();
                self.step(at, StepEvent::Failed { attempt, failure: failure() });
            }
            Action::Skip { at, .. } => self.step(at, StepEvent::Skipped { because: "lost".into() }),
            Action::Undo { at, attempt } => {
                for &dependent in self.graph.dependents(at) {
                    assert!(!self.board.to_undo(dependent), "undone last first");
                }
                self.step(at, StepEvent::UndoStarted { attempt });
                self.board.begin_call(self.graph, at);
            }
            Action::Finish(ending) => {
                self.write(match ending {
                    Ending::Succeeded => Event::RunSucceeded,
                    Ending::Failed => Event::RunFailed,
                    Ending::Held => Event::RunHeld,
                    Ending::Interrupted => Event::RunInterrupted,
                });
                return Some(ending);
            }
        }
        None
    }

    fn end_call(&mut self, at: usize, luck: Luck) {
        self.board.end_call(self.graph, at);
        let status = self.board.slot(at).status;
        let attempt = status.attempts();
        if matches!(status, Status::Undoing { .. }) {
            return match luck {
                Luck::Fails => self.step(at, StepEvent::Stuck { failure: failure() }),
                _ => self.step(at, StepEvent::Undone { ledger: Vec::new() }),
            };
        }
        match luck {
            Luck::Waits => {
                let operation = Value::Null;
                self.step(at, StepEvent::Waiting { attempt, waiting_for: "it".into(), operation });
                let when = add(self.now, std::time::Duration::from_secs(60));
                self.board.look_at(when, at);
            }
            Luck::Retries if self.board.slot(at).failures < 3 => {
                let not_before = add(self.now, std::time::Duration::from_secs(2));
                self.step(at, StepEvent::Retrying { attempt, failure: failure(), not_before });
            }
            Luck::Fails => self.step(at, StepEvent::Failed { attempt, failure: failure() }),
            Luck::Gates if matches!(status, Status::Running { .. }) => {
                self.step(at, StepEvent::GateOpened { attempt, question: "?".into() });
            }
            _ => {
                let outcome = Outcome::Changed;
                self.step(
                    at,
                    StepEvent::Succeeded { attempt, outcome, output: Value::Null, ledger: Vec::new() },
                );
            }
        }
    }

    fn play(&mut self, lottery: &[(usize, Luck)]) -> Ending {
        let first = Event::RunCreated { plan_digest: plan_digest_of(&self.graph.plan), actor: "t".into() };
        self.write(first);
        for round in 0..10_000 {
            loop {
                let actions = decide(self.graph, &self.board, &self.limits, false, self.now);
                if actions.is_empty() {
                    break;
                }
                for action in actions {
                    if let Some(ending) = self.act(action) {
                        return ending;
                    }
                }
                assert!(self.board.live.len() <= self.limits.max_parallel, "limits hold");
                let shared = self.board.shares.get("share").copied().unwrap_or(0);
                assert!(shared <= self.limits.shares["share"], "shares hold");
            }
            self.check_indexes();
            let (pick, luck) = lottery[round % lottery.len()];
            let live: Vec<usize> = self.board.live.iter().copied().collect();
            if live.is_empty() {
                self.now = next_wake(&self.board, self.now)
                    .expect("something is scheduled when nothing is in flight");
            } else {
                // Luck that always waits would wait for ever: after a while, calls simply end.
                let luck = if round > 2_000 { Luck::Done } else { luck };
                self.end_call(live[pick % live.len()], luck);
            }
        }
        panic!("a finite plan ends");
    }

    fn check_indexes(&self) {
        let mut anew = self.board.clone();
        anew.reindex(self.graph);
        assert_eq!(self.board.index, anew.index, "indexes kept = indexes computed");
        let _: &Indexes = &anew.index;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_plan_ends_and_any_prefix_replays(
        plan in plans(),
        lottery in prop::collection::vec((any::<usize>(), luck()), 1..40),
        max_parallel in 1..5_usize,
    ) {
        let graph = Graph::of(plan).expect("edges only point back");
        let limits = Limits { max_parallel, shares: [("share".to_owned(), 1)].into() };
        let mut game = Game {
            graph: &graph,
            board: Board::new(&graph),
            head: Head::default(),
            events: Vec::new(),
            now: Timestamp::UNIX_EPOCH,
            limits,
        };
        let ending = game.play(&lottery);
        let board = game.board.clone();

        match (ending, graph.plan.policy) {
            (Ending::Succeeded, _) => {
                let done = board.slots().iter().all(|s| matches!(s.status, Status::Succeeded { .. }));
                prop_assert!(done);
            }
            (Ending::Failed, Policy::Unwind) => {
                let stuck = board.slots().iter().any(|s| matches!(s.status, Status::Stuck { .. }));
                let nothing_left = (0..graph.len()).all(|at| !board.to_undo(at));
                prop_assert!(stuck || nothing_left);
            }
            (Ending::Failed, policy) => prop_assert_eq!(policy, Policy::Forward),
            (Ending::Held, _) => {}
            (Ending::Interrupted, _) => prop_assert!(false, "nobody interrupted it"),
        }

        verify(&graph.plan, &game.events).expect("the chain is whole");
        let mut stepwise = Board::new(&graph);
        for cut in 0..game.events.len() {
            let prefix = Board::replay(&graph, &game.events[..cut]).expect("a prefix is a history");
            prop_assert_eq!(prefix.slots(), stepwise.slots());
            prop_assert_eq!(&prefix.index, &stepwise.index);
            let next = &game.events[cut];
            stepwise.apply(&graph, next.at, &next.event).expect("legal");
        }
    }

    #[test]
    fn a_tampered_history_does_not_verify(
        plan in plans(),
        lottery in prop::collection::vec((any::<usize>(), luck()), 1..20),
        victim in any::<prop::sample::Index>(),
    ) {
        let graph = Graph::of(plan).expect("edges only point back");
        let limits = Limits { max_parallel: 4, shares: [("share".to_owned(), 1)].into() };
        let mut game = Game {
            graph: &graph, board: Board::new(&graph), head: Head::default(), events: Vec::new(),
            now: Timestamp::UNIX_EPOCH, limits,
        };
        game.play(&lottery);
        let at = victim.index(game.events.len());

        let mut changed = game.events.clone();
        changed[at].event = Event::RunAbandoned { by: "mallory".into(), because: "cover".into() };
        prop_assert_eq!(verify(&graph.plan, &changed), Err(Broken::Changed { seq: at as u64 + 1 }));

        let mut cut = game.events.clone();
        cut.remove(at);
        prop_assert_eq!(verify(&graph.plan, &cut).is_ok(), at + 1 == game.events.len());

        let mut other = (*graph.plan).clone();
        other.flow = "other".into();
        prop_assert_eq!(verify(&other, &game.events), Err(Broken::OtherPlan));
    }
}

#[test]
fn time_never_goes_back_in_a_journal() {
    let mut head = Head::default();
    let late = Timestamp::from_second(7_200).expect("a time");
    let early = Timestamp::from_second(3_600).expect("a time");
    let first = head.seal(late, Event::RunInterrupted);
    let second = head.seal(early, Event::RunInterrupted);
    assert_eq!((first.at, second.at), (late, late));
}
