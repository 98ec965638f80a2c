//! What a provider is asked.

use std::collections::BTreeMap;

use platform_spec::{PlatformName, secret::SecretRef};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Life;

/// One cluster as the spec describes it, resolved: everything a provider needs, and no secret.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterRequest {
    /// Whose it is.
    pub platform: PlatformName,
    /// Its name in the spec, unique within the platform.
    pub cluster: String,
    /// The provider's name in the spec (`aws`); its kind (`eks`) is what chose the implementation.
    pub provider: String,
    /// The region in the outside's own words, when the spec has one.
    #[serde(default)]
    pub region: Option<String>,
    /// The wanted Kubernetes version, such as `1.36` or `1.36.3`.
    #[serde(default)]
    pub kubernetes_version: Option<String>,
    /// The provider's `config` section of the spec, overlaid with the cluster's own. `null` when there is none.
    #[serde(default)]
    pub config: Value,
    /// The cluster's entry of the spec (`nodes`, `kubernetes`, `resources`, …) as JSON.
    #[serde(default)]
    pub spec: Value,
    /// Where the provider's credentials can be read, at the moment of use and not before.
    #[serde(default)]
    pub credentials: Option<SecretRef>,
    /// Tags (or labels) that everything made for this cluster carries: `platform.dev/name`, `platform.dev/cluster`, …
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// When it is to end by itself. What is made bears it from its making on; it is no part of what a resource is asked
    /// to be, so another value later makes nothing differ. `None` is a permanent cluster, or says nothing new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
    /// The bucket that its backups need and that the provider is to bring along, when the spec names no store of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<Bucket>,
    /// The folder of Git repositories on this machine that its pods are to reach, when the spec says no address at which they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitFolder>,
}

/// A folder of bare Git repositories.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitFolder {
    /// Where it is on this machine. It need not be there yet.
    pub path: String,
    /// An image with `git` that the cluster needs anyway.
    pub image: String,
}

/// A bucket that a cluster needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The region that its users sign their requests for.
    pub region: String,
}

/// A call about one resource of a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceCall {
    /// The cluster it belongs to.
    pub cluster: ClusterRequest,
    /// Its id in the graph: `control-plane`.
    pub resource: String,
    /// Client token: the same for every try that must not make a second thing.
    pub token: String,
    /// The lease's epoch: an outside that can check it refuses calls of an older holder.
    pub epoch: u64,
    /// Which attempt, from 1; class R3 rotates its zone by it.
    pub attempt: u32,
    /// The operation that was answered last for this resource and recorded; `null` when there is none.
    #[serde(default)]
    pub operation: Value,
    /// Outputs of the resources it needs, by their ids.
    #[serde(default)]
    pub outputs: BTreeMap<String, Value>,
}

/// Whose things to look for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InventoryRequest {
    /// Whose.
    pub platform: PlatformName,
    /// The provider's name in the spec.
    pub provider: String,
    /// Only this cluster's; `None` looks for everything of the platform.
    #[serde(default)]
    pub cluster: Option<String>,
    /// Regions to look into; empty means every region that the configuration knows.
    #[serde(default)]
    pub regions: Vec<String>,
    /// The provider's `config` section of the spec.
    #[serde(default)]
    pub config: Value,
    /// Where the provider's credentials can be read.
    #[serde(default)]
    pub credentials: Option<SecretRef>,
}

/// Which DNS zone is to be written to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ZoneRequest {
    /// Whose names.
    pub platform: PlatformName,
    /// The provider's name in the spec.
    pub provider: String,
    /// The zone, without a final dot.
    pub zone: String,
    /// The provider's `config` section of the spec.
    #[serde(default)]
    pub config: Value,
    /// Where the provider's credentials can be read.
    #[serde(default)]
    pub credentials: Option<SecretRef>,
}

impl ClusterRequest {
    /// A request with a name and nothing else.
    pub fn new(platform: &str, cluster: &str, provider: &str) -> Self {
        Self {
            platform: PlatformName::new(platform),
            cluster: cluster.to_owned(),
            provider: provider.to_owned(),
            region: None,
            kubernetes_version: None,
            config: Value::Null,
            spec: Value::Null,
            credentials: None,
            tags: BTreeMap::new(),
            life: None,
            bucket: None,
            git: None,
        }
    }

    /// The first call about one of its resources: attempt 1, no operation, no outputs.
    pub fn call(&self, resource: &str, token: &str, epoch: u64) -> ResourceCall {
        ResourceCall {
            cluster: self.clone(),
            resource: resource.to_owned(),
            token: token.to_owned(),
            epoch,
            attempt: 1,
            operation: Value::Null,
            outputs: BTreeMap::new(),
        }
    }

    /// An inventory of this cluster alone.
    pub fn inventory(&self) -> InventoryRequest {
        InventoryRequest {
            platform: self.platform.clone(),
            provider: self.provider.clone(),
            cluster: Some(self.cluster.clone()),
            regions: self.region.iter().cloned().collect(),
            config: self.config.clone(),
            credentials: self.credentials.clone(),
        }
    }
}
