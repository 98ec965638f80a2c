//! How long a cluster is to live. The engine's labels cannot be changed, so a heartbeat is a volume of its own that bears the time
//! and replaces the one before it.

use std::path::Path;

use jiff::Timestamp;
use platform_provider::{Life, ReapCall, Removed, life::ALIVE_UNTIL_TAG};

use crate::{
    engine::{Engine, KIND_LABEL},
    find,
    job::Job,
    refusal::Refusal,
    wish::{CLUSTER_LABEL, KIND_NAME_LABEL, PLATFORM_LABEL, RESOURCE_LABEL, Wish, stem},
};

/// What a heartbeat is called in the label of resources.
pub(crate) const BEAT: &str = "heartbeat";

/// Moves the time forward.
pub(crate) async fn prolong(wish: &Wish<'_>, engine: &Engine<'_>, until: Timestamp) -> Result<bool, Refusal> {
    let (platform, cluster) = (wish.request.platform.as_str(), wish.request.cluster.as_str());
    let Some(said) = find::alive(engine, platform, cluster).await? else { return Ok(false) };
    if said >= until {
        return Ok(true);
    }
    let old = beats(engine, platform, cluster).await?;
    let name = format!("{}-{BEAT}-{}", wish.stem(), until.as_second());
    let mut labels = wish.labels(BEAT);
    labels.insert(ALIVE_UNTIL_TAG.to_owned(), Life::tag(until));
    engine.make_volume(&name, &labels).await?;
    // Removed one by one: somebody else may have done so already.
    for beat in old.into_iter().filter(|old| *old != name) {
        engine.remove_volumes(&[beat]).await?;
    }
    // Whoever removed the cluster meanwhile has not seen this one.
    fall_silent(engine, platform, cluster).await?;
    Ok(true)
}

async fn beats(engine: &Engine<'_>, platform: &str, cluster: &str) -> Result<Vec<String>, Refusal> {
    let search = [
        format!("{PLATFORM_LABEL}={platform}"),
        format!("{CLUSTER_LABEL}={cluster}"),
        format!("{RESOURCE_LABEL}={BEAT}"),
    ];
    Ok(engine.volumes(&search).await?.into_iter().map(|volume| volume.name).collect())
}

/// Removes heartbeats of a cluster of which nothing else is left.
pub(crate) async fn fall_silent(engine: &Engine<'_>, platform: &str, cluster: &str) -> Result<(), Refusal> {
    let beats = beats(engine, platform, cluster).await?;
    if beats.is_empty() || find::alive(engine, platform, cluster).await?.is_some() {
        return Ok(());
    }
    for beat in beats {
        engine.remove_volumes(&[beat]).await?;
    }
    Ok(())
}

/// Removes one thing by its id.
pub(crate) async fn reap(engine: &Engine<'_>, root: &Path, call: &ReapCall) -> Result<Removed, Refusal> {
    let platform = call.platform.as_str();
    let theirs = |owner: &str| Removed::Kept { why: format!("it belongs to platform `{owner}`") };
    let cluster = call.cluster.as_deref().unwrap_or_default();
    let name = stem(platform, cluster);
    // Whoever still makes it would make more of it.
    let job = Job::of(root, &name);
    if job.is_running().unwrap_or(false) {
        // If it cannot be killed, its nodes are taken from it, and it ends by itself.
        drop(job.end().await);
    }
    match call.thing.kind.as_str() {
        "container" => {
            let Some(found) = engine.container(&call.thing.id).await? else { return Ok(Removed::Done) };
            let owner = match found.labels().get(PLATFORM_LABEL) {
                Some(owner) => Some(owner.clone()),
                // A node: whose it is, its cluster's mark says.
                None => match found.labels().get(KIND_LABEL) {
                    Some(kind_name) => mark_owner(engine, kind_name).await?,
                    None => None,
                },
            };
            match owner {
                Some(owner) if owner == platform => engine.remove_containers(&[found.id]).await?,
                Some(owner) => return Ok(theirs(&owner)),
                None => return Ok(Removed::Kept { why: "nothing says whose it is".to_owned() }),
            }
        }
        "network" => {
            let Some(found) = engine.network(&call.thing.id).await? else { return Ok(Removed::Done) };
            match found.labels.get(PLATFORM_LABEL) {
                Some(owner) if owner == platform => {}
                owner => return Ok(theirs(owner.map_or("", String::as_str))),
            }
            let neighbours = crate::neighbours::of(engine, platform, cluster, &found.name).await?;
            for neighbour in &neighbours {
                engine.disconnect(&found.name, neighbour.name()).await?;
            }
            let apart = |name: &&String| neighbours.iter().all(|it| it.name() != **name);
            let mut by: Vec<String> = found.containers.iter().filter(apart).cloned().collect();
            if let Some(kind_name) = found.labels.get(KIND_NAME_LABEL) {
                by.extend(engine.nodes(kind_name).await?.iter().map(|node| node.name().to_owned()));
            }
            if !by.is_empty() {
                by.sort();
                by.dedup();
                return Ok(Removed::Blocked {
                    by: by.iter().map(|name| format!("container {name}")).collect(),
                });
            }
            engine.remove_network(&found.id).await?;
        }
        _ => {
            let Some(found) = engine.volume(&call.thing.id).await? else { return Ok(Removed::Done) };
            match found.labels.get(PLATFORM_LABEL) {
                Some(owner) if owner == platform => {}
                owner => return Ok(theirs(owner.map_or("", String::as_str))),
            }
            let nodes = match find::resource_of(&found.labels) {
                _ if found.name == name => engine.node_ids(&name).await?,
                Some((cluster, resource)) => {
                    let search =
                        [format!("{KIND_NAME_LABEL}={cluster}"), format!("{RESOURCE_LABEL}={resource}")];
                    engine.containers(&search).await?.into_iter().map(|it| it.id).collect()
                }
                None => Vec::new(),
            };
            if !nodes.is_empty() {
                let by = nodes.iter().map(|id| format!("container {id}")).collect();
                return Ok(Removed::Blocked { by });
            }
            engine.remove_volumes(std::slice::from_ref(&found.name)).await?;
            if found.name == name
                && let Ok(Some(held)) = job.lock()
            {
                // What is left of it on this machine is of no use; that it cannot be removed hinders nobody.
                let _forgotten = job.forget(held);
            }
        }
    }
    fall_silent(engine, platform, cluster).await?;
    Ok(Removed::Done)
}

async fn mark_owner(engine: &Engine<'_>, kind_name: &str) -> Result<Option<String>, Refusal> {
    let mark = engine.volume(kind_name).await?;
    Ok(mark.and_then(|mark| mark.labels.get(PLATFORM_LABEL).cloned()))
}
