//! Labels, selectors and annotations.

use serde_json::{Map, Value, json};

use super::Resource;
use crate::play::argocd::model::{group_version, items, text};

const POD_MAKERS: [&str; 5] = ["Deployment", "ReplicaSet", "DaemonSet", "StatefulSet", "Job"];

/// `commonLabels`, `labels`, `commonAnnotations`.
pub fn run(said: &Value, all: &mut [Resource]) -> Result<(), String> {
    let empty = Map::new();
    let entries: Vec<&Value> = items(&said["labels"]).collect();
    for entry in &entries {
        if entry.get("fields").is_some() {
            return Err("the field `labels.fields` is not supported".to_owned());
        }
    }
    for resource in all {
        let object = &mut resource.object;
        for entry in &entries {
            let pairs = entry["pairs"].as_object().unwrap_or(&empty);
            let selectors = entry["includeSelectors"] == true;
            if selectors || entry["includeTemplates"] == true {
                put_in_templates(object, "labels", pairs);
            }
            if selectors {
                put_in_selectors(object, pairs);
            }
            put(object, &["metadata", "labels"], pairs, true);
        }
        if let Some(pairs) = said["commonLabels"].as_object() {
            put_in_templates(object, "labels", pairs);
            put_in_selectors(object, pairs);
            put(object, &["metadata", "labels"], pairs, true);
        }
        if let Some(pairs) = said["commonAnnotations"].as_object() {
            put_in_templates(object, "annotations", pairs);
            put(object, &["metadata", "annotations"], pairs, true);
        }
    }
    Ok(())
}

/// Sets pairs at a path; lists on the way are gone through. Without `make`, only where the last map is.
fn put(object: &mut Value, path: &[&str], pairs: &Map<String, Value>, make: bool) {
    match object {
        Value::Array(all) => all.iter_mut().for_each(|it| put(it, path, pairs, make)),
        Value::Object(fields) => match path {
            [] => {
                for (key, value) in pairs {
                    fields.insert(key.clone(), value.clone());
                }
            }
            [key, rest @ ..] => {
                if make && fields.get(*key).is_none_or(Value::is_null) {
                    fields.insert((*key).to_owned(), json!({}));
                }
                if let Some(next) = fields.get_mut(*key) {
                    put(next, rest, pairs, make);
                }
            }
        },
        _ => {}
    }
}

fn put_in_templates(object: &mut Value, what: &str, pairs: &Map<String, Value>) {
    let kind = text(object, "kind").to_owned();
    if POD_MAKERS.contains(&kind.as_str()) || kind == "ReplicationController" {
        put(object, &["spec", "template", "metadata", what], pairs, true);
    }
    if kind == "CronJob" {
        put(object, &["spec", "jobTemplate", "metadata", what], pairs, true);
        put(object, &["spec", "jobTemplate", "spec", "template", "metadata", what], pairs, true);
    }
}

fn put_in_selectors(object: &mut Value, pairs: &Map<String, Value>) {
    let kind = text(object, "kind").to_owned();
    let group = group_version(object).0.to_owned();
    let mut at = |path: &[&str], make: bool| put(object, path, pairs, make);
    match (group.as_str(), kind.as_str()) {
        ("", "Service" | "ReplicationController") => at(&["spec", "selector"], true),
        (_, "Deployment" | "ReplicaSet" | "DaemonSet") | ("apps", "StatefulSet") => {
            at(&["spec", "selector", "matchLabels"], true);
        }
        ("batch", "Job") | ("policy", "PodDisruptionBudget") => {
            at(&["spec", "selector", "matchLabels"], false);
        }
        ("batch", "CronJob") => at(&["spec", "jobTemplate", "spec", "selector", "matchLabels"], false),
        ("networking.k8s.io", "NetworkPolicy") => {
            at(&["spec", "podSelector", "matchLabels"], false);
            at(&["spec", "ingress", "from", "podSelector", "matchLabels"], false);
            at(&["spec", "egress", "to", "podSelector", "matchLabels"], false);
        }
        _ => {}
    }
    if group == "apps" && matches!(kind.as_str(), "Deployment" | "StatefulSet") {
        let pod = ["spec", "template", "spec"];
        let whole = |rest: &[&'static str]| [&pod, rest].concat();
        for affinity in ["podAffinity", "podAntiAffinity"] {
            let (preferred, required) = (
                "preferredDuringSchedulingIgnoredDuringExecution",
                "requiredDuringSchedulingIgnoredDuringExecution",
            );
            at(
                &whole(&["affinity", affinity, preferred, "podAffinityTerm", "labelSelector", "matchLabels"]),
                false,
            );
            at(&whole(&["affinity", affinity, required, "labelSelector", "matchLabels"]), false);
        }
        at(&whole(&["topologySpreadConstraints", "labelSelector", "matchLabels"]), false);
    }
    if kind == "StatefulSet" {
        at(&["spec", "volumeClaimTemplates", "metadata", "labels"], true);
    }
}
