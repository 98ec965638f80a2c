//! Writing runs and events, and reading a run back in full.

use platform_engine::{
    plan::{Plan, ledger_digest},
    store::{Lease, NewRun, StoreError, StoredRun},
};
use platform_spec::{Event, RunId, event::Recorded, report::RunStatus};
use sqlx::SqliteConnection;

use crate::{
    fold::{Fold, Rows},
    lease,
    read::ledger_entries,
    text::{TIME, int, json, time, to_time, to_word},
    trouble::{Trouble, is_duplicate, is_invariant},
};

/// Characters of a hash, in hex.
const HASH: usize = 64;

/// How many events are read in one go: enough that the trip to SQLite's thread does not count, and little enough that
/// a lot stays in the cache and the next one is read while this one is parsed.
const LOT: usize = 512;

/// Records a run: see [`Store::create_run`](platform_engine::store::Store::create_run).
pub(crate) async fn create_run(
    db: &mut SqliteConnection,
    lease: &Lease,
    new: &NewRun,
) -> Result<(), Trouble> {
    let Event::RunCreated { plan_digest, actor } = &new.first.event else {
        return Err(Trouble::Journal("a run begins with `run_created`".into()));
    };
    if new.first.seq != 1 {
        return Err(Trouble::Journal(format!("event {} stands where event 1 belongs", new.first.seq)));
    }
    if new.plan.platform != lease.platform {
        return Err(Trouble::Journal(format!(
            "the plan is for `{}`, the lease for `{}`",
            new.plan.platform, lease.platform
        )));
    }
    lease::check(db, lease).await?;
    let platform = lease.platform.as_str();
    let unfinished: Option<(String,)> =
        sqlx::query_as("SELECT run FROM runs WHERE platform = ? AND ended_at IS NULL")
            .bind(platform)
            .fetch_optional(&mut *db)
            .await?;
    if let Some((run,)) = unfinished {
        return Err(Trouble::Unfinished { platform: lease.platform.clone(), run: RunId::new(run) });
    }
    if new.plan.state_digest != ledger_digest(&ledger_entries(db, platform).await?) {
        return Err(StoreError::StalePlan { platform: lease.platform.clone() }.into());
    }

    let (id,): (i64,) = sqlx::query_as(
        "INSERT INTO runs (run, platform, flow, actor, epoch, spec_digest, plan_digest, status, last_seq,
                           created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'running', 1, ?8, ?8) RETURNING id",
    )
    .bind(new.id.as_str())
    .bind(platform)
    .bind(&new.plan.flow)
    .bind(actor)
    .bind(int(lease.epoch))
    .bind(&new.plan.spec_digest)
    .bind(plan_digest)
    .bind(time(new.first.at))
    .fetch_one(&mut *db)
    .await
    .map_err(|cause| {
        if is_duplicate(&cause) {
            Trouble::Journal(format!("there is a run `{}` already", new.id))
        } else {
            cause.into()
        }
    })?;
    let steps: Vec<(&str, &str)> =
        new.plan.steps.iter().map(|step| (step.id.as_str(), step.title.as_str())).collect();
    sqlx::query("INSERT INTO plans (run, plan) VALUES (?, ?)")
        .bind(id)
        .bind(json(&new.plan)?)
        .execute(&mut *db)
        .await
        .map_err(refused)?;
    sqlx::query(
        "INSERT INTO steps (run, step, position, title)
         SELECT ?1, value ->> 0, key, value ->> 1 FROM json_each(?2)",
    )
    .bind(id)
    .bind(json(&steps)?)
    .execute(&mut *db)
    .await
    .map_err(refused)?;
    insert_events(db, id, std::slice::from_ref(&new.first)).await
}

/// Appends events: see [`Store::append`](platform_engine::store::Store::append).
pub(crate) async fn append(
    db: &mut SqliteConnection,
    lease: &Lease,
    run: &RunId,
    events: &[Recorded],
) -> Result<(), Trouble> {
    let (Some(first), Some(last)) = (events.first(), events.last()) else {
        return lease::check(db, lease).await;
    };
    for (expected, event) in (first.seq..).zip(events) {
        if event.seq != expected {
            return Err(Trouble::Journal(format!(
                "event {} stands where event {expected} belongs",
                event.seq
            )));
        }
    }
    if events.iter().any(|recorded| recorded.event == Event::Unknown) {
        return Err(Trouble::Journal("an event of a newer program cannot be written by this one".into()));
    }
    let fold = Fold::of(events);
    let id = guard(db, lease, run, first, last, &fold).await?;
    let rows = fold.rows()?;

    insert_events(db, id, events).await?;
    if update_steps(db, id, &rows.steps).await? != rows.step_count {
        return Err(Trouble::Journal("an event names a step that the plan does not have".into()));
    }
    write_intents(db, id, &rows).await?;
    write_ledger(db, id, lease.platform.as_str(), &rows).await
}

