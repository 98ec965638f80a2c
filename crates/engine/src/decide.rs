//! What to do next: a pure function of the board and the time. No clock, no chance, no waiting.

use std::{collections::BTreeMap, ops::Bound};

use jiff::Timestamp;
use platform_spec::{Event, StepEvent};

use crate::{board::Board, graph::Graph, plan::Policy, status::Status};

/// Something the loop is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Begin an attempt.
    Start {
        /// Which step.
        at: usize,
        /// Which attempt.
        attempt: u32,
    },
    /// Look whether what a step waits for has come.
    Look {
        /// Which step.
        at: usize,
    },
    /// Give up waiting: its time is up.
    Expire {
        /// Which step.
        at: usize,
    },
    /// Leave it out: something it needs failed.
    Skip {
        /// Which step.
        at: usize,
        /// What it needed.
        lost: usize,
    },
    /// Remove again what it made.
    Undo {
        /// Which step.
        at: usize,
        /// Which attempt at undoing.
        attempt: u32,
    },
    /// Nothing more is to be done now.
    Finish(Ending),
}

/// How a run ends, or comes to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every step is done.
    Succeeded,
    /// Some step failed, and everything that should still be done is done.
    Failed,
    /// A step failed, or a person must decide; resumable.
    Held,
    /// It was asked to stop; resumable.
    Interrupted,
}

/// How much may go on at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Calls in flight in the whole run.
    pub max_parallel: usize,
    /// Calls in flight for a share (`provider:aws`); a share without a limit has none.
    pub shares: BTreeMap<String, usize>,
}

impl Default for Limits {
    /// Sixteen calls: enough to keep several clouds busy, few enough to stay under their rate limits.
    fn default() -> Self {
        Self { max_parallel: 16, shares: BTreeMap::new() }
    }
}

/// Decides what to do now.
///
/// # Guarantees
/// A step is started only when all it needs is done, and never while a call into it is in flight. When nothing is in
/// flight and nothing is scheduled, the answer is [`Action::Finish`]; so a finite plan always ends.
pub fn decide(graph: &Graph, board: &Board, limits: &Limits, stopping: bool, now: Timestamp) -> Vec<Action> {
    let failed = !board.index.failed.is_empty();
    if stopping {
        return rest(board, Ending::Interrupted);
    }
    match graph.plan.policy {
        Policy::Hold if failed => rest(board, Ending::Held),
        Policy::Unwind if failed || !board.index.undoing.is_empty() || board.index.undone > 0 => {
            unwind(graph, board, limits)
        }
        _ => go_on(graph, board, limits, now),
    }
}

/// What a process writes down before it continues a run that rests, or whose process is gone: what ran is in doubt, and
/// what failed is tried again, unless it is being undone.
pub fn take_over(graph: &Graph, board: &Board, actor: &str) -> Vec<Event> {
    let mut wake = vec![Event::RunResumed { actor: actor.to_owned() }];
    for (at, slot) in board.slots().iter().enumerate() {
        let event = match slot.status {
            Status::Running { .. } => StepEvent::InDoubt,
            Status::Failed { .. } | Status::Skipped { .. } if graph.plan.policy != Policy::Unwind => {
                StepEvent::Reopened
            }
            _ => continue,
        };
        wake.push(Event::Step { step: graph.step(at).id.clone(), event });
    }
    wake
}

/// When [`decide`], asked at `now`, may answer differently although nothing happens: the next retry or look.
///
/// One that is due already and was not begun had no room, and only the end of a call makes room.
pub fn next_wake(board: &Board, now: Timestamp) -> Option<Timestamp> {
    let later = (Bound::Excluded((now, usize::MAX)), Bound::Unbounded);
    let due = board.index.due.range(later).next().map(|&(when, _)| when);
    let look = board.looks.range(later).next().map(|&(when, _)| when);
    due.into_iter().chain(look).min()
}

