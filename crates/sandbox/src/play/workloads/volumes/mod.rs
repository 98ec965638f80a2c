//! Claims and volumes: found for each other, made in the cloud, grown, released.
//!
//! | room | what it holds |
//! |---|---|
//! | `claims` | a claim gets its volume |
//! | `release` | what becomes of a volume when its claim is gone |

mod claims;
mod release;

pub use claims::Claims;
pub use release::Volumes;

use std::sync::Arc;

use serde_json::{Value, json};

use super::objects::{annotation, items, key_of, text};
use crate::{
    kube::object::meta,
    play::{Cluster, cluster::Refused},
};

const CLAIMS: &str = "/persistentvolumeclaims";
const VOLUMES: &str = "/persistentvolumes";
const CLASSES: &str = "storage.k8s.io/storageclasses";
const BY: &str = "persistentvolume-controller";

const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
const COMPLETED: &str = "pv.kubernetes.io/bind-completed";
const BOUND_BY: &str = "pv.kubernetes.io/bound-by-controller";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";
const PROVISIONER_OF: &str = "volume.kubernetes.io/storage-provisioner";
const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// Who makes volumes for the class `standard`.
pub const PROVISIONER: &str = "csi.sandbox.platform.dev";

/// Makes the StorageClass `standard`, the default: volumes are made in the cloud when a pod wants them, and removed with
/// their claims. One that is there is left as it is.
///
/// # Errors
/// What the API refuses.
pub fn storage_class(cluster: &Cluster) -> Result<(), Refused> {
    if cluster.get(&Cluster::key(CLASSES, "", "standard")).is_some() {
        return Ok(());
    }
    let class = json!({
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass",
        "metadata": { "name": "standard", "annotations": { DEFAULT: "true" } },
        "provisioner": PROVISIONER, "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer", "allowVolumeExpansion": true,
    });
    cluster.create("sandbox", CLASSES, &class).map(drop)
}

/// The class of a claim: the one it names (which may be none at all), or the default one.
fn class_of(cluster: &Cluster, claim: &Value) -> Option<Arc<Value>> {
    match claim["spec"].get("storageClassName").and_then(Value::as_str) {
        Some("") => None,
        Some(name) => cluster.get(&Cluster::key(CLASSES, "", name)),
        None => {
            let all = cluster.list(CLASSES, None);
            let defaults = all.into_iter().filter(|it| annotation(it, DEFAULT) == "true");
            // Of several the newest is taken.
            defaults.max_by(|one, two| meta(one, "creationTimestamp").cmp(meta(two, "creationTimestamp")))
        }
    }
}

/// Whether a claim is bound only when a pod with it has found a node.
pub fn waits_for_consumer(cluster: &Cluster, claim: &Value) -> bool {
    class_of(cluster, claim).is_some_and(|it| text(&it["volumeBindingMode"]) == "WaitForFirstConsumer")
}

/// Names of the claims of a pod.
pub fn of_pod(pod: &Value) -> Vec<String> {
    let name = |volume: &Value| match text(&volume["persistentVolumeClaim"]["claimName"]) {
        "" if volume["ephemeral"].is_object() => {
            Some(format!("{}-{}", meta(pod, "name"), text(&volume["name"])))
        }
        "" => None,
        name => Some(name.to_owned()),
    };
    items(&pod["spec"]["volumes"]).filter_map(name).collect()
}

/// A pod has found a node: its claims that wait for that may be bound. Whether all of them are bound already.
pub fn select_node(cluster: &Cluster, pod: &Value, node: &str) -> bool {
    let mut bound = true;
    for name in of_pod(pod) {
        let Some(claim) = cluster.get(&Cluster::key(CLAIMS, meta(pod, "namespace"), &name)) else {
            return false;
        };
        if annotation(&claim, COMPLETED) == "yes" {
            continue;
        }
        bound = false;
        let selected = cluster.change("default-scheduler", &key_of(CLAIMS, &claim), |it| {
            it["metadata"]["annotations"][SELECTED_NODE] = node.into();
        });
        // Refused: the pod is looked at again with the next change of its claims.
        drop(selected);
    }
    bound
}