async fn insert_events(db: &mut SqliteConnection, id: i64, events: &[Recorded]) -> Result<(), Trouble> {
    let mut lines = Vec::with_capacity(events.len());
    for event in events {
        lines.push(format!("{}{}{}", time(event.at), event.hash, json(&event.event)?));
    }
    // A line is time, hash and event: the first two have a fixed length, so the event's text needs no second parse and
    // is stored byte for byte as it was hashed.
    sqlx::query(
        "INSERT INTO events (run, seq, at, hash, event)
         SELECT ?1, ?2 + key, substr(value, 1, 30), substr(value, 31, 64), substr(value, 95) FROM json_each(?3)",
    )
    .bind(id)
    .bind(events.first().map_or(0, |first| int(first.seq)))
    .bind(json(&lines)?)
    .execute(db)
    .await
    .map_err(refused)?;
    Ok(())
}

/// Materialised, so that SQLite walks the new rows and finds each step by its key; left to itself it walks all steps of
/// the run for each batch.
const UPDATE_STEPS: &str = "
    WITH new AS MATERIALIZED (
        SELECT value ->> 0 AS step, value ->> 1 AS state, value ->> 2 AS attempts, value ->> 3 AS outcome,
               value ->> 4 AS keeps, value ->> 5 AS note, value ->> 6 AS started, value ->> 7 AS ended
        FROM json_each(?2))
    UPDATE steps SET
        state = new.state,
        attempts = coalesce(new.attempts, steps.attempts),
        outcome = new.outcome,
        note = CASE WHEN new.keeps THEN steps.note ELSE new.note END,
        started_at = coalesce(steps.started_at, new.started),
        ended_at = new.ended
    FROM new WHERE steps.run = ?1 AND steps.step = new.step";

/// Materialised for the same reason.
const ANSWER_INTENTS: &str = "
    WITH new AS MATERIALIZED (
        SELECT value ->> 0 AS step, value ->> 1 AS operation, value ->> 2 AS settled FROM json_each(?2))
    UPDATE intents SET
        operation = coalesce(new.operation, intents.operation),
        settled_at = coalesce(new.settled, intents.settled_at)
    FROM new WHERE intents.run = ?1 AND intents.step = new.step";

async fn update_steps(db: &mut SqliteConnection, id: i64, rows: &str) -> Result<u64, Trouble> {
    let done = sqlx::query(UPDATE_STEPS).bind(id).bind(rows).execute(db).await.map_err(refused)?;
    Ok(done.rows_affected())
}

async fn write_intents(db: &mut SqliteConnection, id: i64, rows: &Rows) -> Result<(), Trouble> {
    if let Some(intended) = &rows.intended {
        sqlx::query(
            "INSERT INTO intents (run, step, seq, attempt, token, intent, at)
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5
             FROM json_each(?2) WHERE true
             ON CONFLICT (run, step) DO UPDATE SET
                 seq = excluded.seq, attempt = excluded.attempt, token = excluded.token,
                 intent = excluded.intent, operation = NULL, at = excluded.at, settled_at = NULL",
        )
        .bind(id)
        .bind(intended)
        .execute(&mut *db)
        .await
        .map_err(refused)?;
    }
    if let Some(answered) = &rows.answered {
        sqlx::query(ANSWER_INTENTS).bind(id).bind(answered).execute(db).await.map_err(refused)?;
    }
    Ok(())
}

async fn write_ledger(
    db: &mut SqliteConnection,
    id: i64,
    platform: &str,
    rows: &Rows,
) -> Result<(), Trouble> {
    if let Some(put) = &rows.put {
        sqlx::query(
            "INSERT INTO resources (platform, key, kind, external_id, owned, detail,
                                    made_by, made_at, seen_by, seen_seq, seen_at)
             SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4,
                    ?2, value ->> 6, ?2, value ->> 5, value ->> 6
             FROM json_each(?3) WHERE true
             ON CONFLICT (platform, key) DO UPDATE SET
                 kind = excluded.kind, external_id = excluded.external_id, owned = excluded.owned,
                 detail = excluded.detail, seen_by = excluded.seen_by, seen_seq = excluded.seen_seq,
                 seen_at = excluded.seen_at",
        )
        .bind(platform)
        .bind(id)
        .bind(put)
        .execute(&mut *db)
        .await
        .map_err(refused)?;
    }
    if let Some(dropped) = &rows.dropped {
        sqlx::query("DELETE FROM resources WHERE platform = ?1 AND key IN (SELECT value FROM json_each(?2))")
            .bind(platform)
            .bind(dropped)
            .execute(db)
            .await
            .map_err(refused)?;
    }
    Ok(())
}

