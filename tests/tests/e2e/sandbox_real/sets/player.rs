//! The sandbox's own Argo CD, on a cluster that has what the other one has.

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::jiff::Timestamp;
use platform_sandbox::{
    kube::Api,
    play::{
        Cluster, Players,
        argocd::{Renderer, controllers},
        around::{Around, Files, Remote, Repositories},
        repositories::Git,
    },
};
use platform_tests::World;
use serde_json::{Value, json};

use super::Made;

const SETS: &str = "argoproj.io/applicationsets";
const APPLICATIONS: &str = "argoproj.io/applications";

pub(super) struct Player {
    cluster: Cluster,
    players: Players,
}

/// Repositories of the bed's server, read where they lie: its network is its own.
struct OnDisk {
    git: Git,
    from: String,
    to: PathBuf,
}

impl OnDisk {
    fn remote(&self, asked: &Remote) -> Remote {
        let url =
            asked.url.strip_prefix(&self.from).map(|rest| format!("file://{}{rest}", self.to.display()));
        Remote { url: url.unwrap_or_else(|| asked.url.clone()), ..Remote::default() }
    }
}

impl Repositories for OnDisk {
    fn resolve(&self, remote: &Remote, revision: &str) -> Result<String, String> {
        self.git.resolve(&self.remote(remote), revision)
    }

    fn files(&self, remote: &Remote, commit: &str) -> Result<Arc<Files>, String> {
        self.git.files(&self.remote(remote), commit)
    }
}

impl Player {
    /// With Argo CD's definitions and projects of the world's cluster, and these secrets.
    pub(super) fn beside(world: &World, secrets: &[Value]) -> Self {
        let repository = world.repository("any");
        let git = OnDisk {
            git: Git::new(world.dir().join("git-cache"), Duration::from_secs(30)),
            from: world.git_url(),
            to: repository.parent().expect("a folder").to_owned(),
        };
        let api = Api::new(Arc::new(Timestamp::now), 1);
        api.begin(6443);
        let around = Around { repositories: Some(Arc::new(git)), ..Around::default() };
        let cluster = Cluster { name: "beside".into(), api, around };
        let make = |kind: &str, object: &Value| {
            cluster.create("test", kind, object).expect("made");
        };
        make(
            "/namespaces",
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "argocd"}}),
        );
        for name in ["applications", "applicationsets", "appprojects"] {
            let name = format!("{name}.argoproj.io");
            make("apiextensions.k8s.io/customresourcedefinitions", &there(world, "crd", &name));
        }
        for (kind, name) in
            [("StatefulSet", "argocd-application-controller"), ("Deployment", "argocd-repo-server")]
        {
            let kinds = format!("{}s", kind.to_lowercase());
            make(&format!("apps/{kinds}"), &there(world, &kinds, name));
            let key = Cluster::key(&format!("apps/{kinds}"), "argocd", name);
            let ready = json!({"replicas": 1, "readyReplicas": 1, "availableReplicas": 1});
            let said = cluster.change_status("test", &key, |it| it["status"] = ready.clone());
            said.expect("allowed");
        }
        secrets.iter().for_each(|secret| make("/secrets", secret));
        let players = Players::new(cluster.clone(), controllers(Arc::new(Renderer::default())));
        Self { cluster, players }
    }

    /// What it makes of a set.
    pub(super) fn makes(&mut self, set: &Value) -> Made {
        let made = self.cluster.create("test", SETS, set).expect("made");
        self.players.settle();
        let name = made["metadata"]["name"].as_str().unwrap_or_default();
        let set = self.cluster.get(&Cluster::key(SETS, "argocd", name)).expect("there");
        let all = self.cluster.list(APPLICATIONS, Some("argocd"));
        Made::of(&set, all.iter().map(|it| &**it))
    }
}

/// An object of the world's cluster, as one would make it.
fn there(world: &World, kind: &str, name: &str) -> Value {
    let mut object = world.bed().kubectl_json(["get", kind, name, "--namespace=argocd"]);
    let meta = &object["metadata"];
    object["metadata"] =
        json!({"name": meta["name"], "namespace": meta["namespace"], "labels": meta["labels"]});
    object["status"] = Value::Null;
    object
}
