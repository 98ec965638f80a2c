//! JSON patches (RFC 6902), as the real server's library understands them.
//!
//! Not by the crate `json-patch`, since the two differ where people notice: `replace` of a field that is not there adds
//! it, a field that is not there equals null in a `test`, and indices below zero count from the end.

use serde_json::{Map, Value};

use super::patch::PatchError;

/// How many operations a patch may have.
const MOST_OPERATIONS: usize = 10_000;

/// Applies a patch.
///
/// # Errors
/// [`PatchError`]; the object is as it was then only for the caller: work on a copy.
pub fn json_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Some(operations) = patch.as_array() else {
        return Err(PatchError::decode(patch, "[]handlers.jsonPatchOp"));
    };
    if operations.len() > MOST_OPERATIONS {
        let count = operations.len();
        return Err(PatchError::TooLarge(format!(
            "The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {count}"
        )));
    }
    let mut object = object.clone();
    for operation in operations {
        let Some(operation) = operation.as_object() else {
            return Err(PatchError::decode(operation, "handlers.jsonPatchOp"));
        };
        apply(&mut object, operation).ok_or(PatchError::Rejected)?;
    }
    Ok(object)
}

fn apply(object: &mut Value, operation: &Map<String, Value>) -> Option<()> {
    let text = |name: &str| operation.get(name).and_then(Value::as_str);
    let value = || operation.get("value").cloned().unwrap_or_default();
    let path = text("path")?;
    match text("op")? {
        "add" => add(object, path, value()),
        "remove" => remove(object, path).map(drop),
        "replace" if path.is_empty() => {
            *object = Some(value()).filter(|value| value.is_object() || value.is_array())?;
            Some(())
        }
        "replace" => replace(object, path, value()),
        "move" => {
            let moved = remove(object, text("from")?)?;
            add(object, path, moved)
        }
        "copy" => {
            let copied = get(object, text("from")?)?.cloned().unwrap_or_default();
            add(object, path, copied)
        }
        "test" if path.is_empty() => (*object == value()).then_some(()),
        "test" => (get(object, path)?.cloned().unwrap_or_default() == value()).then_some(()),
        _ => None,
    }
}

/// The object or list that a path leads into, and the last part of the path.
fn parent<'a>(object: &'a mut Value, path: &str) -> Option<(&'a mut Value, String)> {
    let mut parts: Vec<String> =
        path.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~")).collect();
    let last = parts.pop()?;
    let mut found = object;
    for part in parts {
        found = match found {
            Value::Object(fields) => fields.get_mut(&part)?,
            Value::Array(items) => {
                let at = place(&part, items.len(), items.len())?;
                items.get_mut(at)?
            }
            _ => return None,
        };
    }
    (found.is_object() || found.is_array()).then_some((found, last))
}

/// A place in a list: below zero it counts from `end`; it is at most `most`.
fn place(part: &str, end: usize, most: usize) -> Option<usize> {
    let at: i64 = part.parse().ok()?;
    let at = if at < 0 {
        end.checked_sub(usize::try_from(at.unsigned_abs()).ok()?)?
    } else {
        usize::try_from(at).ok()?
    };
    (at <= most).then_some(at)
}

/// The value at a path: a field that is not there is nothing, a place that is not there refuses the patch.
fn get<'a>(object: &'a mut Value, path: &str) -> Option<Option<&'a Value>> {
    match parent(object, path)? {
        (Value::Object(fields), last) => Some(fields.get(&last)),
        (Value::Array(items), last) => items.get(place(&last, items.len(), items.len())?).map(Some),
        _ => None,
    }
}

fn add(object: &mut Value, path: &str, value: Value) -> Option<()> {
    match parent(object, path)? {
        (Value::Object(fields), last) => drop(fields.insert(last, value)),
        (Value::Array(items), last) if last == "-" => items.push(value),
        (Value::Array(items), last) => {
            let at = place(&last, items.len() + 1, items.len())?;
            items.insert(at, value);
        }
        _ => return None,
    }
    Some(())
}

