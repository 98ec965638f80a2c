//! The Git server that goes with a cluster of kind.

use platform_tests::Alone;
use serde_json::Value;

use super::{DOWN, UP, assert_nothing_left, assert_up_once, run, spec};

const SERVER: &str = "demo-demo-git-server";

#[track_caller]
fn shown(home: &Alone) -> Value {
    run(home, "docker", &["inspect", "--type", "container", SERVER]).ok().json()[0].clone()
}

#[test]
fn argo_cd_pulls_from_a_container_beside_the_nodes() {
    let home = Alone::new();
    home.platform(UP).ok();
    let made = shown(&home);
    assert_eq!(made["Mounts"][0]["Source"], home.sandbox().join("git").display().to_string(), "{made:#}");
    assert_eq!(made["Mounts"][0]["RW"], false, "{made:#}");
    assert_eq!(made["Config"]["Image"], "quay.io/argoproj/argocd:v3.5.7", "{made:#}");
    let planned = home.platform(["plan", "--provider", "kind", "--sandbox"]).ok();
    assert!(planned.stdout.contains(&format!("\"git://{SERVER}/platform.git\"")), "{}", planned.stdout);
    assert!(!planned.stdout.contains("\"in_cluster_url\": \"file:"), "{}", planned.stdout);
    let rendered = home.dir().join("rendered");
    let out = rendered.display().to_string();
    home.platform(["render", "--provider", "kind", "--sandbox", "--out", &out]).ok();
    let root = rendered.join("platform/argocd/root.yaml");
    let root = std::fs::read_to_string(&root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    assert!(root.contains(&format!("\"git://{SERVER}/platform.git\"")), "{root}");

    // Stopped, it is started; lost, or with another image, it is made again.
    run(&home, "docker", &["stop", SERVER]).ok();
    home.platform(UP).ok();
    assert_eq!((&shown(&home)["Id"], &shown(&home)["State"]["Running"]), (&made["Id"], &true.into()));
    run(&home, "docker", &["rm", "--force", SERVER]).ok();
    home.platform(UP).ok();
    assert_ne!(shown(&home)["Id"], made["Id"]);
    assert_up_once(&home);

    home.platform(DOWN).ok();
    assert_nothing_left(&home);
    assert!(home.sandbox().join("git/platform.git").is_dir(), "the repositories stay");
}

#[test]
fn a_server_of_ones_own_needs_none() {
    let home = Alone::new();
    spec(&home, |text| {
        text.replacen("    repositories:", "      inClusterUrl: http://git.example\n    repositories:", 1)
    });
    let planned = home.platform(["plan", "--sandbox"]);
    assert!(planned.stdout.contains("demo/network") && !planned.stdout.contains("Git server"), "{planned:?}");
}

/// What the spec does not ask for any more is in no plan of `up`; what was made for it is ours all the same.
#[test]
fn a_server_that_nobody_asks_for_any_more_goes_with_the_rest() {
    let home = Alone::new();
    spec(&home, str::to_owned);
    home.platform(["up", "--sandbox", "--yes"]).ok();
    shown(&home);
    spec(&home, |text| {
        text.replacen("    repositories:", "      inClusterUrl: http://git.example\n    repositories:", 1)
    });
    home.platform(["down", "--sandbox", "--yes"]).ok();
    assert_nothing_left(&home);
}

#[test]
fn a_file_in_place_of_the_folder_is_found_beforehand() {
    let home = Alone::new();
    let file = home.dir().join("file");
    std::fs::write(&file, "").expect("written");
    let folder = format!("{}/git", home.sandbox().display());
    spec(&home, |text| text.replace(&folder, &file.display().to_string()));
    crate::platform::refused(home.platform(["up", "--sandbox", "--yes"]), 1, "P1050", "config");
    assert_nothing_left(&home);
}
