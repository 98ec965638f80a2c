//! DaemonSets: one pod on each node that takes it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    history::Revisions,
    objects::{
        AGAIN, Availability, availability, claim, count, create_pod, delete_pod, int, is_finished, is_ready,
        items, key_of, owners_of, pod_from, share, sooner, text,
    },
    pods::{affinity, fit},
};
use crate::{
    kube::{
        object::{is_going, meta},
        store::{Change, Key},
    },
    play::{Cluster, Controller, cluster::Refused},
};

const BY: &str = "daemonset-controller";
const KIND: &str = "apps/daemonsets";
const REVISION: &str = "controller-revision-hash";

/// What every pod of a DaemonSet tolerates: key and effect.
const TOLERATED: &[(&str, &str)] = &[
    ("node.kubernetes.io/not-ready", "NoExecute"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
    ("node.kubernetes.io/disk-pressure", "NoSchedule"),
    ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    ("node.kubernetes.io/pid-pressure", "NoSchedule"),
    ("node.kubernetes.io/unschedulable", "NoSchedule"),
];

/// Keeps DaemonSets.
pub struct DaemonSets;

impl Controller for DaemonSets {
    fn watches(&self) -> &'static [&'static str] {
        &[KIND, "/pods", "/nodes"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            KIND => vec![change.key.clone()],
            "/nodes" => cluster.list(KIND, None).iter().map(|it| key_of(KIND, it)).collect(),
            _ => owners_of(cluster, change.latest(), "DaemonSet", KIND),
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let set = cluster.get(key)?;
        match sync(cluster, key, &set) {
            Ok(wait) => wait,
            Err(_) => Some(AGAIN),
        }
    }
}

/// The node that a pod is meant for, whether it sits there already or not.
fn meant_for(pod: &Value) -> &str {
    match text(&pod["spec"]["nodeName"]) {
        "" => {
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            let terms = &pod["spec"]["affinity"]["nodeAffinity"][required]["nodeSelectorTerms"];
            let fields = items(terms).flat_map(|it| items(&it["matchFields"]));
            fields.flat_map(|it| items(&it["values"])).find_map(Value::as_str).unwrap_or_default()
        }
        node => node,
    }
}

fn sync(cluster: &Cluster, key: &Key, set: &Value) -> Result<Option<SignedDuration>, Refused> {
    let pods = claim(cluster, BY, "/pods", set);
    let revisions = Revisions::of(cluster, BY, set, REVISION)?;
    let hash = text(&revisions.newest()["metadata"]["labels"][REVISION]).to_owned();
    let nodes = cluster.list("/nodes", None);
    let wanted = template(set, &hash);
    let mut by_node: BTreeMap<&str, Vec<&Arc<Value>>> = BTreeMap::new();
    for pod in &pods {
        by_node.entry(meant_for(pod)).or_default().push(pod);
    }
    let outcome = if is_going(set) { Ok(()) } else { place(cluster, set, &wanted, &nodes, &by_node) };
    let outcome = outcome
        .and_then(|()| if is_going(set) { Ok(()) } else { roll(cluster, set, &hash, &nodes, &by_node) });
    let wait = status(cluster, key, set, &hash, &wanted, &nodes)?;
    outcome?;
    let of_hash = |hash: &str| format!("{}-{hash}", meta(set, "name"));
    let used: Vec<String> =
        pods.iter().map(|pod| of_hash(text(&pod["metadata"]["labels"][REVISION]))).collect();
    let used: Vec<&str> = used.iter().map(String::as_str).collect();
    revisions.forget(cluster, BY, set, &used)?;
    Ok(wait)
}

/// The pod that any node would get, without its node.
fn template(set: &Value, hash: &str) -> Value {
    let mut pod = pod_from(&set["spec"]["template"], set);
    pod["metadata"]["generateName"] = format!("{}-", meta(set, "name")).into();
    pod["metadata"]["labels"][REVISION] = hash.into();
    pod["metadata"]["labels"]["pod-template-generation"] =
        text(&set["metadata"]["annotations"]["deprecated.daemonset.template.generation"]).into();
    if pod["metadata"]["labels"]["pod-template-generation"] == "" {
        pod["metadata"]["labels"]["pod-template-generation"] = "1".into();
    }
    let mut tolerations: Vec<Value> = items(&pod["spec"]["tolerations"]).cloned().collect();
    let network = ("node.kubernetes.io/network-unavailable", "NoSchedule");
    let own_network = (pod["spec"]["hostNetwork"] == true).then_some(&network);
    for (key, effect) in TOLERATED.iter().chain(own_network) {
        if fit::toleration(&pod, key, "", effect).is_none() {
            tolerations.push(json!({ "key": key, "operator": "Exists", "effect": effect }));
        }
    }
    pod["spec"]["tolerations"] = tolerations.into();
    pod
}

/// Whether a node gets a pod, and whether one that is there may stay.
fn should_run(pod: &Value, node: &Value) -> (bool, bool) {
    if !affinity::node_matches(pod, node) {
        return (false, false);
    }
    let keeps_out = |effects: &[&str]| {
        items(&node["spec"]["taints"])
            .any(|it| effects.contains(&text(&it["effect"])) && !fit::tolerates_taint(pod, it))
    };
    (!keeps_out(&["NoSchedule", "NoExecute"]), !keeps_out(&["NoExecute"]))
}

/// One pod for each node that should have one, none elsewhere.
fn place(
    cluster: &Cluster,
    set: &Value,
    wanted: &Value,
    nodes: &[Arc<Value>],
    by_node: &BTreeMap<&str, Vec<&Arc<Value>>>,
) -> Result<(), Refused> {
    for node in nodes {
        let name = meta(node, "name");
        let (run, stay) = should_run(wanted, node);
        let there = by_node.get(name).into_iter().flatten();
        let (mut alive, mut leaves) = (Vec::new(), false);
        for pod in there {
            if is_going(pod) {
                leaves = true;
            } else if is_finished(pod) {
                let words = format!(
                    "Found failed daemon pod {}/{} on node {name}, will try to kill it",
                    meta(pod, "namespace"),
                    meta(pod, "name")
                );
                cluster.event(BY, set, "Warning", "FailedDaemonPod", &words);
                delete_pod(cluster, BY, set, pod)?;
                leaves = true;
            } else {
                alive.push(*pod);
            }
        }
        alive.sort_by(|one, two| super::objects::age(one).cmp(&super::objects::age(two)));
        let keep = usize::from(stay);
        for pod in alive.iter().skip(keep) {
            delete_pod(cluster, BY, set, pod)?;
        }
        if run && alive.is_empty() && !leaves {
            let mut pod = wanted.clone();
            let required = "requiredDuringSchedulingIgnoredDuringExecution";
            let field = json!({ "key": "metadata.name", "operator": "In", "values": [name] });
            let affinity = &mut pod["spec"]["affinity"]["nodeAffinity"];
            affinity[required] = json!({ "nodeSelectorTerms": [{ "matchFields": [field] }] });
            create_pod(cluster, BY, set, &pod)?;
        }
    }
    Ok(())
}

/// Replaces pods of an old template, as many at once as may be unavailable.
fn roll(
    cluster: &Cluster,
    set: &Value,
    hash: &str,
    nodes: &[Arc<Value>],
    by_node: &BTreeMap<&str, Vec<&Arc<Value>>>,
) -> Result<(), Refused> {
    let strategy = &set["spec"]["updateStrategy"];
    if strategy["type"] == "OnDelete" {
        return Ok(());
    }
    let wanted = template(set, hash);
    let (minimum, now) = (int(&set["spec"]["minReadySeconds"]), cluster.now());
    let (mut desired, mut unavailable) = (0, 0);
    let (mut healthy, mut broken) = (Vec::new(), Vec::new());
    for node in nodes.iter().filter(|node| should_run(&wanted, node).0) {
        desired += 1;
        let there = by_node.get(meta(node, "name")).into_iter().flatten();
        let pods: Vec<_> = there.filter(|pod| !is_going(pod) && !is_finished(pod)).collect();
        let available = |pod: &Value| availability(pod, minimum, now) == Availability::Now;
        match pods.first() {
            None => unavailable += 1,
            Some(pod) => {
                let old = pod["metadata"]["labels"][REVISION] != hash;
                if !available(pod) {
                    unavailable += 1;
                }
                match (old, available(pod)) {
                    (true, true) => healthy.push(**pod),
                    (true, false) => broken.push(**pod),
                    _ => {}
                }
            }
        }
    }
    let most = share(&strategy["rollingUpdate"]["maxUnavailable"], desired, true).max(1);
    let left = usize::try_from(most - unavailable).unwrap_or(0);
    // What does not work is replaced at once: nothing is lost.
    for pod in broken.into_iter().chain(healthy.into_iter().take(left)) {
        delete_pod(cluster, BY, set, pod)?;
    }
    Ok(())
}

fn status(
    cluster: &Cluster,
    key: &Key,
    set: &Value,
    hash: &str,
    wanted: &Value,
    nodes: &[Arc<Value>],
) -> Result<Option<SignedDuration>, Refused> {
    let pods = claim(cluster, BY, "/pods", set);
    let (minimum, now) = (int(&set["spec"]["minReadySeconds"]), cluster.now());
    let (mut desired, mut current, mut misplaced, mut ready, mut available, mut updated) = (0, 0, 0, 0, 0, 0);
    let mut wait = None;
    for node in nodes {
        let run = should_run(wanted, node).0;
        let mut there: Vec<_> = pods
            .iter()
            .filter(|pod| meant_for(pod) == meta(node, "name") && !is_going(pod) && !is_finished(pod))
            .collect();
        there.sort_by_key(|pod| super::objects::age(pod));
        desired += i64::from(run);
        let Some(pod) = there.first() else { continue };
        if !run {
            misplaced += 1;
            continue;
        }
        current += 1;
        ready += i64::from(is_ready(pod));
        updated += i64::from(pod["metadata"]["labels"][REVISION] == hash);
        match availability(pod, minimum, now) {
            Availability::Now => available += 1,
            Availability::In(left) => wait = sooner(wait, Some(left)),
            Availability::NotReady => {}
        }
    }
    let mut status = json!({
        "currentNumberScheduled": current, "numberMisscheduled": misplaced, "desiredNumberScheduled": desired,
        "numberReady": ready, "observedGeneration": set["metadata"]["generation"],
    });
    count(&mut status, "updatedNumberScheduled", updated);
    count(&mut status, "numberAvailable", available);
    count(&mut status, "numberUnavailable", desired - available);
    cluster.change_status(BY, key, |it| it["status"] = status.clone())?;
    Ok(wait)
}
