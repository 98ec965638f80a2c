//! `platform.yaml` as it was written: one plain struct per section, no meaning yet.
//!
//! The meaning (cells, applications, hosts, …) is worked out by [`crate::model`]. Keys are camelCase in the file;
//! unknown keys are refused everywhere but in the places typed [`Values`], which are free by design.
//!
//! | room | sections |
//! |---|---|
//! | [`value`] | the small values: names, durations, quantities, CIDRs |
//! | [`git`] | `git` |
//! | [`place`] | `environments`, `regions`, `providers` |
//! | [`cluster`] | `clusters`, `clusterDefaults`, `kubernetes`, `contracts` |
//! | [`argocd`] | `argocd`, `addons` |
//! | [`tenancy`] | `tenancy` with its tiers and tenants |
//! | [`app`] | `apps`, `delivery` |
//! | [`guard`] | `policies`, `supplyChain`, `identity`, `secrets` |
//! | [`backup`] | `backup`, `failover` |
//! | [`dns`] | `dns` |
//! | [`operate`] | `rollout`, `observability`, `compliance`, `upgrade`, `seedData` |

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub mod app;
pub mod argocd;
pub mod backup;
pub mod cluster;
pub mod dns;
pub mod git;
pub mod guard;
pub mod operate;
pub mod place;
pub mod tenancy;
pub mod value;

pub use value::{Duration, Name, Values};

/// The one `apiVersion` this program reads.
pub const API_VERSION: &str = "platform.dev/v1alpha1";

/// A whole `platform.yaml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Platform {
    /// The version of this format: `platform.dev/v1alpha1`.
    #[schemars(extend("const" = API_VERSION))]
    pub api_version: String,
    /// Always `Platform`.
    #[schemars(extend("const" = "Platform"))]
    pub kind: String,
    /// Whose platform this is.
    pub metadata: Metadata,
    /// What it is made of.
    pub spec: Spec,
}

/// Whose platform this is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// The platform's name: the key of its runs and leases, and a label on everything it owns.
    pub name: Name,
    /// The team that answers for it; a mandatory label.
    #[schemars(extend("pattern" = value::LABEL_VALUE))]
    pub owner: String,
    /// Who pays; a mandatory label.
    #[schemars(extend("pattern" = value::LABEL_VALUE))]
    pub cost_center: String,
}

/// What a platform is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Spec {
    /// Which blueprint becomes the files in Git.
    pub blueprint: Blueprint,
    /// Where Git is, and which repositories there are.
    pub git: git::Git,
    /// The promotion chain.
    #[schemars(length(min = 1))]
    pub environments: Vec<place::Environment>,
    /// Places that clusters are in.
    #[serde(default)]
    pub regions: Vec<place::Region>,
    /// Who makes clusters exist.
    #[schemars(length(min = 1))]
    pub providers: Vec<place::Provider>,
    /// The clusters.
    #[schemars(length(min = 1))]
    pub clusters: Vec<cluster::Cluster>,
    /// What holds for every cluster that does not say otherwise.
    #[serde(default)]
    pub cluster_defaults: cluster::ClusterDefaults,
    /// The Kubernetes version of clusters that we make.
    #[serde(default)]
    pub kubernetes: cluster::Kubernetes,
    /// Argo CD.
    pub argocd: argocd::ArgoCd,
    /// Names that are the same on every overlay.
    #[serde(default)]
    pub contracts: cluster::Contracts,
    /// What runs beside the applications.
    #[serde(default)]
    pub addons: Vec<argocd::Addon>,
    /// Who may log in, as what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<guard::Identity>,
    /// Who shares the platform, and how they are kept apart. Absent: one team, every application in every cell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenancy: Option<tenancy::Tenancy>,
    /// The applications (products).
    #[serde(default)]
    pub apps: Vec<app::App>,
    /// How new versions of applications arrive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<app::Delivery>,
    /// What may run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<guard::Policies>,
    /// Where images come from, and what they must bring.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supply_chain: Option<guard::SupplyChain>,
    /// Where secrets live, and how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets: Option<guard::Secrets>,
    /// What is backed up, where to, how often, and what a restore must achieve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<backup::Backup>,
    /// When traffic leaves a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failover: Option<backup::Failover>,
    /// Service levels and how long telemetry is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observability: Option<operate::Observability>,
    /// Frameworks, audit and reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compliance: Option<operate::Compliance>,
    /// Zones and domains.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<dns::Dns>,
    /// In which order cells receive a change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<operate::Rollout>,
    /// How versions of the platform itself move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgrade: Option<operate::Upgrade>,
    /// Demo data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_data: Option<operate::SeedData>,
}

/// Which blueprint becomes the files in Git.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Blueprint {
    /// The blueprint's folder name.
    pub name: Name,
    /// Its version, `MAJOR.MINOR.PATCH`; a range or `latest` is refused.
    #[schemars(extend("pattern" = value::SEMVER))]
    pub version: String,
    /// Its parameters; the blueprint brings a JSON Schema for them.
    #[serde(default)]
    pub params: Values,
}
