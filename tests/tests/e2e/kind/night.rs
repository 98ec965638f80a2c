//! A night whose runner is killed in the middle, on real nodes.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use nix::sys::signal::Signal;
use platform_tests::{Nodes, Output, Started};
use serde_json::json;

use super::killed::is_long;

/// Writes the spec of a platform that can live beside others of this machine; its file.
fn spec(nodes: &Nodes, platform: &str) -> String {
    let text = fs_err::read_to_string(nodes.dir().join("platform.yaml")).expect("a spec");
    let port = format!("{{hostPort: {}, containerPort: 30080}}", nodes.port());
    let text = text
        .replace(&port, "")
        .replace(&format!("name: \"{}\"", nodes.name()), &format!("name: \"{platform}\""));
    let file = nodes.dir().join(format!("{platform}.yaml"));
    fs_err::write(&file, text).expect("written");
    file.display().to_string()
}

/// The program as another runner has it: with the same engine, and nothing of what others have written down.
fn elsewhere(nodes: &Nodes, runner: &str, args: &[&str]) -> Command {
    let folder = nodes.dir().join(runner);
    let mut command = nodes.command(args.iter().chain(&["--report", runner]));
    command.env("HOME", folder.join("home")).env("PLATFORM_STATE", folder.join("state"));
    command
}

/// Names of control planes of platforms whose names begin so.
fn planes(nodes: &Nodes, of: &str) -> Vec<String> {
    let names = nodes.left();
    let names = names.iter().filter_map(|left| left.strip_prefix("container "));
    let mut planes: Vec<String> = names
        .filter(|name| name.starts_with(of) && name.ends_with("-control-plane"))
        .map(str::to_owned)
        .collect();
    planes.sort();
    planes.dedup();
    planes
}

/// Waits until a night has a node; its container.
#[track_caller]
fn first_node(nodes: &Nodes, used: &str) -> String {
    let begun = Instant::now();
    loop {
        let others = planes(nodes, &format!("{}-", nodes.name()));
        if let Some(night) = others.into_iter().find(|name| !name.starts_with(used)) {
            return night;
        }
        assert!(begun.elapsed() < Duration::from_secs(120), "no node appears");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn what_a_killed_runner_left_is_reaped_and_what_is_in_use_is_not() {
    let Some(nodes) = Nodes::new("night") else { return };
    let before = nodes.everything();
    let used = format!("{}-used", nodes.name());
    let (mine, small) = (spec(&nodes, &used), spec(&nodes, &format!("{}-small", nodes.name())));

    // In use for an hour, though whoever made it has gone.
    let mut up = nodes.start(["up", "--yes", "--file", &mine, "--ttl", "60m"]);
    up.until(&["starts", "argocd.install"]);
    up.kill();
    let id = || {
        nodes
            .docker(["inspect", "--format", "{{.Id}} {{.State.Running}}", &planes(&nodes, &used)[0]])
            .ok()
            .stdout
    };
    let there = id();

    let mut night = Started::new(&mut elsewhere(&nodes, "first", &["ci", "nightly", &small]));
    if is_long() {
        night.until(&["verify: passed"]);
    }
    let left = first_node(&nodes, &used);
    night.kill();
    fs_err::remove_dir_all(nodes.dir().join("first")).expect("its folder");

    let began = Instant::now();
    let mut next = Started::new(&mut elsewhere(&nodes, "second", &["ci", "nightly", &small]));
    next.until(&["reaped", "Removed"]);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(!planes(&nodes, &left).contains(&left), "{left} is still there");
    assert_eq!(id(), there, "a cluster that is in use was touched");

    if is_long() {
        let report = next.wait().ok().json();
        assert_eq!(report["passed"], true, "{report:#}");
        let steps = report["entries"][0]["attempts"][0]["steps"].as_array().expect("steps").clone();
        let names: Vec<&str> = steps.iter().filter_map(|step| step["name"].as_str()).collect();
        assert_eq!(names, ["up", "verify", "second_up", "kill_resume", "down", "inventory"]);
    } else {
        first_node(&nodes, &used);
        next.signal(Signal::SIGTERM);
        let said = next.wait();
        assert_eq!(said.status, 130, "{said:?}");
    }
    assert_eq!(planes(&nodes, nodes.name()).len(), 1, "the night has left something: {:?}", nodes.left());
    assert_eq!(id(), there, "a cluster that is in use was touched");
    let mut sweep = nodes.command(["sweep", "--provider", "kind", "--platform", &used, "--yes"]);
    let swept = Output::of(&mut sweep).ok().json();
    assert_eq!(swept["left"], json!([]), "{swept:#}");
    assert_eq!(nodes.left(), [] as [String; 0]);
    assert_eq!(nodes.everything(), before, "volumes and networks of the engine");
}