fn rest(board: &Board, ending: Ending) -> Vec<Action> {
    if board.live.is_empty() { vec![Action::Finish(ending)] } else { Vec::new() }
}

fn go_on(graph: &Graph, board: &Board, limits: &Limits, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    for &at in &board.index.doomed {
        let lost =
            graph.needs(at).iter().copied().find(|&need| {
                matches!(board.slot(need).status, Status::Failed { .. } | Status::Skipped { .. })
            });
        actions.extend(lost.map(|lost| Action::Skip { at, lost }));
    }

    let mut room = Room::of(board, limits);
    for &at in &board.index.doubt {
        if room.take(graph, at) {
            actions.push(Action::Start { at, attempt: board.slot(at).status.attempts() + 1 });
        }
    }
    for &(when, at) in &board.looks {
        if when > now {
            break;
        }
        if board.deadline(graph, at).is_some_and(|deadline| deadline <= now) {
            actions.push(Action::Expire { at });
        } else if room.take(graph, at) {
            actions.push(Action::Look { at });
        }
    }
    for &(when, at) in &board.index.due {
        if when > now {
            break;
        }
        if room.take(graph, at) {
            actions.push(Action::Start { at, attempt: board.slot(at).status.attempts() + 1 });
        }
    }
    for &at in &board.index.ready {
        if room.left == 0 {
            break;
        }
        if room.take(graph, at) {
            actions.push(Action::Start { at, attempt: board.slot(at).status.attempts() + 1 });
        }
    }

    if actions.is_empty() && board.live.is_empty() {
        if board.index.settled == graph.len() {
            let ending = if board.index.failed.is_empty() { Ending::Succeeded } else { Ending::Failed };
            return vec![Action::Finish(ending)];
        }
        if next_wake(board, now).is_none() {
            // Only gates, and what stands behind them, are left.
            return vec![Action::Finish(Ending::Held)];
        }
    }
    actions
}

fn unwind(graph: &Graph, board: &Board, limits: &Limits) -> Vec<Action> {
    if !board.live.is_empty() {
        return Vec::new();
    }
    let in_the_way = |at: usize| {
        board.to_undo(at) || matches!(board.slot(at).status, Status::Undoing { .. } | Status::Stuck { .. })
    };
    let free = |at: usize| !graph.dependents(at).iter().any(|&dependent| in_the_way(dependent));
    let mut room = Room::of(board, limits);
    let mut actions = Vec::new();
    for at in (0..graph.len()).rev() {
        let attempt = match board.slot(at).status {
            Status::Undoing { undo, .. } => undo + 1,
            _ if board.to_undo(at) && free(at) => 1,
            _ => continue,
        };
        if room.take(graph, at) {
            actions.push(Action::Undo { at, attempt });
        }
    }
    if actions.is_empty() {
        actions.push(Action::Finish(Ending::Failed));
    }
    actions
}

/// What the limits still allow while one answer is put together.
struct Room<'a> {
    left: usize,
    board: &'a Board,
    limits: &'a Limits,
    taken: BTreeMap<&'a str, usize>,
}

impl<'a> Room<'a> {
    fn of(board: &'a Board, limits: &'a Limits) -> Self {
        let left = limits.max_parallel.max(1).saturating_sub(board.live.len());
        Self { left, board, limits, taken: BTreeMap::new() }
    }

    fn take(&mut self, graph: &'a Graph, at: usize) -> bool {
        if self.left == 0 {
            return false;
        }
        let shares = &graph.step(at).shares;
        let full = shares.iter().any(|share| {
            self.limits.shares.get(share).is_some_and(|&limit| {
                let live = self.board.shares.get(share).copied().unwrap_or(0);
                live + self.taken.get(share.as_str()).copied().unwrap_or(0) >= limit.max(1)
            })
        });
        if full {
            return false;
        }
        for share in shares {
            *self.taken.entry(share).or_default() += 1;
        }
        self.left -= 1;
        true
    }
}
