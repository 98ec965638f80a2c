//! How well an object is, as Argo CD's built-in assessments have it.

use serde_json::{Value, json};

use super::model::{HOOK_FINALIZER, group_version, items, text};
use crate::kube::object::{finalizers, is_going, meta};

/// States from best to worst.
const ORDER: [&str; 6] = ["Healthy", "Suspended", "Progressing", "Missing", "Degraded", "Unknown"];

/// Health of one object: a state and, often, words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// `Healthy`, `Progressing`, …
    pub status: &'static str,
    /// Why.
    pub message: String,
}

impl Health {
    fn new(status: &'static str, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// As objects hold it.
    pub fn value(&self) -> Value {
        let mut value = json!({ "status": self.status });
        if !self.message.is_empty() {
            value["message"] = self.message.clone().into();
        }
        value
    }
}

/// Whether `new` is worse than `old`.
pub fn is_worse(old: &str, new: &str) -> bool {
    let rank = |status: &str| ORDER.iter().position(|it| *it == status);
    rank(new) > rank(old)
}

/// The state by that name.
pub fn named(status: &str) -> Option<&'static str> {
    ORDER.into_iter().find(|it| *it == status)
}

/// Health of an object; `None` for kinds that have none. `of_applications`: whether the settings give Applications the
/// health of what they deploy.
pub fn of(object: &Value, of_applications: bool) -> Option<Health> {
    if is_going(object) && !finalizers(object).contains(&HOOK_FINALIZER) {
        return Some(Health::new("Progressing", "Pending deletion"));
    }
    let (group, _) = group_version(object);
    Some(match (group, text(object, "kind")) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "Service") => return service(object),
        ("", "PersistentVolumeClaim") => Health::new(
            match text(&object["status"], "phase") {
                "Lost" => "Degraded",
                "Pending" => "Progressing",
                "Bound" => "Healthy",
                _ => "Unknown",
            },
            "",
        ),
        ("networking.k8s.io" | "extensions", "Ingress") => {
            Health::new(if has_address(object) { "Healthy" } else { "Progressing" }, "")
        }
        ("autoscaling", "HorizontalPodAutoscaler") => autoscaler(object),
        ("policy", "PodDisruptionBudget") => budget(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => match condition(object, "Available") {
            Some(it) if text(it, "status") == "True" => {
                Health::new("Healthy", format!("{}: {}", text(it, "reason"), text(it, "message")))
            }
            Some(it) => {
                Health::new("Progressing", format!("{}: {}", text(it, "reason"), text(it, "message")))
            }
            None => Health::new("Progressing", "Waiting to be processed"),
        },
        ("cert-manager.io", "Certificate") => match condition(object, "Issuing") {
            Some(it) if text(it, "status") == "True" => Health::new("Progressing", text(it, "message")),
            _ => ready(object, "Waiting for certificate"),
        },
        ("cert-manager.io", "Issuer") => ready(object, "Initializing issuer"),
        ("cert-manager.io", "ClusterIssuer") => ready(object, "Initializing ClusterIssuer"),
        ("argoproj.io", "Application") if of_applications => {
            let health = &object["status"]["health"];
            Health::new(named(text(health, "status")).unwrap_or("Progressing"), text(health, "message"))
        }
        _ => return None,
    })
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    items(&object["status"]["conditions"]).find(|it| it["type"] == kind)
}

fn number(value: &Value, key: &str) -> i64 {
    value[key].as_i64().unwrap_or(0)
}

fn is_observed(object: &Value) -> bool {
    number(&object["metadata"], "generation") <= number(&object["status"], "observedGeneration")
}

fn deployment(object: &Value) -> Health {
    let (spec, status) = (&object["spec"], &object["status"]);
    if spec["paused"] == true {
        return Health::new("Suspended", "Deployment is paused");
    }
    if !is_observed(object) {
        return Health::new(
            "Progressing",
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        );
    }
    if condition(object, "Progressing").is_some_and(|it| it["reason"] == "ProgressDeadlineExceeded") {
        let name = meta(object, "name");
        return Health::new("Degraded", format!("Deployment \"{name}\" exceeded its progress deadline"));
    }
    let (updated, all) = (number(status, "updatedReplicas"), number(status, "replicas"));
    let available = number(status, "availableReplicas");
    let message = match spec["replicas"].as_i64() {
        Some(wanted) if updated < wanted => {
            format!("{updated} out of {wanted} new replicas have been updated")
        }
        _ if all > updated => format!("{} old replicas are pending termination", all - updated),
        _ if available < updated => format!("{available} of {updated} updated replicas are available"),
        _ => return Health::new("Healthy", ""),
    };
    Health::new("Progressing", format!("Waiting for rollout to finish: {message}..."))
}

