//! Saying that clusters are in use, for as long as somebody works with them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use platform_engine::clock::Clock;
use platform_flows::{Doors, doors::Reach, wish::reach};
use platform_provider::{
    Claim, SearchRequest,
    life::{BEAT, GRACE},
};
use platform_spec::{
    Class, Code, Failure, Life,
    model::Model,
    report::{Finding, Severity},
};
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

/// A model whose clusters keep the ends that they have: what is added to one bears its end, where without it the whole cluster
/// would become permanent.
///
/// # Errors
/// What a provider refuses to say.
pub(crate) async fn kept(doors: &Doors, mut model: Model) -> Result<Model, Failure> {
    let mut known: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    for at in 0..model.clusters.len() {
        let reach = reach(&model, &model.clusters[at]);
        let provider = doors.provider(&reach.provider)?;
        if !provider.describe().await?.capabilities.sweeps {
            continue;
        }
        let name = &reach.request.provider;
        if !known.contains_key(name) {
            let search = SearchRequest {
                provider: name.clone(),
                config: reach.request.config.clone(),
                credentials: reach.request.credentials.clone(),
            };
            known.insert(name.clone(), provider.list_claims(&search).await?);
        }
        let mut claims = known.get(name).into_iter().flatten();
        let claim = claims.find(|claim| {
            claim.platform.as_str() == model.platform
                && claim.cluster.as_ref() == Some(&reach.request.cluster)
        });
        model.clusters[at].life = claim.and_then(|claim| {
            Some(Life { owner: claim.owner.clone().unwrap_or_else(holder::actor), until: claim.alive_until? })
        });
    }
    Ok(model)
}

/// What a person is to know who asked for no end.
pub(crate) fn findings(model: &Model) -> Vec<Finding> {
    let ends = model.clusters.iter().filter_map(|cluster| Some((cluster, cluster.life.as_ref()?)));
    ends.map(|(cluster, life)| Finding {
        code: Code::new("P0931"),
        severity: Severity::Warning,
        class: None,
        message: format!("cluster `{}` ends by itself at {}", cluster.name, Life::tag(life.until)),
        hint: Some(
            "`--ttl` moves that; to keep it, make it anew without: `platform down`, `platform up`".into(),
        ),
        file: None,
        line: None,
        column: None,
        path: None,
    })
    .collect()
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
    for cluster in &model.clusters {
        if let Some(life) = model.life.clone().or_else(|| cluster.life.clone()) {
            let reach = reach(model, cluster);
            tokio::spawn(beat(Arc::clone(doors), reach, life, clock.clone(), done.clone()));
        }
    }
    done.drop_guard()
}

async fn beat(doors: Arc<Doors>, reach: Reach, life: Life, clock: Arc<dyn Clock>, done: CancellationToken) {
    let mut said = None;
    loop {
        let until = life.until.max(after(clock.now(), GRACE));
        if said < Some(until) && say(&doors, &reach, until).await {
            said = Some(until);
        }
        tokio::select! {
            () = done.cancelled() => return,
            () = tokio::time::sleep(BEAT) => {}
        }
    }
}

/// Whether the cluster has heard it.
async fn say(doors: &Doors, reach: &Reach, until: Timestamp) -> bool {
    let Ok(provider) = doors.provider(&reach.provider) else { return true };
    let said = provider.prolong(&reach.request, until).await;
    said.unwrap_or_else(|failure| {
        // The next beat is soon, and several may be lost.
        let cluster = &reach.request.cluster;
        tracing::warn!(cluster, %failure, "could not say that the cluster is in use");
        false
    })
}
