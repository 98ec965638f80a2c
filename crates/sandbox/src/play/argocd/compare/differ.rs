//! Whether an object is as wanted: the API is asked what applying it would make of it, and nothing may come out that is not
//! there already.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use serde_json::{Value, json};

use super::super::{
    memory::Wanted,
    model::{CONTROLLER, Id, glob, items, text},
    work::Work,
};
use crate::{
    kube::{Answer, Ask, catalog::Resource, request::Query},
    play::Cluster,
};

/// Whether applying `wanted` would change `live`.
pub fn differs(
    work: &Work<'_>,
    cluster: &Cluster,
    resource: &Resource,
    wanted: &Wanted,
    live: &Arc<Value>,
) -> bool {
    // Most looks find the very same.
    if let Some(known) = wanted.verdict_on(live) {
        return known;
    }
    let ignore = &work.app["spec"]["ignoreDifferences"];
    let key = (of_wanted(&wanted.object, ignore), of_live(live));
    let differs = work.memory.verdict(key, || match apply(cluster, resource, &wanted.object, true) {
        Ok(predicted) => {
            bare(predicted, &wanted.object, ignore) != bare(Value::clone(live), &wanted.object, ignore)
        }
        // What cannot be applied is not as wanted; the sync says why.
        Err(_) => true,
    });
    wanted.judge(live, differs);
    differs
}

/// Remembers that applying `wanted` has just made `live`.
pub fn remember(work: &Work<'_>, wanted: &Value, live: &Value) {
    let key = (of_wanted(wanted, &work.app["spec"]["ignoreDifferences"]), of_live(live));
    work.memory.judge(key, false);
}

fn of_wanted(wanted: &Value, ignore: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash(wanted, &mut hasher, 0);
    hash(ignore, &mut hasher, 0);
    hasher.finish()
}

fn of_live(live: &Value) -> u64 {
    let mut hasher = DefaultHasher::new();
    hash(live, &mut hasher, 1);
    hasher.finish()
}

/// At the top of an object (`depth` 1) its status does not count, and below `metadata` not what every write changes.
fn hash(value: &Value, hasher: &mut DefaultHasher, depth: u8) {
    match value {
        Value::Null => 0u8.hash(hasher),
        Value::Bool(it) => it.hash(hasher),
        Value::Number(it) => it.hash(hasher),
        Value::String(it) => it.hash(hasher),
        Value::Array(all) => {
            all.len().hash(hasher);
            all.iter().for_each(|it| hash(it, hasher, 0));
        }
        Value::Object(fields) => {
            for (key, value) in fields {
                let next = match (depth, key.as_str()) {
                    (1, "status") | (2, "managedFields" | "resourceVersion" | "generation") => continue,
                    (1, "metadata") => 2,
                    _ => 0,
                };
                key.hash(hasher);
                hash(value, hasher, next);
            }
            1u8.hash(hasher);
        }
    }
}

/// An object without what is not compared.
fn bare(mut object: Value, wanted: &Value, ignore: &Value) -> Value {
    let id = Id::of(wanted);
    for path in ignored(ignore, &id) {
        take(&mut object, &path);
    }
    if let Value::Object(fields) = &mut object {
        fields.shift_remove("status");
        fields.shift_remove("apiVersion");
    }
    if let Value::Object(fields) = &mut object["metadata"] {
        for key in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"]
        {
            fields.shift_remove(key);
        }
    }
    object
}

/// A step on the way to a field: a key, or all items of a list.
pub type Path = Vec<Option<String>>;

/// The fields that an Application does not compare in an object, as far as they are JSON pointers or plain jq paths.
pub fn ignored(ignore: &Value, id: &Id) -> Vec<Path> {
    let fits = |it: &&Value| {
        let any_or = |key: &str, have: &str| text(it, key).is_empty() || glob(text(it, key), have, false);
        glob(text(it, "group"), &id.group, false)
            && glob(text(it, "kind"), &id.kind, false)
            && any_or("name", &id.name)
            && any_or("namespace", &id.namespace)
    };
    let mut paths = Vec::new();
    for entry in items(ignore).filter(fits) {
        for pointer in items(&entry["jsonPointers"]).filter_map(Value::as_str) {
            let steps = pointer.trim_start_matches('/').split('/');
            paths.push(steps.map(|it| Some(it.replace("~1", "/").replace("~0", "~"))).collect());
        }
        for jq in items(&entry["jqPathExpressions"]).filter_map(Value::as_str) {
            paths.extend(path_of(jq));
        }
    }
    paths
}

