//! A subset of Kustomize: what [`KNOWN`] lists. Any other field of a kustomization is refused by its name.
//!
//! | room | what it holds |
//! |---|---|
//! | `labels` | labels, selectors and annotations |
//! | `names` | names, namespaces, and who refers to them |
//! | `patches` | strategic merge and JSON patches, and whom they mean |
//! | `generate` | config maps and secrets out of files and literals |
//! | `values` | images and replicas |

mod generate;
mod labels;
mod names;
mod patches;
mod values;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::{
    super::model::{items, text},
    Ask, directory, paths,
};
use crate::kube::catalog::Catalog;

/// The built-in kinds: which lie in namespaces, and how their patches merge.
static BUILT_IN: LazyLock<Catalog> = LazyLock::new(Catalog::default);

/// How a kustomization may be called.
pub const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];

/// The fields that the subset knows.
const KNOWN: &[&str] = &[
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "bases",
    "components",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "labels",
    "commonLabels",
    "commonAnnotations",
    "images",
    "replicas",
    "patches",
    "patchesStrategicMerge",
    "patchesJson6902",
    "configMapGenerator",
    "secretGenerator",
    "generatorOptions",
];

/// An object on its way, with what it was called.
#[derive(Clone, Debug)]
pub struct Resource {
    /// As it is now.
    pub object: Value,
    /// Its names so far, first the one it came with.
    pub names: Vec<String>,
    /// Whether its name gets a digest of its content.
    pub hashed: bool,
}

impl Resource {
    fn new(object: Value) -> Self {
        let name = text(&object["metadata"], "name").to_owned();
        Self { object, names: vec![name], hashed: false }
    }

    fn is_same(&self, other: &Self) -> bool {
        let id = |it: &Self| {
            let object = &it.object;
            let group = text(object, "apiVersion").split_once('/').map_or("", |(group, _)| group);
            let meta = &object["metadata"];
            format!("{group}|{}|{}|{}", text(object, "kind"), text(meta, "namespace"), text(meta, "name"))
        };
        id(self) == id(other)
    }
}

/// Renders the kustomization in a directory, with what the Application adds.
pub fn render(ask: &Ask<'_>, at: &str) -> Result<Vec<Value>, String> {
    build(ask, at).map_err(|error| {
        format!(
            "`kustomize build <path to cached source>/{at}` failed: Error: {error} (rendered by the sandbox's own subset \
             of Kustomize; where the program `kustomize` is on the PATH, it renders kustomizations)"
        )
    })
}

fn build(ask: &Ask<'_>, at: &str) -> Result<Vec<Value>, String> {
    let (_, mut said) = read(ask, at)?;
    add_own(ask, &mut said);
    let mut all = Vec::new();
    accumulate(ask, at, &said, &mut all, &mut vec![at.to_owned()])?;
    names::add_digests(&mut all)?;
    Ok(all.into_iter().map(|it| it.object).collect())
}

/// The kustomization's path and text with what the Application adds, when it adds something.
pub fn edited(ask: &Ask<'_>, at: &str) -> Result<Option<(String, String)>, String> {
    let (path, mut said) = read(ask, at)?;
    let before = said.clone();
    add_own(ask, &mut said);
    if said == before {
        return Ok(None);
    }
    let text = yaml_serde::to_string(&said).map_err(|error| error.to_string())?;
    Ok(Some((path, text)))
}

fn read(ask: &Ask<'_>, at: &str) -> Result<(String, Value), String> {
    let found: Vec<String> =
        NAMES.iter().map(|name| paths::inside(at, name)).filter(|it| ask.files.contains_key(it)).collect();
    let path = match found.as_slice() {
        [one] => one.clone(),
        [] => {
            return Err(format!(
                "unable to find one of 'kustomization.yaml', 'kustomization.yml' or 'Kustomization' in directory '{at}'"
            ));
        }
        _ => return Err(format!("Found multiple kustomization files under: {at}")),
    };
    let said: Value = yaml_serde::from_str(paths::read(ask.files, &path)?)
        .map_err(|error| format!("invalid Kustomization: {path}: {error}"))?;
    let said = if said.is_null() { json!({}) } else { said };
    let Some(fields) = said.as_object() else { return Err(format!("invalid Kustomization: {path}")) };
    if let Some(unknown) = fields.keys().find(|key| !KNOWN.contains(&key.as_str())) {
        return Err(format!("{path}: the field `{unknown}` is not supported"));
    }
    Ok((path, said))
}

/// What stands in the source of the Application, as `kustomize edit` would write it.
fn add_own(ask: &Ask<'_>, said: &mut Value) {
    let own = &ask.source["kustomize"];
    for key in ["namePrefix", "nameSuffix", "namespace"] {
        if !text(own, key).is_empty() {
            said[key] = own[key].clone();
        }
    }
    let labels = if own["labelWithoutSelector"] == true { None } else { Some("commonLabels") };
    if let Some(pairs) = own["commonLabels"].as_object() {
        match labels {
            Some(key) => extend_map(said, key, pairs),
            None => {
                let entry = json!({"pairs": pairs, "includeTemplates": own["labelIncludeTemplates"] == true});
                push(said, "labels", entry);
            }
        }
    }
    if let Some(pairs) = own["commonAnnotations"].as_object() {
        extend_map(said, "commonAnnotations", pairs);
    }
    for image in items(&own["images"]).filter_map(Value::as_str) {
        push(said, "images", values::image_of(image));
    }
    for replica in items(&own["replicas"]) {
        let count = match &replica["count"] {
            Value::String(count) => count.parse::<i64>().map_or(Value::Null, Value::from),
            other => other.clone(),
        };
        push(said, "replicas", json!({"name": replica["name"], "count": count}));
    }
    for key in ["components", "patches"] {
        for it in items(&own[key]) {
            push(said, key, it.clone());
        }
    }
}

