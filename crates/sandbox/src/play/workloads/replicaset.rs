//! ReplicaSets: as many pods of one template as are wanted.

use std::{cmp::Reverse, sync::Arc};

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::objects::{
    AGAIN, Availability, annotation, at, availability, claim, condition, count, create_pod, delete_pod,
    drop_condition, int, is_active, is_controlled_by, is_finished, is_ready, items, owners_of, pod_from,
    sooner, text,
};
use crate::{
    kube::{
        object::{is_going, meta},
        select::Selector,
        store::{Change, Key},
    },
    play::{Cluster, Controller, cluster::Refused},
};

const BY: &str = "replicaset-controller";
const KIND: &str = "apps/replicasets";

/// Pods that one look makes or deletes at most, as in the real one: the rest follows with the next.
const BURST: usize = 500;

/// Keeps ReplicaSets at their numbers.
pub struct ReplicaSets;

impl Controller for ReplicaSets {
    fn watches(&self) -> &'static [&'static str] {
        &[KIND, "/pods"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            KIND => vec![change.key.clone()],
            _ => {
                let mut keys = owners_of(cluster, change.latest(), "ReplicaSet", KIND);
                // Who lost a pod to a change of its labels or owners must know.
                if let Some(before) = &change.before {
                    keys.extend(Cluster::controller_of(before, "ReplicaSet", KIND));
                    keys.dedup();
                }
                keys
            }
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let set = cluster.get(key)?;
        let pods = claim(cluster, BY, "/pods", &set);
        let active: Vec<_> = pods.iter().filter(|pod| is_active(pod)).cloned().collect();
        let going = pods.iter().filter(|pod| is_going(pod) && !is_finished(pod)).count();
        let outcome = if is_going(&set) { Ok(()) } else { manage(cluster, &set, &active) };
        let failed = outcome.is_err();
        let mut wait = None;
        let status = status(cluster, &set, &active, going, outcome.err(), &mut wait);
        let written = cluster.change_status(BY, key, |it| it["status"] = status.clone());
        sooner(wait, (failed || written.is_err()).then_some(AGAIN))
    }
}

/// Makes what is missing, or deletes what is too much.
fn manage(cluster: &Cluster, set: &Value, active: &[Arc<Value>]) -> Result<(), Refused> {
    let wanted = usize::try_from(int(&set["spec"]["replicas"])).unwrap_or(0);
    if active.len() < wanted {
        let mut pod = pod_from(&set["spec"]["template"], set);
        pod["metadata"]["generateName"] = format!("{}-", meta(set, "name")).into();
        for _ in 0..(wanted - active.len()).min(BURST) {
            create_pod(cluster, BY, set, &pod)?;
        }
    } else if active.len() > wanted {
        let mut ranked = active.to_vec();
        let crowds = crowds(cluster, set);
        ranked.sort_by_cached_key(|pod| rank(pod, &crowds));
        for pod in ranked.iter().take((active.len() - wanted).min(BURST)) {
            delete_pod(cluster, BY, set, pod)?;
        }
    }
    Ok(())
}

/// Nodes of the pods of all ReplicaSets that belong to the same owner, one entry each: of two alike, the one in the
/// greater company goes first.
fn crowds(cluster: &Cluster, set: &Value) -> Vec<String> {
    let namespace = Some(meta(set, "namespace"));
    let sets = cluster.list(KIND, namespace);
    let family: Vec<_> = match super::objects::controller(set) {
        Some(owner) => {
            let same =
                |it: &&Arc<Value>| super::objects::controller(it).is_some_and(|of| of["uid"] == owner["uid"]);
            sets.iter().filter(same).cloned().collect()
        }
        None => vec![Arc::new(set.clone())],
    };
    let pods = cluster.list("/pods", namespace);
    let ours =
        pods.iter().filter(|pod| is_active(pod) && family.iter().any(|set| is_controlled_by(pod, set)));
    ours.map(|pod| text(&pod["spec"]["nodeName"]).to_owned()).collect()
}

/// Which pod goes first: the one that is least far on its way, then the one that costs least, then the one with most
/// company on its node, and the youngest.
fn rank(pod: &Value, crowds: &[String]) -> impl Ord + use<> {
    let node = text(&pod["spec"]["nodeName"]).to_owned();
    let phase = match text(&pod["status"]["phase"]) {
        "Pending" => 0,
        "Unknown" => 1,
        _ => 2,
    };
    let cost: i32 = annotation(pod, "controller.kubernetes.io/pod-deletion-cost").parse().unwrap_or(0);
    let company = crowds.iter().filter(|it| **it == node).count();
    let ready_since = condition(&pod["status"], "Ready").and_then(|it| at(&it["lastTransitionTime"]));
    let restarts: i64 = items(&pod["status"]["containerStatuses"]).map(|it| int(&it["restartCount"])).sum();
    let made = at(&pod["metadata"]["creationTimestamp"]);
    let name = meta(pod, "name").to_owned();
    (
        !node.is_empty(),
        phase,
        is_ready(pod),
        cost,
        Reverse(company),
        Reverse(ready_since.filter(|_| is_ready(pod))),
        Reverse(restarts),
        Reverse(made),
        name,
    )
}

fn status(
    cluster: &Cluster,
    set: &Value,
    active: &[Arc<Value>],
    going: usize,
    refused: Option<Refused>,
    wait: &mut Option<SignedDuration>,
) -> Value {
    let mut status = set["status"].clone();
    let template = &set["spec"]["template"]["metadata"]["labels"];
    let labelled = Selector::of_object(&json!({ "matchLabels": template })).unwrap_or_default();
    let minimum = int(&set["spec"]["minReadySeconds"]);
    let mut available = 0;
    for pod in active {
        match availability(pod, minimum, cluster.now()) {
            Availability::Now => available += 1,
            Availability::In(left) => *wait = sooner(*wait, Some(left)),
            Availability::NotReady => {}
        }
    }
    let number = |fits: &dyn Fn(&Value) -> bool| {
        i64::try_from(active.iter().filter(|pod| fits(pod)).count()).unwrap_or(i64::MAX)
    };
    status["replicas"] = active.len().into();
    count(&mut status, "fullyLabeledReplicas", number(&|pod| labelled.matches(pod)));
    count(&mut status, "readyReplicas", number(&is_ready));
    count(&mut status, "availableReplicas", available);
    status["terminatingReplicas"] = going.into();
    status["observedGeneration"] = set["metadata"]["generation"].clone();
    match refused {
        None => {
            drop_condition(&mut status, "ReplicaFailure");
            if status["conditions"].as_array().is_some_and(Vec::is_empty) {
                drop(status.as_object_mut().map(|it| it.shift_remove("conditions")));
            }
        }
        Some(refused) if condition(&status, "ReplicaFailure").is_none() => {
            let too_few = active.len() < usize::try_from(int(&set["spec"]["replicas"])).unwrap_or(0);
            let reason = if too_few { "FailedCreate" } else { "FailedDelete" };
            let words = Some((reason, refused.message.as_str()));
            super::objects::set_condition(&mut status, "ReplicaFailure", "True", words, &cluster.time());
        }
        Some(_) => {}
    }
    status
}
