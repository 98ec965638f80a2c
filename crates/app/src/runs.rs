//! What was done.

use platform_engine::{
    journal::Head,
    store::{Store, StoreError, StoredRun},
};
use platform_spec::{
    Class, Code, Event, Failure, PlatformName, RunId,
    event::Recorded,
    report::{Finding, RunReport, RunStatus},
};

use crate::{
    App, holder, inventory,
    kept::{self, Kept},
    lease,
    reading::Reading,
    stop::Stop,
};

/// A run without its steps.
pub use platform_state::RunRow as RunLine;

/// More runs than anybody has; a list that ended earlier would hide some.
const ALL: u32 = u32::MAX;

/// Every run, the latest first. One whose process is gone is interrupted.
///
/// # Errors
/// Trouble with the database.
pub async fn list(app: &App) -> Result<Vec<RunLine>, Failure> {
    let rows = app.state.runs(None, ALL).await.map_err(StoreError::into_failure)?;
    as_they_are(app, rows).await
}

/// Rows say what was last written; whether a process still carries a run out, only the leases know.
pub(crate) async fn as_they_are(app: &App, mut rows: Vec<RunLine>) -> Result<Vec<RunLine>, Failure> {
    if rows.iter().any(|row| row.status == RunStatus::Running) {
        let alive = alive_platforms(app).await?;
        for row in &mut rows {
            if row.status == RunStatus::Running && !alive.contains(&row.platform) {
                row.status = RunStatus::Interrupted;
            }
        }
    }
    Ok(rows)
}

/// The platforms whose lease has a holder that is not certainly gone.
async fn alive_platforms(app: &App) -> Result<Vec<PlatformName>, Failure> {
    let now = app.clock.now();
    let leases = app.state.leases().await.map_err(StoreError::into_failure)?;
    Ok(leases
        .into_iter()
        .filter(|held| held.expires > now && !holder::presumed_dead(&held.holder))
        .map(|held| held.platform)
        .collect())
}

/// The run whose id begins so.
///
/// # Errors
/// `P0104` when there is none, `P0907` when there are several.
pub async fn find(app: &App, beginning: &str) -> Result<RunId, Failure> {
    let wanted = beginning.to_uppercase();
    let fits: Vec<RunLine> =
        list(app).await?.into_iter().filter(|line| line.run.as_str().starts_with(&wanted)).collect();
    match fits.as_slice() {
        [] => Err(StoreError::NoSuchRun(RunId::new(beginning)).into_failure()),
        [one] => Ok(one.run.clone()),
        several => Err(ambiguous(format!("{} runs begin with `{beginning}`", several.len()), several)),
    }
}

/// The only run that can be continued.
///
/// # Errors
/// `P0908` when there is none, `P0101` when it is being carried out, `P0907` when there are several.
pub async fn only_resumable(app: &App) -> Result<RunId, Failure> {
    let rows = app.state.resumable(None).await.map_err(StoreError::into_failure)?;
    let mut fits = as_they_are(app, rows).await?;
    let running = fits.iter().find(|line| line.status == RunStatus::Running).cloned();
    fits.retain(|line| line.status != RunStatus::Running);
    if let (Some(line), true) = (running, fits.is_empty()) {
        let leases = app.state.leases().await.map_err(StoreError::into_failure)?;
        // Without a lease it has ended in between, and there is nothing left to continue.
        if let Some(held) = leases.into_iter().find(|held| held.platform == line.platform) {
            return Err(StoreError::Locked(Box::new(held)).into_failure());
        }
    }
    match fits.as_slice() {
        [] => Err(Failure::new(Code::new("P0908"), Class::NotFound, "there is no run to continue")
            .hint("`platform runs` lists what there is")),
        [one] => Ok(one.run.clone()),
        several => Err(ambiguous(format!("{} runs can be continued", several.len()), several)),
    }
}

fn ambiguous(message: String, runs: &[RunLine]) -> Failure {
    /// More would scroll the message off the screen.
    const SHOWN: usize = 5;
    let failure = Failure::new(Code::new("P0907"), Class::Config, message);
    runs.iter().take(SHOWN).fold(failure, |failure, line| {
        failure.hint(format!("{} is {} of {}, {}", line.run, line.flow, line.platform, line.status.as_str()))
    })
}

/// One run without its steps.
///
/// # Errors
/// `P0104` when there is none.
pub async fn line(app: &App, run: &RunId) -> Result<RunLine, Failure> {
    let row = app.state.run(run).await.map_err(StoreError::into_failure)?;
    as_they_are(app, vec![row]).await?.pop().ok_or_else(|| StoreError::NoSuchRun(run.clone()).into_failure())
}

/// One run in full.
///
/// # Errors
/// `P0104` when there is none.
pub async fn report(app: &App, run: &RunId) -> Result<RunReport, Failure> {
    let stored = app.state.load(run).await.map_err(StoreError::into_failure)?;
    let alive = alive_platforms(app).await?.contains(&stored.plan.platform);
    let mut report = read(&stored).report(app.clock.now(), alive);
    report.spec_digest = Some(stored.plan.spec_digest.clone());
    let findings: Option<Vec<Finding>> = kept::recall(app, run, Kept::Findings)?;
    report.findings.splice(..0, findings.unwrap_or_default());
    inventory::repeat(app, report)
}

/// A stored run, read.
pub(crate) fn read(stored: &StoredRun) -> Reading {
    let plan = &stored.plan;
    let steps = plan.steps.iter().map(|step| (step.id.clone(), step.title.clone()));
    let mut reading = Reading::new(stored.id.clone(), plan.flow.clone(), Some(plan.platform.clone()), steps);
    for recorded in &stored.events {
        reading.apply(recorded);
    }
    reading
}

/// Whether a process is carrying the run out.
///
/// # Errors
/// `P0104` when there is no such run.
pub async fn is_alive(app: &App, run: &RunId) -> Result<bool, Failure> {
    Ok(line(app, run).await?.status == RunStatus::Running)
}

/// The events of a run after place `seq`, in order.
///
/// # Errors
/// `P0104` when there is no such run.
pub async fn events_after(app: &App, run: &RunId, seq: u64) -> Result<Vec<Recorded>, Failure> {
    app.state.events_after(run, seq).await.map_err(StoreError::into_failure)
}

/// Gives a run up for good. What it made stays recorded.
///
/// # Errors
/// `P0101` while it is carried out; `P0705` when it has ended.
pub async fn abandon(app: &App, run: &RunId, because: &str) -> Result<(), Failure> {
    let stored = app.state.load(run).await.map_err(StoreError::into_failure)?;
    lease::with(app, &stored.plan.platform.clone(), &Stop::default(), async |lease| {
        // Read again under the lease: it may have ended in between.
        let stored = app.state.load(run).await.map_err(StoreError::into_failure)?;
        if !stored.status.is_resumable() {
            return Err(Failure::new(
                Code::new("P0705"),
                Class::Config,
                format!("run `{run}` cannot be given up: it is {}", stored.status.as_str()),
            )
            .hint("`platform runs` lists the runs and where they stand"));
        }
        let event = Event::RunAbandoned { by: holder::actor(), because: because.to_owned() };
        let last = Head::after(&stored.events).seal(app.clock.now(), event);
        app.state.append(&lease, run, &[last]).await.map_err(StoreError::into_failure)
    })
    .await
}

#[cfg(test)]
mod tests;
