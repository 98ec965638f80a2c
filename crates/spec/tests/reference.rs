//! The reference pages of the spec are generated from its JSON Schema, and stay equal to it.
//!
//! `UPDATE_REFERENCE=1 cargo test -p platform-spec --test reference` writes them anew.

use std::{collections::BTreeMap, fmt::Write, path::PathBuf};

use platform_spec::schema::schema;
use serde_json::Value;

/// A key of the format.
struct Key {
    path: String,
    kind: String,
    required: bool,
    default: Option<String>,
    words: String,
    leaf: bool,
}

fn resolve(node: &'static Value) -> &'static Value {
    let target = node.get("$ref").and_then(Value::as_str).and_then(|name| name.strip_prefix('#'));
    target.and_then(|pointer| schema().pointer(pointer)).unwrap_or(node)
}

fn options(node: &'static Value) -> Option<&'static Vec<Value>> {
    node.get("anyOf").or_else(|| node.get("oneOf")).and_then(Value::as_array)
}

/// In words what may stand at a key.
fn kind(node: &'static Value) -> String {
    let node = resolve(node);
    if let Some(options) = options(node) {
        let constants: Vec<String> = options
            .iter()
            .filter_map(|option| Some(format!("`{}`", option.get("const")?.as_str()?)))
            .collect();
        if !constants.is_empty() {
            return constants.join(", ");
        }
        return options.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(constant) = node.get("const").and_then(Value::as_str) {
        return format!("`{constant}`");
    }
    let format = node.get("format").and_then(Value::as_str).unwrap_or_default();
    match node.get("type").and_then(Value::as_str) {
        Some("string") => match format {
            "rfc1123-label" => "name",
            "secret-ref" => "handle of a secret",
            "duration-hms" => "duration",
            "retention" => "duration with w, mo, y",
            "cidr" => "network",
            "cron" => "cron, five fields",
            "template" => "template",
            "quantity" => "quantity",
            "ip" => "IP address",
            "git-url" => "URL",
            "relative-path" => "relative path",
            "dns-name" => "DNS name",
            "host-port" => "HOST:PORT",
            "date" => "date",
            _ => "text",
        }
        .to_owned(),
        Some("integer") => "whole number".to_owned(),
        Some("number") => "number".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some("array") => format!("list of {}", node.get("items").map_or("anything".to_owned(), kind)),
        Some("object") if node.get("properties").is_some() => "map".to_owned(),
        Some("object") => match values_of_map(node) {
            Some(values) => format!("map by name of {}", kind(values)),
            None => "free map".to_owned(),
        },
        _ => "anything".to_owned(),
    }
}

/// What stands under the names of a map that has names for keys.
fn values_of_map(node: &'static Value) -> Option<&'static Value> {
    let patterns = node.get("patternProperties").and_then(Value::as_object);
    let values = patterns.and_then(|patterns| patterns.values().next());
    values.or_else(|| node.get("additionalProperties").filter(|values| values.is_object()))
}

fn collect(node: &'static Value, path: &str, out: &mut Vec<Key>) {
    let node = resolve(node);
    for option in options(node).into_iter().flatten() {
        collect(option, path, out);
    }
    if let Some(items) = node.get("items") {
        collect(items, &format!("{path}[]"), out);
    }
    if node.get("properties").is_none()
        && let Some(values) = values_of_map(node)
    {
        collect(values, &format!("{path}.NAME"), out);
    }
    let required: Vec<&str> = node
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    for (name, inner) in node.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let before = out.len();
        let words = inner.get("description").or_else(|| resolve(inner).get("description"));
        let words = words.and_then(Value::as_str).unwrap_or_default();
        out.push(Key {
            kind: kind(inner),
            required: required.contains(&name.as_str()),
            default: inner
                .get("default")
                .filter(|value| !matches!(value, Value::Object(_)))
                .map(Value::to_string),
            words: words.split_whitespace().collect::<Vec<_>>().join(" "),
            leaf: true,
            path: path.clone(),
        });
        collect(inner, &path, out);
        out[before].leaf = out.len() == before + 1;
    }
}

fn keys() -> Vec<Key> {
    let mut out = Vec::new();
    collect(schema(), "", &mut out);
    out
}

fn same_as_page(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(&path, text).expect("a writable page");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == text,
        "docs/reference/{name} is not what the schema says; run UPDATE_REFERENCE=1 cargo test -p platform-spec --test reference"
    );
}

#[test]
fn the_reference_lists_every_key() {
    let mut page = String::from(include_str!("reference/head.md"));
    let mut section = "";
    let keys = keys();
    for key in &keys {
        let top = key.path.strip_prefix("spec.").unwrap_or(&key.path);
        let top = top.split(['.', '[']).next().unwrap_or_default();
        if top != section {
            section = top;
            writeln!(page, "\n## `{section}`\n\n| key | what | value | default |\n|---|---|---|---|")
                .expect("text");
        }
        let default = match (&key.default, key.required) {
            (_, true) => "required".to_owned(),
            (Some(value), _) => format!("`{}`", value.trim_matches('"')),
            (None, false) => String::new(),
        };
        let path = key.path.strip_prefix("spec.").unwrap_or(&key.path);
        writeln!(
            page,
            "| `{path}` | {} | {} | {} |",
            escape(&key.words),
            escape(&key.kind),
            escape(&default)
        )
        .expect("text");
    }
    same_as_page("spec.md", &page);
}

/// The add-ons, as the catalogue has them.
#[test]
fn the_catalogue_is_listed() {
    let mut page = String::from(include_str!("reference/addons-head.md"));
    let nothing = || "-".to_owned();
    for entry in platform_spec::catalogue::ENTRIES {
        let version = match (entry.version, entry.source) {
            (Some(version), Some(source)) => format!("[{version}]({source})"),
            _ => nothing(),
        };
        let settings = entry.overlays.iter().map(|(overlay, _)| {
            let settings = serde_json::Value::Object(entry.settings(*overlay)).to_string();
            format!("{}: `{}`", overlay.as_str(), settings.replace('"', ""))
        });
        let cells = [
            entry.wave.to_string(),
            version,
            entry.oldest.map_or_else(nothing, str::to_owned),
            if entry.crds { "yes".to_owned() } else { nothing() },
            serde_json::to_value(entry.pod_security).expect("a word").as_str().unwrap_or_default().to_owned(),
            entry.class.to_owned(),
            entry.after.join(", "),
            settings.collect::<Vec<_>>().join("; "),
        ];
        writeln!(page, "| `{}` | {} |", entry.name, cells.join(" | ")).expect("text");
    }
    same_as_page("addons.md", &page);
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|")
}

/// How far a key gets. A key that is in none of the lists of `reference/coverage.txt` is checked for its form only.
const STATES: [&str; 3] = ["acts", "model", "checked"];

fn coverage() -> BTreeMap<String, &'static str> {
    let mut out = BTreeMap::new();
    let mut state = "";
    for line in include_str!("reference/coverage.txt").lines().map(str::trim) {
        match line
            .strip_prefix('[')
            .and_then(|line| line.strip_suffix(']'))
            .filter(|name| STATES.contains(name))
        {
            Some(name) => state = name,
            None if line.is_empty() || line.starts_with('#') => {}
            None => assert!(out.insert(line.to_owned(), state).is_none(), "{line} is listed twice"),
        }
    }
    out
}

/// Every key of the format is either read by the program or named in `docs/reference/spec-coverage.md`.
#[test]
fn every_key_is_read_or_named_as_unread() {
    let listed = coverage();
    let leaves: Vec<String> = keys().into_iter().filter(|key| key.leaf).map(|key| key.path).collect();
    for path in listed.keys() {
        assert!(leaves.contains(path), "reference/coverage.txt names {path}, which is no leaf of the schema");
    }
    let of = |state: Option<&str>| {
        let keys: Vec<&String> = leaves.iter().filter(|path| listed.get(*path).copied() == state).collect();
        keys
    };
    let mut page = String::from(include_str!("reference/coverage-head.md"));
    let (acts, unread) = (of(Some("acts")).len(), of(None).len());
    let (model, checked) = (of(Some("model")).len(), of(Some("checked")).len());
    write!(
        page,
        "\nOf {} keys {acts} are acted upon, {model} are worked out and not yet used, {checked} are only checked by \
         rules, and {unread} are checked for their form and read by nothing.\n",
        leaves.len()
    )
    .expect("text");
    for (title, state) in [
        ("Read by nothing yet", None),
        ("Only checked", Some("checked")),
        (
            "Worked out into the model (`platform plan` shows it), used by no blueprint or flow yet",
            Some("model"),
        ),
    ] {
        writeln!(page, "\n## {title}\n").expect("text");
        for path in of(state) {
            writeln!(page, "- `{path}`").expect("text");
        }
    }
    same_as_page("spec-coverage.md", &page);
}
