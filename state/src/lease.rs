//! Who may write: taking, prolonging and giving back the lease of a platform.
//!
//! Safety comes from the epoch, not from clocks: a holder who lost the lease, for whatever reason, fails the check of
//! its next write. Clocks only decide when somebody else may try.

use std::time::Duration;

use jiff::Timestamp;
use platform_engine::{
    clock::add,
    store::{Held, Holder, Lease, StoreError},
};
use platform_spec::PlatformName;
use sqlx::SqliteConnection;

use crate::{
    text::{int, json, time, to_time, to_u64, to_value},
    trouble::Trouble,
};

type Row = (String, i64, String, String, String);

/// The lease of a platform as it stands.
pub(crate) async fn held(db: &mut SqliteConnection, platform: &str) -> Result<Option<Held>, Trouble> {
    let row: Option<Row> =
        sqlx::query_as("SELECT platform, epoch, holder, since, expires FROM leases WHERE platform = ?")
            .bind(platform)
            .fetch_optional(db)
            .await?;
    row.map(to_held).transpose()
}

/// Every lease that is held.
pub(crate) async fn all(db: &mut SqliteConnection) -> Result<Vec<Held>, Trouble> {
    let rows: Vec<Row> =
        sqlx::query_as("SELECT platform, epoch, holder, since, expires FROM leases ORDER BY platform")
            .fetch_all(db)
            .await?;
    rows.into_iter().map(to_held).collect()
}

fn to_held((platform, epoch, holder, since, expires): Row) -> Result<Held, Trouble> {
    Ok(Held {
        platform: PlatformName::new(platform),
        holder: to_value("a holder", &holder)?,
        epoch: to_u64(epoch)?,
        since: to_time(&since)?,
        expires: to_time(&expires)?,
    })
}

/// Takes the lease: see [`Store::acquire`](platform_engine::store::Store::acquire).
pub(crate) async fn acquire(
    db: &mut SqliteConnection,
    platform: &PlatformName,
    holder: &Holder,
    ttl: Duration,
    now: Timestamp,
    presumed_dead: &(dyn for<'a> Fn(&'a Holder) -> bool + Send + Sync),
) -> Result<Lease, Trouble> {
    sqlx::query("INSERT INTO platforms (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING")
        .bind(platform.as_str())
        .bind(time(now))
        .execute(&mut *db)
        .await?;
    if let Some(held) = held(&mut *db, platform.as_str()).await? {
        if held.holder.id == holder.id {
            let lease = Lease {
                platform: held.platform,
                holder: held.holder,
                epoch: held.epoch,
                expires: held.expires,
            };
            return renew(db, &lease, ttl, now).await;
        }
        if now < held.expires && !presumed_dead(&held.holder) {
            return Err(StoreError::Locked(Box::new(held)).into());
        }
    }
    let (epoch,): (i64,) =
        sqlx::query_as("UPDATE platforms SET epoch = epoch + 1 WHERE name = ? RETURNING epoch")
            .bind(platform.as_str())
            .fetch_one(&mut *db)
            .await?;
    let expires = add(now, ttl);
    sqlx::query(
        "INSERT INTO leases (platform, epoch, holder_id, holder, since, expires)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (platform) DO UPDATE SET
             epoch = excluded.epoch, holder_id = excluded.holder_id, holder = excluded.holder,
             since = excluded.since, expires = excluded.expires",
    )
    .bind(platform.as_str())
    .bind(epoch)
    .bind(&holder.id)
    .bind(json(holder)?)
    .bind(time(now))
    .bind(time(expires))
    .execute(db)
    .await?;
    Ok(Lease { platform: platform.clone(), holder: holder.clone(), epoch: to_u64(epoch)?, expires })
}

/// Prolongs the lease. It is never shortened: a clock that was set back must not let it end earlier once the clock is
/// right again.
pub(crate) async fn renew(
    db: &mut SqliteConnection,
    lease: &Lease,
    ttl: Duration,
    now: Timestamp,
) -> Result<Lease, Trouble> {
    let row: Option<(String,)> = sqlx::query_as(
        "UPDATE leases SET expires = max(expires, ?4)
         WHERE platform = ?1 AND holder_id = ?2 AND epoch = ?3 RETURNING expires",
    )
    .bind(lease.platform.as_str())
    .bind(&lease.holder.id)
    .bind(int(lease.epoch))
    .bind(time(add(now, ttl)))
    .fetch_optional(db)
    .await?;
    let (expires,) = row.ok_or_else(|| lost(lease))?;
    Ok(Lease { expires: to_time(&expires)?, ..lease.clone() })
}

/// Gives the lease back, if it is still ours.
pub(crate) async fn release(db: &mut SqliteConnection, lease: &Lease) -> Result<(), Trouble> {
    sqlx::query("DELETE FROM leases WHERE platform = ? AND holder_id = ? AND epoch = ?")
        .bind(lease.platform.as_str())
        .bind(&lease.holder.id)
        .bind(int(lease.epoch))
        .execute(db)
        .await?;
    Ok(())
}

/// Takes a lease away from a named holder: see [`Sqlite::release_lock`](crate::Sqlite::release_lock).
pub(crate) async fn release_of(
    db: &mut SqliteConnection,
    platform: &PlatformName,
    holder_id: &str,
) -> Result<Option<Held>, Trouble> {
    let Some(held) = held(&mut *db, platform.as_str()).await? else { return Ok(None) };
    if held.holder.id != holder_id {
        return Err(StoreError::Locked(Box::new(held)).into());
    }
    sqlx::query("DELETE FROM leases WHERE platform = ?").bind(platform.as_str()).execute(db).await?;
    Ok(Some(held))
}

/// Whether the lease is ours; the check of every write that has none of its own.
pub(crate) async fn check(db: &mut SqliteConnection, lease: &Lease) -> Result<(), Trouble> {
    let row: Option<(i64,)> =
        sqlx::query_as("SELECT 1 FROM leases WHERE platform = ? AND holder_id = ? AND epoch = ?")
            .bind(lease.platform.as_str())
            .bind(&lease.holder.id)
            .bind(int(lease.epoch))
            .fetch_optional(db)
            .await?;
    row.map(|_| ()).ok_or_else(|| lost(lease).into())
}

fn lost(lease: &Lease) -> StoreError {
    StoreError::LeaseLost { platform: lease.platform.clone(), ours: lease.epoch }
}
