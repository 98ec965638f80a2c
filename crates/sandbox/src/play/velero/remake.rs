//! How an object of a backup is made again: what must not come with it.

use serde_json::Value;

use super::{archive::Item, label};

/// Kinds that are never restored.
pub(super) const NEVER: &[&str] = &[
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backuprepositories.velero.io",
];

/// Kinds that come before all others, in this order.
const FIRST: &[&str] = &[
    "customresourcedefinitions.apiextensions.k8s.io",
    "namespaces",
    "storageclasses.storage.k8s.io",
    "volumesnapshotclass.snapshot.storage.k8s.io",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io",
    "datauploads.velero.io",
    "persistentvolumes",
    "persistentvolumeclaims",
    "clusterroles.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "serviceaccounts",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "secrets",
    "configmaps",
    "limitranges",
    "priorityclasses.scheduling.k8s.io",
    "pods",
    "replicasets.apps",
    "clusterclasses.cluster.x-k8s.io",
    "endpoints",
    "services",
];

/// Kinds that come after all others, in this order.
const LAST: &[&str] = &[
    "clusterbootstraps.run.tanzu.vmware.com",
    "clusters.cluster.x-k8s.io",
    "clusterresourcesets.addons.cluster.x-k8s.io",
    "apps.kappctrl.k14s.io",
    "packageinstalls.packaging.carvel.dev",
];

/// Where a kind stands in the order of restoring.
pub(super) fn place(resource: &str) -> (usize, String) {
    let first = FIRST.iter().position(|it| *it == resource);
    let last = LAST.iter().position(|it| *it == resource).map(|at| FIRST.len() + 1 + at);
    (first.or(last).unwrap_or(FIRST.len()), resource.to_owned())
}

/// Takes off what the server gives, and the status.
pub(super) fn reset(object: &mut Value) {
    if let Some(meta) = object["metadata"].as_object_mut() {
        for servers in [
            "generateName",
            "selfLink",
            "uid",
            "resourceVersion",
            "generation",
            "creationTimestamp",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
            "ownerReferences",
            "managedFields",
        ] {
            meta.shift_remove(servers);
        }
    }
    remove(object, "status");
}

/// Says from which backup and by which restore an object was made.
pub(super) fn mark(object: &mut Value, backup: &str, restore: &str) {
    object["metadata"]["labels"]["velero.io/backup-name"] = label(backup).into();
    object["metadata"]["labels"]["velero.io/restore-name"] = label(restore).into();
}

fn remove(object: &mut Value, field: &str) {
    if let Some(object) = object.as_object_mut() {
        object.shift_remove(field);
    }
}

/// Whether it has done its work, so that it is not done again.
pub(super) fn is_done(item: &Item) -> bool {
    let status = &item.object["status"];
    match item.resource.as_str() {
        "pods" => matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")),
        "jobs.batch" => status["completionTime"].is_string(),
        _ => false,
    }
}

/// What the actions of Velero do to an object of a kind, once it is [`reset`]; `renamed` says how namespaces are called
/// now. `None`: it is not made again.
pub(super) fn prepare(item: &Item, mut object: Value, renamed: impl Fn(&str) -> String) -> Option<Value> {
    let spec = &mut object["spec"];
    match item.resource.as_str() {
        "pods" => {
            if object["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string() {
                return None;
            }
            let spec = &mut object["spec"];
            remove(spec, "nodeName");
            remove(spec, "priority");
            let token = |name: &Value| {
                name.as_str()
                    .is_some_and(|name| name.starts_with("kube-api-access-") || name.contains("-token-"))
            };
            if let Some(volumes) = spec["volumes"].as_array_mut() {
                volumes.retain(|volume| !token(&volume["name"]));
            }
            for containers in ["containers", "initContainers"] {
                for container in spec[containers].as_array_mut().into_iter().flatten() {
                    if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                        mounts.retain(|mount| !token(&mount["name"]));
                    }
                }
            }
        }
        "services" => {
            if spec["clusterIP"] != "None" {
                remove(spec, "clusterIP");
                remove(spec, "clusterIPs");
            }
            remove(spec, "healthCheckNodePort");
            for port in spec["ports"].as_array_mut().into_iter().flatten() {
                remove(port, "nodePort");
            }
        }
        "jobs.batch" => {
            for labels in ["/spec/selector/matchLabels", "/spec/template/metadata/labels"] {
                if let Some(labels) = object.pointer_mut(labels) {
                    remove(labels, "controller-uid");
                    remove(labels, "batch.kubernetes.io/controller-uid");
                }
            }
        }
        "persistentvolumeclaims" => {
            // The volume is made anew: its content was not in the backup.
            remove(spec, "volumeName");
            for annotation in [
                "pv.kubernetes.io/bind-completed",
                "pv.kubernetes.io/bound-by-controller",
                "volume.kubernetes.io/storage-provisioner",
                "volume.beta.kubernetes.io/storage-provisioner",
                "volume.kubernetes.io/selected-node",
            ] {
                remove(&mut object["metadata"]["annotations"], annotation);
            }
        }
        "persistentvolumes" => {
            // Of one that goes with its claim nothing is left to be bound to.
            if spec["persistentVolumeReclaimPolicy"] == "Delete" {
                return None;
            }
            remove(&mut spec["claimRef"], "uid");
            remove(&mut spec["claimRef"], "resourceVersion");
        }
        "secrets" if object["type"] == "kubernetes.io/service-account-token" => return None,
        "rolebindings.rbac.authorization.k8s.io" | "clusterrolebindings.rbac.authorization.k8s.io" => {
            for subject in object["subjects"].as_array_mut().into_iter().flatten() {
                if let Some(namespace) = subject["namespace"].as_str().map(&renamed) {
                    subject["namespace"] = namespace.into();
                }
            }
        }
        _ => {}
    }
    Some(object)
}
