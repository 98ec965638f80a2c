//! Restores.

use std::{collections::BTreeMap, sync::Arc};

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    BACKUPS, NAME, STEP,
    archive::{self, Item},
    backup::contradictions,
    bucket::Bucket,
    choose, invalid, is_location_available, lost, remake, time, until, write,
};
use crate::{
    kube::{catalog::Resource, object::meta, store::Key},
    play::Cluster,
};

pub(super) fn reconcile(
    cluster: &Cluster,
    key: &Key,
    restore: &Value,
    started: Option<jiff::Timestamp>,
) -> Option<SignedDuration> {
    match restore["status"]["phase"].as_str().unwrap_or_default() {
        "" | "New" => {
            let (source, errors) = validate(cluster, key, restore);
            if !errors.is_empty() {
                invalid(cluster, key, &errors);
                return None;
            }
            let now = cluster.time();
            write(cluster, key, |restore| {
                restore["spec"]["backupName"] = source.clone().into();
                restore["status"]["phase"] = "InProgress".into();
                restore["status"]["startTimestamp"] = now.clone().into();
            });
            Some(STEP)
        }
        "InProgress" if lost(cluster, key, restore, "restore", started) => None,
        "InProgress" => {
            let left = until(cluster, time(&restore["status"]["startTimestamp"])? + STEP);
            if left.is_positive() {
                return Some(left);
            }
            run(cluster, key, restore);
            Some(STEP)
        }
        phase @ ("Finalizing" | "FinalizingPartiallyFailed") => {
            let end = if phase == "Finalizing" { "Completed" } else { "PartiallyFailed" };
            let now = cluster.time();
            write(cluster, key, |restore| {
                restore["status"]["phase"] = end.into();
                restore["status"]["completionTimestamp"] = now.clone().into();
            });
            None
        }
        _ => None,
    }
}

/// From which backup, and why not.
fn validate(cluster: &Cluster, key: &Key, restore: &Value) -> (String, Vec<String>) {
    let spec = &restore["spec"];
    let mut errors = Vec::new();
    for named in choose::texts(&spec["includedResources"]) {
        if remake::NEVER.contains(&named) {
            errors.push(format!("{named} are non-restorable resources"));
        }
    }
    for (included, excluded, what) in [
        ("includedResources", "excludedResources", "resource"),
        ("includedNamespaces", "excludedNamespaces", "namespace"),
    ] {
        errors.extend(contradictions(&spec[included], &spec[excluded], what));
    }
    if spec["labelSelector"].is_object() && spec["orLabelSelectors"].is_array() {
        errors.push("encountered labelSelector as well as orLabelSelectors in restore spec, only one can be specified".into());
    }
    let text = |field: &str| spec[field].as_str().unwrap_or_default();
    let policy = text("existingResourcePolicy");
    if !matches!(policy, "" | "none" | "update") {
        errors.push(format!("Invalid ExistingResourcePolicy: {policy}"));
    }
    let (backup, schedule) = (text("backupName"), text("scheduleName"));
    let source = match (backup, schedule) {
        ("", "") => {
            errors.push(
                "Either a backup or schedule must be specified as a source for the restore, but not both"
                    .into(),
            );
            return (String::new(), errors);
        }
        // Once it has begun by a schedule both are named.
        ("", schedule) => {
            let backups = cluster.list(BACKUPS, Some(&key.namespace));
            let of =
                backups.iter().filter(|it| it["metadata"]["labels"]["velero.io/schedule-name"] == schedule);
            if of.clone().next().is_none() {
                errors.push("No backups found for schedule".into());
            }
            let completed = of.filter(|it| it["status"]["phase"] == "Completed");
            match completed.max_by_key(|it| it["status"]["startTimestamp"].as_str().map(str::to_owned)) {
                Some(newest) => meta(newest, "name").to_owned(),
                None => {
                    errors.push("No completed backups found for schedule".into());
                    return (String::new(), errors);
                }
            }
        }
        (backup, "") => backup.to_owned(),
        _ => {
            errors.push(
                "Either a backup or schedule must be specified as a source for the restore, but not both"
                    .into(),
            );
            return (String::new(), errors);
        }
    };
    let Some(backup) = cluster.get(&Cluster::key(BACKUPS, &key.namespace, &source)) else {
        errors.push(format!("Error retrieving backup: backup.velero.io \"{source}\" not found"));
        return (source, errors);
    };
    let place = backup["spec"]["storageLocation"].as_str().unwrap_or_default();
    match super::location(cluster, &key.namespace, place) {
        None => errors
            .push(format!("Error retrieving backup: backupstoragelocations.velero.io \"{place}\" not found")),
        Some(location) if !is_location_available(&location) => {
            errors.push(format!("The BSL {place} is unavailable, cannot retrieve the backup"));
        }
        Some(_) => {}
    }
    (source, errors)
}

