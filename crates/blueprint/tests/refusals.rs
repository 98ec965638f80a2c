//! What a broken blueprint is told: each refusal names file, line and reason.

use std::{collections::BTreeMap, path::Path};

use platform_blueprint::{Blueprint, BlueprintError, Tree};
use platform_spec::Failure;
use serde_json::{Value, json};

const MANIFEST: &str =
    "name = 'own'\nversion = '1.0.0'\ndescription = 'A test.'\n[[repositories]]\nrole = 'platform'\n";
const SCHEMA: &str =
    r#"{"type": "object", "additionalProperties": false, "properties": {"size": {"type": "integer"}}}"#;

/// A blueprint in a folder: the smallest one, with these files changed or added.
fn blueprint(files: &[(&str, &str)]) -> Result<Blueprint, BlueprintError> {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in [("blueprint.toml", MANIFEST), ("params.schema.json", SCHEMA)].iter().chain(files) {
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    Blueprint::from_dir(folder.path())
}

fn model() -> Value {
    json!({
        "platform": "demo",
        "repositories": [{"name": "demo-platform", "role": "platform", "root": ""}],
        "cells": [{"name": "dev"}, {"name": "prod"}],
    })
}

fn render(files: &[(&str, &str)]) -> Result<Tree, BlueprintError> {
    let trees = blueprint(files)?.render(&model(), &Value::Null, &BTreeMap::new())?;
    Ok(trees.get("demo-platform").expect("the repository by its name").clone())
}

fn refusal(files: &[(&str, &str)]) -> Failure {
    render(files).expect_err("it must be refused").into()
}

#[test]
fn a_folder_of_the_users_own_is_a_blueprint_too() {
    let manifest = format!("{MANIFEST}[[loops]]\nvariable = 'cell'\nover = 'cells'\n");
    let tree = render(&[
        ("blueprint.toml", &manifest),
        ("files/platform/cells/{cell}.txt.tera", "{{ cell.name }} of {{ model.platform }}"),
        ("files/platform/run.sh", "#!/bin/sh\necho '{{ not a template }}'\n"),
        ("files/platform/blank.txt.tera", "{% if false %}x{% endif %}\n"),
        ("golden/demo-platform/run.sh", "never read"),
    ])
    .unwrap();
    let paths: Vec<_> = tree.files.keys().map(String::as_str).collect();
    assert_eq!(
        paths,
        [".platform/rendered-by.txt", "cells/dev.txt", "cells/prod.txt", "platform.lock", "run.sh"]
    );
    assert_eq!(tree.get("cells/prod.txt").unwrap().text(), Some("prod of demo"));
    assert!(tree.get("run.sh").unwrap().executable);
}

#[test]
fn everything_goes_below_the_repositorys_root() {
    let mut model = model();
    model["repositories"][0]["root"] = json!("part-04");
    let blueprint = blueprint(&[("files/platform/a.txt.tera", "{{ root }}a.txt")]).unwrap();
    let trees = blueprint.render(&model, &Value::Null, &BTreeMap::new()).unwrap();
    assert_eq!(
        trees.get("demo-platform").unwrap().get("part-04/a.txt").unwrap().text(),
        Some("part-04/a.txt")
    );
}

#[test]
fn an_undefined_variable_is_named_with_file_and_line() {
    for template in [
        "a\nb: {{ model.plattform }}\n",
        "a\n{{ model.plattform | quote }}\n",
        "a\n{{ model.plattform | to_yaml }}\n",
    ] {
        let failure = refusal(&[("files/platform/a.yaml.tera", template)]);
        assert_eq!(failure.code.as_str(), "P0604");
        assert_eq!(
            failure.message, "template `platform/a.yaml.tera`, line 2, could not be rendered",
            "{template}"
        );
        assert!(
            failure.causes[0].contains("plattform") || failure.causes[0].contains("undefined"),
            "{failure:?}"
        );
    }
}

#[test]
fn a_template_that_is_none_is_refused_when_loading() {
    for (template, line) in [("a\n{% if %}\n", 2), ("{{ a | no_such_filter }}", 1)] {
        match blueprint(&[("files/platform/a.tera", template)]) {
            Err(BlueprintError::Template { file, line: found, .. }) => {
                assert!(file == "platform/a.tera" || found.is_none(), "{file}");
                assert!(found.is_none_or(|found| found == line), "{template}: line {found:?}");
            }
            other => panic!("{template}: {other:?}"),
        }
    }
}

#[test]
fn x10_yaml_that_is_none_or_says_a_thing_twice_is_refused() {
    for text in ["a: 1\na: 2\n", "a: [1\n", "---\na: 1\n---\nb:\n  c: 1\n  c: 1\n"] {
        let failure = refusal(&[("files/platform/deep/a.yaml", text)]);
        assert_eq!(failure.code.as_str(), "P0605");
        assert!(failure.message.contains("`deep/a.yaml` of repository `demo-platform`"), "{failure:?}");
    }
    assert!(
        render(&[
            ("files/platform/chart/Chart.yaml", "name: c\n"),
            ("files/platform/chart/templates/a.yaml", "{{- range .Values.x }}\n{{ end }}\n"),
        ])
        .is_ok()
    );
}

#[test]
fn x08_a_literal_credential_is_refused_and_not_repeated() {
    let failure = refusal(&[("files/platform/a.yaml", "db:\n  password: hunter2-canary\n")]);
    assert_eq!(failure.code.as_str(), "P0606");
    assert_eq!(failure.causes, ["a.yaml:2: X-08: a literal credential"]);
    assert!(!serde_json::to_string(&failure).unwrap().contains("canary"));
}

#[test]
fn a_rendered_tree_that_breaks_a_rule_is_refused() {
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: 'x:latest'}\n";
    let failure = refusal(&[("files/platform/pod.yaml", pod)]);
    assert_eq!(failure.code.as_str(), "P0316");
    assert_eq!(failure.causes, ["pod.yaml:6: G-14: image `x:latest` is another one another day (P0324)"]);
    let accepted = format!("# platform:accept G-14 until 2001-01-01: it is what it is\n{pod}");
    assert!(render(&[("files/platform/pod.yaml", &accepted)]).is_ok(), "rendering does not know the day");
}

