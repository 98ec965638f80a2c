//! The engine's contract, each call in one transaction.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use platform_engine::store::{Holder, Lease, NewRun, Store, StoreError, StoredRun};
use platform_spec::{PlatformName, RunId, event::Recorded};
use sqlx::{Sqlite as Db, Transaction};

use crate::{Sqlite, journal, lease, trouble::Trouble};

impl Sqlite {
    /// A transaction that will write. It waits for its turn at the beginning and not at its first write, so that what
    /// it reads is what it changes.
    pub(crate) async fn write(&self) -> Result<Transaction<'static, Db>, Trouble> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// A transaction that only reads: one moment of the database, never waiting for writers.
    pub(crate) async fn read(&self) -> Result<Transaction<'static, Db>, Trouble> {
        Ok(self.reader.begin().await?)
    }

    /// Names deed and file.
    pub(crate) fn put<T>(
        &self,
        result: Result<T, Trouble>,
        deed: impl FnOnce() -> String,
    ) -> Result<T, StoreError> {
        result.map_err(|trouble| trouble.into_store(&deed(), self.path()))
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn acquire(
        &self,
        platform: &PlatformName,
        holder: &Holder,
        ttl: Duration,
        now: Timestamp,
        presumed_dead: &(dyn for<'a> Fn(&'a Holder) -> bool + Send + Sync),
    ) -> Result<Lease, StoreError> {
        let work = async {
            let mut tx = self.write().await?;
            let lease = lease::acquire(&mut tx, platform, holder, ttl, now, presumed_dead).await?;
            tx.commit().await?;
            Ok(lease)
        };
        self.put(work.await, || format!("lock platform `{platform}`"))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration, now: Timestamp) -> Result<Lease, StoreError> {
        let work = async {
            let mut tx = self.write().await?;
            let lease = lease::renew(&mut tx, lease, ttl, now).await?;
            tx.commit().await?;
            Ok(lease)
        };
        self.put(work.await, || format!("prolong the lock on platform `{}`", lease.platform))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let work = async {
            let mut tx = self.write().await?;
            lease::release(&mut tx, lease).await?;
            tx.commit().await?;
            Ok(())
        };
        self.put(work.await, || format!("unlock platform `{}`", lease.platform))
    }

    async fn create_run(&self, lease: &Lease, run: &NewRun) -> Result<(), StoreError> {
        let work = async {
            let mut tx = self.write().await?;
            journal::create_run(&mut tx, lease, run).await?;
            tx.commit().await?;
            Ok(())
        };
        self.put(work.await, || format!("record run `{}`", run.id))
    }

    async fn append(&self, lease: &Lease, run: &RunId, events: &[Recorded]) -> Result<(), StoreError> {
        let work = async {
            let mut tx = self.write().await?;
            journal::append(&mut tx, lease, run, events).await?;
            tx.commit().await?;
            Ok(())
        };
        self.put(work.await, || format!("record events of run `{run}`"))
    }

    async fn load(&self, run: &RunId) -> Result<StoredRun, StoreError> {
        let work = async {
            let mut tx = self.read().await?;
            journal::load(&mut tx, run).await
        };
        self.put(work.await, || format!("read run `{run}`"))
    }
}
