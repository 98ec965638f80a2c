//! Wiring: configuration, providers, and the calls both user interfaces make.
//!
//! | room | what it holds |
//! |---|---|
//! | [`state`] | [`App`]: the opened state, this process, the time |
//! | [`specs`] | spec files: finding, checking, starting one |
//! | [`carry`] | plans, and carrying them out: up, down, resume |
//! | [`simulate`] | the same in virtual time, against emulated clouds in this process |
//! | [`verify`] | whether what is there answers as it should |
//! | [`doctor`] | what is wrong after a reboot, and mending it |
//! | [`life`], [`sweep`] | clusters that end by themselves, and removing those whose time is over |
//! | [`ci`] | the nightly run: a matrix of specs and versions, each made, tried and removed |
//! | [`conformance`] | a provider, examined in the behaviours that every provider must show |
//! | [`repo`] | a repository of people's, held against the rules of rendered trees |
//! | [`render`] | the blueprint's files: made, written, compared with Git |
//! | [`providers`] | the providers that this program has |
//! | [`clusters`], [`sandbox`] | how people reach clusters; the emulated clouds as a background process |
//! | [`runs`], [`status`], [`locks`] | what was done, what exists, who is changing what |
//! | [`reading`] | a run, read from its events: what every screen shows |
//! | [`stop`] | how signals stop a running engine |
//! | [`refusal`] | why a call was refused before anything was done |
//! | [`place`], [`holder`] | where this program keeps its state; who we are, and whether others are alive |
//! | `doors` | what steps reach the world through, put together |
//! | `preflight`, `inventory` | looking ahead before `up`; the search for what is left after `down` |
//! | `kept` | what runs keep beside their journals |
//! | `lease` | the right to change a platform, kept as long as the work lasts |

pub mod carry;
pub mod ci;
pub mod clusters;
pub mod conformance;
pub mod doctor;
mod doors;
pub mod holder;
mod inventory;
mod kept;
mod lease;
pub mod life;
pub mod locks;
pub mod place;
mod preflight;
pub mod providers;
pub mod reading;
pub mod refusal;
pub mod render;
pub mod repo;
pub mod runs;
pub mod sandbox;
mod sight;
pub mod simulate;
pub mod specs;
pub mod state;
pub mod status;
pub mod stop;
pub mod sweep;
pub mod verify;

pub use refusal::Refusal;
pub use state::App;
