//! What a spec means: the derived model. Pure and deterministic; the only thing that blueprints are rendered from.
//!
//! Field names are snake_case when serialized. Every list has a fixed order: the spec's own, and where things are
//! gathered, by name.
//!
//! | field | what it is |
//! |---|---|
//! | `platform`, `owner`, `cost_center`, `labels` | whose it is; labels for everything we make |
//! | `spec_digest` | hex SHA-256 over the meaning of the spec: equal for files that differ in comments only |
//! | `blueprint` | which blueprint, with its parameters |
//! | `git`, `repositories` | the server with its credentials' handle; each repository with its push URL and in-cluster URL |
//! | `environments` | the promotion chain, by order |
//! | `clusters` | each cluster with its provider, defaults merged in (`settings`), and addresses |
//! | `cells` | one for each cluster × environment |
//! | `argocd` | version, and one instance for each cluster that runs it, with the clusters it serves |
//! | `tenants` | who shares the platform, and how each is kept apart |
//! | `projects`, `namespaces`, `applications` | what Argo CD gets; an application is one app (of one tenant) in one cell |
//! | `hosts` | each host name with the cells and applications behind it |
//! | `dns_zones`, `dns_records` | zones that we write to; a record for each host whose addresses are known beforehand |
//! | `storage_classes` | the default storage class of each cluster: one name, its cluster's provisioner |
//! | `addons` | each add-on with its wave, version and what the catalogue knows, and its settings on each cluster that gets it |
//! | `backup` | store, schedules with their clusters, objectives and whether they can be met, drills |
//! | `waves` | rollout order: cells, and the applications in them |
//! | `contracts` | names that are the same on every cluster |
//! | `emulated` | whether its clusters are made in emulated clouds; said by who asks for it, too |
//! | `life` | when its clusters are to end by themselves; said by who asks for the platform, not by the spec |

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Life,
    platform::{
        Duration, Values,
        app::SourceKind,
        argocd::{Bootstrap, Retry, Topology},
        cluster::{ClusterRole, Lifecycle, Overlay},
        git::{Demand, RepositoryRole, ServerKind},
        tenancy::{NetworkPolicy, PodSecurity},
    },
    secret::SecretRef,
};

mod addons;
mod build;
mod gitops;
mod merge;
pub mod naming;
mod network;
mod objectives;
mod operations;
mod pulled;
mod storage;
mod tenants;

pub use addons::{Addon, AddonOnCluster};
pub(crate) use addons::{settings as addon_settings, wave as addon_wave};
pub use build::derive;
pub(crate) use build::{cell_name, cells, overlay};
pub use merge::merge;
pub use network::{DnsRecord, DnsZone, Host, TsigKey};
pub use objectives::Objective;
pub(crate) use objectives::objectives;
pub use operations::{Backup, BackupStore, Drill, Schedule, Wave};
pub(crate) use pulled::folder as git_folder;
pub use storage::StorageClass;
pub use tenants::Tenant;

/// The address under which a cluster's own Argo CD reaches it.
pub const IN_CLUSTER_SERVER: &str = "https://kubernetes.default.svc";

/// What a spec means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The platform's name.
    pub platform: String,
    /// The team that answers for it.
    pub owner: String,
    /// Who pays.
    pub cost_center: String,
    /// Labels for everything we make: `platform.dev/name`, `platform.dev/owner`, `platform.dev/cost-center`.
    pub labels: BTreeMap<String, String>,
    /// Hex SHA-256 over the spec's meaning.
    pub spec_digest: String,
    /// Which blueprint.
    pub blueprint: BlueprintChoice,
    /// The Git server.
    pub git: GitServer,
    /// Every repository.
    pub repositories: Vec<Repository>,
    /// The promotion chain, by order.
    pub environments: Vec<Environment>,
    /// Every cluster.
    pub clusters: Vec<Cluster>,
    /// One for each cluster × environment.
    pub cells: Vec<Cell>,
    /// Argo CD.
    pub argocd: ArgoCd,
    /// Who shares the platform.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
    /// Argo CD projects of applications.
    pub projects: Vec<Project>,
    /// Namespaces of applications.
    pub namespaces: Vec<Namespace>,
    /// One app (of one tenant) in one cell.
    pub applications: Vec<Application>,
    /// Host names of applications.
    pub hosts: Vec<Host>,
    /// Zones that we write to.
    pub dns_zones: Vec<DnsZone>,
    /// Records of hosts whose addresses are known beforehand.
    pub dns_records: Vec<DnsRecord>,
    /// The default storage class of each cluster.
    #[serde(default)]
    pub storage_classes: Vec<StorageClass>,
    /// Add-ons, by wave and name.
    pub addons: Vec<Addon>,
    /// Backups.
    pub backup: Option<Backup>,
    /// Rollout order.
    pub waves: Vec<Wave>,
    /// Names that are the same on every cluster.
    pub contracts: Contracts,
    /// When its clusters are to end by themselves. No word of the spec: who asks for the platform says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
    /// Whether its clusters are made in emulated clouds. No word of the spec either.
    #[serde(default, skip_serializing_if = "is_false")]
    pub emulated: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Which blueprint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BlueprintChoice {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its parameters as written.
    pub params: Values,
}

