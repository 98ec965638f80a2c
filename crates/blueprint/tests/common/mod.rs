//! What tests of several blueprints need: models of specs, artifacts, rendered objects, programs.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use platform_blueprint::{Blueprint, Tree};
use serde::Deserialize;
use serde_json::Value;

/// What is meant by a spec's text.
pub fn model_of(text: &str) -> Value {
    let parsed = platform_spec::parse("platform.yaml", text).unwrap_or_else(|found| panic!("{found:#?}"));
    serde_json::to_value(platform_spec::derive(&parsed.platform)).expect("a model becomes JSON")
}

/// A folder of the workspace.
pub fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Stand-ins: the real files are large and say nothing about our rendering.
pub fn artifacts(blueprint: &Blueprint, model: &Value) -> BTreeMap<String, Vec<u8>> {
    let stand_in = |name: &str| match name.strip_prefix("velero-crd-") {
        Some(plural) => format!(
            "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
             metadata:\n  name: {plural}.velero.io\nspec:\n  group: velero.io\n"
        ),
        None => format!("# The file `{name}` as released.\n"),
    };
    let needed = blueprint.needed_artifacts(model).into_iter();
    needed.map(|need| (need.name.clone(), stand_in(&need.name).into())).collect()
}

/// The one repository that a model's blueprint makes.
pub fn render(model: &Value) -> Tree {
    let name = model["blueprint"]["name"].as_str().expect("a blueprint");
    let blueprint = Blueprint::embedded(name).expect("it is part of the program");
    let trees = blueprint
        .render(model, &model["blueprint"]["params"], &artifacts(&blueprint, model))
        .unwrap_or_else(|refused| panic!("{refused:?}"));
    trees.repositories.into_values().next().expect("one repository")
}

/// All documents of a YAML text.
pub fn documents(text: &str) -> Vec<Value> {
    yaml_serde::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).expect("valid YAML"))
        .filter(|document| !document.is_null())
        .collect()
}

/// The objects of one kind in a tree's files.
pub fn objects(tree: &Tree, kind: &str) -> Vec<Value> {
    let files = tree.files.iter().filter(|(path, _)| path.ends_with(".yaml"));
    let all = files.flat_map(|(_, file)| documents(file.text().expect("YAML is text")));
    all.filter(|object| object["kind"] == kind).collect()
}

/// Writes a tree below a folder.
pub fn lay_out(tree: &Tree, root: &Path) {
    for (path, file) in &tree.files {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, &file.bytes).expect("a file");
    }
}

/// A program from PATH or from the cache of the end-to-end bed. With `CI=true` a missing one is a failure.
#[expect(clippy::print_stderr, reason = "a person must see what was not tried")]
pub fn program(name: &str) -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH")
        .map(|path| std::env::split_paths(&path).map(|dir| dir.join(name)).collect::<Vec<_>>());
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let in_bed = cache.map(|cache| cache.join(format!("platform-dev/bed/{name}/bin/{name}")));
    let found = on_path.unwrap_or_default().into_iter().chain(in_bed).find(|candidate| candidate.is_file());
    if found.is_none() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "`{name}` is missing; `./dev tools` builds it");
        eprintln!("skipped: `{name}` is neither in PATH nor in the bed's cache; `./dev tools` builds it");
    }
    found
}