/// What a restore has to say.
#[derive(Default)]
struct Results {
    warnings: BTreeMap<String, Vec<String>>,
    errors: BTreeMap<String, Vec<String>>,
    restored: usize,
    total: usize,
    log: String,
}

/// A restore at work.
struct Work<'a> {
    cluster: &'a Cluster,
    spec: &'a Value,
    name: &'a str,
    backup: &'a str,
    results: Results,
}

fn run(cluster: &Cluster, key: &Key, restore: &Value) {
    let spec = &restore["spec"];
    let backup = spec["backupName"].as_str().unwrap_or_default();
    let opened = open(cluster, key, backup);
    let mut work = Work { cluster, spec, name: &key.name, backup, results: Results::default() };
    let failed = match &opened {
        Ok((_, items)) => {
            work.all(items);
            None
        }
        Err(why) => Some(why.clone()),
    };
    let results = work.results;
    let count = |all: &BTreeMap<String, Vec<String>>| all.values().map(Vec::len).sum::<usize>();
    let (warnings, errors) = (count(&results.warnings), count(&results.errors));
    let mut kept = Ok(());
    if let Ok((bucket, _)) = &opened {
        let put = |file: &str, bytes: &[u8]| {
            bucket.put(&format!("restores/{}/restore-{}-{file}", key.name, key.name), archive::pack(bytes))
        };
        let said =
            json!({"warnings": {"namespaces": results.warnings}, "errors": {"namespaces": results.errors}});
        kept = put("logs.gz", results.log.as_bytes())
            .and_then(|()| put("results.gz", said.to_string().as_bytes()));
    }
    let errors = errors + usize::from(kept.is_err());
    let now = cluster.time();
    write(cluster, key, |restore| {
        let status = &mut restore["status"];
        if let Some(why) = &failed {
            status["phase"] = "Failed".into();
            status["failureReason"] = why.clone().into();
            status["completionTimestamp"] = now.clone().into();
            return;
        }
        status["progress"] = json!({"totalItems": results.total, "itemsRestored": results.restored});
        status["hookStatus"] = json!({});
        for (field, count) in [("warnings", warnings), ("errors", errors)] {
            if count > 0 {
                status[field] = count.into();
            }
        }
        status["phase"] = if errors > 0 { "FinalizingPartiallyFailed" } else { "Finalizing" }.into();
    });
}

fn open(cluster: &Cluster, key: &Key, backup: &str) -> Result<(Bucket, Vec<Item>), String> {
    let object = cluster.get(&Cluster::key(BACKUPS, &key.namespace, backup));
    let object = object.ok_or_else(|| format!("backup.velero.io \"{backup}\" not found"))?;
    let place = object["spec"]["storageLocation"].as_str().unwrap_or_default();
    let location = super::location(cluster, &key.namespace, place);
    let bucket = Bucket::open(cluster, &*location.ok_or_else(|| format!("{place} not found"))?)?;
    let bytes = bucket
        .get(&format!("backups/{backup}/{backup}.tar.gz"))
        .map_err(|why| format!("error downloading backup: {why}"))?;
    let items = archive::read(&bytes).map_err(|why| format!("error unzipping and extracting: {why}"))?;
    Ok((bucket, items))
}

