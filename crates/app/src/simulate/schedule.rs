//! Random schedules: kills, faults and jumps of the clock, all from one seed.
//!
//! Whatever happens, `up` ends with everything there once, or holds with a reason that was really there; `down` ends with
//! nothing left; the journal verifies. A schedule that shows otherwise is a [`Flaw`], which the same seed shows again.

use std::{collections::BTreeMap, time::Duration};

use jiff::SignedDuration;
use platform_engine::{
    decide::Ending,
    journal,
    local::{Ended, Options},
    memory::Kill,
    status::Status,
    store::{Store, StoreError},
};
use platform_sandbox::parts::{
    chance::Chance,
    faults::{Fault, Rule, Script},
};
use platform_spec::{Class, Code, Failure};

use super::{Played, Shared};
use crate::carry::Flow;

/// Longer than any read is stale.
const STALE: Duration = Duration::from_secs(60);

/// Lives of a process that one flow may take; more would be one that does not get on.
const LIVES: u32 = 40;

/// What a step says that has waited for too long.
const TOO_LONG: Code = Code::new("P0707");

/// Why things fail in the cloud that were made to.
const FAILED: &str = "the hypervisor caught fire";

/// A schedule that shows something wrong.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Flaw {
    /// The seed that shows it.
    pub seed: u64,
    /// What was wrong.
    pub what: String,
}

/// What many schedules came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Schedules played.
    pub schedules: u64,
    /// Processes that were killed.
    pub killed: u64,
    /// Runs that held for a reason and went on when it was gone.
    pub held: u64,
    /// Calls that a fault struck.
    pub struck: u64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            schedules: self.schedules + other.schedules,
            killed: self.killed + other.killed,
            held: self.held + other.held,
            struck: self.struck + other.struck,
        }
    }
}

/// Dice of one schedule.
struct Dice {
    chance: Chance,
    thrown: u64,
}

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.thrown += 1;
        self.chance.number(&["schedule", &self.thrown.to_string()]) % most.max(1)
    }

    fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let at = usize::try_from(self.below(of.len() as u64)).unwrap_or(0);
        &of[at]
    }
}

/// What there is in the cloud, by kind and name.
type There = BTreeMap<(String, String), u64>;

fn there(played: &Played) -> There {
    let mut there = There::new();
    for thing in played.world.cloud().things() {
        *there.entry((thing.kind.word().to_owned(), thing.name)).or_default() += 1;
    }
    there
}

/// Plays one schedule.
///
/// # Errors
/// What was wrong.
pub async fn play(seed: u64, shared: &Shared) -> Result<Tally, Flaw> {
    let played = Played::new(seed, shared).await;
    let played = played.map_err(|failure| Flaw { seed, what: format!("no world: {failure:?}") })?;
    play_in(&played, seed).await
}

/// Plays one schedule in a new world.
///
/// # Errors
/// What was wrong.
pub async fn play_in(played: &Played, seed: u64) -> Result<Tally, Flaw> {
    let mut dice = Dice { chance: Chance::new(seed), thrown: 0 };
    let flaw = |what: String| Flaw { seed, what };
    let mut tally = Tally { schedules: 1, ..Tally::default() };
    for flow in [Flow::Up, Flow::Down] {
        played.world.faults().set(storm(&mut dice));
        carry(played, flow, &mut dice, &mut tally).await.map_err(flaw)?;
        let found = there(played);
        let twice: Vec<_> = found.iter().filter(|(_, count)| **count > 1).collect();
        if !twice.is_empty() {
            return Err(flaw(format!("after {}: made twice: {twice:?}", flow.as_str())));
        }
        match flow {
            Flow::Up if found.is_empty() => return Err(flaw("`up` succeeded and made nothing".to_owned())),
            Flow::Down if !found.is_empty() => {
                return Err(flaw(format!("after down: left in the cloud: {found:?}")));
            }
            _ => {}
        }
    }
    // Whoever searches while reads are stale sees what is gone.
    played.world.faults().clear();
    tokio::time::advance(STALE).await;
    let left = played.left().await.map_err(|failure| flaw(format!("the search failed: {failure:?}")))?;
    if !left.is_empty() {
        return Err(flaw(format!("after down: left behind: {left:?}")));
    }
    Ok(tally)
}

