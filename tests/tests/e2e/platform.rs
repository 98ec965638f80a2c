//! The main job on real components. Each room is the life of one platform, with what may happen to it on the way; there
//! is one cluster and a platform takes half a minute to come up, so a life holds more than one hardship.

mod credentials;
pub(crate) mod killed;
mod moved;
mod secrets;
mod served;
mod stopped;
mod whole;
mod wrong;

use std::collections::BTreeMap;

use platform_tests::{Output, World, audit::Write};
use serde_json::Value;

/// Names that the starter platform publishes here.
const HOSTS: [&str; 4] = ["hello-dev", "hello-prod", "web-dev", "web-prod"];
/// How often an undisturbed `up` changes the zone, and so raises its serial: all names in one update.
const ZONE_CHANGES_OF_UP: u32 = 1;
/// The same of `down`.
const ZONE_CHANGES_OF_DOWN: u32 = 1;

/// `platform up` for a world's spec, wherever it is started.
pub fn up(world: &World) -> [String; 3] {
    ["up".into(), "-f".into(), world.spec().display().to_string()]
}

/// `platform down` likewise.
pub fn down(world: &World) -> [String; 4] {
    ["down".into(), "--yes".into(), "-f".into(), world.spec().display().to_string()]
}

/// What the real components say about a platform that is up.
#[track_caller]
pub fn assert_up(world: &World) {
    let applications = world.bed().kubectl_json(["get", "applications", "-n", "argocd"]);
    let items = applications["items"].as_array().expect("a list");
    assert!(items.len() >= 6, "{} applications", items.len());
    for app in items {
        let status = &app["status"];
        assert_eq!(
            (status["sync"]["status"].as_str(), status["health"]["status"].as_str()),
            (Some("Synced"), Some("Healthy")),
            "{}",
            app["metadata"]["name"]
        );
    }
    let backups = world.bed().kubectl_json(["get", "backups.velero.io", "-n", "velero"]);
    let phases: Vec<&str> = backups["items"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|b| b["status"]["phase"].as_str())
        .collect();
    assert_eq!(phases, ["Completed"]);
    for host in HOSTS {
        let answer = world.dig(["+short", &format!("{host}.{}", world.zone())]).ok().stdout;
        assert_eq!(answer.trim(), "192.0.2.10", "{host}");
    }
    assert!(!ours(world).is_empty(), "our labels are found");
    assert!(!ledger(world).is_empty());
}

/// nothing is left, by the ledger, by our labels on every kind that there is, by a transfer of the zone, and by
/// comparison with a new bed.
#[track_caller]
pub fn assert_gone(world: &World) {
    assert_eq!(ledger(world), Vec::<Value>::new(), "the ledger");
    let locks = world.platform(["lock", "show"]).ok().json();
    assert_eq!(locks["locks"].as_array().map(Vec::len), Some(0), "{locks:#}");
    world.assert_clean();
    assert_eq!(ours(world), Vec::<String>::new(), "objects with our labels");
}

/// Every object that bears one of our labels.
fn ours(world: &World) -> Vec<String> {
    let labels = ["app.kubernetes.io/managed-by=platform", "platform.dev/name"];
    labels.iter().flat_map(|label| world.labelled(label)).collect()
}

/// What the program says exists because of it.
#[track_caller]
fn ledger(world: &World) -> Vec<Value> {
    let status = world.platform(["status", "demo"]).ok().json();
    status["platforms"][0]["resources"].as_array().expect("a list").clone()
}

/// Objects that the program made, with how often. Server-side apply answers 201 when it makes something.
fn made(writes: &[Write]) -> BTreeMap<String, usize> {
    let mut made = BTreeMap::new();
    for write in writes.iter().filter(|write| write.is_ours() && write.status() == 201) {
        *made.entry(write.object()).or_default() += 1;
    }
    made
}

fn commits(world: &World) -> usize {
    world.git("platform", ["log", "--format=%H", "main"]).stdout.lines().count()
}

/// What a person needs of an error: code, class, a next step; and that nothing else is said on standard output.
#[track_caller]
pub fn refused(output: Output, exits: i32, code: &str, class: &str) -> Value {
    let report = output.exits(exits).json();
    let error = &report["error"];
    assert_eq!((error["code"].as_str(), error["class"].as_str()), (Some(code), Some(class)), "{error:#}");
    let hints = error["hints"].as_array().expect("hints");
    assert!(hints.iter().any(|hint| hint.as_str().is_some_and(|hint| hint.contains('`'))), "{error:#}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error:#}");
    report
}
