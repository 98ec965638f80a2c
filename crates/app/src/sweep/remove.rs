//! Removing what was condemned, users first.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use platform_provider::{Claim, Removed};
use platform_spec::{Failure, PlatformName};
use tokio::time::Instant;

use super::{
    Found, Left, Outcome, Place,
    decide::{Verdict, free, is_revived},
};
use crate::stop::Stop;

/// The shortest and the longest pause between two looks.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// For how long nothing may change before it is believed that nothing will.
const STUCK: Duration = Duration::from_secs(30);

/// Which claim: its platform and its cluster.
type Key = (PlatformName, Option<String>);

/// Removes everything of what was condemned in a place, and says what is left. Looks before each round, at the place and
/// not into memory: what was removed on the way, and what has come to life again, is seen.
pub(super) async fn all(
    place: &Place,
    mut condemned: Vec<&mut Found>,
    wait: Duration,
    stop: &Stop,
) -> Result<Vec<Left>, Failure> {
    let began = Instant::now();
    let mut whys: BTreeMap<String, String> = BTreeMap::new();
    let mut last: (Vec<String>, Instant) = (Vec::new(), began);
    loop {
        let claims = place.provider.list_claims(&place.search).await?;
        let mut claims: BTreeMap<Key, Claim> = claims.into_iter().map(|it| (key(&it), it)).collect();
        for found in &mut condemned {
            see(found, claims.get(&(found.platform.clone(), found.cluster.clone())));
        }
        claims.retain(|key, _| {
            let fits = |it: &Found| it.platform == key.0 && it.cluster == key.1;
            condemned.iter().any(|it| fits(it) && it.outcome == Outcome::Left)
        });
        let ids: Vec<String> =
            claims.values().flat_map(|claim| &claim.things).map(|thing| thing.id.clone()).collect();
        if ids != last.0 {
            last = (ids, Instant::now());
        }
        let over = began.elapsed() > wait || last.1.elapsed() > STUCK.min(wait) || stop.gently.is_cancelled();
        if claims.is_empty() || over {
            return Ok(left(place, &claims, &whys));
        }
        let round = claims.values().flat_map(|claim| {
            free(claim).into_iter().map(move |thing| async move {
                (thing, place.provider.reap(&claim.reap(&place.search, thing)).await)
            })
        });
        let mut pause = PAUSES.0;
        for (thing, removed) in join_all(round).await {
            match removed {
                Ok(Removed::Done) => {}
                Ok(Removed::InProgress(on)) => {
                    // It goes, however long it takes.
                    last.1 = Instant::now();
                    pause = pause.max(Duration::from_millis(on.poll_after_ms));
                }
                Ok(Removed::Blocked { by }) => {
                    whys.insert(thing.id.clone(), format!("in use by {}", by.join(", ")));
                }
                Ok(Removed::Kept { why }) => {
                    whys.insert(thing.id.clone(), why);
                }
                Err(failure) => {
                    let why = failure.causes.last().unwrap_or(&failure.message);
                    whys.insert(thing.id.clone(), why.clone());
                    pause = pause.max(Duration::from_secs(1));
                }
            }
        }
        tokio::select! {
            () = stop.gently.cancelled() => {}
            () = tokio::time::sleep(pause.min(PAUSES.1)) => {}
        }
    }
}

fn key(claim: &Claim) -> Key {
    (claim.platform.clone(), claim.cluster.clone())
}

/// Writes down how a claim stands now.
fn see(found: &mut Found, now: Option<&Claim>) {
    match now {
        None => {
            found.outcome = Outcome::Removed;
            found.things.clear();
        }
        Some(claim)
            if found.verdict == Verdict::Expired && is_revived(found.alive_until, claim.alive_until) =>
        {
            found.outcome = Outcome::Revived;
            found.things.clone_from(&claim.things);
        }
        Some(claim) => {
            found.outcome = Outcome::Left;
            found.things.clone_from(&claim.things);
        }
    }
}

fn left(place: &Place, claims: &BTreeMap<Key, Claim>, whys: &BTreeMap<String, String>) -> Vec<Left> {
    let of = |claim: &Claim| -> Vec<Left> {
        let why = |thing: &platform_provider::Owned| match whys.get(&thing.id) {
            Some(why) => why.clone(),
            None if thing.blocked_by.is_empty() => "it was still going when the sweep ended".to_owned(),
            None => format!("in use by {}", thing.blocked_by.join(", ")),
        };
        let left = |thing| Left {
            provider: place.kind.clone(),
            platform: claim.platform.clone(),
            why: why(thing),
            kind: thing.kind.clone(),
            name: thing.name.clone(),
        };
        claim.things.iter().map(left).collect()
    };
    claims.values().flat_map(of).collect()
}
