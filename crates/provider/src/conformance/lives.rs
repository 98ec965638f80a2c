//! Behaviours about how long clusters live, and about removing them without having been told what they are.

use jiff::{SignedDuration, Timestamp};

use super::{
    Broken, Verdict, bring_up, ensure_that, look_until_settled,
    subject::{LOOKS, Subject, bring_up_as},
};
use crate::{Claim, ClusterRequest, Life, Observation, Removed, SearchRequest};

/// Nobody is in a hurry in these examinations, also where real time passes.
const LATER: i64 = 4_000_000_000;

fn search(cluster: &ClusterRequest) -> SearchRequest {
    SearchRequest {
        provider: cluster.provider.clone(),
        config: cluster.config.clone(),
        credentials: cluster.credentials.clone(),
    }
}

fn living(subject: &dyn Subject) -> Result<(ClusterRequest, Timestamp), Broken> {
    let until = Timestamp::from_second(LATER).map_err(|error| Broken(error.to_string()))?;
    let life = Some(Life { owner: "conformance@here".to_owned(), until });
    Ok((ClusterRequest { life, ..subject.cluster() }, until))
}

/// The claim of the cluster that is examined, if there is anything of it.
async fn claim(subject: &dyn Subject) -> Result<Option<Claim>, Broken> {
    let cluster = subject.cluster();
    let claims = subject.provider().list_claims(&search(&cluster)).await?;
    let mut ours = claims.into_iter().filter(|claim| {
        claim.platform == cluster.platform && claim.cluster.as_deref() == Some(cluster.cluster.as_str())
    });
    let first = ours.next();
    ensure_that!(ours.next().is_none(), "one cluster has two claims");
    Ok(first)
}

async fn alive_until(subject: &dyn Subject) -> Result<Option<Timestamp>, Broken> {
    let claim = claim(subject).await?;
    Ok(claim.ok_or_else(|| Broken("nothing of it is found".to_owned()))?.alive_until)
}

/// What is out there is found without its spec, with its owner and its time; a heartbeat moves the time forward, never
/// back, and makes nothing differ from what was asked.
pub async fn claims_live_as_long_as_told(subject: &dyn Subject) -> Verdict {
    let (cluster, until) = living(subject)?;
    let calls = bring_up_as(subject, &cluster).await?;
    let owned = subject.provider().list_owned(&cluster.inventory()).await?;
    let Some(found) = claim(subject).await? else {
        return Err(Broken("nothing of it is found".to_owned()));
    };
    ensure_that!(
        found.alive_until == Some(until),
        "it lives until {until}, and says {:?}",
        found.alive_until
    );
    ensure_that!(found.owner.as_deref() == Some("conformance@here"), "its owner is {:?}", found.owner);
    for thing in &owned {
        ensure_that!(
            found.things.iter().any(|it| it.id == thing.id),
            "`{}` is owned, and not among {:?}",
            thing.name,
            found.things
        );
    }
    let later = until + SignedDuration::from_hours(1);
    ensure_that!(subject.provider().prolong(&cluster, later).await?, "it could not be prolonged");
    ensure_that!(alive_until(subject).await? == Some(later), "a heartbeat is not seen");
    subject.provider().prolong(&cluster, until).await?;
    ensure_that!(alive_until(subject).await? == Some(later), "a heartbeat has made a life shorter");
    for mut call in calls {
        call.cluster.life = None;
        let seen = subject.provider().observe(&call).await?;
        ensure_that!(
            matches!(seen, Observation::Present { differs: None, .. }),
            "after a heartbeat, looking at `{}` says {seen:?}",
            call.resource
        );
    }
    Ok(())
}

/// What was made to stay is found without a time; neither a heartbeat nor a later wish gives it one.
pub async fn permanent_stays_permanent(subject: &dyn Subject) -> Verdict {
    let calls = bring_up(subject).await?;
    ensure_that!(
        alive_until(subject).await?.is_none(),
        "nobody has said how long it is to live, and it says so"
    );
    let (cluster, until) = living(subject)?;
    ensure_that!(!subject.provider().prolong(&cluster, until).await?, "a permanent cluster was prolonged");
    ensure_that!(alive_until(subject).await?.is_none(), "a heartbeat has ended a permanent cluster");
    for mut call in calls {
        call.cluster.life.clone_from(&cluster.life);
        subject.provider().ensure(&call).await?;
    }
    ensure_that!(alive_until(subject).await?.is_none(), "asking again has ended a permanent cluster");
    Ok(())
}

/// What was found is removed thing by thing, users first, and nothing of it is left.
pub async fn reaping_leaves_nothing(subject: &dyn Subject) -> Verdict {
    let (cluster, _) = living(subject)?;
    let calls = bring_up_as(subject, &cluster).await?;
    subject.put_load_balancer();
    for _ in 0..LOOKS {
        let Some(claim) = claim(subject).await? else { break };
        let mut pause = 1;
        for thing in claim.things.iter().filter(|thing| thing.blocked_by.is_empty()) {
            match subject.provider().reap(&claim.reap(&search(&cluster), thing)).await? {
                Removed::Done => {}
                Removed::InProgress(wait) => pause = pause.max(wait.poll_after_ms),
                // It has got a user since it was listed.
                Removed::Blocked { .. } => {}
                Removed::Kept { why } => {
                    return Err(Broken(format!("`{}` is ours and kept: {why}", thing.name)));
                }
            }
        }
        subject.pass(pause).await;
    }
    let left = subject.provider().list_owned(&cluster.inventory()).await?;
    ensure_that!(left.is_empty(), "after reaping there is {left:?}");
    for mut call in calls {
        call.operation = serde_json::Value::Null;
        let seen = match subject.provider().observe(&call).await? {
            Observation::InProgress(wait) => look_until_settled(subject, &call, wait).await?,
            seen => seen,
        };
        ensure_that!(
            seen == Observation::Absent,
            "after reaping, looking at `{}` says {seen:?}",
            call.resource
        );
    }
    Ok(())
}
