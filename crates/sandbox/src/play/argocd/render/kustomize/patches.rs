//! Strategic merge and JSON patches, and whom they mean.

use serde_json::Value;

use super::{Ask, BUILT_IN, Resource, file};
use crate::{
    kube::merge::{json_patch, merge_patch, strategic_patch},
    play::argocd::{
        model::{group_version, items, text},
        render::directory::documents,
    },
};

/// `patchesStrategicMerge`, `patches`, `patchesJson6902`, in this order.
pub fn run(ask: &Ask<'_>, at: &str, said: &Value, all: &mut Vec<Resource>) -> Result<(), String> {
    for entry in items(&said["patchesStrategicMerge"]).filter_map(Value::as_str) {
        // A file, or the patch itself.
        let text = if entry.contains('\n') { entry } else { file(ask, at, entry)? };
        for patch in documents(text)? {
            to_its_own(&patch, all)?;
        }
    }
    for entry in items(&said["patches"]).chain(items(&said["patchesJson6902"])) {
        if let Some(options) = entry["options"].as_object().and_then(|it| it.keys().next()) {
            return Err(format!("the field `patches.options.{options}` is not supported"));
        }
        let text = match (text(entry, "patch"), text(entry, "path")) {
            ("", path) => file(ask, at, path)?,
            (inline, _) => inline,
        };
        let target = &entry["target"];
        let whole: Value = yaml_serde::from_str(text).unwrap_or(Value::Null);
        if whole.is_array() {
            if !target.is_object() {
                return Err("must specify a target for JSON patch".to_owned());
            }
            for resource in chosen(target, all)? {
                resource.object = json_patch(&resource.object, &whole)
                    .map_err(|error| format!("add operation does not apply: {error}"))?;
            }
            continue;
        }
        let patches =
            documents(text).map_err(|error| format!("unable to parse SM or JSON patch: {error}"))?;
        for patch in patches {
            if target.is_object() {
                let names: Vec<Vec<String>> =
                    chosen(target, all)?.into_iter().map(|it| it.names.clone()).collect();
                for names in names {
                    if let Some(place) =
                        all.iter().position(|it| it.names == names && fits(target, it).unwrap_or(false))
                    {
                        merge_at(place, &patch, all)?;
                    }
                }
            } else {
                to_its_own(&patch, all)?;
            }
        }
    }
    Ok(())
}

/// A patch that names its object itself.
fn to_its_own(patch: &Value, all: &mut Vec<Resource>) -> Result<(), String> {
    let (kind, name) = (text(patch, "kind"), text(&patch["metadata"], "name"));
    let namespace = text(&patch["metadata"], "namespace");
    let group = group_version(patch).0;
    let place = all.iter().position(|it| {
        text(&it.object, "kind") == kind
            && group_version(&it.object).0 == group
            && it.names.iter().any(|it| it == name)
            && (namespace.is_empty() || text(&it.object["metadata"], "namespace") == namespace)
    });
    match place {
        Some(place) => merge_at(place, patch, all),
        None => Err(format!("no resource matches strategic merge patch \"{kind}.{group} {name}\"")),
    }
}

fn merge_at(place: usize, patch: &Value, all: &mut Vec<Resource>) -> Result<(), String> {
    if patch["$patch"] == "delete" {
        all.remove(place);
        return Ok(());
    }
    let resource = &mut all[place];
    let object = &resource.object;
    let mut patch = patch.clone();
    // Whom it means is not what it changes.
    patch["apiVersion"] = object["apiVersion"].clone();
    patch["kind"] = object["kind"].clone();
    if patch["metadata"].is_object() {
        patch["metadata"]["name"] = object["metadata"]["name"].clone();
    }
    let (group, version) = group_version(object);
    let patched = match BUILT_IN.of_kind(group, version, text(object, "kind")) {
        Some(known) => strategic_patch(&known.shape, object, &patch),
        None => merge_patch(object, &patch),
    };
    resource.object = patched.map_err(|error| error.to_string())?;
    Ok(())
}

/// The resources that a target means.
fn chosen<'a>(target: &Value, all: &'a mut [Resource]) -> Result<Vec<&'a mut Resource>, String> {
    let mut found = Vec::new();
    for resource in all {
        if fits(target, resource)? {
            found.push(resource);
        }
    }
    Ok(found)
}

fn fits(target: &Value, resource: &Resource) -> Result<bool, String> {
    let object = &resource.object;
    let (group, version) = group_version(object);
    let whole = |pattern: &str, text: &str| {
        regex::Regex::new(&format!("^(?:{pattern})$"))
            .map(|it| it.is_match(text))
            .map_err(|error| format!("invalid target: {error}"))
    };
    for (key, have) in [("group", group), ("version", version), ("kind", text(object, "kind"))] {
        if !text(target, key).is_empty() && !whole(text(target, key), have)? {
            return Ok(false);
        }
    }
    let namespace = text(target, "namespace");
    if !namespace.is_empty() && !whole(namespace, text(&object["metadata"], "namespace"))? {
        return Ok(false);
    }
    let name = text(target, "name");
    if !name.is_empty() {
        let mut any = false;
        for have in &resource.names {
            any |= whole(name, have)?;
        }
        if !any {
            return Ok(false);
        }
    }
    for (key, of) in [("labelSelector", "labels"), ("annotationSelector", "annotations")] {
        for part in text(target, key).split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let have = &object["metadata"][of];
            let good = match (part.split_once("!="), part.split_once('=')) {
                (Some((key, value)), _) => have[key.trim()] != value.trim(),
                (None, Some((key, value))) => {
                    have[key.trim().trim_end_matches('=')] == value.trim_start_matches('=').trim()
                }
                (None, None) => have.get(part).is_some(),
            };
            if !good {
                return Ok(false);
            }
        }
    }
    Ok(true)
}
