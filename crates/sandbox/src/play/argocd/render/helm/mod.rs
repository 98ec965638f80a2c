//! A subset of Helm: charts without subcharts, rendered by Go templates with the functions of [`super::template`].
//!
//! Refused by name: dependencies, `.Files`, `.Capabilities.APIVersions.Has`, `lookup`, functions that are not there.

mod values_set;

pub mod values;

use std::sync::{Arc, OnceLock, Weak};

use gotmpl::{Template, Value as Go};
use serde_json::{Map, Value, json};

use super::{
    Ask, directory, paths,
    template::{self, Functions, arg, wrong},
};

/// The Kubernetes that charts are told they are rendered for.
const KUBERNETES: (&str, &str, &str) = ("v1.36.0", "1", "36");

/// Renders the chart in a directory.
pub fn render(ask: &Ask<'_>, at: &str) -> Result<Vec<Value>, String> {
    let chart = chart(ask, at)?;
    let values = values::of(ask, at)?;
    check(ask, at, &chart, &values)?;
    let name = chart["Name"].as_str().unwrap_or_default().to_owned();
    let mut sources = Vec::new();
    let mut objects = Vec::new();
    for (path, _) in paths::below(ask.files, at) {
        let whole = paths::inside(at, path);
        if path.starts_with("templates/") {
            sources.push((format!("{name}/{path}"), paths::read(ask.files, &whole)?));
        } else if path.starts_with("crds/") && ask.source["helm"]["skipCrds"] != true {
            objects.extend(directory::documents(paths::read(ask.files, &whole)?)?);
        }
    }
    let engine = Engine::new(&sources)?;
    let data = json!({
        "Values": values,
        "Chart": chart,
        "Release": {
            "Name": values::release(ask), "Namespace": values::namespace(ask), "Service": "Helm",
            "IsInstall": true, "IsUpgrade": false, "Revision": 1,
        },
        "Capabilities": {
            "KubeVersion": {
                "Version": KUBERNETES.0, "GitVersion": KUBERNETES.0, "Major": KUBERNETES.1, "Minor": KUBERNETES.2,
            },
            "HelmVersion": {"Version": "v4.0.0"},
        },
    });
    for (path, _) in &sources {
        let file = path.rsplit('/').next().unwrap_or_default();
        if file.starts_with('_') || file == "NOTES.txt" {
            continue;
        }
        let mut data = data.clone();
        data["Template"] = json!({"Name": path, "BasePath": format!("{name}/templates")});
        let text = engine.run(path, &template::to_go(&data)).map_err(|error| subset(path, &error))?;
        let parsed =
            directory::documents(&text).map_err(|error| format!("YAML parse error on {path}: {error}"))?;
        for object in parsed {
            objects.push(directory::with_kind(object).map_err(|error| format!("{path}: {error}"))?);
        }
    }
    Ok(objects)
}

fn subset(path: &str, error: &str) -> String {
    format!(
        "execution error at ({path}): {error} (rendered by the sandbox's own subset of Helm; where the program `helm` is \
         on the PATH, it renders charts)"
    )
}

/// Chart.yaml as templates see it.
fn chart(ask: &Ask<'_>, at: &str) -> Result<Value, String> {
    let path = paths::inside(at, "Chart.yaml");
    let text = paths::read(ask.files, &path).map_err(|_| "Chart.yaml file is missing".to_owned())?;
    let read: Value =
        yaml_serde::from_str(text).map_err(|error| format!("cannot load Chart.yaml: {error}"))?;
    for key in ["name", "version"] {
        if read[key].as_str().unwrap_or_default().is_empty() {
            return Err(format!("validation: chart.metadata.{key} is required"));
        }
    }
    if read["type"] == "library" {
        return Err("library charts are not installable".to_owned());
    }
    let has_charts = paths::below(ask.files, &paths::inside(at, "charts")).next().is_some();
    if has_charts || read["dependencies"].as_array().is_some_and(|all| !all.is_empty()) {
        return Err(subset(&path, "charts with dependencies are not supported"));
    }
    let fields = read.as_object().cloned().unwrap_or_default();
    let named = fields.into_iter().map(|(key, value)| {
        let mut letters = key.chars();
        let first = letters.next().map(|it| it.to_ascii_uppercase());
        (first.into_iter().chain(letters).collect::<String>(), value)
    });
    let mut chart: Map<String, Value> = named.collect();
    chart.insert("IsRoot".to_owned(), true.into());
    if let Some(version @ Value::Number(_)) = chart.get("AppVersion").cloned() {
        chart.insert("AppVersion".to_owned(), version.to_string().into());
    }
    Ok(Value::Object(chart))
}

