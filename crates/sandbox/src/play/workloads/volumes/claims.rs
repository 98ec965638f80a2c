//! A claim gets its volume: one that is there, or a new one.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    BOUND_BY, BY, CLAIMS, CLASSES, COMPLETED, PROVISIONED_BY, PROVISIONER_OF, SELECTED_NODE, VOLUMES,
    class_of,
};
use crate::{
    kube::{
        object::{is_going, meta},
        quantity::Quantity,
        select::Selector,
        store::{Change, Key},
    },
    play::{
        Cluster, Controller,
        cluster::Refused,
        workloads::{
            Pace,
            objects::{AGAIN, annotation, items, key_of, text},
        },
    },
};

/// Binds claims.
pub struct Claims {
    pace: Pace,
}

impl Claims {
    /// At that pace.
    pub fn new(pace: Pace) -> Self {
        Self { pace }
    }
}

impl Controller for Claims {
    fn watches(&self) -> &'static [&'static str] {
        &[CLAIMS, VOLUMES, CLASSES]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        let pending = || {
            let all = cluster.list(CLAIMS, None);
            all.iter().filter(|it| annotation(it, COMPLETED) != "yes").map(|it| key_of(CLAIMS, it)).collect()
        };
        match &*change.key.kind {
            CLAIMS => vec![change.key.clone()],
            VOLUMES => match &change.latest()["spec"]["claimRef"] {
                Value::Null => pending(),
                of => vec![Cluster::key(CLAIMS, text(&of["namespace"]), text(&of["name"]))],
            },
            _ => pending(),
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let claim = cluster.get(key)?;
        if is_going(&claim) {
            return None;
        }
        let outcome = match annotation(&claim, COMPLETED) {
            "yes" => self.keep(cluster, key, &claim),
            _ => self.find(cluster, key, &claim),
        };
        outcome.unwrap_or(Some(AGAIN))
    }
}

fn wanted(claim: &Value) -> i128 {
    Quantity::thousandths(&claim["spec"]["resources"]["requests"]["storage"])
}

fn capacity(volume: &Value) -> i128 {
    Quantity::thousandths(&volume["spec"]["capacity"]["storage"])
}

impl Claims {
    /// A claim that is bound: whether its volume is still there, and large enough.
    fn keep(&self, cluster: &Cluster, key: &Key, claim: &Value) -> Result<Option<SignedDuration>, Refused> {
        let name = text(&claim["spec"]["volumeName"]);
        let Some(volume) = cluster.get(&Cluster::key(VOLUMES, "", name)) else {
            if claim["status"]["phase"] != "Lost" {
                cluster.change_status(BY, key, |it| it["status"]["phase"] = "Lost".into())?;
                let words = "Bound claim has lost its PersistentVolume. Data on the volume is lost!";
                cluster.event(BY, claim, "Warning", "ClaimLost", words);
            }
            return Ok(None);
        };
        let grows = wanted(claim) > capacity(&volume);
        if grows && let Some(driver) = volume["spec"]["csi"]["driver"].as_str() {
            return self.grow(cluster, key, claim, &volume, driver);
        }
        settle(cluster, key, &volume)?;
        Ok(None)
    }

    fn grow(
        &self,
        cluster: &Cluster,
        key: &Key,
        claim: &Value,
        volume: &Value,
        driver: &str,
    ) -> Result<Option<SignedDuration>, Refused> {
        let by = format!("external-resizer {driver}");
        let Some(cloud) = cluster.around.cloud.clone() else { return Ok(None) };
        let bytes = u64::try_from(wanted(claim) / 1_000).unwrap_or(u64::MAX);
        match cloud.ensure_volume(&cluster.name, key, meta(claim, "uid"), bytes) {
            Ok(None) => Ok(Some(self.pace.poll)),
            Ok(Some(_)) => {
                let size = claim["spec"]["resources"]["requests"]["storage"].clone();
                cluster.change(&by, &key_of(VOLUMES, volume), |it| {
                    it["spec"]["capacity"]["storage"] = size.clone()
                })?;
                cluster.change_status(&by, key, |it| it["status"]["capacity"]["storage"] = size.clone())?;
                cluster.event(
                    &by,
                    claim,
                    "Normal",
                    "FileSystemResizeSuccessful",
                    "MountVolume.NodeExpandVolume succeeded for volume",
                );
                Ok(None)
            }
            Err(why) => {
                let words = format!(
                    "resize volume {:?} by resizer {driver:?} failed: rpc error: {why}",
                    meta(volume, "name")
                );
                cluster.event(&by, claim, "Warning", "VolumeResizeFailed", &words);
                Ok(Some(AGAIN))
            }
        }
    }

