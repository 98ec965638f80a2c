//! What Go makes of an object of a built-in kind: fields that are always there, fields that are left out.
//!
//! The published schemas tell them apart well enough: a struct that is held by value has the default `{}`; what is
//! required and has no default is written as null.

use serde_json::{Map, Value, json};

use crate::kube::schema::{Field, Scalar, Shape};

/// Times that are held by value, so that they are written as null when they are not set. The schemas do not tell them
/// from others; their names do.
const TIMES_BY_VALUE: &[&str] = &[
    "deprecatedFirstTimestamp",
    "deprecatedLastTimestamp",
    "eventTime",
    "expirationTimestamp",
    "finishedAt",
    "firstTimestamp",
    "lastHeartbeatTime",
    "lastObservedTime",
    "lastProbeTime",
    "lastTimestamp",
    "lastTransitionTime",
    "lastUpdateTime",
    "startedAt",
];

/// An object of a built-in kind with nothing in it. It has what every object of the kind has: `spec`, `status`, …
///
/// Of a custom kind it is only what `like` says: apiVersion and kind.
pub fn blank(shape: &Shape, like: &Value) -> Value {
    let identity =
        ["apiVersion", "kind"].iter().filter_map(|name| Some(((*name).to_owned(), like.get(name)?.clone())));
    let mut blank = Value::Object(identity.collect());
    if Shape::is_built_in(like) {
        decode(shape, &mut blank);
    }
    blank
}

/// Makes of an object of a built-in kind what the real server has after it decoded it: structs that are held by value
/// are there; nulls, and empty lists and maps that are not required, are not. Nothing else is defaulted, and
/// managedFields stay as they are, since an empty list of them means something.
///
/// # Caveats
/// Go also leaves out `false`, `0` and empty text where a field is held by value, which the schemas do not tell.
pub fn decode(shape: &Shape, value: &mut Value) {
    match (shape.resolve(), value) {
        (Shape::Struct(it), Value::Object(object)) => {
            for (name, field) in &it.fields {
                let required = it.required.contains(name);
                decode_field(name, field, required, object);
            }
        }
        (Shape::Map(map), Value::Object(object)) => {
            for value in object.values_mut() {
                if value.is_null() {
                    *value = zero(&map.values);
                }
                decode(&map.values, value);
            }
        }
        (Shape::List(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| decode(&list.items, item));
        }
        _ => (),
    }
}

/// What a value of a map is when it was null.
fn zero(shape: &Shape) -> Value {
    match shape.resolve() {
        Shape::Scalar(Scalar::String) => json!(""),
        Shape::Scalar(Scalar::Quantity) => json!("0"),
        Shape::Scalar(Scalar::Boolean) => json!(false),
        Shape::Scalar(_) => json!(0),
        Shape::Struct(_) => json!({}),
        _ => Value::Null,
    }
}

fn decode_field(name: &str, field: &Field, required: bool, object: &mut Map<String, Value>) {
    if name == "managedFields" {
        return;
    }
    let shape = field.shape.resolve();
    let left_out = match (shape, object.get(name)) {
        (_, None | Some(Value::Null)) => true,
        (Shape::List(_), Some(Value::Array(items))) => items.is_empty() && !required,
        (Shape::Map(_), Some(Value::Object(fields))) => fields.is_empty() && !required,
        _ => false,
    };
    if left_out {
        object.shift_remove(name);
        let by_value = field.default.as_ref().is_some_and(|default| *default == json!({}));
        match shape {
            Shape::Struct(_) if by_value => drop(object.insert(name.to_owned(), json!({}))),
            Shape::List(_) | Shape::Map(_) | Shape::Struct(_) if required => {
                drop(object.insert(name.to_owned(), Value::Null));
            }
            Shape::Scalar(Scalar::String) if TIMES_BY_VALUE.contains(&name) => {
                drop(object.insert(name.to_owned(), Value::Null));
            }
            Shape::Scalar(Scalar::Quantity) if name == "divisor" => {
                drop(object.insert(name.to_owned(), json!("0")));
            }
            _ => (),
        }
    }
    if let Some(value) = object.get_mut(name) {
        decode(shape, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blank_object_has_what_all_of_its_kind_have() {
        let shape = Shape::built_in("apps", "v1", "Deployment").expect("built in");
        assert_eq!(
            blank(shape, &json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1}})),
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "status": {},
                "spec": {"selector": null, "strategy": {}, "template": {"metadata": {}, "spec": {"containers": null}}},
            })
        );
        let custom = json!({"apiVersion": "x.io/v1", "kind": "X"});
        assert_eq!(blank(&Shape::Any, &custom), custom);
    }

    #[test]
    fn nulls_and_what_is_empty_are_left_out() {
        let shape = Shape::built_in("", "v1", "ConfigMap").expect("built in");
        let mut map = json!({
            "metadata": {"labels": {}, "finalizers": [], "managedFields": [], "annotations": null},
            "data": {"a": null}, "immutable": null,
        });
        decode(shape, &mut map);
        assert_eq!(map, json!({"metadata": {"managedFields": []}, "data": {"a": ""}}));
    }
}
