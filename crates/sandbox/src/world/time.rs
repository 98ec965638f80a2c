//! What time it is in a world.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;

use super::locked;
use crate::kube::object::Now;

/// The time outside, save while what was due earlier is being done: then the time at which it was due.
#[derive(Clone)]
pub struct Time {
    outside: Now,
    played: Arc<Mutex<Option<Timestamp>>>,
}

impl Time {
    /// By a clock.
    pub fn of(outside: Now) -> Self {
        Self { outside, played: Arc::default() }
    }

    /// The time outside.
    pub fn outside(&self) -> Timestamp {
        (self.outside)()
    }

    /// What everything in the world takes for the time.
    pub fn inside(&self) -> Now {
        let time = self.clone();
        Arc::new(move || locked(&time.played).unwrap_or_else(|| (time.outside)()))
    }

    /// Does something at a time that has passed already.
    pub(super) fn at<T>(&self, when: Timestamp, act: impl FnOnce() -> T) -> T {
        *locked(&self.played) = Some(when);
        let done = act();
        *locked(&self.played) = None;
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_due_earlier_happens_at_its_own_time() {
        let time = Time::of(Arc::new(|| Timestamp::from_second(100).expect("in range")));
        let now = time.inside();
        assert_eq!(now().as_second(), 100);
        let then = Timestamp::from_second(40).expect("in range");
        assert_eq!(time.at(then, || now().as_second()), 40);
        assert_eq!(now().as_second(), 100);
    }
}
