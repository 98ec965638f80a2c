//! What is out there: by label, and by the name that kind knows a cluster by. Never from our own database.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use platform_provider::{
    Claim, InventoryRequest, Life, Owned,
    life::{ALIVE_UNTIL_TAG, MADE_FOR_TAG},
};
use platform_spec::PlatformName;

use crate::{
    engine::Engine,
    life::BEAT,
    refusal::Refusal,
    wish::{CLUSTER_LABEL, KIND_NAME_LABEL, PLATFORM_LABEL, RESOURCE_LABEL},
};

type Labels = BTreeMap<String, String>;

/// A thing that bears our labels, or hangs on one that does.
struct Belonging {
    kind: &'static str,
    id: String,
    name: String,
    created: Option<Timestamp>,
    /// Its own, or those of the mark of its cluster.
    labels: Labels,
    /// Whether it bears them itself.
    labelled: bool,
    blocked_by: Vec<String>,
}

impl Belonging {
    fn label(&self, key: &str) -> Option<&String> {
        self.labels.get(key)
    }

    fn is_beat(&self) -> bool {
        self.label(RESOURCE_LABEL).is_some_and(|resource| resource == BEAT)
    }

    fn owned(&self, now: Timestamp) -> Owned {
        let age =
            self.created.and_then(|created| u64::try_from(now.duration_since(created).as_millis()).ok());
        Owned {
            kind: self.kind.to_owned(),
            id: self.id.clone(),
            name: self.name.clone(),
            cluster: self.label(CLUSTER_LABEL).cloned(),
            age_ms: age,
            blocked_by: self.blocked_by.clone(),
        }
    }
}

/// Everything that bears some labels, with the nodes of the clusters that its marks name.
async fn belongings(engine: &Engine<'_>, search: &[String]) -> Result<Vec<Belonging>, Refusal> {
    let volumes = engine.volumes(search).await?;
    let networks = engine.networks(search).await?;
    let containers = engine.containers(search).await?;
    // Only a mark says that the nodes of that name are ours.
    let mut marks: BTreeMap<String, Labels> = BTreeMap::new();
    for volume in &volumes {
        if let Some(name) = volume.labels.get(KIND_NAME_LABEL).filter(|name| **name == volume.name) {
            marks.insert(name.clone(), volume.labels.clone());
        }
    }
    // What a container serves lies in the volume of the same resource.
    let mut servers: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for container in &containers {
        if let Some(key) = resource_of(container.labels()) {
            servers.entry(key).or_default().push(format!("container {}", container.name()));
        }
    }
    let mut all = Vec::new();
    let mut nodes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, labels) in &marks {
        for node in engine.nodes(name).await? {
            nodes.entry(name.clone()).or_default().push(format!("container {}", node.name()));
            all.push(Belonging {
                kind: "container",
                id: node.id.clone(),
                name: node.name().to_owned(),
                created: node.created,
                labels: labels.clone(),
                labelled: false,
                blocked_by: Vec::new(),
            });
        }
    }
    for container in containers {
        let (id, name, labels) =
            (container.id.clone(), container.name().to_owned(), container.labels().clone());
        let created = container.created;
        all.push(Belonging {
            kind: "container",
            id,
            name,
            created,
            labels,
            labelled: true,
            blocked_by: vec![],
        });
    }
    for network in networks {
        let kind_name = network.labels.get(KIND_NAME_LABEL);
        // A neighbour's node is taken from it when it goes.
        let theirs = nodes.iter().filter(|(name, _)| Some(*name) != kind_name).flat_map(|(_, nodes)| nodes);
        let theirs: BTreeSet<&String> = theirs.collect();
        let mut by: BTreeSet<String> =
            network.containers.iter().map(|name| format!("container {name}")).collect();
        by.retain(|container| !theirs.contains(container));
        by.extend(kind_name.and_then(|name| nodes.get(name)).into_iter().flatten().cloned());
        all.push(Belonging {
            kind: "network",
            id: network.id,
            name: network.name,
            created: network.created,
            labels: network.labels,
            labelled: true,
            blocked_by: by.into_iter().collect(),
        });
    }
    for volume in volumes {
        let by = nodes.get(&volume.name).cloned();
        let by = by.or_else(|| servers.get(&resource_of(&volume.labels)?).cloned()).unwrap_or_default();
        all.push(Belonging {
            kind: "volume",
            id: volume.name.clone(),
            name: volume.name,
            created: volume.created,
            labels: volume.labels,
            labelled: true,
            blocked_by: by,
        });
    }
    Ok(all)
}

/// Which resource of which cluster bears some labels.
pub(crate) fn resource_of(labels: &Labels) -> Option<(String, String)> {
    Some((labels.get(KIND_NAME_LABEL)?.clone(), labels.get(RESOURCE_LABEL)?.clone()))
}

