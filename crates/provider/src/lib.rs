//! The contract of a provider: who makes clusters exist, in process or as a child process.
//!
//! A provider does not run workflows. It declares, purely, the resources that a cluster is made of ([`Resource`]) and
//! how to treat one of them. From that single declaration come up, down, plan, drift, adoption and sweep.
//!
//! | room | what it holds |
//! |---|---|
//! | [`contract`] | [`Provider`], the trait |
//! | [`request`] | what a provider is asked: a cluster, one resource of it, an inventory |
//! | [`reply`] | what it answers: an observation, progress, an inventory |
//! | [`resource`] | the graph of resources and its order |
//! | [`describe`] | what a provider says about itself |
//! | [`life`] | how long a cluster is to live, and what is found of those whose time is over |
//! | [`access`] | how to reach a cluster's Kubernetes API |
//! | [`secret`] | reading a secret by its handle at the moment of use |
//! | [`progress`] | words a provider says while a call is running |
//! | [`conformance`] | the behaviours that every provider shows, and a report about them |
//! | [`process`] | the same contract over JSON lines, for providers of other people |

pub mod access;
pub mod conformance;
pub mod contract;
pub mod describe;
pub mod life;
pub mod process;
pub mod progress;
pub mod reply;
pub mod request;
pub mod resource;
pub mod secret;

pub use access::{Access, Kubeconfig, ZoneAccess};
pub use contract::Provider;
pub use describe::{Capabilities, Description};
pub use life::{Claim, Life, ReapCall, SearchRequest};
pub use reply::{Ailment, Ensured, Observation, Owned, Ownership, Removed, Thing, Wait};
pub use request::{Bucket, ClusterRequest, GitFolder, InventoryRequest, ResourceCall, ZoneRequest};
pub use resource::{Resource, Retry};
pub use secrecy::{ExposeSecret, SecretString};

/// The version of this contract. A child process that speaks another one is refused before the first call.
pub const CONTRACT_VERSION: u32 = 1;
