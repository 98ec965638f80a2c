//! How a control plane stands: a pure function of what was seen.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::{
    engine::{Container, Volume},
    job::Known,
    wish::{ATTEMPT_LABEL, DIGEST_LABEL, NODES_LABEL},
};

/// What was seen of a cluster from outside.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The volume that says whose it is.
    pub mark: Option<Volume>,
    /// Whether it says that it is ours.
    pub ours: bool,
    /// Its containers.
    pub nodes: Vec<Container>,
    /// What is known here of the attempt that the mark names.
    pub known: Known,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing is there.
    Absent,
    /// There is a cluster of that name, and it is not ours.
    Foreign {
        /// What shows it.
        why: String,
    },
    /// Somebody else makes it, on another machine or for another user.
    MadeElsewhere,
    /// An attempt that ended too early, with whatever it has left: to be removed.
    HalfMade,
    /// It is ours; some of its containers stand still.
    Stopped {
        /// Their ids.
        ids: Vec<String>,
    },
    /// It is ours, was there once, and some of its containers are gone.
    Lacking {
        /// How many are there, of how many.
        why: String,
    },
    /// Its containers run.
    Runs {
        /// Whether kind is known to have finished it.
        finished: bool,
    },
}

/// How long an attempt of somebody else is believed to be under way. Longer than any takes that succeeds, a slow pull of
/// the node image included.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);

impl Seen {
    fn label(&self, key: &str) -> Option<&str> {
        self.mark.as_ref()?.labels.get(key).map(String::as_str)
    }

    /// The attempt that the mark names.
    pub fn attempt(&self) -> Option<&str> {
        self.label(ATTEMPT_LABEL)
    }

    /// The digest of the configuration that it was made from.
    pub fn digest(&self) -> Option<&str> {
        self.label(DIGEST_LABEL)
    }

    fn expected(&self) -> usize {
        self.label(NODES_LABEL).and_then(|text| text.parse().ok()).unwrap_or(1)
    }

    /// The control plane that is asked: always the same one.
    pub fn control_plane(&self) -> Option<&Container> {
        self.nodes.iter().find(|node| node.is_control_plane() && node.is_running())
    }

    /// How it stands. Nobody here makes it now: the caller has looked at the lock.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let Some(mark) = &self.mark else {
            return match self.nodes.first() {
                None => Standing::Absent,
                Some(node) => Standing::Foreign {
                    why: format!("container `{}` was not made by this program", node.name()),
                },
            };
        };
        if !self.ours {
            return Standing::Foreign {
                why: format!("volume `{}` says that it is another platform's", mark.name),
            };
        }
        let young = mark.created.is_some_and(|created| now.duration_since(created) < PATIENCE);
        let machines = self.nodes.iter().filter(|node| node.is_node()).count();
        match self.known {
            Known::Unfinished => return Standing::HalfMade,
            // Nothing is lost with it.
            Known::Finished if self.nodes.is_empty() => return Standing::HalfMade,
            Known::Nothing if self.nodes.is_empty() && !young => return Standing::HalfMade,
            Known::Nothing if machines < self.expected() && young => return Standing::MadeElsewhere,
            Known::Finished | Known::Nothing => {}
        }
        if machines < self.expected() {
            return Standing::Lacking {
                why: format!("{machines} of its {} nodes are there", self.expected()),
            };
        }
        let still: Vec<String> =
            self.nodes.iter().filter(|node| !node.is_running()).map(|node| node.id.clone()).collect();
        if !still.is_empty() {
            return Standing::Stopped { ids: still };
        }
        Standing::Runs { finished: self.known == Known::Finished }
    }

    /// Whether an attempt that nobody here knows may still be under way.
    pub fn may_be_underway(&self, now: Timestamp) -> bool {
        self.mark
            .as_ref()
            .and_then(|mark| mark.created)
            .is_some_and(|created| now.duration_since(created) < PATIENCE)
    }
}

/// What the Kubernetes API says about nodes and storage classes.
#[derive(Debug, Deserialize)]
pub(crate) struct Inside {
    items: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    kind: String,
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    conditions: Vec<Condition>,
    #[serde(default)]
    node_info: NodeInfo,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    what: String,
    status: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    #[serde(default)]
    kubelet_version: String,
}

