//! Plans, the journal, and the loop that carries a plan out.
//!
//! The loop repeats three small acts: read the journal, [`decide`](decide::decide) what may start, start it and
//! write down what happened. Deciding is a pure function; writing comes before believing; so a process that dies at
//! any moment is continued by reading again.
//!
//! | room | what it holds |
//! |---|---|
//! | [`plan`] | the immutable graph of steps |
//! | [`step`] | what a step is: observe, ensure, undo; and the registry of them |
//! | [`store`] | what must be durable, and when |

pub mod plan;
pub mod step;
pub mod store;
