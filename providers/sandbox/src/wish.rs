//! A request read once: configuration, names, tags.

use std::collections::BTreeMap;

use platform_provider::{
    ClusterRequest, Life,
    life::{ALIVE_UNTIL_TAG, MADE_FOR_TAG},
};
use platform_spec::{Class, Code, Failure, secret::SecretRef};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The tags by which the provider finds its own.
pub(crate) const PLATFORM_TAG: &str = "platform.dev/name";
pub(crate) const CLUSTER_TAG: &str = "platform.dev/cluster";
pub(crate) const RESOURCE_TAG: &str = "platform.dev/resource";

/// The provider's section of the spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// A sandbox elsewhere. Left out: that of this state directory.
    pub url: Option<String>,
    /// The certificate of its authority, PEM.
    pub ca_ref: Option<SecretRef>,
    /// Zones for the node pools, in the order in which they are tried. Left out: all of the region.
    pub zones: Vec<String>,
    /// Whether an address is reserved for the cluster's ingress.
    pub ingress_ip: bool,
    /// A bucket for the cluster's backups: `true`, or its name.
    pub bucket: Option<Bucket>,
    /// A DNS zone for the cluster.
    pub dns_zone: Option<String>,
}

/// A bucket that is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Bucket {
    /// By a name of ours.
    Wanted(bool),
    /// By this name.
    Named(String),
}

impl Config {
    /// Reads the section.
    ///
    /// # Errors
    /// P0218 when it has words that are not known.
    pub fn read(config: &Value) -> Result<Self, Failure> {
        match config {
            Value::Null => Ok(Self::default()),
            given => Self::deserialize(given).map_err(|cause| Self::default().wrong(&cause.to_string())),
        }
    }

    pub fn wrong(&self, why: &str) -> Failure {
        Failure::new(
            Code::new("P0218"),
            Class::Config,
            "could not use the configuration of a provider of kind `sandbox`",
        )
        .because(why)
        .hint("it may have `zones`, `ingressIp`, `bucket` and `dnsZone`, and for a sandbox elsewhere `url` and `caRef`")
    }
}

/// A node pool that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pool {
    pub name: String,
    pub size: u32,
    pub machine: Option<String>,
}

/// What is asked for.
pub(crate) struct Wish<'a> {
    pub request: &'a ClusterRequest,
    pub config: Config,
    pub pools: Vec<Pool>,
    pub network_cidr: Option<String>,
    pub pod_cidr: Option<String>,
    pub service_cidr: Option<String>,
}

/// Keys of the spec's cluster that are read here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_pools: Option<Vec<PoolSpec>>,
    nodes: Option<Nodes>,
    network: Option<Network>,
    kubernetes: Option<Kubernetes>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PoolSpec {
    name: String,
    min: u32,
    #[serde(default)]
    desired: Option<u32>,
    #[serde(default)]
    machine_type: Option<String>,
}