impl Inside {
    fn nodes(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| item.kind == "Node")
    }

    /// What has become of the nodes since: one document after another, as `kubectl wait` writes them.
    ///
    /// # Errors
    /// When they cannot be read; then nothing has changed.
    pub fn later(&mut self, documents: &str) -> Result<(), serde_json::Error> {
        let nodes: Vec<Item> =
            serde_json::Deserializer::from_str(documents).into_iter().collect::<Result<_, _>>()?;
        self.items.retain(|item| item.kind != "Node");
        self.items.extend(nodes);
        Ok(())
    }

    /// What it still waits for; `None` when all of `expected` nodes are Ready and volumes can be asked for.
    pub fn waits_for(&self, expected: u32) -> Option<String> {
        let ready = |node: &&Item| {
            node.status
                .conditions
                .iter()
                .any(|condition| condition.what == "Ready" && condition.status == "True")
        };
        let count = self.nodes().count();
        if count < usize::try_from(expected).unwrap_or(usize::MAX) {
            return Some(format!("{count} of {expected} nodes to join"));
        }
        let lazy: Vec<&str> =
            self.nodes().filter(|node| !ready(node)).map(|node| node.metadata.name.as_str()).collect();
        if !lazy.is_empty() {
            return Some(format!("{} to become Ready", lazy.join(", ")));
        }
        // Whoever has replaced kind's own by another has one all the same.
        let storage = self.items.iter().any(|item| item.kind == "StorageClass");
        (!storage).then(|| "a StorageClass".to_owned())
    }

    /// The version of Kubernetes on its nodes.
    pub fn version(&self) -> Option<&str> {
        let versions = self.nodes().map(|node| node.status.node_info.kubelet_version.trim_start_matches('v'));
        versions.min().filter(|version| !version.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-21T22:30:00Z";

    fn now() -> Timestamp {
        NOW.parse().expect("a time")
    }

    fn mark(created: &str) -> Option<Volume> {
        let labels = json!({ ATTEMPT_LABEL: "one", DIGEST_LABEL: "d", NODES_LABEL: "2" });
        let volume = json!({ "Name": "demo-eu", "CreatedAt": created, "Labels": labels });
        Some(serde_json::from_value(volume).expect("a volume"))
    }

    fn node(name: &str, role: &str, running: bool) -> Container {
        serde_json::from_value(json!({
            "Id": name, "Name": format!("/{name}"), "State": { "Running": running },
            "Config": { "Image": "kindest/node", "Labels": { "io.x-k8s.kind.role": role } },
        }))
        .expect("a container")
    }

    fn nodes(running: bool) -> Vec<Container> {
        vec![node("cp", "control-plane", true), node("w", "worker", running)]
    }

    const OLD: &str = "2026-11-20T22:30:00Z";
    const YOUNG: &str = "2026-11-21T22:29:00Z";

    #[test]
    fn every_way_in_which_it_can_stand() {
        let one = vec![node("cp", "control-plane", true)];
        type Case = (Option<Volume>, bool, Vec<Container>, Known, &'static str);
        let cases: Vec<Case> = vec![
            (None, false, vec![], Known::Nothing, "Absent"),
            (None, false, nodes(true), Known::Nothing, "Foreign"),
            (mark(OLD), false, nodes(true), Known::Finished, "Foreign"),
            // Begun here, and kind has not said that it was done.
            (mark(YOUNG), true, vec![], Known::Unfinished, "HalfMade"),
            (mark(OLD), true, nodes(true), Known::Unfinished, "HalfMade"),
            (mark(OLD), true, vec![], Known::Finished, "HalfMade"),
            // Nobody here knows: what may have been a cluster once is never called half made.
            (mark(YOUNG), true, vec![], Known::Nothing, "MadeElsewhere"),
            (mark(YOUNG), true, one.clone(), Known::Nothing, "MadeElsewhere"),
            (mark(OLD), true, vec![], Known::Nothing, "HalfMade"),
            (mark(OLD), true, one.clone(), Known::Nothing, "Lacking"),
            (mark(OLD), true, nodes(true), Known::Nothing, "Runs { finished: false }"),
            (mark(OLD), true, one, Known::Finished, "Lacking"),
            (mark(OLD), true, nodes(false), Known::Finished, "Stopped"),
            (mark(OLD), true, nodes(true), Known::Finished, "Runs { finished: true }"),
        ];
        for (mark, ours, nodes, known, want) in cases {
            let seen = Seen { mark, ours, nodes, known };
            let standing = format!("{:?}", seen.standing(now()));
            assert!(standing.starts_with(want), "{seen:?} stands as {standing}");
        }
    }

    fn inside(ready: [&str; 2], storage: bool) -> Inside {
        let node = |name: &str, ready: &str| {
            json!({
                "kind": "Node", "metadata": { "name": name },
                "status": { "conditions": [{ "type": "Ready", "status": ready }], "nodeInfo": { "kubeletVersion": "v1.36.3" } },
            })
        };
        let mut items = vec![node("cp", ready[0]), node("w", ready[1])];
        if storage {
            items.push(json!({ "kind": "StorageClass", "metadata": { "name": "standard" } }));
        }
        serde_json::from_value(json!({ "items": Value::from(items) })).expect("a list")
    }

    #[test]
    fn it_is_ready_when_all_nodes_are_and_volumes_can_be_asked_for() {
        assert_eq!(inside(["True", "True"], true).waits_for(2), None);
        assert_eq!(inside(["True", "True"], true).version(), Some("1.36.3"));
        let waits = |inside: Inside, nodes| inside.waits_for(nodes).expect("it waits");
        assert_eq!(waits(inside(["True", "True"], true), 3), "2 of 3 nodes to join");
        assert_eq!(waits(inside(["True", "Unknown"], true), 2), "w to become Ready");
        assert_eq!(waits(inside(["True", "True"], false), 2), "a StorageClass");
    }

    #[test]
    fn what_nodes_have_become_since_is_taken_over() {
        let mut earlier = inside(["True", "False"], true);
        let node = |name| json!({ "kind": "Node", "metadata": { "name": name }, "status": { "conditions": [{ "type": "Ready", "status": "True" }] } });
        earlier.later(&format!("{:#}\n{:#}\n", node("cp"), node("w"))).expect("documents");
        assert_eq!(earlier.waits_for(2), None);
        assert!(earlier.later("error").is_err() && earlier.waits_for(2).is_none());
    }
}
