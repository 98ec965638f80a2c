//! Many random schedules, on as many threads as there are cores.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use platform_spec::{Class, Code, Failure, Model};
use serde::Serialize;

use super::{
    Shared,
    schedule::{self, Flaw, Tally},
    unplayable, virtually,
};

/// What a storm came to.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stormed {
    /// What was played.
    pub tally: Tally,
    /// The first flaw that was found; no more were looked for.
    pub flaw: Option<Flaw>,
    /// Real time.
    pub real_ms: u64,
}

/// Plays `count` schedules, of the seeds from `first` on, until one shows a flaw.
///
/// # Errors
/// `P0805` when there can be no simulation at all.
pub async fn storm(model: Model, first: u64, count: u64) -> Result<Stormed, Failure> {
    let begun = Instant::now();
    let shared = Shared::new(model)?;
    let next = Arc::new(AtomicU64::new(0));
    let found = Arc::new(AtomicBool::new(false));
    let stormed = Arc::new(Mutex::new(Stormed::default()));
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut at_work = Vec::new();
    for _ in 0..threads {
        let shared = shared.clone();
        let (next, found, stormed) = (next.clone(), found.clone(), stormed.clone());
        let play = move || -> Result<(), Failure> {
            loop {
                let nth = next.fetch_add(1, Ordering::Relaxed);
                if nth >= count || found.load(Ordering::Relaxed) {
                    return Ok(());
                }
                let seed = first.wrapping_add(nth);
                let played = virtually(async || schedule::play(seed, &shared).await)?;
                let mut stormed = stormed.lock().unwrap_or_else(PoisonError::into_inner);
                match played {
                    Ok(tally) => stormed.tally = stormed.tally.and(tally),
                    Err(flaw) => {
                        found.store(true, Ordering::Relaxed);
                        stormed.flaw.get_or_insert(flaw);
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("storm".into()).spawn(play);
        at_work.push(thread.map_err(|error| unplayable(&error))?);
    }
    for thread in at_work {
        let ended = tokio::task::spawn_blocking(move || thread.join()).await;
        match ended {
            Ok(Ok(ended)) => ended?,
            _ => return Err(Failure::new(Code::new("P0703"), Class::Bug, "a schedule broke off")),
        }
    }
    let mut stormed = stormed.lock().unwrap_or_else(PoisonError::into_inner).clone();
    stormed.real_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(stormed)
}
