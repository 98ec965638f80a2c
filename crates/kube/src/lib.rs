//! Kubernetes: server-side apply, waits, Argo CD and Velero.
//!
//! | room | what it does |
//! |---|---|
//! | [`client`], [`endpoint`] | connects to a cluster, reads single objects; where a kubeconfig leads |
//! | [`object`], [`manifest`] | objects as they are wished for, labelled and in order |
//! | [`apply`] | looks what differs, and changes only that |
//! | [`wait`] | conditions as values |
//! | [`argocd`] | install, repository, other clusters, applications and their end |
//! | [`velero`] | storage locations, schedules, backups |
//! | [`inventory`] | what is left of a platform, and its removal |

pub mod apply;
pub mod argocd;
mod catalog;
pub mod client;
mod compare;
pub mod endpoint;
pub mod inventory;
pub mod manifest;
pub mod object;
mod refusal;
pub mod velero;
pub mod wait;

pub use client::Cluster;
pub use endpoint::Endpoint;
pub use manifest::Manifest;
pub use object::{Object, ObjectRef};
pub use wait::{Condition, Verdict};
