//! What is out there: by tag, by name, by attachment. Never from our own database.

use std::collections::BTreeMap;

use platform_provider::{InventoryRequest, Owned, Ownership};

use crate::{
    client::{Client, Seen},
    graph::Part,
    refusal::Refusal,
    wish::{CLUSTER_TAG, PLATFORM_TAG, RESOURCE_TAG, Wish},
};

/// The tag by which a cluster's controllers mark what they make.
const MADE_BY: &str = "kubernetes.io/cluster-name";

/// A thing that stands for a resource.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub seen: Seen,
    pub ownership: Ownership,
}

/// The things that stand for a resource: ours by their tags; when there is none, what has its name and nobody's tags.
/// There is more than one only after something went wrong.
pub(crate) async fn find(
    client: &Client<'_>,
    wish: &Wish<'_>,
    resource: &str,
    part: &Part,
) -> Result<Vec<Found>, Refusal> {
    let platform = format!("{PLATFORM_TAG}={}", wish.request.platform.as_str());
    let cluster = format!("{CLUSTER_TAG}={}", wish.request.cluster);
    let resource_tag = format!("{RESOURCE_TAG}={resource}");
    let tagged =
        client.list(part.plural(), &[("tag", &platform), ("tag", &cluster), ("tag", &resource_tag)]).await?;
    if !tagged.is_empty() {
        return Ok(tagged.into_iter().map(|seen| Found { seen, ownership: Ownership::Owned }).collect());
    }
    let named = client.list(part.plural(), &[("name", &wish.name(resource))]).await?;
    Ok(named
        .into_iter()
        .filter(|seen| may_adopt(wish, part, seen))
        .map(|seen| Found { seen, ownership: Ownership::Adopted })
        .collect())
}

/// Whether something that is not ours may be used: it is nobody's, or a zone or bucket of another cluster of the same
/// platform, which was named in the configuration.
fn may_adopt(wish: &Wish<'_>, part: &Part, seen: &Seen) -> bool {
    let here = wish.request.region.as_ref().is_none_or(|region| *region == seen.region);
    match seen.tags.get(PLATFORM_TAG) {
        None => here,
        Some(platform) => {
            matches!(part, Part::Bucket | Part::DnsZone)
                && platform == wish.request.platform.as_str()
                && seen.tags.get(CLUSTER_TAG) != Some(&wish.request.cluster)
        }
    }
}

/// Everything that is out there because of a platform or one of its clusters: what carries its tags, what stands on
/// that, and what the controllers of its clusters have made.
pub(crate) async fn inventory(client: &Client<'_>, owner: &InventoryRequest) -> Result<Vec<Owned>, Refusal> {
    let platform = format!("{PLATFORM_TAG}={}", owner.platform.as_str());
    let cluster = owner.cluster.as_ref().map(|cluster| format!("{CLUSTER_TAG}={cluster}"));
    let mut search = vec![("tag", platform.as_str())];
    search.extend(cluster.as_deref().map(|cluster| ("tag", cluster)));
    let tagged = client.list("things", &search).await?;
    // By id, with the cluster it belongs to: what is found twice is one thing.
    let mut all: BTreeMap<String, (Seen, Option<String>)> = BTreeMap::new();
    for seen in tagged {
        let cluster = seen.tags.get(CLUSTER_TAG).cloned();
        let attached = match seen.kind.as_str() {
            "network" => client.list("things", &[("stands_on", &seen.id)]).await?,
            "cluster" => client.list("things", &[("tag", &format!("{MADE_BY}={}", seen.name))]).await?,
            _ => Vec::new(),
        };
        for thing in attached {
            // What another platform says is its own is not ours by standing on our network.
            if thing.tags.get(PLATFORM_TAG).is_none_or(|it| it == owner.platform.as_str()) {
                all.entry(thing.id.clone()).or_insert_with(|| (thing, cluster.clone()));
            }
        }
        all.insert(seen.id.clone(), (seen, cluster));
    }
    let blockers = |id: &str| {
        let on = all.values().filter(|(thing, _)| thing.stands_on.iter().any(|ground| ground == id));
        on.map(|(thing, _)| format!("{} {}", thing.kind, thing.name)).collect::<Vec<_>>()
    };
    Ok(all
        .values()
        .map(|(seen, cluster)| Owned {
            kind: seen.kind.clone(),
            id: seen.id.clone(),
            name: seen.name.clone(),
            cluster: cluster.clone(),
            age_ms: Some(seen.age_ms),
            blocked_by: blockers(&seen.id),
        })
        .collect())
}
