//! Heartbeats, and removing what was found by itself.

use jiff::Timestamp;
use platform_provider::{Life, ReapCall, Removed, life::ALIVE_UNTIL_TAG};
use platform_spec::Class;

use crate::{
    client::Client,
    find::alive_until,
    provider::wait,
    refusal::Refusal,
    wish::{PLATFORM_TAG, RESOURCE_TAG, Wish},
};

/// Moves the time on one thing of the cluster. That is enough, for the latest counts.
pub(crate) async fn prolong(client: &Client<'_>, wish: &Wish<'_>, until: Timestamp) -> Result<bool, Refusal> {
    let things = client.list("things", &wish.tag_search()).await?;
    let Some(said) = alive_until(things.iter()) else { return Ok(false) };
    if said >= until {
        return Ok(true);
    }
    // What is in transition takes no change, and a cluster whose tags change has its API looked at anew.
    let still = |status: &str| matches!(status, "active" | "failed");
    let bearer = things
        .into_iter()
        .find(|seen| seen.tags.contains_key(RESOURCE_TAG) && seen.kind != "cluster" && still(&seen.status));
    let Some(mut bearer) = bearer else { return Ok(false) };
    bearer.tags.insert(ALIVE_UNTIL_TAG.to_owned(), Life::tag(until));
    match client.retag(plural(&bearer.kind), &bearer.id, &bearer.tags).await {
        Ok(_) => Ok(true),
        // It has begun to go, or has gone, since it was looked at.
        Err(refusal) if matches!(refusal.class, Class::ConflictInProgress | Class::NotFound) => Ok(false),
        Err(refusal) => Err(refusal),
    }
}

/// Removes one thing by its id.
pub(crate) async fn reap(client: &Client<'_>, call: &ReapCall) -> Result<Removed, Refusal> {
    let plural = plural(&call.thing.kind);
    let seen = match client.get(plural, &call.thing.id).await {
        Ok(seen) => seen,
        Err(refusal) if refusal.class == Class::NotFound => return Ok(Removed::Done),
        Err(refusal) => return Err(refusal),
    };
    if let Some(owner) = seen.tags.get(PLATFORM_TAG).filter(|owner| *owner != call.platform.as_str()) {
        return Ok(Removed::Kept { why: format!("it belongs to platform `{owner}`") });
    }
    if !matches!(seen.status.as_str(), "active" | "failed") {
        return Ok(Removed::InProgress(wait(&seen)));
    }
    match client.delete(plural, &seen.id).await {
        Ok(None) => Ok(Removed::Done),
        Ok(Some(going)) => Ok(Removed::InProgress(wait(&going))),
        Err(refusal) if refusal.class == Class::NotFound => Ok(Removed::Done),
        Err(refusal) if refusal.class == Class::DependencyViolation => {
            Ok(Removed::Blocked { by: refusal.blockers })
        }
        Err(refusal) => Err(refusal),
    }
}

/// The word for many of a kind, as it stands in the cloud's paths.
fn plural(kind: &str) -> &'static str {
    match kind {
        "ip" => "ips",
        "cluster" => "clusters",
        "node-pool" => "node-pools",
        "load-balancer" => "load-balancers",
        "volume" => "volumes",
        "identity" => "identities",
        "bucket" => "buckets",
        "dns-zone" => "dns-zones",
        _ => "networks",
    }
}
