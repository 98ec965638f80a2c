//! Where parameters come from: lists, Git, clusters.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::{
    super::{
        home::{Home, secret},
        model::{IN_CLUSTER, glob, items, text},
    },
    combine::{matrix, merge},
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
            "git" => git(home, set, &own, style)?,
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
    let elements = items(&said["elements"]);
    let mut all: Vec<Value> = if style.is_go() {
        elements.cloned().collect()
    } else {
        elements.map(texts).collect::<Result<_, _>>()?
    };
    let yaml = text(said, "elementsYaml");
    if !yaml.is_empty() {
        let more: Vec<Value> = yaml_serde::from_str(yaml)
            .map_err(|error| format!("error unmarshling decoded ElementsYaml {error}"))?;
        all.extend(more);
    }
    Ok(all)
}

/// An element as simple parameters: it has texts, and texts below `values`, or it is refused.
fn texts(element: &Value) -> Result<Value, String> {
    let mut params = Map::new();
    let mut put = |key: String, value: &Value| match value {
        Value::String(_) => {
            params.insert(key, value.clone());
            Ok(())
        }
        // The real one prints an error that is not there.
        _ => Err("error parsing value as string %!w(<nil>)".to_owned()),
    };
    for (key, value) in element.as_object().into_iter().flatten() {
        if key == "values" {
            let values = value.as_object().ok_or("error parsing values map")?;
            values.iter().try_for_each(|(key, value)| put(format!("values.{key}"), value))?;
        } else {
            put(key.clone(), value)?;
        }
    }
    Ok(params.into())
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

fn git(home: &Home<'_>, set: &Value, said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let project = text(&set["spec"]["template"]["spec"], "project");
    if !project.contains("{{") && home.project(project).is_none() {
        let missing = format!("AppProject.argoproj.io \"{project}\" not found");
        return Err(format!("error getting project {project}: {missing}"));
    }
    let by_files = items(&said["files"]).next().is_some();
    let by_folders = items(&said["directories"]).next().is_some();
    if !by_files && !by_folders {
        return Err("ApplicationSet is empty".to_owned());
    }
    let repositories = home.cluster.around.repositories.as_ref().ok_or("the sandbox has no Git here")?;
    let remote = home.remote(text(said, "repoURL"));
    let revision = match text(said, "revision") {
        "" => "HEAD",
        revision => revision,
    };
    let failed = |error: String| {
        let what = if by_folders {
            "error getting directories from repo: error retrieving Git Directories"
        } else {
            "error retrieving Git files"
        };
        format!(
            "error generating params from git: {what}: rpc error: code = Internal desc = unable to resolve git \
             revision : {error}"
        )
    };
    let commit = repositories.resolve(&remote, revision).map_err(failed)?;
    let files = repositories.files(&remote, &commit).map_err(failed)?;
    if !by_folders {
        let read = from_files(said, &files, style);
        return read.map_err(|error| format!("error generating params from git: {error}"));
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
    let chosen = visible.filter(|path| is_chosen(&said["directories"], path, false));
    chosen.map(|path| with_values(said, style, of_path(said, style, &path, None, json!({})))).collect()
}

/// Whether one of the patterns takes a path, and none leaves it out. Those of directories are Go's `path.Match`; those of
/// files are Git's, whose `*` reaches over slashes and which take all that lies below a directory.
fn is_chosen(patterns: &Value, path: &str, of_files: bool) -> bool {
    let fits = |pattern: &str| {
        let mut plain = pattern.replace('{', "[{]").replace('}', "[}]");
        // Neither knows `**`.
        while plain.contains("**") {
            plain = plain.replace("**", "*");
        }
        let below = path.strip_prefix(pattern.trim_end_matches('/')).is_some_and(|it| it.starts_with('/'));
        (of_files && below) || glob(&plain, path, !of_files)
    };
    let any = |exclude: bool| {
        items(patterns).any(|it| (it["exclude"] == true) == exclude && fits(text(it, "path")))
    };
    any(false) && !any(true)
}

fn from_files(said: &Value, files: &Files, style: &Style) -> Result<Vec<Value>, String> {
    let mut all = Vec::new();
    for (path, bytes) in files.iter().filter(|(path, _)| is_chosen(&said["files"], path, true)) {
        let wrong = |error: String| {
            let repository = text(said, "repoURL");
            format!(
                "unable to process file '{path}' from repository '{repository}': unable to parse file: {error}"
            )
        };
        let read: Value = yaml_serde::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        let parts = match read {
            Value::Array(parts) => parts,
            Value::Null => vec![json!({})],
            Value::Object(_) => vec![read],
            other => return Err(wrong(mistaken(&other, "[]map[string]interface {}"))),
        };
        for part in parts {
            if !part.is_object() {
                return Err(wrong(mistaken(&part, "map[string]interface {}")));
            }
            let (folder, name) = path.rsplit_once('/').unwrap_or((".", path));
            all.push(with_values(said, style, of_path(said, style, folder, Some(name), part))?);
        }
    }
    Ok(all)
}

/// What Go says of a value of another type.
fn mistaken(value: &Value, wanted: &str) -> String {
    let kind = match value {
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::Array(_) => "array",
        _ => "string",
    };
    format!(
        "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {kind} into Go value of type {wanted}"
    )
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

/// Annotations of a cluster's Secret that are Argo CD's or kubectl's own.
const NO_PARAMETERS: [&str; 5] = [
    "argocd.argoproj.io/refresh",
    "argocd.argoproj.io/hydrate",
    "argocd.argoproj.io/tracking-id",
    "argocd.argoproj.io/installation-id",
    "kubectl.kubernetes.io/last-applied-configuration",
];

fn clusters(home: &Home<'_>, said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let selector = &said["selector"];
    let mut all = Vec::new();
    let mut local = false;
    for it in &home.known().clusters {
        let labels = &it["metadata"]["labels"];
        if !selects(selector, |key| labels[key].as_str().map(str::to_owned)) {
            continue;
        }
        let (name, server) = (secret(it, "name"), secret(it, "server"));
        local |= server.trim_end_matches('/') == IN_CLUSTER;
        let mut params = json!({
            "name": name, "nameNormalized": normalized(&name), "server": server, "project": secret(it, "project"),
        });
        if style.is_go() {
            params["metadata"] = json!({});
        }
        for part in ["labels", "annotations"] {
            let Some(there) = it["metadata"][part].as_object().filter(|it| !it.is_empty()) else { continue };
            let mut there = there.clone();
            there.retain(|key, _| part == "labels" || !NO_PARAMETERS.contains(&key.as_str()));
            if style.is_go() {
                params["metadata"][part] = there.into();
            } else {
                for (name, value) in there {
                    params[format!("metadata.{part}.{name}")] = value;
                }
            }
        }
        all.push(with_values(said, style, params)?);
    }
    // What a selector asks of labels, a cluster without a Secret does not have.
    let any = ["matchLabels", "matchExpressions"].iter().all(|it| match &selector[it] {
        Value::Object(it) => it.is_empty(),
        Value::Array(it) => it.is_empty(),
        _ => true,
    });
    if any && !local {
        let params = json!({
            "name": "in-cluster", "nameNormalized": "in-cluster", "server": IN_CLUSTER, "project": "",
        });
        all.push(with_values(said, style, params)?);
    }
    Ok(if said["flatList"] == true { vec![json!({ "clusters": all })] } else { all })
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
