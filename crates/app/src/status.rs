//! What exists.

use platform_engine::store::StoreError;
use platform_spec::{Failure, PlatformName, event::LedgerEntry};
use serde::Serialize;

use crate::{
    App,
    locks::{self, Lock},
    runs::{self, RunLine},
};

/// A platform as it is recorded here.
#[derive(Clone, Debug, Serialize)]
pub struct PlatformStatus {
    /// Which platform.
    pub platform: PlatformName,
    /// What was done last.
    pub last_run: Option<RunLine>,
    /// Who is changing it.
    pub lock: Option<Lock>,
    /// What exists outside because of it, by key.
    pub resources: Vec<LedgerEntry>,
}

/// Every platform, by name.
///
/// # Errors
/// Trouble with the database.
pub async fn list(app: &App) -> Result<Vec<PlatformStatus>, Failure> {
    let locks = locks::list(app).await?;
    let mut platforms = Vec::new();
    for row in app.state.platforms().await.map_err(StoreError::into_failure)? {
        let last = app.state.latest_run(&row.name).await.map_err(StoreError::into_failure)?;
        platforms.push(PlatformStatus {
            last_run: runs::as_they_are(app, last.into_iter().collect()).await?.pop(),
            lock: locks.iter().find(|lock| lock.held.platform == row.name).cloned(),
            resources: ledger(app, &row.name).await?,
            platform: row.name,
        });
    }
    Ok(platforms)
}

/// What exists outside because of a platform, by key.
///
/// # Errors
/// Trouble with the database.
pub async fn ledger(app: &App, platform: &PlatformName) -> Result<Vec<LedgerEntry>, Failure> {
    let rows = app.state.ledger(platform).await.map_err(StoreError::into_failure)?;
    Ok(rows.into_iter().map(|row| row.entry).collect())
}
