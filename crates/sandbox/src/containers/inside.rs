//! What runs in containers: `docker exec`, as far as nodes of kind are asked by it.

use serde_json::{Value, json};

use super::{
    CLUSTER_LABEL, Containers,
    reply::Reply,
    state::{Being, Container},
    words::{Flag, Line},
};

const FLAGS: &[Flag] = &[
    ("detach,d", false),
    ("interactive,i", false),
    ("tty,t", false),
    ("privileged", false),
    ("user,u", true),
    ("env,e", true),
    ("workdir,w", true),
];

const GET: &[Flag] = &[
    ("kubeconfig", true),
    ("output,o", true),
    ("namespace,n", true),
    ("all-namespaces,A", false),
    ("request-timeout", true),
];

/// Kinds that people of this engine ask for, as they are stored.
const KINDS: &[(&str, &[&str])] = &[
    ("/nodes", &["node", "nodes", "no"]),
    ("/pods", &["pod", "pods", "po"]),
    ("/namespaces", &["namespace", "namespaces", "ns"]),
    ("/services", &["service", "services", "svc"]),
    ("apps/deployments", &["deployment", "deployments", "deploy"]),
    ("apps/daemonsets", &["daemonset", "daemonsets", "ds"]),
    ("storage.k8s.io/storageclasses", &["storageclass", "storageclasses", "sc"]),
];

impl Containers {
    /// `docker exec`.
    pub(super) fn exec(&self, words: &[String]) -> Reply {
        let line = match Line::read(words, FLAGS, true) {
            Ok(line) => line,
            Err(unread) => return Reply::failed(125, format!("{}\n", unread.words())),
        };
        let Some((what, command)) = line.rest.split_first() else {
            return Reply::failed(1, "docker: 'docker exec' requires at least 2 arguments\n");
        };
        let found = self.state().container(what).cloned();
        let Some(container) = found else { return Reply::refused(format!("No such container: {what}")) };
        if !matches!(container.state, Being::Running(_)) {
            return Reply::refused(format!("Container {} is not running", container.id));
        }
        let (program, rest) = command.split_first().map_or(("", &[] as &[String]), |(it, rest)| (it, rest));
        match (program, container.labels.get(CLUSTER_LABEL)) {
            ("true", _) => Reply::ok(""),
            ("false", _) => Reply::failed(1, ""),
            ("kubectl", Some(cluster)) => self.kubectl(cluster, rest),
            ("crictl", Some(_)) => images(&container, rest),
            _ => Reply::failed(
                127,
                format!(
                    "OCI runtime exec failed: exec failed: unable to start container process: exec: \"{program}\": executable file not found in $PATH: unknown\n"
                ),
            ),
        }
    }

    fn kubectl(&self, cluster: &str, words: &[String]) -> Reply {
        let line = match Line::read(words, GET, false) {
            Ok(line) => line,
            Err(unread) => return Reply::failed(1, format!("error: {}\n", unread.words())),
        };
        let kubeconfig = line.one("kubeconfig").unwrap_or("/etc/kubernetes/admin.conf");
        let api = self.behind().and_then(|behind| behind.cluster(cluster));
        let (Some(api), true) = (api, self.state().clusters.contains_key(cluster)) else {
            return Reply::failed(1, format!("error: stat {kubeconfig}: no such file or directory\n"));
        };
        if !self.answers(cluster) {
            let words = format!(
                "The connection to the server {cluster}-control-plane:6443 was refused - did you specify the right host or port?\n"
            );
            return Reply::failed(1, words);
        }
        let [get, kinds] = line.rest.as_slice() else { return unplayed() };
        if get != "get" || line.one("output") != Some("json") {
            return unplayed();
        }
        let within = line.one("namespace").filter(|_| !line.has("all-namespaces"));
        let mut items = Vec::new();
        for kind in kinds.split(',') {
            let Some((stored, _)) = KINDS.iter().find(|(_, names)| names.contains(&kind)) else {
                let words = format!("error: the server doesn't have a resource type \"{kind}\"\n");
                return Reply::failed(1, words);
            };
            items.extend(api.list(stored, within).into_iter().map(|it| Value::clone(&it)));
        }
        let list = json!({ "apiVersion": "v1", "items": items, "kind": "List", "metadata": { "resourceVersion": "" } });
        Reply::ok(format!("{}\n", serde_json::to_string_pretty(&list).unwrap_or_default()))
    }

    /// Whether the API of a cluster answers, by its containers.
    pub(super) fn answers(&self, cluster: &str) -> bool {
        let state = self.state();
        let down = |it: &&&Container| !matches!(it.state, Being::Running(_));
        let nodes = state.nodes(cluster);
        let leading =
            nodes.iter().filter(|it| it.labels.get(super::ROLE_LABEL).is_some_and(|role| role != "worker"));
        !nodes.is_empty() && leading.clone().filter(down).count() * 2 < leading.count().max(1)
    }
}

fn unplayed() -> Reply {
    Reply::failed(1, "error: in a node of the sandbox, kubectl knows `get KIND[,KIND] -o json`\n")
}

/// What the containerd of a node has.
fn images(node: &Container, words: &[String]) -> Reply {
    if words.first().is_none_or(|verb| verb != "images") {
        return Reply::failed(1, "in a node of the sandbox, crictl knows `images --output json`\n");
    }
    let image = |name: &String| {
        let digest = super::docker::image_of(name);
        let full = in_full(name);
        json!({
            "id": format!("sha256:{digest}"), "repoTags": [full], "repoDigests": [], "size": "1048576", "pinned": false,
        })
    };
    let list: Vec<Value> = node.images.iter().map(image).collect();
    Reply::ok(format!("{}\n", serde_json::to_string_pretty(&json!({ "images": list })).unwrap_or_default()))
}

/// An image's name as containerd knows it: with its registry.
fn in_full(name: &str) -> String {
    let first = name.split('/').next().unwrap_or_default();
    match (name.contains('/'), first.contains(['.', ':']) || first == "localhost") {
        (false, _) => format!("docker.io/library/{name}"),
        (true, false) => format!("docker.io/{name}"),
        (true, true) => name.to_owned(),
    }
}
