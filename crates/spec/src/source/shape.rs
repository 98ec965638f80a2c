//! Reading JSON Schema: where a reference leads, which words are allowed, what would be harmless.

use serde_json::Value;

/// The schema itself, or the one it refers to within `root`.
pub(super) fn resolve<'s>(root: &'s Value, schema: &'s Value) -> &'s Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    target.and_then(|pointer| root.pointer(pointer)).unwrap_or(schema)
}

/// Something of the right type that no rule stumbles over.
pub(super) fn harmless(root: &Value, schema: &Value) -> Value {
    let schema = resolve(root, schema);
    if let Some(value) = schema.get("const") {
        return value.clone();
    }
    if let Some(options) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
        return options.first().map_or(Value::Null, |first| harmless(root, first));
    }
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => match format {
            "duration-hms" => "0s".into(),
            "secret-ref" => "env:MISSING".into(),
            "ip" => "0.0.0.0".into(),
            _ => "".into(),
        },
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| 0.into()),
        Some("boolean") => false.into(),
        Some("array") => Value::Array(Vec::new()),
        Some("object") => {
            let required: Vec<&str> = strings(schema.get("required"));
            let of = |key: &str| Some((key.to_owned(), harmless(root, schema.get("properties")?.get(key)?)));
            Value::Object(required.into_iter().filter_map(of).collect())
        }
        _ => Value::Null,
    }
}

pub(super) fn strings(list: Option<&Value>) -> Vec<&str> {
    list.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The words an enumeration allows.
pub(super) fn constants(schema: &Value) -> Vec<&str> {
    let options = schema.get("oneOf").or_else(|| schema.get("anyOf")).and_then(Value::as_array);
    match options {
        Some(options) => options.iter().filter_map(|option| option.get("const")?.as_str()).collect(),
        None => strings(schema.get("enum")),
    }
}

pub(super) fn words_for(schema: &Value) -> &'static str {
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => "a map",
        Some("array") => "a list",
        Some("boolean") => "true or false",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        _ => "a text",
    }
}
