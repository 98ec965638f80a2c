//! Who lives how long, and removing what was found by itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use platform_provider::{
    Claim, ClusterRequest, InventoryRequest, Life, ReapCall, Removed,
    life::{ALIVE_UNTIL_TAG, MADE_FOR_TAG},
};
use platform_spec::PlatformName;

use super::{
    acts::{CLUSTER_TAG, PLATFORM_TAG, RESOURCE_TAG, inventory, wait},
    cloud::{Object, Phase, State},
};

fn of<'a>(
    state: &'a State,
    platform: &'a str,
    cluster: &'a str,
) -> impl Iterator<Item = &'a Object> + use<'a> {
    state.objects.values().filter(move |object| {
        let is = |key: &str, value: &str| object.tags.get(key).is_some_and(|it| it == value);
        is(PLATFORM_TAG, platform) && is(CLUSTER_TAG, cluster) && object.tags.contains_key(RESOURCE_TAG)
    })
}

fn alive_until(state: &State, platform: &str, cluster: &str) -> Option<Timestamp> {
    let said = of(state, platform, cluster).map(|object| object.tags.get(ALIVE_UNTIL_TAG));
    let said: Option<Vec<Timestamp>> = said.map(|tag| tag.and_then(|tag| Life::read_tag(tag))).collect();
    said?.into_iter().max()
}

pub(super) fn claims(state: &State, now: i64, provider: &str) -> Vec<Claim> {
    let named = |object: &Object| {
        Some((object.tags.get(PLATFORM_TAG)?.clone(), object.tags.get(CLUSTER_TAG)?.clone()))
    };
    let whose: BTreeSet<(String, String)> = state.objects.values().filter_map(named).collect();
    let claim = |(platform, cluster): (String, String)| {
        let owner = InventoryRequest {
            cluster: Some(cluster.clone()),
            ..ClusterRequest::new(&platform, &cluster, provider).inventory()
        };
        let made_for =
            of(state, &platform, &cluster).find_map(|object| object.tags.get(MADE_FOR_TAG).cloned());
        let alive_until = alive_until(state, &platform, &cluster);
        Claim {
            owner: made_for,
            alive_until,
            things: inventory(state, now, &owner),
            platform: PlatformName::new(platform.as_str()),
            cluster: Some(cluster),
        }
    };
    whose.into_iter().map(claim).collect()
}

pub(super) fn prolong(state: &mut State, cluster: &ClusterRequest, until: Timestamp) -> bool {
    let platform = cluster.platform.as_str();
    let Some(said) = alive_until(state, platform, &cluster.cluster) else { return false };
    let bearer = of(state, platform, &cluster.cluster).next().map(|object| object.id.clone());
    let tags: Option<&mut BTreeMap<String, String>> =
        bearer.and_then(|id| state.objects.get_mut(&id)).map(|object| &mut object.tags);
    let Some(tags) = tags else { return false };
    tags.insert(ALIVE_UNTIL_TAG.to_owned(), Life::tag(said.max(until)));
    true
}

pub(super) fn reap(state: &mut State, now: i64, call: &ReapCall) -> Removed {
    let Some(mut object) = state.objects.get(&call.thing.id).cloned() else { return Removed::Done };
    if object.tags.get(PLATFORM_TAG).is_some_and(|owner| owner != call.platform.as_str()) {
        return Removed::Kept { why: "it belongs to another platform".to_owned() };
    }
    match &object.phase {
        Phase::Going { operation, until_ms } | Phase::Working { operation, until_ms, .. } => {
            return Removed::InProgress(wait("gone", &object, operation, *until_ms, now));
        }
        Phase::Ready | Phase::Broken(_) => {}
    }
    let by = state.blockers(&object.id);
    if !by.is_empty() {
        return Removed::Blocked { by };
    }
    if state.pace.remove_ms == 0 {
        state.objects.remove(&object.id);
        return Removed::Done;
    }
    let operation = state.operation();
    let until_ms = now + state.pace.remove_ms.cast_signed();
    object.phase = Phase::Going { operation: operation.clone(), until_ms };
    state.objects.insert(object.id.clone(), object.clone());
    Removed::InProgress(wait("gone", &object, &operation, until_ms, now))
}
