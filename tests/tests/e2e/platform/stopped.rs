//! A run that is stopped in every way but a power cut: by a signal, by `kill -9` and a clock set back, by a full disk.

use nix::sys::signal::Signal;
use platform_tests::{Bed, Mounts, Started, an_hour_ahead};
use serde_json::Value;

use super::{assert_gone, assert_up, commits, down, refused, up};

/// When a run's events happened, in their order.
fn times(mounts: &Mounts, run: &str) -> Vec<String> {
    let events = mounts.platform(["run", "events", run]).ok().stdout;
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    events.map(|event| event["at"].as_str().expect("a time").to_owned()).collect()
}

#[test]
fn stopped_by_a_signal_a_clock_set_back_and_a_full_disk_a_run_is_resumed_to_its_end() {
    let Some(world) = Bed::world("stopped") else { return };
    let mounts = Mounts::new(&world, "mount -t tmpfs -o size=64m none \"$STATE\"");
    let json = ["--output", "json"];

    // while one works, another is told who, where and since when
    let mut first = Started::new(an_hour_ahead(mounts.platform_command(up(&world)).args(json)));
    first.until(&["starts", "argocd.install"]);
    let locked = refused(mounts.platform(up(&world)), 75, "P0101", "conflict_in_progress");
    let lock = mounts.platform(["lock", "show"]).ok().json()["locks"][0].clone();
    assert_eq!(lock["holder"]["pid"], first.pid());
    let message = locked["error"]["message"].as_str().unwrap_or_default();
    let since = lock["since"].as_str().expect("a time")[..19].replace('T', " ");
    for word in [&lock["holder"]["user"], &lock["holder"]["host"], &since.into()] {
        let word = word.as_str().expect("a word");
        assert!(message.contains(word), "{message} does not name {word}");
    }
    assert!(message.contains(&first.pid().to_string()), "{message}");

    // a signal ends it gently
    first.signal(Signal::SIGINT);
    let interrupted = first.wait().exits(130);
    let report = interrupted.json();
    let run = report["run"].as_str().expect("a run").to_owned();
    assert_eq!((report["status"].as_str(), report["error"].is_null()), (Some("interrupted"), true));
    assert!(interrupted.stderr.contains(&format!("platform resume {run}")), "{}", interrupted.stderr);

    let mut second = Started::new(an_hour_ahead(mounts.platform_command(["resume"]).args(json)));
    second.until(&["starts", "argocd.root"]);
    second.kill();

    // an hour earlier, and soon no room
    let mut third = Started::new(mounts.platform_command(["resume"]).args(json));
    third.until(&["argocd.synced"]);
    assert_ne!(mounts.shell("cat /dev/zero >\"$STATE/filler\"").status, 0, "the disk is full");
    let report = refused(third.wait(), 1, "P0108", "capacity");
    assert_eq!(
        (report["run"].as_str(), report["status"].as_str()),
        (Some(run.as_str()), Some("interrupted"))
    );
    mounts.shell("rm \"$STATE/filler\"").ok();

    let ended = mounts.platform(["resume"]).ok().json();
    assert_eq!((ended["run"].as_str(), ended["status"].as_str()), (Some(run.as_str()), Some("succeeded")));
    let times = times(&mounts, &run);
    assert!(times.is_sorted(), "a journal does not go back: {times:?}");
    assert_eq!(commits(&world), 1);
    // the state is on the small disk, where the checks do not look for it
    mounts.shell("cp -a \"$STATE\" \"$STATE.copy\"").ok();
    drop(mounts);
    fs_err::remove_dir_all(world.dir().join("state")).expect("the place of the mount");
    fs_err::rename(world.dir().join("state.copy"), world.dir().join("state")).expect("moved");
    assert_up(&world);
    world.platform(down(&world)).ok();
    assert_gone(&world);
}
