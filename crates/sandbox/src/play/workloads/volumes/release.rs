//! What becomes of a volume: it is free, or bound, or its claim is gone.

use jiff::SignedDuration;
use serde_json::Value;

use super::{BY, CLAIMS, VOLUMES};
use crate::{
    kube::{
        object::{is_going, meta, time},
        store::{Change, Key},
    },
    play::{
        Cluster, Controller,
        workloads::{
            Pace,
            objects::{AGAIN, annotation, text},
        },
    },
};

/// Keeps the phases of volumes, and removes those whose claims are gone.
pub struct Volumes {
    pace: Pace,
}

impl Volumes {
    /// At that pace.
    pub fn new(pace: Pace) -> Self {
        Self { pace }
    }

    fn phase(cluster: &Cluster, key: &Key, phase: &str) -> Option<SignedDuration> {
        let now = time(cluster.now());
        let written = cluster.change_status(BY, key, |it| {
            if it["status"]["phase"] != phase {
                it["status"]["phase"] = phase.into();
                it["status"]["lastPhaseTransitionTime"] = now.as_str().into();
            }
        });
        written.is_err().then_some(AGAIN)
    }

    /// Removes what a volume stands for, and then the volume.
    fn remove(&self, cluster: &Cluster, key: &Key, volume: &Value) -> Option<SignedDuration> {
        let cloud = cluster.around.cloud.clone()?;
        let driver = text(&volume["spec"]["csi"]["driver"]);
        match cloud.remove_volume(&cluster.name, text(&volume["spec"]["csi"]["volumeHandle"])) {
            Ok(false) => Some(self.pace.poll),
            Ok(true) => cluster.delete(driver, key).is_err().then_some(AGAIN),
            Err(why) => {
                cluster.event(driver, volume, "Warning", "VolumeFailedDelete", &why);
                Some(AGAIN)
            }
        }
    }
}

impl Controller for Volumes {
    fn watches(&self) -> &'static [&'static str] {
        &[VOLUMES, CLAIMS]
    }

    fn concerned(&self, _: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            VOLUMES => vec![change.key.clone()],
            _ => match text(&change.latest()["spec"]["volumeName"]) {
                "" => Vec::new(),
                name => vec![Cluster::key(VOLUMES, "", name)],
            },
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let volume = cluster.get(key)?;
        let of = &volume["spec"]["claimRef"];
        if of["uid"].is_null() {
            return if is_going(&volume) { None } else { Self::phase(cluster, key, "Available") };
        }
        let claim = cluster.get(&Cluster::key(CLAIMS, text(&of["namespace"]), text(&of["name"])));
        if claim.is_some_and(|it| meta(&it, "uid") == text(&of["uid"])) {
            return None;
        }
        if is_going(&volume) {
            return None;
        }
        let made_here = !annotation(&volume, super::PROVISIONED_BY).is_empty();
        let removes = volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete" && made_here;
        Self::phase(cluster, key, "Released")
            .or_else(|| if removes { self.remove(cluster, key, &volume) } else { None })
    }
}