/// Moves the run's row on. That one statement is the check of lease, run, order and end.
async fn guard(
    db: &mut SqliteConnection,
    lease: &Lease,
    run: &RunId,
    first: &Recorded,
    last: &Recorded,
    fold: &Fold<'_>,
) -> Result<i64, Trouble> {
    let status = fold.status.map(RunStatus::as_str);
    let ended = fold.status.is_some_and(|status| !status.is_resumable());
    let row: Option<(i64,)> = sqlx::query_as(
        "UPDATE runs SET
             last_seq = ?2, updated_at = ?3, epoch = ?4, status = coalesce(?5, status), ended_at = ?6,
             abandoned_by = ?7, abandoned_why = ?8
         WHERE run = ?1 AND last_seq = ?9 AND ended_at IS NULL AND platform = ?10
             AND EXISTS (SELECT 1 FROM leases WHERE platform = ?10 AND holder_id = ?11 AND epoch = ?4)
         RETURNING id",
    )
    .bind(run.as_str())
    .bind(int(last.seq))
    .bind(time(last.at))
    .bind(int(lease.epoch))
    .bind(status)
    .bind(ended.then(|| time(last.at)))
    .bind(fold.abandoned.map(|(by, _)| by))
    .bind(fold.abandoned.map(|(_, why)| why))
    .bind(int(first.seq) - 1)
    .bind(lease.platform.as_str())
    .bind(&lease.holder.id)
    .fetch_optional(&mut *db)
    .await?;
    match row {
        Some((id,)) => Ok(id),
        None => Err(why_not(db, lease, run, first).await?),
    }
}

/// Which of the guard's conditions did not hold.
async fn why_not(
    db: &mut SqliteConnection,
    lease: &Lease,
    run: &RunId,
    first: &Recorded,
) -> Result<Trouble, Trouble> {
    lease::check(db, lease).await?;
    let row: Option<(i64, String, String)> =
        sqlx::query_as("SELECT last_seq, status, platform FROM runs WHERE run = ?")
            .bind(run.as_str())
            .fetch_optional(db)
            .await?;
    Ok(match row {
        None => StoreError::NoSuchRun(run.clone()).into(),
        Some((_, _, platform)) if platform != lease.platform.as_str() => {
            Trouble::Journal(format!("the run is of `{platform}`, the lease for `{}`", lease.platform))
        }
        Some((last, _, _)) if last + 1 != int(first.seq) => {
            Trouble::Journal(format!("event {} stands where event {} belongs", first.seq, last + 1))
        }
        Some((_, status, _)) => Trouble::Journal(format!("the run has ended: {status}")),
    })
}

/// A write that one of the schema's invariants refuses is a journal that does not fit what is stored.
fn refused(cause: sqlx::Error) -> Trouble {
    if is_invariant(&cause) { Trouble::Journal(cause.to_string()) } else { cause.into() }
}

/// Reads a run back: see [`Store::load`](platform_engine::store::Store::load).
pub(crate) async fn load(db: &mut SqliteConnection, run: &RunId) -> Result<StoredRun, Trouble> {
    let row: Option<(i64, String, i64, String)> = sqlx::query_as(
        "SELECT id, status, last_seq, plan FROM runs JOIN plans ON plans.run = runs.id WHERE runs.run = ?",
    )
    .bind(run.as_str())
    .fetch_optional(&mut *db)
    .await?;
    let (id, status, last, plan) = row.ok_or_else(|| StoreError::NoSuchRun(run.clone()))?;
    let plan = aside(move || {
        serde_json::from_str::<Plan>(&plan).map_err(|cause| Trouble::unreadable("a plan", cause))
    });
    let lots = lots(db, id, 0).await?;
    let mut events = Vec::with_capacity(usize::try_from(last).unwrap_or_default());
    for lot in lots {
        events.extend(joined(lot).await?);
    }
    whole(&events, 1)?;
    if int(events.len() as u64) != last {
        return Err(Trouble::Journal(format!("{} of {last} events are there", events.len())));
    }
    Ok(StoredRun { id: run.clone(), plan: joined(plan).await?, status: to_word(&status)?, events })
}

