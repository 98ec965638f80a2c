//! ApplicationSets: generators, policies, conditions.

use serde_json::{Value, json};

use super::stage::{Stage, URL};

fn set(stage: &Stage, name: &str, spec: &Value) {
    let set = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationSet",
        "metadata": {"name": name, "namespace": "argocd"}, "spec": spec,
    });
    stage.cluster.create("test", "argoproj.io/applicationsets", &set).expect("made");
}

fn template(name: &str, path: &str, namespace: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"made": "by-a-set"}},
        "spec": {
            "project": "default",
            "source": {"repoURL": URL, "targetRevision": "main", "path": path},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": namespace},
        },
    })
}

fn condition(stage: &Stage, name: &str, kind: &str) -> (String, String, String) {
    let set = stage.get("argoproj.io/applicationsets", "argocd", name).expect("there");
    let all = set["status"]["conditions"].as_array().unwrap_or_else(|| panic!("no conditions: {set:#}"));
    let it = all.iter().find(|it| it["type"] == kind).expect("that condition");
    let part = |key: &str| it[key].as_str().unwrap_or_default().to_owned();
    (part("status"), part("reason"), part("message"))
}

fn apps(stage: &Stage) -> Vec<String> {
    stage.names("argoproj.io/applications", "argocd")
}

#[test]
fn applications_follow_their_set() {
    let mut stage = Stage::new();
    stage.push(&[("a/x.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: x}}")]);
    let spec = |names: &[&str]| {
        let elements: Vec<Value> = names.iter().map(|it| json!({"name": it})).collect();
        json!({
            "goTemplate": true, "generators": [{"list": {"elements": elements}}],
            "template": template("{{.name}}", "a", "default"),
        })
    };
    set(&stage, "s", &spec(&["a", "b"]));
    stage.after(1);
    assert_eq!(apps(&stage), ["a", "b"]);
    assert_eq!(stage.app("a")["metadata"]["finalizers"], json!(["resources-finalizer.argocd.argoproj.io"]));
    assert_eq!(stage.state("a"), "OutOfSync Missing -");
    // What somebody changes comes back; what he asks for stays.
    stage.change("argoproj.io/applications", "argocd", "a", |it| it["spec"]["project"] = "other".into());
    stage.settle();
    assert_eq!(stage.app("a")["spec"]["project"], "default");
    stage.change("argoproj.io/applicationsets", "argocd", "s", |it| it["spec"] = spec(&["b", "c"]));
    stage.after(1);
    assert_eq!(apps(&stage), ["b", "c"]);
    let status = stage.get("argoproj.io/applicationsets", "argocd", "s").expect("there")["status"].clone();
    assert_eq!(status["resourcesCount"], 2);
    // Policies hold back.
    stage.change("argoproj.io/applicationsets", "argocd", "s", |it| {
        it["spec"] = spec(&["d"]);
        it["spec"]["syncPolicy"] =
            json!({"applicationsSync": "create-only", "preserveResourcesOnDeletion": true});
    });
    stage.after(1);
    assert_eq!(apps(&stage), ["b", "c", "d"]);
    assert!(stage.app("d")["metadata"]["finalizers"].is_null());
    // Without the policy they go with their set.
    stage.change("argoproj.io/applicationsets", "argocd", "s", |it| it["spec"] = spec(&["d"]));
    stage.after(1);
    let key = crate::play::Cluster::key("argoproj.io/applicationsets", "argocd", "s");
    stage.cluster.delete("test", &key).expect("deleted");
    stage.after(5);
    assert!(apps(&stage).is_empty(), "{:?}", apps(&stage));
}

fn cluster(stage: &Stage, name: &str, called: &str, tier: &str) {
    let secret = json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {
            "name": name, "namespace": "argocd",
            "labels": {"argocd.argoproj.io/secret-type": "cluster", "tier": tier},
        },
        "stringData": {"name": called, "server": format!("https://{name}.example.com")},
    });
    stage.cluster.create("test", "/secrets", &secret).expect("made");
}

/// That its Applications cannot be reached is no matter to a set.
#[test]
fn a_set_that_was_there_first_is_seen_when_argo_cd_runs_and_follows_clusters() {
    let mut stage = Stage::new();
    cluster(&stage, "far", "far", "gold");
    let mut template = template("on-{{name}}", "a", "default");
    template["spec"]["destination"]["server"] = "{{server}}".into();
    set(&stage, "s", &json!({"generators": [{"clusters": {}}], "template": template}));
    stage.settle();
    assert_eq!(condition(&stage, "s", "ErrorOccurred").0, "False");
    assert_eq!(apps(&stage), ["on-far", "on-in-cluster"]);
    stage.cluster.delete("test", &crate::play::Cluster::key("/secrets", "argocd", "far")).expect("deleted");
    stage.settle();
    assert_eq!(apps(&stage), ["on-in-cluster"]);
}

