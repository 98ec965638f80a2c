//! A cluster with Argo CD on it, a clock that is moved, and repositories.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::super::{Renderer, controllers, model::API_VERSION};
use crate::{
    kube::{
        Api,
        object::meta,
        store::{Change, Key},
    },
    play::{
        Cluster, Controller, Players,
        around::{Around, Files},
        repositories::Memory,
    },
};

pub const URL: &str = "https://git.example.com/platform/platform.git";

/// Plays the controllers of workloads: everything is ready as soon as it is seen, while it is switched on.
struct Workloads(Arc<AtomicBool>);

impl Controller for Workloads {
    fn watches(&self) -> &'static [&'static str] {
        &["apps/deployments", "apps/statefulsets", "batch/jobs"]
    }

    fn concerned(&self, _: &Cluster, change: &Change) -> Vec<Key> {
        vec![change.key.clone()]
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        if !self.0.load(Ordering::SeqCst) {
            return Some(SignedDuration::from_secs(1));
        }
        let changed = cluster.change_status("workloads", key, |object| {
            let (generation, count) =
                (object["metadata"]["generation"].clone(), object["spec"]["replicas"].clone());
            let failing = object["metadata"]["labels"]["fails"] == "true";
            object["status"] = match &*key.kind {
                "apps/deployments" => json!({
                    "observedGeneration": generation, "replicas": count, "updatedReplicas": count,
                    "readyReplicas": count, "availableReplicas": count,
                }),
                "apps/statefulsets" => json!({
                    "observedGeneration": generation, "replicas": count, "readyReplicas": count,
                    "currentReplicas": count, "updatedReplicas": count,
                    "currentRevision": "a", "updateRevision": "a",
                }),
                _ => {
                    let now = cluster.time();
                    let kind = if failing { "Failed" } else { "Complete" };
                    let mut all = vec![json!({"type": kind, "status": "True", "message": "the job is done"})];
                    for it in &mut all {
                        it["lastTransitionTime"] = now.clone().into();
                    }
                    json!({"conditions": all})
                }
            };
        });
        changed.expect("nobody refuses");
        None
    }
}

/// What a test plays on.
pub struct Stage {
    pub cluster: Cluster,
    pub git: Arc<Memory>,
    pub ready: Arc<AtomicBool>,
    seconds: Arc<AtomicI64>,
    players: Players,
}

fn definition(plural: &str, kind: &str, status: bool) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.argoproj.io")},
        "spec": {
            "group": "argoproj.io", "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind, "singular": kind.to_lowercase()},
            "versions": [{
                "name": "v1alpha1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                "subresources": if status { json!({"status": {}}) } else { json!({}) },
            }],
        },
    })
}

impl Stage {
    /// A cluster on which Argo CD runs.
    pub fn new() -> Self {
        let seconds = Arc::new(AtomicI64::new(1_800_000_000));
        let clock = seconds.clone();
        let now = move || Timestamp::from_second(clock.load(Ordering::SeqCst)).expect("in range");
        let git = Arc::new(Memory::new());
        let around = Around { repositories: Some(git.clone()), ..Around::default() };
        let cluster = Cluster { name: "one".into(), api: Api::new(Arc::new(now), 7), around };
        let ready = Arc::new(AtomicBool::new(true));
        let mut all = controllers(Arc::new(Renderer::default()));
        all.push(Box::new(Workloads(ready.clone())));
        let players = Players::new(cluster.clone(), all);
        let stage = Self { cluster, git, ready, seconds, players };
        stage.install();
        stage
    }

    fn install(&self) {
        let put = |kind: &str, object: Value| {
            self.cluster.create("test", kind, &object).expect("made");
        };
        for name in ["default", "argocd"] {
            put("/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}));
        }
        let definitions = [
            ("applications", "Application", false),
            ("appprojects", "AppProject", false),
            ("applicationsets", "ApplicationSet", true),
        ];
        for (plural, kind, status) in definitions {
            put("apiextensions.k8s.io/customresourcedefinitions", definition(plural, kind, status));
        }
        let workload = |kind: &str, name: &str| {
            json!({
                "apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "argocd"},
                "spec": {
                    "replicas": 1, "selector": {"matchLabels": {"app": name}}, "serviceName": name,
                    "template": {
                        "metadata": {"labels": {"app": name}},
                        "spec": {"containers": [{"name": "a", "image": "a:1"}]},
                    },
                },
            })
        };
        put("apps/statefulsets", workload("StatefulSet", "argocd-application-controller"));
        let mut server = workload("Deployment", "argocd-repo-server");
        server["spec"].as_object_mut().expect("an object").remove("serviceName");
        put("apps/deployments", server);
        put(
            "/configmaps",
            json!({
                "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm", "namespace": "argocd"},
                "data": {
                    "timeout.reconciliation": "120s",
                    "resource.customizations.health.argoproj.io_Application": "return hs",
                },
            }),
        );
    }

