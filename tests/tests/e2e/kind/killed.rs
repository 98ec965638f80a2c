//! `kill -9` at random moments, of the program and of `kind`.

use std::time::{Duration, Instant};

use platform_tests::Nodes;

use super::{DOWN, UP, assert_gone, assert_up, counts};
use crate::platform::killed::Die;

/// How many kills in `up` and in `down`; all that is asked for when there is time.
fn kills() -> (u32, u32) {
    if is_long() { (15, 5) } else { (4, 1) }
}

/// Whether there is time for everything.
pub(super) fn is_long() -> bool {
    std::env::var_os("PLATFORM_E2E_LONG").is_some()
}

/// How long each takes when nobody disturbs it, about.
const TAKES: (Duration, Duration) = (Duration::from_secs(80), Duration::from_secs(8));

/// How a flow goes on: from its beginning, or where it was killed; `None` when it had ended.
fn next(nodes: &Nodes, flow: [&'static str; 2]) -> Option<Vec<&'static str>> {
    let last = nodes.platform(["runs"]).ok().json()["runs"][0].clone();
    match (last["flow"].as_str() == Some(flow[0]), last["status"].as_str()) {
        (true, Some("interrupted")) => Some(vec!["resume", "--yes"]),
        (true, Some("succeeded")) => None,
        _ => Some(flow.to_vec()),
    }
}

/// Carries a flow out, or to its end, and kills it on the way; says how often.
fn with_kills(nodes: &Nodes, flow: [&'static str; 2], kills: u32, takes: Duration, die: &mut Die) -> u32 {
    for killed in 0..kills {
        let Some(words) = next(nodes, flow) else { return killed };
        if !nodes.start(&words).kill_after(die.moment(takes, kills)) {
            return killed;
        }
    }
    if let Some(words) = next(nodes, flow) {
        nodes.platform(&words).ok();
    }
    kills
}

/// One life, so that one `up` to the end serves both: what is left half made, and kills at random moments.
#[test]
fn killed_at_any_moment_there_is_one_cluster_and_nothing_is_left() {
    let Some(nodes) = Nodes::new("killed") else { return };
    let before = nodes.everything();
    // Half made, and removed.
    leave_half_made(&nodes);
    let run = nodes.platform(["runs"]).ok().json()["runs"][0]["run"].as_str().expect("a run").to_owned();
    nodes.platform(["run", "abandon", &run, "--because", "nobody needs it"]).ok();
    nodes.platform(DOWN).ok();
    assert_gone(&nodes, &before);

    // Half made, and made anew.
    let half = leave_half_made(&nodes);
    let mut die = Die::new();
    let ((up, down), mut killed, mut lives) = (kills(), (0, 0), 0);
    // A flow may end before all of its kills have met it: then the others meet that of a further life.
    while lives == 0 || (killed.0 < up || killed.1 < down) && is_long() {
        lives += 1;
        killed.0 += with_kills(&nodes, UP, up - killed.0, TAKES.0, &mut die);
        assert_up(&nodes);
        assert_ne!(half, node(&nodes), "what was half made was not taken for a cluster");
        assert_eq!(counts(&nodes.platform(UP).ok(), "changed"), 0, "the same end state");
        killed.1 += with_kills(&nodes, DOWN, down - killed.1, TAKES.1, &mut die);
        assert_gone(&nodes, &before);
    }
    assert!(killed.0 > 0, "no kill met an `up` alive");
    #[expect(clippy::print_stdout, reason = "the figure that a long run is made for")]
    {
        println!("killed {} times in up and {} times in down, in {lives} lives", killed.0, killed.1);
    }
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
