//! What a provider says about itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Who a provider is and what it can do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// Its kind, as written in the spec: `eks`.
    pub kind: String,
    /// One sentence for a person who chooses.
    pub summary: String,
    /// Its own version.
    pub version: String,
    /// What it can do.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// Programs it starts; empty when it needs none.
    #[serde(default)]
    pub tools: Vec<Need>,
    /// Credentials it wants.
    #[serde(default)]
    pub credentials: Vec<Need>,
    /// JSON Schema of its `config` section, by which the section is checked before the provider is asked for anything; `null` when it
    /// does not say. `format: secret-ref` is a handle of a secret, `x-hint` what to write instead of a text that does not fit.
    #[serde(default)]
    pub config_schema: Value,
}

/// What a provider's clusters come with, so that a blueprint can choose its overlay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// It makes clusters; otherwise it only finds them.
    pub makes_clusters: bool,
    /// Services of type LoadBalancer get an address.
    #[serde(default)]
    pub load_balancer: bool,
    /// DNS zone kinds it can host: `route53`.
    #[serde(default)]
    pub dns_zones: Vec<String>,
    /// It offers an object store for backups.
    #[serde(default)]
    pub object_store: bool,
    /// How a pod gets an identity of the outside (`irsa`), when it can.
    #[serde(default)]
    pub identity: Option<String>,
    /// Its outside refuses what a holder asks who has lost the lease.
    #[serde(default)]
    pub checks_epochs: bool,
    /// Its outside is only played: nothing can be reached at the addresses of its clusters but their APIs.
    #[serde(default)]
    pub emulated: bool,
    /// It finds and removes what any platform has left, by itself: `list_claims`, `prolong` and `reap`.
    #[serde(default)]
    pub sweeps: bool,
    /// Nothing outlives its clusters that was made from inside: no load balancer, no volume elsewhere. One that cannot be reached
    /// any more may be removed with all that is in it.
    #[serde(default)]
    pub self_contained: bool,
    /// How much memory a node takes on this machine, in MiB; 0 when its nodes are elsewhere or none.
    #[serde(default)]
    pub local_node_mib: u64,
}

/// Something a provider wants to find.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Its name: a program, a kind of credential.
    pub name: String,
    /// What for.
    pub why: String,
    /// Whether nothing goes without it.
    pub required: bool,
}
