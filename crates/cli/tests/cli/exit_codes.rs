//! the exit codes of the contract, each with a command that yields it.

use crate::bed::Bed;

#[test]
fn ok_is_0() {
    assert_eq!(Bed::new().run(&["explain"]).code, 0);
}

#[test]
fn usage_is_2() {
    assert_eq!(Bed::new().run(&["upp"]).code, 2);
}
