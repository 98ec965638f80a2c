//! Test machinery: an in-memory provider with faults, and the conformance suite that every provider passes.
//!
//! | room | what it holds |
//! |---|---|
//! | [`memory`] | a cloud in memory, its provider, and what can go wrong |
//! | [`conformance`] | one behaviour of the provider contract per function, and a macro that makes tests of them |

pub mod conformance;
pub mod memory;
