//! What screens ask: rows kept up to date by every append, so that nothing is replayed to be shown.

use jiff::Timestamp;
use platform_engine::store::{Held, Lease, StoreError};
use platform_spec::{
    PlatformName, RunId, StepId,
    event::{LedgerEntry, Recorded},
};
use serde_json::Value;
use sqlx::SqliteConnection;

use crate::{
    Sqlite, journal, lease,
    rows::{Abandoned, Artifact, ArtifactRow, IntentRow, LedgerRow, PlatformRow, RunRow, StepRow},
    text::{time, to_time, to_time_if, to_u32, to_u64, to_value, to_word},
    trouble::Trouble,
};

/// The columns of [`RunColumns`]. The counts are those of the engine's report.
macro_rules! run_columns {
    () => {
        "SELECT run, platform, flow, actor, status,
                (SELECT json_object(
                    'changed', count(*) FILTER (WHERE outcome = 'changed'),
                    'unchanged', count(*) FILTER (WHERE outcome = 'unchanged'),
                    'skipped', count(*) FILTER (WHERE outcome = 'skipped'),
                    'failed', count(*) FILTER (WHERE state IN ('failed', 'stuck')),
                    'pending', count(*) FILTER (WHERE outcome IS NULL AND state NOT IN ('failed', 'stuck')))
                 FROM steps WHERE steps.run = runs.id),
                last_seq, spec_digest, plan_digest, created_at, updated_at, ended_at, abandoned_by, abandoned_why
         FROM runs"
    };
}

type RunColumns = (
    String,
    String,
    String,
    String,
    String,
    String,
    i64,
    String,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
);

fn to_run(row: RunColumns) -> Result<RunRow, Trouble> {
    let (
        run,
        platform,
        flow,
        actor,
        status,
        counts,
        events,
        spec_digest,
        plan_digest,
        created_at,
        updated_at,
        ended_at,
        by,
        because,
    ) = row;
    Ok(RunRow {
        run: RunId::new(run),
        platform: PlatformName::new(platform),
        flow,
        actor,
        status: to_word(&status)?,
        counts: to_value("counts", &counts)?,
        events: to_u64(events)?,
        spec_digest,
        plan_digest,
        created_at: to_time(&created_at)?,
        updated_at: to_time(&updated_at)?,
        ended_at: to_time_if(ended_at.as_deref())?,
        abandoned: by.zip(because).map(|(by, because)| Abandoned { by, because }),
    })
}

type LedgerColumns = (String, String, String, bool, String, String, String, String, String);

fn to_ledger(row: LedgerColumns) -> Result<LedgerRow, Trouble> {
    let (key, kind, external_id, owned, detail, made_by, made_at, seen_by, seen_at) = row;
    Ok(LedgerRow {
        entry: LedgerEntry { key, kind, external_id, owned, detail: to_value("a detail", &detail)? },
        made_by: RunId::new(made_by),
        made_at: to_time(&made_at)?,
        seen_by: RunId::new(seen_by),
        seen_at: to_time(&seen_at)?,
    })
}

type IntentColumns = (String, String, i64, String, String, Option<String>, String);

fn to_intent(row: IntentColumns) -> Result<IntentRow, Trouble> {
    let (run, step, attempt, token, intent, operation, at) = row;
    Ok(IntentRow {
        run: RunId::new(run),
        step: StepId::new(step),
        attempt: to_u32(attempt)?,
        token,
        intent: to_value("an intent", &intent)?,
        operation: operation.map(|text| to_value("an operation", &text)).transpose()?,
        at: to_time(&at)?,
    })
}

/// Reading, and the few writes that people ask for directly.
///
/// Errors are those of the store's contract: [`StoreError::NoSuchRun`] where a run is named, and what the database says.
impl Sqlite {
    /// Every platform known here, by name.
    ///
    /// # Errors
    /// Trouble with the database.
    pub async fn platforms(&self) -> Result<Vec<PlatformRow>, StoreError> {
        let work = async {
            let rows: Vec<(String, String, Option<String>, i64)> = sqlx::query_as(
                "SELECT name, created_at,
                        (SELECT run FROM runs WHERE platform = name ORDER BY id DESC LIMIT 1),
                        (SELECT count(*) FROM resources WHERE platform = name)
                 FROM platforms ORDER BY name",
            )
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter()
                .map(|(name, created_at, last_run, ledger)| {
                    Ok(PlatformRow {
                        name: PlatformName::new(name),
                        created_at: to_time(&created_at)?,
                        last_run: last_run.map(RunId::new),
                        ledger: to_u64(ledger)?,
                    })
                })
                .collect()
        };
        self.put(work.await, || "list the platforms".into())
    }

