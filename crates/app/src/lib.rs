//! Wiring: configuration, providers, and the calls both user interfaces make.
//!
//! | room | what it holds |
//! |---|---|
//! | [`place`] | where this program keeps its state |
//! | [`holder`] | who we are, and whether another holder of a lease is still alive |
//! | [`stop`] | how signals stop a running engine |
//! | [`reading`] | a run, read from its events: what every screen shows |
//! | [`refusal`] | why a call was refused before anything was done |

pub mod holder;
pub mod place;
pub mod reading;
pub mod refusal;
pub mod stop;

pub use refusal::Refusal;
