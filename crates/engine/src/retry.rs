//! Whether and when a failed attempt is followed by another. Reads the class of the failure, never its text.

use std::time::Duration;

use jiff::Timestamp;
use platform_spec::{Class, Failure, RunId, StepId};
use sha2::{Digest, Sha256};

use crate::{clock::add, plan::Retry};

/// Attempts of a step of class R1, the first included.
///
/// 2+4+8+16+32 s of waiting outlast the restart of an API server or a load balancer's failover, and still tell a
/// person within about a minute that something is really wrong.
pub const R1_ATTEMPTS: u32 = 6;

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another, not before this time.
    At(Timestamp),
    /// None.
    GiveUp,
}

/// Decides what follows a failed attempt.
///
/// `failures` counts the failed attempts since the step was begun or reopened, this one included. The jitter (±20 %)
/// is taken from the names, not from a die: the same history always decides the same.
pub fn after_failure(
    retry: Retry,
    failures: u32,
    failure: &Failure,
    now: Timestamp,
    deadline: Timestamp,
    run: &RunId,
    step: &StepId,
) -> Verdict {
    let transient = matches!(failure.class, Class::Retryable | Class::Throttled | Class::ConflictInProgress);
    let scarce = matches!(failure.class, Class::Capacity | Class::Quota);
    let (first, cap) = match retry {
        Retry::R1 | Retry::R4 | Retry::R5 if transient && failures < R1_ATTEMPTS => (2_000, 60_000),
        Retry::R2 if transient => (2_000, 30_000),
        Retry::R3 if transient || scarce => (60_000, 900_000),
        _ => return Verdict::GiveUp,
    };
    let doubled = u64::saturating_mul(first, 1 << failures.saturating_sub(1).min(20)).min(cap);
    let wait = jittered(doubled, run, step, failures).max(failure.retry_after_ms.unwrap_or(0));
    let at = add(now, Duration::from_millis(wait));
    if at < deadline { Verdict::At(at) } else { Verdict::GiveUp }
}

fn jittered(ms: u64, run: &RunId, step: &StepId, failures: u32) -> u64 {
    let digest = Sha256::digest(format!("{run}\u{1f}{step}\u{1f}{failures}"));
    let die = u64::from(u16::from_be_bytes([digest[0], digest[1]]));
    // 80 % … 120 %
    ms * (80_000 + die * 40_000 / 65_535) / 100_000
}

/// The client token of a step: the same for every try that must not make a second object.
///
/// Class R3 rotates its zone with each attempt and needs a new token for each (Oracle refuses a token that comes with
/// other parameters); every other class keeps one token for the whole run.
pub fn token(run: &RunId, step: &StepId, retry: Retry, attempt: u32) -> String {
    let generation = if retry == Retry::R3 { attempt } else { 0 };
    let digest = Sha256::digest(format!("{run}\u{1f}{step}\u{1f}{generation}"));
    hex::encode(&digest[..16])
}
