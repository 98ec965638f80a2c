//! `tenancy`: who shares the platform, and how they are kept apart.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Name, Values,
    operate::Framework,
    value::{Quantity, Template},
};

/// Who shares the platform, and how they are kept apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenancy {
    /// How tenants are kept apart when they do not say otherwise.
    pub pattern: Pattern,
    /// How their data are kept apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_isolation: Option<DataIsolation>,
    /// Who guards the boundary between namespaces.
    #[serde(default)]
    pub engine: TenancyEngine,
    /// How things are called.
    #[serde(default)]
    pub naming: Naming,
    /// Labels of every namespace and Application; templates are filled in.
    #[serde(default)]
    pub labels: BTreeMap<String, Template>,
    /// Labels that every workload must bring.
    #[serde(default)]
    pub required_labels: Vec<String>,
    /// What may talk to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network_policy: Option<NetworkPolicy>,
    /// Pod Security Standard of tenants' namespaces.
    #[serde(default)]
    pub pod_security: PodSecurity,
    /// Sizes of tenants.
    #[serde(default)]
    pub tiers: BTreeMap<Name, Tier>,
    /// What onboarding must achieve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onboarding: Option<Onboarding>,
    /// Tenants that are described in a repository and not here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenants_from: Option<TenantsFrom>,
    /// The tenants.
    #[serde(default)]
    pub tenants: Vec<Tenant>,
}

/// How tenants are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pattern {
    /// By clusters.
    ClusterPerTenant,
    /// By namespaces.
    NamespacePerTenant,
    /// By projects and labels only.
    Shared,
}

/// How tenants' data are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DataIsolation {
    /// Row level security in shared tables.
    Rls,
    /// A schema each.
    SchemaPerTenant,
    /// A database each.
    DatabasePerTenant,
}

/// Who guards the boundary between namespaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-refused" = {
    "hnc": "the hierarchical namespace controller was archived in April 2025; write `capsule`",
    "flux": "only Argo CD is supported as GitOps engine; leave the key out",
}))]
pub enum TenancyEngine {
    /// Kubernetes alone.
    #[default]
    None,
    /// Capsule.
    Capsule,
}

/// How things are called. Templates know `{tenant}`, `{tenant.id}`, `{app}`, `{key}`, `{env}`, `{-env}`, `{cell}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Naming {
    /// Namespaces of applications.
    #[serde(default = "namespace")]
    pub namespace: Template,
    /// Argo CD Applications.
    #[serde(default = "application")]
    pub application: Template,
    /// Argo CD projects.
    #[serde(default = "project")]
    pub project: Template,
}

fn namespace() -> Template {
    Template::new("{tenant}-{env}")
}

fn application() -> Template {
    Template::new("{tenant}-{app}-{cell}")
}

fn project() -> Template {
    Template::new("{tenant}")
}

impl Default for Naming {
    fn default() -> Self {
        Self { namespace: namespace(), application: application(), project: project() }
    }
}

/// What may talk to what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NetworkPolicy {
    /// What holds where nothing is said.
    pub default: Verdict,
    /// What is allowed all the same.
    #[serde(default)]
    pub allow: Vec<Allowance>,
    /// Single flows between applications.
    #[serde(default)]
    pub flows: Vec<Flow>,
}

/// Allowed, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Not.
    Deny,
    /// Allowed.
    Allow,
}

/// Traffic that is allowed all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Allowance {
    /// Names, by UDP and TCP.
    Dns,
    /// Within one tenant's namespaces.
    SameTenant,
    /// Within one namespace.
    SameNamespace,
    /// From the ingress controller.
    IngressController,
    /// Out to the public internet by https.
    EgressHttpsPublic,
    /// From Prometheus.
    PrometheusScrape,
}

/// A flow between two applications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Flow {
    /// Who calls: a name in `apps`.
    pub from: Name,
    /// Who is called: a name in `apps`.
    pub to: Name,
    /// On which port.
    pub port: u16,
}

