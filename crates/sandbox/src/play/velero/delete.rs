//! DeleteBackupRequests.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{BACKUPS, NAME, RESTORES, bucket::Bucket, is_location_available, label, time, until, write};
use crate::{
    kube::{object::meta, store::Key},
    play::Cluster,
};

/// How long a request is kept that has been done.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn reconcile(cluster: &Cluster, key: &Key, request: &Value) -> Option<SignedDuration> {
    if matches!(request["status"]["phase"].as_str().unwrap_or_default(), "Processed" | "InProgress") {
        let left = until(cluster, time(&request["metadata"]["creationTimestamp"])? + KEPT);
        if left.is_positive() {
            return Some(left);
        }
        let _refused = cluster.delete(NAME, key);
        return None;
    }
    let errors = match carry_out(cluster, key, request) {
        Ok(()) => Vec::new(),
        Err(why) => vec![why],
    };
    let done = errors.is_empty();
    write(cluster, key, |request| {
        request["status"] = json!({"phase": "Processed", "errors": errors});
    });
    // A request that was carried out goes with its backup.
    if done {
        let _refused = cluster.delete(NAME, key);
    }
    None
}

fn carry_out(cluster: &Cluster, key: &Key, request: &Value) -> Result<(), String> {
    let name = request["spec"]["backupName"].as_str().unwrap_or_default();
    if name.is_empty() {
        return Err("spec.backupName is required".into());
    }
    let backup_key = Cluster::key(BACKUPS, &key.namespace, name);
    let backup = cluster.get(&backup_key).ok_or("backup not found")?;
    if backup["status"]["phase"] == "InProgress" {
        return Err("backup is still in progress".into());
    }
    let place = backup["spec"]["storageLocation"].as_str().unwrap_or_default();
    let location = super::location(cluster, &key.namespace, place);
    let location = location.ok_or_else(|| format!("backup storage location {place} not found"))?;
    if location["spec"]["accessMode"] == "ReadOnly" {
        return Err(format!(
            "cannot delete backup because backup storage location {place} is currently in read-only mode"
        ));
    }
    if !is_location_available(&location) {
        return Err(format!(
            "cannot delete backup because backup storage location {place} is currently in Unavailable state"
        ));
    }
    let uid = meta(&backup, "uid").to_owned();
    write(cluster, key, |request| {
        request["status"]["phase"] = "InProgress".into();
        request["metadata"]["labels"]["velero.io/backup-name"] = label(name).into();
        request["metadata"]["labels"]["velero.io/backup-uid"] = uid.clone().into();
    });
    write(cluster, &backup_key, |backup| backup["status"]["phase"] = "Deleting".into());
    let bucket =
        Bucket::open(cluster, &location).map_err(|why| format!("error getting the backup store: {why}"))?;
    bucket
        .remove(&format!("backups/{name}/"))
        .map_err(|why| format!("error removing backup from backup storage: {why}"))?;
    for restore in cluster.list(RESTORES, Some(&key.namespace)) {
        if restore["spec"]["backupName"] == name {
            let restored = meta(&restore, "name");
            bucket.remove(&format!("restores/{restored}/")).map_err(|why| {
                format!("error deleting restore {}/{restored} from backup storage: {why}", key.namespace)
            })?;
            let _refused = cluster.delete(NAME, &Cluster::key(RESTORES, &key.namespace, restored));
        }
    }
    cluster
        .delete(NAME, &backup_key)
        .map_err(|refused| format!("error deleting backup {}/{name}: {refused}", key.namespace))
}
