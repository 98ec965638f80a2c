//! Names, namespaces, and who refers to them.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{BUILT_IN, Resource};
use crate::play::argocd::{
    model::{group_version, text},
    render::template::to_json,
};

/// Whether a kind lies in namespaces; what is not known does.
fn is_namespaced(object: &Value) -> bool {
    let (group, version) = group_version(object);
    BUILT_IN.of_kind(group, version, text(object, "kind")).is_none_or(|it| it.namespaced)
}

/// `namespace`: where everything goes, and where bindings find their service accounts.
pub fn set_namespace(namespace: &str, all: &mut [Resource]) {
    if namespace.is_empty() {
        return;
    }
    let accounts: Vec<String> = all
        .iter()
        .filter(|it| it.object["kind"] == "ServiceAccount")
        .map(|it| text(&it.object["metadata"], "name").to_owned())
        .collect();
    for resource in all {
        let object = &mut resource.object;
        if object["kind"] == "Namespace" && object["apiVersion"] == "v1" {
            object["metadata"]["name"] = namespace.into();
        } else if is_namespaced(object) {
            object["metadata"]["namespace"] = namespace.into();
        }
        if matches!(text(object, "kind"), "RoleBinding" | "ClusterRoleBinding")
            && let Some(subjects) = object["subjects"].as_array_mut()
        {
            for subject in subjects.iter_mut().filter(|it| it["kind"] == "ServiceAccount") {
                let name = text(subject, "name");
                if name == "default" || accounts.iter().any(|it| it == name) {
                    subject["namespace"] = namespace.into();
                }
            }
        }
    }
}

/// `namePrefix` and `nameSuffix`; who refers to the names follows.
pub fn affix(prefix: &str, suffix: &str, all: &mut [Resource]) {
    if prefix.is_empty() && suffix.is_empty() {
        return;
    }
    rename(all, |resource| {
        let kind = text(&resource.object, "kind");
        let stays = matches!(kind, "Namespace" | "CustomResourceDefinition" | "APIService");
        (!stays).then(|| format!("{prefix}{}{suffix}", text(&resource.object["metadata"], "name")))
    });
}

/// The digests of generated objects.
pub fn add_digests(all: &mut [Resource]) -> Result<(), String> {
    rename(all, |resource| {
        resource
            .hashed
            .then(|| format!("{}-{}", text(&resource.object["metadata"], "name"), digest(&resource.object)))
    });
    Ok(())
}

/// As Kustomize: ten letters of a SHA-256 over kind and data as Go writes them, without vowels and look-alikes.
fn digest(object: &Value) -> String {
    let sorted = |value: &Value| match value {
        Value::Object(fields) => {
            let mut all: Vec<_> = fields.iter().collect();
            all.sort_by_key(|(key, _)| key.as_str());
            Value::Object(all.into_iter().map(|(key, value)| (key.clone(), value.clone())).collect())
        }
        _ => Value::String(String::new()),
    };
    let mut parts: Map<String, Value> = Map::new();
    if object["kind"] == "ConfigMap" && object["binaryData"].is_object() {
        parts.insert("binaryData".to_owned(), sorted(&object["binaryData"]));
    }
    parts.insert("data".to_owned(), sorted(&object["data"]));
    parts.insert("kind".to_owned(), object["kind"].clone());
    // Kustomize means to hash the name, and looks for it where it is not.
    parts.insert("name".to_owned(), "".into());
    if object["kind"] == "Secret" {
        if object["stringData"].is_object() {
            parts.insert("stringData".to_owned(), sorted(&object["stringData"]));
        }
        parts.insert("type".to_owned(), text(object, "type").into());
    }
    let hash = hex::encode(Sha256::digest(to_json(&Value::Object(parts))));
    hash.chars()
        .take(10)
        .map(|letter| match letter {
            '0' => 'g',
            '1' => 'h',
            '3' => 'k',
            'a' => 'm',
            'e' => 't',
            other => other,
        })
        .collect()
}

/// What an object was called and is called now.
struct Renamed {
    kind: String,
    namespace: String,
    old: Vec<String>,
    new: String,
}

