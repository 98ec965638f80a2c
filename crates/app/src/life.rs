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

/// What the providers say of a model's clusters that there are, each with the end that it bears.
async fn claims(doors: &Doors, model: &Model) -> Result<BTreeMap<String, Claim>, Failure> {
    let mut known: BTreeMap<String, Vec<Claim>> = BTreeMap::new();
    let mut of_clusters = BTreeMap::new();
    for cluster in &model.clusters {
        let reach = reach(model, cluster);
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
        if let Some(claim) = claim {
            of_clusters.insert(cluster.name.clone(), claim.clone());
        }
    }
    Ok(of_clusters)
}

/// A model whose clusters keep the ends that they have: what is added to one bears its end, where without it the whole cluster
/// would become permanent.
///
/// # Errors
/// What a provider refuses to say.
pub(crate) async fn kept(doors: &Doors, mut model: Model) -> Result<Model, Failure> {
    let claims = claims(doors, &model).await?;
    for cluster in &mut model.clusters {
        cluster.life = claims.get(&cluster.name).and_then(|claim| {
            Some(Life { owner: claim.owner.clone().unwrap_or_else(holder::actor), until: claim.alive_until? })
        });
    }
    Ok(model)
}

/// What a person is to know who asked for an end: clusters that keep what they have, since it is later.
///
/// # Errors
/// What a provider refuses to say.
pub(crate) async fn longer(doors: &Doors, model: &Model, asked: &Life) -> Result<Vec<Finding>, Failure> {
    let claims = claims(doors, model).await?;
    Ok(claims.iter().filter_map(|(name, claim)| keeps(name, claim.alive_until, asked.until)).collect())
}

fn keeps(cluster: &str, has: Option<Timestamp>, asked: Timestamp) -> Option<Finding> {
    let what = match has {
        None => "was made to stay".to_owned(),
        Some(has) if has > asked => format!("is alive until {}", Life::tag(has)),
        Some(_) => return None,
    };
    Some(warning(
        Code::new("P0942"),
        format!("cluster `{cluster}` {what}: `--ttl` does not shorten that"),
        "to have it end earlier, make it anew: `platform down`, then `platform up --ttl`",
    ))
}

/// What a person is to know who asked for no end.
pub(crate) fn findings(model: &Model) -> Vec<Finding> {
    let ends = model.clusters.iter().filter_map(|cluster| Some((cluster, cluster.life.as_ref()?)));
    let finding = |(cluster, life): (&platform_spec::model::Cluster, &Life)| {
        warning(
            Code::new("P0931"),
            format!("cluster `{}` ends by itself at {}", cluster.name, Life::tag(life.until)),
            "`--ttl` moves that; to keep it, make it anew without: `platform down`, `platform up`",
        )
    };
    ends.map(finding).collect()
}

fn warning(code: Code, message: String, hint: &str) -> Finding {
    Finding {
        code,
        severity: Severity::Warning,
        class: None,
        message,
        hint: Some(hint.to_owned()),
        file: None,
        line: None,
        column: None,
        path: None,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_not_shortened_in_silence() {
        let at = |second: i64| Timestamp::from_second(1_900_000_000 + second).expect("a time");
        let said = |has| keeps("demo", has, at(0)).map(|finding| finding.message);
        assert_eq!(said(Some(at(0))), None);
        assert_eq!(said(Some(at(-9))), None, "it is moved forward");
        assert!(said(Some(at(9))).is_some_and(|it| it.contains("alive until 20")), "{:?}", said(Some(at(9))));
        assert!(said(None).is_some_and(|it| it.contains("made to stay")));
    }
}
