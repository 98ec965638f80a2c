//! The layer diagram of docs/ARCHITECTURE.md, executable: an edge it does not draw fails here.

use std::{collections::BTreeMap, path::Path, process::Command};

use serde::Deserialize;

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// `null` for an ordinary dependency, else `dev` or `build`.
    kind: Option<String>,
}

/// Where a crate stands in the house.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// Row 1: words.
    Spec,
    /// Row 2: strangers to one another.
    Door,
    /// Row 3.
    Flows,
    /// Row 3.
    State,
    /// Row 3, one crate per provider.
    Provider,
    /// Row 4.
    App,
    /// Row 5.
    People,
    /// Beside the rows: emulated clouds and a Kubernetes API, a library.
    Sandbox,
    /// Beside the rows: helps tests, is never shipped.
    Testkit,
    /// Beside the rows: drives the built binary.
    Tests,
}

fn room(name: &str, manifest: &str) -> Option<Room> {
    if Path::new(manifest).ancestors().nth(2).is_some_and(|dir| dir.ends_with("providers")) {
        return Some(Room::Provider);
    }
    Some(match name.strip_prefix("platform-")? {
        "spec" => Room::Spec,
        "engine" | "provider" | "blueprint" | "gitops" | "kube" | "dns" | "artifact" => Room::Door,
        "flows" => Room::Flows,
        "state" => Room::State,
        "app" => Room::App,
        "cli" => Room::People,
        "sandbox" => Room::Sandbox,
        "testkit" => Room::Testkit,
        "tests" => Room::Tests,
        _ => return None,
    })
}

/// May a crate in `from` be built on `to`, which is named `name`?
fn allowed(from: Room, to: Room, name: &str) -> bool {
    match from {
        Room::Spec => false,
        Room::Door => to == Room::Spec,
        Room::Flows | Room::Sandbox | Room::Testkit => matches!(to, Room::Spec | Room::Door),
        Room::State => to == Room::Spec || name == "platform-engine",
        Room::Provider => to == Room::Spec || name == "platform-provider",
        Room::App => !matches!(to, Room::App | Room::People | Room::Testkit | Room::Tests),
        Room::People => matches!(to, Room::Spec | Room::App),
        Room::Tests => true,
    }
}

/// Tests of a crate may also use what stands on its own row, and the testkit; never what stands above it.
fn allowed_in_tests(from: Room, to: Room, name: &str) -> bool {
    let row = |room| match room {
        Room::Spec => 1,
        Room::Door | Room::Sandbox | Room::Testkit => 2,
        Room::Flows | Room::State | Room::Provider => 3,
        Room::App => 4,
        Room::People => 5,
        Room::Tests => 6,
    };
    allowed(from, to, name) || to == Room::Testkit || (from != Room::Door && row(to) <= row(from))
}

fn workspace() -> Metadata {
    let out = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(out.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("cargo metadata speaks JSON")
}

#[test]
fn every_crate_has_a_room_and_edges_point_downward() {
    let workspace = workspace();
    let mut rooms = BTreeMap::new();
    let mut wrong = Vec::new();
    for package in &workspace.packages {
        match room(&package.name, &package.manifest_path) {
            Some(room) => drop(rooms.insert(package.name.as_str(), room)),
            None => wrong.push(format!("{}: stands nowhere in the diagram; give it a room", package.name)),
        }
    }
    for package in &workspace.packages {
        let Some(&from) = rooms.get(package.name.as_str()) else { continue };
        for dependency in &package.dependencies {
            let Some(&to) = rooms.get(dependency.name.as_str()) else { continue };
            let test_only = dependency.kind.as_deref() == Some("dev");
            let fine = if test_only {
                allowed_in_tests(from, to, &dependency.name)
            } else {
                allowed(from, to, &dependency.name)
            };
            if !fine {
                let kind = if test_only { " (in tests)" } else { "" };
                wrong.push(format!(
                    "{} -> {}{kind}: the diagram has no such edge",
                    package.name, dependency.name
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}\nThe diagram is in docs/ARCHITECTURE.md.", wrong.join("\n"));
}

#[test]
fn the_rules_say_what_the_diagram_says() {
    let edges = [
        (Room::Door, Room::Spec, "platform-spec", true),
        (Room::Door, Room::Door, "platform-kube", false),
        (Room::State, Room::Door, "platform-engine", true),
        (Room::State, Room::Door, "platform-kube", false),
        (Room::Provider, Room::Door, "platform-provider", true),
        (Room::Provider, Room::Door, "platform-engine", false),
        (Room::Flows, Room::State, "platform-state", false),
        (Room::People, Room::Flows, "platform-flows", false),
        (Room::App, Room::Testkit, "platform-testkit", false),
        (Room::App, Room::State, "platform-state", true),
    ];
    for (from, to, name, expected) in edges {
        assert_eq!(allowed(from, to, name), expected, "{from:?} -> {name}");
    }
}
