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

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit of SQLite's own gives the same answer as a full disk, and needs no disk to fill.
    #[tokio::test]
    async fn a_full_database_refuses_and_keeps_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path()).await.unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let ttl = Duration::from_secs(30);
        let holder = |id: &str| Holder {
            id: id.into(),
            user: "ada".into(),
            host: "loft".into(),
            pid: 1,
            process_start: "1".into(),
        };
        let small = PlatformName::new("small");
        let lease = store.acquire(&small, &holder("one"), ttl, now, &|_| false).await.unwrap();
        sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();

        let big = holder(&"x".repeat(100_000));
        let refused = store.acquire(&PlatformName::new("big"), &big, ttl, now, &|_| false).await;
        assert_eq!(refused.unwrap_err().into_failure().code.as_str(), "P0108");
        let known: Vec<_> = store.platforms().await.unwrap().into_iter().map(|row| row.name).collect();
        assert_eq!(known, [small], "not even the platform of the refused lease");
        store.renew(&lease, ttl, now).await.expect("what needs no room goes on");
    }

    #[tokio::test]
    async fn the_writer_asks_for_durability_and_the_readers_cannot_write() {
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(dir.path()).await.unwrap();
        let full: (i64,) = sqlx::query_as("PRAGMA synchronous").fetch_one(&store.writer).await.unwrap();
        let keys: (i64,) = sqlx::query_as("PRAGMA foreign_keys").fetch_one(&store.writer).await.unwrap();
        assert_eq!((full.0, keys.0), (2, 1), "synchronous=FULL, foreign keys on");
        let refused = sqlx::query("DELETE FROM leases").execute(&store.reader).await.unwrap_err();
        assert!(refused.to_string().contains("readonly"), "{refused}");
    }
}
