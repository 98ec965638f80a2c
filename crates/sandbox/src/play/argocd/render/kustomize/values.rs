//! Images and replicas.

use serde_json::{Value, json};

use super::Resource;
use crate::play::argocd::model::{items, text};

/// `replicas`.
pub fn replicas(said: &Value, all: &mut [Resource]) -> Result<(), String> {
    const KINDS: [&str; 4] = ["Deployment", "ReplicationController", "ReplicaSet", "StatefulSet"];
    for entry in items(&said["replicas"]) {
        let name = text(entry, "name");
        let mut any = false;
        for resource in all.iter_mut() {
            if KINDS.contains(&text(&resource.object, "kind")) && resource.names.iter().any(|it| it == name) {
                resource.object["spec"]["replicas"] = entry["count"].clone();
                any = true;
            }
        }
        if !any {
            return Err(format!(
                "resource with name {name} does not match a config with the following GVK [Deployment.[noVer].[noGrp] \
                 ReplicationController.[noVer].[noGrp] ReplicaSet.[noVer].[noGrp] StatefulSet.[noVer].[noGrp]]"
            ));
        }
    }
    Ok(())
}

/// `images`.
pub fn images(said: &Value, all: &mut [Resource]) -> Result<(), String> {
    for entry in items(&said["images"]) {
        if entry.get("tagSuffix").is_some() {
            return Err("the field `images.tagSuffix` is not supported".to_owned());
        }
        for resource in all.iter_mut() {
            if resource.object["kind"] != "CustomResourceDefinition"
                && let Some(spec) = resource.object.get_mut("spec")
            {
                walk(spec, entry);
            }
        }
    }
    Ok(())
}

fn walk(value: &mut Value, entry: &Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|it| walk(it, entry)),
        Value::Object(fields) => {
            for (key, value) in fields {
                if matches!(key.as_str(), "containers" | "initContainers") {
                    for container in value.as_array_mut().into_iter().flatten() {
                        if let Some(new) =
                            container["image"].as_str().and_then(|image| exchanged(image, entry))
                        {
                            container["image"] = new.into();
                        }
                    }
                } else {
                    walk(value, entry);
                }
            }
        }
        _ => {}
    }
}

/// Name, tag and digest of an image.
fn parts(image: &str) -> (&str, &str, &str) {
    let (rest, digest) = image.split_once('@').unwrap_or((image, ""));
    // A colon before a slash is that of a port.
    match rest.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag, digest),
        _ => (rest, "", digest),
    }
}

fn exchanged(image: &str, entry: &Value) -> Option<String> {
    let (name, mut tag, mut digest) = parts(image);
    if name != text(entry, "name") {
        return None;
    }
    let name = match text(entry, "newName") {
        "" => name,
        new => new,
    };
    let number = entry["newTag"].as_f64().map(|it| it.to_string());
    let (new_tag, new_digest) = (number.as_deref().unwrap_or(text(entry, "newTag")), text(entry, "digest"));
    if !new_digest.is_empty() {
        (tag, digest) = (new_tag, new_digest);
    } else if !new_tag.is_empty() {
        (tag, digest) = (new_tag, "");
    }
    let mut whole = name.to_owned();
    if !tag.is_empty() {
        whole += &format!(":{tag}");
    }
    if !digest.is_empty() {
        whole += &format!("@{digest}");
    }
    Some(whole)
}

/// An image as an Application writes it: `name:tag`, `name@digest`, `old=new:tag`.
pub fn image_of(said: &str) -> Value {
    let (old, new) = said.split_once('=').unwrap_or(("", said));
    let (name, tag, digest) = parts(new);
    let mut entry = json!({ "name": if old.is_empty() { name } else { old } });
    if !old.is_empty() {
        entry["newName"] = name.into();
    }
    for (key, value) in [("newTag", tag), ("digest", digest)] {
        if !value.is_empty() {
            entry[key] = value.into();
        }
    }
    entry
}
