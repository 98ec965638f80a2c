//! A request read once: names, labels, how many nodes.

use std::{collections::BTreeMap, net::IpAddr};

use platform_provider::{
    ClusterRequest, Life,
    life::{ALIVE_UNTIL_TAG, MADE_FOR_TAG},
};
use platform_spec::Failure;
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::{Config, PortMapping, wrong};

/// The labels by which the provider finds its own.
pub(crate) const PLATFORM_LABEL: &str = "platform.dev/name";
pub(crate) const CLUSTER_LABEL: &str = "platform.dev/cluster";
pub(crate) const RESOURCE_LABEL: &str = "platform.dev/resource";
/// The digest of what a thing was made from.
pub(crate) const DIGEST_LABEL: &str = "platform.dev/digest";
/// The name that kind knows a cluster by.
pub(crate) const KIND_NAME_LABEL: &str = "platform.dev/kind-cluster";
/// One attempt at making a cluster.
pub(crate) const ATTEMPT_LABEL: &str = "platform.dev/attempt";
/// How many nodes it is to have.
pub(crate) const NODES_LABEL: &str = "platform.dev/nodes";

/// What is asked for.
pub(crate) struct Wish<'a> {
    pub request: &'a ClusterRequest,
    pub config: Config,
    pub control_planes: u32,
    pub workers: u32,
    pub ports: Vec<PortMapping>,
    pub pod_cidr: Option<String>,
    pub service_cidr: Option<String>,
    /// What the spec allows it to take, in MiB.
    pub memory_mib: Option<u64>,
}

