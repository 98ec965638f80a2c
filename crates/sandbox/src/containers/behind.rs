//! The clusters behind nodes: made when kind starts a control plane, asleep while its containers are stopped, gone with them.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    Containers, ROLE_LABEL,
    state::{Being, Cluster as Kept, Container},
};
use crate::{
    kube::{
        object::meta,
        store::{Change, Key},
    },
    play::{
        Cluster, Controller,
        cluster::Refused,
        workloads::{
            nodes::{NodeSpec, heartbeat, nodes},
            objects::{at, condition, set_condition},
        },
    },
};

/// Who makes the clusters behind nodes. May not ask the engine back.
pub trait Behind: Send + Sync {
    /// Lets time do its work, where it does not do so by itself.
    fn settle(&self);

    /// A port of the host that is free for an API.
    fn port(&self) -> u16;

    /// Makes the API of a cluster, reached at a port; again after a restart. Twice the same is one.
    fn create(&self, name: &str, port: u16);

    /// Says whether the API of a cluster answers.
    fn awake(&self, name: &str, awake: bool);

    /// Removes the API of a cluster with everything in it.
    fn remove(&self, name: &str);

    /// A kubeconfig of the cluster's owner.
    ///
    /// # Errors
    /// In words, when there is no such API.
    fn kubeconfig(&self, name: &str) -> Result<SecretString, String>;

    /// What controllers see of a cluster. Whoever asks may change something in it.
    fn cluster(&self, name: &str) -> Option<Cluster>;
}

/// How a cluster stands: whether its API answers, and which of its nodes run.
pub(super) type Stands = (bool, BTreeMap<String, bool>);

impl Containers {
    pub(super) fn behind(&self) -> Option<&Arc<dyn Behind>> {
        self.inner.behind.get()
    }

    /// Lets time do its work.
    pub(super) fn settle(&self) {
        if let Some(behind) = self.behind() {
            behind.settle();
        }
    }

    /// Makes what an earlier life has left.
    pub(super) fn take_up(&self) {
        let kept: Vec<Kept> = self.state().clusters.values().cloned().collect();
        for cluster in kept {
            if let Some(behind) = self.behind() {
                behind.create(&cluster.name, cluster.port);
            }
        }
        self.follow();
    }

    /// Brings the clusters to what their containers are now.
    pub(super) fn follow(&self) {
        let Some(behind) = self.behind() else { return };
        let wanted: Vec<(String, Option<Stands>)> = {
            let state = self.state();
            let stands = |name: &String| stands(&state.nodes(name));
            state.clusters.keys().map(|name| (name.clone(), stands(name))).collect()
        };
        for (name, stands) in wanted {
            let Some(stands) = stands else {
                // Everything that it was lay in its control planes.
                self.state().take::<Kept>(&name);
                self.stood().remove(&name);
                behind.remove(&name);
                continue;
            };
            let before = self.stood().insert(name.clone(), stands.clone());
            let (was_awake, were) = before.unwrap_or((true, BTreeMap::new()));
            if was_awake != stands.0 {
                behind.awake(&name, stands.0);
            }
            let Some(cluster) = behind.cluster(&name) else { continue };
            let gone =
                were.keys().filter(|node| !stands.1.contains_key(*node)).map(|node| (node.clone(), false));
            for (node, runs) in stands.1.clone().into_iter().chain(gone) {
                if were.get(&node).copied().unwrap_or(true) != runs {
                    tell(&cluster, &node, runs);
                }
            }
        }
        behind.settle();
    }

    /// Says which machines a cluster has: its running nodes. New ones are not ready at once.
    pub(super) fn join(&self, name: &str) {
        let Some(cluster) = self.behind().and_then(|behind| behind.cluster(name)) else { return };
        let specs: Vec<NodeSpec> = {
            let state = self.state();
            let Some(kept) = state.clusters.get(name) else { return };
            let there = state.nodes(name);
            let machines = there.iter().filter(|it| kept.labels.contains_key(&it.name));
            let alone = machines.clone().count() == 1;
            machines.map(|it| spec(it, kept, alone)).collect()
        };
        let known: Vec<String> =
            cluster.list("/nodes", None).iter().map(|node| meta(node, "name").to_owned()).collect();
        let told = nodes(&cluster, &specs).and_then(|()| {
            let mut new = specs.iter().filter(|spec| !known.contains(&spec.name));
            new.try_for_each(|spec| not_ready(&cluster, &spec.name))
        });
        if let Err(refused) = told {
            tracing::error!(cluster = name, %refused, "nodes cannot be written");
        }
        self.settle();
    }