fn remove(object: &mut Value, path: &str) -> Option<Value> {
    match parent(object, path)? {
        (Value::Object(fields), last) => fields.shift_remove(&last),
        (Value::Array(items), last) => {
            let at = place(&last, items.len(), items.len())?;
            (at < items.len()).then(|| items.remove(at))
        }
        _ => None,
    }
}

fn replace(object: &mut Value, path: &str, value: Value) -> Option<()> {
    match parent(object, path)? {
        (Value::Object(fields), last) => drop(fields.insert(last, value)),
        (Value::Array(items), last) => {
            let at = place(&last, items.len(), items.len())?;
            *items.get_mut(at)? = value;
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn gives(patch: Value, expected: Value) {
        let object = json!({"a": {"b/c": 1, "l": [1, 2, 3]}, "n": null});
        assert_eq!(json_patch(&object, &json!([patch])), Ok(expected));
    }

    #[track_caller]
    fn refused(patch: Value) {
        let object = json!({"a": {"b": 1, "l": [1, 2, 3]}});
        assert_eq!(json_patch(&object, &json!([patch])), Err(PatchError::Rejected));
    }

    #[test]
    fn operations() {
        let list = |list: Value| json!({"a": {"b/c": 1, "l": list}, "n": null});
        gives(json!({"op": "add", "path": "/a/l/-", "value": 4}), list(json!([1, 2, 3, 4])));
        gives(json!({"op": "add", "path": "/a/l/1", "value": 4}), list(json!([1, 4, 2, 3])));
        gives(json!({"op": "add", "path": "/a/l/-1", "value": 4}), list(json!([1, 2, 3, 4])));
        gives(json!({"op": "remove", "path": "/a/l/-1"}), list(json!([1, 2])));
        gives(json!({"op": "replace", "path": "/a/l/0", "value": null}), list(json!([null, 2, 3])));
        gives(json!({"op": "test", "path": "/a/b~1c", "value": 1}), list(json!([1, 2, 3])));
        gives(json!({"op": "move", "from": "/a/b~1c", "path": "/n"}), json!({"a": {"l": [1, 2, 3]}, "n": 1}));
        gives(json!({"op": "copy", "from": "/a/l/2", "path": "/a/l/0"}), list(json!([3, 1, 2, 3])));
        gives(json!({"op": "replace", "path": "", "value": {}}), json!({}));
    }

    #[test]
    fn what_is_not_there_may_be_replaced_and_equals_null() {
        let object = json!({});
        let patch = json!([
            {"op": "test", "path": "/x", "value": null},
            {"op": "replace", "path": "/x", "value": 1},
            {"op": "copy", "from": "/y", "path": "/z"},
        ]);
        assert_eq!(json_patch(&object, &patch), Ok(json!({"x": 1, "z": null})));
    }

    #[test]
    fn refusals() {
        refused(json!({"op": "remove", "path": "/x"}));
        refused(json!({"op": "remove", "path": "/a/l/3"}));
        refused(json!({"op": "add", "path": "/x/y", "value": 1}));
        refused(json!({"op": "add", "path": "", "value": {}}));
        refused(json!({"op": "add", "path": "/a/l/4", "value": 1}));
        refused(json!({"op": "replace", "path": "/a/l/3", "value": 1}));
        refused(json!({"op": "replace", "path": "", "value": 1}));
        refused(json!({"op": "test", "path": "/a/b", "value": 2}));
        refused(json!({"op": "move", "from": "/x", "path": "/y"}));
        refused(json!({"op": "turn", "path": "/a"}));
        assert_eq!(
            json_patch(&json!({}), &json!({})).expect_err("no list").to_string(),
            "error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp"
        );
        let many =
            Value::Array(vec![json!({"op": "test", "path": "/x", "value": null}); MOST_OPERATIONS + 1]);
        assert_eq!(json_patch(&json!({}), &many).expect_err("too many").code(), 413);
    }
}
