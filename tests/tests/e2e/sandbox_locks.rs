//! Who may change a platform, with the real program on the sandbox: several at once, a holder that is killed, one that
//! sleeps past its time.

use std::{collections::BTreeMap, process::Command};

use nix::sys::signal::Signal;
use platform_tests::{Alone, Output, Started, an_hour_ahead};
use serde_json::Value;

use crate::platform::refused;

/// The only run that there is.
#[track_caller]
fn run(home: &Alone) -> Value {
    let runs = home.platform(["runs"]).ok().json();
    let [run] = runs["runs"].as_array().expect("a list").as_slice() else { panic!("not one run: {runs:#}") };
    run.clone()
}

/// The events of the only run, line by line.
#[track_caller]
fn events(home: &Alone) -> String {
    let run = run(home);
    home.platform(["run", "events", run["run"].as_str().expect("an id")]).ok().stdout
}

/// Everything is there, and was made once, whoever tried; a further `up` finds nothing to do.
#[track_caller]
fn assert_up_once(home: &Alone) {
    let mut made = BTreeMap::new();
    for (deed, what) in home.changes() {
        assert!(deed.starts_with("create_"), "nothing was changed or removed: {deed} {what}");
        *made.entry((deed, what)).or_insert(0_u32) += 1;
    }
    assert_eq!(made.len(), 6, "network, cluster, pool, identity, bucket, zone: {made:?}");
    assert!(made.values().all(|times| *times == 1), "{made:?}");
    let seqs: Vec<u64> = events(home)
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["seq"].as_u64().expect("a place"))
        .collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "a journal without gaps");
    assert_eq!(run(home)["status"], "succeeded");
    let locks = home.platform(["lock", "show"]).ok().json();
    assert_eq!(locks["locks"].as_array().map(Vec::len), Some(0), "{locks:#}");
    let again = home.platform(["up"]).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");
}

/// Starts some of the same command at the same moment; one wins, and the others are told who.
#[track_caller]
fn one_wins(home: &Alone, words: &[&str]) {
    let mut started: Vec<Started> = (0..3).map(|_| home.start(words)).collect();
    let ended: Vec<(u32, Output)> = started.iter_mut().map(|it| (it.pid(), it.wait())).collect();
    let codes: Vec<i32> = ended.iter().map(|(_, said)| said.status).collect();
    let (won, lost): (Vec<_>, Vec<_>) = ended.into_iter().partition(|(_, said)| said.status == 0);
    assert_eq!((won.len(), lost.len()), (1, 2), "exit codes {codes:?}: {lost:?}");
    for (_, said) in lost {
        let report = refused(said, 75, "P0101", "conflict_in_progress");
        let message = report["error"]["message"].as_str().expect("a message");
        assert!(message.contains(&format!("(pid {})", won[0].0)), "{message}");
    }
}

#[test]
fn of_several_ups_at_once_one_wins_and_the_others_exit_75() {
    let home = Alone::new();
    one_wins(&home, &["up"]);
    assert_up_once(&home);
}

#[test]
fn a_holder_that_is_killed_is_followed_by_one_of_several() {
    let home = Alone::new();
    let mut first = home.start(["up"]);
    first.until(&["waits", "demo/control-plane"]);
    first.kill();
    let locks = home.platform(["lock", "show"]).ok().json();
    assert_eq!(locks["locks"][0]["holder_is_gone"], true, "{locks:#}");
    // What was begun is finished, not begun again.
    let report = home.platform(["up"]).json();
    assert_eq!(report["error"]["code"], "P0112", "{report:#}");

    let mut second = home.start(["resume"]);
    second.until(&["starts", "demo/argocd.install"]);
    second.kill();
    one_wins(&home, &["resume"]);
    assert_up_once(&home);
}

/// Stops a holder in the middle of its work, lets `take_over` do what it does, and wakes the holder.
#[track_caller]
fn sleep_through(home: &Alone, take_over: impl FnOnce()) {
    let mut first = home.start(["up"]);
    // It has written what it waits for, and writes nothing until it has looked again.
    first.until(&["waits", "demo/argocd.synced"]);
    first.signal(Signal::SIGSTOP);
    // It holds the lock, asleep or not.
    let refusal = home.platform(["up"]);
    refused(refusal, 75, "P0101", "conflict_in_progress");
    refused(home.platform(["lock", "release"]), 75, "P0910", "conflict_in_progress");

    take_over();
    home.platform(["resume"]).ok();
    let before = (events(home), home.changes());
    first.signal(Signal::SIGCONT);
    refused(first.wait(), 75, "P0102", "conflict_in_progress");
    assert_eq!((events(home), home.changes()), before, "who has lost the lease writes nothing");
    assert_up_once(home);
}

#[test]
fn a_holder_whose_lock_a_person_released_writes_nothing_any_more() {
    let home = Alone::new();
    sleep_through(&home, || {
        let lock = home.platform(["lock", "show"]).ok().json()["locks"][0].clone();
        let holder = lock["holder"]["id"].as_str().expect("an id");
        home.platform(["lock", "release", "--platform", "demo", "--holder", holder]).ok();
    });
}

#[test]
fn a_holder_that_slept_past_its_time_writes_nothing_any_more() {
    if Command::new("faketime").arg("--version").output().is_err() {
        assert!(!std::env::var("CI").is_ok_and(|ci| ci == "true"), "faketime is missing");
        #[expect(clippy::print_stderr, reason = "a skipped test has to say so")]
        {
            eprintln!("skipped: faketime is missing");
        }
        return;
    }
    let home = Alone::new();
    sleep_through(&home, || {
        // The lease runs out by the clock of who looks. It is killed, for an hour is too far for the zone's signatures.
        let mut later = Started::new(an_hour_ahead(&mut home.command(["resume"])));
        later.until(&["waits", "demo/argocd.synced"]);
        later.kill();
    });
}
