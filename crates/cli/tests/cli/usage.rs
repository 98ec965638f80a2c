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

/// As clap does by itself: a command that is not finished is answered with its help, on stderr.
#[test]
fn an_unfinished_command_is_answered_with_its_help() {
    for (words, full) in [(&[][..], &["-h"][..]), (&["lock"], &["lock", "-h"]), (&["run"], &["run", "-h"])] {
        let bed = Bed::new();
        let said = bed.run(words);
        assert_eq!((said.code, said.stdout.as_str()), (2, ""), "{words:?}");
        assert!(!said.stderr.contains("P0901") && !said.stderr.contains("because:"), "{said:?}");
        assert_eq!(said.stderr.trim_end(), bed.run(full).stdout.trim_end());
    }
    let said = Bed::new().run(&["lock", "--output", "json"]);
    assert_eq!((said.code, &said.json()["error"]["code"]), (2, &json!("P0901")));
}

/// A result that could not be written in full is no success.
#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    for words in [
        &["schema"][..],
        &["explain"],
        &["explain", "P0101", "--output", "json"],
        &["validate"],
        &["status", "--output", "json"],
        &["--help"],
        &["--version"],
        &["help", "up"],
    ] {
        let full = fs_err::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
        let binary = assert_cmd::cargo::cargo_bin("platform");
        let output = std::process::Command::new(binary)
            .env_clear()
            .env("HOME", bed.path())
            .args(words)
            .current_dir(bed.path())
            .stdout(Stdio::from(full.into_file()))
            .stderr(Stdio::piped())
            .output()
            .expect("the program starts");
        let said = bed.said(output);
        assert_eq!(said.code, 1, "{words:?}: {said:?}");
        assert!(said.stderr.contains("error[P0906]") && said.stderr.contains("No space left"), "{said:?}");
    }
}

/// Paths need not be text: they are shown as far as they are.
#[test]
fn a_path_that_is_no_text_is_no_panic() {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.yaml");
    let bed = Bed::new();
    for form in ["text", "json"] {
        for words in [&["init", "--file"][..], &["validate"], &["man", "--out"]] {
            let mut command = bed.command(words);
            command.arg(name).args(["--output", form]);
            let said = bed.said(command.output().expect("the program starts"));
            assert!(matches!(said.code, 0..=2) && !said.stderr.contains("panicked"), "{words:?}: {said:?}");
            if form == "json" {
                said.json();
            }
            // What one made is in the way of the next.
            let made = bed.path().join(name);
            let _ = fs_err::remove_file(&made).or_else(|_| fs_err::remove_dir_all(&made));
        }
    }
    let mut command = bed.command(&["init", "--file"]);
    assert_eq!(command.arg(name).output().expect("the program starts").status.code(), Some(0));
    let said = bed.said(bed.command(&["validate", "--output", "json"]).arg(name).output().expect("starts"));
    assert_eq!((said.code, &said.json()["valid"]), (0, &json!(true)), "{said:?}");
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
