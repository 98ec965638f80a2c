//! `environments`, `regions` and `providers`: in which order, where, and by whom.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Name, Values, value::Cron};
use crate::secret::SecretRef;

/// A link of the promotion chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Environment {
    /// Its name.
    pub name: Name,
    /// Its place in the chain; unique.
    pub order: u32,
    /// The branch its applications follow. Absent: the repository's default branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether Argo CD syncs by itself.
    #[serde(default = "yes")]
    pub auto_sync: bool,
    /// Whether Argo CD undoes what was changed by hand.
    #[serde(default = "yes")]
    pub self_heal: bool,
    /// How long a change must be healthy here before it goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Duration>,
    /// How many people must approve a change that arrives here.
    #[serde(default)]
    pub approvals: u32,
    /// When Argo CD may or may not sync.
    #[serde(default)]
    pub sync_windows: Vec<SyncWindow>,
    /// What `{-env}` becomes in host names. Absent: `-` and the environment's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_suffix: Option<String>,
    /// Why a rule about soak or approvals does not hold here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<String>,
}

fn yes() -> bool {
    true
}

/// When Argo CD may or may not sync.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncWindow {
    /// May, or may not.
    pub kind: WindowKind,
    /// When it opens.
    pub cron: Cron,
    /// How long it stays open.
    pub duration: Duration,
    /// Whether a person may sync by hand all the same.
    #[serde(default)]
    pub manual_sync: bool,
}

/// What a sync window does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WindowKind {
    /// Sync only then.
    Allow,
    /// No sync then.
    Deny,
}

/// A place that clusters are in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Region {
    /// The provider's own name for it.
    pub name: Name,
    /// Where on earth: `eu`, `us`, `local`; matched against tenants' residency.
    pub geo: Name,
    /// What it counts as beside `geo`, in tenants' residency.
    #[serde(default)]
    pub residency: Vec<Name>,
}

/// Who makes clusters exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Provider {
    /// The name clusters refer to.
    pub name: Name,
    /// Which provider it is.
    pub kind: ProviderKind,
    /// Where its credentials are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<SecretRef>,
    /// Its own settings. For `existing`: `kubeconfigRef` (`file:PATH`) and `context`.
    #[serde(default)]
    pub config: Values,
}

/// Which provider: `sandbox`, `kind`, `eks`, `aks`, `gke`, `oci`, `machines`, `existing`, or the name of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub struct ProviderKind(Name);

impl ProviderKind {
    /// The kinds that are part of the program.
    pub const KNOWN: [&'static str; 8] =
        ["sandbox", "kind", "eks", "aks", "gke", "oci", "machines", "existing"];

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the kind is part of the program; any other is looked for among the plugins.
    pub fn is_known(&self) -> bool {
        Self::KNOWN.contains(&self.as_str())
    }

    /// Whether clusters of this kind are in a cloud, where a region must be named.
    pub fn is_cloud(&self) -> bool {
        matches!(self.as_str(), "eks" | "aks" | "gke" | "oci")
    }
}

impl fmt::Display for ProviderKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
