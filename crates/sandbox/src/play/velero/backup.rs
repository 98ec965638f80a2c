//! Backups.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    BACKUPS, DELETIONS, NAME, STEP,
    archive::{self, Item},
    bucket::Bucket,
    choose, invalid, is_location_available, label, location, lost, time, until,
    volumes::{self, Missed},
    write,
};
use crate::{
    kube::{
        object::{is_going, later, meta, time as written},
        store::Key,
    },
    play::{Cluster, cron::go_duration},
};

/// How long a backup is kept that does not say: thirty days.
const KEPT: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How often an expired backup is looked at that cannot be removed.
const COLLECT_AGAIN: SignedDuration = SignedDuration::from_mins(60);

pub(super) fn reconcile(
    cluster: &Cluster,
    key: &Key,
    backup: &Value,
    started: Option<jiff::Timestamp>,
) -> Option<SignedDuration> {
    let phase = |phase: &'static str| {
        write(cluster, key, |backup| backup["status"]["phase"] = phase.into());
        Some(SignedDuration::ZERO)
    };
    match backup["status"]["phase"].as_str().unwrap_or_default() {
        "" | "New" => phase("Queued"),
        "Queued" if is_first(cluster, key) => phase("ReadyToStart"),
        "Queued" => Some(STEP),
        "ReadyToStart" => begin(cluster, key, backup),
        "InProgress" if lost(cluster, key, backup, "backup", started) => None,
        "InProgress" => {
            let began = time(&backup["status"]["startTimestamp"])?;
            let left = until(cluster, began + STEP);
            if left.is_positive() {
                return Some(left);
            }
            run(cluster, key, backup);
            Some(STEP)
        }
        "Finalizing" => finish(cluster, key, "Completed"),
        "FinalizingPartiallyFailed" => finish(cluster, key, "PartiallyFailed"),
        _ => collect(cluster, key, backup),
    }
}

/// One backup at a time, as Velero has it unless told otherwise.
fn is_first(cluster: &Cluster, key: &Key) -> bool {
    let backups = cluster.list(BACKUPS, Some(&key.namespace));
    let mut before = backups.iter().filter(|other| meta(other, "name") != key.name);
    let own = backups.iter().find(|it| meta(it, "name") == key.name);
    let made =
        |backup: &Value| (meta(backup, "creationTimestamp").to_owned(), meta(backup, "name").to_owned());
    !before.any(|other| match other["status"]["phase"].as_str().unwrap_or_default() {
        "ReadyToStart" | "InProgress" => true,
        "" | "New" | "Queued" => own.is_some_and(|own| made(other) < made(own)),
        _ => false,
    })
}

