//! Objects held against their shapes: fields that do not exist, values of the wrong type.

use serde_json::Value;

use super::schema::{Scalar, Shape};

/// What does not fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Misfits {
    /// Fields that do not exist, as paths: `spec.containers[0].imag`.
    pub unknown: Vec<String>,
    /// Values of another type: path, what is there, what is wanted.
    pub wrong: Vec<(String, &'static str, &'static str)>,
    /// Fields that must be there and are not.
    pub missing: Vec<String>,
}

/// Takes out fields that do not exist and says what does not fit. What is `null` counts as left out.
pub fn prune(shape: &Shape, object: &mut Value) -> Misfits {
    let mut misfits = Misfits::default();
    walk(shape.resolve(), object, &mut String::new(), &mut misfits);
    misfits
}

fn walk(shape: &Shape, value: &mut Value, path: &mut String, misfits: &mut Misfits) {
    let name = word(value);
    match (shape.resolve(), value) {
        (_, Value::Null) | (Shape::Any | Shape::Whole, _) => {}
        (Shape::Struct(it), Value::Object(object)) => {
            for field in &it.required {
                if object.get(field).is_none_or(Value::is_null) {
                    misfits.missing.push(below(path, field));
                }
            }
            object.retain(|key, _| {
                let known = it.open || it.fields.contains_key(key) || (path.is_empty() && is_header(key));
                if !known {
                    misfits.unknown.push(below(path, key));
                }
                known
            });
            for (key, value) in object.iter_mut() {
                if let Some(field) = it.fields.get(key) {
                    within(path, &dotted(path, key), |path| walk(&field.shape, value, path, misfits));
                }
            }
        }
        (Shape::Map(it), Value::Object(object)) => {
            for (key, value) in object.iter_mut() {
                within(path, &dotted(path, key), |path| walk(&it.values, value, path, misfits));
            }
        }
        (Shape::List(it), Value::Array(items)) => {
            for (at, item) in items.iter_mut().enumerate() {
                within(path, &format!("[{at}]"), |path| walk(&it.items, item, path, misfits));
            }
        }
        (Shape::Scalar(scalar), value) => {
            let fits = match scalar {
                Scalar::String => value.is_string(),
                Scalar::Integer => value.is_i64() || value.is_u64(),
                Scalar::Number => value.is_number(),
                Scalar::Boolean => value.is_boolean(),
                Scalar::IntOrString => value.is_i64() || value.is_string(),
                Scalar::Quantity => value.is_number() || value.is_string(),
            };
            if !fits {
                misfits.wrong.push((path.clone(), name, wanted(*scalar)));
            }
        }
        (Shape::Struct(_) | Shape::Map(_), _) => misfits.wrong.push((path.clone(), name, "object")),
        (Shape::List(_), _) => misfits.wrong.push((path.clone(), name, "array")),
        (Shape::Named(_), _) => {}
    }
}

/// Schemas of custom kinds need not list what every object has.
fn is_header(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind" | "metadata")
}

fn within(path: &mut String, part: &str, act: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(part);
    act(path);
    path.truncate(length);
}

fn dotted(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!(".{key}") }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn wanted(scalar: Scalar) -> &'static str {
    match scalar {
        Scalar::String => "string",
        Scalar::Integer => "integer",
        Scalar::Number => "number",
        Scalar::Boolean => "boolean",
        Scalar::IntOrString => "integer or string",
        Scalar::Quantity => "quantity",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_does_not_exist_is_named_and_taken_out() {
        let shape = Shape::built_in("apps", "v1", "Deployment").expect("built in");
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "labels": {"any": "thing"}},
            "spec": {
                "replica": 2, "replicas": "two",
                "selector": {},
                "template": {"spec": {"containers": [{"name": "c", "imag": "x", "resources": {"limits": {"cpu": 1}}}]}},
            },
        });
        let misfits = prune(shape, &mut object);
        assert_eq!(misfits.unknown, ["spec.replica", "spec.template.spec.containers[0].imag"]);
        assert_eq!(misfits.wrong, [("spec.replicas".to_owned(), "string", "integer")]);
        assert_eq!(object["spec"].get("replica"), None);
        assert_eq!(object["metadata"]["labels"]["any"], "thing");
    }
}
