//! What is said of a Deployment: counts, Available, Progressing.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    BY, KIND, has_deadline,
    rollout::subject,
    sets::{Sets, available, replicas},
};
use crate::{
    kube::object::time,
    play::{
        Cluster,
        cluster::Refused,
        workloads::objects::{at, condition, count, drop_condition, int, items, key_of, text},
    },
};

/// Sets a condition as the real controller does: one that says the same is left alone, times and all, and one that
/// changes goes to the end.
fn set(status: &mut Value, kind: &str, value: &str, reason: &str, message: &str, now: &str) {
    let mut since = now.to_owned();
    if let Some(old) = condition(status, kind).filter(|it| it["status"] == value) {
        if old["reason"] == reason {
            return;
        }
        since = text(&old["lastTransitionTime"]).to_owned();
    }
    replace(status, kind, value, reason, message, now, &since);
}

fn replace(status: &mut Value, kind: &str, value: &str, reason: &str, message: &str, now: &str, since: &str) {
    drop_condition(status, kind);
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    if let Some(all) = status["conditions"].as_array_mut() {
        all.push(json!({
            "type": kind, "status": value, "lastUpdateTime": now, "lastTransitionTime": since,
            "reason": reason, "message": message,
        }));
    }
}

/// Says that it goes forward.
pub fn progressing(cluster: &Cluster, sets: &mut Sets, reason: &str, message: &str) -> Result<(), Refused> {
    say(cluster, sets, "True", reason, message)
}

/// Says that it does not.
pub fn no_progress(cluster: &Cluster, sets: &mut Sets, reason: &str, message: &str) -> Result<(), Refused> {
    say(cluster, sets, "False", reason, message)
}

fn say(cluster: &Cluster, sets: &mut Sets, value: &str, reason: &str, message: &str) -> Result<(), Refused> {
    let now = cluster.time();
    let changed = cluster.change_status(BY, &key_of(KIND, &sets.deployment), |it| {
        set(&mut it["status"], "Progressing", value, reason, message, &now);
    })?;
    if let Some(changed) = changed {
        sets.deployment = changed;
    }
    Ok(())
}

/// Says that a rollout was paused or goes on; whether that was new.
pub fn pause_or_resume(cluster: &Cluster, deployment: &Value) -> Result<bool, Refused> {
    let reason = condition(&deployment["status"], "Progressing").map(|it| text(&it["reason"]));
    if !has_deadline(deployment) || reason == Some("ProgressDeadlineExceeded") {
        return Ok(false);
    }
    let paused = deployment["spec"]["paused"] == true;
    let (reason, message) = match (paused, reason == Some("DeploymentPaused")) {
        (true, false) => ("DeploymentPaused", "Deployment is paused"),
        (false, true) => ("DeploymentResumed", "Deployment is resumed"),
        _ => return Ok(false),
    };
    let now = cluster.time();
    cluster.change_status(BY, &key_of(KIND, deployment), |it| {
        set(&mut it["status"], "Progressing", "Unknown", reason, message, &now);
    })?;
    Ok(true)
}

/// Counts, and whether enough are available.
fn counted(cluster: &Cluster, sets: &Sets) -> Value {
    let mut status = sets.deployment["status"].clone();
    if !status.is_object() {
        status = json!({});
    }
    let actual = |set: &Value| int(&set["status"]["replicas"]);
    let there = sets.sum(available);
    status["observedGeneration"] = sets.deployment["metadata"]["generation"].clone();
    count(&mut status, "replicas", sets.sum(actual));
    count(&mut status, "updatedReplicas", sets.new.as_ref().map_or(0, |new| actual(new)));
    count(&mut status, "readyReplicas", sets.sum(|set| int(&set["status"]["readyReplicas"])));
    count(&mut status, "availableReplicas", there);
    count(&mut status, "unavailableReplicas", (sets.sum(replicas) - there).max(0));
    status["terminatingReplicas"] = sets.sum(|set| int(&set["status"]["terminatingReplicas"])).into();
    let now = cluster.time();
    if there >= sets.wanted() - sets.max_unavailable() {
        let words = "Deployment has minimum availability.";
        set(&mut status, "Available", "True", "MinimumReplicasAvailable", words, &now);
    } else {
        let words = "Deployment does not have minimum availability.";
        set(&mut status, "Available", "False", "MinimumReplicasUnavailable", words, &now);
    }
    status
}