/// Everything that is out there because of a platform or one of its clusters.
pub(crate) async fn inventory(engine: &Engine<'_>, owner: &InventoryRequest) -> Result<Vec<Owned>, Refusal> {
    let mut search = vec![format!("{PLATFORM_LABEL}={}", owner.platform.as_str())];
    search.extend(owner.cluster.iter().map(|cluster| format!("{CLUSTER_LABEL}={cluster}")));
    let now = Timestamp::now();
    let all = belongings(engine, &search).await?;
    Ok(without_beats(&all.iter().collect::<Vec<_>>()).map(|it| it.owned(now)).collect())
}

/// Heartbeats are no things of their own, unless they are all that is left.
fn without_beats<'a>(all: &[&'a Belonging]) -> impl Iterator<Item = &'a Belonging> + use<'a> {
    let beside: BTreeSet<Option<String>> =
        all.iter().filter(|it| !it.is_beat()).map(|it| it.label(CLUSTER_LABEL).cloned()).collect();
    let kept: Vec<&Belonging> = all
        .iter()
        .copied()
        .filter(|it| !it.is_beat() || !beside.contains(&it.label(CLUSTER_LABEL).cloned()))
        .collect();
    kept.into_iter()
}

/// Everything that is out there because of any platform, by platform and cluster.
pub(crate) async fn claims(engine: &Engine<'_>) -> Result<Vec<Claim>, Refusal> {
    let now = Timestamp::now();
    let all = belongings(engine, &[PLATFORM_LABEL.to_owned()]).await?;
    let mut by_cluster: BTreeMap<(String, Option<String>), Vec<&Belonging>> = BTreeMap::new();
    for it in &all {
        let platform = it.label(PLATFORM_LABEL).cloned().unwrap_or_default();
        by_cluster.entry((platform, it.label(CLUSTER_LABEL).cloned())).or_default().push(it);
    }
    Ok(by_cluster
        .into_iter()
        .map(|((platform, cluster), parts)| Claim {
            platform: PlatformName::new(platform),
            cluster,
            owner: parts.iter().find_map(|it| it.label(MADE_FOR_TAG).cloned()),
            alive_until: alive_until(&parts),
            things: without_beats(&parts).map(|it| it.owned(now)).collect(),
        })
        .collect())
}

/// The latest time that the things of a cluster bear; `None` when a resource of it bears none, or nothing does.
fn alive_until(parts: &[&Belonging]) -> Option<Timestamp> {
    let mut latest = None;
    for it in parts.iter().filter(|it| it.labelled) {
        let until = it.label(ALIVE_UNTIL_TAG).and_then(|tag| Life::read_tag(tag))?;
        latest = latest.max(Some(until));
    }
    latest
}

/// The latest time that a cluster's things bear.
pub(crate) async fn alive(
    engine: &Engine<'_>,
    platform: &str,
    cluster: &str,
) -> Result<Option<Timestamp>, Refusal> {
    let search = [format!("{PLATFORM_LABEL}={platform}"), format!("{CLUSTER_LABEL}={cluster}")];
    let all = belongings(engine, &search).await?;
    let all: Vec<&Belonging> = all.iter().collect();
    // A heartbeat alone keeps nothing alive.
    Ok(if all.iter().all(|it| it.is_beat()) { None } else { alive_until(&all) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thing(resource: &str, until: Option<&str>) -> Belonging {
        let mut labels = Labels::from([
            (RESOURCE_LABEL.to_owned(), resource.to_owned()),
            (CLUSTER_LABEL.to_owned(), "eu".to_owned()),
        ]);
        labels.extend(until.map(|until| (ALIVE_UNTIL_TAG.to_owned(), until.to_owned())));
        Belonging {
            kind: "volume",
            id: resource.into(),
            name: resource.into(),
            created: None,
            labels,
            labelled: true,
            blocked_by: vec![],
        }
    }

    const EARLY: &str = "2026-11-21T22:30:00Z";
    const LATE: &str = "2026-11-21T23:30:00Z";

    #[test]
    fn the_latest_time_counts_and_what_has_none_is_permanent() {
        let things = [thing("network", Some(EARLY)), thing(BEAT, Some(LATE))];
        assert_eq!(alive_until(&things.iter().collect::<Vec<_>>()), LATE.parse().ok());
        let permanent = [thing("network", None), thing(BEAT, Some(LATE))];
        assert_eq!(alive_until(&permanent.iter().collect::<Vec<_>>()), None);
        let mut node = thing("control-plane", None);
        node.labelled = false;
        let with_node = [thing("network", Some(EARLY)), node];
        assert_eq!(alive_until(&with_node.iter().collect::<Vec<_>>()), EARLY.parse().ok());
    }

    #[test]
    fn a_heartbeat_is_a_thing_only_when_it_is_all_that_is_left() {
        let things = [thing("network", Some(EARLY)), thing(BEAT, Some(LATE))];
        let names = |things: &[Belonging]| {
            without_beats(&things.iter().collect::<Vec<_>>()).map(|it| it.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&things), ["network"]);
        assert_eq!(names(&things[1..]), [BEAT]);
    }
}
