//! A rule: where, when, what.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Machine, Pattern, Point, script::RawRule};

/// Something that goes wrong at some calls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "RawRule", into = "RawRule")]
pub struct Rule {
    /// Who answers the call.
    pub service: Pattern,
    /// What is asked.
    pub operation: Pattern,
    /// What it is about.
    pub target: Pattern,
    /// At which of these calls.
    pub when: When,
    /// What happens then.
    pub faults: Vec<Fault>,
}

/// At which of the calls that a rule is about. Everything that is said must hold; when nothing is said, at all of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct When {
    /// Only at the nth, from 1.
    pub nth: Option<u64>,
    /// Only at every nth: 3 means the third, the sixth, …
    pub every: Option<u64>,
    /// With this probability, over 0 and up to 1.
    pub chance: Option<f64>,
    /// Not before this time after the rule was set. Calls before are not counted.
    pub after: Option<SignedDuration>,
    /// Not from this time on after the rule was set.
    pub until: Option<SignedDuration>,
    /// At most so often.
    pub times: Option<u64>,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The answer takes this much longer.
    Latency(SignedDuration),
    /// 429 with `Retry-After`; nothing is done.
    Throttle {
        /// When to come again.
        retry_after: SignedDuration,
    },
    /// An error; nothing is done.
    Error {
        /// HTTP status, 400 to 599.
        status: u16,
        /// The service's own error code; the service has one for each status.
        code: Option<String>,
        /// The words; the service has some for each status.
        message: Option<String>,
    },
    /// The connection breaks; nothing is done.
    ResetBefore,
    /// It is done, and the connection breaks.
    ResetAfter,
    /// When it succeeds, the answer never arrives.
    LoseReply,
    /// A transition begun by the call takes this much longer.
    Slow(SignedDuration),
    /// A transition begun by the call never ends.
    Stuck,
    /// A transition begun by the call ends in failure, with these words.
    Fail(String),
    /// No room; nothing is done.
    Capacity,
    /// A limit of the account is reached; nothing is done.
    Quota,
    /// The credentials have run out; nothing is done.
    Expired,
    /// The service's clock is off by this at the call: ahead when positive.
    Skew(SignedDuration),
    /// See [`Struck::stale`](super::Struck::stale).
    Stale(SignedDuration),
    /// A container engine, or kind, says that it and its machine are so.
    Machine(Machine),
}

impl Fault {
    /// The key by which scripts and the call log name it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Latency(_) => "latency",
            Self::Throttle { .. } => "throttle",
            Self::Error { .. } => "error",
            Self::ResetBefore => "reset_before",
            Self::ResetAfter => "reset_after",
            Self::LoseReply => "lose_reply",
            Self::Slow(_) => "slow",
            Self::Stuck => "stuck",
            Self::Fail(_) => "fail",
            Self::Capacity => "capacity",
            Self::Quota => "quota",
            Self::Expired => "expired",
            Self::Skew(_) => "skew",
            Self::Stale(_) => "stale",
            Self::Machine(_) => "machine",
        }
    }

    /// An error of a status, in the service's own words.
    pub fn error(status: u16) -> Self {
        Self::Error { status, code: None, message: None }
    }
}

impl Rule {
    /// About calls of a service, an operation and a target; in all three `*` stands for anything. At all such calls, and
    /// nothing happens yet.
    pub fn at(service: &str, operation: &str, target: &str) -> Self {
        Self {
            service: service.into(),
            operation: operation.into(),
            target: target.into(),
            when: When::default(),
            faults: Vec::new(),
        }
    }

    /// Adds what happens.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Only at the nth such call, from 1.
    #[must_use]
    pub fn nth(mut self, nth: u64) -> Self {
        self.when.nth = Some(nth);
        self
    }

    /// Only at every nth such call.
    #[must_use]
    pub fn every(mut self, every: u64) -> Self {
        self.when.every = Some(every);
        self
    }

    /// With this probability.
    #[must_use]
    pub fn chance(mut self, chance: f64) -> Self {
        self.when.chance = Some(chance);
        self
    }

    /// At most so often.
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.when.times = Some(times);
        self
    }

    /// Only between two times after the rule is set.
    #[must_use]
    pub fn between(mut self, after: SignedDuration, until: SignedDuration) -> Self {
        self.when.after = Some(after);
        self.when.until = Some(until);
        self
    }

    pub(super) fn is_about(&self, point: &Point) -> bool {
        self.service.fits(point.service)
            && self.operation.fits(point.operation)
            && self.target.fits(point.target)
    }
}
