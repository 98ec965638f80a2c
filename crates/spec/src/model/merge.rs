//! Layers of values: the later one wins.

use serde_json::Value;

use crate::platform::Values;

/// Lays `over` on `base`, as Helm does with several value files: maps are merged key by key, lists are replaced, and
/// `null` removes a key.
pub fn merge(base: &mut Values, over: &Values) {
    for (key, value) in over {
        match (base.get_mut(key), value) {
            (_, Value::Null) => drop(base.shift_remove(key)),
            (Some(Value::Object(below)), Value::Object(above)) => merge(below, above),
            _ => drop(base.insert(key.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layered(layers: &[Value]) -> Value {
        let mut out = Values::new();
        for layer in layers {
            merge(&mut out, layer.as_object().expect("layers are maps"));
        }
        Value::Object(out)
    }

    /// G-01.
    #[test]
    fn four_layers_give_the_worked_example() {
        let merged = layered(&[
            json!({"replicaCount": 1, "cpu": "50m"}),
            json!({"replicaCount": 3, "cpu": "200m"}),
            json!({"replicaCount": 5, "memory": "512Mi"}),
            json!({"cpu": "500m"}),
        ]);
        assert_eq!(merged, json!({"replicaCount": 5, "cpu": "500m", "memory": "512Mi"}));
    }

    #[test]
    fn maps_merge_lists_replace_and_null_removes() {
        let merged = layered(&[
            json!({"a": {"x": 1, "y": 2}, "l": [1, 2], "gone": 1}),
            json!({"a": {"y": 3}, "l": [3], "gone": null}),
        ]);
        assert_eq!(merged, json!({"a": {"x": 1, "y": 3}, "l": [3]}));
    }
}
