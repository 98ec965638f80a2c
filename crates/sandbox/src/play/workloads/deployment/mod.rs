//! Deployments: from one template to the next, within the bounds that are set.
//!
//! | room | what it holds |
//! |---|---|
//! | `sets` | the ReplicaSets of a Deployment, their revisions and numbers |
//! | `rollout` | what is scaled next |
//! | `status` | what is said of it |

mod rollout;
mod sets;
mod status;

use jiff::SignedDuration;
use serde_json::Value;

use super::objects::{AGAIN, owners_of};
use crate::{
    kube::{
        object::is_going,
        store::{Change, Key},
    },
    play::{Cluster, Controller, cluster::Refused},
};
use sets::Sets;

const BY: &str = "deployment-controller";
const KIND: &str = "apps/deployments";
const SETS: &str = "apps/replicasets";

/// Rolls Deployments out.
pub struct Deployments;

impl Controller for Deployments {
    fn watches(&self) -> &'static [&'static str] {
        &[KIND, SETS, "/pods"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            KIND => vec![change.key.clone()],
            SETS => owners_of(cluster, change.latest(), "Deployment", KIND),
            // Who recreates waits for the last old pod to be gone.
            _ if change.after.is_none() => {
                let all = cluster.api.store.list(&KIND.into(), Some(&change.key.namespace)).objects;
                all.into_iter().filter(|(_, it)| recreates(it)).map(|(key, _)| key).collect()
            }
            _ => Vec::new(),
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        match sync(cluster, key) {
            Ok(wait) => wait,
            Err(_) => Some(AGAIN),
        }
    }
}

fn recreates(deployment: &Value) -> bool {
    deployment["spec"]["strategy"]["type"] == "Recreate"
}

fn has_deadline(deployment: &Value) -> bool {
    deployment["spec"]["progressDeadlineSeconds"].as_i64().is_some_and(|it| it != i64::from(i32::MAX))
}

fn sync(cluster: &Cluster, key: &Key) -> Result<Option<SignedDuration>, Refused> {
    let Some(deployment) = cluster.get(key) else { return Ok(None) };
    let mut sets = Sets::of(cluster, &deployment);
    if is_going(&deployment) {
        sets.take_note(cluster)?;
        status::plain(cluster, &sets)?;
        return Ok(None);
    }
    if status::pause_or_resume(cluster, &deployment)? {
        return Ok(None);
    }
    let paused = deployment["spec"]["paused"] == true;
    if paused || sets.is_scaling() {
        sets.take_note(cluster)?;
        rollout::scale(cluster, &mut sets)?;
        if paused {
            sets.forget_old(cluster)?;
        }
        status::plain(cluster, &sets)?;
        return Ok(None);
    }
    if recreates(&deployment) {
        rollout::recreate(cluster, &mut sets)
    } else {
        rollout::rolling(cluster, &mut sets)
    }
}
