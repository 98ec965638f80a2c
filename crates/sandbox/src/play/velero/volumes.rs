//! What is in volumes: who asks for it to be copied. It is not: no container runs that could have written anything, and a
//! backup that was asked for it says so instead of looking whole.

use serde_json::Value;

use super::archive::Item;
use crate::{kube::object::meta, play::Cluster};

/// Annotations of a pod by which it names volumes, with commas between them.
const CHOSEN: &str = "backup.velero.io/backup-volumes";
const LEFT_OUT: &str = "backup.velero.io/backup-volumes-excludes";
/// Volumes whose contents come from the cluster itself, or lie out of reach.
const NEVER: [&str; 5] = ["hostPath", "secret", "configMap", "projected", "downwardAPI"];

/// An object that is not in the backup, though it was chosen.
pub(super) struct Missed {
    namespace: String,
    name: String,
    why: String,
}

impl Missed {
    /// As the results of a backup have it: by namespace, a text.
    pub(super) fn said(&self) -> (String, String) {
        let Self { namespace, name, why } = self;
        let words = format!(" resource: /pods name: /{name} message: /Error backing up item error: /{why}");
        (namespace.clone(), words)
    }

    /// As the log of a backup has it.
    pub(super) fn logged(&self) -> String {
        format!(
            "level=error msg=\"Error backing up item\" error={:?} name={} namespace={}\n",
            self.why, self.name, self.namespace
        )
    }
}

/// Takes the pods away whose volumes cannot be copied, though it is asked for.
pub(super) fn miss(cluster: &Cluster, home: &str, backup: &Value, items: &mut Vec<Item>) -> Vec<Missed> {
    let by_default = backup["spec"]["defaultVolumesToFsBackup"] == true;
    let mut missed = Vec::new();
    items.retain(|item| {
        let why = match item.resource.as_str() {
            "pods" if asks(&item.object, by_default) => refused(cluster, home, &item.object),
            _ => None,
        };
        let (namespace, name) = (item.namespace.clone(), item.name.clone());
        let stays = why.is_none();
        missed.extend(why.map(|why| Missed { namespace, name, why }));
        stays
    });
    missed
}

/// Whether a pod, or the backup by itself, asks for the contents of one of its volumes.
fn asks(pod: &Value, by_default: bool) -> bool {
    let named = |annotation: &str| pod["metadata"]["annotations"][annotation].as_str().unwrap_or_default();
    if !by_default {
        return !named(CHOSEN).is_empty();
    }
    let out: Vec<&str> = named(LEFT_OUT).split(',').collect();
    let volumes = pod["spec"]["volumes"].as_array();
    volumes.into_iter().flatten().any(|volume| {
        let name = volume["name"].as_str().unwrap_or_default();
        !NEVER.iter().any(|kind| volume[kind].is_object())
            && !out.contains(&name)
            && !name.starts_with("default-token")
    })
}

/// Why it is not done for a pod that runs. Volumes of others are left out with a warning only.
fn refused(cluster: &Cluster, home: &str, pod: &Value) -> Option<String> {
    let runs = |pod: &Value| pod["status"]["phase"] == "Running";
    let node = pod["spec"]["nodeName"].as_str().filter(|_| runs(pod))?;
    let agent = cluster.list("/pods", Some(home)).iter().any(|it| {
        it["metadata"]["labels"]["role"] == "node-agent" && runs(it) && it["spec"]["nodeName"] == node
    });
    Some(match agent {
        false => format!("daemonset pod not found in running state in node {node}"),
        true => format!("the sandbox does not copy what is in the volumes of {}", meta(pod, "name")),
    })
}
