//! Nodes: made from outside, lost, found again; and what becomes of pods on a node that is lost.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    objects::{at, condition, is_finished, items, set_condition, text},
    pods::{fit, is_alive},
};
use crate::{
    kube::{
        object::{is_going, meta},
        store::{Change, Key},
    },
    play::{Cluster, Controller, cluster::Refused},
};

const BY: &str = "node-controller";
const EVICTOR: &str = "taint-eviction-controller";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const DEFAULT_TOLERATED: &[&str] = &[UNREACHABLE, "node.kubernetes.io/not-ready"];

/// A machine that pods run on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeSpec {
    /// Its name.
    pub name: String,
    /// Cores, as a quantity: `4`, `3920m`.
    pub cpu: String,
    /// Memory, as a quantity: `16Gi`.
    pub memory: String,
    /// How many pods it takes; the address range of a node has room for 250.
    pub pods: u32,
    /// The zone it stands in; empty for none.
    pub zone: String,
    /// More labels.
    pub labels: Vec<(String, String)>,
    /// Taints: key, value, effect.
    pub taints: Vec<(String, String, String)>,
}

/// Makes the nodes of a cluster those that are named: others that were made here before are removed, and the pods on
/// them go after a while. Labels and taints that others have put on a node stay.
///
/// # Errors
/// What the API refuses.
pub fn nodes(cluster: &Cluster, wanted: &[NodeSpec]) -> Result<(), Refused> {
    let names: BTreeSet<&str> = wanted.iter().map(|it| it.name.as_str()).collect();
    let there = cluster.list("/nodes", None);
    let ours = |node: &Value| text(&node["spec"]["providerID"]).starts_with("sandbox://");
    for node in there.iter().filter(|it| ours(it) && !names.contains(meta(it, "name"))) {
        cluster.delete(BY, &Cluster::key("/nodes", "", meta(node, "name")))?;
    }
    let mut ranges: BTreeSet<String> =
        there.iter().map(|it| text(&it["spec"]["podCIDR"]).to_owned()).collect();
    for spec in wanted {
        let key = Cluster::key("/nodes", "", &spec.name);
        if cluster.get(&key).is_none() {
            let (place, range) = (0..3_072_usize)
                .map(|place| (place, format!("10.{}.{}.0/24", 244 + place / 256, place % 256)))
                .find(|(_, range)| !ranges.contains(range))
                .unwrap_or_default();
            ranges.insert(range.clone());
            let made = cluster.create(BY, "/nodes", &node(spec, &range))?;
            let address = format!("10.0.{}.{}", place / 250, place % 250 + 4);
            cluster.change_status("kubelet", &key, |it| it["status"] = status(cluster, spec, &address))?;
            cluster.event(
                BY,
                &made,
                "Normal",
                "RegisteredNode",
                &format!("Node {0} event: Registered Node {0} in Controller", spec.name),
            );
        } else {
            cluster.change("kubelet", &key, |it| label(it, spec))?;
            cluster.change_status("kubelet", &key, |it| {
                for list in ["capacity", "allocatable"] {
                    it["status"][list] = size(spec);
                }
            })?;
        }
    }
    Ok(())
}

/// Says of a node whether it still answers. One that does not is tainted, its pods are not ready any more, and go when
/// they have tolerated it long enough; one that answers again keeps what is still there.
///
/// # Errors
/// What the API refuses.
pub fn heartbeat(cluster: &Cluster, name: &str, alive: bool) -> Result<(), Refused> {
    let key = Cluster::key("/nodes", "", name);
    let now = cluster.time();
    let was = cluster.get(&key).is_some_and(|node| is_alive(&node));
    cluster.change_status(BY, &key, |node| {
        let status = &mut node["status"];
        if alive {
            conditions(status, &now);
        } else {
            for kind in ["MemoryPressure", "DiskPressure", "PIDPressure", "Ready"] {
                let words = Some(("NodeStatusUnknown", "Kubelet stopped posting node status."));
                set_condition(status, kind, "Unknown", words, &now);
            }
        }
    })?;
    let changed = cluster.change(BY, &key, |node| {
        let mut taints: Vec<Value> =
            items(&node["spec"]["taints"]).filter(|it| it["key"] != UNREACHABLE || !alive).cloned().collect();
        for effect in ["NoSchedule", "NoExecute"] {
            if !alive && !taints.iter().any(|it| it["key"] == UNREACHABLE && it["effect"] == effect) {
                taints.push(json!({ "key": UNREACHABLE, "effect": effect, "timeAdded": now }));
            }
        }
        node["spec"]["taints"] = if taints.is_empty() { Value::Null } else { taints.into() };
    })?;
    let Some(node) = changed.filter(|_| was && !alive) else { return Ok(()) };
    cluster.event(BY, &node, "Normal", "NodeNotReady", &format!("Node {name} status is now: NodeNotReady"));
    for pod in cluster.list("/pods", None).iter().filter(|pod| pod["spec"]["nodeName"] == name) {
        cluster.change_status(BY, &super::objects::key_of("/pods", pod), |pod| {
            if condition(&pod["status"], "Ready").is_some_and(|it| it["status"] == "True") {
                set_condition(&mut pod["status"], "Ready", "False", None, &now);
            }
        })?;
        cluster.event(BY, pod, "Warning", "NodeNotReady", "Node is not ready");
    }
    Ok(())
}

