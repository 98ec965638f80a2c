//! `kill -9` at random moments, of the program and of `kind`.

use std::time::{Duration, Instant};

use platform_tests::Nodes;

use super::{DOWN, UP, assert_gone, assert_up, counts};
use crate::platform::killed::Die;

/// How many kills in an `up` and in a `down`; all that is asked for when there is time.
fn kills() -> (u32, u32) {
    if std::env::var_os("PLATFORM_E2E_LONG").is_some() { (15, 5) } else { (4, 1) }
}

/// How long each takes when nobody disturbs it, about.
const TAKES: (Duration, Duration) = (Duration::from_secs(120), Duration::from_secs(15));

/// Carries a flow out and kills it on the way.
fn with_kills(nodes: &Nodes, flow: [&str; 2], kills: u32, takes: Duration, die: &mut Die) -> u32 {
    let mut next: Vec<&str> = flow.to_vec();
    for killed in 0..kills {
        if !nodes.start(&next).kill_after(die.moment(takes, kills)) {
            return killed;
        }
        let last = nodes.platform(["runs"]).ok().json()["runs"][0].clone();
        next = match (last["flow"].as_str() == Some(flow[0]), last["status"].as_str()) {
            (true, Some("interrupted")) => vec!["resume", "--yes"],
            (true, Some("succeeded")) => return killed + 1,
            _ => flow.to_vec(),
        };
    }
    nodes.platform(&next).ok();
    kills
}

#[test]
fn killed_at_random_moments_there_is_one_cluster_and_nothing_is_left() {
    let Some(nodes) = Nodes::new("killed") else { return };
    let mut die = Die::new();
    let before = nodes.everything();
    let (up, down) = kills();
    let killed = with_kills(&nodes, UP, up, TAKES.0, &mut die);
    assert!(killed > 0, "no kill met an `up` alive");
    assert_up(&nodes);
    assert_eq!(counts(&nodes.platform(UP).ok(), "changed"), 0, "the same end state");
    with_kills(&nodes, DOWN, down, TAKES.1, &mut die);
    assert_gone(&nodes, &before);
}

/// Begins an `up` and kills it together with `kind`, as soon as there is a node; the node's id.
#[track_caller]
fn leave_half_made(nodes: &Nodes) -> String {
    let mut up = nodes.start(UP);
    let folder = nodes.dir().join("home/.cache/platform/kind").join(nodes.cluster());
    let begun = Instant::now();
    while nodes.left().iter().all(|left| !left.contains("control-plane")) {
        assert!(begun.elapsed() < Duration::from_secs(90), "no node appears");
        std::thread::sleep(Duration::from_millis(50));
    }
    up.kill();
    let kind = fs_err::read_to_string(folder.join("pid")).expect("kind was started");
    let group = nix::unistd::Pid::from_raw(kind.parse().expect("a number"));
    nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL).expect("it is alive");
    node(nodes)
}

fn node(nodes: &Nodes) -> String {
    let name = format!("{}-control-plane", nodes.cluster());
    nodes.docker(["inspect", "--format", "{{.Id}}", &name]).stdout
}

#[test]
fn a_cluster_that_was_left_half_made_is_removed_or_made_anew() {
    let Some(nodes) = Nodes::new("half") else { return };
    let before = nodes.everything();
    leave_half_made(&nodes);
    let run = nodes.platform(["runs"]).ok().json()["runs"][0]["run"].as_str().expect("a run").to_owned();
    nodes.platform(["run", "abandon", &run, "--because", "nobody needs it"]).ok();
    nodes.platform(DOWN).ok();
    assert_gone(&nodes, &before);

    let half = leave_half_made(&nodes);
    nodes.platform(["resume", "--yes"]).ok();
    assert_up(&nodes);
    assert_ne!(half, node(&nodes), "what was half made was not taken for a cluster");
    nodes.platform(DOWN).ok();
    assert_gone(&nodes, &before);
}
