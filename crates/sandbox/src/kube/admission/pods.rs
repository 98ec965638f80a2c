//! What pods are given, and what they are refused: their account, their priority, tolerations.

use std::sync::Arc;

use serde_json::{Value, json};

use super::forbidden;
use crate::kube::{
    api::Api,
    catalog::Resource,
    follow::{DEFAULT_ACCOUNT, ROOT},
    object::meta,
    refusal::Refusal,
    store::Key,
};

/// Where containers find the token of their account.
const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// The mark of pods that a node runs of itself.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Names of volumes that hold a token begin so.
const VOLUME: &str = "kube-api-access-";
/// Seconds for which pods stay on a node that is lost.
const PATIENCE: u64 = 300;

/// Gives a pod its account, with its token mounted.
///
/// # Errors
/// 403 for an account that is not there.
pub(super) fn account(api: &Api, resource: &Resource, pod: &mut Value) -> Result<(), Refusal> {
    if !pod["metadata"]["annotations"][MIRROR].is_null() {
        return Ok(());
    }
    let namespace = meta(pod, "namespace").to_owned();
    let name = match pod["spec"]["serviceAccountName"].as_str() {
        None | Some("") => DEFAULT_ACCOUNT.to_owned(),
        Some(name) => name.to_owned(),
    };
    pod["spec"]["serviceAccountName"] = json!(name);
    pod["spec"]["serviceAccount"] = json!(name);
    let key = Key { kind: "/serviceaccounts".into(), namespace: namespace.clone(), name: name.clone() };
    let Some(account) = api.store.get(&key) else {
        let why =
            format!("error looking up service account {namespace}/{name}: serviceaccount {name:?} not found");
        return Err(forbidden(resource, pod, &why));
    };
    let wanted =
        [&pod["spec"], &account].into_iter().find_map(|it| it["automountServiceAccountToken"].as_bool());
    if wanted.unwrap_or(true) {
        mount(api, &mut pod["spec"]);
    }
    let secrets = account["imagePullSecrets"].as_array().filter(|it| !it.is_empty());
    if let Some(secrets) = secrets
        && pod["spec"]["imagePullSecrets"].as_array().is_none_or(Vec::is_empty)
    {
        pod["spec"]["imagePullSecrets"] = json!(secrets);
    }
    Ok(())
}

/// Mounts the token into every container that has nothing else there.
fn mount(api: &Api, spec: &mut Value) {
    let volumes = spec["volumes"].as_array().cloned().unwrap_or_default();
    let given = volumes.iter().filter_map(|it| it["name"].as_str()).find(|name| name.starts_with(VOLUME));
    let name = given.map_or_else(|| format!("{VOLUME}{}", api.ids.ending()), str::to_owned);
    let mut needed = false;
    for kind in ["initContainers", "containers"] {
        for container in spec[kind].as_array_mut().into_iter().flatten() {
            let mounts = container["volumeMounts"].as_array().cloned().unwrap_or_default();
            if mounts.iter().any(|it| it["mountPath"] == TOKEN_PATH) {
                continue;
            }
            let one = json!({ "name": name, "readOnly": true, "mountPath": TOKEN_PATH });
            container["volumeMounts"] = json!([mounts, vec![one]].concat());
            needed = true;
        }
    }
    if needed && given.is_none() {
        // An odd number of seconds tells these tokens from those that somebody asked for.
        let volume = json!({ "name": name, "projected": { "sources": [
            { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
            { "configMap": { "name": ROOT, "items": [{ "key": "ca.crt", "path": "ca.crt" }] } },
            { "downwardAPI": { "items": [
                { "path": "namespace", "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.namespace" } },
            ] } },
        ], "defaultMode": 420 } });
        spec["volumes"] = json!([volumes, vec![volume]].concat());
    }
}

