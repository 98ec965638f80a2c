//! Plans, the journal, and the loop that carries a plan out.
//!
//! The loop repeats three small acts: read the journal, [`decide`](decide::decide) what may start, start it and
//! write down what happened. Deciding is a pure function; writing comes before believing; so a process that dies at
//! any moment is continued by reading again.
//!
//! | room | what it holds |
//! |---|---|
//! | [`plan`], [`graph`] | the immutable graph of steps; the same, checked and indexed |
//! | [`step`] | what a step is: observe, ensure, undo; and the registry of them |
//! | [`journal`] | events in a chain of hashes |
//! | [`status`], [`board`] | what may follow what; where every step stands |
//! | [`decide`], [`retry`] | what to do next, pure |
//! | [`local`], `carrier`, `worker` | starting and resuming a run; the loop; one call into a step |
//! | [`preview`] | what a plan would do, by looking only |
//! | [`report`] | a run in the form people and scripts get |
//! | [`store`], [`memory`] | what must be durable, and when; a store that keeps it in memory |
//! | [`clock`] | time, as something that can be given |

pub mod board;
mod carrier;
pub mod clock;
pub mod decide;
pub mod graph;
pub mod journal;
pub mod local;
pub mod memory;
pub mod plan;
pub mod preview;
pub mod report;
pub mod resolve;
pub mod retry;
pub mod status;
pub mod step;
pub mod store;
mod worker;

#[cfg(test)]
mod model_tests;
