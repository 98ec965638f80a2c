//! What the state directory says, and where it is.

use crate::bed::Bed;

#[test]
fn an_empty_state_has_nothing_to_show() {
    let bed = Bed::new();
    insta::assert_snapshot!(bed.run(&["status"]).story());
    insta::assert_snapshot!(bed.run(&["runs"]).story());
    insta::assert_snapshot!(bed.run(&["lock", "show"]).story());
    assert!(
        bed.run(&["status", "--output", "json"]).json()["platforms"].as_array().is_some_and(Vec::is_empty)
    );
}

#[test]
fn the_state_lies_in_the_xdg_directory_unless_it_is_moved() {
    let bed = Bed::new();
    bed.run(&["plan", "down"]);
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    let made = |command: &mut assert_cmd::Command, place: &str| {
        command.args(["plan", "down"]).output().expect("the program starts");
        assert!(bed.path().join(place).join("platform.db").exists(), "nothing in {place}");
    };
    made(&mut bed.command(&[]), ".local/state/platform");
    made(bed.command(&[]).env("XDG_STATE_HOME", bed.path().join("xdg")), "xdg/platform");
    made(bed.command(&[]).env("PLATFORM_STATE", bed.path().join("moved")), "moved");
    made(&mut bed.command(&["--state", "flag"]), "flag");
}

/// What is set and empty is not set; a relative home is none (XDG Base Directory Specification).
#[test]
fn an_empty_or_relative_place_is_none() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    bed.command(&["plan", "down"]).env("PLATFORM_STATE", "").output().expect("the program starts");
    assert!(bed.path().join(".local/state/platform/platform.db").exists());
    bed.command(&["plan", "down"]).env("HOME", "relative").output().expect("the program starts");
    assert!(!bed.path().join("relative").exists());
}

/// Looking makes nothing, and needs no place where something could be made.
#[test]
fn looking_at_no_state_makes_none() {
    let bed = Bed::new();
    for words in [&["status"][..], &["runs"], &["lock", "show"], &["lock", "release"]] {
        assert_eq!(bed.run(&[&["--state", "nowhere"], words].concat()).code, 0, "{words:?}");
        assert_eq!(bed.run(&[&["--state", "/proc/nowhere"], words].concat()).code, 0, "{words:?}");
        assert!(!bed.path().join("nowhere").exists(), "{words:?} made a state");
    }
    let said = bed.run(&["--state", "nowhere", "run", "show", "01", "--output", "json"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0104")));
    assert!(!bed.path().join("nowhere").exists());
}

#[test]
fn a_platform_that_is_not_there_is_not_found() {
    let bed = Bed::new();
    for words in
        [&["status", "nope"][..], &["runs", "--platform", "nope"], &["lock", "release", "--platform", "nope"]]
    {
        let said = bed.run(&[words, &["--output", "json"]].concat());
        assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0915")), "{words:?}");
    }
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    assert_eq!(bed.run(&["down", "--yes"]).code, 1);
    for words in
        [&["status", "nope"][..], &["runs", "--platform", "nope"], &["lock", "release", "--platform", "nope"]]
    {
        let said = bed.run(words);
        assert_eq!((said.code, said.stderr.contains("demo")), (2, true), "{said:?}");
    }
    assert_eq!(bed.run(&["runs", "--platform", "demo"]).code, 0);
    assert_eq!(bed.run(&["lock", "release", "--platform", "demo"]).code, 0);
}

#[test]
fn a_run_that_does_not_exist_is_a_wrong_argument() {
    for verb in ["show", "events", "report"] {
        let said = Bed::new().run(&["run", verb, "01JD", "--output", "json"]);
        assert_eq!((said.code, said.json()["error"]["code"].as_str()), (2, Some("P0104")), "{verb}");
    }
}

#[test]
fn a_state_that_cannot_be_read_is_an_error_with_a_way_out() {
    let bed = Bed::new();
    fs_err::create_dir(bed.path().join("state")).expect("the bed is writable");
    bed.write("state/platform.db", "this is no database, and it is long enough to be looked at as one");
    let said = bed.run(&["--state", "state", "status", "--output", "json"]);
    assert_eq!((said.code, said.json()["error"]["code"].as_str()), (1, Some("P0106")), "{said:?}");
}
