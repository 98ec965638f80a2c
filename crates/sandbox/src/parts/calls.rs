//! The call log: what was asked of an emulator, what came of it, and what went wrong on purpose.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One call. Holds no secrets: neither bodies nor headers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number, from 1, in the order in which calls were answered.
    pub seq: u64,
    /// When it was answered.
    pub at: Timestamp,
    /// Who answered: `cloud`, `kube`, `s3`, `dns`, …
    pub service: String,
    /// What was asked: `create_cluster`, `get pods`, `PutObject`.
    pub operation: String,
    /// What it was about.
    pub target: String,
    /// What came of it, in the service's word: an HTTP status, an error code.
    pub outcome: String,
    /// Whether something was made, changed or removed by it.
    pub changed: bool,
    /// What went wrong on purpose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// The last calls. Clones are the same log.
#[derive(Clone, Debug)]
pub struct CallLog {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug)]
struct Inner {
    kept: VecDeque<Call>,
    limit: usize,
    last: u64,
    changes: u64,
}

/// How many calls a log remembers unless told otherwise: some minutes of a busy `up`, a few MB.
pub const KEPT: usize = 10_000;

impl Default for CallLog {
    fn default() -> Self {
        Self::new(KEPT)
    }
}

impl CallLog {
    /// A log that remembers so many calls.
    pub fn new(limit: usize) -> Self {
        Self { inner: Arc::new(Mutex::new(Inner { kept: VecDeque::new(), limit, last: 0, changes: 0 })) }
    }

    /// Writes a call down; its `seq` is given here.
    pub fn record(&self, mut call: Call) -> u64 {
        let mut inner = self.inner();
        inner.last += 1;
        inner.changes += u64::from(call.changed);
        call.seq = inner.last;
        if inner.kept.len() == inner.limit {
            inner.kept.pop_front();
        }
        if inner.limit > 0 {
            inner.kept.push_back(call);
        }
        inner.last
    }

    /// The remembered calls after a number (0: all), oldest first.
    pub fn after(&self, seq: u64) -> Vec<Call> {
        let inner = self.inner();
        let first = inner.kept.partition_point(|call| call.seq <= seq);
        inner.kept.range(first..).cloned().collect()
    }

    /// How many calls there ever were.
    pub fn count(&self) -> u64 {
        self.inner().last
    }

    /// How many calls have changed something.
    pub fn changes(&self) -> u64 {
        self.inner().changes
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(target: &str, changed: bool) -> Call {
        Call {
            seq: 0,
            at: Timestamp::UNIX_EPOCH,
            service: "cloud".into(),
            operation: "create_network".into(),
            target: target.into(),
            outcome: "201".into(),
            changed,
            fault: None,
        }
    }

    #[test]
    fn the_oldest_calls_are_forgotten_and_numbers_go_on() {
        let log = CallLog::new(2);
        for (target, changed) in [("a", true), ("b", false), ("c", true)] {
            log.record(call(target, changed));
        }
        let kept: Vec<(u64, String)> = log.after(0).into_iter().map(|call| (call.seq, call.target)).collect();
        assert_eq!(kept, [(2, "b".into()), (3, "c".into())]);
        assert_eq!(log.after(2).len(), 1);
        assert_eq!((log.count(), log.changes()), (3, 2));
    }

    #[test]
    fn calls_are_json() {
        let log = CallLog::default();
        log.record(call("a", true));
        let json = serde_json::to_value(log.after(0)).expect("JSON");
        assert_eq!(json[0]["seq"], 1);
        assert_eq!(json[0]["at"], "1970-01-01T00:00:00Z");
        assert!(json[0].get("fault").is_none());
    }
}
