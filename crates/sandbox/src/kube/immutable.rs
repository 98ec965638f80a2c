//! What never changes once it is there, and what of it may.

use serde_json::Value;

use super::{catalog::Resource, object::Causes};

/// What is wrong with a change of a built-in kind, because of what was there before.
pub fn causes(resource: &Resource, below: Option<&str>, old: &Value, new: &Value) -> Causes {
    let paths: &[&str] = match &*resource.stored_as {
        // Below `ephemeralcontainers` and `resize` other parts may change.
        "/pods" if below.is_none() => return pod(&old["spec"], &new["spec"]),
        "/persistentvolumeclaims" => return claim(old, new),
        "/secrets" => {
            let mut causes = Causes::from_iter(never(old, new, "type"));
            causes.extend(sealed(old, new));
            return causes;
        }
        "/configmaps" => return sealed(old, new),
        "apps/statefulsets" => return Causes::from_iter(set(&old["spec"], &new["spec"])),
        "rbac.authorization.k8s.io/rolebindings" | "rbac.authorization.k8s.io/clusterrolebindings" => {
            return Causes::from_iter(role(&old["roleRef"], &new["roleRef"]));
        }
        "scheduling.k8s.io/priorityclasses" => {
            let why = "Forbidden: may not be changed in an update.";
            let changed = !same(&old["value"], &new["value"]);
            return Causes::from_iter(changed.then(|| ("value".to_owned(), why.to_owned())));
        }
        "storage.k8s.io/storageclasses" => {
            &["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"]
        }
        "apps/deployments" | "apps/replicasets" | "apps/daemonsets" => &["spec.selector"],
        "batch/jobs" if new["spec"]["completionMode"] == "Indexed" => {
            &["spec.selector", "spec.template", "spec.completionMode"]
        }
        "batch/jobs" => &["spec.completions", "spec.selector", "spec.template", "spec.completionMode"],
        "networking.k8s.io/ingressclasses" => &["spec.controller"],
        "discovery.k8s.io/endpointslices" => &["addressType"],
        _ => &[],
    };
    paths.iter().filter_map(|path| never(old, new, path)).collect()
}

/// A field that never changes.
pub(super) fn never(old: &Value, new: &Value, path: &str) -> Option<(String, String)> {
    let pointer = format!("/{}", path.replace('.', "/"));
    let of = |object: &Value| object.pointer(&pointer).cloned().unwrap_or_default();
    let (before, after) = (of(old), of(new));
    (!same(&before, &after)).then(|| (path.to_owned(), format!("Invalid value: {after}: field is immutable")))
}

/// Whether two parts of objects mean the same: what is empty is as if it was not there.
fn same(one: &Value, other: &Value) -> bool {
    bare(one) == bare(other)
}

fn bare(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (key.clone(), bare(value)));
            let fields: serde_json::Map<_, _> = fields.filter(|(_, value)| !value.is_null()).collect();
            if fields.is_empty() { Value::Null } else { Value::Object(fields) }
        }
        Value::Array(items) if items.is_empty() => Value::Null,
        Value::Array(items) => items.iter().map(bare).collect(),
        other => other.clone(),
    }
}

/// `immutable: true` seals data.
fn sealed(old: &Value, new: &Value) -> Causes {
    if old["immutable"] != true {
        return Causes::new();
    }
    let changed = ["immutable", "data", "binaryData"].into_iter().filter(|key| old[key] != new[key]);
    changed
        .map(|key| (key.to_owned(), "Forbidden: field is immutable when `immutable` is set".to_owned()))
        .collect()
}

fn role(old: &Value, new: &Value) -> Option<(String, String)> {
    let go = |role: &Value| {
        format!("{{\"APIGroup\":{},\"Kind\":{},\"Name\":{}}}", role["apiGroup"], role["kind"], role["name"])
    };
    (old != new).then(|| ("roleRef".to_owned(), format!("Invalid value: {}: cannot change roleRef", go(new))))
}

/// What of a StatefulSet may change.
const SET: &[&str] = &[
    "replicas",
    "template",
    "updateStrategy",
    "minReadySeconds",
    "ordinals",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
];

fn set(old: &Value, new: &Value) -> Option<(String, String)> {
    let why = "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden";
    (!same(&without(old, SET), &without(new, SET))).then(|| ("spec".to_owned(), why.to_owned()))
}

/// An object without some of its fields.
fn without(object: &Value, fields: &[&str]) -> Value {
    let mut object = object.clone();
    if let Value::Object(map) = &mut object {
        map.retain(|key, _| !fields.contains(&key.as_str()));
    }
    object
}

const CLAIM: &str = "Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n";

/// A claim may be given a volume, once, and more room when it has one.
fn claim(old: &Value, new: &Value) -> Causes {
    let mut after = new["spec"].clone();
    let mut before = old["spec"].clone();
    if before["volumeName"].as_str().unwrap_or_default().is_empty() {
        before["volumeName"] = after["volumeName"].clone();
    }
    // A claim of no class is given the default one.
    if before["storageClassName"].is_null() {
        before["storageClassName"] = after["storageClassName"].clone();
    }
    if new["status"]["phase"] == "Bound" {
        after["resources"]["requests"]["storage"] = before["resources"]["requests"]["storage"].clone();
        after["volumeAttributesClassName"] = before["volumeAttributesClassName"].clone();
    }
    let changed = !same(&before, &after);
    Causes::from_iter(changed.then(|| ("spec".to_owned(), CLAIM.to_owned())))
}

