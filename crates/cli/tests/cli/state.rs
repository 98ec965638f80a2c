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
    bed.run(&["status"]);
    assert!(bed.path().join(".local/state/platform/platform.db").exists());
    bed.command(&["status"]).env("XDG_STATE_HOME", bed.path().join("xdg")).assert().success();
    assert!(bed.path().join("xdg/platform/platform.db").exists());
    bed.command(&["status"]).env("PLATFORM_STATE", bed.path().join("moved")).assert().success();
    assert!(bed.path().join("moved/platform.db").exists());
    bed.run(&["--state", "flag", "status"]);
    assert!(bed.path().join("flag/platform.db").exists());
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