    fn stood(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Stands>> {
        self.inner.stood.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn runs(container: &Container) -> bool {
    matches!(container.state, Being::Running(_))
}

fn role(container: &Container) -> &str {
    container.labels.get(ROLE_LABEL).map_or("", String::as_str)
}

/// How a cluster stands with these containers; `None` when it is gone.
fn stands(nodes: &[&Container]) -> Option<Stands> {
    let control_planes: Vec<_> = nodes.iter().filter(|it| role(it) == "control-plane").collect();
    let balancers = nodes.iter().filter(|it| role(it) == "external-load-balancer").all(|it| runs(it));
    // With several, etcd needs more than half of them.
    let up = control_planes.iter().filter(|it| runs(it)).count();
    let machines = nodes.iter().filter(|it| role(it) != "external-load-balancer");
    let machines = machines.map(|it| (it.name.clone(), runs(it))).collect();
    (!control_planes.is_empty()).then_some((balancers && up * 2 > control_planes.len(), machines))
}

fn spec(container: &Container, kept: &Kept, alone: bool) -> NodeSpec {
    let control_plane = role(container) == "control-plane";
    let own = kept.labels.get(&container.name).cloned().unwrap_or_default();
    let mut labels: Vec<(String, String)> = own.into_iter().collect();
    let mut taints = Vec::new();
    if control_plane {
        let key = "node-role.kubernetes.io/control-plane";
        labels.push((key.to_owned(), String::new()));
        // Who is alone takes everything.
        if !alone {
            taints.push((key.to_owned(), String::new(), "NoSchedule".to_owned()));
        }
    }
    NodeSpec {
        name: container.name.clone(),
        cpu: "8".to_owned(),
        memory: "32Gi".to_owned(),
        pods: 110,
        zone: String::new(),
        labels,
        taints,
    }
}

/// How long a new node takes until it is ready: its network has to be set up first.
const BECOMES_READY: SignedDuration = SignedDuration::from_secs(9);

const KUBELET: &str = "kubelet";
const NOT_READY: &str = "KubeletNotReady";

fn not_ready(cluster: &Cluster, name: &str) -> Result<(), Refused> {
    let now = cluster.time();
    let words = "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady message:Network plugin returns error: cni plugin not initialized";
    let unready = |node: &mut Value| {
        set_condition(&mut node["status"], "Ready", "False", Some((NOT_READY, words)), &now);
    };
    cluster.change_status(KUBELET, &Cluster::key("/nodes", "", name), unready).map(drop)
}

/// Says of a node whether it runs.
fn tell(cluster: &Cluster, node: &str, runs: bool) {
    if cluster.get(&Cluster::key("/nodes", "", node)).is_some()
        && let Err(refused) = heartbeat(cluster, node, runs)
    {
        tracing::error!(node, %refused, "a node cannot be written");
    }
}

/// Makes nodes ready that have joined, when their network has come up.
pub struct Joining {
    time: SignedDuration,
}

impl Joining {
    /// At the pace at which machines live.
    pub fn new(pace: crate::parts::transitions::Pace) -> Self {
        Self { time: pace.of(BECOMES_READY) }
    }
}

impl Controller for Joining {
    fn watches(&self) -> &'static [&'static str] {
        &["/nodes"]
    }

    fn concerned(&self, _cluster: &Cluster, change: &Change) -> Vec<Key> {
        vec![change.key.clone()]
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let node = cluster.get(key)?;
        let ready = condition(&node["status"], "Ready").filter(|it| it["reason"] == NOT_READY)?;
        let since = at(&ready["lastTransitionTime"]).unwrap_or_else(|| cluster.now());
        let left = self.time - cluster.now().duration_since(since);
        if left.is_positive() {
            return Some(left);
        }
        let refused = heartbeat(cluster, &key.name, true).is_err();
        refused.then_some(self.time)
    }
}

/// Makes what kind puts into a cluster: its network, its storage, its names.
///
/// # Errors
/// What the API refuses.
pub fn standard_objects(cluster: &Cluster, network: bool) -> Result<(), Refused> {
    let own = |kind: &str, namespace: &str, name: &str, extra: Value| {
        let labels = json!({ "app": name });
        let mut spec = json!({
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "containers": [{ "name": name, "image": format!("registry.k8s.io/{name}:sandbox") }],
                    "tolerations": [{ "operator": "Exists" }],
                },
            },
        });
        if let (Some(spec), Value::Object(extra)) = (spec.as_object_mut(), extra) {
            spec.extend(extra);
        }
        json!({
            "apiVersion": "apps/v1", "kind": kind, "metadata": { "name": name, "namespace": namespace }, "spec": spec,
        })
    };
    let mut objects = Vec::new();
    if network {
        objects.push(("apps/daemonsets", own("DaemonSet", "kube-system", "kindnet", json!({}))));
    }
    objects.extend([
        ("apps/daemonsets", own("DaemonSet", "kube-system", "kube-proxy", json!({}))),
        ("apps/deployments", own("Deployment", "kube-system", "coredns", json!({ "replicas": 2 }))),
        ("/namespaces", json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "local-path-storage" } })),
        (
            "apps/deployments",
            own("Deployment", "local-path-storage", "local-path-provisioner", json!({ "replicas": 1 })),
        ),
        (
            "storage.k8s.io/storageclasses",
            json!({
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
                "metadata": {
                    "name": "standard", "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
                },
                "provisioner": "rancher.io/local-path", "reclaimPolicy": "Delete",
                "volumeBindingMode": "WaitForFirstConsumer",
            }),
        ),
    ]);
    for (kind, object) in objects {
        match cluster.create("kind", kind, &object) {
            Err(refused) if refused.code != 409 => return Err(refused),
            _ => {}
        }
    }
    Ok(())
}