impl Work<'_> {
    fn all(&mut self, items: &[Item]) {
        let mut items: Vec<&Item> = items.iter().collect();
        items.sort_by_key(|item| (remake::place(&item.resource), item.namespace.clone(), item.name.clone()));
        let chosen: Vec<(&Item, Option<Arc<Resource>>)> = items
            .iter()
            .map(|item| (*item, self.resource(item)))
            .filter(|(item, resource)| self.chooses(item, resource.as_deref()))
            .collect();
        self.results.total = chosen.len();
        for (item, _) in &chosen {
            // A kind that the same restore makes is known only once its definition is made.
            let resource = self.resource(item);
            let namespace = self.renamed(&item.namespace);
            if !namespace.is_empty() {
                self.ensure_namespace(&items, &item.namespace, &namespace);
            }
            match resource {
                Some(resource) => self.one(item, &resource, &namespace),
                None => self.error(
                    &namespace,
                    format!("the server could not find the requested resource: {}", item.resource),
                ),
            }
            self.results.restored += 1;
        }
    }

    fn resource(&self, item: &Item) -> Option<Arc<Resource>> {
        let (plural, group) = item.resource.split_once('.').unwrap_or((&item.resource, ""));
        self.cluster.api.catalog.stored(&crate::kube::catalog::stored_as(group, plural))
    }

    fn chooses(&self, item: &Item, resource: Option<&Resource>) -> bool {
        let spec = self.spec;
        let named = match resource {
            Some(resource) => choose::has_resource(spec, resource),
            None => choose::includes(&spec["includedResources"], &spec["excludedResources"], |it| {
                it == item.resource || item.resource.split('.').next() == Some(it)
            }),
        };
        let placed = match item.namespace.as_str() {
            "" if item.resource == "namespaces" => choose::has_namespace(spec, &item.name),
            "" => match spec["includeClusterResources"].as_bool() {
                Some(wanted) => wanted,
                None => {
                    choose::all_namespaces(spec)
                        || matches!(
                            item.resource.as_str(),
                            "persistentvolumes" | "customresourcedefinitions.apiextensions.k8s.io"
                        )
                }
            },
            namespace => choose::has_namespace(spec, namespace),
        };
        named
            && placed
            && !remake::NEVER.contains(&item.resource.as_str())
            && choose::has_labels(spec, &item.object)
            && item.object["metadata"]["labels"]["velero.io/exclude-from-backup"] != "true"
    }

    fn renamed(&self, namespace: &str) -> String {
        self.spec["namespaceMapping"][namespace].as_str().unwrap_or(namespace).to_owned()
    }

    fn warn(&mut self, namespace: &str, words: String) {
        self.results.log += &format!("level=warning msg={words:?}\n");
        self.results.warnings.entry(namespace.to_owned()).or_default().push(words);
    }

    fn error(&mut self, namespace: &str, words: String) {
        self.results.log += &format!("level=error msg={words:?}\n");
        self.results.errors.entry(namespace.to_owned()).or_default().push(words);
    }

    /// Makes a namespace as the backup has it, or a bare one.
    fn ensure_namespace(&mut self, items: &[&Item], old: &str, new: &str) {
        if self.cluster.get(&Cluster::key("/namespaces", "", new)).is_some() {
            return;
        }
        let kept = items.iter().find(|item| item.resource == "namespaces" && item.name == old);
        let mut object = kept.map_or_else(
            || json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {}}),
            |item| item.object.clone(),
        );
        remake::reset(&mut object);
        object["metadata"]["name"] = new.into();
        remake::mark(&mut object, self.backup, self.name);
        if let Err(refused) = self.cluster.create(NAME, "/namespaces", &object) {
            self.error(new, format!("error creating namespace {new}: {refused}"));
        }
    }

    fn one(&mut self, item: &Item, resource: &Resource, namespace: &str) {
        let place = format!("{}/{}", item.resource, item.name);
        if remake::is_done(item) {
            self.results.log += &format!("level=info msg=\"{place} is complete - skipping\"\n");
            return;
        }
        let mut object = item.object.clone();
        remake::reset(&mut object);
        let Some(mut object) = remake::prepare(item, object, |it| self.renamed(it)) else {
            self.results.log += &format!("level=info msg=\"Skipping restore of {place}\"\n");
            return;
        };
        if resource.namespaced {
            object["metadata"]["namespace"] = namespace.into();
        } else if item.resource == "namespaces" {
            object["metadata"]["name"] = self.renamed(&item.name).into();
        }
        remake::mark(&mut object, self.backup, self.name);
        let name = meta(&object, "name").to_owned();
        let key = Cluster::key(&resource.stored_as, namespace, &name);
        if let Some(there) = self.cluster.get(&key) {
            return self.beside(item, namespace, &key, &there, object);
        }
        match self.cluster.create(NAME, &resource.stored_as, &object) {
            Ok(_) => self.restore_status(item, resource, &key),
            Err(refused) => {
                let full = format!("{}/{namespace}/{name}", item.resource);
                self.error(namespace, format!("error restoring {full}: {refused}"));
            }
        }
    }

    /// An object of the same name is there already.
    fn beside(&mut self, item: &Item, namespace: &str, key: &Key, there: &Value, wanted: Value) {
        // Its namespace was made a moment ago from the same backup.
        let own = there["metadata"]["labels"]["velero.io/restore-name"]
            == wanted["metadata"]["labels"]["velero.io/restore-name"];
        if item.resource == "namespaces" && own {
            return;
        }
        let mut same = there.clone();
        remake::reset(&mut same);
        remake::mark(&mut same, self.backup, self.name);
        let update = self.spec["existingResourcePolicy"] == "update";
        let equal = {
            let comparable = remake::prepare(item, same, |it| self.renamed(it));
            comparable.is_some_and(|it| it == wanted)
        };
        if equal && !update {
            return;
        }
        if !update && item.resource != "serviceaccounts" {
            let kind = wanted["kind"].as_str().unwrap_or_default();
            let name = &key.name;
            let words = match self.spec["existingResourcePolicy"].as_str().unwrap_or_default() {
                "" => format!(
                    "could not restore, {kind}:{name} already exists. Warning: the in-cluster version is different than the backed-up version"
                ),
                _ => format!(
                    "could not restore, {kind} \"{name}\" already exists. Warning: the in-cluster version is different than the backed-up version"
                ),
            };
            self.warn(namespace, words);
            return;
        }
        let changed = self.cluster.change(NAME, key, |object| merge(object, &wanted));
        if let Err(refused) = changed {
            self.warn(namespace, refused.to_string());
        }
    }

    /// Writes the status of the backup, where the restore asks for it.
    fn restore_status(&mut self, item: &Item, resource: &Resource, key: &Key) {
        let wish = &self.spec["restoreStatus"];
        let status = &item.object["status"];
        if !wish.is_object() || status.is_null() || !resource.has_status() {
            return;
        }
        let is = |word: &str| choose::means(word, resource);
        // Without a list nothing is included here.
        let listed = !choose::texts(&wish["includedResources"]).is_empty();
        if listed && choose::includes(&wish["includedResources"], &wish["excludedResources"], is) {
            let written = self.cluster.change_status(NAME, key, |object| object["status"] = status.clone());
            if let Err(refused) = written {
                self.warn(&key.namespace, format!("could not restore the status of {}: {refused}", key.name));
            }
        }
    }
}

/// Lays one object over another, as a merge patch does; nothing is taken away.
fn merge(object: &mut Value, over: &Value) {
    match (object, over) {
        (Value::Object(object), Value::Object(over)) => {
            for (key, value) in over {
                merge(object.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (object, over) => *object = over.clone(),
    }
}
