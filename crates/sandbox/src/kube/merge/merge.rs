//! JSON merge patches (RFC 7386), with the real server's way with nulls inside lists.

use serde_json::{Map, Value};

use super::patch::PatchError;

/// Applies a patch.
///
/// # Errors
/// When the patch is no object.
pub fn merge_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let mut object = object.clone();
    match (&mut object, patch) {
        (_, Value::Null) => return Err(PatchError::BadRequest("Invalid JSON Patch".to_owned())),
        (Value::Object(fields), Value::Object(patch)) => merge(fields, patch),
        (object, Value::Object(_)) => *object = pruned(patch),
        (_, other) => return Err(PatchError::decode(other, "map[string]interface {}")),
    }
    Ok(object)
}

fn merge(fields: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match (fields.get_mut(name), value) {
            (_, Value::Null) => drop(fields.shift_remove(name)),
            (Some(Value::Object(fields)), Value::Object(patch)) => merge(fields, patch),
            // In the place of an object a list keeps the nulls of its objects; everywhere else they go.
            (Some(Value::Object(_)), value) => drop(fields.insert(name.clone(), value.clone())),
            (_, value) => drop(fields.insert(name.clone(), pruned(value))),
        }
    }
}

/// A value without the null fields of its objects.
fn pruned(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), pruned(value)))
            .collect(),
        Value::Array(items) => items.iter().map(pruned).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_set_merged_and_removed() {
        let object = json!({"a": {"b": 1, "c": 2}, "d": [1], "e": "x"});
        let patch =
            json!({"a": {"b": null, "n": {"x": null, "y": 1}}, "d": [2, {"z": null}], "e": null, "f": null});
        assert_eq!(merge_patch(&object, &patch), Ok(json!({"a": {"c": 2, "n": {"y": 1}}, "d": [2, {}]})));
    }

    #[test]
    fn patches_are_objects() {
        let refused = |patch: Value| merge_patch(&json!({}), &patch).expect_err("refused").to_string();
        assert_eq!(refused(Value::Null), "Invalid JSON Patch");
        assert_eq!(
            refused(json!([])),
            "error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}"
        );
    }
}