    /// Runs of a platform, or of all, newest first, at most `limit`.
    ///
    /// # Errors
    /// Trouble with the database.
    pub async fn runs(&self, platform: Option<&PlatformName>, limit: u32) -> Result<Vec<RunRow>, StoreError> {
        let work = async {
            let rows: Vec<RunColumns> = sqlx::query_as(concat!(
                run_columns!(),
                " WHERE id IN (SELECT id FROM runs WHERE ?1 IS NULL OR platform = ?1 ORDER BY id DESC LIMIT ?2)
                  ORDER BY id DESC"
            ))
            .bind(platform.map(PlatformName::as_str))
            .bind(limit)
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(to_run).collect()
        };
        self.put(work.await, || "list the runs".into())
    }

    /// The newest run of a platform.
    ///
    /// # Errors
    /// Trouble with the database.
    pub async fn latest_run(&self, platform: &PlatformName) -> Result<Option<RunRow>, StoreError> {
        Ok(self.runs(Some(platform), 1).await?.pop())
    }

    /// Runs that have not ended, newest first: at most one for each platform.
    ///
    /// One of status `running` is resumable once nobody holds the platform's lease: see [`Sqlite::leases`].
    ///
    /// # Errors
    /// Trouble with the database.
    pub async fn resumable(&self, platform: Option<&PlatformName>) -> Result<Vec<RunRow>, StoreError> {
        let work = async {
            let rows: Vec<RunColumns> = sqlx::query_as(concat!(
                run_columns!(),
                " WHERE ended_at IS NULL AND (?1 IS NULL OR platform = ?1) ORDER BY id DESC"
            ))
            .bind(platform.map(PlatformName::as_str))
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(to_run).collect()
        };
        self.put(work.await, || "list the unfinished runs".into())
    }

    /// One run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`].
    pub async fn run(&self, run: &RunId) -> Result<RunRow, StoreError> {
        let work = async {
            let row: Option<RunColumns> = sqlx::query_as(concat!(run_columns!(), " WHERE run = ?"))
                .bind(run.as_str())
                .fetch_optional(&self.reader)
                .await?;
            to_run(row.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?)
        };
        self.put(work.await, || format!("read run `{run}`"))
    }

    /// The steps of a run, in the plan's order.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`].
    pub async fn steps(&self, run: &RunId) -> Result<Vec<StepRow>, StoreError> {
        let work = async {
            let mut tx = self.read().await?;
            let id = id_of(&mut tx, run).await?;
            // One text, because a row handed over from SQLite's thread costs more than what is in it.
            let (rows,): (String,) = sqlx::query_as(
                "SELECT json_group_array(json_array(step, title, state, outcome, attempts, note, started_at, ended_at))
                 FROM (SELECT * FROM steps WHERE run = ? ORDER BY position)",
            )
            .bind(id)
            .fetch_one(&mut *tx)
            .await?;
            let rows: Vec<StepRow> = to_value("steps", &rows)?;
            Ok(rows)
        };
        self.put(work.await, || format!("read the steps of run `{run}`"))
    }

    /// Events of a run after `seq` (0 for all), in order: what a follower has not seen yet.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`].
    pub async fn events_after(&self, run: &RunId, seq: u64) -> Result<Vec<Recorded>, StoreError> {
        let work = async {
            let mut tx = self.read().await?;
            let id = id_of(&mut tx, run).await?;
            journal::events_after(&mut tx, id, seq).await
        };
        self.put(work.await, || format!("read events of run `{run}`"))
    }

    /// What exists outside because of a platform, by key.
    ///
    /// # Errors
    /// Trouble with the database.
    pub async fn ledger(&self, platform: &PlatformName) -> Result<Vec<LedgerRow>, StoreError> {
        let work = async {
            let rows: Vec<LedgerColumns> = sqlx::query_as(
                "SELECT key, kind, external_id, owned, detail, made.run, made_at, seen.run, seen_at
                 FROM resources JOIN runs AS made ON made.id = made_by JOIN runs AS seen ON seen.id = seen_by
                 WHERE resources.platform = ? ORDER BY key",
            )
            .bind(platform.as_str())
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(to_ledger).collect()
        };
        self.put(work.await, || format!("read the ledger of platform `{platform}`"))
    }

    /// What runs of a platform set out to make and have not recorded an answer for.
    ///
    /// # Errors
    /// Trouble with the database.
    pub async fn open_intents(&self, platform: &PlatformName) -> Result<Vec<IntentRow>, StoreError> {
        let work = async {
            let rows: Vec<IntentColumns> = sqlx::query_as(
                "SELECT runs.run, step, attempt, token, intent, operation, at
                 FROM runs JOIN intents ON intents.run = runs.id
                 WHERE platform = ? AND settled_at IS NULL ORDER BY runs.id, seq",
            )
            .bind(platform.as_str())
            .fetch_all(&self.reader)
            .await?;
            rows.into_iter().map(to_intent).collect()
        };
        self.put(work.await, || format!("read the intents of platform `{platform}`"))
    }