/// Events of a run after `seq`, in order.
pub(crate) async fn events_after(
    db: &mut SqliteConnection,
    id: i64,
    seq: u64,
) -> Result<Vec<Recorded>, Trouble> {
    let mut events = Vec::new();
    for lot in lots(db, id, int(seq)).await? {
        events.extend(joined(lot).await?);
    }
    whole(&events, seq + 1)?;
    Ok(events)
}

type Aside<T> = tokio::task::JoinHandle<Result<T, Trouble>>;

/// Reads events lot by lot, each as one text, and has each parsed aside while the next is read.
///
/// One text for each lot, because a row handed over from SQLite's thread costs more than the event in it.
async fn lots(db: &mut SqliteConnection, id: i64, after: i64) -> Result<Vec<Aside<Vec<Recorded>>>, Trouble> {
    let mut lots = Vec::new();
    let mut after = after;
    loop {
        let (text, count, last): (Option<String>, i64, Option<i64>) = sqlx::query_as(
            "SELECT string_agg(at || hash || seq || ' ' || event, char(10)), count(*), max(seq)
             FROM (SELECT at, hash, seq, event FROM events WHERE run = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3)",
        )
        .bind(id)
        .bind(after)
        .bind(LOT as i64)
        .fetch_one(&mut *db)
        .await?;
        let (Some(text), Some(last)) = (text, last) else { return Ok(lots) };
        lots.push(aside(move || parse(&text)));
        after = last;
        if count < LOT as i64 {
            return Ok(lots);
        }
    }
}

/// Compact JSON has no line breaks in it, so a line is an event.
fn parse(lot: &str) -> Result<Vec<Recorded>, Trouble> {
    lot.split('\n').map(parse_line).collect()
}

fn parse_line(line: &str) -> Result<Recorded, Trouble> {
    let torn = || Trouble::Damaged("an event is cut short".into());
    let (at, rest) = line.split_at_checked(TIME).ok_or_else(torn)?;
    let (hash, rest) = rest.split_at_checked(HASH).ok_or_else(torn)?;
    let (seq, event) = rest.split_once(' ').ok_or_else(torn)?;
    Ok(Recorded {
        seq: seq.parse().map_err(|cause: std::num::ParseIntError| Trouble::unreadable("a number", cause))?,
        at: to_time(at)?,
        event: to_event(event)?,
        hash: hash.to_owned(),
    })
}

/// An event that is JSON and yet none of ours is one of a newer program: to be shown, and not to be continued.
fn to_event(text: &str) -> Result<Event, Trouble> {
    match serde_json::from_str(text) {
        Ok(event) => Ok(event),
        Err(cause) if cause.is_data() => Ok(Event::Unknown),
        Err(cause) => Err(Trouble::unreadable("an event", cause)),
    }
}

/// Whether the events follow one another from `first` on.
fn whole(events: &[Recorded], first: u64) -> Result<(), Trouble> {
    match (first..).zip(events).find(|(expected, event)| event.seq != *expected) {
        Some((expected, event)) => {
            Err(Trouble::Journal(format!("event {} stands where event {expected} belongs", event.seq)))
        }
        None => Ok(()),
    }
}

/// Work that would keep this thread from the next answer of SQLite's.
fn aside<T: Send + 'static>(work: impl FnOnce() -> Result<T, Trouble> + Send + 'static) -> Aside<T> {
    tokio::task::spawn_blocking(work)
}

async fn joined<T>(work: Aside<T>) -> Result<T, Trouble> {
    work.await.map_err(|lost| Trouble::File(std::io::Error::other(lost)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A plan that walks all steps of the run for each batch would be right, and a hundred times slower.
    #[tokio::test]
    async fn rows_are_found_by_their_keys() {
        let dir = tempfile::tempdir().unwrap();
        let store = crate::Sqlite::open(dir.path()).await.unwrap();
        for (statement, search) in [
            (UPDATE_STEPS, "SEARCH steps USING PRIMARY KEY (run=? AND step=?)"),
            (ANSWER_INTENTS, "SEARCH intents USING PRIMARY KEY (run=? AND step=?)"),
        ] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explain).bind(1).bind("[]").fetch_all(&store.writer).await.unwrap();
            assert!(plan.iter().any(|(.., line)| line == search), "{plan:?}");
        }
    }
}