#[derive(Deserialize)]
struct Nodes {
    #[serde(default)]
    workers: Option<Workers>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Workers {
    Count(u32),
    Shaped {
        count: u32,
        #[serde(default)]
        shape: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    vpc_cidr: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kubernetes {
    pod_cidr: Option<String>,
    service_cidr: Option<String>,
}

/// How many nodes a cluster gets whose spec does not say.
const NODES: u32 = 2;

impl<'a> Wish<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// P0218 when configuration or spec cannot be understood.
    pub fn read(request: &'a ClusterRequest) -> Result<Self, Failure> {
        let config = Config::read(&request.config)?;
        let spec = match &request.spec {
            Value::Null => Spec::default(),
            given => Spec::deserialize(given).map_err(|cause| config.wrong(&cause.to_string()))?,
        };
        let pools = match (spec.node_pools, spec.nodes.and_then(|nodes| nodes.workers)) {
            (Some(pools), _) => pools
                .into_iter()
                .map(|pool| Pool {
                    size: pool.desired.unwrap_or(pool.min),
                    name: pool.name,
                    machine: pool.machine_type,
                })
                .collect(),
            (None, Some(Workers::Count(size))) => {
                vec![Pool { name: "default".to_owned(), size, machine: None }]
            }
            (None, Some(Workers::Shaped { count, shape })) => {
                vec![Pool { name: "default".to_owned(), size: count, machine: shape }]
            }
            (None, None) => vec![Pool { name: "default".to_owned(), size: NODES, machine: None }],
        };
        let kubernetes = spec.kubernetes.unwrap_or_default();
        Ok(Self {
            request,
            config,
            pools,
            network_cidr: spec.network.map(|network| network.vpc_cidr),
            pod_cidr: kubernetes.pod_cidr,
            service_cidr: kubernetes.service_cidr,
        })
    }

    /// What everything of the cluster is called: `PLATFORM-CLUSTER`, or with an end that tells two long ones apart.
    pub fn stem(&self) -> String {
        short(&format!("{}-{}", self.request.platform.as_str(), self.request.cluster), 40)
    }

    /// The name of a resource.
    pub fn name(&self, resource: &str) -> String {
        match (resource, &self.config.bucket, &self.config.dns_zone) {
            ("control-plane", ..) => self.stem(),
            ("bucket", Some(Bucket::Named(name)), _) => name.clone(),
            ("dns-zone", _, Some(domain)) => domain.clone(),
            _ => short(&format!("{}-{}", self.stem(), resource.replace('/', "-")), 63),
        }
    }

    /// The tags of everything that the cluster has.
    pub fn cluster_tags(&self) -> BTreeMap<String, String> {
        let mut tags = self.request.tags.clone();
        tags.insert(PLATFORM_TAG.to_owned(), self.request.platform.as_str().to_owned());
        tags.insert(CLUSTER_TAG.to_owned(), self.request.cluster.clone());
        tags
    }

    /// The tags of a resource.
    pub fn tags(&self, resource: &str) -> BTreeMap<String, String> {
        let mut tags = self.cluster_tags();
        tags.insert(RESOURCE_TAG.to_owned(), resource.to_owned());
        if let Some(Life { owner, until }) = &self.request.life {
            tags.insert(MADE_FOR_TAG.to_owned(), owner.clone());
            tags.insert(ALIVE_UNTIL_TAG.to_owned(), Life::tag(*until));
        }
        tags
    }

    /// The search for everything of the cluster that was made by us.
    pub fn tag_search(&self) -> Vec<(&'static str, String)> {
        vec![
            ("tag", format!("{PLATFORM_TAG}={}", self.request.platform.as_str())),
            ("tag", format!("{CLUSTER_TAG}={}", self.request.cluster)),
        ]
    }

    /// Whether tags are those of a resource of this cluster.
    pub fn is_ours(&self, tags: &BTreeMap<String, String>, resource: &str) -> bool {
        let is = |key: &str, value: &str| tags.get(key).is_some_and(|it| it == value);
        is(PLATFORM_TAG, self.request.platform.as_str())
            && is(CLUSTER_TAG, &self.request.cluster)
            && is(RESOURCE_TAG, resource)
    }
}

/// A name that is not too long; what is cut off is replaced by a digest of the whole.
fn short(name: &str, longest: usize) -> String {
    if name.len() <= longest {
        return name.to_owned();
    }
    let digest = hex::encode(Sha256::digest(name));
    let head: String = name.chars().take(longest - 9).collect();
    format!("{}-{}", head.trim_end_matches('-'), &digest[..8])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn long_names_stay_apart_and_short_enough() {
        let long = "a".repeat(60);
        let (one, other) = (short(&format!("{long}-one"), 40), short(&format!("{long}-other"), 40));
        assert_ne!(one, other);
        assert!(one.len() <= 40 && other.len() <= 40);
        assert_eq!(short("demo-eu", 40), "demo-eu");
    }

    #[test]
    fn pools_come_from_the_spec_in_either_form() {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        let mut pools = |spec| {
            request.spec = spec;
            let wish = Wish::read(&request).expect("a good request");
            wish.pools.iter().map(|pool| (pool.name.clone(), pool.size)).collect::<Vec<_>>()
        };
        let default = |size| vec![("default".to_owned(), size)];
        assert_eq!(pools(Value::Null), default(NODES));
        assert_eq!(pools(json!({ "nodes": { "controlPlane": 1, "workers": 3 } })), default(3));
        assert_eq!(pools(json!({ "nodes": { "workers": { "count": 4, "shape": "big" } } })), default(4));
        let named = json!({ "nodePools": [{ "name": "a", "min": 1, "desired": 5, "max": 9 }] });
        assert_eq!(pools(named), [("a".to_owned(), 5)]);
    }

    #[test]
    fn unknown_words_of_the_configuration_are_refused() {
        let failure = Config::read(&json!({ "ingresIp": true })).expect_err("a typo");
        assert_eq!((failure.code.as_str(), failure.class), ("P0218", Class::Config));
        assert!(failure.causes[0].contains("ingresIp"), "{:?}", failure.causes);
    }
}
