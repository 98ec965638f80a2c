//! The platform that the starter blueprint renders, on a machine with neither helm nor kustomize.

use std::path::Path;

use super::stage::{Stage, URL};
use crate::play::around::Files;

fn collect(root: &Path, folder: &Path, files: &mut Files) {
    for entry in std::fs::read_dir(folder).expect("the golden tree") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).expect("below").to_string_lossy().into_owned();
            files.insert(name, std::fs::read(&path).expect("readable"));
        }
    }
}

#[test]
fn the_starter_platform_becomes_synced_and_healthy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../blueprints/starter/golden/platform");
    let mut files = Files::new();
    collect(&root, &root, &mut files);
    // They are artifacts, for which the golden tree has placeholders.
    files.retain(|path, _| !path.starts_with("velero/crds/"));
    for (plural, kind) in [("backupstoragelocations", "BackupStorageLocation"), ("schedules", "Schedule")] {
        let definition = serde_json::json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.velero.io")},
            "spec": {
                "group": "velero.io", "scope": "Namespaced",
                "names": {"plural": plural, "kind": kind, "singular": kind.to_lowercase()},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                }],
            },
        });
        files.insert(format!("velero/crds/velero-crd-{plural}.yaml"), definition.to_string().into_bytes());
    }
    let bytes = |path: &str| String::from_utf8(files[path].clone()).expect("text");
    let first =
        ["argocd/projects/platform-system.yaml", "argocd/projects/demo.yaml", "argocd/root.yaml"].map(bytes);
    let names: Vec<String> = files
        .keys()
        .filter_map(|it| it.strip_prefix("argocd/apps/")?.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    assert!(names.len() >= 7, "{names:?}");

    let mut stage = Stage::new();
    let commit = stage.git.commit(URL, "main", files);
    first.iter().for_each(|text| stage.apply(text));
    stage.after(60);
    for name in names.iter().map(String::as_str).chain(["demo-root"]) {
        assert_eq!(
            stage.state(name),
            "Synced Healthy Succeeded",
            "{name}: {} {}",
            stage.conditions(name),
            stage.said(name)
        );
        assert_eq!(stage.app(name)["status"]["sync"]["revision"], commit.as_str());
        assert_eq!(stage.conditions(name), "");
    }
    // What it brought is what the sources say.
    let web = stage.get("apps/deployments", "web-prod", "web").expect("rendered by our own Helm");
    assert_eq!(web["spec"]["replicas"], 2);
    assert_eq!(web["metadata"]["labels"]["platform.dev/environment"], "prod");
    assert_eq!(stage.app("web-prod")["status"]["sourceType"], "Helm");
    let hello = stage.get("apps/deployments", "hello-dev", "hello").expect("rendered by our own Kustomize");
    let reference =
        &hello["spec"]["template"]["spec"]["containers"][0]["env"][0]["valueFrom"]["configMapKeyRef"];
    let generated = reference["name"].as_str().expect("a name");
    assert!(stage.get("/configmaps", "hello-dev", generated).is_some(), "{generated}");
    // Nothing is left to do but to look again.
    let next = stage.settle().expect("it polls");
    assert!(next.as_second() > stage.cluster.now().as_second() + 50, "{next}");
}
