//! Whether a node takes a pod: what the real scheduler's filters say, in their words.

use serde_json::Value;

use super::{
    affinity,
    seats::{Load, Needs, Seats},
};
use crate::{
    kube::{object::meta, quantity::Quantity},
    play::{
        Cluster,
        workloads::objects::{items, text},
    },
};

/// Why a node does not take a pod.
#[derive(Debug)]
pub struct Misfit {
    /// In words; each is counted over all nodes.
    pub reasons: Vec<String>,
    /// Whether it would stay so if other pods made room.
    pub lasting: bool,
}

impl Misfit {
    /// It stays so.
    pub fn lasting(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], lasting: true }
    }

    /// Other pods are in the way.
    pub fn crowded(reason: &str) -> Self {
        Self { reasons: vec![reason.to_owned()], lasting: false }
    }
}

/// What a node offers of a resource, in thousandths.
pub fn allocatable(node: &Value, name: &str) -> i128 {
    Quantity::thousandths(&node["status"]["allocatable"][name])
}

/// The filters that need no other node, in the order of the real ones: the first that refuses is the reason.
pub fn verdict(pod: &Value, node: &Value, wants: &Needs, load: &Load) -> Result<(), Misfit> {
    if node["spec"]["unschedulable"] == true
        && !tolerates(pod, "node.kubernetes.io/unschedulable", "", "NoSchedule")
    {
        return Err(Misfit::lasting("node(s) were unschedulable"));
    }
    let keeps_out = |taint: &&Value| {
        matches!(text(&taint["effect"]), "NoSchedule" | "NoExecute") && !tolerates_taint(pod, taint)
    };
    if items(&node["spec"]["taints"]).any(|taint| keeps_out(&taint)) {
        return Err(Misfit::lasting("node(s) had untolerated taint(s)"));
    }
    if !affinity::node_matches(pod, node) {
        return Err(Misfit::lasting("node(s) didn't match Pod's node affinity/selector"));
    }
    let mut reasons = Vec::new();
    let mut lasting = false;
    if load.pods + 1 > allocatable(node, "pods") / 1_000 {
        reasons.push("Too many pods".to_owned());
    }
    for (name, amount) in wants {
        let has = allocatable(node, name);
        if *amount > 0 && load.taken.get(name).copied().unwrap_or(0) + amount > has {
            reasons.push(format!("Insufficient {name}"));
            lasting |= *amount > has;
        }
    }
    if reasons.is_empty() { Ok(()) } else { Err(Misfit { reasons, lasting }) }
}

/// Ports of the node itself that a pod wants for itself.
pub fn ports(cluster: &Cluster, pod: &Value, node: &Value, seats: &Seats) -> Result<(), Misfit> {
    let of = |pod: &Value| -> Vec<(String, u64)> {
        let ports = items(&pod["spec"]["containers"]).flat_map(|it| items(&it["ports"]));
        ports
            .filter_map(|port| Some((text(&port["protocol"]).to_owned(), port["hostPort"].as_u64()?)))
            .filter(|(_, number)| *number > 0)
            .collect()
    };
    let wanted = of(pod);
    if wanted.is_empty() {
        return Ok(());
    }
    let taken = seats.on(meta(node, "name")).filter_map(|key| cluster.get(key)).flat_map(|it| of(&it));
    if taken.into_iter().any(|port| wanted.contains(&port)) {
        return Err(Misfit::crowded("node(s) didn't have free ports for the requested pod ports"));
    }
    Ok(())
}

/// Taints that a pod does not tolerate and that would rather have it elsewhere.
pub fn prefers_not(pod: &Value, node: &Value) -> usize {
    let soft = |taint: &&Value| taint["effect"] == "PreferNoSchedule" && !tolerates_taint(pod, taint);
    items(&node["spec"]["taints"]).filter(soft).count()
}

/// Whether a pod tolerates a taint.
pub fn tolerates_taint(pod: &Value, taint: &Value) -> bool {
    tolerates(pod, text(&taint["key"]), text(&taint["value"]), text(&taint["effect"]))
}

/// The toleration that lets a pod stay where a taint is.
pub fn toleration<'a>(pod: &'a Value, key: &str, value: &str, effect: &str) -> Option<&'a Value> {
    items(&pod["spec"]["tolerations"]).find(|it| {
        let any_key = text(&it["key"]).is_empty() && it["operator"] == "Exists";
        let same_value = match text(&it["operator"]) {
            "Exists" => true,
            _ => text(&it["value"]) == value,
        };
        (any_key || text(&it["key"]) == key)
            && same_value
            && (text(&it["effect"]).is_empty() || text(&it["effect"]) == effect)
    })
}

fn tolerates(pod: &Value, key: &str, value: &str, effect: &str) -> bool {
    toleration(pod, key, value, effect).is_some()
}