/// Carries a flow out through kills and faults, until it has succeeded.
async fn carry(played: &Played, flow: Flow, dice: &mut Dice, tally: &mut Tally) -> Result<(), String> {
    let mut kills = dice.below(4);
    for _ in 0..LIVES {
        let kill = (kills > 0).then(|| {
            kills -= 1;
            let write = 1 + dice.below(60);
            if dice.below(2) == 0 { Kill::BeforeWrite(write) } else { Kill::AfterWrite(write) }
        });
        // A process may also just vanish, in the middle of calls.
        let vanish = (kill.is_none() && dice.below(4) == 0).then(|| Duration::from_secs(dice.below(1_200)));
        // Each process may find the machine's clock set forward or back.
        if dice.below(4) == 0 {
            let wrong = i64::try_from(dice.below(7_200)).unwrap_or(0) - 3_600;
            played.set_clock(SignedDuration::from_secs(wrong));
        }
        played.store.kill(kill);
        let life = played.live(flow, Options::default());
        let ended = match vanish {
            Some(after) => tokio::time::timeout(after, life).await.ok(),
            None => Some(life.await),
        };
        played.store.kill(None);
        verified(played).await?;
        match ended {
            Some(Ok(Ended { ending: Ending::Succeeded, .. })) => {
                tally.struck += struck(played);
                return Ok(());
            }
            Some(Ok(ended)) => {
                // A step that goes on may still bear what an attempt before failed of.
                let failed = ended
                    .board
                    .slots()
                    .iter()
                    .filter(|slot| matches!(slot.status, Status::Failed { .. } | Status::Stuck { .. }));
                let failures: Vec<Failure> =
                    failed.filter_map(|slot| slot.failure.as_deref()).cloned().collect();
                if failures.is_empty() {
                    return Err(format!("{} ended {:?} and nothing has failed", flow.as_str(), ended.ending));
                }
                if let Some(wrong) = failures.iter().find(|failure| !was_asked_for(played, failure)) {
                    return Err(format!(
                        "{} ended {:?} without a reason: {wrong:?}",
                        flow.as_str(),
                        ended.ending
                    ));
                }
                tally.held += 1;
                tally.struck += struck(played);
                // A person has removed the reason.
                played.world.faults().clear();
                super::roads::mend(&played.world).await?;
            }
            Some(Err(failure)) if kill.is_some() && failure.message == "killed" => tally.killed += 1,
            Some(Err(failure)) if was_asked_for(played, &failure) => {
                tally.struck += struck(played);
                played.world.faults().clear();
                super::roads::mend(&played.world).await?;
            }
            Some(Err(failure)) => {
                return Err(format!("{} could not be carried out: {failure:?}", flow.as_str()));
            }
            None => tally.killed += 1,
        }
        // Nobody resumes at once: the machine was off for a while.
        tokio::time::advance(Duration::from_secs(dice.below(3_600))).await;
    }
    Err(format!("{} did not get on in {LIVES} lives", flow.as_str()))
}

/// Whether something that went wrong on purpose explains a failure.
fn was_asked_for(played: &Played, failure: &Failure) -> bool {
    let struck = played.world.faults().standing().into_iter().any(|standing| standing.struck > 0);
    // What was begun may fail, or go on for long, when the fault that has decided so is gone.
    let failed = failure.causes.iter().any(|cause| cause.contains(FAILED));
    let slow = played.world.cloud().things().iter().any(|thing| thing.phase.transition().is_some());
    let late = failed || (slow && failure.code == TOO_LONG);
    (struck || late) && failure.class != Class::Bug
}

fn struck(played: &Played) -> u64 {
    played.world.faults().standing().iter().map(|standing| standing.struck).sum()
}

async fn verified(played: &Played) -> Result<(), String> {
    for nth in 1..=played.store.runs() {
        let run = platform_spec::RunId::new(format!("run-{nth}"));
        match played.store.load(&run).await {
            Ok(run) => journal::verify(&run.plan, &run.events).map_err(|broken| broken.to_string())?,
            Err(StoreError::NoSuchRun(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// Some rules by which calls go wrong.
fn storm(dice: &mut Dice) -> Script {
    let rules = (0..dice.below(5)).map(|_| {
        let seconds = |dice: &mut Dice, most| {
            SignedDuration::from_secs(i64::try_from(1 + dice.below(most)).unwrap_or(1))
        };
        let service = *dice.one_of(&["cloud", "cloud", "cloud", "kube"]);
        let operation = match service {
            "cloud" => *dice.one_of(&["create_*", "delete_*", "get_*", "list_*", "*"]),
            _ => "*",
        };
        let common = [
            Fault::Latency(seconds(dice, 20)),
            Fault::Throttle { retry_after: seconds(dice, 90) },
            Fault::error(500),
            Fault::error(503),
            Fault::ResetBefore,
            Fault::ResetAfter,
            Fault::LoseReply,
        ];
        let of_clouds = [
            Fault::Slow(seconds(dice, 900)),
            Fault::Fail(FAILED.to_owned()),
            Fault::Capacity,
            Fault::Quota,
            Fault::Expired,
            Fault::Stale(seconds(dice, 30)),
        ];
        let fault = match service {
            "cloud" if dice.below(2) == 0 => dice.one_of(&of_clouds).clone(),
            _ => dice.one_of(&common).clone(),
        };
        let rule = Rule::at(service, operation, "*").fault(fault).times(1 + dice.below(4));
        match dice.below(3) {
            0 => rule.nth(1 + dice.below(12)),
            1 => rule.every(2 + dice.below(5)),
            _ => rule,
        }
    });
    Script { faults: rules.collect() }
}
