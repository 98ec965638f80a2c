//! Applications: compared, synced, healed, pruned, refused and removed.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};

use super::stage::{Stage, URL};

fn map(name: &str, value: &str) -> String {
    format!("{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{k: \"{value}\"}}}}")
}

fn waved(name: &str, wave: &str, kind: &str) -> String {
    let meta = format!("{{name: {name}, annotations: {{argocd.argoproj.io/sync-wave: \"{wave}\"}}}}");
    match kind {
        "Deployment" => format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {meta}, spec: {{replicas: 1, selector: {{matchLabels: {{a: b}}}}, \
             template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: i:1}}]}}}}}}}}"
        ),
        _ => format!("{{apiVersion: v1, kind: ConfigMap, metadata: {meta}}}"),
    }
}

fn job(name: &str, hook: &str, policy: &str, labels: &str) -> String {
    format!(
        "{{apiVersion: batch/v1, kind: Job, metadata: {{name: {name}, labels: {labels}, annotations: \
         {{argocd.argoproj.io/hook: {hook}, argocd.argoproj.io/hook-delete-policy: {policy}}}}}, spec: {{template: {{spec: \
         {{restartPolicy: Never, containers: [{{name: c, image: i:1}}]}}}}}}}}"
    )
}

const GOOD: &str = "Synced Healthy Succeeded";

#[test]
fn what_is_changed_or_removed_comes_back_and_what_leaves_git_goes() {
    let mut stage = Stage::new();
    stage.push(&[("a/x.yaml", &map("x", "1")), ("a/y.yaml", &map("y", "1"))]);
    stage.application("a", "a", &json!({}));
    stage.after(1);
    assert_eq!(stage.state("a"), GOOD, "{}", stage.said("a"));
    assert_eq!(stage.said("a"), "successfully synced (all tasks run)");
    let app = stage.app("a");
    assert_eq!(app["status"]["history"].as_array().expect("a history").len(), 1);
    assert_eq!(app["status"]["sourceType"], "Directory");
    let tracked = stage.get("/configmaps", "default", "x").expect("made");
    assert_eq!(
        tracked["metadata"]["annotations"]["argocd.argoproj.io/tracking-id"],
        "a:/ConfigMap:default/x"
    );

    // Healed within seconds, without Git.
    stage.change("/configmaps", "default", "x", |it| it["data"]["k"] = "2".into());
    stage.settle();
    assert_eq!(stage.state("a"), "OutOfSync Healthy Succeeded");
    stage.after(10);
    assert_eq!(stage.get("/configmaps", "default", "x").expect("there")["data"]["k"], "1");
    assert_eq!(stage.state("a"), GOOD);
    stage.cluster.delete("test", &crate::play::Cluster::key("/configmaps", "default", "y")).expect("deleted");
    stage.after(10);
    assert!(stage.get("/configmaps", "default", "y").is_some());

    // A new commit is seen when it polls, or at once when somebody asks.
    let commit = stage.push(&[("a/x.yaml", &map("x", "3"))]);
    stage.after(10);
    assert_eq!(stage.get("/configmaps", "default", "x").expect("there")["data"]["k"], "1");
    stage.after(120);
    assert_eq!(stage.get("/configmaps", "default", "x").expect("there")["data"]["k"], "3");
    assert!(stage.get("/configmaps", "default", "y").is_none(), "pruned");
    assert_eq!(stage.app("a")["status"]["sync"]["revision"], commit.as_str());
    stage.push(&[("a/x.yaml", &map("x", "4"))]);
    stage.change("argoproj.io/applications", "argocd", "a", |it| {
        it["metadata"]["annotations"]["argocd.argoproj.io/refresh"] = "hard".into();
    });
    stage.settle();
    assert_eq!(stage.get("/configmaps", "default", "x").expect("there")["data"]["k"], "4");
    assert!(stage.app("a")["metadata"]["annotations"]["argocd.argoproj.io/refresh"].is_null());
}

