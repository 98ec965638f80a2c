//! What Go makes of an object of a built-in kind: fields that are always there, fields that are left out.
//!
//! The published schemas tell them apart well enough: a struct that is held by value has the default `{}`; what is
//! required and has no default is written as null.

use serde_json::{Map, Value, json};

use crate::kube::schema::{Field, Shape};

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
/// are there; nulls, and empty lists and maps that are not required, are not. Nothing else is defaulted.
pub fn decode(shape: &Shape, value: &mut Value) {
    match (shape.resolve(), value) {
        (Shape::Struct(it), Value::Object(object)) => {
            for (name, field) in &it.fields {
                let required = it.required.contains(name);
                decode_field(name, field, required, object);
            }
        }
        (Shape::Map(map), Value::Object(object)) => {
            object.values_mut().for_each(|value| decode(&map.values, value));
        }
        (Shape::List(list), Value::Array(items)) => {
            items.iter_mut().for_each(|item| decode(&list.items, item));
        }
        _ => (),
    }
}

fn decode_field(name: &str, field: &Field, required: bool, object: &mut Map<String, Value>) {
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
            _ => (),
        }
    }
    if let Some(value) = object.get_mut(name) {
        decode(shape, value);
    }
}
