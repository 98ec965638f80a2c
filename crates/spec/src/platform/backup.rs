//! `backup` and `failover`: what survives the loss of a cluster, and what happens then.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration, Name,
    tenancy::Pattern,
    value::{Cron, Retention},
};
use crate::secret::SecretRef;

/// What is backed up, where to, how often, and what a restore must achieve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backup {
    /// Who does it.
    #[serde(default)]
    pub engine: BackupEngine,
    /// Where to.
    pub store: BackupStore,
    /// How often.
    #[serde(default)]
    pub schedules: Vec<Schedule>,
    /// Databases, beyond their volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseBackup>,
    /// The state of Terraform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform_state: Option<TerraformState>,
    /// What a restore must achieve.
    #[serde(default)]
    pub objectives: Vec<Objective>,
    /// When restores are rehearsed.
    #[serde(default)]
    pub drills: Vec<Drill>,
}

/// Who does backups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-refused" = {"flux": "only Velero makes backups; write `velero`"}))]
pub enum BackupEngine {
    /// Velero.
    #[default]
    Velero,
}

/// Where backups go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackupStore {
    /// Kind of store.
    pub kind: StoreKind,
    /// The bucket.
    #[schemars(extend("pattern" = "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"))]
    pub bucket: String,
    /// Directory in the bucket. Absent: the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "relative-path"))]
    pub prefix: Option<String>,
    /// The store's region. Absent: `us-east-1`, which stores that know no regions accept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Name>,
    /// URL of a store that is not Amazon's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = "^https?://"))]
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the path (`http://host/bucket`) and not of the host. Most stores of one's own need it.
    #[serde(default)]
    pub force_path_style: bool,
    /// Where the credentials are: an AWS credentials file, or `KEY:SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials_ref: Option<SecretRef>,
    /// Whether backups cannot be changed for as long as they live.
    #[serde(default)]
    pub object_lock: bool,
    /// Whether the store stands somewhere else than the clusters.
    #[serde(default)]
    pub offsite: bool,
    /// Whether the store is copied into another region.
    #[serde(default)]
    pub cross_region: bool,
}

/// Kind of store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// Amazon S3, or another with `endpoint`.
    S3,
    /// A store that speaks S3 and comes with the platform's surroundings.
    S3Compatible,
    /// MinIO beside the clusters.
    MinioInCluster,
    /// Azure Blob Storage.
    Azure,
    /// Google Cloud Storage.
    Gcs,
}

/// How often something is backed up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Schedule {
    /// Its name.
    pub name: Name,
    /// When.
    pub cron: Cron,
    /// How long a backup lives.
    pub ttl: Duration,
    /// Only environments of these names.
    #[serde(default)]
    pub tiers: Vec<Name>,
    /// Only these namespaces. Absent: all.
    #[serde(default)]
    pub namespaces: Vec<Name>,
    /// Only tenants that are kept apart in this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Pattern>,
    /// What becomes of volumes.
    #[serde(default)]
    pub volumes: Volumes,
    /// Whether objects outside namespaces are saved too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_cluster_resources: Option<bool>,
}

/// What becomes of volumes in a backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Volumes {
    /// Nothing: objects only.
    #[default]
    None,
    /// Snapshots of the storage system.
    Snapshot,
    /// Files are copied.
    Fs,
}

/// Databases, beyond their volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DatabaseBackup {
    /// Which application is the database: a name in `apps`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Name>,
    /// Whether any moment can be restored.
    #[serde(default)]
    pub pitr: bool,
    /// How long the log of changes may stay unsaved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wal_archive_max: Option<Duration>,
    /// What runs in the pod around a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    /// Dumps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logical: Option<LogicalBackup>,
}

/// What runs in the pod around a backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Hooks {
    /// Before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre: Option<String>,
    /// After.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<String>,
    /// For how long at most.
    pub timeout: Duration,
}

/// Dumps of a database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogicalBackup {
    /// When.
    pub cron: Cron,
    /// How long a dump is kept.
    pub retention: Retention,
}

/// The state of Terraform.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TerraformState {
    /// Whether its bucket keeps versions.
    pub versioned: bool,
}

/// What a restore must achieve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Objective {
    /// For what: `config` and `stateless` (both in Git), `database`, `volume`, or `tenant/<name>`.
    #[schemars(extend("pattern" = "^(config|stateless|database|volume|tenant/[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"))]
    pub class: String,
    /// Back within.
    pub rto: Duration,
    /// Losing at most.
    pub rpo: Duration,
    /// Why it need not be met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiver: Option<String>,
}

/// When restores are rehearsed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Drill {
    /// Its name.
    pub name: Name,
    /// When.
    pub cron: Cron,
    /// Only the n-th of those days in a month.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 5))]
    pub nth: Option<u8>,
    /// Into what.
    pub target: DrillTarget,
    /// Who makes the new cluster: a name in `providers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Name>,
}

/// Into what a drill restores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DrillTarget {
    /// A namespace beside the original.
    Namespace,
    /// A new cluster.
    NewCluster,
}

/// When traffic leaves a cluster.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Failover {
    /// Whether nobody is asked.
    #[serde(default)]
    pub automatic: bool,
    /// How often a cluster is asked for its health.
    pub health_check_interval: Duration,
    /// After how many bad answers it counts as lost.
    #[schemars(range(min = 1))]
    pub failure_threshold: u32,
}