fn rename(all: &mut [Resource], new: impl Fn(&Resource) -> Option<String>) {
    let mut renamed = Vec::new();
    for resource in all.iter_mut() {
        let Some(name) = new(resource) else { continue };
        let old = resource.names.clone();
        resource.object["metadata"]["name"] = name.clone().into();
        resource.names.push(name.clone());
        renamed.push(Renamed {
            kind: text(&resource.object, "kind").to_owned(),
            namespace: text(&resource.object["metadata"], "namespace").to_owned(),
            old,
            new: name,
        });
    }
    for resource in all {
        let namespace = text(&resource.object["metadata"], "namespace").to_owned();
        let find = |kind: &str, name: &str| {
            let fits = |it: &&Renamed| it.kind == kind && it.old.iter().any(|old| old == name);
            let same = renamed.iter().filter(fits).find(|it| it.namespace == namespace);
            same.or_else(|| renamed.iter().find(fits)).map(|it| it.new.clone())
        };
        refer(&mut resource.object, &find);
    }
}

/// Follows names where Kustomize does, in the kinds that hold pods, and in those that bind.
fn refer(object: &mut Value, find: &dyn Fn(&str, &str) -> Option<String>) {
    let kind = text(object, "kind").to_owned();
    let follow = |at: &mut Value, kind: &str| {
        if let Some(new) = at.as_str().and_then(|name| find(kind, name)) {
            *at = new.into();
        }
    };
    match kind.as_str() {
        "Deployment"
        | "ReplicaSet"
        | "DaemonSet"
        | "StatefulSet"
        | "Job"
        | "CronJob"
        | "Pod"
        | "ReplicationController" => {
            if kind == "StatefulSet" && object["spec"].get("serviceName").is_some() {
                follow(&mut object["spec"]["serviceName"], "Service");
            }
            if let Some(spec) = object.get_mut("spec") {
                walk(spec, &follow);
            }
        }
        "Ingress" => {
            if let Some(spec) = object.get_mut("spec") {
                walk(spec, &follow);
            }
        }
        "ServiceAccount" => {
            for key in ["secrets", "imagePullSecrets"] {
                for it in object.get_mut(key).and_then(Value::as_array_mut).into_iter().flatten() {
                    follow(&mut it["name"], "Secret");
                }
            }
        }
        "RoleBinding" | "ClusterRoleBinding" => {
            let role = text(&object["roleRef"], "kind").to_owned();
            if object["roleRef"].is_object() {
                follow(&mut object["roleRef"]["name"], &role);
            }
            for it in object.get_mut("subjects").and_then(Value::as_array_mut).into_iter().flatten() {
                if it["kind"] == "ServiceAccount" {
                    follow(&mut it["name"], "ServiceAccount");
                }
            }
        }
        "HorizontalPodAutoscaler" => {
            let target = text(&object["spec"]["scaleTargetRef"], "kind").to_owned();
            if !target.is_empty() {
                follow(&mut object["spec"]["scaleTargetRef"]["name"], &target);
            }
        }
        _ => {}
    }
}

fn walk(value: &mut Value, follow: &dyn Fn(&mut Value, &str)) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|it| walk(it, follow)),
        Value::Object(fields) => {
            for (key, value) in fields {
                match key.as_str() {
                    "serviceAccountName" | "serviceAccount" => follow(value, "ServiceAccount"),
                    "priorityClassName" => follow(value, "PriorityClass"),
                    "storageClassName" => follow(value, "StorageClass"),
                    "secretName" => follow(value, "Secret"),
                    "claimName" => follow(value, "PersistentVolumeClaim"),
                    "configMap" | "configMapRef" | "configMapKeyRef" => name(value, "ConfigMap", follow),
                    "secretRef" | "secretKeyRef" => name(value, "Secret", follow),
                    "secret" => {
                        name(value, "Secret", follow);
                        walk(value, follow);
                    }
                    "imagePullSecrets" => {
                        for it in value.as_array_mut().into_iter().flatten() {
                            name(it, "Secret", follow);
                        }
                    }
                    "service" => name(value, "Service", follow),
                    _ => walk(value, follow),
                }
            }
        }
        _ => {}
    }
}

fn name(value: &mut Value, kind: &str, follow: &dyn Fn(&mut Value, &str)) {
    if let Some(at) = value.get_mut("name") {
        follow(at, kind);
    }
}
