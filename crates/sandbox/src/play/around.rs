//! What lies outside of a cluster, as its controllers reach it.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;

use super::Cluster;
use crate::{
    kube::store::Key,
    s3::{Asker, Gate},
    zone::Zones,
};

/// What a cluster's controllers reach outside of it. What is not there is not played: without a cloud, load balancers
/// stay without an address.
#[derive(Clone, Default)]
pub struct Around {
    /// The cloud that the cluster lives in.
    pub cloud: Option<Arc<dyn CloudController>>,
    /// Git repositories.
    pub repositories: Option<Arc<dyn Repositories>>,
    /// Other clusters, for an Argo CD that deploys to several.
    pub clusters: Option<Arc<dyn Clusters>>,
    /// Object stores.
    pub objects: Option<Objects>,
    /// DNS zones.
    pub zones: Option<Arc<Zones>>,
}

/// Other clusters of the sandbox.
pub trait Clusters: Send + Sync {
    /// The cluster whose API server answers at a URL (without its last slash).
    fn at(&self, server: &str) -> Option<Cluster>;

    /// From now on `listener` is woken whenever something has changed in the cluster at a URL.
    fn listen(&self, server: &str, listener: &Cluster);
}

/// Object stores.
#[derive(Clone)]
pub struct Objects {
    /// The store, and who may use it.
    pub gate: Gate,
    /// Who the cluster itself is to the store, for programs that bring no keys of their own.
    pub own: Option<Asker>,
}

/// What a cluster asks its cloud for: what the cloud controller manager and the storage driver do.
///
/// Calls may be made again at any time; the same `uid` means the same thing. An error is in the cloud's own words.
pub trait CloudController: Send + Sync {
    /// Addresses (IPs or names) of the load balancer of a Service, made if there is none; empty: it is being made.
    ///
    /// # Errors
    /// What the cloud refuses: quota, capacity.
    fn ensure_load_balancer(&self, cluster: &str, service: &Key, uid: &str) -> Result<Vec<String>, String>;

    /// Removes the load balancer of a Service; whether it is gone.
    ///
    /// # Errors
    /// What the cloud refuses.
    fn remove_load_balancer(&self, cluster: &str, uid: &str) -> Result<bool, String>;

    /// The handle of the volume of a claim, made if there is none; `None`: it is being made.
    ///
    /// # Errors
    /// What the cloud refuses.
    fn ensure_volume(
        &self,
        cluster: &str,
        claim: &Key,
        uid: &str,
        bytes: u64,
    ) -> Result<Option<String>, String>;

    /// Removes a volume by its handle; whether it is gone.
    ///
    /// # Errors
    /// What the cloud refuses.
    fn remove_volume(&self, cluster: &str, handle: &str) -> Result<bool, String>;
}

/// Where a repository is, and who asks.
#[derive(Clone, Debug, Default)]
pub struct Remote {
    /// Its URL, as it stands in an Application.
    pub url: String,
    /// User name, for https.
    pub username: Option<String>,
    /// Password or token, for https.
    pub password: Option<SecretString>,
}

/// Files of a commit by their path in the repository.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Git repositories, read as Argo CD reads them.
pub trait Repositories: Send + Sync {
    /// The commit that a branch, tag, `HEAD` or commit id means now.
    ///
    /// # Errors
    /// In Git's own words.
    fn resolve(&self, remote: &Remote, revision: &str) -> Result<String, String>;

    /// The files of a commit.
    ///
    /// # Errors
    /// In Git's own words.
    fn files(&self, remote: &Remote, commit: &str) -> Result<Arc<Files>, String>;
}
