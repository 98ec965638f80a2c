//! What the cloud reaches.

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A cluster whose Kubernetes API is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCluster {
    /// The cloud's id of it; it names the cluster in every other call.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its Kubernetes version: `1.36`.
    pub version: String,
    /// Addresses of pods, when the request has some.
    pub pod_cidr: Option<String>,
    /// Addresses of services, when the request has some.
    pub service_cidr: Option<String>,
}

/// A machine of a node pool.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Its name, unique within the cluster.
    pub name: String,
    /// The name of its pool.
    pub pool: String,
    /// Its region.
    pub region: String,
    /// Its zone.
    pub zone: String,
    /// What kind of machine it is.
    pub machine: String,
}

/// Who makes the Kubernetes APIs of clusters. May ask the cloud back.
pub trait Clusters: Send + Sync {
    /// Makes the API of a cluster, or brings it to another version; again after a restart. Twice the same is one.
    fn create(&self, cluster: &NewCluster);

    /// Where the API of a cluster is: `https://127.0.0.1:1234`.
    fn endpoint(&self, id: &str) -> String;

    /// Says which nodes a cluster has from now on, in order of their names.
    fn nodes(&self, id: &str, nodes: &[Node]);

    /// Removes the API of a cluster with everything in it. What its controllers made in the cloud stays.
    fn remove(&self, id: &str);

    /// A kubeconfig with credentials that work until then.
    ///
    /// # Errors
    /// In words, when there is no such API (yet).
    fn kubeconfig(&self, id: &str, until: Timestamp) -> Result<SecretString, String>;
}

/// Who keeps buckets. Must not ask the cloud back.
pub trait Buckets: Send + Sync {
    /// Makes a bucket; gives what clients need to know of it (`endpoint`, …).
    ///
    /// # Errors
    /// In words, when the name is taken or is none.
    fn create(&self, name: &str, versioning: bool, object_lock: bool) -> Result<Value, String>;

    /// Removes an empty bucket; one that is not there is what was wanted.
    ///
    /// # Errors
    /// In words, when it is not empty.
    fn remove(&self, name: &str) -> Result<(), String>;
}

/// How to write to a DNS zone, by RFC 2136.
#[derive(Clone, Debug)]
pub struct ZoneKey {
    /// The server, `HOST:PORT`.
    pub server: String,
    /// The name of the key that signs updates.
    pub key: String,
    /// How it signs: `hmac-sha256`.
    pub algorithm: String,
    /// The key, in base64.
    pub secret: SecretString,
}

/// Who answers for DNS zones. Must not ask the cloud back.
pub trait Zones: Send + Sync {
    /// Makes a zone; gives what clients need to know of it (`server`, …).
    ///
    /// # Errors
    /// In words, when there is one already or the name is none.
    fn create(&self, domain: &str) -> Result<Value, String>;

    /// How to write to a zone.
    ///
    /// # Errors
    /// In words, when there is none.
    fn key(&self, domain: &str) -> Result<ZoneKey, String>;

    /// Removes a zone with its records; one that is not there is what was wanted.
    ///
    /// # Errors
    /// In words.
    fn remove(&self, domain: &str) -> Result<(), String>;
}
