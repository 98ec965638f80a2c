//! Saying that clusters are in use, for as long as somebody works with them.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use platform_engine::clock::Clock;
use platform_flows::{Doors, wish::reach};
use platform_provider::life::{BEAT, GRACE};
use platform_spec::{Class, Code, Failure, Life, model::Model};
use tokio_util::sync::CancellationToken;

use crate::holder;

/// A life that ends after a time from now, asked for by this process.
pub fn lasting(ttl: Duration) -> Life {
    Life { owner: holder::actor(), until: after(Timestamp::now(), ttl) }
}

/// A time later than another.
pub(crate) fn after(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Makes sure that what is to end by itself can be found again when it has.
///
/// # Errors
/// `P0920` when one of the model's providers does not know how long its clusters are to live.
pub(crate) async fn possible(doors: &Doors, model: &Model) -> Result<(), Failure> {
    for cluster in &model.clusters {
        let kind = &cluster.provider.kind;
        if !doors.provider(kind)?.describe().await?.capabilities.sweeps {
            return Err(Failure::new(
                Code::new("P0920"),
                Class::Config,
                format!("provider `{kind}` does not know how long its clusters are to live"),
            )
            .because(format!("cluster `{}` would stay after its time was over", cluster.name))
            .hint("leave `--ttl` out, and remove the platform with `platform down`"));
        }
    }
    Ok(())
}

/// Does `work`, and meanwhile says that the model's clusters are in use. Nothing is said of a model without an end.
pub(crate) async fn while_working<T>(
    doors: &Arc<Doors>,
    model: &Model,
    clock: Arc<dyn Clock>,
    work: impl Future<Output = T>,
) -> T {
    let _until_dropped = beating(doors, model, clock);
    work.await
}

/// Says that the model's clusters are in use until the guard is dropped.
pub(crate) fn beating(
    doors: &Arc<Doors>,
    model: &Model,
    clock: Arc<dyn Clock>,
) -> tokio_util::sync::DropGuard {
    let done = CancellationToken::new();
    if let Some(life) = model.life.clone() {
        tokio::spawn(beat(Arc::clone(doors), model.clone(), life, clock, done.clone()));
    }
    done.drop_guard()
}

async fn beat(doors: Arc<Doors>, model: Model, life: Life, clock: Arc<dyn Clock>, done: CancellationToken) {
    let mut said = None;
    loop {
        let until = life.until.max(after(clock.now(), GRACE));
        if said < Some(until) && say(&doors, &model, until).await {
            said = Some(until);
        }
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(BEAT) => {}
        }
    }
}

/// Whether every cluster has heard it.
async fn say(doors: &Doors, model: &Model, until: Timestamp) -> bool {
    let mut heard = true;
    for cluster in &model.clusters {
        let reach = reach(model, cluster);
        let Ok(provider) = doors.provider(&reach.provider) else { continue };
        match provider.prolong(&reach.request, until).await {
            Ok(it) => heard &= it,
            Err(failure) => {
                // The next beat is soon, and several may be lost.
                tracing::warn!(cluster = cluster.name, %failure, "could not say that the cluster is in use");
                heard = false;
            }
        }
    }
    heard
}