#[test]
fn without_a_policy_it_only_compares_and_without_pruning_it_only_says_so() {
    let mut stage = Stage::new();
    stage.push(&[("a/x.yaml", &map("x", "1")), ("a/y.yaml", &map("y", "1"))]);
    stage.application("a", "a", &json!({"syncPolicy": {}}));
    stage.after(1);
    assert_eq!(stage.state("a"), "OutOfSync Missing -");
    stage.change("argoproj.io/applications", "argocd", "a", |it| {
        it["operation"] = json!({"sync": {"revision": "main"}, "initiatedBy": {"username": "me"}});
    });
    stage.settle();
    assert_eq!(stage.state("a"), GOOD, "{}", stage.said("a"));
    assert!(stage.app("a")["operation"].is_null());
    stage.push(&[("a/x.yaml", &map("x", "1"))]);
    stage.after(120);
    assert_eq!(stage.state("a"), "OutOfSync Healthy Succeeded");
    let resources = stage.app("a")["status"]["resources"].clone();
    assert_eq!(resources[1]["requiresPruning"], true, "{resources}");
    stage.push(&[("b/x.yaml", &map("x", "1"))]);
    stage.after(120);
    assert!(stage.conditions("a").contains("app path does not exist"), "{}", stage.conditions("a"));
    assert_eq!(stage.state("a").split(' ').next(), Some("Unknown"));
}

#[test]
fn waves_wait_until_what_came_before_is_healthy() {
    let mut stage = Stage::new();
    stage.push(&[
        ("a/1.yaml", &waved("first", "-1", "ConfigMap")),
        ("a/2.yaml", &waved("second", "0", "Deployment")),
        ("a/3.yaml", &waved("third", "5", "ConfigMap")),
    ]);
    stage.application("a", "a", &json!({}));
    stage.settle();
    stage.ready.store(true, Ordering::SeqCst);
    stage.after(5);
    assert_eq!(stage.state("a"), GOOD, "{}", stage.said("a"));

    let mut stage = Stage::new();
    stage.settle();
    stage.ready.store(false, Ordering::SeqCst);
    stage.push(&[
        ("a/2.yaml", &waved("second", "0", "Deployment")),
        ("a/3.yaml", &waved("third", "5", "ConfigMap")),
    ]);
    stage.application("a", "a", &json!({}));
    stage.after(30);
    assert_eq!(stage.state("a"), "OutOfSync Progressing Running");
    assert_eq!(stage.said("a"), "waiting for healthy state of apps/Deployment/second");
    assert!(stage.get("/configmaps", "default", "third").is_none());
    stage.ready.store(true, Ordering::SeqCst);
    stage.after(5);
    assert_eq!(stage.state("a"), GOOD, "{}", stage.said("a"));
    assert!(stage.get("/configmaps", "default", "third").is_some());
}

#[test]
fn hooks_run_in_their_phases_and_go_as_they_say() {
    let mut stage = Stage::new();
    stage.push(&[
        ("a/before.yaml", &job("before", "PreSync", "HookSucceeded", "{}")),
        ("a/x.yaml", &map("x", "1")),
        ("a/after.yaml", &job("after", "PostSync", "BeforeHookCreation", "{}")),
        ("a/sad.yaml", &job("sad", "SyncFail", "HookSucceeded", "{}")),
    ]);
    stage.application("a", "a", &json!({}));
    stage.after(5);
    assert_eq!(stage.state("a"), GOOD, "{}", stage.said("a"));
    assert_eq!(stage.names("batch/jobs", "default"), ["after"]);
    let results = stage.app("a")["status"]["operationState"]["syncResult"]["resources"].clone();
    let phases: Vec<&str> =
        results.as_array().expect("results").iter().filter_map(|it| it["syncPhase"].as_str()).collect();
    assert_eq!(phases, ["PreSync", "Sync", "PostSync"]);

    // A hook that fails ends the sync, after the hooks for that.
    let mut stage = Stage::new();
    stage.push(&[
        ("a/before.yaml", &job("before", "PreSync", "HookFailed", "{fails: \"true\"}")),
        ("a/x.yaml", &map("x", "1")),
        ("a/sad.yaml", &job("sad", "SyncFail", "BeforeHookCreation", "{}")),
    ]);
    stage.application("a", "a", &json!({"syncPolicy": {"automated": {}, "retry": {"limit": 0}}}));
    stage.after(5);
    assert_eq!(stage.state("a"), "OutOfSync Missing Failed", "{}", stage.said("a"));
    assert_eq!(stage.said("a"), "one or more synchronization tasks completed unsuccessfully");
    assert_eq!(stage.names("batch/jobs", "default"), ["sad"]);
    assert!(stage.get("/configmaps", "default", "x").is_none());
    assert!(
        stage.conditions("a").starts_with("SyncError: Failed last sync attempt to ["),
        "{}",
        stage.conditions("a")
    );
}

