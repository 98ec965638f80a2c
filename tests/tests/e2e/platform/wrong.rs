//! What is wrong before anything is done: it is said clearly, and nothing is half made.

use platform_tests::{Bed, Mounts, Output};

use super::{assert_gone, down, refused, up};

#[test]
fn a_bad_spec_and_an_expired_certificate_stop_everything_before_it_begins() {
    let Some(world) = Bed::world("wrong") else { return };
    let mark = world.bed().audit_mark();
    let expired = world.expired_kubeconfig().display().to_string();
    let file = world.dir().join("expired.yaml");
    let right = world.bed().facts().kubeconfig().display().to_string();
    fs_err::write(&file, world.spec_text().replace(&right, &expired)).expect("written");
    refused(world.platform(["up", "-f", &file.display().to_string()]), 1, "P0213", "auth_expired");

    let bad = world.dir().join("bad.yaml");
    fs_err::write(&bad, world.spec_text() + "bogus: 1\n").expect("written");
    let report = world.platform(["up", "-f", &bad.display().to_string()]).exits(2).json();
    assert!(report["findings"].as_array().is_some_and(|findings| !findings.is_empty()), "{report:#}");

    // a secret that is needed late is missed before anything is begun, and no run is in the way afterwards
    for _ in 0..2 {
        let mut forgetful = world.platform_command(up(&world));
        forgetful.env_remove("BED_TSIG_SECRET").args(["--output", "json"]);
        let report = refused(Output::of(&mut forgetful), 1, "P0201", "config");
        assert!(report["error"]["causes"].to_string().contains("env:BED_TSIG_SECRET"), "{report:#}");
    }

    assert_eq!(world.bed().writes_since(mark).iter().filter(|write| write.is_ours()).count(), 0);
    world.platform(down(&world)).ok();
    assert_gone(&world);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_said_clearly() {
    let Some(world) = Bed::world("unwritable") else { return };
    let mark = world.bed().audit_mark();
    // without a state as yet, and with one
    let read_only = "mount --bind \"$STATE\" \"$STATE\"; mount -o remount,bind,ro \"$STATE\"";
    refused(Mounts::new(&world, read_only).platform(up(&world)), 1, "P0109", "forbidden");
    world.platform(["status"]).ok();
    refused(Mounts::new(&world, read_only).platform(up(&world)), 1, "P0109", "forbidden");

    // a disk that is full from the beginning, and one that becomes full before the run is stored
    for room in ["", "head -c 200k /dev/zero >\"$STATE/room\""] {
        let fill = "cat /dev/zero >\"$STATE/filler\" 2>/dev/null || rm -f \"$STATE/room\"";
        let disk = format!("mount -t tmpfs -o size=2m none \"$STATE\"; {room}\n {fill}");
        let full = Mounts::new(&world, &disk);
        let code = if room.is_empty() { "P0108" } else { "P0715" };
        refused(full.platform(up(&world)), 1, code, "capacity");
        full.shell("rm \"$STATE/filler\"").ok();
        let platforms = full.platform(["status"]).ok().json()["platforms"].clone();
        assert!(platforms[0]["last_run"].is_null(), "no run has begun: {platforms:#}");
    }
    assert_eq!(world.bed().writes_since(mark).iter().filter(|write| write.is_ours()).count(), 0);
    world.assert_clean();
}