    /// Everything that is due now.
    pub fn settle(&mut self) -> Option<Timestamp> {
        self.players.settle()
    }

    /// Lets time go by, and everything happen in it.
    pub fn after(&mut self, seconds: i64) {
        let end = self.seconds.load(Ordering::SeqCst) + seconds;
        while let Some(next) = self.settle().map(Timestamp::as_second)
            && next <= end
        {
            self.seconds.store(next, Ordering::SeqCst);
        }
        self.seconds.store(end, Ordering::SeqCst);
        self.settle();
    }

    /// Moves a branch of the repository.
    pub fn push(&self, files: &[(&str, &str)]) -> String {
        let files: Files =
            files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
        self.git.commit(URL, "main", files)
    }

    /// Applies YAML as a person.
    pub fn apply(&self, text: &str) {
        let documents = super::super::render::documents(text).expect("YAML");
        for object in documents {
            let (group, version) = super::super::model::group_version(&object);
            let kind = object["kind"].as_str().expect("a kind");
            let found = self.cluster.api.catalog.of_kind(group, version, kind).expect("a known kind");
            super::super::compare::apply(&self.cluster, &found, &object, false).expect("applied");
        }
    }

    /// An Application over a path of the repository, with what comes on top of its spec.
    pub fn application(&self, name: &str, path: &str, more: &Value) {
        let mut spec = json!({
            "project": "default",
            "source": {"repoURL": URL, "targetRevision": "main", "path": path},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "default"},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            spec[key] = value.clone();
        }
        let app = json!({
            "apiVersion": API_VERSION, "kind": "Application",
            "metadata": {"name": name, "namespace": "argocd"}, "spec": spec,
        });
        self.cluster.create("test", "argoproj.io/applications", &app).expect("made");
    }

    /// An object, if it is there.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<Arc<Value>> {
        self.cluster.get(&Cluster::key(kind, namespace, name))
    }

    /// An Application.
    pub fn app(&self, name: &str) -> Arc<Value> {
        self.get("argoproj.io/applications", "argocd", name).expect("the application is there")
    }

    /// Sync, health and phase of an Application.
    pub fn state(&self, name: &str) -> String {
        let status = &self.app(name)["status"];
        let part = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let phase = part(&status["operationState"]["phase"]);
        format!("{} {} {phase}", part(&status["sync"]["status"]), part(&status["health"]["status"]))
    }

    /// Its conditions, one in each line.
    pub fn conditions(&self, name: &str) -> String {
        let app = self.app(name);
        let all = app["status"]["conditions"].as_array().into_iter().flatten();
        let shown = all.map(|it| {
            format!("{}: {}", it["type"].as_str().unwrap_or("?"), it["message"].as_str().unwrap_or("?"))
        });
        shown.collect::<Vec<_>>().join("\n")
    }

    /// What its last operation says.
    pub fn said(&self, name: &str) -> String {
        self.app(name)["status"]["operationState"]["message"].as_str().unwrap_or_default().to_owned()
    }

    /// Changes an object as a person.
    pub fn change(&self, kind: &str, namespace: &str, name: &str, act: impl Fn(&mut Value)) {
        let key = Cluster::key(kind, namespace, name);
        self.cluster.change("test", &key, act).expect("allowed").expect("there");
    }

    /// Names of all objects of a kind in a namespace.
    pub fn names(&self, kind: &str, namespace: &str) -> Vec<String> {
        let all = self.cluster.list(kind, Some(namespace));
        // The one that every namespace has is nobody's.
        let names = all.iter().map(|it| meta(it, "name").to_owned());
        names.filter(|name| name != "kube-root-ca.crt").collect()
    }
}
