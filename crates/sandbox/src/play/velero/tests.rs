//! Velero on a cluster and a bucket in memory.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{BACKUPS, DELETIONS, LOCATIONS, RESTORES, SCHEDULES, Velero};
use crate::{
    kube::{Answer, Api, Ask, object::Ids},
    play::{
        Cluster, Players,
        around::{Around, Objects},
    },
    s3::{Asker, Gate, Key, KeyTable, Store, list::Wanted},
};

/// Clusters with one clock and one bucket.
struct World {
    clock: Arc<AtomicI64>,
    gate: Gate,
}

/// One of its clusters.
struct Site {
    players: Players,
    clock: Arc<AtomicI64>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let keys = KeyTable::default();
        keys.put(Key {
            id: "VELERO".into(),
            secret: "s3cret".into(),
            token: None,
            expires: None,
            asker: Asker::root("1"),
        });
        let store = Store::new(now(&clock), Arc::new(Ids::new(9)));
        store.create_bucket("1", "backups", "us-east-1", false).expect("made");
        Self { gate: Gate { store: Arc::new(store), keys: Arc::new(keys) }, clock }
    }

    fn site(&self, seed: u64) -> Site {
        let api = Api::new(now(&self.clock), seed);
        let objects = Objects { gate: self.gate.clone(), own: None };
        let around = Around { objects: Some(objects), ..Around::default() };
        let cluster = Cluster { name: format!("cluster-{seed}").into(), api, around };
        let site = Site { players: Players::new(cluster, vec![Box::new(Velero)]), clock: self.clock.clone() };
        for (plural, kind) in [
            ("backupstoragelocations", "BackupStorageLocation"),
            ("volumesnapshotlocations", "VolumeSnapshotLocation"),
            ("schedules", "Schedule"),
            ("backups", "Backup"),
            ("restores", "Restore"),
            ("deletebackuprequests", "DeleteBackupRequest"),
            ("backuprepositories", "BackupRepository"),
        ] {
            site.make("apiextensions.k8s.io/customresourcedefinitions", definition(plural, kind));
        }
        site.make(
            "/namespaces",
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "velero"}}),
        );
        site.secret("s3cret");
        site.make(
            "apps/deployments",
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"namespace": "velero", "name": "velero"},
                "spec": {
                    "selector": {"matchLabels": {"app": "velero"}},
                    "template": {
                        "metadata": {"labels": {"app": "velero"}},
                        "spec": {"containers": [{"name": "velero", "image": "velero/velero:v1.18.3"}]},
                    },
                },
            }),
        );
        site.available(true);
        site.make(
            LOCATIONS,
            json!({
                "apiVersion": "velero.io/v1", "kind": "BackupStorageLocation",
                "metadata": {"namespace": "velero", "name": "default"},
                "spec": {
                    "provider": "aws", "default": true,
                    "objectStorage": {"bucket": "backups", "prefix": "eu"},
                },
            }),
        );
        site
    }
}

fn now(clock: &Arc<AtomicI64>) -> crate::kube::object::Now {
    let clock = clock.clone();
    Arc::new(move || Timestamp::from_second(clock.load(Ordering::Relaxed)).expect("a time"))
}

fn definition(plural: &str, kind: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.velero.io")},
        "spec": {
            "group": "velero.io", "scope": "Namespaced",
            "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
            }],
        },
    })
}

impl Site {
    fn cluster(&self) -> &Cluster {
        self.players.cluster()
    }

    fn make(&self, kind: &str, object: Value) {
        self.cluster().create("test", kind, &object).expect("made");
    }

