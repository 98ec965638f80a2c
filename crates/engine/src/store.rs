//! What must be durable, and when. Implemented by `platform-state` on SQLite.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_spec::{Code, Failure, PlatformName, RunId, event::Recorded, report::RunStatus};
use serde::{Deserialize, Serialize};

use crate::plan::Plan;

/// Who holds a lease.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Unique for each process: host, pid and start time say the same for people.
    pub id: String,
    /// User name.
    pub user: String,
    /// Host name.
    pub host: String,
    /// Process id on that host.
    pub pid: u32,
    /// When that process started, in clock ticks since boot with the boot id, so that a reused pid is recognised.
    pub process_start: String,
}

/// The right to change one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Which platform.
    pub platform: PlatformName,
    /// Who.
    pub holder: Holder,
    /// Grows by one with every change of holder; checked with every write.
    pub epoch: u64,
    /// When it ends unless renewed.
    pub expires: Timestamp,
}

/// A lease as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Held {
    /// Which platform.
    pub platform: PlatformName,
    /// Who has it.
    pub holder: Holder,
    /// Epoch.
    pub epoch: u64,
    /// Since when.
    pub since: Timestamp,
    /// Until when, unless renewed.
    pub expires: Timestamp,
}

/// A run about to be made.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Its id.
    pub id: RunId,
    /// Its plan.
    pub plan: Arc<Plan>,
    /// The first event (`RunCreated`), sealed.
    pub first: Recorded,
}

/// A run read back.
#[derive(Clone, Debug)]
pub struct StoredRun {
    /// Its id.
    pub id: RunId,
    /// Its plan.
    pub plan: Plan,
    /// Where it stands according to the row (the events say the same).
    pub status: RunStatus,
    /// Every event, in order of `seq`.
    pub events: Vec<Recorded>,
}

/// Why the store refused.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else has the lease.
    #[error("platform `{}` is locked by {}@{} (pid {}) since {}", .0.platform, .0.holder.user, .0.holder.host, .0.holder.pid, .0.since.strftime("%Y-%m-%d %H:%M:%SZ"))]
    Locked(Box<Held>),
    /// We had the lease and have it no more: nothing was written.
    #[error("the lease on platform `{platform}` was lost: epoch {ours} is no longer current")]
    LeaseLost {
        /// Which platform.
        platform: PlatformName,
        /// The epoch we had.
        ours: u64,
    },
    /// The ledger has changed since the plan was made.
    #[error("the plan is stale: platform `{platform}` has changed since it was made")]
    StalePlan {
        /// Which platform.
        platform: PlatformName,
    },
    /// No such run.
    #[error("there is no run `{0}`")]
    NoSuchRun(RunId),
    /// Anything else, already classified: disk full, read-only, damaged, from a newer program.
    #[error("{0}")]
    Other(Box<Failure>),
}

/// Where runs are remembered.
///
/// # Guarantees
/// Each method is one transaction: when it returns `Ok`, its effect survives `kill -9` and power loss; when it returns
/// an error, nothing of it happened. Every method that takes a [`Lease`] checks holder and epoch inside that transaction.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes the lease of a platform, making the platform if it is new.
    ///
    /// A lease that has expired, or whose holder `presumed_dead` says is gone, is taken over with the next epoch. The
    /// same holder gets its own lease back.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when somebody else has it.
    async fn acquire(
        &self,
        platform: &PlatformName,
        holder: &Holder,
        ttl: Duration,
        now: Timestamp,
        presumed_dead: &(dyn for<'a> Fn(&'a Holder) -> bool + Send + Sync),
    ) -> Result<Lease, StoreError>;

    /// Prolongs a lease.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when somebody has taken it over.
    async fn renew(&self, lease: &Lease, ttl: Duration, now: Timestamp) -> Result<Lease, StoreError>;

    /// Gives a lease back. Giving back one that was lost is no error and changes nothing.
    ///
    /// # Errors
    /// Trouble with the database.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Records a run, its plan and its first event.
    ///
    /// Once this returns, the run survives a crash and will be resumed. Until then it does not exist, and nothing in
    /// the world may have changed.
    ///
    /// # Errors
    /// [`StoreError::StalePlan`] when `plan.state_digest` is not the ledger's digest now.
    async fn create_run(&self, lease: &Lease, run: &NewRun) -> Result<(), StoreError>;

    /// Appends events, and with them what they say of steps, intents, the ledger and the run's status.
    ///
    /// # Errors
    /// A gap or repetition in `seq`, or a broken hash chain, is refused (`P0107`).
    async fn append(&self, lease: &Lease, run: &RunId, events: &[Recorded]) -> Result<(), StoreError>;

    /// Reads a run back in full.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`].
    async fn load(&self, run: &RunId) -> Result<StoredRun, StoreError>;
}

impl StoreError {
    /// The failure a person sees.
    pub fn into_failure(self) -> Failure {
        use platform_spec::Class;
        let message = self.to_string();
        match self {
            Self::Locked(held) => Failure::new(Code::new("P0101"), Class::ConflictInProgress, message).hint(format!(
                "wait for it, or look at it with `platform lock show`; `platform lock release` frees a lock whose holder is gone ({})",
                held.holder.id
            )),
            Self::LeaseLost { .. } => Failure::new(Code::new("P0102"), Class::ConflictInProgress, message)
                .hint("another process has taken over; see `platform lock show` and `platform runs`"),
            Self::StalePlan { .. } => {
                Failure::new(Code::new("P0103"), Class::Config, message).hint("make a new plan with `platform plan`")
            }
            Self::NoSuchRun(_) => {
                Failure::new(Code::new("P0104"), Class::NotFound, message).hint("`platform runs` lists what there is")
            }
            Self::Other(failure) => *failure,
        }
    }
}
