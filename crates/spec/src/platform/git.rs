//! `git`: where Git is, and which repositories there are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::secret::SecretRef;

/// Where Git is, and which repositories there are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Git {
    /// The server.
    pub server: Server,
    /// Whether commits must be signed.
    #[serde(default)]
    pub signed_commits: Demand,
    /// Whether commits are searched for secrets.
    #[serde(default)]
    pub secret_scan: Demand,
    /// The repositories; at least one has the role `platform`.
    #[schemars(length(min = 1))]
    pub repositories: Vec<Repository>,
}

/// Whether something is demanded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Demand {
    /// Refused without it.
    Required,
    /// Welcome.
    #[default]
    Optional,
}

/// The Git server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Server {
    /// How repositories are created and protected there.
    pub kind: ServerKind,
    /// Base of every repository's URL (`<url>/<name>.git`), as this program reaches it: https, http, ssh or file.
    #[schemars(extend("format" = "git-url"))]
    pub url: String,
    /// The same base as Argo CD reaches it from inside the clusters. Absent: the same as `url`, or on kind, for a `file:` URL with
    /// `kind: local`, the Git server that a container beside the cluster is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "git-url"))]
    pub in_cluster_url: Option<String>,
    /// Project or group on servers that have them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// User name that goes with the password or token; `git` where the server does not care.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Where the token, password or private key is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<SecretRef>,
}

/// How repositories are created and protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ServerKind {
    /// github.com or GitHub Enterprise.
    Github,
    /// gitlab.com or a GitLab of one's own.
    Gitlab,
    /// Bitbucket Server / Data Center.
    BitbucketServer,
    /// Bare repositories in a directory of this machine, made when they are missing.
    Local,
    /// Any https, ssh or file remote; its repositories exist already or are made by the first push.
    Generic,
}

/// One repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repository {
    /// Its name, and the last part of its URL.
    pub name: Name,
    /// What is in it.
    pub role: RepositoryRole,
    /// The branch that is written to.
    #[serde(default = "main")]
    pub default_branch: String,
    /// Branch protection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protect: Option<Protection>,
    /// How directories are sharded when there are many tenants.
    #[serde(default)]
    pub split_by: SplitBy,
    /// Directory within the repository under which everything is rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "relative-path"))]
    pub root: Option<String>,
}

fn main() -> String {
    "main".into()
}

/// What is in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RepositoryRole {
    /// The platform itself: Argo CD's root, add-ons, projects.
    Platform,
    /// Tenants' configuration.
    Config,
    /// Applications.
    Apps,
    /// Infrastructure code.
    Infra,
}

/// Branch protection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Protection {
    /// Reviews needed before a merge.
    #[serde(default)]
    pub reviews: u32,
    /// Whether code owners must be among the reviewers.
    #[serde(default)]
    pub codeowners: bool,
}

/// How a repository's directories are sharded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SplitBy {
    /// Not at all.
    #[default]
    None,
    /// By the tenants' region.
    Region,
    /// By the tenants' tier.
    Tier,
}
