//! Who is changing what.

use platform_engine::store::{Held, StoreError};
use platform_spec::{Class, Code, Failure, PlatformName};
use serde::Serialize;

use crate::{App, holder, status};

/// A lock, and whether its holder is certainly gone.
#[derive(Clone, Debug, Serialize)]
pub struct Lock {
    /// Platform, holder, since when and until when.
    #[serde(flatten)]
    pub held: Held,
    /// Its holder was on this machine and is no more; anyone may take the lock over.
    pub holder_is_gone: bool,
}

impl From<Held> for Lock {
    fn from(held: Held) -> Self {
        let holder_is_gone = holder::presumed_dead(&held.holder);
        Self { held, holder_is_gone }
    }
}

/// Every lock, by platform.
///
/// # Errors
/// Trouble with the database.
pub async fn list(app: &App) -> Result<Vec<Lock>, Failure> {
    Ok(app.state.leases().await.map_err(StoreError::into_failure)?.into_iter().map(Lock::from).collect())
}

/// Frees a lock: that of `platform`, else the only one. `holder_id` says that this holder is gone; without it, only the
/// lock of a holder that is certainly gone is freed. `None` when nothing was locked.
///
/// # Errors
/// `P0915` when there is no such platform; `P0910` when the holder is, or may be, alive; `P0907` when several are locked and none was named; `P0101` when the
/// lock has another holder than `holder_id`.
pub async fn release(
    app: &App,
    platform: Option<&str>,
    holder_id: Option<&str>,
) -> Result<Option<Held>, Failure> {
    if let Some(platform) = platform {
        status::known(app, platform).await?;
    }
    let mut locks = list(app).await?;
    locks.retain(|lock| platform.is_none_or(|name| lock.held.platform.as_str() == name));
    let lock = match (locks.pop(), locks.len()) {
        (None, _) => return Ok(None),
        (Some(lock), 0) => lock,
        (Some(lock), _) => {
            locks.push(lock);
            let several = Failure::new(
                Code::new("P0907"),
                Class::Config,
                format!("which of {} locks is to be freed was not said", locks.len()),
            );
            return Err(locks.iter().fold(several, |failure, lock| {
                failure.hint(format!("platform lock release --platform {}", lock.held.platform))
            }));
        }
    };
    let Held { platform, holder, since, .. } = &lock.held;
    let id = match holder_id {
        Some(id) => id,
        None if lock.holder_is_gone => &holder.id,
        None => {
            return Err(Failure::new(
                Code::new("P0910"),
                Class::ConflictInProgress,
                format!("will not free the lock of platform `{platform}`"),
            )
            .because(format!(
                "it is held by {}@{} (pid {}) since {}, who may be alive",
                holder.user,
                holder.host,
                holder.pid,
                since.strftime("%Y-%m-%d %H:%M:%SZ")
            ))
            .hint(format!(
                "if it is certainly gone: `platform lock release --platform {platform} --holder {}`",
                holder.id
            )));
        }
    };
    let platform = PlatformName::new(platform.as_str());
    app.state.release_lock(&platform, id).await.map_err(StoreError::into_failure)
}
