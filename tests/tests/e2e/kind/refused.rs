//! What is found before anything is changed.

use std::{net::TcpListener, process::Command};

use platform_tests::{Nodes, Output};

use super::UP;

/// The code of the refusal of an `up`, after which nothing of the platform is on the engine.
#[track_caller]
fn refusal(nodes: &Nodes, command: &mut Command) -> (String, String) {
    let json = Output::of(command).exits(1).json();
    assert_eq!(nodes.left(), [] as [String; 0], "something was made");
    let code = json["error"]["code"].as_str().unwrap_or_default().to_owned();
    (code, json["error"]["hints"].to_string())
}

#[test]
fn each_trouble_is_found_before_anything_is_changed() {
    let Some(nodes) = Nodes::new("refused") else { return };

    let _listener = TcpListener::bind(("127.0.0.1", nodes.port())).expect("the port is free");
    let (code, hints) = refusal(&nodes, &mut nodes.command(UP));
    assert_eq!(code, "P1006", "{hints}");
    assert!(hints.contains("ss -ltnp"), "{hints}");
    drop(_listener);

    // An engine that is not there, and one that nobody may use.
    let (code, hints) = refusal(&nodes, nodes.command(UP).env("DOCKER_HOST", "unix:///nowhere/docker.sock"));
    assert_eq!(code, "P1001", "{hints}");
    let (code, _) = refusal(&nodes, nodes.command(UP).env("PATH", "/nowhere"));
    assert!(code == "P1001" || code == "P0301", "neither engine nor git: {code}");

    // A cluster of that name that somebody else has made: its node is enough.
    let name = format!("{}-control-plane", nodes.cluster());
    let label = format!("io.x-k8s.kind.cluster={}", nodes.cluster());
    let role = "io.x-k8s.kind.role=control-plane";
    let made = ["create", "--name", &name, "--label", &label, "--label", role, nodes.image()];
    let id = nodes.docker(made).ok().stdout;
    let json = nodes.platform(UP).exits(1).json();
    assert_eq!(json["error"]["code"], "P1005", "{json:#}");
    assert!(json["error"]["hints"].to_string().contains("kind delete cluster"), "{json:#}");
    nodes.platform(["down", "--yes"]).ok();
    let there = nodes.docker(["inspect", "--format", "{{.Id}}", &name]).ok().stdout;
    assert_eq!(there, id, "a cluster that is not ours was touched");
}