    fn secret(&self, secret: &str) {
        let file = format!("[default]\naws_access_key_id = VELERO\naws_secret_access_key={secret}\n");
        let key = Cluster::key("/secrets", "velero", "cloud-credentials");
        let data = json!({"cloud": STANDARD.encode(file)});
        if self.cluster().get(&key).is_some() {
            self.cluster().change("test", &key, |it| it["data"] = data.clone()).expect("changed");
            return;
        }
        let meta = json!({"namespace": "velero", "name": "cloud-credentials"});
        self.make("/secrets", json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data}));
    }

    fn available(&self, available: bool) {
        let key = Cluster::key("apps/deployments", "velero", "velero");
        let time = self.cluster().time();
        let status = json!({
            "replicas": 1, "availableReplicas": i32::from(available),
            "conditions": [{"type": "Available", "status": "True", "lastTransitionTime": time}],
        });
        self.cluster().change_status("test", &key, |it| it["status"] = status.clone()).expect("changed");
    }

    fn config(&self, namespace: &str, name: &str, value: &str) {
        if self.cluster().get(&Cluster::key("/namespaces", "", namespace)).is_none() {
            let meta = json!({"name": namespace, "labels": {"team": "x"}});
            self.make("/namespaces", json!({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}));
        }
        let meta = json!({"namespace": namespace, "name": name, "labels": {"app": name}});
        let object =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"value": value}});
        self.make("/configmaps", object);
    }

    fn value(&self, namespace: &str, name: &str) -> Option<String> {
        let object = self.cluster().get(&Cluster::key("/configmaps", namespace, name))?;
        object["data"]["value"].as_str().map(str::to_owned)
    }

    fn velero(&self, kind: &str, name: &str, spec: Value) {
        let of = match kind {
            BACKUPS => "Backup",
            RESTORES => "Restore",
            SCHEDULES => "Schedule",
            _ => "DeleteBackupRequest",
        };
        let meta = json!({"namespace": "velero", "name": name});
        self.make(kind, json!({"apiVersion": "velero.io/v1", "kind": of, "metadata": meta, "spec": spec}));
    }

    fn get(&self, kind: &str, name: &str) -> Value {
        self.cluster().get(&Cluster::key(kind, "velero", name)).map_or(Value::Null, |it| Value::clone(&it))
    }

    fn phase(&self, kind: &str, name: &str) -> String {
        self.get(kind, name)["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    /// Lets time pass, and everything happen that is due in it.
    fn pass(&mut self, seconds: i64) {
        let end = self.clock.load(Ordering::Relaxed) + seconds;
        while let Some(next) = self.players.settle().map(|next| next.as_second()).filter(|next| *next <= end)
        {
            let now = self.clock.load(Ordering::Relaxed);
            self.clock.store(next.max(now), Ordering::Relaxed);
        }
        self.clock.store(end, Ordering::Relaxed);
        self.players.settle();
    }

    fn delete(&self, namespace: &str, kind: &str, name: &str) {
        self.cluster().delete("test", &Cluster::key(kind, namespace, name)).expect("deleted");
    }

    fn kubectl_delete_namespace(&self, name: &str) {
        let ask =
            Ask { method: "DELETE".into(), path: format!("/api/v1/namespaces/{name}"), ..Ask::default() };
        assert!(matches!(self.cluster().api.answer(&ask), Answer::Json { code: 200, .. }), "{name}");
    }
}

#[test]
fn a_location_is_as_available_as_its_bucket() {
    let world = World::new();
    let mut site = world.site(1);
    site.pass(1);
    let status = |site: &Site| site.get(LOCATIONS, "default")["status"].clone();
    assert_eq!(status(&site)["phase"], "Available", "{}", status(&site));
    site.secret("wrong");
    site.pass(61);
    let words = status(&site)["message"].as_str().unwrap_or_default().to_owned();
    assert_eq!(status(&site)["phase"], "Unavailable");
    assert!(
        words.starts_with("BackupStorageLocation \"default\" is unavailable: rpc error")
            && words.contains("SignatureDoesNotMatch"),
        "{words}"
    );
    site.velero(BACKUPS, "one", json!({}));
    site.pass(5);
    assert_eq!(site.phase(BACKUPS, "one"), "FailedValidation");
    site.secret("s3cret");
    // As our program asks for another look.
    let key = Cluster::key(LOCATIONS, "velero", "default");
    site.cluster()
        .change("test", &key, |it| {
            drop(it["status"].as_object_mut().map(|it| it.remove("lastValidationTime")))
        })
        .expect("changed");
    site.pass(0);
    assert_eq!(status(&site)["phase"], "Available");
    assert!(status(&site)["message"].is_null());
    let bucket = |site: &Site, name: &str| {
        let name = name.to_owned();
        site.cluster()
            .change("test", &key, |it| it["spec"]["objectStorage"]["bucket"] = name.clone().into())
            .expect("changed");
    };
    bucket(&site, "nowhere");
    site.pass(0);
    assert!(
        status(&site)["message"]
            .as_str()
            .is_some_and(|it| it.contains("NoSuchBucket") || it.contains("StatusCode: 404")),
        "{}",
        status(&site)
    );
}

#[test]
fn a_backup_is_in_the_bucket_and_comes_back_in_another_cluster() {
    let world = World::new();
    let mut one = world.site(1);
    one.config("shop", "web", "red");
    one.config("other", "web", "blue");
    one.velero(BACKUPS, "first", json!({"includedNamespaces": ["shop"]}));
    one.pass(0);
    assert_eq!(one.phase(BACKUPS, "first"), "InProgress");
    one.pass(5);
    let backup = one.get(BACKUPS, "first");
    assert_eq!(backup["status"]["phase"], "Completed", "{backup}");
    assert!(backup["status"]["progress"]["itemsBackedUp"].as_u64().is_some_and(|it| it >= 2), "{backup}");
    let wanted = Wanted { prefix: "eu/backups/first/".into(), most: 100, ..Wanted::default() };
    let there = world.gate.store.list("backups", &wanted).expect("listed").versions;
    assert!(there.iter().any(|(it, _)| it.key == "eu/backups/first/first.tar.gz" && it.sum.is_some()));

    // Another cluster, the same bucket: the backup appears there.
    let mut two = world.site(2);
    two.pass(61);
    assert_eq!(two.phase(BACKUPS, "first"), "Completed");
    two.velero(RESTORES, "back", json!({"backupName": "first", "namespaceMapping": {"shop": "store"}}));
    two.pass(5);
    let restore = two.get(RESTORES, "back");
    assert_eq!(restore["status"]["phase"], "Completed", "{restore}");
    assert_eq!((two.value("store", "web").as_deref(), two.value("other", "web")), (Some("red"), None));
    let labels = two.cluster().get(&Cluster::key("/configmaps", "store", "web")).expect("there")["metadata"]
        ["labels"]
        .clone();
    assert_eq!(
        labels,
        json!({"app": "web", "velero.io/backup-name": "first", "velero.io/restore-name": "back"})
    );
    let namespace = two.cluster().get(&Cluster::key("/namespaces", "", "store")).expect("there");
    assert_eq!(namespace["metadata"]["labels"]["team"], "x");
}

#[test]
fn a_backup_that_is_asked_for_what_is_in_volumes_is_not_whole() {
    let world = World::new();
    let mut one = world.site(1);
    one.config("shop", "web", "red");
    let pod = |name: &str, volume: Value| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": "shop", "name": name},
            "spec": {
                "nodeName": "n", "volumes": [volume],
                "containers": [{"name": "c", "image": "i:1"}],
            },
        })
    };
    for (name, volume) in [
        ("db", json!({"name": "data", "emptyDir": {}})),
        ("web", json!({"name": "conf", "configMap": {"name": "web"}})),
    ] {
        one.make("/pods", pod(name, volume));
        let key = Cluster::key("/pods", "shop", name);
        let said = one.cluster().change_status("test", &key, |it| it["status"]["phase"] = "Running".into());
        said.expect("allowed");
    }
    for (name, by_default, phase, errors) in
        [("plain", false, "Completed", json!(null)), ("all", true, "PartiallyFailed", json!(1))]
    {
        let spec = json!({"includedNamespaces": ["shop"], "defaultVolumesToFsBackup": by_default});
        one.velero(BACKUPS, name, spec);
        one.pass(5);
        let status = one.get(BACKUPS, name)["status"].clone();
        assert_eq!((&status["phase"], &status["errors"]), (&json!(phase), &errors), "{status}");
    }
    // All else is in it.
    one.delete("shop", "/configmaps", "web");
    one.velero(RESTORES, "back", json!({"backupName": "all"}));
    one.pass(5);
    assert_eq!(one.value("shop", "web").as_deref(), Some("red"));
}