#[test]
fn what_cannot_be_read_is_said_in_the_words_of_git() {
    let mut stage = Stage::new();
    stage.push(&[("a/x.yaml", "a: ["), ("b/x.yaml", "{kind: ConfigMap}"), ("c/x.jsonnet", "{}")]);
    let source = |url: &str, revision: &str, path: &str| json!({"source": {"repoURL": url, "targetRevision": revision, "path": path}});
    let locked = "https://git.example.com/locked";
    stage.git.init("https://git.example.com/empty");
    stage.git.commit(locked, "main", crate::play::around::Files::new());
    stage.git.lock(locked, "me", "secret".to_owned().into());
    let all = [
        ("broken", source(URL, "main", "a"), "Failed to unmarshal \"x.yaml\": failed to unmarshal manifest"),
        ("nameless", source(URL, "main", "b"), "Object 'apiVersion' is missing"),
        ("jsonnet", source(URL, "main", "c"), "the sandbox does not evaluate jsonnet"),
        ("path", source(URL, "main", "nope"), "nope: app path does not exist"),
        ("branch", source(URL, "nope", "a"), "unable to resolve 'nope' to a commit SHA"),
        ("repo", source("https://git.example.com/nope", "main", "a"), "repository not found"),
        ("empty", source("https://git.example.com/empty", "main", "a"), "remote repository is empty"),
        ("locked", source(locked, "main", "a"), "authentication required"),
    ];
    for (name, more, _) in &all {
        stage.application(name, "a", more);
    }
    stage.after(1);
    for (name, _, words) in &all {
        let said = stage.conditions(name);
        assert!(said.starts_with("ComparisonError: Failed to load target state: failed to generate manifest for source 1 of 1: rpc error:"), "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
        assert_eq!(stage.state(name), "Unknown Healthy -", "{name}");
    }
    // With the right password it is read.
    stage.apply(
        "{apiVersion: v1, kind: Secret, metadata: {name: r, namespace: argocd, labels: {argocd.argoproj.io/secret-type: repository}}, \
         stringData: {type: git, url: \"https://git.example.com/locked\", username: me, password: secret}}",
    );
    stage.after(120);
    assert!(stage.conditions("locked").contains("app path does not exist"), "{}", stage.conditions("locked"));
}

#[test]
fn projects_refuse_in_their_own_words() {
    let mut stage = Stage::new();
    stage.apply(
        "{apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {name: p, namespace: argocd}, spec: {sourceRepos: \
         [\"https://git.example.com/other\"], destinations: [{server: \"https://kubernetes.default.svc\", namespace: only}]}}",
    );
    stage.apply(
        "{apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {name: q, namespace: argocd}, spec: {sourceRepos: [\"*\"], \
         destinations: [{server: \"*\", namespace: \"*\"}], namespaceResourceBlacklist: [{group: \"\", kind: ConfigMap}]}}",
    );
    stage.push(&[("a/x.yaml", &map("x", "1"))]);
    stage.application("a", "a", &json!({"project": "p"}));
    stage.application("b", "a", &json!({"project": "none"}));
    stage.application(
        "c",
        "a",
        &json!({"project": "q", "syncPolicy": {"automated": {}, "retry": {"limit": 0}}}),
    );
    stage.application("d", "a", &json!({"destination": {"name": "far", "namespace": "x"}}));
    stage.after(1);
    assert_eq!(
        stage.conditions("a"),
        format!(
            "InvalidSpecError: application destination server 'https://kubernetes.default.svc' and namespace 'default' do \
             not match any of the allowed destinations in project 'p'\nInvalidSpecError: application repo {URL} is not \
             permitted in project 'p'"
        )
    );
    assert_eq!(stage.state("a"), "Unknown Unknown -");
    assert_eq!(
        stage.conditions("b"),
        "InvalidSpecError: Application referencing project none which does not exist"
    );
    assert_eq!(stage.state("c").split(' ').next_back(), Some("Failed"));
    assert_eq!(
        stage.said("c"),
        "one or more synchronization tasks are not valid: resource :ConfigMap is not permitted in project q"
    );
    assert_eq!(stage.conditions("d"), "InvalidSpecError: there are no clusters with this name: far");
    // A project that comes later is seen.
    stage.apply(
        "{apiVersion: argoproj.io/v1alpha1, kind: AppProject, metadata: {name: none, namespace: argocd}, spec: {sourceRepos: [\"*\"], \
         destinations: [{server: \"*\", namespace: \"*\"}]}}",
    );
    stage.after(1);
    assert_eq!(stage.state("b"), GOOD);
}

#[test]
fn an_application_takes_its_resources_along_when_it_says_so() {
    let mut stage = Stage::new();
    stage.push(&[
        ("a/x.yaml", &map("x", "1")),
        ("a/y.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: y, annotations: {argocd.argoproj.io/sync-options: Delete=false}}}"),
    ]);
    stage.application("a", "a", &json!({}));
    stage.application(
        "b",
        "a",
        &json!({"destination": {"server": "https://kubernetes.default.svc", "namespace": "argocd"}}),
    );
    stage.after(1);
    stage.change("argoproj.io/applications", "argocd", "a", |it| {
        it["metadata"]["finalizers"] = json!(["resources-finalizer.argocd.argoproj.io"]);
    });
    for name in ["a", "b"] {
        let key = crate::play::Cluster::key("argoproj.io/applications", "argocd", name);
        stage.cluster.delete("test", &key).expect("deleted");
    }
    stage.after(5);
    assert!(stage.names("argoproj.io/applications", "argocd").is_empty());
    assert_eq!(stage.names("/configmaps", "default"), ["y"]);
    assert!(stage.get("/configmaps", "argocd", "x").is_some(), "left where nobody asked");
}

#[test]
fn what_fails_is_tried_again_as_the_policy_says() {
    let mut stage = Stage::new();
    stage.push(&[("a/x.yaml", "{apiVersion: x.io/v1, kind: Thing, metadata: {name: t}}")]);
    let retry = json!({"limit": 2, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "1m"}});
    stage.application("a", "a", &json!({"syncPolicy": {"automated": {}, "retry": retry}}));
    stage.after(1);
    assert!(stage.state("a").ends_with("Running"), "{}", stage.state("a"));
    assert!(
        stage.said("a").contains("the server could not find the requested resource. Retrying attempt #1 at ")
    );
    let result = stage.app("a")["status"]["operationState"]["syncResult"]["resources"][0]["message"].clone();
    assert_eq!(
        result,
        "The Kubernetes API could not find x.io/Thing for requested resource default/t. Make sure the \"Thing\" CRD is \
         installed on the destination cluster."
    );
    stage.after(15);
    assert_eq!(stage.app("a")["status"]["operationState"]["retryCount"], 2);
    stage.after(30);
    assert!(stage.state("a").ends_with("Failed"), "{}", stage.state("a"));
    assert!(stage.said("a").ends_with("(retried 2 times)."), "{}", stage.said("a"));

    // One that runs can be ended.
    stage.ready.store(false, Ordering::SeqCst);
    stage.push(&[("b/1.yaml", &waved("d", "0", "Deployment")), ("b/2.yaml", &waved("e", "1", "ConfigMap"))]);
    stage.application("b", "b", &json!({}));
    stage.after(1);
    assert!(stage.state("b").ends_with("Running"));
    stage.change("argoproj.io/applications", "argocd", "b", |it| {
        it["status"]["operationState"]["phase"] = "Terminating".into();
    });
    stage.settle();
    assert_eq!(stage.said("b"), "Operation terminated");
    assert!(stage.state("b").ends_with("Failed"));
}