/// Checks the wish, and begins.
fn begin(cluster: &Cluster, key: &Key, backup: &Value) -> Option<SignedDuration> {
    let spec = &backup["spec"];
    let named = spec["storageLocation"].as_str().filter(|name| !name.is_empty());
    let place = named.map_or_else(|| location::default_of(cluster, &key.namespace), str::to_owned);
    let mut errors = Vec::new();
    match super::location(cluster, &key.namespace, &place) {
        Some(location) => errors.extend(location::refusals(&location)),
        None => {
            let (which, verb) = if named.is_none() {
                ("server default", "does not exist")
            } else {
                ("default", "was not found")
            };
            errors.push(format!("an existing backup storage location was not specified at backup creation time and the {which} {place} {verb}. Please address this issue (see `velero backup-location -h` for options) and create a new backup. Error: BackupStorageLocation.velero.io \"{place}\" not found"));
        }
    }
    errors.extend(location::missing_snapshot_locations(cluster, &key.namespace, spec));
    for (included, excluded, what) in [
        ("includedResources", "excludedResources", "resource"),
        ("includedNamespaces", "excludedNamespaces", "namespace"),
    ] {
        errors.extend(contradictions(&spec[included], &spec[excluded], what));
    }
    if spec["labelSelector"].is_object() && spec["orLabelSelectors"].is_array() {
        errors.push(
            "encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified"
                .into(),
        );
    }
    let set = |list: &str| !choose::texts(&spec[list]).is_empty();
    let old =
        set("includedResources") || set("excludedResources") || spec["includeClusterResources"].is_boolean();
    let new = ["included", "excluded"].iter().any(|it| {
        set(&format!("{it}ClusterScopedResources")) || set(&format!("{it}NamespaceScopedResources"))
    });
    if old && new {
        errors.push("include-resources, exclude-resources and include-cluster-resources are old filter parameters.\ninclude-cluster-scoped-resources, exclude-cluster-scoped-resources, include-namespace-scoped-resources and exclude-namespace-scoped-resources are new filter parameters.\nThey cannot be used together".into());
    }
    let ttl = spec["ttl"].as_str().and_then(go_duration).filter(|ttl| ttl.is_positive()).unwrap_or(KEPT);
    let now = cluster.now();
    let expiration = later(now, u64::try_from(ttl.as_secs()).unwrap_or(0));
    write(cluster, key, |backup| {
        let spec = &mut backup["spec"];
        spec["storageLocation"] = place.clone().into();
        if choose::texts(&spec["includedNamespaces"]).is_empty() {
            spec["includedNamespaces"] = json!(["*"]);
        }
        spec["ttl"] = go_text(ttl).into();
        for (field, default) in [("defaultVolumesToFsBackup", false), ("snapshotMoveData", false)] {
            if spec[field].is_null() {
                spec[field] = default.into();
            }
        }
        let meta = &mut backup["metadata"];
        meta["labels"]["velero.io/storage-location"] = label(&place).into();
        meta["annotations"]["velero.io/source-cluster-k8s-gitversion"] = "v1.36.0".into();
        meta["annotations"]["velero.io/source-cluster-k8s-major-version"] = "1".into();
        meta["annotations"]["velero.io/source-cluster-k8s-minor-version"] = "36".into();
        meta["annotations"]["velero.io/resource-timeout"] = "10m0s".into();
        let status = &mut backup["status"];
        status["version"] = 1.into();
        status["formatVersion"] = archive::FORMAT.into();
        status["expiration"] = written(expiration).into();
        if errors.is_empty() {
            status["phase"] = "InProgress".into();
            status["startTimestamp"] = written(now).into();
        }
    });
    if errors.is_empty() {
        return Some(STEP);
    }
    invalid(cluster, key, &errors);
    None
}

pub(super) fn contradictions(included: &Value, excluded: &Value, what: &str) -> Vec<String> {
    let (included, excluded) = (choose::texts(included), choose::texts(excluded));
    let prefix = format!("Invalid included/excluded {what} lists: ");
    let mut errors = Vec::new();
    if included.len() > 1 && included.contains(&"*") {
        errors.push(format!(
            "{prefix}includes list must either contain '*' only, or a non-empty list of items"
        ));
    }
    if excluded.contains(&"*") {
        errors.push(format!("{prefix}excludes list cannot contain '*'"));
    }
    for both in included.iter().filter(|it| excluded.contains(it)) {
        errors.push(format!("{prefix}excludes list cannot contain an item in the includes list: {both}"));
    }
    errors
}

