//! Wiring: configuration, providers, and the calls both user interfaces make.
//!
//! | room | what it holds |
//! |---|---|
//! | [`state`] | [`App`]: the opened state, this process, the time |
//! | [`specs`] | spec files: finding, checking, starting one |
//! | [`runs`], [`status`], [`locks`] | what was done, what exists, who is changing what |
//! | [`reading`] | a run, read from its events: what every screen shows |
//! | [`stop`] | how signals stop a running engine |
//! | [`refusal`] | why a call was refused before anything was done |
//! | [`place`], [`holder`] | where this program keeps its state; who we are, and whether others are alive |
//! | `lease` | the right to change a platform, kept as long as the work lasts |

pub mod holder;
mod lease;
pub mod locks;
pub mod place;
pub mod reading;
pub mod refusal;
pub mod runs;
pub mod specs;
pub mod state;
pub mod status;
pub mod stop;

pub use refusal::Refusal;
pub use state::App;
