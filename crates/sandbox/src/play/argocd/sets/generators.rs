//! Where parameters come from.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::{
    super::{
        home::{Home, secret},
        model::{IN_CLUSTER, glob, items, text},
    },
    params::{Style, flat, normalized, shown},
};
use crate::play::around::Files;

/// Parameters, and a template of the generator's own.
pub type Found = Vec<(Value, Value)>;

/// What may stand in a generator beside its kind.
const BESIDE: [&str; 2] = ["selector", "template"];

/// Runs a generator. `outer` are parameters of a matrix around it, which its own fields may use; `top`: it may be a matrix
/// or a merge.
pub fn run(
    home: &Home<'_>,
    set: &Value,
    generator: &Value,
    style: &Style,
    outer: &Value,
    top: bool,
) -> Result<Found, String> {
    let kinds = generator
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| !BESIDE.contains(&key.as_str()) && !value.is_null());
    let mut all = Vec::new();
    for (kind, said) in kinds {
        let own = if outer.as_object().is_some_and(|it| !it.is_empty())
            && !matches!(kind.as_str(), "matrix" | "merge")
        {
            style.render(said, outer)?
        } else {
            said.clone()
        };
        let found = match kind.as_str() {
            "list" => list(&own, style)?,
            "git" => git(home, &own, style)?,
            "clusters" => clusters(home, &own, style)?,
            "matrix" if top || outer.as_object().is_some_and(Map::is_empty) => {
                matrix(home, set, &own, style)?
            }
            "merge" => merge(home, set, &own, style)?,
            other => return Err(format!("the sandbox does not play the generator {other}")),
        };
        let template = &said["template"];
        all.extend(found.into_iter().map(|params| (params, template.clone())));
    }
    let selector = &generator["selector"];
    if selector.is_object() {
        all.retain(|(params, _)| {
            selects(selector, |key| Some(shown(params, key)).filter(|it| !it.is_empty()))
        });
    }
    Ok(all)
}

fn list(said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let mut elements: Vec<Value> = items(&said["elements"]).cloned().collect();
    let yaml = text(said, "elementsYaml");
    if !yaml.is_empty() {
        let more: Vec<Value> = yaml_serde::from_str(yaml)
            .map_err(|error| format!("error unmarshling decoded ElementsYaml {error}"))?;
        elements.extend(more);
    }
    if style.is_go() {
        return Ok(elements);
    }
    let flattened = elements.iter().map(|element| {
        let mut params = Map::new();
        flat("", element, &mut params);
        Value::Object(params)
    });
    Ok(flattened.collect())
}

/// Adds the generator's `values`, which may use the parameters.
fn with_values(said: &Value, style: &Style, mut params: Value) -> Result<Value, String> {
    if !said["values"].is_object() {
        return Ok(params);
    }
    let values = style.render(&said["values"], &params)?;
    if style.is_go() {
        params["values"] = values;
    } else {
        for (key, value) in values.as_object().into_iter().flatten() {
            params[format!("values.{key}")] = value.clone();
        }
    }
    Ok(params)
}

fn git(home: &Home<'_>, said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let repositories = home.cluster.around.repositories.as_ref().ok_or("the sandbox has no Git here")?;
    let remote = home.remote(text(said, "repoURL"));
    let revision = match text(said, "revision") {
        "" => "HEAD",
        revision => revision,
    };
    let failed = |what: &str, error: String| {
        format!("error getting {what} from repo: error retrieving Git {what}: {error}")
    };
    let what = if said["files"].is_array() { "files" } else { "directories" };
    let commit = repositories.resolve(&remote, revision).map_err(|error| failed(what, error))?;
    let files = repositories.files(&remote, &commit).map_err(|error| failed(what, error))?;
    if said["files"].is_array() {
        return from_files(said, &files, style);
    }
    if !said["directories"].is_array() {
        return Err("error getting params from repo: both files and directories are empty".to_owned());
    }
    let mut all = BTreeSet::new();
    for path in files.keys() {
        let mut at = path.as_str();
        while let Some((parent, _)) = at.rsplit_once('/') {
            all.insert(parent.to_owned());
            at = parent;
        }
    }
    let visible = all.into_iter().filter(|it| !it.split('/').any(|part| part.starts_with('.')));
    let chosen = visible.filter(|path| is_chosen(&said["directories"], path));
    chosen.map(|path| with_values(said, style, of_path(said, style, &path, None, json!({})))).collect()
}

