//! Objects held against their shapes: fields that do not exist, values of the wrong type.

use serde_json::Value;

use super::schema::{Scalar, Shape};

/// What does not fit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Misfits {
    /// Fields that do not exist, as paths: `spec.containers[0].imag`.
    pub unknown: Vec<String>,
    /// Values of another type: where, as `Container.spec.containers.image`; what is there; what is wanted.
    pub wrong: Vec<(String, &'static str, String)>,
    /// Fields that must be there and are not.
    pub missing: Vec<String>,
}

/// Takes out fields that do not exist and says what does not fit an object of a kind. What is `null` counts as left out.
pub fn prune(shape: &Shape, kind: &str, object: &mut Value) -> Misfits {
    let mut misfits = Misfits::default();
    let mut place = Place { path: String::new(), fields: Vec::new(), holder: kind };
    walk(shape.resolve(), object, &mut place, &mut misfits);
    misfits
}

/// Where a walk is.
struct Place<'a> {
    /// With keys of maps and numbers of items.
    path: String,
    /// Fields alone, as Go names a place.
    fields: Vec<&'a str>,
    /// The innermost type with fields.
    holder: &'a str,
}

impl Place<'_> {
    fn misfit(&self, is: &'static str, wanted: String) -> (String, &'static str, String) {
        (format!("{}.{}", self.holder, self.fields.join(".")), is, wanted)
    }
}

fn walk<'a>(shape: &'a Shape, value: &mut Value, place: &mut Place<'a>, misfits: &mut Misfits) {
    let name = word(value);
    match (shape.resolve(), value) {
        (_, Value::Null) | (Shape::Any | Shape::Whole, _) => {}
        (Shape::Struct(it), Value::Object(object)) => {
            for field in &it.required {
                if object.get(field).is_none_or(Value::is_null) {
                    misfits.missing.push(below(&place.path, field));
                }
            }
            object.retain(|key, _| {
                let known =
                    it.open || it.fields.contains_key(key) || (place.path.is_empty() && is_header(key));
                if !known {
                    misfits.unknown.push(below(&place.path, key));
                }
                known
            });
            let holder = place.holder;
            place.holder = named(shape).unwrap_or(holder);
            for (key, value) in object.iter_mut() {
                if let Some((key, field)) = it.fields.get_key_value(key) {
                    place.fields.push(key);
                    let part = dotted(&place.path, key);
                    within(place, &part, |place| walk(&field.shape, value, place, misfits));
                    place.fields.pop();
                }
            }
            place.holder = holder;
        }
        (Shape::Map(it), Value::Object(object)) => {
            for (key, value) in object.iter_mut() {
                let part = dotted(&place.path, key);
                within(place, &part, |place| walk(&it.values, value, place, misfits));
            }
        }
        (Shape::List(it), Value::Array(items)) => {
            for (at, item) in items.iter_mut().enumerate() {
                within(place, &format!("[{at}]"), |place| walk(&it.items, item, place, misfits));
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
                misfits.wrong.push(place.misfit(name, wanted(*scalar).to_owned()));
            }
        }
        (Shape::Struct(_) | Shape::Map(_) | Shape::List(_), _) => {
            misfits.wrong.push(place.misfit(name, go_type(shape)));
        }
        (Shape::Named(_), _) => {}
    }
}

/// Schemas of custom kinds need not list what every object has.
fn is_header(key: &str) -> bool {
    matches!(key, "apiVersion" | "kind" | "metadata")
}

/// The name of a published type, without what stands before it: `Container`.
fn named(shape: &Shape) -> Option<&str> {
    let Shape::Named(name) = shape else { return None };
    let name = name.rsplit('.').next()?;
    Some(name.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()))
}

/// A type as Go names it: `v1.PodSpec`, `[]v1.Container`, `map[string]string`.
fn go_type(shape: &Shape) -> String {
    match shape {
        Shape::Named(name) => {
            let version = name.rsplit('.').nth(1).unwrap_or_default();
            format!("{version}.{}", named(shape).unwrap_or_default())
        }
        Shape::List(it) => format!("[]{}", go_type(&it.items)),
        Shape::Map(it) => format!("map[string]{}", go_type(&it.values)),
        Shape::Scalar(scalar) => wanted(*scalar).to_owned(),
        Shape::Struct(_) => "struct".to_owned(),
        Shape::Any | Shape::Whole => "interface {}".to_owned(),
    }
}

fn within<'a>(place: &mut Place<'a>, part: &str, act: impl FnOnce(&mut Place<'a>)) {
    let length = place.path.len();
    place.path.push_str(part);
    act(place);
    place.path.truncate(length);
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
        // Most are of this size, and the published description does not tell.
        Scalar::Integer => "int32",
        Scalar::Number => "float64",
        Scalar::Boolean => "bool",
        Scalar::IntOrString => "intstr.IntOrString",
        Scalar::Quantity => "resource.Quantity",
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
        let misfits = prune(shape, "Deployment", &mut object);
        assert_eq!(misfits.unknown, ["spec.replica", "spec.template.spec.containers[0].imag"]);
        assert_eq!(
            misfits.wrong,
            [("DeploymentSpec.spec.replicas".to_owned(), "string", "int32".to_owned())]
        );
        assert_eq!(object["spec"].get("replica"), None);
        assert_eq!(object["metadata"]["labels"]["any"], "thing");
    }
}
