//! What the schema does not say: fields that the server chooses, fields that never change, values that must agree.

use serde_json::{Value, json};

use super::{
    api::Api,
    catalog::Resource,
    custom,
    object::{Causes, metadata, time},
    select::Selector,
    service,
};

/// The finalizer that a definition bears until its objects are gone.
pub const CUSTOM_CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Gives a new object what the server chooses.
pub fn begin(api: &Api, resource: &Resource, object: &mut Value) {
    match &*resource.stored_as {
        "/namespaces" => {
            object["spec"]["finalizers"] = json!(["kubernetes"]);
            object["status"] = json!({ "phase": "Active" });
        }
        "/pods" => object["status"] = json!({ "phase": "Pending", "qosClass": quality(&object["spec"]) }),
        "/services" => {
            service::fill(&mut service::Taken::of(api), None, object);
            object["status"] = json!({ "loadBalancer": {} });
        }
        "/persistentvolumeclaims" | "/persistentvolumes" => object["status"] = json!({ "phase": "Pending" }),
        "/secrets" => decode_string_data(object),
        "apps/deployments" | "apps/replicasets" | "apps/daemonsets" | "apps/statefulsets"
        | "batch/cronjobs" => {
            object["status"] = match &*resource.stored_as {
                "apps/replicasets" | "apps/statefulsets" => json!({ "replicas": 0 }),
                "apps/daemonsets" => json!({
                    "currentNumberScheduled": 0, "desiredNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0,
                }),
                _ => json!({}),
            };
        }
        "batch/jobs" => {
            object["status"] = json!({});
            job_selector(object);
        }
        "apiextensions.k8s.io/customresourcedefinitions" => {
            object["status"] = custom::established(object, &time((api.now)()));
            let meta = metadata(object);
            let finalizers = meta.entry("finalizers").or_insert_with(|| json!([]));
            if let Value::Array(finalizers) = finalizers
                && !finalizers.iter().any(|it| it == CUSTOM_CLEANUP)
            {
                finalizers.push(CUSTOM_CLEANUP.into());
            }
        }
        _ => {}
    }
}

/// What is wrong with an object, or with a change of one.
pub fn causes(resource: &Resource, old: Option<&Value>, new: &Value) -> Causes {
    let mut causes = Causes::new();
    let mut required = |path: &str, why: &str| {
        if new.pointer(&format!("/{}", path.replace('.', "/"))).is_none_or(Value::is_null) {
            causes.push((path.to_owned(), format!("Required value{why}")));
        }
    };
    match &*resource.stored_as {
        "apps/deployments" | "apps/replicasets" | "apps/daemonsets" | "apps/statefulsets" => {
            required("spec.selector", "");
            required("spec.template.spec.containers", "");
            causes.extend(selects_its_template(new));
            causes.extend(never_changes(old, new, "spec.selector"));
        }
        "batch/jobs" => {
            required("spec.template.spec.containers", "");
            causes.extend(never_changes(old, new, "spec.template"));
            causes.extend(never_changes(old, new, "spec.selector"));
        }
        "/pods" => required("spec.containers", ""),
        "/persistentvolumeclaims" => required("spec.accessModes", ": at least 1 access mode is required"),
        "/services" => causes.extend(service_causes(old, new)),
        "/secrets" => {
            causes.extend(never_changes(old, new, "type"));
            causes.extend(sealed(old, new));
        }
        "/configmaps" => causes.extend(sealed(old, new)),
        "rbac.authorization.k8s.io/rolebindings" | "rbac.authorization.k8s.io/clusterrolebindings" => {
            if let Some(old) = old
                && old["roleRef"] != new["roleRef"]
            {
                causes.push((
                    "roleRef".into(),
                    format!("Invalid value: {}: cannot change roleRef", new["roleRef"]),
                ));
            }
        }
        "storage.k8s.io/storageclasses" => {
            required("provisioner", "");
            causes.extend(never_changes(old, new, "provisioner"));
        }
        "apiextensions.k8s.io/customresourcedefinitions" => causes.extend(custom::definition_causes(new)),
        _ => {}
    }
    causes
}

