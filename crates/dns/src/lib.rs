//! Publishes names in a zone by dynamic update (RFC 2136) signed with TSIG (RFC 8945), and proves them by asking the
//! zone's own server.
//!
//! Beside every name that we publish stands a TXT record that says so; without it a record is somebody else's and is
//! left alone. Every update carries what was seen as its prerequisite, so that the server itself refuses it when
//! somebody was faster.
//!
//! | room | what it holds |
//! |---|---|
//! | [`record`] | zones, keys and records as the caller writes them, and their checks |
//! | [`ownership`] | the TXT record beside each name |
//! | [`held`] | what a zone holds at one name |
//! | [`change`] | from what is held and what is wanted to one update message: pure functions |
//! | [`client`] | the calls: [`Dns::observe`], [`Dns::ensure`], [`Dns::remove`], [`Dns::list_owned`], [`Dns::verify`] |
//! | `wire` | signed messages over UDP and TCP |
//! | [`refusal`] | what went wrong, classified from response codes |

pub mod change;
pub mod client;
pub mod held;
pub mod ownership;
pub mod record;
pub mod refusal;
mod wire;

pub use change::Seen;
pub use client::{Answer, Changed, Dns, Owned, Removed};
pub use record::{Record, Target, Tsig, Zone};
pub use refusal::DnsError;
pub use wire::Road;
