//! Schedules.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{BACKUPS, NAME, time, until, write};
use crate::{
    kube::{object::meta, store::Key},
    play::{Cluster, cron::Cron},
};

/// How often a schedule is looked at whose backup is still being made.
const AGAIN: SignedDuration = SignedDuration::from_mins(1);

pub(super) fn reconcile(cluster: &Cluster, key: &Key, schedule: &Value) -> Option<SignedDuration> {
    let text = schedule["spec"]["schedule"].as_str().unwrap_or_default();
    let cron = match text {
        "" => Err("Schedule must be a non-empty valid Cron expression".to_owned()),
        text => Cron::parse(text).map_err(|why| format!("invalid schedule: {why}")),
    };
    let skips = schedule["spec"]["skipImmediately"] == true;
    let now = cluster.time();
    write(cluster, key, |schedule| {
        // Once it has skipped, the wish is fulfilled.
        schedule["spec"]["skipImmediately"] = false.into();
        if skips {
            schedule["status"]["lastSkipped"] = now.clone().into();
        }
        let status = &mut schedule["status"];
        match &cron {
            Ok(_) => {
                status["phase"] = "Enabled".into();
                drop(status.as_object_mut().map(|status| status.remove("validationErrors")));
            }
            Err(why) => {
                status["phase"] = "FailedValidation".into();
                status["validationErrors"] = json!([why]);
            }
        }
    });
    let cron = cron.ok()?;
    if schedule["spec"]["paused"] == true {
        return None;
    }
    let schedule = cluster.get(key)?;
    let status = &schedule["status"];
    let made = time(&schedule["metadata"]["creationTimestamp"]);
    let last = time(&status["lastBackup"]).or(made).max(time(&status["lastSkipped"]))?;
    let next = cron.next(last)?;
    // It is due after its moment, and not at it.
    if cluster.now() <= next {
        return Some(until(cluster, next) + SignedDuration::from_secs(1));
    }
    if is_busy(cluster, key) {
        return Some(AGAIN);
    }
    submit(cluster, key, &schedule);
    let next = cron.next(cluster.now())?;
    Some(until(cluster, next) + SignedDuration::from_secs(1))
}

/// Whether a backup of this schedule has not ended yet.
fn is_busy(cluster: &Cluster, key: &Key) -> bool {
    cluster.list(BACKUPS, Some(&key.namespace)).iter().any(|backup| {
        backup["metadata"]["labels"]["velero.io/schedule-name"] == key.name.as_str()
            && matches!(backup["status"]["phase"].as_str().unwrap_or_default(), "" | "New" | "InProgress")
    })
}

fn submit(cluster: &Cluster, key: &Key, schedule: &Value) {
    let stamp = cluster.now().strftime("%Y%m%d%H%M%S").to_string();
    let mut labels = schedule["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels
        .extend(schedule["spec"]["template"]["metadata"]["labels"].as_object().cloned().unwrap_or_default());
    labels.insert("velero.io/schedule-name".into(), key.name.clone().into());
    let mut spec = schedule["spec"]["template"].clone();
    if !spec.is_object() {
        spec = json!({});
    }
    let mut backup = json!({
        "apiVersion": "velero.io/v1", "kind": "Backup",
        "metadata": { "namespace": key.namespace, "name": format!("{}-{stamp}", key.name), "labels": labels },
        "spec": spec,
    });
    if let Some(annotations) = schedule["metadata"]["annotations"].as_object() {
        let ours = |key: &str| key != "kubectl.kubernetes.io/last-applied-configuration";
        let kept: serde_json::Map<_, _> =
            annotations.iter().filter(|(key, _)| ours(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
        backup["metadata"]["annotations"] = kept.into();
    }
    if schedule["spec"]["useOwnerReferencesInBackup"] == true {
        backup["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "velero.io/v1", "kind": "Schedule", "name": key.name,
            "uid": meta(schedule, "uid"), "controller": true,
        }]);
    }
    if cluster.create(NAME, BACKUPS, &backup).is_ok() {
        let now = cluster.time();
        write(cluster, key, |schedule| schedule["status"]["lastBackup"] = now.clone().into());
    }
}
