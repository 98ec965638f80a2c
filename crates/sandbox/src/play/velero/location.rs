//! BackupStorageLocations.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{BACKUPS, NAME, bucket::Bucket, choose::texts, is_location_available, label, time, until, write};
use crate::{
    kube::{
        object::meta,
        store::{Change, Key},
    },
    play::{Cluster, cron::go_duration},
};

/// How often a location is looked at, unless it says otherwise.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

/// Whether a change is only what was found out about a location.
pub(super) fn only_looked_at(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return false };
    // Who wants it to be looked at again takes the time away.
    before["spec"] == after["spec"] && after["status"]["lastValidationTime"].is_string()
}

pub(super) fn reconcile(cluster: &Cluster, key: &Key, location: &Value) -> Option<SignedDuration> {
    let opened = Bucket::open(cluster, location).and_then(|bucket| bucket.validate().map(|()| bucket));
    let now = cluster.time();
    let message = opened
        .as_ref()
        .err()
        .map(|why| format!("BackupStorageLocation \"{}\" is unavailable: {why}", key.name));
    write(cluster, key, |location| {
        let status = &mut location["status"];
        status["lastValidationTime"] = now.clone().into();
        status["phase"] = if message.is_some() { "Unavailable" } else { "Available" }.into();
        match &message {
            Some(message) => status["message"] = message.clone().into(),
            None => drop(status.as_object_mut().map(|status| status.remove("message"))),
        }
    });
    if let Ok(bucket) = opened {
        synchronize(cluster, key, location, &bucket);
    }
    let every = |field: &str| location["spec"][field].as_str().and_then(go_duration);
    let validation = every("validationFrequency").unwrap_or(EVERY);
    let sync = every("backupSyncPeriod").unwrap_or(EVERY);
    // Zero means never.
    [validation, sync].into_iter().filter(|it| it.is_positive()).min()
}

/// Makes Backups of what lies in the bucket and is not in the cluster, and forgets those that lie there no more.
fn synchronize(cluster: &Cluster, key: &Key, location: &Value, bucket: &Bucket) {
    let period = location["spec"]["backupSyncPeriod"].as_str().and_then(go_duration).unwrap_or(EVERY);
    let last = time(&location["status"]["lastSyncedTime"]);
    if period.is_zero() || last.is_some_and(|last| !until(cluster, last + period).is_zero()) {
        return;
    }
    let Ok(there) = bucket.folders("backups/") else { return };
    for name in &there {
        if cluster.get(&Cluster::key(BACKUPS, &key.namespace, name)).is_none() {
            adopt(cluster, key, bucket, name);
        }
    }
    for backup in cluster.list(BACKUPS, Some(&key.namespace)) {
        let name = meta(&backup, "name");
        let ours = backup["metadata"]["labels"]["velero.io/storage-location"] == label(&key.name);
        // Others are on their way there.
        let ended = backup["status"]["phase"] == "Completed";
        if ours && ended && !there.iter().any(|it| it == name) {
            let _refused = cluster.delete(NAME, &Cluster::key(BACKUPS, &key.namespace, name));
        }
    }
    let now = cluster.time();
    write(cluster, key, |location| location["status"]["lastSyncedTime"] = now.clone().into());
}

/// Makes a Backup of one in the bucket.
fn adopt(cluster: &Cluster, key: &Key, bucket: &Bucket, name: &str) {
    let Ok(text) = bucket.get(&format!("backups/{name}/velero-backup.json")) else { return };
    let Ok(mut backup) = serde_json::from_slice::<Value>(&text) else { return };
    let expired = time(&backup["status"]["expiration"]).is_some_and(|end| end <= cluster.now());
    match backup["status"]["phase"].as_str().unwrap_or_default() {
        "Completed" | "PartiallyFailed" | "Failed" => {}
        phase if expired && (phase.starts_with("Finalizing") || phase.starts_with("WaitingFor")) => {
            backup["status"]["phase"] = "PartiallyFailed".into();
        }
        _ => return,
    }
    backup["spec"]["storageLocation"] = key.name.clone().into();
    backup["spec"]["hooks"] = json!({});
    let meta = &mut backup["metadata"];
    meta["namespace"] = key.namespace.clone().into();
    meta["labels"]["velero.io/storage-location"] = label(&key.name).into();
    if let Some(meta) = meta.as_object_mut() {
        for servers in ["resourceVersion", "uid", "generation", "managedFields", "ownerReferences"] {
            meta.shift_remove(servers);
        }
    }
    let _refused = cluster.create(NAME, BACKUPS, &backup);
}

/// The location of a backup that names none: the one that is marked, or `default`.
pub(super) fn default_of(cluster: &Cluster, namespace: &str) -> String {
    let locations = cluster.list(super::LOCATIONS, Some(namespace));
    let marked = locations.iter().find(|location| location["spec"]["default"] == true);
    marked.map_or("default", |location| meta(location, "name")).to_owned()
}

/// Why nothing can be written to a location.
pub(super) fn refusals(location: &Value) -> Vec<String> {
    let name = meta(location, "name");
    let mut refusals = Vec::new();
    if location["spec"]["accessMode"] == "ReadOnly" {
        refusals.push(format!(
            "backup can't be created because backup storage location {name} is currently in read-only mode"
        ));
    }
    if !is_location_available(location) {
        refusals.push(format!(
            "backup can't be created because BackupStorageLocation {name} is in Unavailable status."
        ));
    }
    refusals
}

/// Snapshot locations that a backup names and that are not there.
pub(super) fn missing_snapshot_locations(cluster: &Cluster, namespace: &str, spec: &Value) -> Vec<String> {
    let named = texts(&spec["volumeSnapshotLocations"]);
    let missing = named.into_iter().filter(|name| {
        cluster.get(&Cluster::key("velero.io/volumesnapshotlocations", namespace, name)).is_none()
    });
    missing
        .map(|name| format!("a VolumeSnapshotLocation CRD for the location {name} with the name specified in the backup spec needs to be created before this snapshot can be executed. Error: volumesnapshotlocations.velero.io \"{name}\" not found"))
        .collect()
}
