//! What has to be done, in the order in which it is.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Phase, Sync, Task, is_of, is_skipped, phases, wave};
use crate::{
    kube::object::{finalizers, meta},
    play::{
        Cluster,
        argocd::model::{HOOK_FINALIZER, Id, group_version, items, text},
    },
};

/// Kinds that others need come first; all others come last.
const KINDS: &[&str] = &[
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
    "Ingress",
    "APIService",
];

impl Sync<'_> {
    /// All tasks in order, with what earlier steps made of them; whether each of them can be tried.
    pub(super) fn tasks(&mut self) -> (Vec<Task>, bool) {
        let mut tasks = Vec::new();
        for item in &self.items {
            let object = item.object();
            if item.hook || !self.is_chosen(&item.id) || item.target.as_deref().is_some_and(is_skipped) {
                continue;
            }
            tasks.push(Task {
                phase: Phase::Sync,
                wave: wave(object),
                target: item.target.clone(),
                live: item.live.clone(),
                resource: item.resource.clone(),
                modified: item.modified,
                status: String::new(),
                state: String::new(),
                message: String::new(),
            });
        }
        if !self.skip_hooks {
            self.add_hooks(&mut tasks);
        }
        if self.option("CreateNamespace=true") {
            self.add_namespace(&mut tasks);
        }
        let valid = self.check(&mut tasks);
        prune_backwards(&mut tasks);
        let last =
            tasks.iter().filter(|it| it.phase == Phase::Sync).map(|it| it.wave).max().unwrap_or(0).max(0);
        for task in tasks.iter_mut().filter(|it| it.is_prune()) {
            if self.object_option(task.object(), "PruneLast=true") {
                task.wave = last + 1;
            }
        }
        sort(&mut tasks);
        for task in &mut tasks {
            let id = task.id();
            if let Some(entry) = self.results.iter().find(|it| is_of(it, &id, task.phase)) {
                task.status = text(entry, "status").to_owned();
                task.state = text(entry, "hookPhase").to_owned();
                task.message = text(entry, "message").to_owned();
            }
        }
        (tasks, valid)
    }

    fn is_chosen(&self, id: &Id) -> bool {
        self.only.is_empty()
            || self.only.iter().any(|it| {
                let namespace = text(it, "namespace");
                text(it, "group") == id.group
                    && text(it, "kind") == id.kind
                    && text(it, "name") == id.name
                    && (namespace.is_empty() || namespace == id.namespace)
            })
    }

    fn add_hooks(&self, tasks: &mut Vec<Task>) {
        for item in self.items.iter().filter(|it| it.hook) {
            let Some(hook) = &item.target else { continue };
            for phase in phases(hook) {
                let mut target = Value::clone(hook);
                if meta(&target, "name").is_empty() {
                    // Each synchronisation makes its own one, and finds it again.
                    let short = self.revision.get(..7).unwrap_or(&self.revision);
                    let started =
                        self.started.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second);
                    let base = meta(&target, "generateName");
                    let name = format!("{base}{short}-{}-{started}", phase.name()).to_lowercase();
                    target["metadata"]["name"] = name.into();
                }
                if !finalizers(&target).contains(&HOOK_FINALIZER) {
                    let mut all: Vec<Value> = items(&target["metadata"]["finalizers"]).cloned().collect();
                    all.push(HOOK_FINALIZER.into());
                    target["metadata"]["finalizers"] = all.into();
                }
                let live = item.resource.as_ref().and_then(|resource| {
                    let namespace = if resource.namespaced { meta(&target, "namespace") } else { "" };
                    self.target.cluster.get(&Cluster::key(
                        &resource.stored_as,
                        namespace,
                        meta(&target, "name"),
                    ))
                });
                tasks.push(Task {
                    phase,
                    wave: wave(hook),
                    target: Some(Arc::new(target)),
                    live,
                    resource: item.resource.clone(),
                    modified: true,
                    status: String::new(),
                    state: String::new(),
                    message: String::new(),
                });
            }
        }
    }

    /// The namespace that everything goes to, when nothing that is wanted makes it.
    fn add_namespace(&self, tasks: &mut Vec<Task>) {
        let wanted = |it: &Task| it.kind() == "Namespace" && meta(it.object(), "name") == self.namespace;
        if self.namespace.is_empty() || tasks.iter().any(wanted) {
            return;
        }
        let mut target =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}});
        let managed = &self.work.app["spec"]["syncPolicy"]["managedNamespaceMetadata"];
        for key in ["labels", "annotations"] {
            if let Some(pairs) = managed[key].as_object() {
                target["metadata"][key] = Value::Object(pairs.clone());
            }
        }
        let live = self.target.cluster.get(&Cluster::key("/namespaces", "", &self.namespace));
        let as_wanted = live.as_ref().is_some_and(|live| {
            ["labels", "annotations"].iter().all(|key| {
                let pairs = managed[key].as_object();
                pairs.is_none_or(|all| all.iter().all(|(name, value)| live["metadata"][key][name] == *value))
            })
        });
        let resource = self.target.cluster.api.catalog.of_kind("", "v1", "Namespace");
        let id = Id::of(&target);
        if as_wanted && !self.results.iter().any(|it| is_of(it, &id, Phase::PreSync)) {
            return;
        }
        tasks.push(Task {
            phase: Phase::PreSync,
            wave: 0,
            target: Some(Arc::new(target)),
            live,
            resource,
            modified: true,
            status: String::new(),
            state: String::new(),
            message: String::new(),
        });
    }

    /// Whether there is such a kind, and whether the project permits it.
    fn check(&mut self, tasks: &mut [Task]) -> bool {
        let mut valid = true;
        for task in tasks {
            let (group, version) = group_version(task.object());
            let (group, version) = (group.to_owned(), version.to_owned());
            let wrong = match &task.resource {
                None => {
                    let skips = self.object_option(task.object(), "SkipDryRunOnMissingResource=true")
                        || self.defines(&group, task.kind());
                    (!skips).then(|| self.no_such_kind(&group, &version, task.kind()))
                }
                Some(resource) => self.work.project.as_ref().and_then(|project| {
                    let object = task.object();
                    let namespace = resource.namespaced.then(|| meta(object, "namespace"));
                    let to = self.target.destination();
                    let name = meta(object, "name");
                    project.permits(&group, task.kind(), name, namespace, &to).err()
                }),
            };
            if let Some(wrong) = wrong {
                self.result(task, "SyncFailed", "", &wrong);
                valid = false;
            }
        }
        valid
    }

    fn no_such_kind(&self, group: &str, version: &str, kind: &str) -> String {
        let served =
            self.target.cluster.api.catalog.all().iter().any(|it| it.group == group && it.version == version);
        if served {
            let dotted = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
            return format!("{dotted} \"\" not found");
        }
        "the server could not find the requested resource".to_owned()
    }

    /// Whether what is synced defines a kind.
    fn defines(&self, group: &str, kind: &str) -> bool {
        self.items.iter().filter_map(|it| it.target.as_ref()).any(|it| {
            it["kind"] == "CustomResourceDefinition"
                && it["spec"]["group"] == group
                && it["spec"]["names"]["kind"] == kind
        })
    }
}

