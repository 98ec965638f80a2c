//! What the schema does not say: fields that the server chooses, fields that never change, values that must agree.

use serde_json::{Value, json};

use super::{
    api::Api,
    catalog::Resource,
    custom,
    object::{Causes, time},
    select::Selector,
    service,
};

/// The finalizer that a definition bears until its objects are gone.
pub const CUSTOM_CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// Gives a new object what the server chooses.
pub fn begin(api: &Api, resource: &Resource, object: &mut Value) {
    match &*resource.stored_as {
        "/namespaces" => {
            let holds = &mut object["spec"]["finalizers"];
            if !holds.is_array() {
                *holds = json!([]);
            }
            if let Value::Array(holds) = holds
                && !holds.iter().any(|it| it == "kubernetes")
            {
                holds.push("kubernetes".into());
            }
            object["status"] = json!({ "phase": "Active" });
        }
        "/pods" => object["status"] = json!({ "phase": "Pending", "qosClass": quality(&object["spec"]) }),
        "/services" => {
            service::fill(&mut service::Taken::of(api), None, object);
            object["status"] = json!({ "loadBalancer": {} });
        }
        "/persistentvolumeclaims" | "/persistentvolumes" => object["status"] = json!({ "phase": "Pending" }),
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
            causes.extend(containers(&new["spec"]["template"]["spec"], "spec.template.spec"));
        }
        "batch/jobs" => {
            required("spec.template.spec.containers", "");
            causes.extend(containers(&new["spec"]["template"]["spec"], "spec.template.spec"));
        }
        "/pods" => {
            required("spec.containers", "");
            causes.extend(containers(&new["spec"], "spec"));
        }
        "/persistentvolumeclaims" => required("spec.accessModes", ": at least 1 access mode is required"),
        "/services" => causes.extend(service_causes(old, new)),
        "/secrets" => causes.extend(secret(new)),
        "/configmaps" => causes.extend(data(new)),
        "batch/cronjobs" => causes.extend(schedule(new)),
        "storage.k8s.io/storageclasses" => required("provisioner", ""),
        "apiextensions.k8s.io/customresourcedefinitions" => causes.extend(custom::definition_causes(new)),
        _ => {}
    }
    causes
}

/// A container has a name and an image.
fn containers(spec: &Value, path: &str) -> Causes {
    let mut causes = Causes::new();
    for list in ["containers", "initContainers"] {
        for (at, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            let missing = ["name", "image"]
                .into_iter()
                .filter(|field| container[*field].as_str().unwrap_or_default().is_empty());
            causes.extend(
                missing.map(|field| (format!("{path}.{list}[{at}].{field}"), "Required value".into())),
            );
        }
    }
    causes
}

/// Everything in a map or a secret together.
const ROOM: usize = 1024 * 1024;

const KEY: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";

/// Keys have a form, and all of it a size.
fn data(object: &Value) -> Causes {
    let (mut causes, mut room) = (Causes::new(), 0);
    for field in ["data", "binaryData"] {
        for (key, value) in object[field].as_object().into_iter().flatten() {
            let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if key.is_empty() || !key.bytes().all(fine) {
                causes.push((format!("{field}[{key}]"), format!("Invalid value: {key:?}: {KEY}")));
            }
            room += value.as_str().map_or(0, str::len);
        }
    }
    if room > ROOM {
        causes.push(("[]".into(), format!("Too long: may not be more than {ROOM} bytes")));
    }
    causes
}

/// Some types of secrets have keys that must be there.
fn secret(object: &Value) -> Causes {
    let keys: &[&str] = match object["type"].as_str().unwrap_or_default() {
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    };
    let missing = keys.iter().filter(|key| object["data"][**key].is_null());
    let mut causes = data(object);
    causes.retain(|(path, _)| path != "[]");
    causes.extend(missing.map(|key| (format!("data[{key}]"), "Required value".to_owned())));
    causes
}

/// A schedule has five fields, or a name.
fn schedule(object: &Value) -> Option<(String, String)> {
    let schedule = object["spec"]["schedule"].as_str().unwrap_or_default();
    let fields = schedule.split_whitespace().count();
    (!schedule.starts_with('@') && fields != 5).then(|| {
        let found: Vec<&str> = schedule.split_whitespace().collect();
        let why = format!("expected exactly 5 fields, found {fields}: [{}]", found.join(" "));
        ("spec.schedule".to_owned(), format!("Invalid value: {schedule:?}: {why}"))
    })
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
    for (at, port) in spec["ports"].as_array().into_iter().flatten().enumerate() {
        if ports > 1 && port["name"].as_str().unwrap_or_default().is_empty() {
            causes.push((format!("spec.ports[{at}].name"), "Required value".into()));
        }
    }
    let stays = |old: &Value| old["spec"]["type"] != "ExternalName" && spec["type"] != "ExternalName";
    if let Some(old) = old.filter(|old| stays(old)) {
        let addresses = |of: &Value| of["spec"]["clusterIPs"].clone();
        if addresses(old).is_array() && addresses(old) != addresses(new) {
            let why = format!("Invalid value: {}: may not change once set", addresses(new));
            causes.push(("spec.clusterIPs[0]".into(), why));
        }
    }
    causes
}

/// `stringData` becomes `data`.
pub fn decode_string_data(object: &mut Value) {
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