/// A plain jq path: `.spec.replicas`, `.webhooks[]?.clientConfig.caBundle`, `.metadata.annotations["a.b/c"]`.
fn path_of(jq: &str) -> Option<Path> {
    let mut path = Path::new();
    let mut rest = jq.trim();
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix("[]") {
            path.push(None);
            rest = next.strip_prefix('?').unwrap_or(next);
        } else if let Some(next) = rest.strip_prefix("[\"").or_else(|| rest.strip_prefix(".[\"")) {
            let end = next.find("\"]")?;
            path.push(Some(next[..end].to_owned()));
            rest = &next[end + 2..];
        } else if let Some(next) = rest.strip_prefix('[') {
            let end = next.find(']')?;
            next[..end].parse::<usize>().ok()?;
            path.push(Some(next[..end].to_owned()));
            rest = &next[end + 1..];
        } else {
            let next = rest.strip_prefix('.')?;
            if next.starts_with('[') {
                rest = next;
                continue;
            }
            let end = next.find(['.', '[', '?']).unwrap_or(next.len());
            if end == 0 || !next[..end].chars().all(|it| it.is_alphanumeric() || matches!(it, '_' | '-')) {
                return None;
            }
            path.push(Some(next[..end].to_owned()));
            rest = next[end..].strip_prefix('?').unwrap_or(&next[end..]);
        }
    }
    Some(path).filter(|it| !it.is_empty())
}

fn take(value: &mut Value, path: &[Option<String>]) {
    match (path, value) {
        ([Some(key)], Value::Object(fields)) => drop(fields.shift_remove(key)),
        ([Some(key)], Value::Array(all)) => {
            if let Some(at) = key.parse::<usize>().ok().filter(|at| *at < all.len()) {
                all.remove(at);
            }
        }
        ([None], Value::Array(all)) => all.clear(),
        ([Some(key), rest @ ..], Value::Object(fields)) => {
            if let Some(next) = fields.get_mut(key) {
                take(next, rest);
            }
        }
        ([Some(key), rest @ ..], Value::Array(all)) => {
            if let Some(next) = key.parse::<usize>().ok().and_then(|at| all.get_mut(at)) {
                take(next, rest);
            }
        }
        ([None, rest @ ..], Value::Array(all)) => all.iter_mut().for_each(|it| take(it, rest)),
        _ => {}
    }
}

/// Applies an object as Argo CD's controller; `dry`: only says what would come out.
pub fn apply(cluster: &Cluster, resource: &Resource, object: &Value, dry: bool) -> Result<Value, String> {
    let dry = if dry { "&dryRun=All" } else { "&fieldValidation=Strict" };
    let query = Query::parse(&format!("fieldManager={CONTROLLER}&force=true{dry}"));
    let path = address(resource, object);
    ask(cluster, "PATCH", path, query, "application/apply-patch+yaml", object)
}

/// Where an object lies.
pub fn address(resource: &Resource, object: &Value) -> String {
    let metadata = &object["metadata"];
    let mut path = match resource.group.as_str() {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    if resource.namespaced {
        path += &format!("/namespaces/{}", text(metadata, "namespace"));
    }
    path + &format!("/{}/{}", resource.plural, text(metadata, "name"))
}

/// Asks the API for something; its words when it refuses.
pub fn ask(
    cluster: &Cluster,
    method: &str,
    path: String,
    query: Query,
    content_type: &str,
    body: &Value,
) -> Result<Value, String> {
    let ask = Ask {
        method: method.to_owned(),
        path,
        query,
        content_type: content_type.to_owned(),
        user_agent: CONTROLLER.to_owned(),
        ..Ask::default()
    };
    match cluster.api.answer_to(&ask, Some(body.clone())) {
        Answer::Json { code, body, .. } if code < 300 => Ok(Arc::unwrap_or_clone(body)),
        Answer::Json { body, .. } => Err(text(&body, "message").to_owned()),
        Answer::Text { body, .. } => Err(body),
        Answer::Watch(_) | Answer::Bytes { .. } | Answer::List { .. } => Ok(json!({})),
    }
}