/// What was made last goes first: the first wave of pruning changes places with the last, and so on.
fn prune_backwards(tasks: &mut [Task]) {
    let mut waves: Vec<i64> = tasks.iter().filter(|it| it.is_prune()).map(|it| it.wave).collect();
    waves.sort_unstable();
    waves.dedup();
    let backwards: Vec<i64> = waves.iter().rev().copied().collect();
    for task in tasks.iter_mut().filter(|it| it.is_prune()) {
        if let Some(at) = waves.iter().position(|it| *it == task.wave) {
            task.wave = backwards[at];
        }
    }
}

fn sort(tasks: &mut Vec<Task>) {
    let rank = |kind: &str| KINDS.iter().position(|it| *it == kind).unwrap_or(KINDS.len());
    tasks.sort_by(|a, b| {
        let key = |it: &Task| (it.phase, it.wave, rank(it.kind()));
        key(a).cmp(&key(b)).then_with(|| meta(a.object(), "name").cmp(meta(b.object(), "name")))
    });
    // Namespaces before what lies in them, definitions before what they define; they join that wave.
    let in_namespace = |it: &Value| Some(meta(it, "namespace").to_owned()).filter(|it| !it.is_empty());
    let namespace = |it: &Value| {
        (it["kind"] == "Namespace" && it["apiVersion"] == "v1").then(|| meta(it, "name").to_owned())
    };
    pull_forward(tasks, namespace, in_namespace);
    let definition = |it: &Value| {
        (it["kind"] == "CustomResourceDefinition")
            .then(|| format!("{}/{}", text(&it["spec"], "group"), text(&it["spec"]["names"], "kind")))
    };
    pull_forward(tasks, definition, |it| Some(format!("{}/{}", group_version(it).0, text(it, "kind"))));
}

fn pull_forward(
    tasks: &mut Vec<Task>,
    is: impl Fn(&Value) -> Option<String>,
    needs: impl Fn(&Value) -> Option<String>,
) {
    let mut at = 0;
    while at < tasks.len() {
        let key = tasks[at].target.as_deref().and_then(&is);
        if let Some(key) = key {
            let first = tasks[..at].iter().position(|it| {
                it.target.as_deref().is_some_and(|it| is(it).is_none() && needs(it).as_ref() == Some(&key))
            });
            if let Some(first) = first {
                let (phase, wave) = (tasks[first].phase, tasks[first].wave);
                let mut task = tasks.remove(at);
                (task.phase, task.wave) = (phase, wave);
                tasks.insert(first, task);
            }
        }
        at += 1;
    }
}