/// Keys of the spec's cluster that are read here.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    nodes: Option<Nodes>,
    node_pools: Option<Vec<Pool>>,
    ports: Vec<u16>,
    kubernetes: Kubernetes,
    resources: Option<Resources>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Nodes {
    control_plane: Group,
    workers: Group,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Group {
    Count(u32),
    Shaped { count: u32 },
}

#[derive(Deserialize)]
struct Pool {
    min: u32,
    #[serde(default)]
    desired: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kubernetes {
    pod_cidr: Option<String>,
    service_cidr: Option<String>,
    cni: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Resources {
    memory_gb: u64,
}

/// More than anybody's machine carries; a slip of the pen.
const MOST_NODES: u32 = 50;

impl<'a> Wish<'a> {
    /// Reads a request.
    ///
    /// # Errors
    /// P1004 when configuration or spec cannot be carried out.
    pub fn read(request: &'a ClusterRequest) -> Result<Self, Failure> {
        let config = Config::read(&request.config)?;
        let spec = match &request.spec {
            Value::Null => Spec::default(),
            given => Spec::deserialize(given).map_err(wrong)?,
        };
        if let Some(cni) = spec.kubernetes.cni.filter(|cni| cni != "kindnet") {
            return Err(wrong(format!(
                "`kubernetes.cni` is `{cni}`, and the nodes of kind come with kindnet"
            )));
        }
        let (control_planes, workers) = match (spec.nodes, spec.node_pools) {
            (Some(nodes), _) => (nodes.control_plane.count(), nodes.workers.count()),
            (None, Some(pools)) => (1, pools.iter().map(|pool| pool.desired.unwrap_or(pool.min)).sum()),
            (None, None) => (1, 0),
        };
        if control_planes == 0 || control_planes + workers > MOST_NODES {
            return Err(wrong(format!(
                "it is to have {control_planes} control planes and {workers} workers"
            )));
        }
        let listen = config.listen_address.unwrap_or(IpAddr::from([127, 0, 0, 1]));
        let mut ports: Vec<PortMapping> = spec
            .ports
            .iter()
            .map(|port| PortMapping {
                host_port: *port,
                container_port: *port,
                listen_address: None,
                protocol: None,
            })
            .chain(config.port_mappings.iter().cloned())
            .collect();
        for port in &mut ports {
            port.listen_address.get_or_insert(listen);
        }
        Ok(Self {
            request,
            config,
            control_planes,
            workers,
            ports,
            pod_cidr: spec.kubernetes.pod_cidr,
            service_cidr: spec.kubernetes.service_cidr,
            memory_mib: spec.resources.map(|resources| resources.memory_gb * 1024),
        })
    }

    /// How many containers kind makes.
    pub fn nodes(&self) -> u32 {
        self.control_planes + self.workers
    }

    /// What the cluster is called at kind, and what the names of everything around it begin with.
    pub fn stem(&self) -> String {
        stem(self.request.platform.as_str(), &self.request.cluster)
    }

    /// The network on which the nodes are.
    pub fn network(&self) -> String {
        self.config.network.clone().unwrap_or_else(|| self.stem())
    }

    /// The name of a container beside the cluster.
    pub fn beside(&self, resource: &str) -> String {
        format!("{}-{resource}", self.stem())
    }

    /// The nodes' image, when it is not kind's own choice.
    pub fn image(&self) -> Option<String> {
        self.config.image.clone().or_else(|| {
            // Images are named after patch versions.
            let version = self.request.kubernetes_version.as_deref()?;
            (version.matches('.').count() == 2).then(|| format!("kindest/node:v{version}"))
        })
    }

    /// The labels of a resource.
    pub fn labels(&self, resource: &str) -> BTreeMap<String, String> {
        let mut labels = self.request.tags.clone();
        labels.insert(PLATFORM_LABEL.to_owned(), self.request.platform.as_str().to_owned());
        labels.insert(CLUSTER_LABEL.to_owned(), self.request.cluster.clone());
        labels.insert(RESOURCE_LABEL.to_owned(), resource.to_owned());
        labels.insert(KIND_NAME_LABEL.to_owned(), self.stem());
        if let Some(life) = &self.request.life {
            labels.insert(ALIVE_UNTIL_TAG.to_owned(), Life::tag(life.until));
            labels.insert(MADE_FOR_TAG.to_owned(), life.owner.clone());
        }
        labels
    }

    /// Whether labels are those of this cluster.
    pub fn is_ours(&self, labels: &BTreeMap<String, String>) -> bool {
        let is = |key: &str, value: &str| labels.get(key).is_some_and(|it| it == value);
        is(PLATFORM_LABEL, self.request.platform.as_str()) && is(CLUSTER_LABEL, &self.request.cluster)
    }
}

impl Group {
    fn count(&self) -> u32 {
        match self {
            Self::Count(count) | Self::Shaped { count } => *count,
        }
    }
}

/// `PLATFORM-CLUSTER`, or with an end that tells two long ones apart: kind makes host names of it.
pub(crate) fn stem(platform: &str, cluster: &str) -> String {
    let name = format!("{platform}-{cluster}");
    if name.len() <= LONGEST {
        return name;
    }
    let digest = hex::encode(Sha256::digest(&name));
    let head: String = name.chars().take(LONGEST - 9).collect();
    format!("{}-{}", head.trim_end_matches('-'), &digest[..8])
}

/// A host name has 63 letters, and `-external-load-balancer` is the longest that kind hangs on.
const LONGEST: usize = 40;

#[cfg(test)]
mod tests {
    use platform_spec::Class;
    use serde_json::json;

    use super::*;

    fn read(spec: Value, config: Value) -> Result<(u32, u32), Failure> {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        request.spec = spec;
        request.config = config;
        Wish::read(&request).map(|wish| (wish.control_planes, wish.workers))
    }

    #[test]
    fn nodes_come_from_the_spec_in_either_form() {
        let nodes = |spec| read(spec, Value::Null).expect("a good request");
        assert_eq!(nodes(Value::Null), (1, 0));
        assert_eq!(nodes(json!({ "nodes": { "controlPlane": 1, "workers": 2 } })), (1, 2));
        assert_eq!(nodes(json!({ "nodes": { "controlPlane": { "count": 3 }, "workers": 0 } })), (3, 0));
        assert_eq!(
            nodes(json!({ "nodePools": [{ "name": "a", "min": 1, "desired": 2, "max": 9 }] })),
            (1, 2)
        );
    }

    #[test]
    fn what_cannot_be_carried_out_is_refused_with_its_name() {
        let cases = [
            (json!({}), json!({ "imaeg": "x" }), "imaeg"),
            (json!({ "kubernetes": { "cni": "cilium" } }), Value::Null, "cilium"),
            (json!({ "nodes": { "controlPlane": 0, "workers": 2 } }), Value::Null, "0 control planes"),
            (json!({}), json!({ "registryMirrors": { "docker.io/x": [] } }), "docker.io/x"),
            (json!({}), json!({ "registryMirrors": { "docker.io": ["here:5000"] } }), "here:5000"),
            (json!({}), json!({ "extraMounts": [{ "hostPath": "x", "containerPath": "/y" }] }), "`x`"),
            (json!({}), json!({ "engine": "lxc" }), "lxc"),
        ];
        for (spec, config, word) in cases {
            let failure = read(spec, config).expect_err(word);
            assert_eq!((failure.code.as_str(), failure.class), ("P1004", Class::Config));
            assert!(failure.causes[0].contains(word), "{:?}", failure.causes);
        }
    }

    #[test]
    fn ports_listen_on_this_machine_only_unless_told() {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        request.spec = json!({ "ports": [80] });
        request.config = json!({ "portMappings": [{ "hostPort": 53, "containerPort": 53, "listenAddress": "0.0.0.0", "protocol": "UDP" }] });
        let wish = Wish::read(&request).expect("a good request");
        let shown: Vec<String> =
            wish.ports.iter().filter_map(|port| Some(port.listen_address?.to_string())).collect();
        assert_eq!(shown, ["127.0.0.1", "0.0.0.0"]);
    }

    #[test]
    fn the_image_is_named_by_a_whole_version_only() {
        let image = |version: &str| {
            let mut request = ClusterRequest::new("demo", "eu", "here");
            request.kubernetes_version = Some(version.to_owned());
            Wish::read(&request).expect("a good request").image()
        };
        assert_eq!(image("1.36.3").as_deref(), Some("kindest/node:v1.36.3"));
        assert_eq!(image("1.36"), None);
    }

    #[test]
    fn long_names_stay_apart_and_short_enough() {
        let long = "a".repeat(60);
        let (one, other) = (stem(&long, "one"), stem(&long, "other"));
        assert_ne!(one, other);
        assert!(one.len() <= LONGEST && other.len() <= LONGEST);
        assert_eq!(stem("demo", "eu"), "demo-eu");
    }
}
