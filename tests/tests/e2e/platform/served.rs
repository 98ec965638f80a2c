//! One platform on two clusters of two providers: the bed's, which runs the real Argo CD, and one of the sandbox, which that
//! Argo CD serves. (B18, S4-24)

use platform_tests::{Bed, World};
use serde_json::Value;

use super::{assert_gone, down, up};

/// Production on a cluster of its own, and no backups: the sandbox's Velero does not reach the bed's object store.
fn spec(world: &World) -> String {
    let text = world.spec_text().replace("  addons: [velero]\n", "").replace("[dev, prod]", "[dev]");
    let (before, rest) = text.split_once("  backup:\n").expect("a section");
    let (_, after) = rest.split_once("  dns:\n").expect("a section");
    let (providers, clusters) = before.split_once("\n  clusters:\n").expect("a section");
    let (clusters, rest) = clusters.split_once("\n  argocd:").expect("a section");
    let provider = "    - {name: sandbox, kind: sandbox}\n";
    let edge = "    - {name: edge, provider: sandbox, environments: [prod]}\n";
    format!("{providers}{provider}\n  clusters:\n{clusters}{edge}\n  argocd:{rest}  dns:\n{after}")
}

/// Names of the objects of a kind in the second cluster.
fn on_edge(world: &World, kind: &str) -> Vec<String> {
    let spec = world.spec().display().to_string();
    let shown =
        world.platform_command(["kubeconfig", "-f", &spec, "--cluster", "edge"]).output().expect("it runs");
    let kubeconfig = world.dir().join("edge.conf");
    fs_err::write(&kubeconfig, shown.stdout).expect("a file");
    let path = kubeconfig.display().to_string();
    let list = world.bed().kubectl_json(["--kubeconfig", &path, "get", kind, "--all-namespaces"]);
    let name =
        |it: &Value| format!("{}/{}", it["metadata"]["namespace"], it["metadata"]["name"]).replace('"', "");
    list["items"].as_array().expect("a list").iter().map(name).collect()
}

#[test]
fn the_real_argo_cd_serves_a_cluster_of_another_provider() {
    let Some(world) = Bed::world("served") else { return };
    fs_err::write(world.spec(), spec(&world)).expect("a file");
    world.platform(up(&world)).ok();
    let deployed = on_edge(&world, "deployments");
    for name in ["hello-prod/hello", "web-prod/web"] {
        assert!(deployed.iter().any(|it| it == name), "{name} is not among {deployed:?}");
    }
    assert!(!deployed.iter().any(|it| it.contains("-dev/")), "{deployed:?}");

    let again = world.platform(up(&world)).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");

    // Somebody takes the account away that Argo CD acts as: the next `up` brings back what is missing.
    let path = world.dir().join("edge.conf").display().to_string();
    let delete = ["--kubeconfig", &path, "delete", "secret", "-n", "kube-system", "argocd-manager-token"];
    world.bed().kubectl(delete).ok();
    let mended = world.platform(up(&world)).ok().json();
    assert_eq!(mended["counts"]["changed"], 1, "{mended:#}");

    let gone = world.platform(down(&world)).ok().json();
    assert_eq!(gone["orphans"].as_array().map(Vec::len), Some(0), "{gone:#}");
    assert_gone(&world);
    world.platform(["sandbox", "stop"]).ok();
}