#[test]
fn what_exists_is_left_alone_unless_it_shall_be_updated() {
    let world = World::new();
    let mut site = world.site(1);
    site.config("shop", "web", "red");
    site.config("shop", "same", "same");
    site.velero(BACKUPS, "first", json!({"includedNamespaces": ["shop"], "labelSelector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}));
    site.pass(5);
    assert_eq!(site.phase(BACKUPS, "first"), "Completed");
    let key = Cluster::key("/configmaps", "shop", "web");
    site.cluster().change("test", &key, |it| it["data"]["value"] = "changed".into()).expect("changed");
    site.velero(RESTORES, "one", json!({"backupName": "first"}));
    site.pass(5);
    assert_eq!(site.value("shop", "web").as_deref(), Some("changed"));
    assert_eq!(site.get(RESTORES, "one")["status"]["warnings"], 1, "{}", site.get(RESTORES, "one"));
    site.velero(RESTORES, "two", json!({"backupName": "first", "existingResourcePolicy": "update"}));
    site.pass(5);
    assert_eq!(site.value("shop", "web").as_deref(), Some("red"));
    assert_eq!(site.phase(RESTORES, "two"), "Completed");
    site.kubectl_delete_namespace("shop");
    site.velero(RESTORES, "three", json!({"backupName": "first"}));
    site.pass(5);
    assert_eq!(site.value("shop", "web").as_deref(), Some("red"), "{}", site.get(RESTORES, "three"));
    site.velero(RESTORES, "none", json!({"backupName": "nowhere"}));
    site.pass(5);
    assert_eq!(
        site.get(RESTORES, "none")["status"]["validationErrors"],
        json!(["Error retrieving backup: backup.velero.io \"nowhere\" not found"])
    );
}

#[test]
fn schedules_make_backups_that_end_in_time() {
    let world = World::new();
    let mut site = world.site(1);
    site.config("shop", "web", "red");
    site.velero(SCHEDULES, "wrong", json!({"schedule": "whenever", "template": {}}));
    let template = json!({"includedNamespaces": ["shop"], "ttl": "2h"});
    site.velero(SCHEDULES, "hourly", json!({"schedule": "0 * * * *", "template": template}));
    site.pass(1);
    assert_eq!(site.phase(SCHEDULES, "wrong"), "FailedValidation");
    assert_eq!(
        site.get(SCHEDULES, "wrong")["status"]["validationErrors"],
        json!(["invalid schedule: expected exactly 5 fields, found 1: [whenever]"])
    );
    assert_eq!(site.phase(SCHEDULES, "hourly"), "Enabled");
    let names = |site: &Site| -> Vec<String> {
        let all = site.cluster().list(BACKUPS, Some("velero"));
        all.iter().map(|it| it["metadata"]["name"].as_str().unwrap_or_default().to_owned()).collect()
    };
    site.pass(3_600);
    let first = names(&site);
    assert_eq!(first, ["hourly-20270115090001"], "the clock began at 08:00");
    assert_eq!(site.get(BACKUPS, &first[0])["metadata"]["labels"]["velero.io/schedule-name"], "hourly");
    site.pass(600);
    assert_eq!(site.phase(BACKUPS, &first[0]), "Completed");
    site.pass(4 * 3_600);
    let left = names(&site);
    assert!(!left.contains(&first[0]) && !left.is_empty() && left.len() <= 4, "{left:?}");
    let wanted = Wanted { prefix: format!("eu/backups/{}/", first[0]), most: 100, ..Wanted::default() };
    assert!(world.gate.store.list("backups", &wanted).expect("listed").versions.is_empty());
}

#[test]
fn a_backup_goes_when_it_is_asked_to_and_one_that_was_interrupted_is_lost() {
    let world = World::new();
    let mut site = world.site(1);
    site.config("shop", "web", "red");
    site.velero(BACKUPS, "first", json!({"includedNamespaces": ["shop"]}));
    site.pass(5);
    site.velero(DELETIONS, "gone", json!({"backupName": "first"}));
    site.pass(5);
    assert_eq!((site.get(BACKUPS, "first"), site.get(DELETIONS, "gone")), (Value::Null, Value::Null));
    site.pass(300);
    assert_eq!(site.get(BACKUPS, "first"), Value::Null, "nor does it come back");
    site.velero(DELETIONS, "again", json!({"backupName": "first"}));
    site.pass(5);
    assert_eq!(site.get(DELETIONS, "again")["status"]["errors"], json!(["backup not found"]));

    site.velero(BACKUPS, "second", json!({"includedNamespaces": ["shop"]}));
    site.pass(0);
    assert_eq!(site.phase(BACKUPS, "second"), "InProgress");
    site.available(false);
    site.pass(60);
    assert_eq!(site.phase(BACKUPS, "second"), "InProgress", "nobody is there");
    site.available(true);
    site.pass(1);
    let second = site.get(BACKUPS, "second");
    assert_eq!(second["status"]["phase"], "Failed");
    assert!(
        second["status"]["failureReason"]
            .as_str()
            .is_some_and(|it| it.contains("during the server starting"))
    );
    site.delete("velero", BACKUPS, "second");
    // The store refuses while it is being written.
    site.velero(BACKUPS, "third", json!({"includedNamespaces": ["shop"]}));
    site.pass(0);
    site.secret("wrong");
    site.pass(5);
    assert_eq!(site.phase(BACKUPS, "third"), "Failed");
}
