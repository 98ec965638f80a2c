//! An object store that speaks S3.
//!
//! | room | what it holds |
//! |---|---|
//! | [`store`], [`buckets`], [`objects`], [`multipart`], [`list`] | the store: no sockets, no clock of its own |
//! | [`sums`] | checksums and entity tags |
//! | [`keys`], [`policy`], [`gate`] | who asks, and what they may |
//! | [`refusal`] | why not |
//! | [`serve`], `wire` | the store on a socket |

pub mod buckets;
pub mod gate;
pub mod keys;
pub mod list;
pub mod multipart;
pub mod objects;
pub mod policy;
pub mod refusal;
pub mod serve;
pub mod store;
pub mod sums;
mod wire;

#[cfg(test)]
mod tests;

pub use gate::Gate;
pub use keys::{Asker, Key, KeyTable, Keys};
pub use refusal::Refusal;
pub use serve::Server;
pub use store::Store;
