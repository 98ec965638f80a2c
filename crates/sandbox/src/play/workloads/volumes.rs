//! Claims and volumes.

use serde_json::{Value, json};

use super::objects::{annotation, text};
use crate::{
    kube::object::meta,
    play::{Cluster, cluster::Refused},
};

const CLASSES: &str = "storage.k8s.io/storageclasses";
const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";

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
fn class_of(cluster: &Cluster, claim: &Value) -> Option<std::sync::Arc<Value>> {
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