    /// A claim without a volume: one that fits, or a new one, or nothing yet.
    fn find(&self, cluster: &Cluster, key: &Key, claim: &Value) -> Result<Option<SignedDuration>, Refused> {
        let class = class_of(cluster, claim);
        let waits = class.as_ref().is_some_and(|it| it["volumeBindingMode"] == "WaitForFirstConsumer");
        let given = text(&claim["spec"]["volumeName"]);
        let volumes = cluster.list(VOLUMES, None);
        let mut fitting: Vec<&Arc<Value>> = volumes.iter().filter(|it| fits(it, claim, given)).collect();
        // The one that was set aside for it, then the smallest that is large enough.
        fitting
            .sort_by_key(|it| (it["spec"]["claimRef"].is_null(), capacity(it), meta(it, "name").to_owned()));
        let set_aside = |it: &Value| !it["spec"]["claimRef"].is_null() || !given.is_empty();
        if let Some(volume) = fitting.first().filter(|it| set_aside(it) || !waits || has_node(claim)) {
            bind(cluster, key, claim, volume)?;
            return Ok(None);
        }
        let Some(class) = class else {
            if given.is_empty() && claim["status"]["phase"] == "Pending" {
                let words = "no persistent volumes available for this claim and no storage class is set";
                told_once(cluster, claim, "FailedBinding", words);
            }
            return Ok(None);
        };
        if !given.is_empty() {
            return Ok(None);
        }
        if waits && !has_node(claim) {
            told_once(
                cluster,
                claim,
                "WaitForFirstConsumer",
                "waiting for first consumer to be created before binding",
            );
            return Ok(None);
        }
        match text(&class["provisioner"]) {
            "kubernetes.io/no-provisioner" => Ok(None),
            _ => self.provision(cluster, key, claim, &class),
        }
    }

    fn provision(
        &self,
        cluster: &Cluster,
        key: &Key,
        claim: &Value,
        class: &Value,
    ) -> Result<Option<SignedDuration>, Refused> {
        let driver = text(&class["provisioner"]);
        if annotation(claim, PROVISIONER_OF) != driver {
            cluster.change(BY, key, |it| it["metadata"]["annotations"][PROVISIONER_OF] = driver.into())?;
            let words = format!(
                "Waiting for a volume to be created either by the external provisioner '{driver}' or manually by the \
                 system administrator. If volume creation is delayed, please verify that the provisioner is running and \
                 correctly registered."
            );
            cluster.event(BY, claim, "Normal", "ExternalProvisioning", &words);
            let words = format!(
                "External provisioner is provisioning volume for claim {:?}",
                format!("{}/{}", key.namespace, key.name)
            );
            cluster.event(driver, claim, "Normal", "Provisioning", &words);
        }
        let Some(cloud) = cluster.around.cloud.clone() else { return Ok(None) };
        let bytes = u64::try_from(wanted(claim) / 1_000).unwrap_or(u64::MAX);
        let handle = match cloud.ensure_volume(&cluster.name, key, meta(claim, "uid"), bytes) {
            Ok(None) => return Ok(Some(self.pace.poll)),
            Ok(Some(handle)) => handle,
            Err(why) => {
                let words =
                    format!("failed to provision volume with StorageClass {:?}: {why}", meta(class, "name"));
                cluster.event(driver, claim, "Warning", "ProvisioningFailed", &words);
                return Ok(Some(AGAIN));
            }
        };
        let name = format!("pvc-{}", meta(claim, "uid"));
        let volume = json!({
            "apiVersion": "v1", "kind": "PersistentVolume",
            "metadata": { "name": name, "annotations": { PROVISIONED_BY: driver } },
            "spec": {
                "accessModes": claim["spec"]["accessModes"],
                "capacity": { "storage": claim["spec"]["resources"]["requests"]["storage"] },
                "claimRef": reference(claim),
                "csi": { "driver": driver, "volumeHandle": handle },
                "persistentVolumeReclaimPolicy": class["reclaimPolicy"],
                "storageClassName": meta(class, "name"), "volumeMode": claim["spec"]["volumeMode"],
            },
        });
        match cluster.create(driver, VOLUMES, &volume) {
            Err(refused) if refused.code != 409 => return Err(refused),
            _ => {}
        }
        cluster.event(
            driver,
            claim,
            "Normal",
            "ProvisioningSucceeded",
            &format!("Successfully provisioned volume {name}"),
        );
        let made = cluster.get(&Cluster::key(VOLUMES, "", &name));
        made.map_or(Ok(()), |made| bind(cluster, key, claim, &made)).map(|()| None)
    }
}

