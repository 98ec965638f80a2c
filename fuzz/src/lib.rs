//! What must hold whatever comes in, as functions of bytes that panic where it does not.
//!
//! `fuzz_targets` lets cargo-fuzz search for such bytes (`./dev fuzz`); `tests/tests/corpus.rs` runs the kept corpus
//! through the same functions in every run of the tests.
//!
//! | room | what comes in | what must hold |
//! |---|---|---|
//! | [`spec`] | a `platform.yaml` | every finding has its place; what is valid is the same when written and read again |
//! | [`journal`] | the history of a run | cut off anywhere it is a state that can be continued, read at once or bit by bit; a change is found |
//! | [`plugin`] | what a plugin writes, what a host writes | every call ends once, in a known way; nothing of a kubeconfig is repeated |
//! | [`merge`] | writes of several managers | applied by force it holds, twice is once, and owners are who they should be |

mod choices;
pub mod journal;
pub mod merge;
pub mod plugin;
pub mod spec;

/// A property by its name.
pub type Target = (&'static str, fn(&[u8]));

/// Every target: its name is that of its folder in `corpus`.
pub const TARGETS: [Target; 4] =
    [("spec", spec::holds), ("journal", journal::holds), ("plugin", plugin::holds), ("merge", merge::holds)];