fn go_text(duration: SignedDuration) -> String {
    let seconds = duration.as_secs();
    format!("{}h{}m{}s", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Copies what was chosen into the bucket.
fn run(cluster: &Cluster, key: &Key, backup: &Value) {
    let spec = &backup["spec"];
    let place = spec["storageLocation"].as_str().unwrap_or_default();
    let mut items = items(cluster, spec);
    let count = items.len();
    let missed = volumes::miss(cluster, &key.namespace, backup, &mut items);
    let location = super::location(cluster, &key.namespace, place);
    let opened = location.ok_or_else(|| format!("backup storage location {place} not found"));
    let opened = opened.and_then(|location| Bucket::open(cluster, &location));
    let done = |backup: &mut Value| {
        let status = &mut backup["status"];
        status["progress"] = json!({"totalItems": count, "itemsBackedUp": count});
        status["hookStatus"] = json!({});
        status["phase"] = "Finalizing".into();
        if !missed.is_empty() {
            status["phase"] = "FinalizingPartiallyFailed".into();
            status["errors"] = missed.len().into();
        }
    };
    let mut finalizing = backup.clone();
    done(&mut finalizing);
    let uploaded = opened.and_then(|bucket| upload(&bucket, key, &finalizing, &items, &missed));
    let now = cluster.time();
    write(cluster, key, |backup| match &uploaded {
        Ok(()) => done(backup),
        Err(why) => {
            let status = &mut backup["status"];
            status["phase"] = "Failed".into();
            status["failureReason"] = format!("backup execution failed: {why}").into();
            status["completionTimestamp"] = now.clone().into();
            status["errors"] = 1.into();
        }
    });
}

fn upload(
    bucket: &Bucket,
    key: &Key,
    backup: &Value,
    items: &[Item],
    missed: &[Missed],
) -> Result<(), String> {
    let name = &key.name;
    let put = |file: &str, bytes: Vec<u8>| {
        let put = bucket.put(&format!("backups/{name}/{file}"), bytes);
        put.map_err(|why| format!("error uploading {file}: {why}"))
    };
    let mut list: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut log = String::new();
    for item in items {
        let version = item.object["apiVersion"].as_str().unwrap_or_default();
        let kind = item.object["kind"].as_str().unwrap_or_default();
        let place = if item.namespace.is_empty() {
            item.name.clone()
        } else {
            format!("{}/{}", item.namespace, item.name)
        };
        log += &format!(
            "level=info msg=\"Backed up {} {place}\" backup={}/{name}\n",
            item.resource, key.namespace
        );
        list.entry(format!("{version}/{kind}")).or_default().push(place);
    }
    let mut errors: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for it in missed {
        log += &it.logged();
        let (namespace, words) = it.said();
        errors.entry(namespace).or_default().push(words);
    }
    put(&format!("{name}-logs.gz"), archive::pack(log.as_bytes()))?;
    put(&format!("{name}.tar.gz"), archive::write(items))?;
    put(&format!("{name}-resource-list.json.gz"), archive::pack(json!(list).to_string().as_bytes()))?;
    for empty in ["volumesnapshots", "podvolumebackups", "itemoperations", "volumeinfo"] {
        put(&format!("{name}-{empty}.json.gz"), archive::pack(b"[]"))?;
    }
    let errors = if errors.is_empty() { json!({}) } else { json!({ "namespaces": errors }) };
    let results = json!({ "errors": errors, "warnings": {} });
    put(&format!("{name}-results.gz"), archive::pack(results.to_string().as_bytes()))?;
    put("velero-backup.json", backup.to_string().into_bytes())
}

/// Kinds beside namespaces of which those go along that the chosen need.
const AROUND: [&str; 2] = ["persistentvolumes", "customresourcedefinitions.apiextensions.k8s.io"];

/// The objects that a wish chooses.
pub(super) fn items(cluster: &Cluster, spec: &Value) -> Vec<Item> {
    let everywhere = choose::all_namespaces(spec);
    let cluster_wide = spec["includeClusterResources"].as_bool();
    let named = !choose::texts(&spec["includedClusterScopedResources"]).is_empty();
    let mut items = Vec::new();
    let mut seen = BTreeSet::new();
    let mut around = Vec::new();
    for resource in cluster.api.catalog.all() {
        // A kind may be served in several versions and groups; it is stored once.
        let Some(resource) =
            cluster.api.catalog.stored(&resource.stored_as).filter(|it| seen.insert(it.stored_as.clone()))
        else {
            continue;
        };
        let chosen = choose::has_resource(spec, &resource);
        let full = choose::full_name(&resource);
        for object in cluster.list(&resource.stored_as, None) {
            let namespace = meta(&object, "namespace");
            if is_going(&object)
                || object["metadata"]["labels"]["velero.io/exclude-from-backup"] == "true"
                || matches!(
                    full.as_str(),
                    "volumesnapshots.snapshot.storage.k8s.io"
                        | "volumesnapshotcontents.snapshot.storage.k8s.io"
                )
            {
                continue;
            }
            let name = meta(&object, "name");
            let item = || {
                let mut object = Value::clone(&object);
                object["apiVersion"] = resource.api_version().into();
                Item {
                    resource: full.clone(),
                    namespace: namespace.to_owned(),
                    name: name.to_owned(),
                    version: resource.version.clone(),
                    object,
                }
            };
            if resource.namespaced {
                if chosen && choose::has_namespace(spec, namespace) && choose::has_labels(spec, &object) {
                    items.push(item());
                }
            } else if full == "namespaces" {
                // A namespace goes with what lies in it.
                if choose::has_namespace(spec, name) && (chosen || !everywhere) {
                    around.push(item());
                }
            } else if chosen && cluster_wide != Some(false) {
                let all = cluster_wide == Some(true) || everywhere || named;
                if all && choose::has_labels(spec, &object) {
                    items.push(item());
                } else if AROUND.contains(&&*full) {
                    around.push(item());
                }
            }
        }
    }
    let bound: BTreeSet<String> = items
        .iter()
        .filter(|item| item.resource == "persistentvolumeclaims")
        .filter_map(|item| item.object["spec"]["volumeName"].as_str().map(str::to_owned))
        .collect();
    let kinds: BTreeSet<String> = items.iter().map(|item| item.resource.clone()).collect();
    let homes: BTreeSet<String> = items.iter().map(|item| item.namespace.clone()).collect();
    let labelled = spec["labelSelector"].is_object() || spec["orLabelSelectors"].is_array();
    // What is needed to make the chosen again, though it was not chosen itself.
    items.extend(around.into_iter().filter(|item| match item.resource.as_str() {
        "namespaces" => !labelled || homes.contains(&item.name),
        "persistentvolumes" => bound.contains(&item.name),
        "customresourcedefinitions.apiextensions.k8s.io" => kinds.contains(&item.name),
        _ => false,
    }));
    items.sort_by(|a, b| (&a.resource, &a.namespace, &a.name).cmp(&(&b.resource, &b.namespace, &b.name)));
    items
}

/// Says in the cluster and in the bucket that it is done.
fn finish(cluster: &Cluster, key: &Key, phase: &str) -> Option<SignedDuration> {
    let now = cluster.time();
    let end = |backup: &mut Value| {
        backup["status"]["phase"] = phase.into();
        backup["status"]["completionTimestamp"] = now.clone().into();
    };
    let mut backup = Value::clone(&*cluster.get(key)?);
    end(&mut backup);
    let place = backup["spec"]["storageLocation"].as_str().unwrap_or_default().to_owned();
    let location = super::location(cluster, &key.namespace, &place)?;
    let uploaded = Bucket::open(cluster, &location).and_then(|bucket| {
        bucket.put(&format!("backups/{}/velero-backup.json", key.name), backup.to_string().into_bytes())
    });
    match uploaded {
        Ok(()) => {
            write(cluster, key, end);
            Some(SignedDuration::ZERO)
        }
        // It is tried again until it can be said.
        Err(_) => Some(SignedDuration::from_secs(10)),
    }
}

/// Asks for an expired backup to be deleted.
fn collect(cluster: &Cluster, key: &Key, backup: &Value) -> Option<SignedDuration> {
    let expiration = time(&backup["status"]["expiration"])?;
    let left = until(cluster, expiration);
    if left.is_positive() {
        return Some(left);
    }
    let place = backup["spec"]["storageLocation"].as_str().unwrap_or_default();
    let location = super::location(cluster, &key.namespace, place);
    let failure = match &location {
        None => Some("BSLNotFound"),
        Some(location) if location["spec"]["accessMode"] == "ReadOnly" => Some("BSLReadOnly"),
        Some(_) => None,
    };
    write(cluster, key, |backup| match failure {
        Some(failure) => backup["metadata"]["labels"]["velero.io/gc-failure"] = failure.into(),
        None => {
            drop(
                backup["metadata"]["labels"]
                    .as_object_mut()
                    .map(|labels| labels.remove("velero.io/gc-failure")),
            );
        }
    });
    if failure.is_some() || !location.is_some_and(|location| is_location_available(&location)) {
        return Some(COLLECT_AGAIN);
    }
    let pending = cluster.list(DELETIONS, Some(&key.namespace)).iter().any(|request| {
        request["spec"]["backupName"] == key.name.as_str()
            && matches!(request["status"]["phase"].as_str().unwrap_or_default(), "" | "New" | "InProgress")
    });
    if !pending {
        let request = json!({
            "apiVersion": "velero.io/v1", "kind": "DeleteBackupRequest",
            "metadata": {
                "namespace": key.namespace, "generateName": format!("{}-", key.name),
                "labels": {"velero.io/backup-name": label(&key.name), "velero.io/backup-uid": meta(backup, "uid")},
            },
            "spec": {"backupName": key.name},
        });
        let _refused = cluster.create(NAME, DELETIONS, &request);
    }
    Some(COLLECT_AGAIN)
}
