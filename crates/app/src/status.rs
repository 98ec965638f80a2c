//! What exists.

use platform_engine::store::StoreError;
use platform_spec::{Class, Code, Failure, PlatformName, did_you_mean, event::LedgerEntry};
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

/// Makes sure that something is recorded about a platform.
///
/// # Errors
/// `P0915`, naming the platforms there are.
pub async fn known(app: &App, platform: &str) -> Result<(), Failure> {
    let rows = app.state.platforms().await.map_err(StoreError::into_failure)?;
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    if names.contains(&platform) {
        return Ok(());
    }
    let hint = match did_you_mean(platform, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if names.is_empty() => "there are no platforms here yet; begin with: platform init".to_owned(),
        None => format!("there are: {}", names.join(", ")),
    };
    let message = format!("there is no platform `{platform}`");
    Err(Failure::new(Code::new("P0915"), Class::NotFound, message).hint(hint))
}

/// What exists outside because of a platform, by key.
///
/// # Errors
/// Trouble with the database.
pub async fn ledger(app: &App, platform: &PlatformName) -> Result<Vec<LedgerEntry>, Failure> {
    let rows = app.state.ledger(platform).await.map_err(StoreError::into_failure)?;
    Ok(rows.into_iter().map(|row| row.entry).collect())
}
