//! the exit codes of the contract, each with a command that yields it.
//!
//! 3 (no flow of this version asks a person), 5 and 6 (they need a rendered or a running platform) are shown by
//! `exit::tests` for reports of that kind, and by the end-to-end tests; 4 comes with the commands that measure objectives.

use crate::bed::Bed;

#[test]
fn every_code_that_a_command_alone_can_yield() {
    let table: [(i32, &[&str]); 12] = [
        (0, &["explain"]),
        (0, &["status"]),
        (1, &["init", "--file", "no/such/folder/platform.yaml"]),
        (1, &["man", "--out", "/proc/no/such/folder"]),
        (2, &["upp"]),
        (2, &["explain", "P4242"]),
        (2, &["validate", "nowhere.yaml"]),
        (2, &["up", "--file", "nowhere.yaml"]),
        (2, &["resume"]),
        (2, &["sweep", "--yes"]),
        (2, &["sweep", "--platform", "demo", "--yes"]),
        (2, &["ci", "nightly", "--node-versions", "1.36,abc"]),
    ];
    for (code, words) in table {
        assert_eq!(Bed::new().run(words).code, code, "{words:?}");
    }
}
