//! `clusters`, `clusterDefaults`, `kubernetes` and `contracts`.

use std::net::IpAddr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration, Name,
    value::{Cidr, KUBERNETES_VERSION},
};

/// One cluster. Together with each of its environments it is a *cell*.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cluster {
    /// Its name, also at Argo CD.
    pub name: Name,
    /// Who makes it exist: a name in `providers`.
    pub provider: Name,
    /// Where: a name in `regions`. Clouds need it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Name>,
    /// What runs on it: names in `environments`.
    #[schemars(length(min = 1))]
    pub environments: Vec<Name>,
    /// Name of its cell. Absent: the environment's name. With several environments each cell is `<cell>-<environment>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<Name>,
    /// What it is for.
    #[serde(default)]
    pub role: ClusterRole,
    /// Which overlay of the add-ons it takes. Absent: by its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlay: Option<Overlay>,
    /// The one tenant it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedicated_to: Option<Name>,
    /// Whether it is there always or made when needed.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// Its share of shared hosts' traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Kubernetes, where it differs from `spec.kubernetes`, and its networks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<ClusterKubernetes>,
    /// Processor architecture of its nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// Machines, where they are counted one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Nodes>,
    /// Machines, where the cloud keeps a pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_pools: Option<Vec<NodePool>>,
    /// What a local cluster may take from the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Ports of this machine that lead to its ingress.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// The cloud network around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Whether pods get cloud identities of their own (EKS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irsa: Option<bool>,
    /// How traffic gets in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<LoadBalancer>,
    /// Volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
    /// Etcd, where we run it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd: Option<Etcd>,
    /// Encryption of what etcd stores.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
    /// Its directory below `clusters/` in the rendered repository. Absent: its cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "relative-path"))]
    pub dir: Option<String>,
}

/// What holds for every cluster that does not say otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterDefaults {
    /// See `clusters[].arch`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<Arch>,
    /// See `clusters[].nodePools`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_pools: Option<Vec<NodePool>>,
    /// See `clusters[].network`; each cluster gets a network of its own, so this may repeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// See `clusters[].irsa`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub irsa: Option<bool>,
    /// See `clusters[].encryption`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,
}

/// What a cluster is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClusterRole {
    /// Runs Argo CD for others, and may run applications too.
    Management,
    /// Runs applications.
    #[default]
    Workload,
    /// Takes over when another is lost.
    Dr,
}

/// Which overlay of the add-ons a cluster takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Overlay {
    /// kind and the sandbox.
    Kind,
    /// Azure.
    Aks,
    /// AWS.
    Eks,
    /// Google.
    Gke,
    /// Machines of one's own, Oracle, existing clusters.
    Onprem,
}

impl Overlay {
    /// The word used in the spec and in directory names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kind => "kind",
            Self::Aks => "aks",
            Self::Eks => "eks",
            Self::Gke => "gke",
            Self::Onprem => "onprem",
        }
    }
}

/// Whether a cluster is there always.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lifecycle {
    /// Always.
    #[default]
    Permanent,
    /// Made when needed (disaster recovery), and not by `up`.
    OnDemand,
}

/// A cluster's share of traffic.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Traffic {
    /// Weight in percent.
    #[schemars(range(min = 0, max = 100))]
    pub weight: u8,
    /// The one that failover starts from.
    #[serde(default)]
    pub primary: bool,
    /// Gets traffic only after a failover.
    #[serde(default)]
    pub standby: bool,
}

/// The Kubernetes version of the platform's clusters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubernetes {
    /// The version, `1.36`. Absent: the newest that this program knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = KUBERNETES_VERSION))]
    pub version: Option<String>,
    /// The oldest that is accepted on clusters we did not make.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = KUBERNETES_VERSION))]
    pub min_version: Option<String>,
    /// How far behind the newest minor a cluster may be: `N-2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^N-[0-9]$"))]
    pub skew: Option<String>,
}

/// Kubernetes on one cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterKubernetes {
    /// The version, where it differs from `spec.kubernetes.version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = KUBERNETES_VERSION))]
    pub version: Option<String>,
    /// Who packaged it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distribution: Option<Distribution>,
    /// Pod network plugin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cni: Option<Cni>,
    /// Addresses of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_cidr: Option<Cidr>,
    /// Addresses of services.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_cidr: Option<Cidr>,
    /// Whether etcd's content is encrypted with a key of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etcd_encryption: Option<bool>,
}

/// Who packaged Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-refused" = {"k3s": "the platform installs kubeadm only; write `kubeadm`"}))]
pub enum Distribution {
    /// Upstream Kubernetes through kubeadm.
    Kubeadm,
}

