//! How long `platform up --provider kind` takes to Ready nodes, next to `kind create cluster` alone with the same image and
//! configuration, in turns. `just bench nodes`; needs what the tests on real nodes need (docs/guides/bed.md).

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{
    process::Command,
    time::{Duration, Instant},
};

use platform_tests::{Nodes, Output};

/// Rounds, of which the median counts.
const ROUNDS: usize = 5;

/// Waits until every node is Ready, as people do it after `kind create cluster`.
fn ready(kubeconfig: &str) {
    let begun = Instant::now();
    let wait =
        ["--kubeconfig", kubeconfig, "wait", "--for=condition=Ready", "node", "--all", "--timeout=60s"];
    while Output::of(Command::new("kubectl").args(wait)).status != 0 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the nodes do not become Ready");
    }
}

/// How long `kind` alone takes for a configuration; then its cluster is removed again.
fn alone(nodes: &Nodes, config: &str) -> Duration {
    let (name, file) = (format!("{}-alone", nodes.name()), nodes.dir().join("alone.yaml"));
    fs_err::write(&file, config.replace(&nodes.cluster(), &name)).expect("written");
    let (file, kubeconfig) =
        (file.display().to_string(), nodes.dir().join("alone.kubeconfig").display().to_string());
    let begun = Instant::now();
    let args = ["create", "cluster", "--name", &name, "--config", &file, "--kubeconfig", &kubeconfig];
    let made = Output::of(Command::new("kind").args(args));
    ready(&kubeconfig);
    let took = begun.elapsed();
    let args = ["delete", "cluster", "--name", &name, "--kubeconfig", &kubeconfig];
    let deleted = Output::of(Command::new("kind").args(args));
    made.ok();
    deleted.ok();
    took
}

/// How long the program takes until nodes are Ready, and the configuration that it gave to kind.
fn ours(nodes: &Nodes) -> (Duration, String) {
    let begun = Instant::now();
    let mut up = nodes.start(["up", "--yes"]);
    up.until(&["changed", "demo/control-plane"]);
    let took = begun.elapsed();
    let config = nodes.dir().join("home/.cache/platform/kind").join(nodes.cluster()).join("config.yaml");
    let config = fs_err::read_to_string(config).expect("kind's configuration");
    up.kill();
    let run = nodes.platform(["runs"]).ok().json()["runs"][0]["run"].as_str().expect("a run").to_owned();
    nodes.platform(["run", "abandon", &run, "--because", "only its beginning counts"]).ok();
    nodes.platform(["down", "--yes"]).ok();
    (took, config)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

fn main() {
    let Some(nodes) = Nodes::new("bench") else { return };
    // The first one reads half a gigabyte of the image from the disk, which the others find in memory.
    let (_, config) = ours(&nodes);
    let (mut shares, mut plain) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // Each goes first as often, for a machine may become slower or faster meanwhile.
        let mut first = None;
        if round % 2 == 0 {
            first = Some(alone(&nodes, &config));
        }
        let (ours, _) = ours(&nodes);
        let alone = first.unwrap_or_else(|| alone(&nodes, &config)).as_secs_f64();
        println!("round {round}: {:.2} s, kind alone {alone:.2} s", ours.as_secs_f64());
        shares.push(ours.as_secs_f64() / alone);
        plain.push(alone);
    }
    println!(
        "| to Ready nodes, next to `kind create cluster` ({:.1} s) | ratio | {shares:.2?} |",
        median(plain)
    );
    println!("| median | **{:.2}** | ≤ 1.05 |", median(shares));
}