#[test]
fn paths_that_meet_or_lead_away_are_refused() {
    let looped = format!("{MANIFEST}[[loops]]\nvariable = 'cell'\nover = 'cells'\n");
    for files in [
        vec![("files/platform/a.txt", "1"), ("files/platform/a.txt.tera", "2")],
        vec![("files/platform/{tenant}.txt", "1")],
        vec![("files/apps/a.txt", "1")],
        vec![("files/platform/.platform/rendered-by.txt", "1")],
        vec![("blueprint.toml", looped.as_str()), ("files/platform/{cell.cluster}.txt", "1")],
    ] {
        assert_eq!(refusal(&files).code.as_str(), "P0607", "{files:?}");
    }
}

#[test]
fn a_manifest_is_read_strictly() {
    for (file, text) in [
        ("blueprint.toml", "name = 'own'\n"),
        ("blueprint.toml", &format!("{MANIFEST}extra = 1\n") as &str),
        ("params.schema.json", r#"{"type": "object"}"#),
    ] {
        assert_eq!(refusal(&[(file, text)]).code.as_str(), "P0602", "{text}");
    }
    assert_eq!(Failure::from(Blueprint::embedded("no-such").unwrap_err()).code.as_str(), "P0601");
    assert!(matches!(Blueprint::from_dir(Path::new("/no/such/folder")), Err(BlueprintError::Read { .. })));
}

#[test]
fn an_unknown_parameter_is_refused() {
    let rendered = blueprint(&[]).unwrap().render(&model(), &json!({"sizes": 1}), &BTreeMap::new());
    let failure = Failure::from(rendered.unwrap_err());
    assert_eq!(failure.code.as_str(), "P0603");
    assert!(failure.causes[0].contains("sizes"), "{failure:?}");
}

#[test]
fn an_artifact_that_was_not_given_is_named() {
    let manifest = format!(
        "{MANIFEST}[[artifacts]]\nnames = ['crd']\nversion = '1'\nrepository = 'platform'\npath = 'crds/{{artifact}}.yaml'\n"
    );
    let blueprint = blueprint(&[("blueprint.toml", &manifest)]).unwrap();
    let failure = Failure::from(blueprint.render(&model(), &Value::Null, &BTreeMap::new()).unwrap_err());
    assert_eq!((failure.code.as_str(), failure.message.contains("`crd` 1")), ("P0608", true));
    let given = BTreeMap::from([("crd".to_owned(), b"a: 1\n".to_vec())]);
    let trees = blueprint.render(&model(), &Value::Null, &given).unwrap();
    assert_eq!(trees.get("demo-platform").unwrap().get("crds/crd.yaml").unwrap().text(), Some("a: 1\n"));
}

#[test]
fn every_embedded_blueprint_loads_and_names_itself_after_its_folder() {
    assert!(Blueprint::names().contains(&"starter".to_owned()));
    for name in Blueprint::names() {
        assert_eq!(Blueprint::embedded(&name).unwrap().manifest().name, name);
    }
}