/// Pod network plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cni {
    /// Calico.
    Calico,
    /// Cilium.
    Cilium,
    /// Flannel; enforces no network policies.
    Flannel,
    /// What comes with kind.
    Kindnet,
}

/// Processor architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

/// Machines counted one by one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Nodes {
    /// Machines of the control plane: a number, or a number with a shape.
    pub control_plane: NodeGroup,
    /// Machines for everything else.
    pub workers: NodeGroup,
}

/// A number of machines, or a number with a shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum NodeGroup {
    /// Just how many.
    Count(u32),
    /// How many, and what they are like.
    Shaped(MachineShape),
}

/// How many machines, and what they are like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MachineShape {
    /// How many.
    pub count: u32,
    /// The cloud's name for the kind of machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shape: Option<String>,
    /// Processors, where the shape leaves them open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocpus: Option<u32>,
    /// Memory in GB, where the shape leaves it open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_gb: Option<u32>,
    /// Boot volume in GB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_volume_gb: Option<u32>,
}

/// A pool of machines that the cloud keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodePool {
    /// Its name.
    pub name: Name,
    /// Kind of machine, in Google's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_type: Option<String>,
    /// Kind of machine, in Amazon's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_type: Option<String>,
    /// Kind of machine, in Azure's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vm_size: Option<String>,
    /// Fewest machines.
    pub min: u32,
    /// Machines to begin with. Absent: `min`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<u32>,
    /// Most machines.
    pub max: u32,
}

/// What a local cluster may take from the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Resources {
    /// Processors.
    pub cpus: u32,
    /// Memory in GB.
    pub memory_gb: u32,
    /// Disk in GB.
    pub disk_gb: u32,
}

/// The cloud network around a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Addresses of the network.
    pub vpc_cidr: Cidr,
    /// How many NAT gateways.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nat_gateways: Option<u32>,
}

/// How traffic gets into a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancer {
    /// Who answers on the addresses.
    pub kind: LoadBalancerKind,
    /// How MetalLB announces them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<AnnounceMode>,
    /// The addresses. For `static` a list of IPs under which applications are reached: what DNS records point to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addresses: Option<Addresses>,
    /// Which address is made public.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Publish>,
}

/// Who answers on a cluster's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LoadBalancerKind {
    /// The cloud's own load balancer; its address is known once it exists.
    Cloud,
    /// MetalLB.
    Metallb,
    /// Ports of the nodes themselves.
    HostPort,
    /// Addresses known beforehand; nothing is made.
    Static,
}

/// How MetalLB announces addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AnnounceMode {
    /// ARP and NDP.
    L2,
    /// BGP.
    Bgp,
}

/// Addresses, listed or by the provider's rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Addresses {
    /// The provider finds them.
    Source(AddressSource),
    /// These.
    List(Vec<IpAddr>),
}

/// Where a provider finds addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AddressSource {
    /// Secondary private addresses of the node's network card.
    SecondaryPrivate,
}

/// Which address is made public.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Publish {
    /// A reserved public address that survives the machine.
    ReservedPublic,
    /// None.
    None,
}

/// Volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Storage {
    /// Who provides volumes.
    pub driver: StorageDriver,
    /// Copies of each volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Minutes after which a lost copy is given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale_replica_timeout: Option<u32>,
}

/// Who provides volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StorageDriver {
    /// Longhorn.
    Longhorn,
    /// Directories of the node (kind).
    LocalPath,
    /// The cloud's own.
    Cloud,
}

/// Etcd, where we run it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Etcd {
    /// How often it is saved.
    pub snapshot_every: Duration,
    /// How long a snapshot is kept.
    pub retention: Duration,
    /// Its size limit in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_gi_b: Option<u32>,
}

/// Encryption of what etcd stores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Encryption {
    /// Whether Secrets are encrypted with a key of the cloud's key service.
    pub secrets_kms: bool,
}

/// Names that are the same on every overlay, so that applications need not know where they run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Contracts {
    /// Name of the ingress class.
    #[serde(default = "nginx")]
    pub ingress_class: Name,
    /// Name of the default storage class.
    #[serde(default = "standard")]
    pub storage_class: Name,
    /// Names of the cluster issuers.
    #[serde(default)]
    pub cluster_issuers: Vec<Name>,
    /// Name of the pull secret in every namespace of applications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull_secret: Option<Name>,
}

fn nginx() -> Name {
    Name::new("nginx")
}

fn standard() -> Name {
    Name::new("standard")
}

impl Default for Contracts {
    fn default() -> Self {
        Self {
            ingress_class: nginx(),
            storage_class: standard(),
            cluster_issuers: Vec::new(),
            pull_secret: None,
        }
    }
}