/// Pod Security Standard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PodSecurity {
    /// Hardened.
    #[default]
    Restricted,
    /// Known escalations prevented.
    Baseline,
    /// Anything.
    Privileged,
}

/// Size of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tier {
    /// Availability promised, in percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sla: Option<String>,
    /// ResourceQuota of each of its namespaces.
    #[serde(default)]
    pub quota: BTreeMap<String, Quantity>,
    /// LimitRange of each of its namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

/// LimitRange for containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Most.
    #[serde(default)]
    pub max: BTreeMap<String, Quantity>,
    /// Least.
    #[serde(default)]
    pub min: BTreeMap<String, Quantity>,
    /// Limit when none is said.
    #[serde(default)]
    pub default: BTreeMap<String, Quantity>,
    /// Request when none is said.
    #[serde(default)]
    pub default_request: BTreeMap<String, Quantity>,
}

/// What onboarding must achieve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Onboarding {
    /// In how many minutes.
    pub target_minutes: u32,
}

/// Tenants that are described in a repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantsFrom {
    /// Which: a name in `git.repositories`.
    pub repo: Name,
    /// Which files, as a glob.
    pub files: String,
}

/// A tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tenant {
    /// Its name.
    pub name: Name,
    /// What `{tenant.id}` becomes. Absent: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Short form of its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Name>,
    /// Its name for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// Its size: a name in `tiers`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<Name>,
    /// Where it is at home: a name in `regions`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Name>,
    /// Whom to ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// Its number in the books.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing_id: Option<String>,
    /// Groups of the identity provider, by what they may do.
    #[serde(default)]
    pub groups: Groups,
    /// Where it runs: names of cells.
    pub cells: Vec<Name>,
    /// How it is kept apart, where it differs from `tenancy.pattern`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Pattern>,
    /// Its namespace, where it differs from `naming.namespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Template>,
    /// Frameworks that bind it.
    #[serde(default)]
    pub compliance: Vec<Framework>,
    /// Where its data may be: values of `regions[].geo`.
    #[serde(default)]
    pub residency: Vec<Name>,
    /// What it runs.
    #[serde(default)]
    pub subscriptions: Vec<Subscription>,
    /// Infrastructure of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terraform: Option<Terraform>,
    /// ConfigMaps of its own, by name.
    #[serde(default)]
    pub configs: BTreeMap<Name, Values>,
}

/// Groups of the identity provider, by what they may do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Groups {
    /// Everything in the tenant's namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<String>,
    /// Change workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edit: Option<String>,
    /// See and sync Applications.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<String>,
    /// See.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<String>,
}

/// A tenant runs an application. This list of pairs, not a product of sets, makes the Applications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subscription {
    /// Which: a name in `apps`.
    pub app: Name,
    /// Whether it runs.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Which version of its chart, where it differs from the application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What `{key}` becomes. Absent: the application's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Name>,
    /// Values of this tenant.
    #[serde(default)]
    pub values: Values,
    /// Values of this tenant by environment.
    #[serde(default)]
    pub env_values: BTreeMap<Name, Values>,
    /// Its host, where it differs from the application's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Template>,
}

fn yes() -> bool {
    true
}

/// A tenant's infrastructure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Terraform {
    /// Modules it is made of.
    pub modules: Vec<Name>,
    /// Where its state is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<TerraformBackend>,
    /// Its variables.
    #[serde(default)]
    pub vars: Values,
}

/// Where Terraform keeps its state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TerraformBackend {
    /// Kind of store.
    pub kind: TerraformBackendKind,
    /// The bucket.
    pub bucket: String,
    /// The object.
    pub key: String,
    /// The store's region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<Name>,
}

/// Kind of store of Terraform's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TerraformBackendKind {
    /// S3.
    S3,
    /// Azure Blob Storage.
    Azurerm,
    /// Google Cloud Storage.
    Gcs,
}
