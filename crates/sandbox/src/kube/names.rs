//! What metadata may look like: labels, annotations, finalizers, owners.

use serde_json::Value;

use super::object::Causes;

const NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const PREFIX: &str = "prefix part a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const QUALIFIED: &str = "a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
/// All annotations of an object together.
const ROOM: usize = 256 * 1024;
/// Finalizers that need no prefix.
const STANDARD: &[&str] = &["kubernetes", "orphan", "foregroundDeletion"];

/// What is wrong with an object's metadata. Finalizers of custom kinds may be called anything.
pub(super) fn metadata_causes(object: &Value, built_in: bool) -> Causes {
    let meta = &object["metadata"];
    let mut causes = Causes::new();
    let mut add = |path: &str, why: String| causes.push((path.to_owned(), why));
    for (key, value) in meta["labels"].as_object().into_iter().flatten() {
        if let Some(why) = key_trouble(key) {
            add("metadata.labels", format!("Invalid value: {key:?}: {why}"));
        }
        if let Some(why) = value.as_str().and_then(value_trouble) {
            add("metadata.labels", format!("Invalid value: {value}: {why}"));
        }
    }
    let mut room = 0;
    for (key, value) in meta["annotations"].as_object().into_iter().flatten() {
        // Keys of annotations may have capital letters in their prefix.
        if let Some(why) = key_trouble(&key.to_lowercase()) {
            add("metadata.annotations", format!("Invalid value: {key:?}: {why}"));
        }
        room += key.len() + value.as_str().map_or(0, str::len);
    }
    if room > ROOM {
        add("metadata.annotations", format!("Too long: may not be more than {ROOM} bytes"));
    }
    let owners = meta["ownerReferences"].as_array();
    for owner in owners.into_iter().flatten() {
        for (key, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if owner[key].as_str().unwrap_or_default().is_empty() {
                add(&format!("metadata.ownerReferences.{key}"), format!("Invalid value: \"\": {why}"));
            }
        }
    }
    let controls = owners.into_iter().flatten().filter(|owner| owner["controller"] == true);
    let controls: Vec<String> = controls
        .map(|owner| {
            let text = |key: &str| owner[key].as_str().unwrap_or_default().to_owned();
            format!("{}/{}", text("kind"), text("name"))
        })
        .collect();
    if let [first, second, ..] = controls.as_slice() {
        let found = format!("Found \"true\" in references for {first} and {second}");
        let why = format!("Only one reference can have Controller set to true. {found}");
        let owners = owners.into_iter().flatten().map(owner_text).collect::<Vec<_>>();
        add("metadata.ownerReferences", format!("Invalid value: [{}]: {why}", owners.join(",")));
    }
    for (at, finalizer) in meta["finalizers"].as_array().into_iter().flatten().enumerate() {
        let name = finalizer.as_str().unwrap_or_default();
        let path = format!("metadata.finalizers[{at}]");
        if let Some(why) = key_trouble(name) {
            add(&path, format!("Invalid value: {name:?}: {why}"));
        } else if built_in && !name.contains('/') && !STANDARD.contains(&name) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            add(&path, format!("Invalid value: {name:?}: {why}"));
        }
    }
    causes
}

/// What is going takes no new finalizers.
pub(super) fn new_finalizers(old: &Value, new: &Value) -> Option<(String, String)> {
    let of = |object: &Value| -> Vec<String> {
        super::object::finalizers(object).into_iter().map(str::to_owned).collect()
    };
    let before = of(old);
    let more: Vec<String> =
        of(new).into_iter().filter(|it| !before.contains(it)).map(|it| format!("{it:?}")).collect();
    (super::object::is_going(old) && !more.is_empty()).then(|| {
        let found = format!("found new finalizers []string{{{}}}", more.join(", "));
        (
            "metadata.finalizers".to_owned(),
            format!("Forbidden: no new finalizers can be added if the object is being deleted, {found}"),
        )
    })
}

/// An owner as the real server writes it, its fields in their order.
fn owner_text(owner: &Value) -> String {
    let keys = ["apiVersion", "kind", "name", "uid", "controller", "blockOwnerDeletion"];
    let fields = keys.iter().filter_map(|key| Some(format!("{key:?}:{}", owner.get(*key)?)));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}

/// What is wrong with the key of a label.
fn key_trouble(key: &str) -> Option<String> {
    let parts: Vec<&str> = key.split('/').collect();
    let name = match parts.as_slice() {
        [name] => name,
        ["", _] => return Some("prefix part must be non-empty".into()),
        [prefix, _] if !is_subdomain(prefix) => return Some(PREFIX.into()),
        [_, name] => name,
        _ => return Some(QUALIFIED.into()),
    };
    match () {
        () if name.is_empty() => Some("name part must be non-empty".into()),
        () if name.len() > 63 => Some("name part must be no more than 63 bytes".into()),
        () if !is_word(name) => Some(NAME.into()),
        () => None,
    }
}

/// What is wrong with the value of a label.
pub(super) fn value_trouble(value: &str) -> Option<String> {
    match () {
        () if value.len() > 63 => Some("must be no more than 63 bytes".into()),
        () if !value.is_empty() && !is_word(value) => Some(VALUE.into()),
        () => None,
    }
}

fn is_word(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    edge(text.bytes().next())
        && edge(text.bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_subdomain(text: &str) -> bool {
    let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let part = |part: &str| {
        part.bytes().next().is_some_and(fine)
            && part.bytes().last().is_some_and(fine)
            && part.bytes().all(|byte| fine(byte) || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn metadata_is_judged() {
        let fine = json!({"metadata": {
            "labels": {"app.kubernetes.io/name": "a.b_c-D", "x": ""},
            "annotations": {"Example.com/Any": "thing at all"},
            "finalizers": ["example.com/held", "orphan"],
            "ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u", "controller": true}],
        }});
        assert_eq!(metadata_causes(&fine, true), []);
        let owner = json!({"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "u", "controller": true});
        for (wrong, path) in [
            (json!({"labels": {"a": "b c"}}), "metadata.labels"),
            (json!({"labels": {"/a": "b"}}), "metadata.labels"),
            (json!({"labels": {"UP/a": "b"}}), "metadata.labels"),
            (json!({"annotations": {"a b": "c"}}), "metadata.annotations"),
            (json!({"finalizers": ["mine"]}), "metadata.finalizers[0]"),
            (
                json!({"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a"}]}),
                "metadata.ownerReferences.uid",
            ),
            (json!({"ownerReferences": [owner, owner]}), "metadata.ownerReferences"),
        ] {
            let causes = metadata_causes(&json!({ "metadata": wrong }), true);
            assert_eq!(causes.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), [path]);
        }
    }
}
