use std::collections::BTreeMap;

use super::*;
use crate::play::around::Files;

fn built(files: &[(&str, &str)], own: Value) -> Result<Vec<Value>, String> {
    let files: Files =
        files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect();
    let source = json!({"path": "o", "kustomize": own});
    let refs = BTreeMap::new();
    let ask = Ask { source: &source, commit: "1", files: &files, name: "app", namespace: "ns", refs: &refs };
    render(&ask, "o")
}

const DEPLOYMENT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: web
      containers:
        - name: web
          image: registry.example.com:5000/web:1
          env: [{name: A, value: a}]
          envFrom: [{configMapRef: {name: settings}}]
---
{apiVersion: v1, kind: ServiceAccount, metadata: {name: web}}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: web}, roleRef: {kind: ClusterRole, name: view, apiGroup: rbac.authorization.k8s.io}, subjects: [{kind: ServiceAccount, name: web, namespace: x}]}
";

#[test]
fn an_overlay_does_what_it_says() {
    let objects = built(
        &[
            ("b/kustomization.yaml", "{resources: [d.yaml], configMapGenerator: [{name: settings, literals: [a=1, 'b=\"x\"']}]}"),
            ("b/d.yaml", DEPLOYMENT),
            (
                "o/kustomization.yaml",
                "
resources: [../b]
namespace: prod
namePrefix: p-
labels: [{pairs: {team: t}, includeTemplates: true}]
commonAnnotations: {note: n}
images: [{name: 'registry.example.com:5000/web', newTag: '2'}]
replicas: [{name: web, count: 3}]
patches:
  - patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: web}
      spec: {template: {spec: {containers: [{name: web, env: [{name: B, value: b}]}]}}}
  - target: {kind: ServiceAccount}
    patch: '[{op: add, path: /automountServiceAccountToken, value: false}]'
components: [../c]
",
            ),
            ("c/kustomization.yaml", "{apiVersion: kustomize.config.k8s.io/v1alpha1, kind: Component, secretGenerator: [{name: s, literals: [k=v], options: {disableNameSuffixHash: true}}]}"),
        ],
        json!({"nameSuffix": "-x"}),
    )
    .expect("it builds");
    let shown = serde_json::to_string_pretty(&objects).expect("JSON");
    let find = |kind: &str| objects.iter().find(|it| it["kind"] == kind).unwrap_or_else(|| panic!("{shown}"));
    let map = find("ConfigMap")["metadata"]["name"].as_str().expect("a name").to_owned();
    assert!(map.starts_with("p-settings-x-") && map.len() == "p-settings-x-".len() + 10, "{map}");
    assert_eq!(find("ConfigMap")["data"], json!({"a": "1", "b": "x"}));
    let deployment = find("Deployment");
    assert_eq!(
        deployment["metadata"],
        json!({
            "name": "p-web-x", "namespace": "prod", "labels": {"team": "t"}, "annotations": {"note": "n"},
        })
    );
    assert_eq!(deployment["spec"]["replicas"], 3);
    assert_eq!(deployment["spec"]["selector"]["matchLabels"], json!({"app": "web"}));
    let template = &deployment["spec"]["template"];
    assert_eq!(template["metadata"]["labels"], json!({"app": "web", "team": "t"}));
    let container = &template["spec"]["containers"][0];
    assert_eq!(container["image"], "registry.example.com:5000/web:2");
    assert_eq!(container["env"].as_array().expect("a list").len(), 2);
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], map.as_str());
    assert_eq!(template["spec"]["serviceAccountName"], "p-web-x");
    assert_eq!(find("ServiceAccount")["automountServiceAccountToken"], false);
    let binding = find("ClusterRoleBinding");
    assert!(binding["metadata"]["namespace"].is_null());
    assert_eq!(
        binding["subjects"][0],
        json!({"kind": "ServiceAccount", "name": "p-web-x", "namespace": "prod"})
    );
    assert_eq!(find("Secret")["metadata"]["name"], "p-s-x");
    assert_eq!(find("Secret")["data"]["k"], "dg==");
}

/// Digests that `kustomize build` (v5) gave.
#[test]
fn digests_are_those_of_kustomize() {
    let name = |generator: &str| {
        let objects = built(&[("o/kustomization.yaml", generator)], json!({})).expect("it builds");
        objects[0]["metadata"]["name"].as_str().expect("a name").to_owned()
    };
    assert_eq!(name("configMapGenerator: [{name: m, literals: [a=1]}]"), "m-h29d89cmmt");
    assert_eq!(name("configMapGenerator: [{name: m, literals: ['a=<&>']}]"), "m-m9gb99d79d");
    assert_eq!(name("secretGenerator: [{name: s, literals: [a=1]}]"), "s-25khgmg44c");
    assert_eq!(name("configMapGenerator: [{name: m}]"), "m-6ct58987ht");
}

#[test]
fn what_it_does_not_know_is_refused_by_name() {
    let refused = |text: &str| {
        built(&[("o/kustomization.yaml", text), ("x.yaml", "{}")], json!({})).expect_err("refused")
    };
    for (text, words) in [
        ("{helmCharts: []}", "the field `helmCharts` is not supported"),
        (
            "{resources: ['https://example.com/x.yaml']}",
            "the remote resource 'https://example.com/x.yaml' is not supported",
        ),
        ("{resources: [nope.yaml]}", "no such file or directory"),
        ("{resources: [../x.yaml]}", "security; file 'x.yaml' is not in or below 'o'"),
        ("{replicas: [{name: a, count: 1}]}", "resource with name a does not match a config"),
        (
            "{patches: [{patch: '{apiVersion: v1, kind: Pod, metadata: {name: a}}'}]}",
            "no resource matches strategic merge patch",
        ),
        ("a: [", "invalid Kustomization"),
    ] {
        let said = refused(text);
        assert!(said.contains(words) && said.starts_with("`kustomize build"), "{said}");
    }
}