/// The Git server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GitServer {
    /// How repositories are created there.
    pub kind: ServerKind,
    /// Base URL as this program reaches it.
    pub url: String,
    /// Base URL as Argo CD reaches it.
    pub in_cluster_url: String,
    /// Project or group.
    pub project: Option<String>,
    /// User name for the token or password; `git` when the spec names none.
    pub username: String,
    /// Where the token, password or key is.
    pub auth_ref: Option<SecretRef>,
    /// Whether commits must be signed.
    pub signed_commits: Demand,
    /// The folder of this machine that it is, when the spec names no address of it for pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<GitFolder>,
}

/// A folder of bare repositories that is to be brought to pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitFolder {
    /// Where it is on this machine.
    pub path: String,
    /// The cluster whose Argo CD pulls from it.
    pub cluster: String,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub role: RepositoryRole,
    /// URL for this program.
    pub push_url: String,
    /// URL for Argo CD.
    pub in_cluster_url: String,
    /// The branch that is written to.
    pub branch: String,
    /// Directory under which everything is rendered; empty for the repository's root.
    pub root: String,
}

/// A link of the promotion chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Its place in the chain.
    pub order: u32,
    /// Whether Argo CD syncs by itself.
    pub auto_sync: bool,
    /// Whether Argo CD undoes changes by hand.
    pub self_heal: bool,
    /// How many people must approve.
    pub approvals: u32,
    /// How long a change must be healthy here.
    pub soak: Duration,
    /// Whether it is the end of the chain.
    pub last: bool,
}

/// A cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its name.
    pub name: String,
    /// Who makes it exist.
    pub provider: ProviderChoice,
    /// The provider's name for where it is.
    pub region: Option<String>,
    /// Where on earth.
    pub geo: Option<String>,
    /// What it is for.
    pub role: ClusterRole,
    /// Whether `up` makes it.
    pub lifecycle: Lifecycle,
    /// Which overlay of the add-ons it takes.
    pub overlay: Overlay,
    /// Names of its environments.
    pub environments: Vec<String>,
    /// Names of its cells.
    pub cells: Vec<String>,
    /// The one tenant it serves.
    pub dedicated_to: Option<String>,
    /// Its Kubernetes version, `1.36`, when the spec names one.
    pub kubernetes_version: Option<String>,
    /// The cluster whose Argo CD serves it; often itself.
    pub argocd: String,
    /// Addresses under which its applications are reached, when they are known beforehand.
    pub addresses: Vec<IpAddr>,
    /// Share of shared hosts' traffic, in percent.
    pub traffic_weight: Option<u8>,
    /// What the spec says about the cluster with `clusterDefaults` merged in, in the spec's own words (camelCase): what
    /// providers read.
    pub settings: Value,
    /// When it is to end by itself, where that was settled before and nothing new is asked for. No word of the spec: the provider
    /// says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub life: Option<Life>,
    /// The object store for backups that its provider brings along. No word of the spec: the provider says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<ClusterStore>,
}

/// An object store beside a cluster, as its pods reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterStore {
    /// Its URL.
    pub endpoint: String,
    /// Whether the bucket is part of the path.
    pub force_path_style: bool,
}

/// Who makes a cluster exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProviderChoice {
    /// The provider's name in the spec.
    pub name: String,
    /// Which provider: `existing`, `kind`, `eks`, …
    pub kind: String,
    /// Where its credentials are.
    pub credentials_ref: Option<SecretRef>,
    /// Its own settings, in the spec's words.
    pub config: Values,
}

/// A cell: one environment on one cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Its name, unique in the platform.
    pub name: String,
    /// The cluster.
    pub cluster: String,
    /// The environment.
    pub environment: String,
    /// The cluster's overlay.
    pub overlay: Overlay,
    /// The cluster's region.
    pub region: Option<String>,
    /// Directory below `clusters/` in the rendered repository.
    pub dir: String,
    /// What `{domain}` is here.
    pub domain: Option<String>,
    /// The one tenant it serves.
    pub dedicated_to: Option<String>,
}

/// Argo CD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArgoCd {
    /// Its version.
    pub version: String,
    /// How many there are.
    pub topology: Topology,
    /// How the first Application gets there.
    pub bootstrap: Bootstrap,
    /// Its namespace.
    pub namespace: String,
    /// One for each cluster that runs it.
    pub instances: Vec<ArgoInstance>,
    /// How a failed sync is tried again.
    pub retry: Option<Retry>,
    /// Sync options of every Application.
    pub sync_options: Vec<String>,
    /// Revisions kept of each Application.
    pub revision_history_limit: Option<u32>,
    /// How often Git is asked.
    pub poll_interval: Option<Duration>,
}

