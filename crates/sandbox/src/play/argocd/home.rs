//! The installation that an Application belongs to: whether it is there, its settings, repositories and clusters.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, prelude::BASE64_STANDARD};
use jiff::SignedDuration;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{
    model::{API_VERSION, APPLICATIONS, CONTROLLER, IN_CLUSTER, PROJECTS, duration, text},
    project::{Destination, Project},
};
use crate::{
    kube::{auth::is_good, object::meta},
    play::{Cluster, around::Remote, repositories::normalized},
};

/// Without these nothing happens.
const PARTS: [&str; 2] = ["argocd-application-controller", "argocd-repo-server"];

/// The namespace in which an Argo CD runs.
pub struct Home<'a> {
    /// The cluster that it runs in.
    pub cluster: &'a Cluster,
    /// The namespace.
    pub namespace: &'a str,
    settings: Option<Arc<Value>>,
}

/// A cluster that Applications may go to.
pub struct Target {
    /// The cluster.
    pub cluster: Cluster,
    /// Its address.
    pub server: String,
    /// Its name.
    pub name: String,
}

/// The Secrets that an Argo CD reads, as `argocd.argoproj.io/secret-type` tells them apart.
pub struct Known {
    /// Of repositories.
    pub repositories: Vec<Arc<Value>>,
    /// Of credentials for all repositories below an address.
    pub credentials: Vec<Arc<Value>>,
    /// Of clusters.
    pub clusters: Vec<Arc<Value>>,
    by_server: BTreeMap<String, Arc<Value>>,
    by_name: BTreeMap<String, Arc<Value>>,
}

impl Known {
    fn of(secrets: &[Arc<Value>]) -> Self {
        let of_type = |kind| secrets.iter().filter(|it| is_of_type(it, kind)).cloned().collect::<Vec<_>>();
        let clusters = of_type("cluster");
        let (mut by_server, mut by_name) = (BTreeMap::new(), BTreeMap::new());
        for it in &clusters {
            let [name, server] = addresses(it);
            by_server.entry(server).or_insert_with(|| it.clone());
            by_name.entry(name).or_insert_with(|| it.clone());
        }
        let (repositories, credentials) = (of_type("repository"), of_type("repo-creds"));
        Self { repositories, credentials, clusters, by_server, by_name }
    }
}

/// The projects of a namespace, by their names.
struct Projects(BTreeMap<String, Arc<Project>>);

/// A cluster as it is registered.
struct Registered {
    server: String,
    name: String,
    /// What is shown to it.
    token: Option<SecretString>,
}

impl Target {
    /// As projects know it.
    pub fn destination(&self) -> Destination<'_> {
        Destination { server: &self.server, name: &self.name }
    }
}

impl<'a> Home<'a> {
    /// The Argo CD of a namespace, when it is installed and runs. Its default project is made when there is none.
    pub fn of(cluster: &'a Cluster, namespace: &'a str) -> Option<Self> {
        let runs = |kind: &str, name: &str, ready: &str| {
            let key = Cluster::key(kind, namespace, name);
            cluster.get(&key).is_some_and(|it| {
                it["status"][ready].as_i64().unwrap_or(0) > 0 && it["metadata"]["deletionTimestamp"].is_null()
            })
        };
        let defined = [APPLICATIONS, PROJECTS].iter().all(|kind| cluster.api.catalog.stored(kind).is_some());
        if !defined
            || !runs("apps/statefulsets", PARTS[0], "readyReplicas")
            || !runs("apps/deployments", PARTS[1], "availableReplicas")
        {
            return None;
        }
        let settings = cluster.get(&Cluster::key("/configmaps", namespace, "argocd-cm"));
        let home = Self { cluster, namespace, settings };
        home.ensure_default_project();
        Some(home)
    }

    fn ensure_default_project(&self) {
        let key = Cluster::key(PROJECTS, self.namespace, "default");
        if self.cluster.get(&key).is_some() {
            return;
        }
        let project = json!({
            "apiVersion": API_VERSION, "kind": "AppProject",
            "metadata": {"name": "default", "namespace": self.namespace},
            "spec": {
                "sourceRepos": ["*"],
                "destinations": [{"server": "*", "namespace": "*"}],
                "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
            },
        });
        // Refused while its namespace goes; then nobody needs it.
        let _made = self.cluster.create("argocd-server", PROJECTS, &project);
    }

    fn setting(&self, key: &str) -> Option<&str> {
        self.settings.as_ref()?["data"][key].as_str()
    }

    /// How often Git is looked at; `None`: never by itself.
    pub fn poll(&self) -> Option<SignedDuration> {
        let said = self.setting("timeout.reconciliation").and_then(duration);
        Some(said.unwrap_or(SignedDuration::from_secs(120))).filter(|it| it.is_positive())
    }

    /// Whether Applications have the health of what they deploy. Argo CD does that by a script; a setting for that kind
    /// is taken for the one that its documentation gives.
    pub fn health_of_applications(&self) -> bool {
        self.setting("resource.customizations.health.argoproj.io_Application").is_some()
            || self
                .setting("resource.customizations")
                .is_some_and(|it| it.contains("argoproj.io/Application"))
    }

