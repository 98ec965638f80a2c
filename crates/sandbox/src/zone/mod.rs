//! DNS zones, and a server that has authority over them.
//!
//! | room | what it holds |
//! |---|---|
//! | [`zones`] | all zones and keys of a server; a request's bytes in, an answer's bytes out |
//! | [`data`] | the records of one zone, and how they are written as text |
//! | `answer`, `update`, `transfer` | questions, RFC 2136, RFC 5936 |
//! | `tsig` | signed requests and answers, RFC 8945 |
//! | [`serve`], `struck` | the server on sockets; what goes wrong there on purpose |

mod answer;
pub mod data;
pub mod serve;
mod struck;
mod transfer;
mod tsig;
mod update;
pub mod zones;

#[cfg(test)]
mod tests;

pub use data::RecordSet;
pub use serve::Server;
pub use zones::{Key, Over, Settings, Transfers, Zones};