/// An Argo CD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArgoInstance {
    /// The cluster it runs on.
    pub cluster: String,
    /// The clusters it serves, itself first.
    pub clusters: Vec<String>,
    /// Host of its page.
    pub host: Option<String>,
}

/// An Argo CD project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name.
    pub name: String,
    /// The cluster whose Argo CD has it.
    pub argocd: String,
    /// The tenants whose applications are in it; empty without tenancy.
    pub tenants: Vec<String>,
    /// Repositories it may read: in-cluster URLs.
    pub source_repos: Vec<String>,
    /// Where it may write.
    pub destinations: Vec<Destination>,
    /// Groups by role: `admin`, `edit`, `sync`, `view`.
    pub groups: BTreeMap<String, Vec<String>>,
}

/// A place that Argo CD writes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Destination {
    /// The cluster's name in the spec.
    pub cluster: String,
    /// The cluster's name at Argo CD: `in-cluster` for its own.
    pub name: String,
    /// The API server, when it is Argo CD's own cluster.
    pub server: Option<String>,
    /// The namespace.
    pub namespace: String,
}

/// A namespace of applications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name, unique on its cluster.
    pub name: String,
    /// Its cluster.
    pub cluster: String,
    /// Its cell.
    pub cell: String,
    /// Its environment.
    pub environment: String,
    /// The tenants in it; empty without tenancy.
    pub tenants: Vec<String>,
    /// Labels, templates filled in.
    pub labels: BTreeMap<String, String>,
    /// Pod Security Standard.
    pub pod_security: PodSecurity,
    /// Hard limits of its ResourceQuota.
    pub quota: BTreeMap<String, String>,
    /// Its LimitRange: `max`, `min`, `default`, `default_request`, each a map of resources.
    pub limits: BTreeMap<String, BTreeMap<String, String>>,
    /// What may talk to what, in the spec's words.
    pub network_policy: Option<NetworkPolicy>,
}

/// One app (of one tenant) in one cell: one Argo CD Application.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Application {
    /// Its name, unique at its Argo CD.
    pub name: String,
    /// The app.
    pub app: String,
    /// The tenant.
    pub tenant: Option<String>,
    /// What `{key}` is.
    pub key: String,
    /// The cell.
    pub cell: String,
    /// The cell's cluster.
    pub cluster: String,
    /// The cell's environment.
    pub environment: String,
    /// Its namespace.
    pub namespace: String,
    /// Its project.
    pub project: String,
    /// The cluster whose Argo CD has it.
    pub argocd: String,
    /// Where it goes.
    pub destination: Destination,
    /// Where its manifests are.
    pub source: Source,
    /// All layers of values merged: app, environment, cell, tenant, tenant's environment.
    pub values: Values,
    /// Its host.
    pub host: Option<String>,
    /// The port it listens on.
    pub port: Option<u16>,
    /// Path that says it lives.
    pub health: Option<String>,
    /// Path that says it can take traffic.
    pub ready: Option<String>,
    /// Whether Argo CD syncs by itself.
    pub auto_sync: bool,
    /// Whether Argo CD undoes changes by hand.
    pub self_heal: bool,
    /// Its sync wave.
    pub wave: i32,
    /// Labels, templates filled in.
    pub labels: BTreeMap<String, String>,
}

/// Where an application's manifests are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The repository's name.
    pub repository: String,
    /// Its URL for Argo CD.
    pub repo_url: String,
    /// The branch.
    pub revision: String,
    /// The directory, template filled in.
    pub path: String,
    /// How it becomes manifests.
    pub kind: SourceKind,
    /// Version of the chart.
    pub version: Option<String>,
}

/// Names that are the same on every cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contracts {
    /// The ingress class.
    pub ingress_class: String,
    /// The default storage class.
    pub storage_class: String,
    /// The cluster issuers.
    pub cluster_issuers: Vec<String>,
    /// The pull secret.
    pub pull_secret: Option<String>,
}

impl Model {
    /// The cluster of that name.
    pub fn cluster(&self, name: &str) -> Option<&Cluster> {
        self.clusters.iter().find(|cluster| cluster.name == name)
    }

    /// The cell of that name.
    pub fn cell(&self, name: &str) -> Option<&Cell> {
        self.cells.iter().find(|cell| cell.name == name)
    }

    /// The repository of that name.
    pub fn repository(&self, name: &str) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.name == name)
    }

    /// The repository that holds the platform itself; the parser has seen to it that there is one.
    pub fn platform_repository(&self) -> Option<&Repository> {
        self.repositories.iter().find(|repository| repository.role == RepositoryRole::Platform)
    }
}