fn is_chosen(patterns: &Value, path: &str) -> bool {
    let fits = |exclude: bool| {
        items(patterns).any(|it| (it["exclude"] == true) == exclude && glob(text(it, "path"), path, true))
    };
    fits(false) && !fits(true)
}

fn from_files(said: &Value, files: &Files, style: &Style) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for (path, bytes) in files.iter().filter(|(path, _)| is_chosen(&said["files"], path)) {
        let wrong = |error: String| format!("unable to process file '{path}': unable to parse file: {error}");
        let read: Value = yaml_serde::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let parts = match read {
            Value::Array(parts) => parts,
            Value::Null => vec![json!({})],
            one => vec![one],
        };
        for part in parts {
            if !part.is_object() {
                return Err(wrong("it is no map".to_owned()));
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
            all.push(with_values(said, style, of_path(said, style, folder, Some(name), part))?);
        }
    }
    Ok(all)
}

/// The parameters of a path, on top of what a file holds.
fn of_path(said: &Value, style: &Style, folder: &str, file: Option<&str>, content: Value) -> Value {
    let prefix = text(said, "pathParamPrefix");
    let base = folder.rsplit('/').next().unwrap_or(folder);
    let segments: Vec<&str> = folder.split('/').collect();
    if style.is_go() {
        let mut path = json!({
            "path": folder, "basename": base, "basenameNormalized": normalized(base), "segments": segments,
        });
        if let Some(file) = file {
            path["filename"] = file.into();
            path["filenameNormalized"] = normalized(file).into();
        }
        let mut params = content;
        if prefix.is_empty() {
            params["path"] = path;
        } else {
            params[prefix] = json!({ "path": path });
        }
        return params;
    }
    let mut params = Map::new();
    flat("", &content, &mut params);
    let name = if prefix.is_empty() { "path".to_owned() } else { format!("{prefix}.path") };
    let mut put = |key: String, value: &str| drop(params.insert(key, value.into()));
    put(name.clone(), folder);
    put(format!("{name}.basename"), base);
    put(format!("{name}.basenameNormalized"), &normalized(base));
    if let Some(file) = file {
        put(format!("{name}.filename"), file);
        put(format!("{name}.filenameNormalized"), &normalized(file));
    }
    for (at, segment) in segments.iter().enumerate() {
        put(format!("{name}[{at}]"), segment);
    }
    Value::Object(params)
}