#[test]
fn options_of_a_sync() {
    let mut stage = Stage::new();
    stage.push(&[("a/x.yaml", &map("x", "1"))]);
    let policy = json!({
        "automated": {"prune": true, "selfHeal": true},
        "syncOptions": ["CreateNamespace=true", "ServerSideApply=true"],
        "managedNamespaceMetadata": {"labels": {"team": "a"}},
    });
    let there = json!({"server": "https://kubernetes.default.svc", "namespace": "fresh"});
    stage.application("a", "a", &json!({"syncPolicy": policy, "destination": there}));
    stage.after(5);
    assert_eq!(stage.state("a"), GOOD, "{}", stage.said("a"));
    assert_eq!(stage.get("/namespaces", "", "fresh").expect("made")["metadata"]["labels"]["team"], "a");
    let results = stage.app("a")["status"]["operationState"]["syncResult"]["resources"].clone();
    assert_eq!(results[1]["message"], "configmap/x serverside-applied");

    // Without everything is not what anybody wants.
    stage.push(&[("a/readme.md", "nothing")]);
    stage.after(120);
    assert!(stage.get("/configmaps", "fresh", "x").is_some());
    assert!(
        stage.conditions("a").contains("auto-sync will wipe out all resources"),
        "{}",
        stage.conditions("a")
    );

    // What is not compared is not healed.
    stage.push(&[("a/x.yaml", &map("x", "1")), ("a/d.yaml", &waved("d", "0", "Deployment"))]);
    let ignore = json!([{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]);
    stage.application("d", "a", &json!({"ignoreDifferences": ignore}));
    stage.after(5);
    assert_eq!(stage.state("d"), GOOD, "{}", stage.said("d"));
    stage.change("apps/deployments", "default", "d", |it| it["spec"]["replicas"] = 3.into());
    stage.after(20);
    assert_eq!(stage.state("d"), GOOD);
    assert_eq!(stage.get("apps/deployments", "default", "d").expect("there")["spec"]["replicas"], 3);
}

#[test]
fn several_sources_and_charts_that_live_elsewhere() {
    let mut stage = Stage::new();
    stage.push(&[
        ("c/Chart.yaml", "{apiVersion: v2, name: c, version: 1.0.0}"),
        ("c/values.yaml", "{who: nobody}"),
        ("c/templates/x.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: {{ .Release.Name }}}, data: {who: {{ .Values.who }}}}"),
    ]);
    let other = "https://git.example.com/values";
    let values = stage.git.commit(
        other,
        "main",
        [("env/prod.yaml".to_owned(), b"who: prod".to_vec())].into_iter().collect(),
    );
    let sources = json!([
        {"repoURL": URL, "targetRevision": "main", "path": "c", "helm": {"valueFiles": ["$values/env/prod.yaml"]}},
        {"repoURL": other, "targetRevision": "main", "ref": "values"},
    ]);
    stage.application("a", "c", &json!({"source": null, "sources": sources}));
    stage.application(
        "far",
        "",
        &json!({"source": {"repoURL": "https://charts.example.com", "chart": "redis", "targetRevision": "1.2.3"}}),
    );
    stage.after(5);
    assert_eq!(stage.state("a"), GOOD, "{} {}", stage.said("a"), stage.conditions("a"));
    assert_eq!(stage.app("a")["status"]["sync"]["revisions"][1], values.as_str());
    assert_eq!(stage.get("/configmaps", "default", "a").expect("made")["data"]["who"], "prod");
    assert_eq!(stage.state("far"), "Synced Healthy -");
    let said = stage.app("far")["metadata"]["annotations"]["sandbox.platform.dev/imitated"].clone();
    assert_eq!(said, "chart redis 1.2.3 of https://charts.example.com");
    assert_eq!(stage.app("far")["status"]["sync"]["revision"], "1.2.3");
    assert_eq!(stage.app("a")["metadata"]["annotations"], Value::Null);
}