fn never_changes(old: Option<&Value>, new: &Value, path: &str) -> Option<(String, String)> {
    let pointer = format!("/{}", path.replace('.', "/"));
    let (before, after) = (old?.pointer(&pointer)?, new.pointer(&pointer).unwrap_or(&Value::Null));
    (before != after).then(|| (path.to_owned(), format!("Invalid value: {after}: field is immutable")))
}

/// `immutable: true` seals data.
fn sealed(old: Option<&Value>, new: &Value) -> Option<(String, String)> {
    let old = old.filter(|old| old["immutable"] == true)?;
    let field = match () {
        () if new["immutable"] != true => "immutable",
        () if old["data"] != new["data"] => "data",
        () if old["binaryData"] != new["binaryData"] => "binaryData",
        () => return None,
    };
    Some((field.to_owned(), "Forbidden: field is immutable when `immutable` is set".to_owned()))
}

fn selects_its_template(object: &Value) -> Option<(String, String)> {
    let spec = &object["spec"];
    if !spec["selector"].is_object() {
        return None;
    }
    let matches = Selector::of_object(&spec["selector"]).is_ok_and(|it| it.matches(&spec["template"]));
    let labels = spec["template"]["metadata"]["labels"].clone();
    (!matches).then(|| {
        (
            "spec.template.metadata.labels".to_owned(),
            format!("Invalid value: {labels}: `selector` does not match template `labels`"),
        )
    })
}

fn service_causes(old: Option<&Value>, new: &Value) -> Causes {
    let mut causes = Causes::new();
    let spec = &new["spec"];
    let headless = spec["clusterIP"] == "None";
    let ports = spec["ports"].as_array().map_or(0, Vec::len);
    if ports == 0 && !headless && spec["type"] != "ExternalName" {
        causes.push(("spec.ports".into(), "Required value".into()));
    }
    let stays = |old: &Value| old["spec"]["type"] != "ExternalName" && spec["type"] != "ExternalName";
    if let Some(old) = old.filter(|old| stays(old)) {
        causes.extend(never_changes(Some(old), new, "spec.clusterIP"));
    }
    causes
}

/// `stringData` becomes `data`.
fn decode_string_data(object: &mut Value) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let Some(plain) = object.as_object_mut().and_then(|it| it.shift_remove("stringData")) else { return };
    for (key, value) in plain.as_object().into_iter().flatten() {
        object["data"][key] = STANDARD.encode(value.as_str().unwrap_or_default()).into();
    }
}

/// A job selects its pods by its own id.
fn job_selector(object: &mut Value) {
    if object["spec"]["manualSelector"] == true {
        return;
    }
    let (uid, name) = (object["metadata"]["uid"].clone(), object["metadata"]["name"].clone());
    let selector = json!({ "batch.kubernetes.io/controller-uid": uid });
    object["spec"]["selector"] = json!({ "matchLabels": selector });
    let labels = &mut object["spec"]["template"]["metadata"]["labels"];
    for (key, value) in [
        ("batch.kubernetes.io/controller-uid", &uid),
        ("batch.kubernetes.io/job-name", &name),
        ("controller-uid", &uid),
        ("job-name", &name),
    ] {
        labels[key] = value.clone();
    }
    if let Some(spec) = object["spec"].as_object_mut() {
        spec.shift_remove("manualSelector");
    }
}

/// `Guaranteed` with limits for everything, `BestEffort` with nothing, else `Burstable`.
fn quality(spec: &Value) -> &'static str {
    let containers: Vec<&Value> = spec["containers"].as_array().into_iter().flatten().collect();
    let resources =
        |it: &&Value, key: &str| it["resources"][key].as_object().is_some_and(|map| !map.is_empty());
    let full = |it: &&Value| {
        let (limits, requests) = (&it["resources"]["limits"], &it["resources"]["requests"]);
        ["cpu", "memory"].iter().all(|key| limits[key].is_string() && limits[key] == requests[key])
    };
    if containers.iter().all(|it| !resources(it, "limits") && !resources(it, "requests")) {
        "BestEffort"
    } else if containers.iter().all(full) {
        "Guaranteed"
    } else {
        "Burstable"
    }
}
