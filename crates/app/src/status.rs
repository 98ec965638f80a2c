//! What exists.

use platform_engine::store::StoreError;
use platform_flows::wish::EMULATED;
use platform_spec::{
    Class, Code, Failure, PlatformName, did_you_mean, event::LedgerEntry, report::RunStatus,
};
use serde::Serialize;

use crate::{
    App,
    carry::Flow,
    locks::{self, Lock},
    runs::{self, RunLine},
    specs::DEFAULT_PROVIDER,
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
    /// What exists outside because of it, by key: as its runs have recorded it.
    pub resources: Vec<LedgerEntry>,
    /// Why what is recorded is certainly not there any more, when that can be told without asking anybody.
    pub gone: Option<String>,
}

/// Every platform, by name.
///
/// # Errors
/// Trouble with the database.
pub async fn list(app: &App) -> Result<Vec<PlatformStatus>, Failure> {
    let locks = locks::list(app).await?;
    let mut platforms = Vec::new();
    let no_sandbox = !app.sandbox.join("sandbox").exists();
    for row in app.state.platforms().await.map_err(StoreError::into_failure)? {
        let resources = ledger(app, &row.name).await?;
        let in_sandbox = resources.iter().any(is_in_sandbox);
        let last = app.state.latest_run(&row.name).await.map_err(StoreError::into_failure)?;
        platforms.push(PlatformStatus {
            last_run: runs::as_they_are(app, last.into_iter().collect()).await?.pop(),
            lock: locks.iter().find(|lock| lock.held.platform == row.name).cloned(),
            gone: (in_sandbox && no_sandbox)
                .then(|| "the sandbox of this state directory was removed, with all that it had".to_owned()),
            resources,
            platform: row.name,
        });
    }
    Ok(platforms)
}

/// Whether something was made in a sandbox.
fn is_in_sandbox(entry: &LedgerEntry) -> bool {
    let provider = entry.detail["provider"].as_str().unwrap_or_default();
    provider == DEFAULT_PROVIDER || provider.ends_with(EMULATED)
}

/// Other platforms of this state directory that were removed, with all that was recorded of them.
///
/// # Errors
/// Trouble with the database.
pub(crate) async fn gone(app: &App, but: &PlatformName) -> Result<Vec<String>, Failure> {
    let mut gone = Vec::new();
    for row in app.state.platforms().await.map_err(StoreError::into_failure)? {
        if row.ledger > 0 || row.name == *but {
            continue;
        }
        let last = app.state.latest_run(&row.name).await.map_err(StoreError::into_failure)?;
        let down = Flow::Down.as_str();
        if last.is_some_and(|run| run.flow == down && run.status == RunStatus::Succeeded) {
            gone.push(row.name.as_str().to_owned());
        }
    }
    Ok(gone)
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
