//! Kind's commands.

use secrecy::ExposeSecret;

use super::{
    Ask, CLUSTER_LABEL, Containers, KIND, ROLE_LABEL, Say,
    client::Found,
    reply::Reply,
    state::{Being, Container, with_tag},
    words::{Flag, Line},
};
use crate::parts::faults::Struck;

/// The version that is played. Its words were written down from a real one of this version.
const VERSION: &str = "0.33.0";

const COMMON: &[Flag] = &[("verbosity,v", true), ("quiet,q", false)];
const NAMED: &[Flag] = &[
    ("name,n", true),
    ("kubeconfig", true),
    ("internal", false),
    ("all-clusters,A", false),
    ("nodes", true),
    ("verbosity,v", true),
    ("quiet,q", false),
];
const CREATE: &[Flag] = &[
    ("name,n", true),
    ("config", true),
    ("image", true),
    ("kubeconfig", true),
    ("retain", false),
    ("wait", true),
    ("verbosity,v", true),
    ("quiet,q", false),
];

impl Containers {
    /// Answers a command line of kind.
    pub(super) async fn kind(&self, ask: &Ask, struck: &Struck, say: Say<'_>) -> Reply {
        let word = |at: usize| ask.arguments.get(at).map_or("", String::as_str);
        let (flags, taken): (&[Flag], usize) = match (word(0), word(1)) {
            ("version", _) => (COMMON, 1),
            ("create", "cluster") => (CREATE, 2),
            ("get" | "delete" | "load" | "export", _) => (NAMED, 2),
            (unknown, _) => return Reply::of_kind("", format!("unknown command \"{unknown}\" for \"kind\"")),
        };
        let line = match Line::read(ask.arguments.get(taken..).unwrap_or_default(), flags, false) {
            Ok(line) => line,
            Err(unread) => return Reply::of_kind("", unread.words()),
        };
        self.settle();
        let given = || ask.env.get("KIND_CLUSTER_NAME").filter(|name| !name.is_empty()).cloned();
        let name = line.one("name").map(str::to_owned).or_else(given).unwrap_or_else(|| KIND.to_owned());
        let reply = match (word(0), word(1)) {
            ("version", _) => {
                let said = struck.machine().version;
                let version = said.as_deref().unwrap_or(VERSION);
                match line.has("quiet") {
                    true => Reply::ok(format!("{version}\n")),
                    false => Reply::ok(format!("kind v{version} go1.26.8 linux/amd64\n")),
                }
            }
            ("create", "cluster") => self.create(&line, ask, struck, say).await,
            ("get", "clusters") => self.clusters(),
            ("get", "nodes") => self.list_nodes(&line, &name),
            ("get", "kubeconfig") => self.kubeconfig(&name, line.has("internal")),
            ("export", "kubeconfig") => self.export(&name, line.one("kubeconfig"), say),
            ("delete", "cluster") => self.delete(&name),
            ("load", "docker-image") => self.load_named(&line, &name),
            ("load", "image-archive") => self.load_archive(&line, &name, ask),
            (verb, unknown) => {
                Reply::of_kind("", format!("unknown command \"{unknown}\" for \"kind {verb}\""))
            }
        };
        if reply.changed {
            self.follow();
        }
        reply
    }

    fn clusters(&self) -> Reply {
        let state = self.state();
        let mut names: Vec<&String> =
            state.containers.values().filter_map(|it| it.labels.get(CLUSTER_LABEL)).collect();
        names.sort();
        names.dedup();
        match names.is_empty() {
            true => Reply { stderr: "No kind clusters found.\n".to_owned(), ..Reply::default() },
            false => Reply::ok(names.into_iter().map(|name| format!("{name}\n")).collect::<String>()),
        }
    }

    fn list_nodes(&self, line: &Line, name: &str) -> Reply {
        let state = self.state();
        let everywhere = line.has("all-clusters");
        let of = |it: &&Container| match it.labels.get(CLUSTER_LABEL) {
            Some(cluster) => everywhere || cluster == name,
            None => false,
        };
        let mut names: Vec<&str> = state.containers.values().filter(of).map(|it| it.name.as_str()).collect();
        names.sort_unstable();
        if names.is_empty() {
            let stderr = if everywhere {
                "No kind nodes for any cluster.\n".to_owned()
            } else {
                format!("No kind nodes found for cluster \"{name}\".\n")
            };
            return Reply { stderr, ..Reply::default() };
        }
        Reply::ok(names.into_iter().map(|name| format!("{name}\n")).collect::<String>())
    }

    fn kubeconfig(&self, name: &str, internal: bool) -> Reply {
        match self.kubeconfig_of(name, internal) {
            Ok(text) => Reply::ok(text),
            Err(refused) => refused,
        }
    }

