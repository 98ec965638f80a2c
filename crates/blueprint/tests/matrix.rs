//! The blueprint `tenant-app-matrix` and the specs it is for: what they must give (S4), and the real programs' opinion of it.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use common::{documents, folder, lay_out, model_of, objects, program, render};
use platform_blueprint::{Blueprint, BlueprintError, Tree, leaf_applications};
use proptest::prelude::*;
use serde_json::{Value, json};

const SHARED: &str = "s4-opsera-mcp.yaml";
const ALONE: &str = "s4-cluster-per-tenant.yaml";

fn text(spec: &str) -> String {
    std::fs::read_to_string(folder("tests/fixtures/specs").join(spec)).expect("a fixture")
}

fn model(spec: &str) -> Value {
    model_of(&text(spec))
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The pairs that the spec lists, in every cell (G-03).
fn applications() -> BTreeSet<String> {
    let pairs = [("a", "app1"), ("a", "app2"), ("a", "app3"), ("b", "app1"), ("b", "app2"), ("c", "app1")];
    let cells = ["dev", "stg", "prod-ue", "prod-eu"];
    pairs.iter().flat_map(|(tenant, app)| cells.map(|cell| format!("tenant-{tenant}-{app}-{cell}"))).collect()
}

#[test]
fn g03_the_sets_make_twenty_four_applications_of_tenants_and_the_add_ons_of_every_cluster() {
    let leaves = leaf_applications("r", &render(&model(SHARED))).unwrap();
    let of_tenants = leaves.iter().filter(|leaf| leaf.project != "platform");
    assert_eq!(of_tenants.map(|leaf| leaf.name.clone()).collect::<BTreeSet<_>>(), applications());
    // S4-20: three, on each of four clusters.
    for addon in ["ingress-nginx", "cert-manager", "external-dns"] {
        let on = leaves.iter().filter(|leaf| leaf.name.starts_with(&format!("{addon}-opsera-mcp-"))).count();
        assert_eq!(on, 4, "{addon}");
    }
    let names: BTreeSet<_> = leaves.iter().map(|leaf| &leaf.name).collect();
    assert_eq!(names.len(), leaves.len(), "no name is taken twice");
}

#[test]
fn g21_production_is_synced_by_people_and_everything_else_by_argo_cd() {
    let leaves = leaf_applications("r", &render(&model(SHARED))).unwrap();
    for leaf in leaves {
        assert_eq!(
            leaf.automated,
            !leaf.file.contains("tenant-apps") || !leaf.name.contains("-prod-"),
            "{leaf:?}"
        );
    }
}

/// The files that the requirements list, for a repository whose root is `gitops` (3.5); `TENANT` and the like stand for all.
#[test]
fn the_tree_has_what_was_asked_for_and_every_folder_that_an_application_reads() {
    let tree = render(&model(SHARED));
    let mut asked: Vec<String> =
        ["install", "app-of-apps", "applicationsets/tenant-apps", "applicationsets/infra-apps"]
            .iter()
            .map(|file| format!("argocd/{file}.yaml"))
            .collect();
    asked.extend(
        ["tenant-a", "tenant-b", "tenant-c", "platform"].map(|it| format!("argocd/projects/{it}.yaml")),
    );
    for dir in ["us-west-2/dev", "us-west-2/stg", "us-east-1/prod-ue", "eu-west-1/prod-eu"] {
        asked.extend(["cluster", "kustomization"].map(|file| format!("clusters/{dir}/{file}.yaml")));
    }
    for (tenant, apps) in [("tenant-a", 3), ("tenant-b", 2), ("tenant-c", 1)] {
        let config = ["namespace", "quota", "limits", "networkpolicy", "rbac"];
        asked.extend(config.map(|file| format!("tenants/{tenant}/config/{file}.yaml")));
        for app in 1..=apps {
            let app = format!("tenants/{tenant}/apps/app{app}");
            let base = ["deployment", "service", "serviceaccount", "kustomization"];
            asked.extend(base.map(|file| format!("{app}/base/{file}.yaml")));
            for cell in ["dev", "stg", "prod-ue", "prod-eu"] {
                asked.extend(
                    ["kustomization", "ingress"].map(|it| format!("{app}/overlays/{cell}/{it}.yaml")),
                );
            }
        }
    }
    asked.extend(
        ["namespace", "deployment", "service", "ingress"].map(|it| format!("base/{it}/kustomization.yaml")),
    );
    asked.extend(["platform.lock", ".platform/rendered-by.txt"].map(str::to_owned));
    let missing: Vec<_> = asked.iter().filter(|path| tree.get(&format!("gitops/{path}")).is_none()).collect();
    assert!(missing.is_empty(), "{missing:#?}");

    let count = |prefix: &str| tree.files.keys().filter(|path| path.starts_with(prefix)).count();
    assert_eq!(count("gitops/argocd/projects/"), 4);
    assert_eq!(
        count("gitops/tenants/tenant-c/apps/"),
        4 + 4 * 2,
        "an application that nobody has is not there"
    );
    for infra in ["ingress-nginx", "cert-manager", "external-dns"] {
        assert!(count(&format!("gitops/infra/{infra}/")) > 0, "{infra}");
    }
    for set in objects(&tree, "ApplicationSet") {
        for element in set["spec"]["generators"][0]["list"]["elements"].as_array().unwrap() {
            let path = element["path"].as_str().unwrap();
            assert!(tree.get(&format!("{path}/kustomization.yaml")).is_some(), "{}: {path}", name(&set));
        }
    }
}

#[test]
fn s4_12_projects_name_clusters_and_namespaces_and_cover_their_applications() {
    let tree = render(&model(SHARED));
    let projects = objects(&tree, "AppProject");
    for project in &projects {
        for destination in project["spec"]["destinations"].as_array().unwrap() {
            let local = destination["server"] == "https://kubernetes.default.svc";
            assert!(local || destination["name"].is_string(), "{}: {destination}", name(project));
            assert!(!destination.to_string().contains('*'), "{}: {destination}", name(project));
        }
        assert!(!project["spec"]["sourceRepos"].to_string().contains('*'), "{}", name(project));
    }
    let allowed: BTreeMap<&str, &Value> =
        projects.iter().map(|project| (name(project), &project["spec"]["destinations"])).collect();
    let roles = |project: &str| {
        let found = projects.iter().find(|it| name(it) == project).unwrap();
        let roles = found["spec"]["roles"].as_array().cloned().unwrap_or_default();
        roles.iter().map(|role| role["groups"][0].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(roles("tenant-b"), ["tenant-b-admins", "tenant-b-developers"]);
    for set in objects(&tree, "ApplicationSet") {
        for element in set["spec"]["generators"][0]["list"]["elements"].as_array().unwrap() {
            let project = element["project"].as_str().unwrap_or("platform");
            let place = json!({"name": element["cluster"], "namespace": element["namespace"]});
            let own = allowed[project].as_array().unwrap();
            assert!(own.contains(&place), "{project} may not write to {place}");
        }
    }
}

#[test]
fn s4_26_twelve_clusters_have_the_same_twenty_four_applications() {
    let tree = render(&model(ALONE));
    let leaves = leaf_applications("r", &tree).unwrap();
    assert_eq!(leaves.iter().filter(|leaf| leaf.project != "platform").count(), 24);
    assert_eq!(leaves.iter().filter(|leaf| leaf.name.starts_with("cell-")).count(), 12);
    let clusters = tree.files.keys().filter(|path| path.ends_with("/cluster.yaml")).count();
    assert_eq!(clusters, 12);
}

#[test]
fn what_the_matrix_cannot_make_is_refused_by_name() {
    let change = |path: &str, value: Value| {
        let mut model = model(SHARED);
        *model.pointer_mut(path).unwrap_or_else(|| panic!("{path} is in the model")) = value;
        let blueprint = Blueprint::embedded("tenant-app-matrix").unwrap();
        blueprint.render(&model, &Value::Null, &common::artifacts(&blueprint, &model)).expect_err(path)
    };
    for (path, value, words) in [
        ("/argocd/instances", json!([{"cluster": "opsera-mcp-dev"}, {"cluster": "b"}]), "topology"),
        ("/applications/0/source/kind", json!("helm"), "app1"),
        ("/applications/0/values", json!({"colour": "red"}), "colour"),
        ("/namespaces/0/tenants", json!(["tenant-a", "tenant-b"]), "share"),
        ("/namespaces/0/network_policy/flows", json!([{"from": "x"}]), "flows"),
    ] {
        match change(path, value) {
            BlueprintError::Template { why, .. } => assert!(why.contains(words), "{path}: {why}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

/// What changed between two trees.
fn changed(before: &Tree, after: &Tree) -> BTreeSet<String> {
    let all: BTreeSet<_> = before.files.keys().chain(after.files.keys()).collect();
    all.into_iter().filter(|path| before.get(path) != after.get(path)).cloned().collect()
}

#[test]
fn a_subscription_less_changes_its_own_files_and_the_list() {
    let before = render(&model(SHARED));
    let less = text(SHARED).replace("          - {app: app3, key: app-a3}\n", "");
    let after = render(&model_of(&less));
    let gone = |path: &String| path.starts_with("gitops/tenants/tenant-a/apps/app3/");
    let other: Vec<_> = changed(&before, &after).into_iter().filter(|path| !gone(path)).collect();
    assert_eq!(other, ["gitops/argocd/applicationsets/tenant-apps.yaml"]);
}

/// Reverses or keeps the order of keys in every map, as the bits say.
fn shuffled(value: &Value, bits: &mut impl Iterator<Item = bool>) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> =
                map.iter().map(|(key, value)| (key.clone(), shuffled(value, bits))).collect();
            if bits.next() == Some(true) {
                pairs.reverse();
            }
            Value::Object(pairs.into_iter().collect())
        }
        Value::Array(list) => list.iter().map(|value| shuffled(value, bits)).collect(),
        other => other.clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// X-09: equal wishes give equal bytes, in whatever order their keys are written.
    #[test]
    fn x09_the_order_of_keys_does_not_matter(bits in prop::collection::vec(any::<bool>(), 64)) {
        let spec = documents(&std::fs::read_to_string(folder("blueprints/tenant-app-matrix/golden/platform.yaml")).unwrap());
        let other = shuffled(&spec[0], &mut bits.into_iter().cycle());
        let [one, two] = [&spec[0], &other].map(|spec| render(&model_of(&spec.to_string())));
        prop_assert_eq!(changed(&one, &two), BTreeSet::new());
    }
}

fn built(program: &std::path::Path, folder: &std::path::Path) -> Vec<Value> {
    let output = Command::new(program).arg("build").arg(folder).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", folder.display());
    // S4-18: nothing that is about to go away.
    assert!(!said.contains("deprecated"), "{}: {said}", folder.display());
    documents(std::str::from_utf8(&output.stdout).expect("text"))
}

#[test]
fn x10_kustomize_builds_everything_and_cells_are_what_was_asked_for() {
    let Some(kustomize) = program("kustomize") else { return };
    let (tree, root) = (render(&model(SHARED)), tempfile::tempdir().unwrap());
    lay_out(&tree, root.path());
    let mut by_folder = BTreeMap::new();
    for folder in tree.files.keys().filter_map(|path| path.strip_suffix("/kustomization.yaml")) {
        let text = tree.get(&format!("{folder}/kustomization.yaml")).unwrap().text().unwrap();
        if text.contains("kind: Kustomization") {
            by_folder.insert(folder.to_owned(), built(&kustomize, &root.path().join(folder)));
        }
    }
    let cells = |kind: &str| -> Vec<(String, &Value)> {
        let all = by_folder.iter().filter(|(folder, _)| folder.starts_with("gitops/clusters/"));
        let of = all.flat_map(|(folder, objects)| objects.iter().map(move |it| (folder.clone(), it)));
        of.filter(|(_, object)| object["kind"] == kind).collect()
    };
    // G-04, S4-13: a name in each environment, a quota in each namespace.
    let namespaces = cells("Namespace");
    assert_eq!(namespaces.len(), 12);
    assert_eq!(namespaces.iter().map(|(_, it)| name(it)).collect::<BTreeSet<_>>().len(), 9);
    let quotas = cells("ResourceQuota");
    assert_eq!(quotas.len(), 12);
    for (_, quota) in quotas {
        let hard = &quota["spec"]["hard"];
        assert_eq!(
            (&hard["requests.cpu"], &hard["limits.memory"], &hard["pods"]),
            (&json!("4"), &json!("16Gi"), &json!("20"))
        );
    }
    for (folder, namespace) in namespaces {
        let labels = &namespace["metadata"]["labels"];
        let tenant = name(namespace).rsplit_once('-').unwrap().0;
        assert_eq!(labels["opsera.io/tenant"], tenant, "{folder}");
        assert_eq!(labels["platform.dev/tenant"], tenant, "{folder}");
        assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted", "{folder}");
        assert_eq!(labels["pod-security.kubernetes.io/audit"], "restricted", "{folder}");
    }
    // S4-14, G-22: a tenant reaches itself, names both ways, and nobody else.
    for (folder, policy) in cells("NetworkPolicy") {
        for rule in policy["spec"]["egress"].as_array().into_iter().flatten() {
            for peer in rule["to"].as_array().unwrap_or_else(|| panic!("{folder}: everybody: {rule}")) {
                assert_ne!(peer["namespaceSelector"], json!({}), "{folder}");
            }
        }
        if name(policy) == "allow-same-tenant" {
            let namespace = policy["metadata"]["namespace"].as_str().unwrap();
            let tenant = &policy["spec"]["egress"][0]["to"][0]["namespaceSelector"]["matchLabels"]["platform.dev/tenant"];
            assert_eq!(tenant.as_str().unwrap(), namespace.rsplit_once('-').unwrap().0);
        }
    }
    // G-07: eighteen hosts, those of production in two cells.
    let mut hosts: BTreeMap<String, usize> = BTreeMap::new();
    for (folder, objects) in
        by_folder.iter().filter(|(folder, _)| folder.contains("/overlays/") && folder.contains("/apps/"))
    {
        assert_hardened(folder, objects);
        let ingress = objects.iter().find(|it| it["kind"] == "Ingress").expect("an Ingress");
        let host = ingress["spec"]["rules"][0]["host"].as_str().unwrap();
        *hosts.entry(host.to_owned()).or_default() += 1;
        assert_eq!(ingress["spec"]["ingressClassName"], "nginx");
        assert_eq!(ingress["spec"]["tls"][0]["hosts"], json!([host]));
        let annotations = &ingress["metadata"]["annotations"];
        assert_eq!(annotations["cert-manager.io/cluster-issuer"], "letsencrypt-prod");
        // S4-10: a record set for each of the cells behind a name.
        let sets = &annotations["external-dns.alpha.kubernetes.io/set-identifier"];
        assert_eq!(sets.is_string(), folder.contains("prod-"), "{folder}");
    }
    assert_eq!(hosts.len(), 18);
    assert_eq!(hosts.values().filter(|cells| **cells == 2).count(), 6);
}

/// S4-15: what the restricted standard asks for, and the resources and probes of the requirements.
fn assert_hardened(folder: &str, objects: &[Value]) {
    let deployment = objects.iter().find(|it| it["kind"] == "Deployment").expect("a Deployment");
    let pod = &deployment["spec"]["template"]["spec"];
    assert_eq!(pod["securityContext"]["runAsUser"], 1000, "{folder}");
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{folder}");
    let container = &pod["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{folder}");
    assert_eq!(container["securityContext"]["capabilities"]["drop"], json!(["ALL"]), "{folder}");
    assert_eq!(container["livenessProbe"]["httpGet"]["path"], "/health", "{folder}");
    assert_eq!(container["readinessProbe"]["httpGet"]["path"], "/ready", "{folder}");
    let resources =
        json!({"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "500m", "memory": "512Mi"}});
    assert_eq!(container["resources"], resources, "{folder}");
    let image = container["image"].as_str().unwrap();
    assert!(image.contains(':') && !image.ends_with(":latest"), "{folder}: {image}");
    assert_eq!(
        objects.iter().find(|it| it["kind"] == "Service").expect("a Service")["spec"]["type"],
        "ClusterIP"
    );
}
