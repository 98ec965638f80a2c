//! `rollout`, `observability`, `compliance`, `upgrade` and `seedData`: what happens once the platform stands.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration, Name,
    guard::Weakness,
    place::SyncWindow,
    value::{Cron, Retention, RollbackTrigger, TenantSelector},
};

/// In which order cells receive a change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollout {
    /// Groups of cells (or tenants), one after another.
    #[schemars(length(min = 1))]
    pub waves: Vec<Wave>,
    /// What happens to a bad change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// When nothing may change.
    #[serde(default)]
    pub freeze: Vec<SyncWindow>,
}

/// A group of cells that receives a change together. One of `environments`, `cells`, `tenants` says which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wave {
    /// Its name.
    pub name: Name,
    /// Every cell of these environments.
    #[serde(default)]
    pub environments: Vec<Name>,
    /// These cells.
    #[serde(default)]
    pub cells: Vec<Name>,
    /// These tenants, in all their cells; `*` is every tenant of no other wave.
    #[serde(default)]
    pub tenants: Vec<TenantSelector>,
    /// How long the change must be healthy before the next wave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub soak: Option<Duration>,
    /// What must hold before the wave begins.
    #[serde(default)]
    pub gates: Vec<Gate>,
    /// Who syncs.
    #[serde(default)]
    pub sync: WaveSync,
    /// How many cells at the same time. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_parallel: Option<u32>,
}

/// What must hold before a wave begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// The cells before are healthy.
    Health,
    /// The service level holds.
    Slo,
    /// People have approved.
    Approvals,
    /// Values satisfy their schema.
    Schema,
    /// The conformance suite is green.
    Conformance,
    /// Policies are satisfied.
    Policy,
    /// Images are signed.
    Signatures,
    /// No critical weakness.
    Cve,
    /// The analysis succeeded.
    Analysis,
}

/// Who syncs a wave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaveSync {
    /// The rollout.
    #[default]
    Auto,
    /// A person.
    Manual,
}

/// What happens to a bad change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rollback {
    /// Whether nobody is asked.
    #[serde(default)]
    pub automatic: bool,
    /// How.
    #[serde(default)]
    pub method: RollbackMethod,
    /// Why: `health-failed`, `analysis-failed`, `error-budget-burn>10%`.
    #[serde(default)]
    pub on: Vec<RollbackTrigger>,
}

/// How a bad change is taken back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RollbackMethod {
    /// By a commit that reverts it.
    #[default]
    GitRevert,
}

/// Service levels and how long telemetry is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Observability {
    /// Service levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slo: Option<Slo>,
    /// How long telemetry is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<TelemetryRetention>,
}

/// Service levels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Slo {
    /// Availability in percent, as text: `"99.9"`.
    #[schemars(extend("pattern" = r"^[0-9]{1,2}(\.[0-9]+)?$|^100$"))]
    pub availability: String,
    /// Milliseconds that 95 % of requests stay below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "latencyP95Ms")]
    pub latency_p95_ms: Option<u32>,
    /// Share of failed requests, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_rate_pct: Option<f64>,
}

/// How long telemetry is kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TelemetryRetention {
    /// Logs of the last environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs_prod: Option<Retention>,
    /// Logs of the others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs_other: Option<Retention>,
    /// Metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Retention>,
    /// Traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Retention>,
    /// Audit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Retention>,
}

/// Frameworks, audit and reports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compliance {
    /// Frameworks that bind the platform.
    pub frameworks: Vec<Framework>,
    /// How long logs are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditRetention>,
    /// Who looks for weaknesses.
    #[serde(default)]
    pub scanners: Vec<Scanner>,
    /// Severities that fail a scan.
    #[serde(default)]
    pub fail_on: Vec<Weakness>,
    /// When reports are written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<ReportSchedule>,
    /// How often access is reviewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_review: Option<Cadence>,
}

/// A compliance framework.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Framework {
    /// SOC 2.
    Soc2,
    /// ISO 27001.
    Iso27001,
    /// HIPAA.
    Hipaa,
}

/// How long logs are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditRetention {
    /// Days of the audit log.
    pub retention_days: u32,
    /// Days of applications' logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_log_days: Option<u32>,
    /// Days of security logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_log_days: Option<u32>,
    /// Whether they cannot be changed.
    #[serde(default)]
    pub immutable: bool,
    /// Where they are kept: a URL such as `s3://bucket`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^(s3|gs|az)://"))]
    pub store: Option<String>,
}

/// Who looks for weaknesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scanner {
    /// Trivy.
    Trivy,
    /// kube-bench.
    KubeBench,
    /// audit2rbac.
    #[serde(rename = "audit2rbac")]
    Audit2Rbac,
    /// The search for secrets in repositories.
    Secrets,
}

/// When reports are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReportSchedule {
    /// When.
    pub cron: Cron,
}

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Cadence {
    /// Every month.
    Monthly,
    /// Every quarter.
    Quarterly,
    /// Every year.
    Yearly,
}

/// How versions of the platform itself move.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upgrade {
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cadence: Option<Cadence>,
    /// How far behind the newest minor a cluster may be: `N-2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^N-[0-9]$"))]
    pub skew: Option<String>,
    /// When it may happen.
    #[serde(default)]
    pub maintenance_windows: Vec<SyncWindow>,
}

/// Demo data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedData {
    /// Organisations.
    #[serde(default)]
    pub orgs: u32,
    /// Projects.
    #[serde(default)]
    pub projects: u32,
    /// People.
    #[serde(default)]
    pub users: u32,
}
