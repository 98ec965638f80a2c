//! The page about the provider's `config` is written from the schema that the provider gives, and stays equal to it.
//!
//! `UPDATE_REFERENCE=1 cargo test --test reference` writes it anew.

use std::{fmt::Write, path::PathBuf};

use platform_provider::Provider;
use platform_provider_kind::{Kind, Programs};
use serde_json::Value;

const HEAD: &str = "\
# The provider `kind`

Every key of `config` of a provider of kind `kind`. This page is generated from the schema by which `platform validate` checks the section; a test
fails when they differ.

Of a cluster it reads `nodes.controlPlane` and `nodes.workers` (how many), or `nodePools` (their sizes), `ports`, `resources.memoryGb`,
`kubernetes.version`, `kubernetes.podCidr`, `kubernetes.serviceCidr`, and `kubernetes.cni` (only `kindnet`).

| key | what | value |
|---|---|---|
";

/// In words what may stand at a key.
fn kind(node: &Value) -> String {
    if let Some(options) = node["anyOf"].as_array() {
        return options.iter().map(kind).collect::<Vec<_>>().join(" or ");
    }
    if let Some(words) = node["enum"].as_array() {
        let words: Vec<String> = words.iter().filter_map(|it| Some(format!("`{}`", it.as_str()?))).collect();
        return words.join(", ");
    }
    let text = || match (node["format"].as_str(), node["pattern"].as_str()) {
        (Some("ip"), _) => "IP address",
        (_, Some("^/")) => "absolute path",
        (_, Some(pattern)) if pattern.contains("sha256") => "`sha256:…`",
        (_, Some(pattern)) if pattern.contains("http") => "URL",
        _ => "text",
    };
    match node["type"].as_str() {
        Some("array") => format!("list of {}", kind(&node["items"])),
        Some("object") if node["properties"].is_object() => "map".to_owned(),
        Some("object") => format!("map by name of {}", kind(&node["additionalProperties"])),
        Some("integer") => format!("{} to {}", node["minimum"], node["maximum"]),
        Some("boolean") => "true or false".to_owned(),
        _ => text().to_owned(),
    }
}

fn rows(node: &Value, path: &str, page: &mut String) {
    let required: Vec<&str> =
        node["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (key, value) in node["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let words = value["description"].as_str().unwrap_or_default();
        assert!(!words.is_empty(), "`{path}` is not described");
        let must = if required.contains(&key.as_str()) { ", required" } else { "" };
        writeln!(page, "| `{path}` | {words} | {}{must} |", kind(value)).expect("a text");
        match value["type"].as_str() {
            Some("array") => rows(&value["items"], &format!("{path}[]"), page),
            _ => rows(value, &path, page),
        }
    }
}

#[tokio::test]
async fn the_page_says_what_the_schema_says() {
    let provider = Kind::new(Programs::default(), PathBuf::from("/nowhere"));
    let schema = provider.describe().await.expect("it can be asked").config_schema;
    let mut page = HEAD.to_owned();
    rows(&schema, "", &mut page);
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/kind.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&file, &page).expect("a folder that can be written");
    }
    let there = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        there == page,
        "{} is not what the schema says; write it anew with UPDATE_REFERENCE=1",
        file.display()
    );
}
