//! What is out there: by tag, by name, by attachment. Never from our own database.

use std::collections::BTreeMap;

use jiff::Timestamp;
use platform_provider::{
    Claim, InventoryRequest, Life, Owned, Ownership,
    life::{ALIVE_UNTIL_TAG, MADE_FOR_TAG},
};
use platform_spec::PlatformName;

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
    let all = attached(client, client.list("things", &search).await?).await?;
    Ok(all.values().map(|part| part.owned(&all)).collect())
}

/// Everything that is out there because of any platform, by platform and cluster.
pub(crate) async fn claims(client: &Client<'_>) -> Result<Vec<Claim>, Refusal> {
    let all = attached(client, client.list("things", &[("tag", PLATFORM_TAG)]).await?).await?;
    let mut claims: BTreeMap<(&String, &Option<String>), Vec<&Belonging>> = BTreeMap::new();
    for part in all.values() {
        claims.entry((&part.platform, &part.cluster)).or_default().push(part);
    }
    Ok(claims
        .into_iter()
        .map(|((platform, cluster), parts)| {
            let tag = |key: &str| parts.iter().find_map(|part| part.seen.tags.get(key).cloned());
            Claim {
                platform: PlatformName::new(platform.as_str()),
                cluster: cluster.clone(),
                owner: tag(MADE_FOR_TAG),
                alive_until: alive_until(parts.iter().map(|part| &part.seen)),
                things: parts.iter().map(|part| part.owned(&all)).collect(),
            }
        })
        .collect())
}

/// The latest time that the things of a cluster bear; `None` when a resource of it bears none, or nothing does.
pub(crate) fn alive_until<'a>(things: impl Iterator<Item = &'a Seen>) -> Option<Timestamp> {
    let mut latest = None;
    for seen in things.filter(|seen| seen.tags.contains_key(RESOURCE_TAG)) {
        let until = seen.tags.get(ALIVE_UNTIL_TAG).and_then(|tag| Life::read_tag(tag))?;
        latest = latest.max(Some(until));
    }
    latest
}

/// A thing that belongs to a platform.
struct Belonging {
    seen: Seen,
    platform: String,
    cluster: Option<String>,
}

impl Belonging {
    fn owned(&self, all: &BTreeMap<String, Self>) -> Owned {
        let on = all.values().filter(|it| it.seen.stands_on.contains(&self.seen.id));
        Owned {
            kind: self.seen.kind.clone(),
            id: self.seen.id.clone(),
            name: self.seen.name.clone(),
            cluster: self.cluster.clone(),
            age_ms: Some(self.seen.age_ms),
            blocked_by: on.map(|it| format!("{} {}", it.seen.kind, it.seen.name)).collect(),
        }
    }
}

/// Tagged things, and what hangs on them, by id: what is found twice is one thing.
async fn attached(client: &Client<'_>, tagged: Vec<Seen>) -> Result<BTreeMap<String, Belonging>, Refusal> {
    let mut all = BTreeMap::new();
    for seen in tagged {
        let platform = seen.tags.get(PLATFORM_TAG).cloned().unwrap_or_default();
        let cluster = seen.tags.get(CLUSTER_TAG).cloned();
        let attached = match seen.kind.as_str() {
            "network" => client.list("things", &[("stands_on", &seen.id)]).await?,
            "cluster" => client.list("things", &[("tag", &format!("{MADE_BY}={}", seen.name))]).await?,
            _ => Vec::new(),
        };
        for thing in attached {
            // What another platform says is its own is not ours by standing on our network.
            if thing.tags.get(PLATFORM_TAG).is_none_or(|it| *it == platform) {
                let it = Belonging { platform: platform.clone(), cluster: cluster.clone(), seen: thing };
                all.entry(it.seen.id.clone()).or_insert(it);
            }
        }
        all.insert(seen.id.clone(), Belonging { seen, platform, cluster });
    }
    Ok(all)
}
