//! The values of a chart: its own, those of the files that the Application names, and what it says itself.

use serde_json::{Map, Value};

use super::{
    super::{
        super::model::{items, text},
        Ask, paths,
    },
    values_set,
};

/// The release: what the source says, or the Application's name.
pub fn release<'a>(ask: &Ask<'a>) -> &'a str {
    match text(&ask.source["helm"], "releaseName") {
        "" => ask.name,
        name => name,
    }
}

/// The namespace that templates see.
pub fn namespace<'a>(ask: &Ask<'a>) -> &'a str {
    match text(&ask.source["helm"], "namespace") {
        "" => ask.namespace,
        name => name,
    }
}

/// What is laid over the chart's own values, in order.
pub fn layers(ask: &Ask<'_>, at: &str) -> Result<Vec<Value>, String> {
    let helm = &ask.source["helm"];
    if items(&helm["fileParameters"]).next().is_some() {
        return Err("the sandbox does not support helm.fileParameters".to_owned());
    }
    let mut all = Vec::new();
    for path in items(&helm["valueFiles"]).filter_map(Value::as_str) {
        match file(ask, at, path)? {
            Some(text) => all.push(parse(text, path)?),
            None if helm["ignoreMissingValueFiles"] == true => {}
            None => return Err(format!("open {path}: no such file or directory")),
        }
    }
    if helm["valuesObject"].is_object() {
        all.push(helm["valuesObject"].clone());
    } else if !text(helm, "values").is_empty() {
        all.push(parse(text(helm, "values"), "values")?);
    }
    Ok(all)
}

fn parse(text: &str, path: &str) -> Result<Value, String> {
    let read: Value =
        yaml_serde::from_str(text).map_err(|error| format!("failed to parse {path}: {error}"))?;
    Ok(if read.is_null() { Value::Object(Map::new()) } else { read })
}

/// A file of values: below the chart, from the repository's root, or from the source that `$ref` names.
fn file<'a>(ask: &'a Ask<'_>, at: &str, path: &str) -> Result<Option<&'a str>, String> {
    let outside = || {
        format!("error resolving value file path: value file '{path}' resolved to outside repository root")
    };
    if path.contains("://") {
        return Err(format!("error resolving value file path: the sandbox does not fetch {path}"));
    }
    if path.contains(['*', '?', '[']) {
        return Err(format!(
            "error resolving value file path: the sandbox does not expand the pattern {path}"
        ));
    }
    let (files, whole) = match path.strip_prefix('$').and_then(|rest| rest.split_once('/')) {
        Some((name, rest)) => {
            let (_, files) = ask.refs.get(name).ok_or_else(|| {
                format!("error resolving value file path: source referenced \"{name}\", but no source has a 'ref' field defined as \"{name}\"")
            })?;
            (&**files, paths::join("", rest))
        }
        None => match path.strip_prefix('/') {
            Some(rest) => (ask.files, paths::join("", rest)),
            None => (ask.files, paths::join(at, path)),
        },
    };
    let whole = whole.ok_or_else(outside)?;
    files.contains_key(&whole).then(|| paths::read(files, &whole)).transpose()
}

/// `--set` and (with `true`) `--set-string`.
pub fn parameters<'a>(ask: &Ask<'a>) -> impl Iterator<Item = (&'a str, &'a str, bool)> {
    items(&ask.source["helm"]["parameters"])
        .map(|it| (text(it, "name"), text(it, "value"), it["forceString"] == true))
}

/// All of them, laid over each other.
pub fn of(ask: &Ask<'_>, at: &str) -> Result<Value, String> {
    let own = paths::inside(at, "values.yaml");
    let mut values = match ask.files.contains_key(&own) {
        true => parse(paths::read(ask.files, &own)?, "values.yaml")?,
        false => Value::Object(Map::new()),
    };
    for layer in layers(ask, at)? {
        lay(&mut values, layer);
    }
    for (name, value, as_text) in parameters(ask) {
        values_set::set(&mut values, name, value, as_text)?;
    }
    if !values.is_object() {
        return Err("values.yaml: its root is no map".to_owned());
    }
    Ok(values)
}

/// Lays values over others: maps key by key, `null` takes away, all else replaces.
fn lay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                if value.is_null() {
                    base.shift_remove(&key);
                } else if value.is_object() && base.get(&key).is_some_and(Value::is_object) {
                    lay(&mut base[&key], value);
                } else {
                    base.insert(key, value);
                }
            }
        }
        (base, over) => *base = over,
    }
}
