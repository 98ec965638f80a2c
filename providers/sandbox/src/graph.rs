//! What a cluster is made of.

use platform_provider::{Resource, Retry, resource::CONTROL_PLANE};
use platform_spec::{Class, Code, Failure};
use serde_json::{Value, json};

use crate::{
    client::Seen,
    wish::{Bucket, Pool, Wish},
};

/// The network, on which everything stands.
pub(crate) const NETWORK: &str = "network";
/// What the cluster's controllers are at the cloud, to make load balancers and volumes.
const IDENTITY: &str = "identity/load-balancer";

/// How the cloud calls a kind of resource in its paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Network,
    Ip,
    ControlPlane,
    Pool(Pool),
    Identity,
    Bucket,
    DnsZone,
}

impl Part {
    /// The word in the cloud's paths.
    pub fn plural(&self) -> &'static str {
        match self {
            Self::Network => "networks",
            Self::Ip => "ips",
            Self::ControlPlane => "clusters",
            Self::Pool(_) => "node-pools",
            Self::Identity => "identities",
            Self::Bucket => "buckets",
            Self::DnsZone => "dns-zones",
        }
    }

    /// The word in the cloud's quotas.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Ip => "ip",
            Self::ControlPlane => "cluster",
            Self::Pool(_) => "node-pool",
            Self::Identity => "identity",
            Self::Bucket => "bucket",
            Self::DnsZone => "dns-zone",
        }
    }

    /// The id of what it is made on, and the key of the spec that names it.
    pub fn ground(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::ControlPlane => Some((NETWORK, "network")),
            Self::Pool(_) | Self::Identity => Some((CONTROL_PLANE, "cluster")),
            _ => None,
        }
    }
}

impl Wish<'_> {
    /// The parts of the cluster, with their ids, each after what it needs.
    pub fn parts(&self) -> Vec<(String, Part)> {
        let mut parts = vec![(NETWORK.to_owned(), Part::Network)];
        if self.config.ingress_ip {
            parts.push(("ip/ingress".to_owned(), Part::Ip));
        }
        parts.push((CONTROL_PLANE.to_owned(), Part::ControlPlane));
        parts.push((IDENTITY.to_owned(), Part::Identity));
        for pool in &self.pools {
            parts.push((format!("pool/{}", pool.name), Part::Pool(pool.clone())));
        }
        if matches!(self.config.bucket, Some(Bucket::Wanted(true) | Bucket::Named(_))) {
            parts.push(("bucket".to_owned(), Part::Bucket));
        }
        if self.config.dns_zone.is_some() {
            parts.push(("dns-zone".to_owned(), Part::DnsZone));
        }
        parts
    }

    /// One part by its id.
    ///
    /// # Errors
    /// P0216 when the cluster has none of that id. One that the spec has no more may still have to be removed: it is
    /// understood by the form of its id.
    pub fn part(&self, id: &str) -> Result<Part, Failure> {
        if let Some((_, part)) = self.parts().into_iter().find(|(known, _)| known == id) {
            return Ok(part);
        }
        match id.split_once('/') {
            Some(("pool", name)) => Ok(Part::Pool(Pool { name: name.to_owned(), size: 0, machine: None })),
            Some(("ip", "ingress")) => Ok(Part::Ip),
            None if id == "bucket" => Ok(Part::Bucket),
            None if id == "dns-zone" => Ok(Part::DnsZone),
            _ => Err(Failure::new(
                Code::new("P0216"),
                Class::Bug,
                format!("the provider `sandbox` has no resource `{id}`"),
            )),
        }
    }

    /// The graph.
    pub fn resources(&self) -> Vec<Resource> {
        let region = self.request.region.as_deref().unwrap_or("its first region");
        self.parts()
            .into_iter()
            .map(|(id, part)| {
                let make = |title: String, retry| Resource::new(&id, &title, retry);
                match &part {
                    Part::Network => make(format!("network in {region}"), Retry::R2).takes(20_000, 600_000),
                    Part::Ip => make("reserved address".into(), Retry::R2).takes(4_000, 300_000),
                    Part::ControlPlane => {
                        let version = self.request.kubernetes_version.as_deref().unwrap_or("newest");
                        make(format!("control plane {version}"), Retry::R2)
                            .needs(&[NETWORK])
                            .takes(300_000, 1_800_000)
                    }
                    Part::Identity => make("identity of the cluster's controllers".into(), Retry::R1)
                        .needs(&[CONTROL_PLANE])
                        .takes(0, 300_000),
                    Part::Pool(pool) => make(format!("node pool of {}", pool.size), Retry::R3)
                        .needs(&[CONTROL_PLANE])
                        .takes(90_000, 86_400_000),
                    Part::Bucket => make(format!("bucket {}", self.name(&id)), Retry::R1).takes(0, 300_000),
                    Part::DnsZone => {
                        make(format!("DNS zone {}", self.name(&id)), Retry::R1).takes(0, 300_000)
                    }
                }
            })
            .collect()
    }

    /// What a part is asked to be; `ground` is the id of what it is made on.
    pub fn spec(&self, part: &Part, ground: Option<&str>, zone: Option<&str>) -> Value {
        let mut spec = self.lasting(part);
        if let (Some((_, key)), Some(id)) = (part.ground(), ground) {
            spec[key] = id.into();
        }
        if let (Part::Pool(pool), Some(zone)) = (part, zone) {
            spec["zone"] = zone.into();
            if let Some(machine) = &pool.machine {
                spec["machine"] = machine.as_str().into();
            }
        }
        spec
    }

    /// What a part is to be and to stay: what is compared with what there is.
    fn lasting(&self, part: &Part) -> Value {
        let mut spec = match part {
            Part::Network => json!({ "cidr": self.network_cidr }),
            Part::ControlPlane => json!({
                "version": self.request.kubernetes_version,
                "pod_cidr": self.pod_cidr,
                "service_cidr": self.service_cidr,
                "controller_tags": self.cluster_tags(),
            }),
            Part::Pool(pool) => json!({ "size": pool.size }),
            Part::Identity => json!({ "may": ["load-balancers", "volumes"] }),
            Part::Bucket => json!({ "versioning": true }),
            Part::Ip | Part::DnsZone => json!({}),
        };
        if let Some(keys) = spec.as_object_mut() {
            keys.retain(|_, value| !value.is_null());
        }
        spec
    }

    /// What has to be changed of a thing that is there; empty when it is as asked.
    pub fn differences(&self, part: &Part, seen: &Seen) -> serde_json::Map<String, Value> {
        let Value::Object(wanted) = self.lasting(part) else { return serde_json::Map::new() };
        wanted.into_iter().filter(|(key, value)| seen.spec.get(key) != Some(value)).collect()
    }
}

/// Differences in words: `size is 2, wanted 3`.
pub(crate) fn in_words(differences: &serde_json::Map<String, Value>, seen: &Seen) -> String {
    let word = |(key, wanted): (&String, &Value)| match seen.spec.get(key) {
        Some(is) => format!("{key} is {is}, wanted {wanted}"),
        None => format!("{key} is not set, wanted {wanted}"),
    };
    differences.iter().map(word).collect::<Vec<_>>().join(", ")
}
