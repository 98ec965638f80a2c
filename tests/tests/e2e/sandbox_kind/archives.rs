//! What the nodes have without pulling it, and what a cluster keeps that is to end by itself.

use std::process::Command;

use platform_tests::{Alone, Output};
use serde_json::Value;

use super::{DOWN, assert_nothing_left, run, spec, there};
use crate::platform::refused;

const UP: &[&str] = &["up", "--sandbox"];
/// For a spec file.
const GONE: &[&str] = &["down", "--sandbox", "--yes"];

/// Writes a spec whose provider has a configuration.
fn with_config(home: &Alone, config: &str) {
    spec(home, |text| text.replace("kind: kind  ", &format!("kind: kind\n      config: {config}\n      #")));
}

/// An archive as `docker save` writes it, of an image with a configuration.
fn archive(home: &Alone, config: &str) -> String {
    let manifest = format!(r#"[{{"Config":"blobs/sha256/{config}","RepoTags":["app:1"],"Layers":[]}}]"#);
    std::fs::write(home.dir().join("manifest.json"), manifest).expect("written");
    let path = home.dir().join("images.tar").display().to_string();
    let made = Command::new("tar").args(["-cf", &path, "manifest.json"]).current_dir(home.dir()).status();
    assert!(made.is_ok_and(|status| status.success()));
    path
}

/// The ids of the images `app:1` on a node.
fn on_node(home: &Alone, node: &str) -> Vec<String> {
    let said = run(home, "docker", &["exec", node, "crictl", "images", "--output", "json"]).ok().stdout;
    let list: Value = serde_json::from_str(&said).expect("JSON");
    let images = list["images"].as_array().expect("a list").iter();
    let ours = images.filter(|image| image["repoTags"][0] == "docker.io/library/app:1");
    ours.filter_map(|image| image["id"].as_str().map(str::to_owned)).collect()
}

#[test]
fn archives_are_loaded_into_every_node_when_they_are_the_right_ones() {
    let home = Alone::new();
    let path = archive(&home, "abc");
    let wrong = format!("sha256:{}", "0".repeat(64));
    with_config(&home, &format!("{{images: {{archives: [{{path: {path}, digest: '{wrong}'}}]}}}}"));
    refused(home.platform(UP), 1, "P1045", "config");
    assert!(there(&home)["containers"].is_empty(), "nothing was changed");

    let digest = Output::of(Command::new("sha256sum").arg(&path)).ok().stdout;
    let digest = format!("sha256:{}", digest.split(' ').next().expect("a digest"));
    with_config(&home, &format!("{{images: {{archives: [{{path: {path}, digest: '{digest}'}}]}}}}"));
    home.platform(UP).ok();
    for node in ["demo-demo-control-plane", "demo-demo-worker"] {
        assert_eq!(on_node(&home, node), ["sha256:abc"], "{node}");
    }
    let again = home.platform(UP).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");
    // The file need not stay for what has been loaded from it.
    let aside = home.dir().join("aside.tar");
    std::fs::rename(&path, &aside).expect("moved");
    let again = home.platform(UP).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");
    // One that was never loaded has to be there.
    with_config(&home, &format!("{{images: {{archives: [{{path: {path}.other}}]}}}}"));
    refused(home.platform(UP), 1, "P1044", "config");
    std::fs::rename(&aside, &path).expect("moved back");

    // Another image of the same name.
    let path = archive(&home, "def");
    with_config(&home, &format!("{{images: {{archives: [{{path: {path}}}]}}}}"));
    let loaded = home.platform(UP).ok().json();
    assert_eq!(loaded["counts"]["changed"], 1, "{loaded:#}");
    assert_eq!(on_node(&home, "demo-demo-worker"), ["sha256:def"]);

    // Whoever removes the platform needs the file no more.
    std::fs::remove_file(path).expect("removed");
    home.platform(DOWN).ok();
    assert_nothing_left(&home);
}

#[test]
fn a_cluster_that_is_to_end_by_itself_still_does_when_something_is_added() {
    let home = Alone::new();
    with_config(&home, "{registry: {image: 'registry:3'}}");
    home.platform(["up", "--sandbox", "--ttl", "8h"]).ok();
    let until = |home: &Alone| {
        let said = run(home, "docker", &["inspect", "demo-demo-registry"]).ok().stdout;
        let shown: Value = serde_json::from_str(&said).expect("JSON");
        shown[0]["Config"]["Labels"]["platform.dev/alive-until"].as_str().map(str::to_owned)
    };
    let before = until(&home).expect("it has an end");
    run(&home, "docker", &["rm", "--force", "demo-demo-registry"]).ok();
    let report = home.platform(UP).ok().json();
    assert_eq!(until(&home), Some(before), "made anew, and no more permanent than the rest");
    let said = report["findings"].as_array().into_iter().flatten().any(|finding| finding["code"] == "P0931");
    assert!(said, "{report:#}");
    home.platform(DOWN).ok();
    assert_nothing_left(&home);
}

#[test]
fn a_network_that_is_not_there_is_found_and_one_that_is_there_is_left() {
    let home = Alone::new();
    with_config(&home, "{network: theirs}");
    let refusal = refused(home.platform(UP), 1, "P1017", "config");
    assert!(refusal.to_string().contains("docker network create theirs"), "{refusal:#}");
    assert!(there(&home).values().all(Vec::is_empty), "nothing was changed");
    run(&home, "docker", &["network", "create", "theirs"]).ok();
    home.platform(UP).ok();
    home.platform(GONE).ok();
    assert_eq!(there(&home)["networks"], ["theirs"], "it is not ours");
    run(&home, "docker", &["network", "rm", "theirs"]).ok();
    assert_nothing_left(&home);
}