const POD: &str = "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n";

/// Of a pod little changes: images, tolerations that are added, gates that fall, and the time it has.
fn pod(old: &Value, new: &Value) -> Causes {
    let mut causes = Causes::new();
    for list in ["containers", "initContainers"] {
        let count = |spec: &Value| spec[list].as_array().map_or(0, Vec::len);
        if count(old) != count(new) {
            let why = "Forbidden: pod updates may not add or remove containers";
            causes.push((format!("spec.{list}"), why.to_owned()));
            return causes;
        }
        // The real server says so twice: for what is written, and for what has changed.
        for (at, container) in new[list].as_array().into_iter().flatten().enumerate() {
            if container["image"].as_str().unwrap_or_default().is_empty() {
                causes.push((format!("spec.{list}[{at}].image"), "Required value".to_owned()));
            }
        }
    }
    causes.extend(deadline(&old["activeDeadlineSeconds"], &new["activeDeadlineSeconds"]));
    causes.extend(tolerations(&old["tolerations"], &new["tolerations"]));
    causes.extend(gates(&old["schedulingGates"], &new["schedulingGates"]));
    if !same(&rest_of_pod(old), &rest_of_pod(new)) {
        causes.push(("spec".to_owned(), POD.to_owned()));
    }
    causes
}

/// What of a pod's spec never changes.
fn rest_of_pod(spec: &Value) -> Value {
    let mut rest = without(spec, &["activeDeadlineSeconds", "tolerations", "schedulingGates"]);
    for list in ["containers", "initContainers"] {
        for container in rest[list].as_array_mut().into_iter().flatten() {
            container["image"] = Value::Null;
        }
    }
    if rest["terminationGracePeriodSeconds"].as_i64().is_some_and(|seconds| seconds < 0) {
        rest["terminationGracePeriodSeconds"] = 1.into();
    }
    rest
}

fn deadline(old: &Value, new: &Value) -> Option<(String, String)> {
    let why = match (old.as_i64(), new.as_i64()) {
        (Some(_), None) => {
            "Invalid value: null: must not update from a positive integer to nil value".to_owned()
        }
        (Some(before), Some(after)) if after > before => {
            format!("Invalid value: {after}: must be less than or equal to previous value")
        }
        _ => return None,
    };
    Some(("spec.activeDeadlineSeconds".to_owned(), why))
}

/// Those that are there stay, but for how long they last.
fn tolerations(old: &Value, new: &Value) -> Option<(String, String)> {
    let of = |list: &Value| -> Vec<Value> {
        let list = list.as_array().into_iter().flatten();
        list.map(|it| bare(&without(it, &["tolerationSeconds"]))).collect()
    };
    let after = of(new);
    let why = "Forbidden: existing toleration can not be modified except its tolerationSeconds";
    let lost = of(old).iter().any(|it| !after.contains(it));
    lost.then(|| ("spec.tolerations".to_owned(), why.to_owned()))
}

fn gates(old: &Value, new: &Value) -> Causes {
    let before = old.as_array().map(Vec::as_slice).unwrap_or_default();
    let added = new.as_array().into_iter().flatten().enumerate().filter(|(_, gate)| !before.contains(gate));
    added
        .map(|(at, gate)| {
            let name = gate["name"].as_str().unwrap_or_default();
            let why = format!("Forbidden: only deletion is allowed, but found new scheduling gate '{name}'");
            (format!("spec.schedulingGates[{at}].name"), why)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields(old: &Value, new: &Value) -> Vec<String> {
        pod(old, new).into_iter().map(|(field, _)| field).collect()
    }

    #[test]
    fn of_a_pod_images_may_change_and_more_may_be_tolerated() {
        let old = json!({
            "containers": [{"name": "a", "image": "a:1", "resources": {}}],
            "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 300}],
        });
        let new = json!({
            "containers": [{"name": "a", "image": "a:2"}], "activeDeadlineSeconds": 3,
            "tolerations": [{"key": "k", "operator": "Exists", "tolerationSeconds": 3}, {"key": "l"}],
        });
        assert!(fields(&old, &new).is_empty());
        assert_eq!(fields(&new, &old), ["spec.activeDeadlineSeconds", "spec.tolerations"]);
        let mut other = new.clone();
        other["nodeName"] = "node".into();
        assert_eq!(fields(&new, &other), ["spec"]);
        other["containers"] = json!([]);
        assert_eq!(fields(&new, &other), ["spec.containers"]);
    }

    #[test]
    fn a_claim_grows_when_it_is_bound() {
        let of = |phase: &str, room: &str, volume: Value| {
            json!({
                "spec": {"resources": {"requests": {"storage": room}}, "volumeName": volume},
                "status": {"phase": phase},
            })
        };
        let pending = of("Pending", "1Gi", Value::Null);
        assert!(claim(&pending, &of("Pending", "1Gi", json!("v"))).is_empty());
        assert_eq!(claim(&pending, &of("Pending", "2Gi", Value::Null)).len(), 1);
        let bound = of("Bound", "1Gi", json!("v"));
        assert!(claim(&bound, &of("Bound", "2Gi", json!("v"))).is_empty());
        assert_eq!(claim(&bound, &of("Bound", "1Gi", json!("w"))).len(), 1);
    }
}
