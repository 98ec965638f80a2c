//! Wrong command lines, and readers who go away.

use std::process::Stdio;

use serde_json::json;

use crate::bed::Bed;

#[test]
fn a_wrong_word_is_named_and_exits_2() {
    insta::assert_snapshot!(Bed::new().run(&["upp"]).story());
}

#[test]
fn a_missing_verb_is_an_error_too() {
    insta::assert_snapshot!(Bed::new().run(&["explain", "P0101", "P0102"]).story());
}

#[test]
fn a_wrong_command_line_is_one_json_document_when_asked_for() {
    for words in [&["--output", "json", "upp"][..], &["explain", "--bogus", "--output=json"]] {
        let said = Bed::new().run(words);
        assert_eq!(said.code, 2);
        assert_eq!(said.json()["error"]["code"], json!("P0901"), "{said:?}");
    }
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let bed = Bed::new();
    let binary = assert_cmd::cargo::cargo_bin("platform");
    let mut child = std::process::Command::new(binary)
        .env_clear()
        .args(["completions", "bash"])
        .current_dir(bed.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let said = bed.said(child.wait_with_output().expect("the program ends"));
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
}
