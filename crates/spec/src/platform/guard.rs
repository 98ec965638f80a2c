//! `policies`, `supplyChain`, `identity` and `secrets`: what may run, who may log in, where secrets live.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Duration, Name, Values,
    value::{Date, ImagePlatform},
};
use crate::secret::SecretRef;

/// What may run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Policies {
    /// Who decides.
    pub engine: PolicyEngine,
    /// Whether what breaks a policy is refused or only reported.
    #[serde(default)]
    pub mode: PolicyMode,
    /// Groups of policies.
    #[serde(default)]
    pub bundles: Vec<Name>,
    /// Prefixes that images may come from, each ending in `/`.
    #[serde(default)]
    pub approved_registries: Vec<String>,
    /// Who watches what runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeGuard>,
    /// What may break a policy, and until when.
    #[serde(default)]
    pub exceptions: Vec<PolicyException>,
}

/// Who decides what may run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-refused" = {
    "flux": "only Argo CD is supported as GitOps engine, and it is no policy engine; write `kyverno`",
}))]
pub enum PolicyEngine {
    /// Kyverno.
    Kyverno,
    /// OPA Gatekeeper.
    Gatekeeper,
}

/// Whether what breaks a policy is refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyMode {
    /// Refused.
    #[default]
    Enforce,
    /// Reported.
    Audit,
}

/// Who watches what runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RuntimeGuard {
    /// Falco.
    Falco,
}

/// What may break a policy, and until when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyException {
    /// Which policy.
    pub policy: Name,
    /// In which namespace.
    pub namespace: Name,
    /// Why.
    pub reason: String,
    /// Until when.
    pub expires: Date,
}

/// Where images come from, and what they must bring.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SupplyChain {
    /// The platform's own registry.
    pub registry: String,
    /// Whether images are named by digest.
    #[serde(default)]
    pub digests: super::git::Demand,
    /// Signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign: Option<Cosign>,
    /// Forms of the bill of materials.
    #[serde(default)]
    pub sbom: Vec<SbomFormat>,
    /// Platforms that every image must support, `linux/arm64`.
    #[serde(default)]
    pub platforms: Vec<ImagePlatform>,
    /// Severities of weaknesses that stop a release.
    #[serde(default)]
    pub fail_on: Vec<Weakness>,
}

/// Signatures of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Cosign {
    /// Where the key is.
    pub mode: CosignMode,
    /// The key, for `kms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_ref: Option<SecretRef>,
}

/// Where the key of signatures is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CosignMode {
    /// An identity instead of a key.
    Keyless,
    /// A key service.
    Kms,
}

/// Form of a bill of materials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SbomFormat {
    /// SPDX.
    SpdxJson,
    /// CycloneDX.
    CyclonedxJson,
}

/// Severity of a weakness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Weakness {
    /// Low.
    Low,
    /// Medium.
    Medium,
    /// High.
    High,
    /// Critical.
    Critical,
}

/// Who may log in, as what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Identity {
    /// The identity provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<Oidc>,
    /// Dex, where it stands before other directories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dex: Option<Dex>,
    /// What groups may do.
    #[serde(default)]
    pub groups: Vec<GroupRole>,
    /// The way in when the identity provider is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<BreakGlass>,
}

/// An OpenID Connect provider.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Oidc {
    /// Its URL.
    #[schemars(extend("pattern" = "^https://"))]
    pub issuer: String,
    /// Our name there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Where our secret there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret_ref: Option<SecretRef>,
    /// What is asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// A second factor that a token must prove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_mfa: Option<RequireMfa>,
    /// Who logs in with it.
    #[serde(default)]
    pub purpose: OidcPurpose,
}

/// Who logs in through an identity provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OidcPurpose {
    /// People.
    #[default]
    People,
    /// Pipelines.
    Ci,
}

/// A second factor that a token must prove.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequireMfa {
    /// In which claim.
    pub claim: String,
    /// With which of these values.
    pub values: Vec<String>,
}

/// Dex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dex {
    /// How many.
    #[serde(default = "two")]
    pub replicas: u32,
    /// Directories behind it.
    pub connectors: Vec<Connector>,
}

fn two() -> u32 {
    2
}

/// A directory behind Dex.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connector {
    /// Kind of directory.
    #[serde(rename = "type")]
    pub kind: ConnectorKind,
    /// Its id at Dex.
    pub id: Name,
    /// Its name for people.
    pub name: String,
    /// Where it is, `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Where the password of the searching account is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bind_ref: Option<SecretRef>,
    /// How groups are found; Dex's own words.
    #[serde(default)]
    pub group_search: Values,
    /// How people are found; Dex's own words.
    #[serde(default)]
    pub user_search: Values,
    /// Everything else that Dex wants; its own words.
    #[serde(default)]
    pub config: Values,
}

/// Kind of directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectorKind {
    /// LDAP.
    Ldap,
    /// SAML.
    Saml,
    /// GitHub.
    Github,
    /// Another OpenID Connect provider.
    Oidc,
}

/// What a group may do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GroupRole {
    /// The group at the identity provider.
    pub name: String,
    /// Its role at Argo CD, `role:admin`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argocd: Option<String>,
    /// Its role in Kubernetes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<KubernetesRole>,
}

/// A role in Kubernetes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesRole {
    /// Name of the ClusterRole.
    pub cluster_role: String,
}

/// The way in when the identity provider is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BreakGlass {
    /// The account.
    pub service_account: Name,
    /// How long a token of it lives.
    pub token_ttl: Duration,
    /// How many people it takes.
    #[serde(default = "two")]
    pub retrievers: u32,
    /// Whether its use raises an alert.
    #[serde(default)]
    pub alert: bool,
}

/// Where secrets live, and how long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Secrets {
    /// Where they live.
    pub backend: SecretBackend,
    /// Who brings them into clusters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<SecretOperator>,
    /// How SOPS encrypts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sops: Option<Sops>,
    /// How often the operator looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Duration>,
    /// How long a secret lives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,
}

/// Where secrets live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SecretBackend {
    /// HashiCorp Vault.
    Vault,
    /// Azure Key Vault.
    KeyVault,
    /// AWS Secrets Manager.
    SecretsManager,
    /// Google Secret Manager.
    GcpSm,
    /// Encrypted files in Git.
    Sops,
    /// Sealed Secrets in Git.
    Sealed,
    /// Kubernetes itself.
    K8s,
}

/// Who brings secrets into clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SecretOperator {
    /// External Secrets Operator.
    ExternalSecrets,
}

/// How SOPS encrypts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Sops {
    /// With what.
    pub kind: SopsKind,
    /// Where the key is.
    pub key_ref: SecretRef,
    /// Who decrypts on the way into the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize_or_helm_plugin: Option<SopsPlugin>,
}

/// With what SOPS encrypts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SopsKind {
    /// age.
    Age,
    /// PGP.
    Pgp,
    /// A key service.
    Kms,
}

/// Who decrypts SOPS files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SopsPlugin {
    /// helm-secrets.
    HelmSecrets,
    /// KSOPS.
    Ksops,
}

/// How long a secret lives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Rotation {
    /// At most so long; never more than 90 d.
    pub max_age: Duration,
    /// From when on `doctor` warns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warn_at: Option<Duration>,
    /// What is renewed.
    #[serde(default)]
    pub items: Vec<Name>,
}
