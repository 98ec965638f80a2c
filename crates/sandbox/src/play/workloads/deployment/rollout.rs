//! What is scaled next: in proportion, step by step, or all at once.

use std::{cmp::Reverse, sync::Arc};

use jiff::SignedDuration;
use serde_json::Value;

use super::{
    sets::{Sets, available, replicas},
    status,
};
use crate::{
    kube::object::meta,
    play::{Cluster, cluster::Refused, workloads::objects::age},
};

/// The wanted number changed: what is there follows it, in proportion when a rollout is on its way.
pub fn scale(cluster: &Cluster, sets: &mut Sets) -> Result<(), Refused> {
    if let Some(only) = sets.only_one() {
        if let Some(set) = only
            && replicas(&set) != sets.wanted()
        {
            sets.scale(cluster, &set, sets.wanted())?;
        }
        return Ok(());
    }
    let active = |set: &&Arc<Value>| replicas(set) > 0;
    if sets.is_saturated() {
        for old in sets.old.iter().filter(active).cloned().collect::<Vec<_>>() {
            sets.scale(cluster, &old, 0)?;
        }
        return Ok(());
    }
    if super::recreates(&sets.deployment) {
        return Ok(());
    }
    let mut all: Vec<Arc<Value>> = sets.all().filter(active).cloned().collect();
    let sizes = proportions(sets, &mut all);
    for (set, size) in all.iter().zip(sizes) {
        sets.scale(cluster, set, size)?;
    }
    Ok(())
}

/// Sorts the sets and says the size of each: the greater ones get or give more, and the greatest what is left over.
fn proportions(sets: &Sets, all: &mut [Arc<Value>]) -> Vec<i64> {
    let wanted = sets.wanted();
    let most = if wanted > 0 { wanted + sets.max_surge() } else { 0 };
    let to_add = most - all.iter().map(|set| replicas(set)).sum::<i64>();
    match to_add {
        0 => {}
        // The newer of two of one size gets more, the older gives more.
        1.. => all.sort_by(|one, two| (replicas(two), age(two)).cmp(&(replicas(one), age(one)))),
        _ => all
            .sort_by(|one, two| (Reverse(replicas(one)), age(one)).cmp(&(Reverse(replicas(two)), age(two)))),
    }
    let mut added = 0;
    let mut sizes: Vec<i64> = Vec::new();
    for set in all.iter() {
        let size = replicas(set);
        let before = sets.maximum_before(set);
        let part = match () {
            () if to_add == added => 0,
            () if wanted == 0 => -size,
            () if before == 0 => 0,
            // Half away from zero; both are positive.
            () => (2 * size * (wanted + sets.max_surge()) + before).div_euclid(2 * before) - size,
        };
        let left = to_add - added;
        let part = if to_add > 0 { part.min(left) } else { part.max(left) };
        added += part;
        sizes.push(size + part);
    }
    if let Some(first) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

/// One step of a rolling update.
pub fn rolling(cluster: &Cluster, sets: &mut Sets) -> Result<Option<SignedDuration>, Refused> {
    if !sets.ensure_new(cluster)? {
        return Ok(None);
    }
    let Some(new) = sets.new.clone() else { return Ok(None) };
    let wanted = sets.wanted();
    let now = replicas(&new);
    let to = if now > wanted { wanted } else { sets.room_for_new(now) };
    if now != wanted && to != now && sets.scale(cluster, &new, to)? {
        return status::of_rollout(cluster, sets);
    }
    if !scale_down_old(cluster, sets)? && status::is_complete(sets, &sets.deployment["status"]) {
        sets.forget_old(cluster)?;
    }
    status::of_rollout(cluster, sets)
}

/// Takes away old pods, the unhealthy ones first, as long as enough are available; whether any went.
fn scale_down_old(cluster: &Cluster, sets: &mut Sets) -> Result<bool, Refused> {
    let Some(new) = sets.new.clone() else { return Ok(false) };
    let old: Vec<_> = sets.old.iter().filter(|set| replicas(set) > 0).cloned().collect();
    let least = sets.wanted() - sets.max_unavailable();
    let most_down = sets.sum(replicas) - least - (replicas(&new) - available(&new));
    if old.is_empty() || most_down <= 0 {
        return Ok(false);
    }
    let mut down = 0;
    for set in &old {
        let part = (replicas(set) - available(set)).clamp(0, most_down - down);
        if part > 0 {
            sets.scale(cluster, set, replicas(set) - part)?;
            down += part;
        }
    }
    let spare = sets.sum(available) - least;
    let mut also = 0;
    for set in sets.old.clone().iter().filter(|set| replicas(set) > 0) {
        let part = replicas(set).min(spare - also);
        if part > 0 {
            sets.scale(cluster, set, replicas(set) - part)?;
            also += part;
        }
    }
    Ok(down + also > 0)
}

/// One step of taking all old pods away before new ones come.
pub fn recreate(cluster: &Cluster, sets: &mut Sets) -> Result<Option<SignedDuration>, Refused> {
    sets.take_note(cluster)?;
    let old: Vec<_> = sets.old.iter().filter(|set| replicas(set) > 0).cloned().collect();
    let mut scaled = false;
    for set in &old {
        scaled |= sets.scale(cluster, set, 0)?;
    }
    if scaled || sets.old_pods_run(cluster) {
        return status::of_rollout(cluster, sets);
    }
    if !sets.ensure_new(cluster)? {
        return Ok(None);
    }
    if let Some(new) = sets.new.clone()
        && replicas(&new) != sets.wanted()
    {
        sets.scale(cluster, &new, sets.wanted())?;
    }
    if status::is_complete(sets, &sets.deployment["status"]) {
        sets.forget_old(cluster)?;
    }
    status::of_rollout(cluster, sets)
}

/// The name that conditions speak of.
pub fn subject(sets: &Sets) -> String {
    match &sets.new {
        Some(new) => format!("ReplicaSet {:?}", meta(new, "name")),
        None => format!("Deployment {:?}", meta(&sets.deployment, "name")),
    }
}
