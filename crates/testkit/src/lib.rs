//! Test machinery: an in-memory provider with faults, and the conformance suite that every provider passes.
//!
//! | room | what it holds |
//! |---|---|
//! | [`memory`] | a cloud in memory, its provider, and what can go wrong |
//! | [`conformance`] | the behaviours of the provider contract (of `platform_provider`), and a macro that makes tests of them |

pub mod memory;

pub use platform_provider::{conformance, conformance_tests, for_all_behaviours};