fn has_node(claim: &Value) -> bool {
    !annotation(claim, SELECTED_NODE).is_empty()
}

/// Tells what does not change until something else does.
fn told_once(cluster: &Cluster, claim: &Value, reason: &str, words: &str) {
    let events = cluster.list("/events", Some(meta(claim, "namespace")));
    let told =
        |it: &Arc<Value>| it["involvedObject"]["uid"] == claim["metadata"]["uid"] && it["reason"] == reason;
    if !events.iter().any(told) {
        cluster.event(BY, claim, "Normal", reason, words);
    }
}

fn reference(claim: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": meta(claim, "namespace"),
        "name": meta(claim, "name"), "uid": meta(claim, "uid"), "resourceVersion": meta(claim, "resourceVersion"),
    })
}

/// Whether a volume is free for a claim (or set aside for it) and what it asks for.
fn fits(volume: &Value, claim: &Value, given: &str) -> bool {
    let (spec, asked) = (&volume["spec"], &claim["spec"]);
    let of = &spec["claimRef"];
    let set_aside = of["namespace"] == claim["metadata"]["namespace"]
        && of["name"] == claim["metadata"]["name"]
        && (of["uid"].is_null() || of["uid"] == claim["metadata"]["uid"]);
    if is_going(volume)
        || (!of.is_null() && !set_aside)
        || (!given.is_empty() && meta(volume, "name") != given)
    {
        return false;
    }
    let modes = items(&asked["accessModes"]).all(|mode| items(&spec["accessModes"]).any(|it| it == mode));
    let same_mode = spec["volumeMode"] == asked["volumeMode"];
    let large = capacity(volume) >= wanted(claim);
    if set_aside || !given.is_empty() {
        return modes && same_mode && large;
    }
    let selector = Selector::of_object(&asked["selector"]).unwrap_or_default();
    let free = matches!(text(&volume["status"]["phase"]), "Available" | "Pending");
    let class = text(&spec["storageClassName"]) == text(&asked["storageClassName"]);
    free && class && modes && same_mode && large && selector.matches(volume)
}

/// Binds a claim and a volume to each other: first the volume says so, then the claim.
fn bind(cluster: &Cluster, key: &Key, claim: &Value, volume: &Value) -> Result<(), Refused> {
    let by_itself = volume["spec"]["claimRef"].is_null();
    cluster.change(BY, &key_of(VOLUMES, volume), |it| {
        if it["spec"]["claimRef"]["uid"] != claim["metadata"]["uid"] {
            it["spec"]["claimRef"] = reference(claim);
        }
        if by_itself {
            it["metadata"]["annotations"][BOUND_BY] = "yes".into();
        }
    })?;
    let chosen = text(&claim["spec"]["volumeName"]).is_empty();
    cluster.change(BY, key, |it| {
        it["spec"]["volumeName"] = meta(volume, "name").into();
        it["metadata"]["annotations"][COMPLETED] = "yes".into();
        if chosen {
            it["metadata"]["annotations"][BOUND_BY] = "yes".into();
        }
    })?;
    settle(cluster, key, volume)
}

/// Both say that they are bound.
fn settle(cluster: &Cluster, key: &Key, volume: &Value) -> Result<(), Refused> {
    cluster.change_status(BY, &key_of(VOLUMES, volume), |it| it["status"]["phase"] = "Bound".into())?;
    let (modes, capacity) = (volume["spec"]["accessModes"].clone(), volume["spec"]["capacity"].clone());
    cluster.change_status(BY, key, |it| {
        let status = &mut it["status"];
        if status["phase"] != "Bound" {
            status["phase"] = "Bound".into();
            status["accessModes"] = modes.clone();
            status["capacity"] = capacity.clone();
        }
    })?;
    Ok(())
}
