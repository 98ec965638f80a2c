//! Pinned files from outside: cache, bundle, mirror, URL, digest. Nothing else in the program downloads.
//!
//! What may be fetched is written in `artifacts.toml` with its SHA-256; a file with another digest is refused, wherever
//! it came from, so a mirror or a bundle needs no trust.
//!
//! | room | what it holds |
//! |---|---|
//! | [`catalogue`] | what there is: name, version, URL, digest |
//! | [`sources`] | where to look, in which order |
//! | [`store`] | [`Artifacts::get`]: looking, checking, keeping |
//! | [`bundle`] | everything in one folder or tar, for sites without internet |
//! | [`support`] | which Argo CD versions we install |

pub mod bundle;
pub mod catalogue;
mod digest;
mod download;
mod embedded;
pub mod error;
pub mod sources;
pub mod store;
pub mod support;

pub use catalogue::{Artifact, Catalogue};
pub use error::ArtifactError;
pub use sources::Sources;
pub use store::Artifacts;