fn stateful_set(object: &Value) -> Health {
    let (spec, status) = (&object["spec"], &object["status"]);
    if number(status, "observedGeneration") == 0 || !is_observed(object) {
        return Health::new("Progressing", "Waiting for statefulset spec update to be observed...");
    }
    let ready = number(status, "readyReplicas");
    if let Some(wanted) = spec["replicas"].as_i64()
        && ready < wanted
    {
        return Health::new("Progressing", format!("Waiting for {} pods to be ready...", wanted - ready));
    }
    let (updated, strategy) = (number(status, "updatedReplicas"), &spec["updateStrategy"]);
    if strategy["type"] == "RollingUpdate" && strategy["rollingUpdate"].is_object() {
        if let (Some(wanted), Some(partition)) =
            (spec["replicas"].as_i64(), strategy["rollingUpdate"]["partition"].as_i64())
            && updated < wanted - partition
        {
            let message = format!(
                "Waiting for partitioned roll out to finish: {updated} out of {} new pods have been updated...",
                wanted - partition
            );
            return Health::new("Progressing", message);
        }
        let message = format!("partitioned roll out complete: {updated} new pods have been updated...");
        return Health::new("Healthy", message);
    }
    if strategy["type"] == "OnDelete" {
        return Health::new("Healthy", format!("statefulset has {ready} ready pods"));
    }
    let (to, at) = (text(status, "updateRevision"), text(status, "currentRevision"));
    if to != at {
        let message =
            format!("waiting for statefulset rolling update to complete {updated} pods at revision {to}...");
        return Health::new("Progressing", message);
    }
    let current = number(status, "currentReplicas");
    Health::new("Healthy", format!("statefulset rolling update complete {current} pods at revision {at}..."))
}

fn daemon_set(object: &Value) -> Health {
    let status = &object["status"];
    if !is_observed(object) {
        return Health::new(
            "Progressing",
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        );
    }
    let (updated, desired) =
        (number(status, "updatedNumberScheduled"), number(status, "desiredNumberScheduled"));
    if object["spec"]["updateStrategy"]["type"] == "OnDelete" {
        let message = format!("daemon set {updated} out of {desired} new pods have been updated");
        return Health::new("Healthy", message);
    }
    let available = number(status, "numberAvailable");
    let message = if updated < desired {
        format!("{updated} out of {desired} new pods have been updated...")
    } else if available < desired {
        format!("{available} of {desired} updated pods are available...")
    } else {
        return Health::new("Healthy", "");
    };
    let name = meta(object, "name");
    Health::new("Progressing", format!("Waiting for daemon set \"{name}\" rollout to finish: {message}"))
}

fn replica_set(object: &Value) -> Health {
    if !is_observed(object) {
        return Health::new(
            "Progressing",
            "Waiting for rollout to finish: observed replica set generation less than desired generation",
        );
    }
    if let Some(it) = condition(object, "ReplicaFailure").filter(|it| it["status"] == "True") {
        return Health::new("Degraded", text(it, "message"));
    }
    let (available, wanted) =
        (number(&object["status"], "availableReplicas"), number(&object["spec"], "replicas"));
    if available < wanted {
        let message = format!(
            "Waiting for rollout to finish: {available} out of {wanted} new replicas are available..."
        );
        return Health::new("Progressing", message);
    }
    Health::new("Healthy", "")
}

fn job(object: &Value) -> Health {
    if let Some(it) = condition(object, "Failed") {
        return Health::new("Degraded", text(it, "message"));
    }
    match (condition(object, "Suspended"), condition(object, "Complete")) {
        (Some(it), _) if it["status"] == "True" => Health::new("Suspended", ""),
        (_, Some(it)) => Health::new("Healthy", text(it, "message")),
        (Some(it), None) => Health::new("Healthy", text(it, "message")),
        (None, None) => Health::new("Progressing", ""),
    }
}

fn pod(object: &Value) -> Health {
    let status = &object["status"];
    let containers = || items(&status["containerStatuses"]);
    let restarts = object["spec"]["restartPolicy"] == "Always";
    if restarts {
        let failing: Vec<&str> = containers()
            .map(|it| &it["state"]["waiting"])
            .filter(|it| {
                let reason = text(it, "reason");
                reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff")
            })
            .map(|it| text(it, "message"))
            .collect();
        if !failing.is_empty() {
            return Health::new("Degraded", failing.join(", "));
        }
    }
    let message = text(status, "message");
    match text(status, "phase") {
        "Pending" => Health::new("Progressing", message),
        "Succeeded" => Health::new("Healthy", message),
        "Running" if restarts => {
            if condition(object, "Ready").is_some_and(|it| it["status"] == "True") {
                return Health::new("Healthy", message);
            }
            let died = containers().any(|it| it["lastState"]["terminated"].is_object());
            Health::new(if died { "Degraded" } else { "Progressing" }, message)
        }
        "Running" => Health::new("Progressing", message),
        "Failed" => {
            let ended =
                containers().map(|it| &it["state"]["terminated"]).find(|it| number(it, "exitCode") != 0);
            let words = match ended {
                _ if !message.is_empty() => message.to_owned(),
                Some(it) if !text(it, "message").is_empty() => text(it, "message").to_owned(),
                Some(it) if it["reason"] == "OOMKilled" => "OOMKilled".to_owned(),
                Some(it) => format!("container failed with exit code {}", number(it, "exitCode")),
                None => String::new(),
            };
            Health::new("Degraded", words)
        }
        _ => Health::new("Unknown", message),
    }
}

