//! How the real server writes down in its refusals what it was sent: as Go does.

use serde_json::Value;

use super::{catalog::Resource, refusal::Refusal};

/// How much of a body is repeated.
const SUMMARY: usize = 30;

/// Why a body is no document: `error` is what the parser says.
pub fn unreadable(resource: &Resource, body: &[u8], error: &str) -> Refusal {
    let cut = &body[..body.len().min(SUMMARY)];
    let more = if body.len() > SUMMARY { " ..." } else { "" };
    let summary = match body.first() {
        None => "<empty>".to_owned(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(cut)),
        Some(_) => format!("{}{more}", hex::encode(cut)),
    };
    Refusal::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error: {} ({summary})",
        resource.kind,
        parse_error(body, error)
    ))
}

/// The commonest errors in Go's words; others in those of the parser.
fn parse_error(body: &[u8], error: &str) -> String {
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    match first {
        _ if error.starts_with("EOF while parsing") => "unexpected end of JSON input".to_owned(),
        Some(byte) if error.starts_with("expected value at line 1 column 1") => {
            format!("invalid character {:?} looking for beginning of value", char::from(*byte))
        }
        _ => error.to_owned(),
    }
}

/// Why an object of another kind or version is not taken; `known` says whether there is such a kind.
pub fn another_kind(resource: &Resource, given: (&str, &str), known: bool) -> Refusal {
    let (version, kind) = given;
    let number = version.rsplit('/').next().unwrap_or_default();
    let why = match known {
        true => {
            let package = match resource.group.split('.').next() {
                None | Some("") => "core",
                Some(package) => package,
            };
            format!("converting ({number}.{kind}) to ({package}.{}): unknown conversion", resource.kind)
        }
        false => {
            let scheme = "pkg/api/legacyscheme/scheme.go:30";
            format!("no kind {kind:?} is registered for version {version:?} in scheme {scheme:?}")
        }
    };
    let wanted = &resource.kind;
    Refusal::bad_request(format!("{kind} in version {number:?} cannot be handled as a {wanted}: {why}"))
}

/// Fields of metadata and of owners of fields, in the order in which Go has them.
const METADATA: &[&str] = &[
    "name",
    "generateName",
    "namespace",
    "selfLink",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "labels",
    "annotations",
    "ownerReferences",
    "finalizers",
    "managedFields",
];
const MANAGED: &[&str] =
    &["manager", "operation", "apiVersion", "time", "fieldsType", "fieldsV1", "subresource"];

/// An object as text: the fields of its head in the order of Go, others in that of their names.
pub fn object(object: &Value) -> String {
    let mut object = object.clone();
    object.sort_all_objects();
    if let Some(metadata) = object.get_mut("metadata") {
        order(metadata, METADATA);
        let managed = metadata.get_mut("managedFields").and_then(Value::as_array_mut);
        for managed in managed.into_iter().flatten() {
            order(managed, MANAGED);
        }
    }
    object.to_string()
}

fn order(value: &mut Value, fields: &[&str]) {
    if let Value::Object(map) = value {
        let mut sorted: Vec<(String, Value)> = std::mem::take(map).into_iter().collect();
        sorted.sort_by_key(|(key, _)| fields.iter().position(|it| it == key).unwrap_or(fields.len()));
        map.extend(sorted);
    }
}

/// A value as Go prints one that it was not told how to print: `map[a:1 b:[x y]]`.
pub fn printed(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(printed).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            let fields = fields.into_iter().map(|(key, value)| format!("{key}:{}", printed(value)));
            format!("map[{}]", fields.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_printed_as_go_prints_them() {
        let value = json!({"b": [1, "x", null], "a": {"c": true}});
        assert_eq!(printed(&value), "map[a:map[c:true] b:[1 x <nil>]]");
        let head = json!({"metadata": {"uid": "u", "labels": {"b": "1", "a": "2"}, "name": "n"}, "data": {}});
        assert_eq!(
            object(&head),
            "{\"data\":{},\"metadata\":{\"name\":\"n\",\"uid\":\"u\",\"labels\":{\"a\":\"2\",\"b\":\"1\"}}}"
        );
    }
}