fn clusters(home: &Home<'_>, said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let selector = &said["selector"];
    let empty = json!({});
    let mut all: Vec<(String, String, String, Value)> = Vec::new();
    for it in home.secrets("cluster") {
        let labels = &it["metadata"]["labels"];
        if selects(selector, |key| labels[key].as_str().map(str::to_owned)) {
            all.push((
                secret(&it, "name"),
                secret(&it, "server"),
                secret(&it, "project"),
                it["metadata"].clone(),
            ));
        }
    }
    let local = home.secrets("cluster").any(|it| secret(&it, "server").trim_end_matches('/') == IN_CLUSTER);
    let any = selector.as_object().is_none_or(Map::is_empty);
    if any && !local {
        all.push(("in-cluster".to_owned(), IN_CLUSTER.to_owned(), String::new(), empty));
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let params = all.into_iter().map(|(name, server, project, metadata)| {
        let mut params = json!({
            "name": name, "nameNormalized": normalized(&name), "server": server, "project": project,
        });
        let meta = json!({"labels": metadata["labels"], "annotations": metadata["annotations"]});
        if style.is_go() {
            params["metadata"] = meta;
        } else {
            for key in ["labels", "annotations"] {
                for (name, value) in meta[key].as_object().into_iter().flatten() {
                    params[format!("metadata.{key}.{name}")] = value.clone();
                }
            }
        }
        with_values(said, style, params)
    });
    params.collect()
}

/// Whether a label selector fits.
fn selects(selector: &Value, have: impl Fn(&str) -> Option<String>) -> bool {
    let labels = selector["matchLabels"].as_object();
    let exact = labels.into_iter().flatten().all(|(key, value)| have(key).as_deref() == value.as_str());
    exact
        && items(&selector["matchExpressions"]).all(|it| {
            let value = have(text(it, "key"));
            let listed =
                value.as_ref().is_some_and(|value| items(&it["values"]).any(|it| it == value.as_str()));
            match text(it, "operator") {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

fn matrix(home: &Home<'_>, set: &Value, said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let both: Vec<&Value> = items(&said["generators"]).collect();
    let [first, second] = both.as_slice() else {
        let how = if both.len() < 2 { "less" } else { "more" };
        return Err(format!("found {how} than two generators, Matrix support only two"));
    };
    let mut all = Vec::new();
    for (left, _) in run(home, set, first, style, &json!({}), false)? {
        for (right, _) in run(home, set, second, style, &left, false)? {
            all.push(if style.is_go() {
                let mut both = right;
                lay(&mut both, left.clone());
                both
            } else {
                combined(&left, &right)?
            });
        }
    }
    Ok(all)
}

fn combined(left: &Value, right: &Value) -> Result<Value, String> {
    let mut both = left.clone();
    for (key, value) in right.as_object().into_iter().flatten() {
        match left.get(key) {
            Some(other) if other != value => {
                return Err(format!(
                    "found duplicate key {key} with different value, a: {} b: {}",
                    shown(left, key),
                    shown(right, key)
                ));
            }
            _ => both[key] = value.clone(),
        }
    }
    Ok(both)
}

fn merge(home: &Home<'_>, set: &Value, said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let all: Vec<&Value> = items(&said["generators"]).collect();
    let keys: Vec<&str> = items(&said["mergeKeys"]).filter_map(Value::as_str).collect();
    if all.len() < 2 {
        return Err("found less than two generators, Merge requires two or more".to_owned());
    }
    if keys.is_empty() {
        return Err("no merge keys were specified, Merge requires at least one".to_owned());
    }
    let id = |params: &Value| keys.iter().map(|key| shown(params, key)).collect::<Vec<_>>();
    let mut base: Vec<(Vec<String>, Value)> = Vec::new();
    for (params, _) in run(home, set, all[0], style, &json!({}), false)? {
        let id = id(&params);
        if base.iter().any(|(other, _)| *other == id) {
            return Err(format!(
                "the parameters from a generator were not unique by the given mergeKeys, Merge requires all param sets to be unique. Duplicate key was {}",
                id.join(",")
            ));
        }
        base.push((id, params));
    }
    for generator in &all[1..] {
        let mut others: BTreeMap<Vec<String>, Value> = BTreeMap::new();
        for (params, _) in run(home, set, generator, style, &json!({}), false)? {
            others.insert(id(&params), params);
        }
        for (id, params) in &mut base {
            if let Some(over) = others.get(id) {
                lay(params, over.clone());
            }
        }
    }
    Ok(base.into_iter().map(|(_, params)| params).collect())
}

/// Lays a value over another: maps key by key, all else replaces.
pub fn lay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(there) => lay(there, value),
                    None => drop(base.insert(key, value)),
                }
            }
        }
        // A template of its own leaves empty what it does not say.
        (_, Value::String(over)) if over.is_empty() => {}
        (base, over) => *base = over,
    }
}
