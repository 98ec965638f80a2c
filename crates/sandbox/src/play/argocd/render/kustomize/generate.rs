//! Config maps and secrets out of files and literals.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

use super::{Ask, Resource, file};
use crate::play::argocd::{
    model::{items, text},
    render::paths,
};

const KNOWN: &[&str] =
    &["name", "namespace", "behavior", "literals", "files", "envs", "env", "options", "type"];

/// `configMapGenerator` and `secretGenerator`.
pub fn run(ask: &Ask<'_>, at: &str, said: &Value, all: &mut Vec<Resource>) -> Result<(), String> {
    for (field, kind) in [("configMapGenerator", "ConfigMap"), ("secretGenerator", "Secret")] {
        for entry in items(&said[field]) {
            let unknown =
                entry.as_object().and_then(|it| it.keys().find(|key| !KNOWN.contains(&key.as_str())));
            if let Some(unknown) = unknown {
                return Err(format!("the field `{field}.{unknown}` is not supported"));
            }
            add(ask, at, kind, entry, &said["generatorOptions"], all)?;
        }
    }
    Ok(())
}

fn add(
    ask: &Ask<'_>,
    at: &str,
    kind: &str,
    entry: &Value,
    general: &Value,
    all: &mut Vec<Resource>,
) -> Result<(), String> {
    let data = data(ask, at, kind, entry)?;
    let name = text(entry, "name");
    let mut meta = json!({ "name": name });
    if !text(entry, "namespace").is_empty() {
        meta["namespace"] = entry["namespace"].clone();
    }
    let options = &entry["options"];
    for key in ["labels", "annotations"] {
        let mut pairs = general[key].as_object().cloned().unwrap_or_default();
        pairs.extend(options[key].as_object().cloned().unwrap_or_default());
        if !pairs.is_empty() {
            meta[key] = Value::Object(pairs);
        }
    }
    let mut object = json!({"apiVersion": "v1"});
    if !data.is_empty() {
        object["data"] = Value::Object(data);
    }
    object["kind"] = kind.into();
    object["metadata"] = meta;
    if kind == "Secret" {
        object["type"] = match text(entry, "type") {
            "" => "Opaque".into(),
            said => said.into(),
        };
    }
    if options["immutable"] == true || general["immutable"] == true {
        object["immutable"] = true.into();
    }
    let off = |options: &Value| options["disableNameSuffixHash"] == true;
    let hashed = !off(options) && !off(general);
    let there = all
        .iter_mut()
        .find(|it| it.object["kind"] == kind && it.names.first().is_some_and(|first| first == name));
    match (text(entry, "behavior"), there) {
        ("merge", Some(there)) => {
            let new = object["data"].as_object().cloned().unwrap_or_default();
            let mut data = there.object["data"].as_object().cloned().unwrap_or_default();
            data.extend(new);
            there.object["data"] = Value::Object(data);
            for key in ["labels", "annotations"] {
                if let Some(new) = object["metadata"][key].as_object() {
                    let mut pairs = there.object["metadata"][key].as_object().cloned().unwrap_or_default();
                    pairs.extend(new.clone());
                    there.object["metadata"][key] = Value::Object(pairs);
                }
            }
            there.hashed = hashed;
        }
        ("replace", Some(there)) => {
            object["metadata"]["name"] = there.object["metadata"]["name"].clone();
            there.object = object;
            there.hashed = hashed;
        }
        ("merge" | "replace", None) => {
            return Err(format!("id {kind}.v1 {name} does not exist; cannot merge or replace"));
        }
        (_, Some(_)) => {
            return Err(format!("id {kind}.v1 {name} exists; behavior must be merge or replace"));
        }
        (_, None) => all.push(Resource { object, names: vec![name.to_owned()], hashed }),
    }
    Ok(())
}

fn data(ask: &Ask<'_>, at: &str, kind: &str, entry: &Value) -> Result<Map<String, Value>, String> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let envs = items(&entry["envs"]).chain(std::iter::once(&entry["env"])).filter_map(Value::as_str);
    for path in envs {
        for line in
            file(ask, at, path)?.lines().map(str::trim).filter(|it| !it.is_empty() && !it.starts_with('#'))
        {
            let (key, value) = line.split_once('=').ok_or_else(|| format!("{path}: {line} has no value"))?;
            pairs.push((key.to_owned(), value.to_owned()));
        }
    }
    for entry in items(&entry["files"]).filter_map(Value::as_str) {
        let (key, path) = match entry.split_once('=') {
            Some((key, path)) => (key.to_owned(), path),
            None => (entry.rsplit('/').next().unwrap_or(entry).to_owned(), entry),
        };
        let whole = paths::join(at, path).ok_or_else(|| format!("'{path}' leads out of the repository"))?;
        pairs.push((key, paths::read(ask.files, &whole)?.to_owned()));
    }
    for literal in items(&entry["literals"]).filter_map(Value::as_str) {
        let (key, value) = literal
            .split_once('=')
            .ok_or_else(|| format!("invalid literal source {literal}, expected key=value"))?;
        let unquoted = ['"', '\''].iter().find_map(|quote| {
            let inner = value.strip_prefix(*quote)?.strip_suffix(*quote)?;
            (value.len() > 1).then_some(inner)
        });
        pairs.push((key.to_owned(), unquoted.unwrap_or(value).to_owned()));
    }
    let mut data = Map::new();
    for (key, value) in pairs {
        let value = if kind == "Secret" { BASE64_STANDARD.encode(value) } else { value };
        if data.insert(key.clone(), value.into()).is_some() {
            return Err(format!("configmap {} illegally repeats the key `{key}`", text(entry, "name")));
        }
    }
    Ok(data)
}
