//! What runs in containers: `docker exec`, as far as nodes of kind are asked by it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    CLUSTER_LABEL, Containers,
    reply::Reply,
    state::{Being, Container},
    words::{Flag, Line},
};
use crate::play::Cluster;

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
    ("all", false),
    ("for", true),
    ("timeout", true),
];

/// How often somebody who waits for nodes looks.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

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
            // A repository that nobody has: who asks so wants to know whether a server answers.
            ("git", None) if container.served().is_some() => Reply::failed(
                128,
                "fatal: remote error: access denied or repository not exported: /platform-asks\n",
            ),
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
        let [verb, kinds] = line.rest.as_slice() else { return unplayed() };
        if verb == "wait" {
            return waited(&api, &line, kinds);
        }
        if verb != "get" || line.one("output") != Some("json") {
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

    /// `docker exec` of a `kubectl wait` that has something to wait for: ends when it has it no more, or its time is over.
    pub(super) async fn stay(&self, words: &[String]) {
        let Some(seconds) = words.iter().find_map(|word| word.strip_prefix("--timeout=")?.strip_suffix('s'))
        else {
            return;
        };
        let until = tokio::time::Instant::now() + Duration::from_secs(seconds.parse().unwrap_or(0));
        while tokio::time::Instant::now() < until && self.exec(words).stderr.contains(TIMED_OUT) {
            tokio::time::sleep(LOOK_AGAIN).await;
            self.settle();
        }
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
    let known = "`get KIND[,KIND] -o json` and `wait --for=condition=Ready node --all --timeout=Ns -o json`";
    Reply::failed(1, format!("error: in a node of the sandbox, kubectl knows {known}\n"))
}

/// By what a `kubectl wait` says that it has waited long enough.
const TIMED_OUT: &str = "timed out waiting for the condition on ";

/// `kubectl wait` at the end of its time: those that are Ready, one document after another, and the others by their names.
fn waited(api: &Cluster, line: &Line, kind: &str) -> Reply {
    let asked = (line.one("for"), line.one("output"), line.has("all"));
    if !matches!(kind, "node" | "nodes") || asked != (Some("condition=Ready"), Some("json"), true) {
        return unplayed();
    }
    let is_ready = |node: &Value| {
        let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True")
    };
    let mut reply = Reply::default();
    let nodes = api.list("/nodes", None);
    if nodes.is_empty() {
        return Reply::failed(1, "error: no matching resources found\n");
    }
    for node in nodes {
        if is_ready(&node) {
            reply.stdout.push_str(&format!("{:#}\n", *node));
        } else {
            let name = node["metadata"]["name"].as_str().unwrap_or_default();
            reply.stderr.push_str(&format!("error: {TIMED_OUT}nodes/{name}\n"));
            reply.code = 1;
        }
    }
    reply
}

/// What the containerd of a node has.
fn images(node: &Container, words: &[String]) -> Reply {
    if words.first().is_none_or(|verb| verb != "images") {
        return Reply::failed(1, "in a node of the sandbox, crictl knows `images --output json`\n");
    }
    let image = |name: &String| {
        // Of one from an archive it is known.
        let (name, known) = name.split_once("@sha256:").unwrap_or((name, ""));
        let digest = if known.is_empty() { super::docker::image_of(name) } else { known.to_owned() };
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
