//! How `kubectl apply --server-side` takes over from `kubectl apply`: through the annotation that holds what was applied.

use serde_json::{Map, Value, json};

use super::{
    apply::Conflict, compare::Comparison, fields::Set, managed::without_managed, shapes::fields_of,
    update::Write, value,
};

/// The name under which kubectl applies.
pub(super) const MANAGER: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// How many bytes all annotations of an object may have.
const MOST_BYTES: usize = 256 * 1024;

/// Refuses the conflicts that are not with kubectl's own former self.
pub(super) fn others(write: &Write<'_>, live: &Value, conflicts: Vec<Conflict>) -> Result<(), Vec<Conflict>> {
    let Some(own) = former(write, live) else { return Err(conflicts) };
    let others: Vec<_> = conflicts.into_iter().filter(|conflict| !own.contains(&conflict.path)).collect();
    if others.is_empty() { Ok(()) } else { Err(others) }
}

/// The fields that the annotation holds and the object still has with the same values.
fn former(write: &Write<'_>, live: &Value) -> Option<Set> {
    let text = live["metadata"]["annotations"][ANNOTATION].as_str().filter(|text| !text.is_empty())?;
    let last: Value = serde_json::from_str(text).ok()?;
    if last["apiVersion"] != write.api_version {
        return None;
    }
    let mut live = live.clone();
    without_managed(&mut live);
    let changes = Comparison::of(write.shape, &last, &live);
    let set = fields_of(write.shape, &last);
    Some(set.difference(&changes.modified).difference(&changes.added).difference(&changes.removed))
}

/// Writes what was applied into the annotation, where there is one.
pub(super) fn renew(object: &mut Value, config: &Value) {
    let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) else {
        return;
    };
    if annotations.get(ANNOTATION).and_then(Value::as_str).is_none_or(str::is_empty) {
        return;
    }
    let mut config = config.clone();
    if let Some(own) = config.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        own.shift_remove(ANNOTATION);
    }
    annotations.insert(ANNOTATION.to_owned(), json!(value::json(&config) + "\n"));
    let bytes = |annotations: &Map<String, Value>| -> usize {
        annotations.iter().map(|(name, value)| name.len() + value.as_str().map_or(0, str::len)).sum()
    };
    if bytes(annotations) > MOST_BYTES {
        annotations.shift_remove(ANNOTATION);
    }
}
