//! Kubernetes: server-side apply, waits, Argo CD and Velero.
//!
//! | room | what it does |
//! |---|---|
//! | [`client`] | connects to a cluster, reads single objects |
//! | [`object`], [`manifest`] | objects as they are wished for, labelled and in order |
//! | [`apply`] | looks what differs, and changes only that |
//! | [`wait`] | conditions as values |

pub mod apply;
mod catalog;
pub mod client;
mod compare;
pub mod manifest;
pub mod object;
mod refusal;
pub mod wait;

pub use client::Cluster;
pub use manifest::Manifest;
pub use object::{Object, ObjectRef};
pub use wait::{Condition, Verdict};
