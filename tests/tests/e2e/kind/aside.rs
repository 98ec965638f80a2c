//! Beside the ordinary life: the user's kubeconfig, a reboot after which addresses have changed, a neighbour.

use std::process::Command;

use platform_tests::{Nodes, Output};
use serde_json::json;

use super::{APPLICATIONS, DOWN, UP, assert_gone, assert_up, counts};

/// A change of the spec.
fn respelled(nodes: &Nodes, change: impl FnOnce(String) -> String) {
    let file = nodes.dir().join("platform.yaml");
    let text = fs_err::read_to_string(&file).expect("a spec");
    fs_err::write(&file, change(text)).expect("a spec");
}

/// Things on the engine that bear no label of the platform, removed whatever comes.
struct Others<'a>(&'a Nodes, Vec<String>);

impl Drop for Others<'_> {
    fn drop(&mut self) {
        for name in &self.1 {
            drop(self.0.docker(["rm", "--force", "--volumes", name]));
        }
    }
}

/// What `docker inspect` says of a container.
fn shown(nodes: &Nodes, container: &str, format: &str) -> String {
    nodes.docker(["inspect", "--format", format, container]).ok().stdout.trim().to_owned()
}

const THEIRS: &str = "# mine\napiVersion: v1\nkind: Config\nclusters:\n  - {name: big, cluster: {server: 'https://big.example.com'}}\ncurrent-context: \"\"\n";

#[test]
fn after_a_reboot_all_is_found_and_started_again() {
    let Some(nodes) = Nodes::new("reboot") else { return };
    let before = nodes.everything();
    respelled(&nodes, |text| text.replace("        image:", "        mergeKubeconfig: true\n        image:"));
    let (folder, file) = (nodes.dir().join("home/.kube"), nodes.dir().join("home/.kube/config"));
    fs_err::create_dir(&folder).expect("a folder");
    fs_err::write(&file, THEIRS).expect("a kubeconfig");
    nodes.platform(UP).ok();

    // `kubectl` reads what was put in, and writes the file in its own form; it is known and taken out all the same, later.
    let kubectl = |words: &[&str]| Output::of(Command::new("kubectl").env("KUBECONFIG", &file).args(words));
    assert_eq!(
        kubectl(&["config", "current-context"]).ok().stdout.trim(),
        format!("kind-{}", nodes.cluster())
    );
    kubectl(&["get", "--raw", "/readyz"]).ok();
    assert_eq!(counts(&nodes.platform(UP).ok(), "changed"), 0);

    // Its address is somebody else's when it comes back.
    let node = format!("{}-control-plane", nodes.cluster());
    let address = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let old = shown(&nodes, &node, address);
    nodes.docker(["stop", "--time", "1", &node]).ok();
    let thief = format!("{}-thief", nodes.name());
    let _thief = Others(&nodes, vec![thief.clone()]);
    let steal = ["run", "--detach", "--name", &thief, "--network", &nodes.cluster(), "--entrypoint", "sleep"];
    nodes.docker(steal.into_iter().chain([nodes.image(), "3600"])).ok();
    assert_eq!(shown(&nodes, &thief, address), old, "it has the node's address");

    let found = nodes.platform(["doctor"]).exits(1).json();
    assert_eq!(found["ailments"][0]["what"], format!("container `{node}` stands still"), "{found:#}");
    let mended = nodes.platform(["doctor", "--fix", "--yes", "--wait", "8m"]).ok().json();
    assert_eq!((&mended["passed"], &mended["ailments"]), (&json!(true), &json!([])), "{mended:#}");
    assert_ne!(shown(&nodes, &node, address), old);
    kubectl(&["wait", "--for=condition=Ready", "node", "--all", "--timeout=10s"]).ok();
    assert_up(&nodes);
    assert_eq!(counts(&nodes.platform(UP).ok(), "changed"), 0, "nothing was made anew");

    // As it stands, it is removed.
    nodes.docker(["stop", "--time", "1", &node]).ok();
    drop(_thief);
    let down = nodes.platform(DOWN).ok().json();
    assert!(down["orphans"].as_array().is_some_and(Vec::is_empty), "{down:#}");
    assert_eq!(fs_err::read_to_string(&file).expect("it is there"), THEIRS);
    fs_err::remove_dir_all(&folder).expect("removed");
    assert_gone(&nodes, &before);
}

#[test]
fn one_argo_cd_serves_a_neighbour() {
    let Some(nodes) = Nodes::new("two") else { return };
    let before = nodes.everything();
    respelled(&nodes, |text| {
        let alone = |line: &&str| !line.trim_start().starts_with("portMappings:");
        let text = text.lines().filter(alone).map(|line| format!("{line}\n")).collect::<String>();
        let edge = "      environments: [dev]\n    - {name: edge, provider: here, environments: [prod]}\n";
        text.replace("      environments: [dev, prod]\n", edge)
    });
    let edge = format!("{}-edge-control-plane", nodes.name());
    let _edge = Others(&nodes, vec![edge.clone()]);
    nodes.platform(UP).ok();

    let mut kubectl = vec!["exec", &edge, "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"];
    kubectl.extend(["get", "deployments", "--all-namespaces", "--output", "name"]);
    let deployed = nodes.docker(kubectl).ok().stdout;
    for application in APPLICATIONS.iter().filter_map(|name| name.strip_suffix("-prod")) {
        assert!(deployed.contains(&format!("deployment.apps/{application}\n")), "{application}: {deployed}");
    }
    assert_eq!(counts(&nodes.platform(UP).ok(), "changed"), 0, "a second `up` changes nothing");

    let down = nodes.platform(DOWN).ok().json();
    assert!(down["orphans"].as_array().is_some_and(Vec::is_empty), "{down:#}");
    assert_gone(&nodes, &before);
}