fn push(said: &mut Value, key: &str, value: Value) {
    if !said[key].is_array() {
        said[key] = json!([]);
    }
    if let Value::Array(all) = &mut said[key] {
        all.push(value);
    }
}

fn extend_map(said: &mut Value, key: &str, pairs: &Map<String, Value>) {
    if !said[key].is_object() {
        said[key] = json!({});
    }
    if let Value::Object(all) = &mut said[key] {
        all.extend(pairs.clone());
    }
}

/// Adds what one kustomization brings, and does to all of it (a component: to everything there is so far) what it says.
fn accumulate(
    ask: &Ask<'_>,
    at: &str,
    said: &Value,
    all: &mut Vec<Resource>,
    way: &mut Vec<String>,
) -> Result<(), String> {
    for path in items(&said["resources"]).chain(items(&said["bases"])).filter_map(Value::as_str) {
        add_resource(ask, at, path, all, way)?;
    }
    for path in items(&said["components"]).filter_map(Value::as_str) {
        let (at, said) = descend(ask, at, path, way)?;
        if said["kind"] != "Component" {
            return Err(format!(
                "expected kind 'Component' for path '{path}' but got '{}'",
                text(&said, "kind")
            ));
        }
        accumulate(ask, &at, &said, all, way)?;
        way.pop();
    }
    generate::run(ask, at, said, all)?;
    patches::run(ask, at, said, all)?;
    names::set_namespace(text(said, "namespace"), all);
    names::affix(text(said, "namePrefix"), text(said, "nameSuffix"), all);
    labels::run(said, all)?;
    values::replicas(said, all)?;
    values::images(said, all)?;
    Ok(())
}

fn descend(ask: &Ask<'_>, at: &str, path: &str, way: &mut Vec<String>) -> Result<(String, Value), String> {
    let below = paths::join(at, path).ok_or_else(|| format!("'{path}' leads out of the repository"))?;
    if way.contains(&below) {
        return Err(format!("cycle detected: candidate root '{below}' contains visited root"));
    }
    let (_, said) = read(ask, &below)?;
    way.push(below.clone());
    Ok((below, said))
}

fn add_resource(
    ask: &Ask<'_>,
    at: &str,
    path: &str,
    all: &mut Vec<Resource>,
    way: &mut Vec<String>,
) -> Result<(), String> {
    let remote = path.contains("://")
        || path.contains('?')
        || path.starts_with("git@")
        || path.contains("github.com/");
    if remote {
        return Err(format!("the remote resource '{path}' is not supported"));
    }
    let whole = paths::join(at, path).ok_or_else(|| format!("'{path}' leads out of the repository"))?;
    let mut new = Vec::new();
    if ask.files.contains_key(&whole) {
        inside(at, &whole, path)?;
        let objects = directory::documents(paths::read(ask.files, &whole)?)
            .map_err(|error| format!("accumulating resources from '{path}': {error}"))?;
        for object in objects {
            let lists = text(&object, "kind").ends_with("List") && object["items"].is_array();
            let parts = if lists { items(&object["items"]).cloned().collect() } else { vec![object] };
            for object in parts {
                let object = directory::with_kind(object)
                    .map_err(|error| format!("accumulating resources from '{path}': {error}"))?;
                new.push(Resource::new(object));
            }
        }
    } else {
        if paths::below(ask.files, &whole).next().is_none() {
            return Err(format!(
                "accumulating resources: accumulation err='accumulating resources from '{path}': evalsymlink failure on \
                 '<path to cached source>/{whole}' : no such file or directory'"
            ));
        }
        let (below, said) = descend(ask, at, path, way)?;
        accumulate(ask, &below, &said, &mut new, way)?;
        way.pop();
    }
    for one in new {
        if let Some(there) = all.iter().find(|it| it.is_same(&one)) {
            let (kind, name) = (text(&there.object, "kind"), text(&there.object["metadata"], "name"));
            return Err(format!(
                "accumulating resources from '{path}': may not add resource with an already registered id: {kind} {name}"
            ));
        }
        all.push(one);
    }
    Ok(())
}

/// Files must lie in or below the directory that names them.
fn inside(at: &str, whole: &str, path: &str) -> Result<(), String> {
    if at.is_empty() || whole.starts_with(&format!("{at}/")) {
        return Ok(());
    }
    Err(format!("accumulating resources from '{path}': security; file '{whole}' is not in or below '{at}'"))
}

/// A file next to a kustomization.
fn file<'a>(ask: &'a Ask<'_>, at: &str, path: &str) -> Result<&'a str, String> {
    let whole = paths::join(at, path).ok_or_else(|| format!("'{path}' leads out of the repository"))?;
    inside(at, &whole, path)?;
    paths::read(ask.files, &whole)
}

#[cfg(test)]
mod tests;
