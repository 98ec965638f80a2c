//! What there can be, and what is known of each.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::parts::{
    tags::Tags,
    transitions::{Pace, Stands, Takes, Transition},
};

/// What kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A network that clusters stand on.
    Network,
    /// A reserved address.
    Ip,
    /// A Kubernetes control plane.
    Cluster,
    /// Nodes of a cluster.
    NodePool,
    /// A load balancer, as a Service of a cluster makes one.
    LoadBalancer,
    /// A volume, as a claim of a cluster makes one.
    Volume,
    /// An identity of programs within a cluster.
    Identity,
    /// A bucket of the object store.
    Bucket,
    /// A DNS zone.
    DnsZone,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Network,
        Self::Ip,
        Self::Cluster,
        Self::NodePool,
        Self::LoadBalancer,
        Self::Volume,
        Self::Identity,
        Self::Bucket,
        Self::DnsZone,
    ];

    /// The word for one: `node-pool`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Ip => "ip",
            Self::Cluster => "cluster",
            Self::NodePool => "node-pool",
            Self::LoadBalancer => "load-balancer",
            Self::Volume => "volume",
            Self::Identity => "identity",
            Self::Bucket => "bucket",
            Self::DnsZone => "dns-zone",
        }
    }

    /// The word for many, as it stands in paths: `node-pools`.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Network => "networks",
            Self::Ip => "ips",
            Self::Cluster => "clusters",
            Self::NodePool => "node-pools",
            Self::LoadBalancer => "load-balancers",
            Self::Volume => "volumes",
            Self::Identity => "identities",
            Self::Bucket => "buckets",
            Self::DnsZone => "dns-zones",
        }
    }

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Network => "net",
            Self::Ip => "ip",
            Self::Cluster => "cls",
            Self::NodePool => "pool",
            Self::LoadBalancer => "lb",
            Self::Volume => "vol",
            Self::Identity => "idn",
            Self::Bucket => "bkt",
            Self::DnsZone => "zone",
        }
    }

    /// How long making and changing, and removing take. Clusters and pools as the large clouds publish it: five minutes
    /// at best, often ten.
    pub(super) fn takes(self) -> (Takes, Takes) {
        let (make, remove) = match self {
            Self::Network => (20, 10),
            Self::Cluster => (300, 180),
            Self::NodePool => (90, 60),
            Self::LoadBalancer => (30, 20),
            Self::Ip | Self::Volume => (4, 2),
            Self::Identity | Self::Bucket | Self::DnsZone => (0, 0),
        };
        (Takes::seconds(make), Takes::seconds(remove))
    }
}

/// Something that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thing {
    /// The cloud's own id.
    pub id: String,
    /// What it is.
    pub kind: Kind,
    /// Its name. Those of clusters, node pools (in their cluster), buckets and DNS zones are unique; others need not be.
    pub name: String,
    /// Where it is.
    pub region: String,
    /// Its tags.
    pub tags: Tags,
    /// What it was asked to be.
    pub spec: Value,
    /// What the cloud says of it: addresses, endpoints.
    pub outputs: Value,
    /// Where it stands.
    pub phase: Phase,
    /// Ids of what it stands on: those cannot be removed before it.
    pub stands_on: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// The client token of the request that made it, and what else was asked.
    pub(super) token: Option<(String, String)>,
}

/// Where a thing stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Being made.
    Creating(Transition),
    /// Being changed.
    Updating(Transition),
    /// Being removed.
    Deleting(Transition),
    /// Usable.
    Active,
    /// It will not mend by waiting.
    Failed(String),
}

impl Phase {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Creating(_) => "creating",
            Self::Updating(_) => "updating",
            Self::Deleting(_) => "deleting",
            Self::Active => "active",
            Self::Failed(_) => "failed",
        }
    }

    /// What is under way.
    pub fn transition(&self) -> Option<&Transition> {
        match self {
            Self::Creating(it) | Self::Updating(it) | Self::Deleting(it) => Some(it),
            Self::Active | Self::Failed(_) => None,
        }
    }
}

/// Nobody needs to look more seldom than this, at the pace of clouds.
const LOOK_AT_LEAST: jiff::SignedDuration = jiff::SignedDuration::from_secs(30);

impl Thing {
    /// It with its kind, as people and refusals name it.
    pub fn named(&self) -> String {
        format!("{} {}", self.kind.word(), self.name)
    }

    /// How it is shown.
    pub(super) fn view(&self, now: Timestamp, pace: Pace) -> Value {
        let mut outputs = self.outputs.clone();
        let since = match &self.phase {
            Phase::Deleting(transition) => transition.begun,
            _ => self.created,
        };
        let ready = matches!(self.phase, Phase::Active | Phase::Updating(_));
        if !ready && let Some(outputs) = outputs.as_object_mut() {
            outputs.retain(|_, _| false);
        }
        let mut view = json!({
            "id": self.id, "kind": self.kind.word(), "name": self.name, "region": self.region,
            "tags": self.tags, "spec": self.spec, "status": self.phase.word(), "outputs": outputs,
            "stands_on": self.stands_on, "created_at": self.created.to_string(),
            // How long it has been going, or else existing: nobody has to compare clocks.
            "age_ms": u64::try_from(now.duration_since(since).as_millis()).unwrap_or(0),
        });
        if let Phase::Failed(why) = &self.phase {
            view["status_message"] = why.as_str().into();
        }
        if let Some(transition) = self.phase.transition() {
            let slowest = pace.of(LOOK_AT_LEAST);
            let look = match transition.stands(now) {
                Stands::Running(Some(left)) => left.min(slowest),
                _ => slowest,
            };
            view["operation"] = json!({
                "id": transition.operation,
                "begun_at": transition.begun.to_string(),
                "percent": transition.percent(now),
                "poll_after_ms": u64::try_from(look.as_millis()).unwrap_or(0).max(1),
            });
        }
        view
    }
}