/// Gives a pod the priority of its class, or of the class for all.
///
/// # Errors
/// 403 for a class that is not there, and for another priority than that of the class.
pub(super) fn priority(api: &Api, resource: &Resource, pod: &mut Value) -> Result<(), Refusal> {
    let kind = "scheduling.k8s.io/priorityclasses".into();
    let named = pod["spec"]["priorityClassName"].as_str().unwrap_or_default().to_owned();
    let (priority, preemption) = match named.as_str() {
        "" => {
            let classes = api.store.list(&kind, None).objects;
            let of_all = classes
                .iter()
                .filter(|(_, it)| it["globalDefault"] == true)
                .min_by_key(|(_, it)| it["value"].as_i64());
            match of_all {
                Some((key, class)) => {
                    pod["spec"]["priorityClassName"] = json!(key.name);
                    (class["value"].as_i64().unwrap_or(0), class["preemptionPolicy"].clone())
                }
                None => (0, Value::Null),
            }
        }
        name => {
            let found = api.store.get(&Key { kind, namespace: String::new(), name: name.to_owned() });
            match (found, name) {
                (Some(class), _) => (class["value"].as_i64().unwrap_or(0), class["preemptionPolicy"].clone()),
                // Every cluster has these, whether or not somebody has written them down.
                (None, "system-cluster-critical") => (2_000_000_000, Value::Null),
                (None, "system-node-critical") => (2_000_001_000, Value::Null),
                (None, _) => {
                    let why = format!("no PriorityClass with name {name} was found");
                    return Err(forbidden(resource, pod, &why));
                }
            }
        }
    };
    if let Some(given) = pod["spec"]["priority"].as_i64()
        && given != priority
    {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
        );
        return Err(forbidden(resource, pod, &why));
    }
    pod["spec"]["priority"] = json!(priority);
    let preemption = if preemption.is_string() { preemption } else { json!("PreemptLowerPriority") };
    if let Some(given) = pod["spec"]["preemptionPolicy"].as_str()
        && preemption != given
    {
        let why = format!(
            "the string value of PreemptionPolicy ({given}) must not be provided in pod spec; priority admission controller computed {} from the given PriorityClass name",
            preemption.as_str().unwrap_or_default()
        );
        return Err(forbidden(resource, pod, &why));
    }
    pod["spec"]["preemptionPolicy"] = preemption;
    Ok(())
}

/// A pod keeps its priority when a writer leaves it out.
pub(super) fn keep_priority(old: &Value, new: &mut Value) {
    for key in ["priority", "preemptionPolicy"] {
        if new["spec"][key].is_null() && !old["spec"][key].is_null() {
            new["spec"][key] = old["spec"][key].clone();
        }
    }
}

/// Refuses a second class for all.
///
/// # Errors
/// 403.
pub(super) fn one_default(classes: &[Arc<Value>], resource: &Resource, class: &Value) -> Result<(), Refusal> {
    let other =
        classes.iter().find(|it| it["globalDefault"] == true && meta(it, "name") != meta(class, "name"));
    match other {
        Some(other) if class["globalDefault"] == true => {
            let name = meta(other, "name");
            let why =
                format!("PriorityClass {name} is already marked as default. Only one default can exist");
            Err(forbidden(resource, class, &why))
        }
        _ => Ok(()),
    }
}

/// Lets a pod stay for a while on a node that is lost, unless it says how long.
pub(super) fn tolerations(pod: &mut Value) {
    let mut tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    for taint in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let text = |it: &Value, key: &str| it[key].as_str().unwrap_or_default().to_owned();
        let tolerated = tolerations.iter().any(|it| {
            (text(it, "key") == taint || text(it, "key").is_empty())
                && matches!(text(it, "effect").as_str(), "" | "NoExecute")
        });
        if !tolerated {
            tolerations.push(json!({
                "key": taint, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": PATIENCE,
            }));
        }
    }
    pod["spec"]["tolerations"] = json!(tolerations);
}