/// Writes the status without a word on progress.
pub fn plain(cluster: &Cluster, sets: &Sets) -> Result<(), Refused> {
    let status = counted(cluster, sets);
    cluster.change_status(BY, &key_of(KIND, &sets.deployment), |it| it["status"] = status.clone()).map(drop)
}

/// Whether all replicas are new and available, and no old ones are left.
pub fn is_complete(sets: &Sets, status: &Value) -> bool {
    let wanted = sets.wanted();
    ["updatedReplicas", "replicas", "availableReplicas"].iter().all(|key| int(&status[*key]) == wanted)
        && int(&status["observedGeneration"]) >= int(&sets.deployment["metadata"]["generation"])
}

/// Whether something has gone forward since the last status.
fn has_progressed(old: &Value, new: &Value) -> bool {
    let of = |status: &Value, key: &str| int(&status[key]);
    let left = |status: &Value| of(status, "replicas") - of(status, "updatedReplicas");
    left(new) < left(old)
        || ["updatedReplicas", "readyReplicas", "availableReplicas"]
            .iter()
            .any(|key| of(new, key) > of(old, key))
}

/// Writes the status with progress; how long until the deadline must be looked at.
pub fn of_rollout(cluster: &Cluster, sets: &Sets) -> Result<Option<SignedDuration>, Refused> {
    let old = &sets.deployment["status"];
    let mut status = counted(cluster, sets);
    let (now, name) = (cluster.time(), subject(sets));
    let before = condition(old, "Progressing").cloned();
    let reason = before.as_ref().map_or("", |it| text(&it["reason"]));
    let rests =
        int(&status["replicas"]) == int(&status["updatedReplicas"]) && reason == "NewReplicaSetAvailable";
    let mut wait = None;
    if !has_deadline(&sets.deployment) {
        drop_condition(&mut status, "Progressing");
    } else if !rests {
        if is_complete(sets, &status) {
            let words = format!("{name} has successfully progressed.");
            set(&mut status, "Progressing", "True", "NewReplicaSetAvailable", &words, &now);
        } else if has_progressed(old, &status) {
            let words = format!("{name} is progressing.");
            let since = before.as_ref().filter(|it| it["status"] == "True");
            let since = since.map_or(now.clone(), |it| text(&it["lastTransitionTime"]).to_owned());
            replace(&mut status, "Progressing", "True", "ReplicaSetUpdated", &words, &now, &since);
        } else if is_overdue(cluster, sets, &status) {
            let words = format!("{name} has timed out progressing.");
            set(&mut status, "Progressing", "False", "ProgressDeadlineExceeded", &words, &now);
        }
        wait = until_deadline(cluster, sets, &status);
    }
    let failure =
        sets.new.iter().chain(&sets.old).find_map(|set| condition(&set["status"], "ReplicaFailure"));
    match failure {
        None => drop_condition(&mut status, "ReplicaFailure"),
        Some(failure) => {
            let (reason, message) = (text(&failure["reason"]), text(&failure["message"]));
            set(&mut status, "ReplicaFailure", text(&failure["status"]), reason, message, &now);
        }
    }
    cluster.change_status(BY, &key_of(KIND, &sets.deployment), |it| it["status"] = status.clone())?;
    Ok(wait)
}

fn until_deadline(cluster: &Cluster, sets: &Sets, status: &Value) -> Option<SignedDuration> {
    let condition = items(&status["conditions"]).find(|it| it["type"] == "Progressing")?;
    if matches!(text(&condition["reason"]), "NewReplicaSetAvailable" | "ProgressDeadlineExceeded") {
        return None;
    }
    let deadline = SignedDuration::from_secs(int(&sets.deployment["spec"]["progressDeadlineSeconds"]));
    let left = cluster.now().duration_until(at(&condition["lastUpdateTime"])? + deadline);
    Some(left.max(SignedDuration::ZERO) + SignedDuration::from_secs(1))
}

fn is_overdue(cluster: &Cluster, sets: &Sets, status: &Value) -> bool {
    let Some(condition) = condition(status, "Progressing") else { return false };
    match text(&condition["reason"]) {
        "NewReplicaSetAvailable" => false,
        "ProgressDeadlineExceeded" => true,
        _ => {
            let deadline = int(&sets.deployment["spec"]["progressDeadlineSeconds"]);
            let since = at(&condition["lastUpdateTime"]).unwrap_or_else(|| cluster.now());
            time(since + SignedDuration::from_secs(deadline)) < time(cluster.now())
        }
    }
}
