//! The main job on real components: `up`, `up` again, `down`; killed on the way; held back at the end.

use std::{
    collections::BTreeMap,
    process::Child,
    time::{Duration, Instant},
};

use platform_tests::{Bed, World, audit::Write};

/// What the real components say about a platform that is up.
fn assert_up(world: &World) {
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
    for host in ["hello-dev", "hello-prod", "web-dev", "web-prod"] {
        let answer = world.dig(["+short", &format!("{host}.{}", world.zone())]).ok().stdout;
        assert_eq!(answer.trim(), "192.0.2.10", "{host}");
    }
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

#[test]
fn up_brings_everything_a_second_up_changes_nothing_and_down_leaves_nothing() {
    let Some(world) = Bed::world("whole") else { return };
    let up = world.platform(["up", "-f", "platform.yaml"]).ok().json();
    assert_eq!((up["schema"].as_str(), up["status"].as_str()), (Some("platform.run/v1"), Some("succeeded")));
    assert_up(&world);

    // X-04: a healthy platform is left alone.
    let (mark, serial) = (world.bed().audit_mark(), world.zone_serial(&world.zone()));
    let again = world.platform(["up", "-f", "platform.yaml"]).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");
    let writes: Vec<String> = world
        .bed()
        .writes_since(mark)
        .iter()
        .filter(|write| write.is_ours())
        .map(|write| format!("{} {}", write.verb, write.object()))
        .collect();
    assert_eq!(writes, Vec::<String>::new(), "no write by us");
    assert_eq!((commits(&world), world.zone_serial(&world.zone())), (1, serial));

    // X-06: nothing left, by the ledger and by the components.
    let down = world.platform(["down", "--yes", "-f", "platform.yaml"]).ok().json();
    assert_eq!(
        (down["status"].as_str(), down["orphans"].as_array().map(Vec::len)),
        (Some("succeeded"), Some(0))
    );
    let status = world.platform(["status"]).ok().stdout;
    assert!(!status.contains("\"external_id\""), "the ledger is empty: {status}");
    world.assert_clean();
}

#[test]
fn what_a_foreign_finalizer_holds_is_named_and_down_exits_6() {
    let Some(world) = Bed::world("held") else { return };
    world.platform(["up", "-f", "platform.yaml"]).ok();
    let patch = r#"{"metadata":{"finalizers":["example.com/not-yours"]}}"#;
    world
        .bed()
        .kubectl(["patch", "configmap", "argocd-cm", "-n", "argocd", "--type=merge", "-p", patch])
        .ok();
    let down = world.platform(["down", "--yes", "--wait", "20s", "-f", "platform.yaml"]).exits(6).json();
    let orphans = down["orphans"].as_array().expect("a list");
    let held = orphans.iter().find(|orphan| orphan["kind"] == "ConfigMap").expect("the ConfigMap");
    assert!(held["why"].as_str().is_some_and(|why| why.contains("example.com/not-yours")), "{held:#}");
    assert!(held["age_ms"].as_u64().is_some_and(|age| age > 0), "{held:#}");

    let release = r#"{"metadata":{"finalizers":null}}"#;
    world
        .bed()
        .kubectl(["patch", "configmap", "argocd-cm", "-n", "argocd", "--type=merge", "-p", release])
        .ok();
    world.platform(["down", "--yes", "-f", "platform.yaml"]).ok();
    world.assert_clean();
}

/// How many times the program is killed: five in every test run, all twenty-five when there is time.
fn kills() -> u32 {
    if std::env::var_os("PLATFORM_E2E_LONG").is_some() { 25 } else { 5 }
}

/// Kills the program after a while that differs from time to time, and says whether it was still alive.
fn kill_after(mut child: Child, wait: Duration) -> bool {
    let until = Instant::now() + wait;
    loop {
        if let Some(status) = child.try_wait().expect("it is our child") {
            assert!(status.success(), "it ended by itself, and well: {status}");
            return false;
        }
        if Instant::now() >= until {
            child.kill().expect("SIGKILL");
            child.wait().expect("it is our child");
            return true;
        }
        std::thread::yield_now();
    }
}

#[test]
fn killed_at_random_moments_everything_is_made_once() {
    let Some(world) = Bed::world("killed") else { return };
    let seed = u64::from(std::process::id());
    let mut die = seed;
    let mut moment = || {
        // A linear congruential generator is random enough for moments, and a seed replays it.
        die = die.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(200 + (die >> 33) % 6_000)
    };
    let mark = world.bed().audit_mark();
    let mut killed = 0;
    let mut args = vec!["up", "-f", "platform.yaml"];
    while killed < kills() {
        let child = world.platform_command(&args).spawn().expect("it starts");
        if !kill_after(child, moment()) {
            break;
        }
        killed += 1;
        // Killed before the run was stored, there is nothing to resume, and nothing has happened.
        let begun = world.platform(["runs"]).ok().stdout.contains("\"up\"");
        args = if begun { vec!["resume"] } else { vec!["up", "-f", "platform.yaml"] };
    }
    if args == ["resume"] {
        // The run may have ended just before the last kill: then there is nothing to resume, and nothing to mend.
        let resumed = world.platform(["resume"]);
        assert!(resumed.status == 0 || resumed.status == 2, "{}", resumed.stderr);
    }
    world.platform(["up", "-f", "platform.yaml"]).ok();
    assert_up(&world);
    let twice: Vec<_> =
        made(&world.bed().writes_since(mark)).into_iter().filter(|(_, times)| *times > 1).collect();
    assert_eq!(twice, Vec::new(), "made more than once, after {killed} kills with seed {seed}");
    assert_eq!(commits(&world), 1);
    world.platform(["down", "--yes", "-f", "platform.yaml"]).ok();
    world.assert_clean();
}

#[test]
fn wrong_things_are_said_clearly_and_leave_nothing_half_made() {
    let Some(world) = Bed::world("wrong") else { return };
    let text = world.spec_text();
    let wrong = |file: &str, text: String, codes: &[&str], exits: i32| {
        fs_err::write(world.dir().join(file), text).expect("written");
        let refused = world.platform(["up", "-f", file]).exits(exits).json();
        let error = &refused["error"];
        let code = error["code"].as_str().unwrap_or_default();
        assert!(codes.contains(&code), "{file}: {error:#}");
        assert!(error["hints"].as_array().is_some_and(|hints| !hints.is_empty()), "{file}: {error:#}");
        assert!(error["class"].is_string(), "{file}: {error:#}");
        if refused["run"].is_string() {
            let run = refused["run"].as_str().expect("an id").to_owned();
            world.platform(["run", "abandon", &run, "--because", "the test is over"]).ok();
        }
    };

    let expired = world.expired_kubeconfig().display().to_string();
    let config = world.bed().facts().kubeconfig().display().to_string();
    wrong("expired.yaml", text.replace(&config, &expired), &["P0213", "P0211", "P0212", "P0214", "P0403"], 1);

    let nobody = world.kubeconfig_with("nobody.conf", |text| text.replace(":6443", ":1"));
    wrong("nobody.yaml", text.replace(&config, &nobody.display().to_string()), &["P0212"], 1);

    wrong("git.yaml", text.replace("env:BED_GIT_PASSWORD", "env:BED_S3_CREDENTIALS"), &["P0303"], 1);
    wrong(
        "tsig.yaml",
        text.replace("env:BED_TSIG_SECRET", "env:BED_GIT_PASSWORD"),
        &["P0501", "P0503", "P0504"],
        1,
    );
    world.platform(["down", "--yes", "-f", "platform.yaml"]).ok();
    world.assert_clean();
}
