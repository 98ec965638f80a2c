//! What goes wrong, where and when.
//!
//! Emulators ask [`Faults::next`] at every call they answer, and do what it says. Rules come from a file
//! ([`script::read`]) or from code ([`Rule::at`]), and may be set while everything is running. With the same seed and the
//! same calls the same things go wrong.
//!
//! ```
//! use platform_sandbox::parts::faults::{Fault, Faults, Point, Rule};
//!
//! let faults = Faults::new(7, std::sync::Arc::new(|| jiff::Timestamp::UNIX_EPOCH));
//! faults.add(Rule::at("cloud", "create_*", "demo-*").nth(2).fault(Fault::ResetAfter));
//! let point = Point { service: "cloud", operation: "create_cluster", target: "demo-eu" };
//! assert!(faults.next(&point).is_nothing());
//! assert!(faults.next(&point).resets_after());
//! ```

mod machine;
mod pattern;
mod rule;
pub mod script;
mod struck;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use machine::Machine;
pub use pattern::Pattern;
pub use rule::{Fault, Rule, When};
pub use script::Script;
pub use struck::{Refuses, Struck};

use super::chance::Chance;
use crate::kube::object::Now;

/// Who may be named as service in a rule.
pub const SERVICES: &[&str] =
    &["cloud", "kube", "docker", "kind", "s3", "dns", "git", "eks", "aks", "gke", "oci"];

/// A call that is being answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point<'a> {
    /// Who answers: one of [`SERVICES`].
    pub service: &'a str,
    /// What is asked: `create_cluster`, `get pods`, `PutObject`.
    pub operation: &'a str,
    /// What it is about: a name or an id; empty when it is about nothing in particular.
    pub target: &'a str,
}

/// The rules that hold now. Clones are the same rules.
#[derive(Clone)]
pub struct Faults {
    rules: Arc<Mutex<Vec<Held>>>,
    chance: Chance,
    now: Now,
}

struct Held {
    rule: Rule,
    since: Timestamp,
    matched: u64,
    struck: u64,
}

/// A rule with what it has done so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// How many calls were of its kind.
    pub matched: u64,
    /// At how many of them it struck.
    pub struck: u64,
}

impl Faults {
    /// Nothing goes wrong yet.
    pub fn new(seed: u64, now: Now) -> Self {
        Self { rules: Arc::default(), chance: Chance::new(seed), now }
    }

    /// Replaces all rules; counting and times begin anew.
    pub fn set(&self, script: Script) {
        let since = (self.now)();
        *self.held() = script.faults.into_iter().map(|rule| Held::new(rule, since)).collect();
    }

    /// Adds a rule.
    pub fn add(&self, rule: Rule) {
        let since = (self.now)();
        self.held().push(Held::new(rule, since));
    }

    /// Nothing goes wrong any more.
    pub fn clear(&self) {
        self.held().clear();
    }

    /// The rules, and what they have done.
    pub fn standing(&self) -> Vec<Standing> {
        let standing =
            |held: &Held| Standing { rule: held.rule.clone(), matched: held.matched, struck: held.struck };
        self.held().iter().map(standing).collect()
    }

    /// Counts a call, and says what goes wrong at it.
    ///
    /// # Guarantees
    /// A function of the seed, the rules, the time and the calls before. What chance decides does not depend on calls
    /// about other things, so that tasks which run at once do not change one another's luck.
    pub fn next(&self, point: &Point) -> Struck {
        let now = (self.now)();
        let mut faults = Vec::new();
        for (number, held) in self.held().iter_mut().enumerate() {
            if held.strikes(number, point, now, self.chance) {
                faults.extend(held.rule.faults.iter().cloned());
            }
        }
        Struck::new(faults)
    }

    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        // A panic elsewhere leaves only counters behind, and each is whole.
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn new(rule: Rule, since: Timestamp) -> Self {
        Self { rule, since, matched: 0, struck: 0 }
    }

    fn strikes(&mut self, number: usize, point: &Point, now: Timestamp, chance: Chance) -> bool {
        if !self.rule.is_about(point) {
            return false;
        }
        let when = &self.rule.when;
        let age = now.duration_since(self.since);
        if when.after.is_some_and(|after| age < after) || when.until.is_some_and(|until| age >= until) {
            return false;
        }
        self.matched += 1;
        let here = when.nth.is_none_or(|nth| self.matched == nth)
            && when.every.is_none_or(|every| self.matched.is_multiple_of(every))
            && when.times.is_none_or(|times| self.struck < times)
            && when.chance.is_none_or(|share| {
                let (rule, nth) = (number.to_string(), self.matched.to_string());
                chance.fraction(&["fault", &rule, point.service, point.operation, point.target, &nth]) < share
            });
        self.struck += u64::from(here);
        here
    }
}

#[cfg(test)]
mod tests;