/// The real controller is asked for more in `sandbox_real`; these hold where there is no bed.
#[test]
fn every_generator_gives_its_parameters() {
    let list = |elements: Value| json!({"list": {"elements": elements}});
    let git =
        |key: &str, patterns: Value| json!({"git": {"repoURL": URL, "revision": "main", key: patterns}});
    let folders = git("directories", json!([{"path": "apps/*"}, {"path": "apps/b", "exclude": true}]));
    let files = git("files", json!([{"path": "envs/**/*.json"}]));
    // Both have a path, and the first one's counts.
    let mut outer = files.clone();
    outer["git"]["pathParamPrefix"] = "outer".into();
    let named = |name: &str| list(json!([{"name": name}]));
    let table: &[(Value, &str, &[&str])] = &[
        (list(json!([{"n": "a", "values": {"m": "1"}}])), "{{n}}-{{values.m}}", &["a-1"]),
        (json!({"list": {"elements": [], "elementsYaml": "[{n: a}, {n: b}]"}}), "{{.n}}", &["a", "b"]),
        (folders.clone(), "{{path.basenameNormalized}}-{{path[0]}}", &["a-apps", "c-d-apps"]),
        (folders.clone(), "{{.path.basenameNormalized}}-{{len .path.segments}}", &["a-2", "c-d-2"]),
        (files.clone(), "{{env}}-{{path.basename}}-{{deep.x}}", &["dev-dev-1", "prod-prod-2"]),
        (files.clone(), "{{.env}}-{{.deep.x}}", &["dev-1", "prod-2"]),
        (json!({"clusters": {}}), "{{nameNormalized}}", &["far", "in-cluster", "near-by"]),
        (
            json!({"clusters": {"selector": {"matchLabels": {"tier": "gold"}}}}),
            "{{.name}}-{{.metadata.labels.tier}}",
            &["far-gold"],
        ),
        (json!({"clusters": {"flatList": true}}), "all-{{len .clusters}}", &["all-3"]),
        (
            json!({"matrix": {"generators": [folders, named("x")]}}),
            "{{path.basenameNormalized}}-{{name}}",
            &["a-x", "c-d-x"],
        ),
        (
            json!({"matrix": {"generators": [outer, git("directories", json!([{"path": "apps/{{.at}}"}]))]}}),
            "{{.env}}-{{.path.basename}}",
            &["dev-a", "prod-b"],
        ),
        (
            json!({"merge": {"mergeKeys": ["name"], "generators": [
                {"clusters": {"values": {"size": "small"}}}, list(json!([{"name": "far", "values": {"size": "large"}}])),
            ]}}),
            "{{nameNormalized}}-{{values.size}}",
            &["far-large", "in-cluster-small", "near-by-small"],
        ),
        (
            json!({"list": {"elements": [{"n": "a", "t": "x"}, {"n": "b", "t": "y"}]}, "selector": {"matchLabels": {"t": "y"}}}),
            "{{n}}",
            &["b"],
        ),
    ];
    for (generator, name, wanted) in table {
        let mut stage = Stage::new();
        stage.push(&[
            ("apps/a/x.yaml", ""),
            ("apps/b/x.yaml", ""),
            ("apps/C_d/x.yaml", ""),
            ("envs/dev/e.json", r#"{"env": "dev", "at": "a", "deep": {"x": 1}}"#),
            ("envs/prod/e.json", r#"{"env": "prod", "at": "b", "deep": {"x": 2}}"#),
            ("envs/e.json", r#"{"env": "not-below-a-folder"}"#),
        ]);
        cluster(&stage, "far", "far", "gold");
        cluster(&stage, "near", "Near_By", "silver");
        let go = name.contains("{{.") || name.contains("{{len");
        let spec = json!({"goTemplate": go, "generators": [generator], "template": template(name, "apps/a", "default")});
        set(&stage, "s", &spec);
        stage.settle();
        assert_eq!(
            condition(&stage, "s", "ErrorOccurred").2,
            "All applications have been generated successfully"
        );
        assert_eq!(apps(&stage), *wanted, "{generator}");
    }
}

#[test]
fn what_is_wrong_is_said_in_conditions() {
    let list = json!({"list": {"elements": [{"a": "1"}, {"a": "2"}]}});
    for (generator, name, go, reason, words) in [
        (
            json!({"scmProvider": {}}),
            "x",
            false,
            "ApplicationGenerationFromParamsError",
            "the sandbox does not play the generator scmProvider",
        ),
        (
            json!({"matrix": {"generators": [list.clone()]}}),
            "x",
            false,
            "ApplicationGenerationFromParamsError",
            "found less than two generators, Matrix support only two",
        ),
        (
            json!({"git": {"repoURL": "https://git.example.com/no", "revision": "main", "directories": [{"path": "*"}]}}),
            "x",
            false,
            "ApplicationGenerationFromParamsError",
            "repository not found",
        ),
        (list.clone(), "{{ .a", true, "RenderTemplateParamsError", "failed to parse template {{ .a"),
        (list.clone(), "{{ .nope }}", true, "RenderTemplateParamsError", "map has no entry for key"),
        (
            list.clone(),
            "same",
            false,
            "ApplicationValidationError",
            "ApplicationSet s contains applications with duplicate name: same",
        ),
    ] {
        let mut stage = Stage::new();
        let spec = json!({
            "goTemplate": go, "goTemplateOptions": ["missingkey=error"], "generators": [generator],
            "template": template(name, "a", "default"),
        });
        set(&stage, "s", &spec);
        stage.settle();
        let said = condition(&stage, "s", "ErrorOccurred");
        assert_eq!((said.0.as_str(), said.1.as_str()), ("True", reason), "{said:?}");
        assert!(said.2.contains(words), "{said:?}");
        assert_eq!(condition(&stage, "s", "ResourcesUpToDate").0, "False");
    }
}
