//! Directories of plain YAML and JSON.

use serde::Deserialize;
use serde_json::Value;

use super::{
    super::model::{glob, text},
    paths,
};
use crate::play::around::Files;

/// The objects of the files in a directory (and below it, with `recurse`).
pub fn render(source: &Value, files: &Files, at: &str) -> Result<Vec<Value>, String> {
    let said = &source["directory"];
    let (include, exclude) = (text(said, "include"), text(said, "exclude"));
    let precondition = |words: String| format!("rpc error: code = FailedPrecondition desc = {words}");
    let mut objects = Vec::new();
    for (path, bytes) in paths::below(files, at) {
        let extension = path.rsplit_once('.').map_or("", |(_, extension)| extension);
        if !matches!(extension, "yaml" | "yml" | "json" | "jsonnet")
            || (path.contains('/') && said["recurse"] != true)
            || (!exclude.is_empty() && glob(exclude, path, false))
            || (!include.is_empty() && !glob(include, path, false))
        {
            continue;
        }
        let name = path.rsplit('/').next().unwrap_or(path);
        if extension == "jsonnet" {
            return Err(precondition(format!(
                "Failed to evaluate jsonnet {name:?}: the sandbox does not evaluate jsonnet"
            )));
        }
        let wrong = |error: String| {
            precondition(format!("Failed to unmarshal {name:?}: failed to unmarshal manifest: {error}"))
        };
        let text = std::str::from_utf8(bytes).map_err(|error| wrong(error.to_string()))?;
        for object in documents(text).map_err(wrong)? {
            objects.push(with_kind(object).map_err(wrong)?);
        }
    }
    Ok(objects)
}

/// The documents of a YAML (or JSON) text, without empty ones.
pub fn documents(text: &str) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for document in yaml_serde::Deserializer::from_str(text) {
        let value = Value::deserialize(document)
            .map_err(|error| format!("error converting YAML to JSON: yaml: {error}"))?;
        if !value.is_null() {
            all.push(value);
        }
    }
    Ok(all)
}

/// An object, if it has a kind.
pub fn with_kind(object: Value) -> Result<Value, String> {
    for (key, name) in [("kind", "Kind"), ("apiVersion", "apiVersion")] {
        if text(&object, key).is_empty() {
            return Err(format!("Object '{name}' is missing in '{object}'"));
        }
    }
    Ok(object)
}