    /// The kubeconfig of a cluster, as it is reached from the host or from the network of its nodes.
    pub(super) fn kubeconfig_of(&self, name: &str, internal: bool) -> Result<String, Reply> {
        let leading = {
            let state = self.state();
            let leads =
                |it: &&&Container| it.labels.get(ROLE_LABEL).is_some_and(|role| role == "control-plane");
            state.nodes(name).iter().find(leads).map(|it| (it.name.clone(), it.state.clone()))
        };
        let Some((node, being)) = leading else {
            return Err(Reply::of_kind(
                "",
                format!(
                    "could not locate any control plane nodes for cluster named '{name}'. Use the --name option to select a different cluster"
                ),
            ));
        };
        let failed = |output: &str| {
            Reply::of_kind(
                "failed to get cluster internal kubeconfig",
                format!(
                    "command \"docker exec --privileged {node} cat /etc/kubernetes/admin.conf\" failed with error: exit status 1\n\nCommand Output: {output}"
                ),
            )
        };
        if !matches!(being, Being::Running(_)) {
            return Err(failed(&format!("Error response from daemon: container {node} is not running")));
        }
        let text = self.admin_conf(name);
        let text =
            text.ok_or_else(|| failed("cat: /etc/kubernetes/admin.conf: No such file or directory"))?;
        if !internal {
            return Ok(text);
        }
        let inside = |line: &str| match line.split_once("server: ") {
            Some((before, _)) => format!("{before}server: https://{node}:6443\n"),
            None => format!("{line}\n"),
        };
        Ok(text.lines().map(inside).collect())
    }

    /// What lies in a control plane, written when it is first asked for.
    fn admin_conf(&self, name: &str) -> Option<String> {
        let kept = self.state().clusters.get(name).cloned();
        if let Some(text) = kept.as_ref().and_then(|kept| kept.kubeconfig.clone()) {
            return Some(text);
        }
        let text = self.behind()?.kubeconfig(name).ok()?.expose_secret().to_owned();
        if let Some(kept) = kept {
            self.state().put(super::state::Cluster { kubeconfig: Some(text.clone()), ..kept });
        }
        Some(text)
    }

    fn export(&self, name: &str, path: Option<&str>, say: Say<'_>) -> Reply {
        match (self.kubeconfig_of(name, false), path) {
            (Ok(text), Some(path)) => {
                say(super::Said::File { path: path.to_owned(), text });
                Reply { stderr: format!("Set kubectl context to \"kind-{name}\"\n"), ..Reply::default() }
            }
            (Ok(_), None) => {
                Reply::of_kind("", "the sandbox writes no kubeconfig that is not named: give --kubeconfig")
            }
            (Err(refused), _) => refused,
        }
    }

    fn delete(&self, name: &str) -> Reply {
        let gone = self.delete_nodes(name);
        let mut stderr = format!("Deleting cluster \"{name}\" ...\n");
        if !gone.is_empty() {
            stderr.push_str(&format!("Deleted nodes: {}\n", quoted(&gone)));
        }
        Reply { changed: !gone.is_empty(), stderr, ..Reply::default() }
    }

    /// Removes the containers of a cluster; their names.
    pub(super) fn delete_nodes(&self, name: &str) -> Vec<String> {
        let mut state = self.state();
        let there: Vec<(String, String)> =
            state.nodes(name).iter().map(|it| (it.id.clone(), it.name.clone())).collect();
        for (id, _) in &there {
            state.take::<Container>(id);
        }
        there.into_iter().map(|(_, name)| name).collect()
    }

    fn load_named(&self, line: &Line, name: &str) -> Reply {
        for image in &line.rest {
            if self.state().image(image).is_none() {
                return Reply::of_kind("", format!("image: \"{image}\" not present locally"));
            }
        }
        let images: Vec<String> = line.rest.iter().map(|image| with_tag(image)).collect();
        self.load_images(line, name, &images)
    }

    fn load_archive(&self, line: &Line, name: &str, ask: &Ask) -> Reply {
        let mut images = Vec::new();
        for path in &line.rest {
            match ask.files.get(path) {
                Some(Found::Images(names)) => images.extend(names.iter().map(|image| with_tag(image))),
                Some(Found::Not(why)) => return Reply::of_kind("", why),
                _ => return Reply::of_kind("", format!("stat {path}: no such file or directory")),
            }
        }
        self.load_images(line, name, &images)
    }

    fn load_images(&self, line: &Line, name: &str, images: &[String]) -> Reply {
        let mut state = self.state();
        let is_node =
            |it: &&&Container| it.labels.get(ROLE_LABEL).is_none_or(|role| role != "external-load-balancer");
        let chosen: Vec<&str> = line.all("nodes").flat_map(|names| names.split(',')).collect();
        let nodes: Vec<Container> =
            state.nodes(name).iter().filter(is_node).map(|it| Container::clone(it)).collect();
        if nodes.is_empty() {
            return Reply::of_kind("", format!("no nodes found for cluster \"{name}\""));
        }
        if let Some(unknown) = chosen.iter().find(|chosen| !nodes.iter().any(|it| it.name == **chosen)) {
            return Reply::of_kind("", format!("unknown node: \"{unknown}\""));
        }
        let mut reply = Reply::default();
        for node in nodes.into_iter().filter(|it| chosen.is_empty() || chosen.contains(&it.name.as_str())) {
            let mut new = node.clone();
            for image in images {
                // A name is that of one image.
                let named = |it: &str| it.split('@').next().map(str::to_owned);
                new.images.retain(|there| there == image || named(there) != named(image));
                if new.images.insert(image.clone()) {
                    let id = super::docker::image_of(image);
                    reply.stderr.push_str(&format!(
                        "Image: \"{image}\" with ID \"sha256:{id}\" not yet present on node \"{}\", loading...\n",
                        node.name
                    ));
                    reply.changed = true;
                }
            }
            state.put(new);
        }
        reply
    }
}

/// Names as Go writes a list of them.
fn quoted(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("[{}]", quoted.join(" "))
}
