//! What every emulator is built from. Nothing here reads a clock, draws a number or opens a socket by itself: time comes
//! from [`Now`](crate::kube::object::Now), chance from a seed.
//!
//! | room | what it holds |
//! |---|---|
//! | [`faults`] | what goes wrong, where and when: a script, and the points where emulators ask it |
//! | [`chance`] | numbers that look random and are a function of a seed and a name |
//! | [`calls`] | the call log |
//! | [`transitions`] | things that take time |
//! | [`history`] | values that readers see late |
//! | [`ids`], [`tags`] | ids; tags and filters by tag |
//! | [`tokens`] | client tokens: the same request twice makes one thing |
//! | [`paging`] | lists in pages |
//! | [`connections`] | a socket's connections, served until told to stop |

pub mod calls;
pub mod chance;
pub mod connections;
pub mod faults;
pub mod history;
pub mod ids;
pub mod paging;
pub mod tags;
pub mod tokens;
pub mod transitions;
