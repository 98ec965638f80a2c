//! After a reboot: what stands still is found, and started again; and removed as it stands.

use platform_tests::Alone;

use super::{DOWN, UP, assert_nothing_left, assert_up_once, run};
use crate::platform::refused;

const NODES: [&str; 2] = ["demo-demo-control-plane", "demo-demo-worker"];

fn doctor<const N: usize>(home: &Alone, more: [&str; N]) -> platform_tests::Output {
    home.platform(["doctor", "--provider", "kind", "--sandbox"].into_iter().chain(more))
}

#[test]
fn what_stands_still_after_a_reboot_is_found_and_started_again() {
    let home = Alone::new();
    home.platform(UP).ok();
    assert_eq!(doctor(&home, []).ok().json()["passed"], true);

    run(&home, "docker", &["stop", NODES[0], NODES[1]]).ok();
    let found = doctor(&home, []).exits(1).json();
    let ailments = found["ailments"].as_array().expect("a list");
    assert_eq!(ailments.len(), 2, "{found:#}");
    for (ailing, node) in ailments.iter().zip(NODES) {
        assert_eq!(ailing["what"], format!("container `{node}` stands still"));
        assert_eq!(ailing["cure"], "start it");
    }
    let api = found["checks"].as_array().into_iter().flatten().find(|check| check["what"] == "api");
    assert!(api.is_some_and(|api| api["verdict"] == "failed"), "{found:#}");
    // Nobody has agreed.
    refused(doctor(&home, ["--fix"]), 2, "P0903", "config");
    assert_eq!(doctor(&home, []).exits(1).json()["ailments"], found["ailments"], "nothing was changed");

    let mended = doctor(&home, ["--fix", "--yes"]).ok().json();
    assert_eq!(mended["mended"], found["ailments"], "{mended:#}");
    assert_eq!((&mended["passed"], &mended["ailments"]), (&true.into(), &serde_json::json!([])));
    // Nothing was made anew, and nothing is left to do.
    assert_up_once(&home);
    assert_eq!(doctor(&home, ["--fix"]).ok().json()["mended"], serde_json::json!([]));
    // `up` starts them, too.
    run(&home, "docker", &["stop", NODES[0]]).ok();
    home.platform(UP).ok();
    assert_up_once(&home);
}

#[test]
fn a_run_that_was_cut_off_by_the_reboot_goes_on_after_it() {
    let home = Alone::new();
    let mut up = home.start(UP);
    up.until(&["starts", "demo/argocd.install"]);
    up.kill();
    run(&home, "docker", &["stop", NODES[0], NODES[1]]).ok();
    // Of its applications there is nothing yet; what can be mended is.
    let mended = doctor(&home, ["--fix", "--yes", "--wait", "5s"]).exits(1).json();
    assert_eq!(
        (mended["mended"].as_array().map(Vec::len), &mended["ailments"]),
        (Some(2), &serde_json::json!([]))
    );
    home.platform(["resume"]).ok();
    assert_up_once(&home);
}

#[test]
fn a_platform_whose_nodes_stand_still_is_removed_as_it_stands() {
    for still in [&NODES[..], &NODES[..1], &NODES[1..]] {
        let home = Alone::new();
        home.platform(UP).ok();
        let words: Vec<&str> = ["stop"].iter().chain(still).copied().collect();
        run(&home, "docker", &words).ok();
        let down = home.platform(DOWN).ok().json();
        let run = down["run"].as_str().expect("a run");
        let shown = home.platform(["run", "events", run]).ok().stdout;
        assert!(shown.contains("it goes with the cluster"), "the reason is recorded: {shown}");
        assert_nothing_left(&home);
    }
}
