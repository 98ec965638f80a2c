//! Backups: the object store beside the cluster, Velero in it, a namespace that is lost and comes back.

use std::path::Path;

use platform_tests::{Nodes, Output};

use super::{DOWN, assert_gone, assert_up, counts};

/// The arguments of an `up` of something that ends.
const UP: [&str; 4] = ["up", "--yes", "--ttl", "2h"];

/// What is lost.
const PRECIOUS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: precious}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: letters, namespace: precious}
data: {first: "dear Ada"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: reader, namespace: precious}
spec:
  replicas: 1
  selector: {matchLabels: {app: reader}}
  template:
    metadata: {labels: {app: reader}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: reader
          image: docker.io/hashicorp/http-echo:1.0.0
          args: ["-listen=:8080", "-text=hello"]
          volumeMounts: [{name: letters, mountPath: /letters}]
      volumes: [{name: letters, configMap: {name: letters}}]
"#;

const BACKUP: &str = r"
apiVersion: velero.io/v1
kind: Backup
metadata: {name: precious, namespace: velero}
spec: {includedNamespaces: [precious], storageLocation: default}
";

const RESTORE: &str = r"
apiVersion: velero.io/v1
kind: Restore
metadata: {name: precious, namespace: velero}
spec: {backupName: precious, includedNamespaces: [precious]}
";

#[track_caller]
fn apply(nodes: &Nodes, manifest: &str) {
    let file = nodes.dir().join("manifest.yaml");
    fs_err::write(&file, manifest).expect("a manifest");
    nodes.kubectl(["apply", "--filename", &file.display().to_string()]).ok();
}

/// Waits for one of Velero's objects to have a phase.
#[track_caller]
fn phase(nodes: &Nodes, what: &str, phase: &str) {
    let wanted = format!("--for=jsonpath={{.status.phase}}={phase}");
    let waited = nodes.kubectl(["wait", "--namespace", "velero", what, &wanted, "--timeout=120s"]);
    if waited.status != 0 {
        let found = nodes.kubectl(["get", "--namespace", "velero", what, "--output", "yaml"]).stdout;
        let log = nodes.kubectl(["logs", "--namespace", "velero", "deployment/velero", "--tail=40"]).stdout;
        panic!("{what} is not {phase}: {}\n{found}\n{log}", waited.stderr);
    }
}

#[track_caller]
fn available(nodes: &Nodes) -> Output {
    let wanted = ["wait", "--for=condition=Available", "deployment/reader", "--timeout=120s"];
    nodes.kubectl(wanted.into_iter().chain(["--namespace", "precious"])).ok()
}

/// Files below a folder that hold a text.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let kind = fs_err::symlink_metadata(&path).expect("there").file_type();
        if kind.is_dir() {
            found.extend(holding(&path, text));
        } else if kind.is_file()
            && fs_err::read(&path)
                .is_ok_and(|bytes| bytes.windows(text.len()).any(|it| it == text.as_bytes()))
        {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn a_namespace_that_was_lost_comes_back() {
    let Some(nodes) = Nodes::with_backups("saved") else { return };
    let before = nodes.everything();
    let up = nodes.platform(UP).ok();
    assert_up(&nodes);
    phase(&nodes, "backupstoragelocation/default", "Available");

    // It belongs to the platform, ends with it, and shows its keys to nobody.
    let store = format!("{}-object-store", nodes.cluster());
    let keys = nodes.docker(["exec", &store, "cat", "/platform-keys"]).ok().stdout;
    let secret = keys.lines().nth(1).expect("a secret").to_owned();
    assert_eq!(secret.len(), 40, "{} letters", secret.len());
    let container = nodes.docker(["inspect", &store]).ok();
    let volume = nodes.docker(["volume", "inspect", &store]).ok();
    for labels in [&container.json()[0]["Config"]["Labels"], &volume.json()[0]["Labels"]] {
        for label in ["platform.dev/name", "platform.dev/alive-until", "platform.dev/made-for"] {
            assert!(labels[label].is_string(), "{label} is not among {labels}");
        }
    }
    let logs = nodes.docker(["logs", &store]);
    for shown in [&container, &volume, &logs, &up] {
        assert!(!format!("{}{}", shown.stdout, shown.stderr).contains(&secret), "the secret is shown");
    }
    assert_eq!(holding(&nodes.dir().join("state"), &secret), [] as [String; 0], "the secret is kept");
    assert_eq!(holding(&nodes.dir().join("home"), &secret), [] as [String; 0], "the secret is kept");

    apply(&nodes, PRECIOUS);
    available(&nodes);
    apply(&nodes, BACKUP);
    phase(&nodes, "backup/precious", "Completed");
    nodes.kubectl(["delete", "namespace", "precious", "--timeout=90s"]).ok();
    apply(&nodes, RESTORE);
    phase(&nodes, "restore/precious", "Completed");
    let letter =
        ["get", "configmap/letters", "--namespace", "precious", "--output", "jsonpath={.data.first}"];
    assert_eq!(nodes.kubectl(letter).ok().stdout, "dear Ada");
    available(&nodes);

    let again = nodes.platform(UP).ok();
    assert_eq!(counts(&again, "changed"), 0, "a second `up` changes nothing: {}", again.stdout);

    // Somebody removes the container: a new one has new keys and the same data.
    nodes.docker(["rm", "--force", &store]).ok();
    nodes.platform(UP).ok();
    let new = nodes.docker(["exec", &store, "cat", "/platform-keys"]).ok().stdout;
    assert_ne!(new, keys, "new keys");
    nodes.docker(["exec", &store, "test", "-d", "/data/buckets/backups/demo/backups/precious"]).ok();
    phase(&nodes, "backupstoragelocation/default", "Available");
    apply(&nodes, &BACKUP.replace("name: precious", "name: afterwards"));
    phase(&nodes, "backup/afterwards", "Completed");

    let down = nodes.platform(DOWN).ok();
    assert!(down.json()["orphans"].as_array().is_some_and(Vec::is_empty), "{}", down.stdout);
    assert_gone(&nodes, &before);
}