fn service(object: &Value) -> Option<Health> {
    (object["spec"]["type"] == "LoadBalancer")
        .then(|| Health::new(if has_address(object) { "Healthy" } else { "Progressing" }, ""))
}

fn has_address(object: &Value) -> bool {
    items(&object["status"]["loadBalancer"]["ingress"]).next().is_some()
}

fn autoscaler(object: &Value) -> Health {
    const BROKEN: &[(&str, &str)] = &[
        ("AbleToScale", "FailedGetScale"),
        ("AbleToScale", "FailedUpdateScale"),
        ("ScalingActive", "FailedGetResourceMetric"),
        ("ScalingActive", "FailedGetObjectMetric"),
        ("ScalingActive", "FailedGetPodsMetric"),
        ("ScalingActive", "FailedGetExternalMetric"),
        ("ScalingActive", "FailedComputeMetricsReplicas"),
        ("ScalingActive", "InvalidSelector"),
    ];
    let conditions = || items(&object["status"]["conditions"]);
    if let Some(it) = conditions().find(|it| BROKEN.contains(&(text(it, "type"), text(it, "reason")))) {
        return Health::new("Degraded", text(it, "message"));
    }
    let good =
        |it: &&Value| matches!(text(it, "type"), "AbleToScale" | "ScalingLimited") && it["status"] == "True";
    match conditions().find(good) {
        Some(it) => Health::new("Healthy", text(it, "message")),
        None => Health::new("Progressing", "Waiting to Autoscale"),
    }
}

fn budget(object: &Value) -> Health {
    let mut health = Health::new("Progressing", "Waiting for status");
    for it in items(&object["status"]["conditions"]) {
        let message = format!("PodDisruptionBudget has {}", text(it, "reason"));
        if it["status"] == "False" && it["reason"] != "InsufficientPods" {
            return Health::new("Degraded", message);
        }
        health = Health::new("Healthy", message);
    }
    health
}

fn definition(object: &Value) -> Health {
    if items(&object["status"]["conditions"]).next().is_none() {
        return Health::new("Progressing", "Status conditions not found");
    }
    let says = |kind: &str, status: &str| condition(object, kind).filter(|it| it["status"] == status);
    if let Some(it) = says("NamesAccepted", "False") {
        return Health::new("Degraded", format!("CRD names have not been accepted: {}", text(it, "message")));
    }
    if let Some(it) = says("NonStructuralSchema", "True") {
        return Health::new("Degraded", format!("Schema violations found: {}", text(it, "message")));
    }
    match says("Established", "True") {
        Some(_) => Health::new("Healthy", "CRD is healthy"),
        None => Health::new("Progressing", "CRD is not established"),
    }
}

fn ready(object: &Value, waiting: &str) -> Health {
    match condition(object, "Ready") {
        Some(it) if it["status"] == "True" => Health::new("Healthy", text(it, "message")),
        Some(it) if it["status"] == "False" => Health::new("Degraded", text(it, "message")),
        _ => Health::new("Progressing", waiting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(object: Value) -> (&'static str, String) {
        let health = of(&object, true).expect("it has health");
        (health.status, health.message)
    }

    #[test]
    fn workloads() {
        let deployment = |status: Value| {
            told(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "generation": 2},
                "spec": {"replicas": 2}, "status": status,
            }))
        };
        assert!(deployment(json!({"observedGeneration": 1})).1.contains("observed deployment generation"));
        let rolling = json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1});
        assert_eq!(
            deployment(rolling).1,
            "Waiting for rollout to finish: 1 out of 2 new replicas have been updated..."
        );
        let done =
            json!({"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2});
        assert_eq!(deployment(done).0, "Healthy");
        let late = json!({"observedGeneration": 2, "conditions": [
            {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "status": "False"},
        ]});
        assert_eq!(deployment(late).0, "Degraded");
        let job = |conditions: Value| {
            told(json!({"apiVersion": "batch/v1", "kind": "Job", "status": {"conditions": conditions}})).0
        };
        assert_eq!(job(json!([])), "Progressing");
        assert_eq!(job(json!([{"type": "Complete", "status": "True"}])), "Healthy");
        assert_eq!(job(json!([{"type": "Failed", "status": "True", "message": "x"}])), "Degraded");
    }

    #[test]
    fn what_has_no_health_has_none() {
        assert_eq!(of(&json!({"apiVersion": "v1", "kind": "ConfigMap"}), true), None);
        assert_eq!(of(&json!({"apiVersion": "velero.io/v1", "kind": "BackupStorageLocation"}), true), None);
        let application = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Application"});
        assert_eq!(of(&application, false), None);
        assert_eq!(told(application).0, "Progressing");
        assert!(is_worse("Healthy", "Progressing") && !is_worse("Degraded", "Missing"));
    }
}
