//! Values that readers see late, as in a store that is consistent eventually.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long older values are remembered. No reader is further behind than this.
pub const REMEMBERED: SignedDuration = SignedDuration::from_mins(15);

/// A value and those it had before. `None` is a value too: the thing is not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History<T> {
    now: Option<T>,
    /// Values with the time until which readers saw them, oldest first.
    before: Vec<(Timestamp, Option<T>)>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { now: None, before: Vec::new() }
    }
}

impl<T: Clone> History<T> {
    /// The value as it is, for whoever decides.
    pub fn now(&self) -> Option<&T> {
        self.now.as_ref()
    }

    /// The value as it is, to be changed without readers being behind: the passing of time, not a call.
    pub fn now_mut(&mut self) -> Option<&mut T> {
        self.now.as_mut()
    }

    /// Whether there is nothing, and no reader sees anything either.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.now.is_none() && self.before.iter().all(|(until, value)| value.is_none() || is_old(*until, now))
    }

    /// Sets the value; readers see it from `seen` on, which is `now` or later.
    pub fn set(&mut self, value: Option<T>, now: Timestamp, seen: Timestamp) {
        self.before.retain(|(until, _)| !is_old(*until, now));
        // Nobody sees this before what was set before it.
        let seen = self.before.last().map_or(seen, |(last, _)| seen.max(*last));
        let before = std::mem::replace(&mut self.now, value);
        self.before.push((seen, before));
    }

    /// The value as somebody sees it whose picture is of this time.
    pub fn seen(&self, at: Timestamp) -> Option<&T> {
        match self.before.iter().find(|(until, _)| at < *until) {
            Some((_, value)) => value.as_ref(),
            None => self.now.as_ref(),
        }
    }
}

fn is_old(until: Timestamp, now: Timestamp) -> bool {
    now.duration_since(until) > REMEMBERED
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    #[test]
    fn readers_see_a_write_when_its_time_has_come() {
        let mut value = History::default();
        value.set(Some(1), at(0), at(0));
        value.set(Some(2), at(10), at(40));
        assert_eq!(value.now(), Some(&2));
        assert_eq!((value.seen(at(39)), value.seen(at(40))), (Some(&1), Some(&2)));
        assert_eq!(value.seen(at(-1)), None, "before it was made");
    }

    #[test]
    fn what_is_removed_is_seen_for_a_while() {
        let mut value = History::default();
        value.set(Some(1), at(0), at(0));
        value.set(None, at(10), at(20));
        assert_eq!((value.seen(at(19)), value.seen(at(20))), (Some(&1), None));
        assert!(!value.is_over(at(20)), "somebody may have an older picture");
        assert!(
            value.is_over(at(20).checked_add(REMEMBERED).expect("a time") + SignedDuration::from_secs(1))
        );
    }

    #[test]
    fn writes_are_seen_in_their_order() {
        let mut value = History::default();
        value.set(Some(1), at(0), at(30));
        value.set(Some(2), at(1), at(1));
        assert_eq!((value.seen(at(29)), value.seen(at(30))), (None, Some(&2)));
    }
}