fn node(spec: &NodeSpec, range: &str) -> Value {
    let mut node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": spec.name },
        "spec": { "podCIDR": range, "podCIDRs": [range], "providerID": format!("sandbox://{}/{}", spec.zone, spec.name) },
    });
    label(&mut node, spec);
    if !spec.taints.is_empty() {
        let taint = |(key, value, effect): &(String, String, String)| match value.as_str() {
            "" => json!({ "key": key, "effect": effect }),
            value => json!({ "key": key, "value": value, "effect": effect }),
        };
        node["spec"]["taints"] = spec.taints.iter().map(taint).collect();
    }
    node
}

fn label(node: &mut Value, spec: &NodeSpec) {
    let labels = &mut node["metadata"]["labels"];
    for (key, value) in [
        ("beta.kubernetes.io/arch", "amd64"),
        ("beta.kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/hostname", &spec.name),
    ] {
        labels[key] = value.into();
    }
    if !spec.zone.is_empty() {
        labels["topology.kubernetes.io/zone"] = spec.zone.as_str().into();
    }
    for (key, value) in &spec.labels {
        labels[key] = value.as_str().into();
    }
}

fn size(spec: &NodeSpec) -> Value {
    json!({ "cpu": spec.cpu, "memory": spec.memory, "pods": spec.pods.to_string(), "ephemeral-storage": "100Gi" })
}

fn status(cluster: &Cluster, spec: &NodeSpec, address: &str) -> Value {
    let mut status = json!({
        "capacity": size(spec), "allocatable": size(spec),
        "addresses": [{ "type": "InternalIP", "address": address }, { "type": "Hostname", "address": spec.name }],
        "daemonEndpoints": { "kubeletEndpoint": { "Port": 10250 } },
        "nodeInfo": {
            "architecture": "amd64", "operatingSystem": "linux", "osImage": "Sandbox (imitated)", "kernelVersion": "imitated",
            "containerRuntimeVersion": "imitated://1.0.0", "kubeletVersion": "v1.36.0", "kubeProxyVersion": "",
            "machineID": "", "systemUUID": "", "bootID": "",
        },
    });
    conditions(&mut status, &cluster.time());
    status
}

fn conditions(status: &mut Value, now: &str) {
    for (kind, reason, message) in [
        ("MemoryPressure", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ("DiskPressure", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ("PIDPressure", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ] {
        set_condition(status, kind, "False", Some((reason, message)), now);
    }
    set_condition(status, "Ready", "True", Some(("KubeletReady", "kubelet is posting ready status")), now);
}

/// Takes pods from nodes whose taints they do not tolerate, or not any longer.
#[derive(Default)]
pub struct Evictions {
    /// Nodes that have such taints: of all others nothing is to be asked.
    tainted: Mutex<BTreeSet<String>>,
}

impl Controller for Evictions {
    fn watches(&self) -> &'static [&'static str] {
        &["/nodes", "/pods"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        let mut tainted = self.tainted.lock().unwrap_or_else(PoisonError::into_inner);
        if &*change.key.kind == "/nodes" {
            let name = &change.key.name;
            let evicts = change.after.as_ref().is_some_and(|node| no_execute(node).next().is_some());
            if !evicts {
                tainted.remove(name);
                return Vec::new();
            }
            tainted.insert(name.clone());
            let pods = cluster.list("/pods", None);
            let there = pods.iter().filter(|pod| pod["spec"]["nodeName"] == name.as_str());
            return there.map(|pod| super::objects::key_of("/pods", pod)).collect();
        }
        let object = change.latest();
        if tainted.contains(text(&object["spec"]["nodeName"])) {
            vec![change.key.clone()]
        } else {
            Vec::new()
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let pod = cluster.get(key)?;
        if is_going(&pod) || is_finished(&pod) {
            return None;
        }
        let node = cluster.get(&Cluster::key("/nodes", "", text(&pod["spec"]["nodeName"])))?;
        let now = cluster.now();
        let due = no_execute(&node).filter_map(|taint| stays_until(&pod, taint, now)).min()?;
        if due > now {
            return Some(now.duration_until(due));
        }
        let words = format!("Marking for deletion Pod {}/{}", key.namespace, key.name);
        cluster.event(EVICTOR, &pod, "Normal", "TaintManagerEviction", &words);
        // Why it goes stands in its status, before it goes.
        let noted = cluster.change_status(EVICTOR, key, |pod| {
            let words = Some(("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"));
            set_condition(&mut pod["status"], "DisruptionTarget", "True", words, &cluster.time());
        });
        match noted.and_then(|_| cluster.delete(EVICTOR, key)) {
            Ok(()) => None,
            Err(_) => Some(super::objects::AGAIN),
        }
    }
}

fn no_execute(node: &Value) -> impl Iterator<Item = &Value> {
    items(&node["spec"]["taints"]).filter(|it| it["effect"] == "NoExecute")
}

/// Until when a pod may stay where a taint is; `None`: for ever.
fn stays_until(pod: &Value, taint: &Value, now: Timestamp) -> Option<Timestamp> {
    let tolerated = fit::toleration(pod, text(&taint["key"]), text(&taint["value"]), "NoExecute");
    let since = at(&taint["timeAdded"]).unwrap_or(now);
    match tolerated {
        // What the admission plugin DefaultTolerationSeconds gives to every pod that says nothing of these two.
        None if DEFAULT_TOLERATED.contains(&text(&taint["key"])) => {
            Some(since + SignedDuration::from_secs(300))
        }
        None => Some(now),
        Some(it) => {
            it["tolerationSeconds"].as_i64().map(|seconds| since + SignedDuration::from_secs(seconds.max(0)))
        }
    }
}
