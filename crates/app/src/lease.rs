//! The right to change a platform, kept as long as the work lasts.

use std::{sync::Arc, time::Duration};

use platform_engine::{
    clock::Clock,
    store::{Lease, Store, StoreError},
};
use platform_spec::{Failure, PlatformName};
use platform_state::Sqlite;
use tokio_util::sync::CancellationToken;

use crate::{App, holder, stop::Stop};

/// How long a lease lasts without being renewed.
///
/// As long as others must wait for a holder on another machine that died; a holder on this machine is known to be gone
/// at once.
const LASTS: Duration = Duration::from_secs(60);

/// How often it is renewed: two renewals may be lost to a slow disk before the third is too late.
const RENEWED_EVERY: Duration = Duration::from_secs(20);

/// Does `work` with the lease of a platform: takes it before, renews it meanwhile, gives it back after.
///
/// When the lease is lost (the machine slept, somebody took it over), `stop` is told to stop at once: nothing this
/// process still writes would be accepted.
///
/// # Errors
/// `P0101` when somebody else has it; what `work` says.
pub async fn with<T, E: From<Failure>>(
    app: &App,
    platform: &PlatformName,
    stop: &Stop,
    work: impl AsyncFnOnce(Lease) -> Result<T, E>,
) -> Result<T, E> {
    let lease = app
        .state
        .acquire(platform, &app.holder, LASTS, app.clock.now(), &holder::presumed_dead)
        .await
        .map_err(StoreError::into_failure)?;
    tracing::debug!(%platform, epoch = lease.epoch, "took the lease");
    let done = CancellationToken::new();
    let keeper =
        tokio::spawn(keep(app.state.clone(), app.clock.clone(), lease.clone(), done.clone(), stop.clone()));
    let outcome = work(lease.clone()).await;
    done.cancel();
    // The keeper ends at once when told, and a panic in it would have been ours to see in the log.
    let _ = keeper.await;
    let released = app.state.release(&lease).await;
    match (outcome, released) {
        (Ok(done), Err(error)) => {
            // The work is done and recorded; a lease that could not be given back runs out by itself.
            tracing::warn!(%platform, %error, "could not give the lease back");
            Ok(done)
        }
        (outcome, _) => outcome,
    }
}

async fn keep(state: Sqlite, clock: Arc<dyn Clock>, mut lease: Lease, done: CancellationToken, stop: Stop) {
    loop {
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(RENEWED_EVERY) => {}
        }
        match state.renew(&lease, LASTS, clock.now()).await {
            Ok(renewed) => lease = renewed,
            Err(StoreError::LeaseLost { .. }) => {
                tracing::error!(platform = %lease.platform, "the lease was lost; stopping");
                stop.now.cancel();
                return;
            }
            // The epoch is checked with every write anyway; a disk in trouble speaks there.
            Err(error) => tracing::warn!(platform = %lease.platform, %error, "could not renew the lease"),
        }
    }
}
