//! Which node takes a pod, and why none does.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::{
    affinity, fit,
    seats::{Seats, needs},
};
use crate::{
    kube::object::meta,
    play::{
        Cluster,
        workloads::objects::{annotation, controller, is_active, items},
    },
};

/// Why a pod has no node.
#[derive(Debug)]
pub struct Nowhere {
    /// For the condition.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

impl Nowhere {
    fn unschedulable(message: String) -> Self {
        Self { reason: "Unschedulable", message }
    }
}

/// Chooses a node: of those that fit, the one with the fewest pods of the same owner, then the one that is least full,
/// then the first by name. The real scheduler weighs more, and throws dice when two are even.
pub fn choose(cluster: &Cluster, pod: &Value, seats: &Seats) -> Result<String, Nowhere> {
    if items(&pod["spec"]["schedulingGates"]).next().is_some() {
        let message = "Scheduling is blocked due to non-empty scheduling gates".to_owned();
        return Err(Nowhere { reason: "SchedulingGated", message });
    }
    let nodes = cluster.list("/nodes", None);
    if nodes.is_empty() {
        return Err(Nowhere::unschedulable("no nodes available to schedule pods".to_owned()));
    }
    let total = nodes.len();
    if let Some(why) = volumes(cluster, pod) {
        let help = format!(
            "preemption: 0/{total} nodes are available: {total} Preemption is not helpful for scheduling."
        );
        return Err(Nowhere::unschedulable(format!("0/{total} nodes are available: {why}. {help}")));
    }
    let wants = needs(pod);
    let neighbours = affinity::Neighbours::of(cluster, pod, &nodes);
    let mut fits = Vec::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    // Whether making room would help: it does not where the node itself is the wrong one.
    let (mut room, mut hopeless) = (0, 0);
    for node in &nodes {
        let load = seats.load(meta(node, "name"));
        let verdict = fit::verdict(pod, node, &wants, &load);
        let verdict = verdict.and_then(|()| neighbours.verdict(node));
        let verdict = verdict.and_then(|()| fit::ports(cluster, pod, node, seats));
        match verdict {
            Ok(()) => fits.push((node, load)),
            Err(misfit) => {
                if misfit.lasting {
                    hopeless += 1
                } else {
                    room += 1
                }
                for reason in misfit.reasons {
                    *reasons.entry(reason).or_default() += 1;
                }
            }
        }
    }
    if fits.is_empty() {
        let list = |map: Vec<(String, usize)>| {
            let mut list: Vec<String> =
                map.into_iter().map(|(why, count)| format!("{count} {why}")).collect();
            list.sort();
            list.join(", ")
        };
        let mut help = Vec::new();
        if hopeless > 0 {
            help.push(("Preemption is not helpful for scheduling".to_owned(), hopeless));
        }
        if room > 0 {
            help.push(("No preemption victims found for incoming pod".to_owned(), room));
        }
        return Err(Nowhere::unschedulable(format!(
            "0/{total} nodes are available: {}. preemption: 0/{total} nodes are available: {}.",
            list(reasons.into_iter().collect()),
            list(help),
        )));
    }
    let best = fits.into_iter().min_by_key(|(node, load)| {
        (
            company(cluster, pod, node, seats),
            fit::prefers_not(pod, node),
            fullness(node, load),
            meta(node, "name").to_owned(),
        )
    });
    best.map(|(node, _)| meta(node, "name").to_owned())
        .ok_or_else(|| Nowhere::unschedulable("no nodes available to schedule pods".to_owned()))
}

/// Pods of the same owner on a node.
fn company(cluster: &Cluster, pod: &Value, node: &Value, seats: &Seats) -> usize {
    let Some(owner) = controller(pod) else { return 0 };
    let namespace = meta(pod, "namespace");
    let there = seats.on(meta(node, "name")).filter(|key| key.namespace == namespace);
    let same = |it: &Arc<Value>| is_active(it) && controller(it).is_some_and(|of| of["uid"] == owner["uid"]);
    there.filter_map(|key| cluster.get(key)).filter(same).count()
}

/// How full a node is, in thousandths, of what it has least of.
fn fullness(node: &Value, load: &super::seats::Load) -> i128 {
    let of = |name: &str| {
        let has = fit::allocatable(node, name);
        if has == 0 { 0 } else { load.taken.get(name).copied().unwrap_or(0) * 1_000 / has }
    };
    of("cpu").max(of("memory"))
}

/// Claims that must be there, and bound, before any node can be chosen.
fn volumes(cluster: &Cluster, pod: &Value) -> Option<String> {
    for name in super::super::volumes::of_pod(pod) {
        let key = Cluster::key("/persistentvolumeclaims", meta(pod, "namespace"), &name);
        let Some(claim) = cluster.get(&key) else {
            return Some(format!("persistentvolumeclaim {name:?} not found"));
        };
        if crate::kube::object::is_going(&claim) {
            return Some(format!("persistentvolumeclaim {name:?} is being deleted"));
        }
        let waits = super::super::volumes::waits_for_consumer(cluster, &claim);
        if annotation(&claim, "pv.kubernetes.io/bind-completed") != "yes" && !waits {
            return Some("pod has unbound immediate PersistentVolumeClaims".to_owned());
        }
    }
    None
}
