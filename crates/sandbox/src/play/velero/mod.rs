//! Velero, once its Deployment is available: storage locations, schedules, backups that are really in the bucket, and
//! restores that really come from it.
//!
//! | room | what it holds |
//! |---|---|
//! | `location` | BackupStorageLocations: whether they can be used, and backups that others put there |
//! | `schedule` | Schedules |
//! | `backup`, `delete` | Backups, and their end |
//! | `restore`, `remake` | Restores; how an object is made again |
//! | `choose`, `volumes` | which objects; what is in volumes |
//! | `archive`, `bucket` | the tarball; the bucket it lies in |

mod archive;
mod backup;
mod bucket;
mod choose;
mod delete;
mod location;
mod remake;
mod restore;
mod schedule;
mod volumes;

#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{Cluster, Controller};
use crate::kube::{
    object::meta,
    store::{Change, Key},
};

/// Who it is.
const NAME: &str = "velero-server";

const LOCATIONS: &str = "velero.io/backupstoragelocations";
const SCHEDULES: &str = "velero.io/schedules";
const BACKUPS: &str = "velero.io/backups";
const RESTORES: &str = "velero.io/restores";
const DELETIONS: &str = "velero.io/deletebackuprequests";
const REPOSITORIES: &str = "velero.io/backuprepositories";
const KINDS: &[&str] = &[LOCATIONS, SCHEDULES, BACKUPS, RESTORES, DELETIONS, REPOSITORIES];

/// How long each step of a backup or restore takes at least: so that there is a time in which it can be seen, and broken.
const STEP: SignedDuration = SignedDuration::from_secs(1);

/// Velero's server.
pub struct Velero;

impl Controller for Velero {
    fn watches(&self) -> &'static [&'static str] {
        &[LOCATIONS, SCHEDULES, BACKUPS, RESTORES, DELETIONS, REPOSITORIES, "apps/deployments"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        if &*change.key.kind == "apps/deployments" {
            let available =
                |object: &Option<std::sync::Arc<Value>>| object.as_deref().is_some_and(is_available);
            let starts =
                change.key.name == "velero" && available(&change.after) && !available(&change.before);
            let objects = KINDS.iter().flat_map(|kind| {
                let listed = cluster.list(kind, Some(&change.key.namespace));
                listed
                    .into_iter()
                    .map(|object| Cluster::key(kind, meta(&object, "namespace"), meta(&object, "name")))
            });
            return if starts { objects.collect() } else { Vec::new() };
        }
        if &*change.key.kind == LOCATIONS && location::only_looked_at(change) {
            return Vec::new();
        }
        vec![change.key.clone()]
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let server = cluster.get(&Cluster::key("apps/deployments", &key.namespace, "velero"))?;
        if !is_available(&server) {
            return None;
        }
        let object = cluster.get(key)?;
        match &*key.kind {
            LOCATIONS => location::reconcile(cluster, key, &object),
            SCHEDULES => schedule::reconcile(cluster, key, &object),
            BACKUPS => backup::reconcile(cluster, key, &object, started(&server)),
            RESTORES => restore::reconcile(cluster, key, &object, started(&server)),
            DELETIONS => delete::reconcile(cluster, key, &object),
            REPOSITORIES => {
                write(cluster, key, |object| {
                    if object["status"]["phase"].as_str().unwrap_or_default().is_empty() {
                        object["status"]["phase"] = "Ready".into();
                    }
                });
                None
            }
            _ => None,
        }
    }
}

/// Whether a Deployment has a pod that serves.
fn is_available(deployment: &Value) -> bool {
    deployment["status"]["availableReplicas"].as_u64().unwrap_or(0) > 0
}

/// Since when it has, as far as its conditions tell.
fn started(deployment: &Value) -> Option<Timestamp> {
    let conditions = deployment["status"]["conditions"].as_array()?;
    let available = conditions.iter().find(|it| it["type"] == "Available")?;
    time(&available["lastTransitionTime"])
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// How long until a moment; nothing when it has passed.
fn until(cluster: &Cluster, moment: Timestamp) -> SignedDuration {
    moment.duration_since(cluster.now()).max(SignedDuration::ZERO)
}

/// Changes an object with its status: Velero's kinds have no subresource for it.
fn write(cluster: &Cluster, key: &Key, act: impl Fn(&mut Value)) {
    // What is refused is looked at again at the next change, as a controller does.
    let _refused = match cluster.api.catalog.stored(&key.kind).is_some_and(|it| it.has_status()) {
        true => cluster.change_status(NAME, key, act),
        false => cluster.change(NAME, key, act),
    };
}

/// A location of the same namespace.
fn location(cluster: &Cluster, namespace: &str, name: &str) -> Option<std::sync::Arc<Value>> {
    cluster.get(&Cluster::key(LOCATIONS, namespace, name))
}

fn is_location_available(location: &Value) -> bool {
    location["status"]["phase"] == "Available"
}

/// Marks what was being done when the server ended; whether it was.
fn lost(cluster: &Cluster, key: &Key, object: &Value, what: &str, started: Option<Timestamp>) -> bool {
    let began = time(&object["status"]["startTimestamp"]);
    if object["status"]["phase"] != "InProgress" || started <= began {
        return false;
    }
    let now = cluster.time();
    write(cluster, key, |object| {
        let status = &mut object["status"];
        status["failureReason"] = format!(
            "found a {what} with status \"InProgress\" during the server starting, mark it as \"Failed\""
        )
        .into();
        status["phase"] = "Failed".into();
        status["completionTimestamp"] = now.clone().into();
    });
    true
}

/// Refuses an object for good.
fn invalid(cluster: &Cluster, key: &Key, errors: &[String]) {
    write(cluster, key, |object| {
        object["status"]["phase"] = "FailedValidation".into();
        object["status"]["validationErrors"] = json!(errors);
    });
}

/// A label value from a name: as it is when it is short enough, else shortened with a hash.
fn label(name: &str) -> String {
    use sha2::{Digest, Sha256};
    match name.len() {
        ..=63 => name.to_owned(),
        _ => {
            let hash = hex::encode(Sha256::digest(name));
            format!("{}{}", name.chars().take(57).collect::<String>(), &hash[..6])
        }
    }
}