    /// Every lease that is held, by platform. One that has expired is listed until somebody takes it.
    ///
    /// # Errors
    /// Trouble with the database.
    pub async fn leases(&self) -> Result<Vec<Held>, StoreError> {
        let work = async {
            let mut tx = self.read().await?;
            lease::all(&mut tx).await
        };
        self.put(work.await, || "list the locks".into())
    }

    /// Takes the lease of a platform away from the holder of this id, whether it has expired or not.
    ///
    /// The id is asked for so that nobody takes it from another holder than the one they looked at. The holder's next
    /// write is refused. `None` when nobody holds it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another holder has it.
    pub async fn release_lock(
        &self,
        platform: &PlatformName,
        holder_id: &str,
    ) -> Result<Option<Held>, StoreError> {
        let work = async {
            let mut tx = self.write().await?;
            let held = lease::release_of(&mut tx, platform, holder_id).await?;
            tx.commit().await?;
            Ok(held)
        };
        self.put(work.await, || format!("unlock platform `{platform}`"))
    }

    /// Records a file that a run used or left behind; a second one of the same name replaces the first.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`], [`StoreError::NoSuchRun`].
    pub async fn record_artifact(
        &self,
        lease: &Lease,
        run: &RunId,
        artifact: &Artifact,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let work = async {
            let mut tx = self.write().await?;
            lease::check(&mut tx, lease).await?;
            let id = id_of(&mut tx, run).await?;
            sqlx::query(
                "INSERT INTO artifacts (run, name, kind, sha256, location, at) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT (run, name) DO UPDATE SET
                     kind = excluded.kind, sha256 = excluded.sha256, location = excluded.location, at = excluded.at",
            )
            .bind(id)
            .bind(&artifact.name)
            .bind(&artifact.kind)
            .bind(&artifact.sha256)
            .bind(&artifact.location)
            .bind(time(now))
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            Ok(())
        };
        self.put(work.await, || format!("record artifact `{}` of run `{run}`", artifact.name))
    }

    /// The artifacts of a run, by name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`].
    pub async fn artifacts(&self, run: &RunId) -> Result<Vec<ArtifactRow>, StoreError> {
        let work = async {
            let mut tx = self.read().await?;
            let id = id_of(&mut tx, run).await?;
            let rows: Vec<(String, String, String, String, String)> = sqlx::query_as(
                "SELECT name, kind, sha256, location, at FROM artifacts WHERE run = ? ORDER BY name",
            )
            .bind(id)
            .fetch_all(&mut *tx)
            .await?;
            rows.into_iter()
                .map(|(name, kind, sha256, location, at)| {
                    Ok(ArtifactRow { artifact: Artifact { name, kind, sha256, location }, at: to_time(&at)? })
                })
                .collect()
        };
        self.put(work.await, || format!("read the artifacts of run `{run}`"))
    }

    /// Reads the whole file and checks it against itself (`PRAGMA integrity_check`, `foreign_key_check`). Takes about a
    /// second for each gigabyte.
    ///
    /// # Errors
    /// `P0106` with what was found, at most ten findings.
    pub async fn check(&self) -> Result<(), StoreError> {
        let work = async {
            let mut tx = self.read().await?;
            let found: Vec<(String,)> =
                sqlx::query_as("PRAGMA integrity_check(10)").fetch_all(&mut *tx).await?;
            let found: Vec<String> =
                found.into_iter().map(|(line,)| line).filter(|line| line != "ok").collect();
            if !found.is_empty() {
                return Err(Trouble::Damaged(found.join("; ")));
            }
            let dangling: Option<(String,)> =
                sqlx::query_as("SELECT \"table\" FROM pragma_foreign_key_check LIMIT 1")
                    .fetch_optional(&mut *tx)
                    .await?;
            match dangling {
                Some((table,)) => Err(Trouble::Damaged(format!("a row of table {table} refers to nothing"))),
                None => Ok(()),
            }
        };
        self.put(work.await, || "check the state".into())
    }
}

/// The ledger as plans are made from it.
pub(crate) async fn ledger_entries(
    db: &mut SqliteConnection,
    platform: &str,
) -> Result<Vec<LedgerEntry>, Trouble> {
    let rows: Vec<(String, String, String, bool)> =
        sqlx::query_as("SELECT key, kind, external_id, owned FROM resources WHERE platform = ?")
            .bind(platform)
            .fetch_all(db)
            .await?;
    Ok(rows
        .into_iter()
        .map(|(key, kind, external_id, owned)| LedgerEntry {
            key,
            kind,
            external_id,
            owned,
            detail: Value::Null,
        })
        .collect())
}

/// The short number of a run.
async fn id_of(db: &mut SqliteConnection, run: &RunId) -> Result<i64, Trouble> {
    let row: Option<(i64,)> =
        sqlx::query_as("SELECT id FROM runs WHERE run = ?").bind(run.as_str()).fetch_optional(db).await?;
    row.map(|(id,)| id).ok_or_else(|| StoreError::NoSuchRun(run.clone()).into())
}
