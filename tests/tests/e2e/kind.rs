//! The provider `kind` on real nodes: real pods, Argo CD inside the cluster, traffic, kills.

mod aside;
mod backups;
mod killed;
mod night;
mod refused;
mod starter;
mod whole;

use platform_tests::{Nodes, Output};

/// The arguments of an `up`.
const UP: [&str; 2] = ["up", "--yes"];
/// The arguments of a `down`.
const DOWN: [&str; 2] = ["down", "--yes"];

/// What is healthy once a starter platform is up.
const APPLICATIONS: [&str; 5] = ["hello-dev", "hello-prod", "namespaces-demo", "web-dev", "web-prod"];

/// Fails unless there is one cluster with Argo CD in it, and every application is synced and healthy.
#[track_caller]
fn assert_up(nodes: &Nodes) {
    let label = format!("label=io.x-k8s.kind.cluster={}", nodes.cluster());
    let containers = nodes.docker(["ps", "--all", "--format", "{{.Names}}", "--filter", &label]).ok().stdout;
    assert_eq!(containers.trim(), format!("{}-control-plane", nodes.cluster()), "one node");
    let ready = nodes.kubectl(["wait", "--for=condition=Ready", "node", "--all", "--timeout=10s"]);
    ready.ok();
    assert_synced(nodes);
}

/// Fails unless every application is synced and healthy.
#[track_caller]
fn assert_synced(nodes: &Nodes) {
    let states = "jsonpath={range .items[*]}{.metadata.name} {.status.sync.status} {.status.health.status}{\"\\n\"}{end}";
    let found =
        nodes.kubectl(["get", "applications", "--namespace", "argocd", "--output", states]).ok().stdout;
    for application in APPLICATIONS {
        assert!(found.contains(&format!("{application} Synced Healthy\n")), "{application}: {found}");
    }
}

/// Fails unless nothing is left of the platform, and the engine has what it had.
#[track_caller]
fn assert_gone(nodes: &Nodes, before: &[String]) {
    assert_eq!(nodes.left(), [] as [String; 0], "left on the engine");
    assert_eq!(nodes.everything(), before, "volumes and networks of the engine");
    let kept = nodes.dir().join("home/.cache/platform/kind").join(nodes.cluster());
    assert!(!kept.exists(), "{} is left", kept.display());
    assert!(!nodes.dir().join("home/.kube").exists(), "the user's kubeconfig was touched");
}

#[track_caller]
fn counts(out: &Output, what: &str) -> u64 {
    out.json()["counts"][what].as_u64().unwrap_or_else(|| panic!("no count of {what}: {}", out.stdout))
}
