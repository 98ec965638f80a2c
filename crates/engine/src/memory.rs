//! A store in memory that can be killed: what a crash leaves of it is what a database would have kept.
//!
//! Simulations and tests run on it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_spec::{
    Class, Code, Event, Failure, LedgerChange, PlatformName, RunId, StepEvent,
    event::{LedgerEntry, Recorded},
    report::RunStatus,
};

use crate::{
    clock,
    plan::ledger_digest,
    status::next_run,
    store::{Held, Holder, Lease, NewRun, Store, StoreError, StoredRun},
};

/// When the process "dies", seen from the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// The write number `n` (from 1) becomes durable, and nobody learns of it.
    AfterWrite(u64),
    /// The write number `n` (from 1) never becomes durable.
    BeforeWrite(u64),
}

/// A store whose content survives [`Kill`]s: clones share it.
#[derive(Clone, Default)]
pub struct MemoryStore {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    leases: BTreeMap<PlatformName, Held>,
    runs: BTreeMap<RunId, StoredRun>,
    ledger: BTreeMap<(PlatformName, String), LedgerEntry>,
    writes: u64,
    kill: Option<Kill>,
}

impl MemoryStore {
    /// The next kill, or none. Counting of writes starts anew.
    pub fn kill(&self, kill: Option<Kill>) {
        let mut inner = self.lock();
        inner.kill = kill;
        inner.writes = 0;
    }

    /// Writes of runs and events since the last call of [`Self::kill`].
    pub fn writes(&self) -> u64 {
        self.lock().writes
    }

    /// What the ledger of a platform says.
    pub fn ledger(&self, platform: &PlatformName) -> Vec<LedgerEntry> {
        self.lock().ledger.iter().filter(|((p, _), _)| p == platform).map(|(_, e)| e.clone()).collect()
    }

    /// How many runs there are.
    pub fn runs(&self) -> usize {
        self.lock().runs.len()
    }

    /// The only run that may be resumed, if there is one.
    pub fn resumable(&self) -> Option<RunId> {
        self.lock().runs.values().find(|run| run.status.is_resumable()).map(|run| run.id.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn check(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.leases.get(&lease.platform) {
            Some(held) if held.epoch == lease.epoch && held.holder.id == lease.holder.id => Ok(()),
            _ => Err(StoreError::LeaseLost { platform: lease.platform.clone(), ours: lease.epoch }),
        }
    }

    fn write(&mut self, apply: impl FnOnce(&mut Self)) -> Result<(), StoreError> {
        self.writes += 1;
        let dead =
            || StoreError::Other(Box::new(Failure::new(Code::new("P0108"), Class::Retryable, "killed")));
        match self.kill {
            Some(Kill::BeforeWrite(n)) if n <= self.writes => Err(dead()),
            Some(Kill::AfterWrite(n)) if n <= self.writes => {
                if n == self.writes {
                    apply(self);
                }
                Err(dead())
            }
            _ => {
                apply(self);
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn acquire(
        &self,
        platform: &PlatformName,
        holder: &Holder,
        ttl: Duration,
        now: Timestamp,
        presumed_dead: &(dyn for<'a> Fn(&'a Holder) -> bool + Send + Sync),
    ) -> Result<Lease, StoreError> {
        let mut inner = self.lock();
        let epoch = match inner.leases.get(platform) {
            Some(held) if held.holder.id == holder.id => held.epoch,
            Some(held) if held.expires > now && !presumed_dead(&held.holder) => {
                return Err(StoreError::Locked(Box::new(held.clone())));
            }
            Some(held) => held.epoch + 1,
            None => 1,
        };
        let expires = clock::add(now, ttl);
        let held = Held { platform: platform.clone(), holder: holder.clone(), epoch, since: now, expires };
        inner.leases.insert(platform.clone(), held);
        Ok(Lease { platform: platform.clone(), holder: holder.clone(), epoch, expires })
    }

    async fn renew(&self, lease: &Lease, ttl: Duration, now: Timestamp) -> Result<Lease, StoreError> {
        let mut inner = self.lock();
        inner.check(lease)?;
        let expires = clock::add(now, ttl);
        if let Some(held) = inner.leases.get_mut(&lease.platform) {
            held.expires = expires;
        }
        Ok(Lease { expires, ..lease.clone() })
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut inner = self.lock();
        if inner.check(lease).is_ok() {
            inner.leases.remove(&lease.platform);
        }
        Ok(())
    }

    async fn create_run(&self, lease: &Lease, run: &NewRun) -> Result<(), StoreError> {
        let mut inner = self.lock();
        inner.check(lease)?;
        let platform = &lease.platform;
        let entries = inner.ledger.iter().filter(|((p, _), _)| p == platform).map(|(_, e)| e);
        if ledger_digest(entries) != run.plan.state_digest {
            return Err(StoreError::StalePlan { platform: platform.clone() });
        }
        let stored = StoredRun {
            id: run.id.clone(),
            plan: (*run.plan).clone(),
            status: RunStatus::Running,
            events: vec![run.first.clone()],
        };
        inner.write(|inner| {
            inner.runs.insert(stored.id.clone(), stored);
        })
    }

    async fn append(&self, lease: &Lease, run: &RunId, events: &[Recorded]) -> Result<(), StoreError> {
        let mut inner = self.lock();
        inner.check(lease)?;
        let stored = inner.runs.get(run).ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
        let mut status = Some(stored.status);
        let mut last = stored.events.last().map_or(0, |event| event.seq);
        for event in events {
            let illegal = |why: String| {
                let refused = "the journal does not take these events";
                let failure = Failure::new(Code::new("P0703"), Class::Bug, refused).because(why);
                StoreError::Other(Box::new(failure))
            };
            if event.seq != last + 1 {
                return Err(illegal(format!("a gap in the journal before event {}", event.seq)));
            }
            last = event.seq;
            let next = next_run(status, &event.event);
            status = Some(next.map_err(|error| illegal(error.to_string()))?);
        }
        let platform = lease.platform.clone();
        inner.write(|inner| {
            for event in events {
                let Event::Step { event, .. } = &event.event else { continue };
                let (StepEvent::Succeeded { ledger, .. } | StepEvent::Undone { ledger }) = event else {
                    continue;
                };
                for change in ledger {
                    match change {
                        LedgerChange::Put(entry) => {
                            inner.ledger.insert((platform.clone(), entry.key.clone()), entry.clone());
                        }
                        LedgerChange::Drop { key } => {
                            inner.ledger.remove(&(platform.clone(), key.clone()));
                        }
                    }
                }
            }
            if let Some(stored) = inner.runs.get_mut(run) {
                stored.events.extend_from_slice(events);
                stored.status = status.unwrap_or(stored.status);
            }
        })
    }

    async fn load(&self, run: &RunId) -> Result<StoredRun, StoreError> {
        self.lock().runs.get(run).cloned().ok_or_else(|| StoreError::NoSuchRun(run.clone()))
    }
}
