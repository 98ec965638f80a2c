//! What goes wrong at one call, as the one who answers it needs to know.

use std::time::Duration;

use jiff::SignedDuration;

use super::{Fault, Machine};

/// What goes wrong at one call; usually nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Struck {
    faults: Vec<Fault>,
}

/// A refusal that a rule asks for; nothing is done by the call. The service words it as its real one does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refuses<'a> {
    /// 429, with `Retry-After` in whole seconds, rounded up.
    Throttled {
        /// For how long.
        retry_after_s: u64,
    },
    /// An error of this status.
    Error {
        /// HTTP status, 400 to 599.
        status: u16,
        /// The service's own error code, when the rule names one.
        code: Option<&'a str>,
        /// The words, when the rule has some.
        message: Option<&'a str>,
    },
    /// No room.
    Capacity,
    /// A limit of the account.
    Quota,
    /// The credentials have run out.
    Expired,
}

impl Struck {
    pub(super) fn new(faults: Vec<Fault>) -> Self {
        Self { faults }
    }

    /// All of it.
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    /// Whether all is well.
    pub fn is_nothing(&self) -> bool {
        self.faults.is_empty()
    }

    /// In few words, for the call log; `None` when all is well.
    pub fn words(&self) -> Option<String> {
        let words: Vec<&str> = self.faults.iter().map(Fault::word).collect();
        (!words.is_empty()).then(|| words.join(" "))
    }

    /// How long to wait before anything is done.
    pub fn latency(&self) -> Duration {
        let all = self.faults.iter().map(|fault| match fault {
            Fault::Latency(by) => Duration::try_from(*by).unwrap_or_default(),
            _ => Duration::ZERO,
        });
        all.sum()
    }

    /// What to answer instead of doing it; the first of the rules wins.
    pub fn refusal(&self) -> Option<Refuses<'_>> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::Throttle { retry_after } => {
                let whole = u64::try_from(retry_after.as_secs()).unwrap_or(0);
                Some(Refuses::Throttled { retry_after_s: whole + u64::from(retry_after.subsec_nanos() > 0) })
            }
            Fault::Error { status, code, message } => {
                Some(Refuses::Error { status: *status, code: code.as_deref(), message: message.as_deref() })
            }
            Fault::Capacity => Some(Refuses::Capacity),
            Fault::Quota => Some(Refuses::Quota),
            Fault::Expired => Some(Refuses::Expired),
            _ => None,
        })
    }

    /// Whether the connection breaks before anything is done.
    pub fn resets_before(&self) -> bool {
        self.faults.contains(&Fault::ResetBefore)
    }

    /// Whether the connection breaks after it was done, instead of an answer.
    pub fn resets_after(&self) -> bool {
        self.faults.contains(&Fault::ResetAfter)
    }

    /// Whether the answer to a call that succeeded never arrives: the connection stays open in silence.
    pub fn loses_reply(&self) -> bool {
        self.faults.contains(&Fault::LoseReply)
    }

    /// Whether a transition begun by this call never ends.
    pub fn sticks(&self) -> bool {
        self.faults.contains(&Fault::Stuck)
    }

    /// How much longer a transition begun by this call takes.
    pub fn slower(&self) -> SignedDuration {
        let all = self.faults.iter().map(|fault| match fault {
            Fault::Slow(by) => *by,
            _ => SignedDuration::ZERO,
        });
        all.fold(SignedDuration::ZERO, SignedDuration::saturating_add)
    }

    /// Why a transition begun by this call ends in failure, when it does.
    pub fn fails(&self) -> Option<&str> {
        self.faults.iter().find_map(|fault| match fault {
            Fault::Fail(why) => Some(why.as_str()),
            _ => None,
        })
    }

    /// What an engine says about itself and its machine; the first of the rules wins.
    pub fn machine(&self) -> Machine {
        let all = self.faults.iter().filter_map(|fault| match fault {
            Fault::Machine(machine) => Some(machine.clone()),
            _ => None,
        });
        all.fold(Machine::default(), Machine::or)
    }

    /// How far the service's clock is off at this call: ahead when positive.
    pub fn skew(&self) -> SignedDuration {
        let all = self.faults.iter().map(|fault| match fault {
            Fault::Skew(by) => *by,
            _ => SignedDuration::ZERO,
        });
        all.fold(SignedDuration::ZERO, SignedDuration::saturating_add)
    }

    /// How old the picture is that this call sees. At a call that reads: what was written in this time is not seen. At a
    /// call that writes: for this time nobody who reads sees what it has written.
    pub fn stale(&self) -> SignedDuration {
        let all = self.faults.iter().map(|fault| match fault {
            Fault::Stale(by) => *by,
            _ => SignedDuration::ZERO,
        });
        all.max().unwrap_or(SignedDuration::ZERO)
    }
}