    /// The project of an Application.
    pub fn project(&self, name: &str) -> Option<Arc<Project>> {
        let name = if name.is_empty() { "default" } else { name };
        self.projects().0.get(name).cloned()
    }

    fn projects(&self) -> Arc<Projects> {
        self.cluster.api.store.derived(PROJECTS, self.namespace, |all| {
            let project = |it: &Arc<Value>| (meta(it, "name").to_owned(), Project::of(it.clone()).into());
            Projects(all.iter().map(project).collect())
        })
    }

    /// How to reach a repository: by the Secret that names it, or by the longest beginning of its URL that a Secret
    /// with credentials names.
    pub fn remote(&self, url: &str) -> Remote {
        let wanted = normalized(url);
        let known = self.known();
        let exact = known.repositories.iter().find(|it| normalized(&secret(it, "url")) == wanted);
        let found = exact.filter(|it| !secret(it, "password").is_empty()).or_else(|| {
            let fits =
                known.credentials.iter().filter(|it| wanted.starts_with(&normalized(&secret(it, "url"))));
            fits.max_by_key(|it| secret(it, "url").len())
        });
        let some = |key: &str| found.map(|it| secret(it, key)).filter(|it| !it.is_empty());
        Remote {
            url: url.to_owned(),
            username: some("username"),
            password: some("password").map(SecretString::from),
        }
    }

    /// The Secrets that it reads.
    pub fn known(&self) -> Arc<Known> {
        self.cluster.api.store.derived("/secrets", self.namespace, Known::of)
    }

    /// Address and name of the cluster that an Application goes to, in Argo CD's words when it knows none.
    pub fn destination(&self, destination: &Value) -> Result<(String, String), String> {
        self.registered(destination).map(|registered| (registered.server, registered.name))
    }

    fn registered(&self, destination: &Value) -> Result<Registered, String> {
        let (name, server) = (text(destination, "name"), text(destination, "server"));
        if !name.is_empty() && !server.is_empty() {
            return Err(format!(
                "application destination can't have both name and server defined: {name} {server}"
            ));
        }
        let server = server.trim_end_matches('/');
        if name == "in-cluster" || server == IN_CLUSTER {
            return Ok(Registered {
                server: IN_CLUSTER.to_owned(),
                name: "in-cluster".to_owned(),
                token: None,
            });
        }
        if name.is_empty() && server.is_empty() {
            return Err("Destination server missing from app spec".to_owned());
        }
        let known = self.known();
        let found = if server.is_empty() { known.by_name.get(name) } else { known.by_server.get(server) };
        match found {
            Some(found) => {
                let config: Value = serde_json::from_str(&secret(found, "config")).unwrap_or_default();
                Ok(Registered {
                    server: secret(found, "server").trim_end_matches('/').to_owned(),
                    name: secret(found, "name"),
                    token: config["bearerToken"].as_str().map(SecretString::from),
                })
            }
            None if server.is_empty() => Err(format!("there are no clusters with this name: {name}")),
            None => Err(format!(
                "error getting cluster by server \"{server}\": rpc error: code = NotFound desc = cluster \"{server}\" \
                 not found"
            )),
        }
    }

    /// The cluster that an Application goes to, in Argo CD's words when there is none.
    pub fn target(&self, destination: &Value) -> Result<Target, String> {
        let Registered { server, name, token } = self.registered(destination)?;
        if server == IN_CLUSTER {
            return Ok(Target { cluster: self.cluster.clone(), server, name });
        }
        let clusters = self.cluster.around.clusters.as_ref();
        let cluster = clusters.and_then(|it| it.at(&server)).ok_or_else(|| {
            format!("failed to connect to {server}: the sandbox has no cluster that answers there")
        })?;
        if token.is_some_and(|token| !is_good(&cluster.api, token.expose_secret())) {
            return Err(format!(
                "failed to get cluster info for \"{server}\": error synchronizing cache state : failed to get server \
                 version: the server has asked for the client to provide credentials"
            ));
        }
        Ok(Target { cluster, server, name })
    }

    /// Writes an event about an Application.
    pub fn tell(&self, about: &Value, reason: &str, message: &str) {
        self.cluster.event(CONTROLLER, about, "Normal", reason, message);
    }
}

/// Whether an Argo CD acts only while the workload of that name runs.
pub fn is_part(name: &str) -> bool {
    PARTS.contains(&name)
}

/// Whether a Secret is of a type that Argo CD reads.
pub fn is_of_type(secret: &Value, kind: &str) -> bool {
    secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"] == kind
}

/// Name and address of the cluster that a Secret registers.
pub fn addresses(cluster: &Value) -> [String; 2] {
    [secret(cluster, "name"), secret(cluster, "server").trim_end_matches('/').to_owned()]
}

/// A text of a Secret; empty when it is not there.
pub fn secret(secret: &Value, key: &str) -> String {
    if let Some(text) = secret["stringData"][key].as_str() {
        return text.to_owned();
    }
    let encoded = text(&secret["data"], key);
    let bytes = BASE64_STANDARD.decode(encoded).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}
