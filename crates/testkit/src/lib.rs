//! Test machinery: an in-memory provider with faults, the conformance suite that every provider passes, and a store
//! that can be killed.
//!
//! | room | what it holds |
//! |---|---|
//! | [`memory`] | a cloud in memory, its provider, and what can go wrong |
//! | [`conformance`] | one behaviour of the provider contract per function, and a macro that makes tests of them |
//! | [`store`] | the engine's store in memory; what a crash leaves of it is what a database would have kept |

pub mod conformance;
pub mod memory;
pub mod store;
