//! From files to objects, as Argo CD's repository server does it.
//!
//! Kustomizations and charts go through the `kustomize` and `helm` programs where those are given; otherwise through a
//! subset of our own, which refuses by name what it does not know. What was rendered once is not rendered again.
//!
//! | room | what it holds |
//! |---|---|
//! | `directory` | plain YAML and JSON |
//! | `kustomize` | the subset of Kustomize |
//! | `helm` | the subset of Helm |
//! | `template` | Go templates and their functions |
//! | `programs` | the real programs |
//! | `paths` | paths within a repository |

mod directory;
mod helm;
mod kustomize;
mod paths;
mod programs;
pub(super) mod template;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::model::{items, text};
use crate::play::around::Files;

#[cfg(test)]
pub(super) use directory::documents;
pub use programs::Programs;

/// How many sources stay rendered.
const KEPT: usize = 4096;

/// What a source was rendered to.
#[derive(Debug, Default)]
pub struct Rendered {
    /// The objects, in the order of the files.
    pub objects: Vec<Value>,
    /// `Directory`, `Kustomize` or `Helm`.
    pub kind: &'static str,
    /// What was only imitated: a chart that lives on the internet.
    pub imitated: Option<String>,
}

/// What to render.
pub struct Ask<'a> {
    /// The source, as it stands in the Application.
    pub source: &'a Value,
    /// The commit.
    pub commit: &'a str,
    /// Its files.
    pub files: &'a Files,
    /// Name of the Application: the release of a chart, unless the source says.
    pub name: &'a str,
    /// The namespace that it goes to.
    pub namespace: &'a str,
    /// Other sources by their `ref`: commit and files.
    pub refs: &'a BTreeMap<String, (String, Arc<Files>)>,
}

type Known = Result<Arc<Rendered>, String>;

/// Renders sources, and remembers what it rendered. Share one among all clusters of a process.
#[derive(Default)]
pub struct Renderer {
    programs: Programs,
    lean: bool,
    known: Mutex<HashMap<[u8; 32], Known>>,
}

impl Renderer {
    /// With the programs that may be used.
    pub fn new(programs: Programs) -> Self {
        Self { programs, ..Self::default() }
    }

    /// For simulations, which may have a thousand clusters: no programs, definitions without their schemas, and what was
    /// rendered once is never rendered anew.
    pub fn lean() -> Self {
        Self { lean: true, ..Self::default() }
    }

    /// Renders one source; `anew`: also when it is known.
    ///
    /// # Errors
    /// In the words of Argo CD's repository server.
    pub fn render(&self, ask: &Ask<'_>, anew: bool) -> Known {
        let key = key(ask);
        let known = |known: &Mutex<HashMap<[u8; 32], Known>>| {
            known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
        };
        if (!anew || self.lean)
            && let Some(known) = known(&self.known)
        {
            return known;
        }
        let rendered = self.work(ask).map(Arc::new);
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEPT {
            all.clear();
        }
        all.insert(key, rendered.clone());
        rendered
    }

    fn work(&self, ask: &Ask<'_>) -> Result<Rendered, String> {
        let source = ask.source;
        if !text(source, "chart").is_empty() {
            let (chart, version) = (text(source, "chart"), text(source, "targetRevision"));
            let imitated = format!("chart {chart} {version} of {}", text(source, "repoURL"));
            return Ok(Rendered { kind: "Helm", imitated: Some(imitated), ..Rendered::default() });
        }
        let unknown = |words: String| format!("rpc error: code = Unknown desc = {words}");
        let path = text(source, "path");
        if path.starts_with('/') {
            return Err(unknown(format!("{path}: app path is absolute")));
        }
        let at = paths::join("", path).ok_or_else(|| unknown(format!("{path}: app path outside root")))?;
        if paths::below(ask.files, &at).next().is_none() {
            return Err(unknown(if ask.files.contains_key(&at) {
                format!("{path}: app path is not a directory")
            } else {
                format!("{path}: app path does not exist")
            }));
        }
        let kind = kind(source, ask.files, &at).map_err(unknown)?;
        let objects = match kind {
            "Helm" => match &self.programs.helm {
                Some(program) => programs::helm(program, ask, &at).map_err(unknown)?,
                None => helm::render(ask, &at).map_err(unknown)?,
            },
            "Kustomize" => match &self.programs.kustomize {
                Some(program) => programs::kustomize(program, ask, &at).map_err(unknown)?,
                None => kustomize::render(ask, &at).map_err(unknown)?,
            },
            _ => directory::render(source, ask.files, &at)?,
        };
        let mut objects = expand(objects);
        if self.lean {
            objects.iter_mut().for_each(without_schemas);
        }
        Ok(Rendered { objects, kind, imitated: None })
    }
}

/// Lets a CustomResourceDefinition accept everything.
fn without_schemas(object: &mut Value) {
    if object["kind"] != "CustomResourceDefinition" {
        return;
    }
    for version in object["spec"]["versions"].as_array_mut().into_iter().flatten() {
        version["schema"] =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    }
}

/// What kind of source it is: as it says itself, or by the files that lie there.
fn kind(source: &Value, files: &Files, at: &str) -> Result<&'static str, String> {
    let said: Vec<&str> =
        [("kustomize", "Kustomize"), ("helm", "Helm"), ("directory", "Directory"), ("plugin", "Plugin")]
            .into_iter()
            .filter(|(key, _)| source.get(key).is_some_and(|it| !it.is_null()))
            .map(|(_, kind)| kind)
            .collect();
    match said.as_slice() {
        ["Kustomize"] => return Ok("Kustomize"),
        ["Helm"] => return Ok("Helm"),
        ["Directory"] => return Ok("Directory"),
        ["Plugin"] => return Err("the sandbox has no config management plugins".to_owned()),
        [] => {}
        several => return Err(format!("multiple application sources defined: {}", several.join(","))),
    }
    let there = |name: &str| files.contains_key(&paths::inside(at, name));
    Ok(if there("Chart.yaml") {
        "Helm"
    } else if kustomize::NAMES.iter().any(|name| there(name)) {
        "Kustomize"
    } else {
        "Directory"
    })
}

/// Lists are taken apart.
fn expand(objects: Vec<Value>) -> Vec<Value> {
    let mut all = Vec::new();
    for object in objects {
        if text(&object, "kind").ends_with("List") && object["items"].is_array() {
            all.extend(items(&object["items"]).cloned());
        } else {
            all.push(object);
        }
    }
    all
}

fn key(ask: &Ask<'_>) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut put = |part: &str| {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    };
    put(&ask.source.to_string());
    for part in [ask.commit, ask.name, ask.namespace] {
        put(part);
    }
    for (name, (commit, _)) in ask.refs {
        put(name);
        put(commit);
    }
    hash.finalize().into()
}
