//! `argocd` and `addons`: what carries the platform out, and what runs beside the applications.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration, Name, Values,
    cluster::Overlay,
    value::{Date, SEMVER},
};

/// Argo CD.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ArgoCd {
    /// Its version; `stable` and `latest` are refused.
    #[schemars(extend("pattern" = SEMVER))]
    pub version: String,
    /// How many there are, and which clusters each serves.
    #[serde(default)]
    pub topology: Topology,
    /// How the first Application gets there.
    #[serde(default)]
    pub bootstrap: Bootstrap,
    /// Whether people may look without logging in.
    #[serde(default)]
    pub anonymous: bool,
    /// The role of somebody who is in no group; empty: none.
    #[serde(default)]
    pub default_role: String,
    /// What becomes of the local admin account.
    #[serde(default)]
    pub local_admin: LocalAdmin,
    /// Audit events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    /// Host names of its pages by overlay, with `default` for the rest; may use `{domain}`.
    #[serde(default)]
    pub hosts: BTreeMap<Name, String>,
    /// How often Git is asked. Absent: Argo CD's own default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub poll_interval: Option<Duration>,
    /// Whether drift raises an alert.
    #[serde(default)]
    pub drift_alerts: bool,
    /// Revisions kept of each Application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<u32>,
    /// How a failed sync is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Sync options of every Application, such as `PruneLast=true`.
    #[serde(default)]
    pub sync_options: Vec<String>,
    /// Which kinds of credentials repositories get.
    #[serde(default)]
    pub repo_credentials: RepoCredentials,
}

/// How many Argo CDs there are, and which clusters each serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-refused" = {"flux": "only Argo CD is supported; leave the key out"}))]
pub enum Topology {
    /// One, on the management cluster, for all.
    #[default]
    Centralized,
    /// One on each cluster, for itself.
    Dedicated,
    /// One for each group of clusters.
    PerGroup,
    /// One on each cluster, and one page over all.
    CockpitFleet,
    /// Somebody else's.
    Managed,
}

/// How the first Application gets there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Bootstrap {
    /// A root Application that makes the others.
    #[default]
    AppOfApps,
    /// ApplicationSets.
    ApplicationSets,
}

/// What becomes of the local admin account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum LocalAdmin {
    /// Disabled once a login through the identity provider has been seen.
    #[default]
    DisabledAfterSso,
    /// Never enabled.
    Disabled,
    /// Kept.
    Enabled,
}

/// Audit events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Audit {
    /// Whether they are written.
    pub enabled: bool,
    /// In which form.
    #[serde(default)]
    pub format: AuditFormat,
}

/// The form of audit events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AuditFormat {
    /// One JSON document a line.
    #[default]
    Json,
    /// Text.
    Text,
}

/// How a failed sync is tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Retry {
    /// How often.
    pub limit: u32,
    /// After how long, the first time.
    pub backoff: Duration,
    /// By how much longer each further time.
    #[serde(default = "two")]
    pub factor: u32,
    /// At most after how long.
    pub max: Duration,
}

fn two() -> u32 {
    2
}

/// Which kinds of credentials repositories get.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RepoCredentials {
    /// One secret for each repository.
    #[default]
    Repository,
    /// One template for all below the server's URL.
    Template,
    /// Both.
    Both,
}

/// An add-on: its name, or its name with what it needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Addon {
    /// As it comes.
    Named(AddonName),
    /// With settings.
    Detailed(Box<AddonDetail>),
}

impl Addon {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name.0.as_str(),
            Self::Detailed(detail) => detail.name.0.as_str(),
        }
    }

    /// What is said about it, when something is.
    pub fn detail(&self) -> Option<&AddonDetail> {
        match self {
            Self::Named(_) => None,
            Self::Detailed(detail) => Some(detail),
        }
    }
}

/// Name of an add-on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline, extend("x-refused" = {
    "flux": "Argo CD is the only GitOps engine here; leave it out",
    "hnc": "the hierarchical namespace controller was archived in April 2025; use `capsule`",
}))]
pub struct AddonName(Name);

/// An add-on with settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AddonDetail {
    /// Its name.
    pub name: AddonName,
    /// Its sync wave. Absent: the usual one for this add-on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<i32>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Values for its chart.
    #[serde(default)]
    pub values: Values,
    /// Settings by overlay; `enabled: false` leaves it out there, `enabled: true` puts it where it usually is not.
    #[serde(default)]
    #[schemars(extend("propertyNames" = {"$ref": "#/$defs/Overlay"}))]
    pub overlays: BTreeMap<Overlay, Values>,
    /// Only on these overlays.
    #[serde(default)]
    pub only: Vec<Overlay>,
    /// Which controller implements it, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub controller: Option<Name>,
    /// Until when it is accepted that its controller is no longer supported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub support_ack_expires: Option<Date>,
    /// Policy bundles it brings.
    #[serde(default)]
    pub bundles: Vec<Name>,
    /// Parts it is made of.
    #[serde(default)]
    pub stack: Vec<Name>,
    /// Dashboards it brings.
    #[serde(default)]
    pub dashboards: Vec<Name>,
}
