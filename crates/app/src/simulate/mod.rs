//! The same engine and the same flows in virtual time, against emulated clouds in this process.
//!
//! | room | what it holds |
//! |---|---|
//! | [`played`] | a world, a database, a clock: what outlives a process |
//! | `roads`, `git` | the ways from a process into that world |
//! | [`schedule`], [`storm`] | random kills, faults and jumps of the clock, from a seed; many of them |

mod git;
pub mod played;
mod roads;
pub mod schedule;
pub mod storm;

use std::{collections::BTreeMap, path::Path};

use platform_engine::{decide::Ending, local::Options, report};
use platform_sandbox::parts::faults::Script;
use platform_spec::{
    Class, Code, Failure,
    report::{Orphan, RunReport},
};
use serde::Serialize;

pub use played::{Played, Shared};
pub(crate) use roads::{KEY, provider as inside};

use crate::{carry::Flow, specs::Wanted};

/// What is to be simulated.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which flow. `down` is played after an `up`.
    pub flow: Flow,
    /// What chance goes by: how long things take, which names they get.
    pub seed: u64,
    /// Rules by which calls go wrong.
    pub faults: Script,
    /// How many calls may be in flight.
    pub max_parallel: Option<usize>,
}

/// What a simulation came to.
#[derive(Debug, Serialize)]
pub struct Simulated {
    /// The flow's report. Its times are virtual.
    pub run: RunReport,
    /// What chance went by.
    pub seed: u64,
    /// Virtual time, from the first step to the last.
    pub virtual_ms: u64,
    /// Real time.
    pub real_ms: u64,
    /// Calls that the cloud answered.
    pub calls: u64,
    /// What was made in the cloud, by kind.
    pub made: BTreeMap<String, u64>,
    /// What `down` left behind.
    pub left: Vec<Orphan>,
}

/// The rules of a fault script; none without a file.
///
/// # Errors
/// `P0917`, with the place in the file.
pub fn faults(file: Option<&Path>) -> Result<Script, Failure> {
    file.map_or_else(|| Ok(Script::default()), crate::sandbox::read_faults)
}

/// Plays a flow.
///
/// It has a thread of its own, with a clock of its own that jumps whenever everybody waits.
///
/// # Errors
/// What refuses before the run exists. A run that exists is reported, however it ended.
pub async fn simulate(wanted: &Wanted, asked: Asked) -> Result<Simulated, Failure> {
    let wanted = wanted.clone();
    let played = std::thread::Builder::new()
        .name("simulation".into())
        .spawn(move || virtually(async move || play(&wanted, &asked).await));
    let played = played.map_err(|error| unplayable(&error))?;
    let ended = tokio::task::spawn_blocking(move || played.join()).await;
    match ended {
        Ok(Ok(simulated)) => simulated?,
        _ => Err(Failure::new(Code::new("P0703"), Class::Bug, "the simulation broke off")),
    }
}

/// Runs something on a runtime whose time is virtual.
///
/// # Errors
/// When there can be no runtime.
pub fn virtually<T>(act: impl AsyncFnOnce() -> T) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| unplayable(&error))?;
    Ok(runtime.block_on(act()))
}

async fn play(wanted: &Wanted, asked: &Asked) -> Result<Simulated, Failure> {
    let begun = std::time::Instant::now();
    let shared = Shared::new(wanted.model.clone())?;
    let played = Played::new(asked.seed, &shared).await?;
    if asked.flow == Flow::Down {
        let up = played.live(Flow::Up, Options::default()).await?;
        if up.ending != Ending::Succeeded {
            return Err(Failure::new(Code::new("P0703"), Class::Bug, "the `up` before it did not succeed"));
        }
    }
    played.world.faults().set(asked.faults.clone());
    let mut options = Options::default();
    if let Some(most) = asked.max_parallel {
        options.limits.max_parallel = most;
    }
    let calls = played.world.calls().count();
    let ended = played.live(asked.flow, options).await?;
    let run = report::of(&ended.run, &ended.graph, &ended.board, ended.span);
    let left = match asked.flow {
        Flow::Down => played.left().await?,
        Flow::Up => Vec::new(),
    };
    let made = played.world.cloud().made();
    Ok(Simulated {
        seed: asked.seed,
        virtual_ms: run.elapsed_ms,
        real_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        calls: played.world.calls().count() - calls,
        made: made.into_iter().map(|(kind, count)| (kind.word().to_owned(), count)).collect(),
        left,
        run,
    })
}

/// The machine does not give what a simulation needs.
fn unplayable(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::new(Code::new("P0805"), Class::Config, "the simulation could not begin").caused_by(error)
}
