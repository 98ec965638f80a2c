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
        (list.clone(), "{{ .a", true, "RenderTemplateParamsError", "failed to execute go template {{ .a"),
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