/// Holds the values against the chart's schema.
fn check(ask: &Ask<'_>, at: &str, chart: &Value, values: &Value) -> Result<(), String> {
    let path = paths::inside(at, "values.schema.json");
    if !ask.files.contains_key(&path) || ask.source["helm"]["skipSchemaValidation"] == true {
        return Ok(());
    }
    let schema: Value =
        serde_json::from_str(paths::read(ask.files, &path)?).map_err(|error| format!("{path}: {error}"))?;
    let validator = jsonschema::validator_for(&schema).map_err(|error| format!("{path}: {error}"))?;
    let errors: Vec<String> = validator
        .iter_errors(values)
        .map(|error| format!("- at '{}': {error}", error.instance_path()))
        .collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(format!(
        "values don't meet the specifications of the schema(s) in the following chart(s):\n{}:\n{}",
        chart["Name"].as_str().unwrap_or_default(),
        errors.join("\n")
    ))
}

/// All templates of a chart, which may include each other.
struct Engine {
    all: Arc<Template>,
}

impl Engine {
    fn new(sources: &[(String, &str)]) -> Result<Self, String> {
        let whole: Arc<OnceLock<Weak<Template>>> = Arc::default();
        let functions = functions(&whole);
        let mut all = Template::new("chart").funcs(functions.clone());
        for (path, source) in sources {
            let one = Template::new(path).funcs(functions.clone()).parse(source);
            let one = one.map_err(|error| format!("parse error at ({path}): {error}"))?;
            for name in one.templates() {
                if let Some(tree) = one.lookup(name) {
                    all = all.add_parse_tree(name, tree.clone());
                }
            }
            if let Some(tree) = one.lookup(path) {
                all = all.add_parse_tree(path, tree.clone());
            }
        }
        let all = Arc::new(all);
        // Nobody else has set it: it was made above.
        let _set = whole.set(Arc::downgrade(&all));
        Ok(Self { all })
    }

    fn run(&self, path: &str, data: &Go) -> Result<String, String> {
        if self.all.lookup(path).is_none() {
            // Only definitions.
            return Ok(String::new());
        }
        execute(&self.all, path, data).map_err(|error| error.to_string())
    }
}

/// As Helm, which lets what is not there be nothing.
fn execute(all: &Template, name: &str, data: &Go) -> template::Result<String> {
    Ok(all.execute_template_to_string(name, data)?.replace("<no value>", ""))
}

fn functions(whole: &Arc<OnceLock<Weak<Template>>>) -> Functions {
    let mut all = template::functions();
    let templates = whole.clone();
    template::add(&mut all, "include", move |args| {
        let name = template::text(arg("include", args, 0)?);
        let templates = templates.get().and_then(Weak::upgrade).ok_or_else(|| wrong("no templates"))?;
        if templates.lookup(&name).is_none() {
            return Err(wrong(format!("no template {name:?} associated with template \"gotpl\"")));
        }
        Ok(execute(&templates, &name, arg("include", args, 1)?)?.into())
    });
    let templates = whole.clone();
    template::add(&mut all, "tpl", move |args| {
        let source = template::text(arg("tpl", args, 0)?);
        let templates = templates.get().and_then(Weak::upgrade).ok_or_else(|| wrong("no templates"))?;
        let inline = Template::clone(&templates).parse(&source)?;
        Ok(inline.execute_to_string(arg("tpl", args, 1)?)?.replace("<no value>", "").into())
    });
    all
}

#[cfg(test)]
mod tests;
