//! Argo CD's bootstrap, the only thing that is applied by hand: `argocd.install`, `argocd.repository`,
//! `argocd.root`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use platform_engine::step::{Call, Observed, Progress, Step, Wait};
use platform_kube::{
    Manifest,
    argocd::{AppRef, repository},
};
use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    cluster::pending,
    objects::{APPLY, lacking, put},
};
use crate::doors::{self, Doors, Reach, Repository, input};

/// Input of `argocd.install`.
#[derive(Serialize, Deserialize)]
pub(crate) struct InstallInput {
    /// The cluster.
    pub reach: Reach,
    /// Which version.
    pub version: String,
    /// Where.
    pub namespace: String,
    /// How often Git is asked.
    #[serde(default)]
    pub poll_interval: Option<platform_spec::platform::Duration>,
}

/// Installs Argo CD by server-side apply of its own manifest.
pub(crate) struct Install(pub Arc<Doors>);

impl Install {
    async fn manifest(&self, input: &InstallInput) -> Result<Arc<Manifest>, Failure> {
        let Doors { artifacts, installs, .. } = &*self.0;
        let owner = input.reach.request.platform.as_str();
        let poll = input.poll_interval.map(|interval| Duration::from_millis(interval.as_ms()));
        installs.argocd(artifacts, owner, &input.version, &input.namespace, poll).await
    }
}

/// How long what was applied is believed to be there while it becomes available.
const BELIEVED: SignedDuration = SignedDuration::from_secs(30);

/// What is waited for after an apply that went through.
#[derive(Serialize, Deserialize)]
struct Applied {
    /// When that was.
    applied: Timestamp,
}

#[async_trait]
impl Step for Install {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: InstallInput = input(call)?;
        let manifest = self.manifest(&input).await?;
        let cluster = self.0.cluster(&input.reach).await?;
        // Comparing reads megabytes: not at every look at what was applied just now.
        let applied = serde_json::from_value::<Applied>(call.memory.operation.clone()).ok();
        if applied.is_some_and(|it| self.0.roads.now().duration_since(it.applied) < BELIEVED)
            && let Some(wait) = pending(&cluster, &manifest.rollout()).await?
        {
            return Ok(Observed::InProgress(Wait { operation: call.memory.operation.clone(), ..wait }));
        }
        if let Some(lacking) = lacking(&cluster, &manifest).await? {
            return Ok(lacking);
        }
        if let Some(wait) = pending(&cluster, &manifest.readiness()).await? {
            return Ok(Observed::InProgress(wait));
        }
        Ok(Observed::Matches {
            output: json!({ "version": input.version, "namespace": input.namespace }),
            ledger: put(&input.reach, "argocd", format!("{}@{}", input.namespace, input.version), true),
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "apply": "argocd", "version": call.input["version"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: InstallInput = input(call)?;
        let manifest = self.manifest(&input).await?;
        let cluster = self.0.cluster(&input.reach).await?;
        cluster.apply(&manifest, APPLY).await?;
        let operation = json!(Applied { applied: self.0.roads.now() });
        Ok(Progress::InProgress(Wait {
            operation,
            ..super::cluster::wait_for("Argo CD to become available")
        }))
    }
}

/// Input of `argocd.repository`.
#[derive(Serialize, Deserialize)]
pub(crate) struct RepositoryInput {
    /// The cluster.
    pub reach: Reach,
    /// Argo CD's namespace.
    pub namespace: String,
    /// Which repository.
    pub repository: Repository,
}

/// Gives Argo CD what it needs to pull a repository.
pub(crate) struct RepositorySecret(pub Arc<Doors>);

/// The Secret as it should be now: the password is read.
pub(crate) async fn repository_secret(
    reach: &Reach,
    namespace: &str,
    of: &Repository,
) -> Result<Manifest, Failure> {
    let password = doors::secret(of.auth_ref.as_ref()).await?;
    let login = password.map(|password| (of.username.as_str(), password));
    let name = format!("repository-{}", of.name);
    Ok(repository(reach.request.platform.as_str(), namespace, &name, &of.in_cluster_url, login))
}

impl RepositorySecret {
    async fn manifest(&self, input: &RepositoryInput) -> Result<Manifest, Failure> {
        repository_secret(&input.reach, &input.namespace, &input.repository).await
    }
}

#[async_trait]
impl Step for RepositorySecret {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: RepositoryInput = input(call)?;
        let manifest = self.manifest(&input).await?;
        let cluster = self.0.cluster(&input.reach).await?;
        if let Some(lacking) = lacking(&cluster, &manifest).await? {
            return Ok(lacking);
        }
        let what = format!("argocd.repository/{}", input.repository.name);
        Ok(Observed::Matches {
            output: json!({ "url": input.repository.in_cluster_url }),
            ledger: put(&input.reach, &what, &input.repository.in_cluster_url, true),
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "apply": "repository secret", "repository": call.input["repository"]["name"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: RepositoryInput = input(call)?;
        let manifest = self.manifest(&input).await?;
        self.0.cluster(&input.reach).await?.apply(&manifest, APPLY).await?;
        let what = format!("argocd.repository/{}", input.repository.name);
        Ok(Progress::Done {
            output: json!({ "url": input.repository.in_cluster_url }),
            ledger: put(&input.reach, &what, &input.repository.in_cluster_url, true),
        })
    }
}

/// Input of `argocd.root`.
#[derive(Serialize, Deserialize)]
pub(crate) struct RootInput {
    /// The cluster.
    pub reach: Reach,
    /// The platform repository's tree.
    pub tree: String,
    /// Directory in it under which everything is rendered; empty for its root.
    #[serde(default)]
    pub directory: String,
}

/// The file of the root application: the usual name, and the one of repositories that are laid out as the pattern is called.
const ROOTS: [&str; 2] = ["root.yaml", "app-of-apps.yaml"];

/// Applies what a blueprint puts at `argocd/projects/` and into one of [`ROOTS`].
pub(crate) struct Root(pub Arc<Doors>);

impl Root {
    fn manifest(&self, input: &RootInput) -> Result<(Manifest, Vec<AppRef>), Failure> {
        let tree = self.0.trees.get(&input.tree)?;
        let argocd = match input.directory.as_str() {
            "" => "argocd/".to_owned(),
            directory => format!("{directory}/argocd/"),
        };
        let mut yaml = String::new();
        for (path, file) in &tree {
            let Some(rest) = path.strip_prefix(&argocd) else { continue };
            if ROOTS.contains(&rest) || (rest.starts_with("projects/") && rest.ends_with(".yaml")) {
                yaml.push_str("\n---\n");
                yaml.push_str(&String::from_utf8_lossy(&file.bytes));
            }
        }
        let manifest = Manifest::parse(input.reach.request.platform.as_str(), &yaml)?;
        let roots: Vec<AppRef> = manifest
            .ids()
            .iter()
            .filter(|id| id.kind == "Application")
            .map(|id| AppRef::new(id.namespace.as_deref().unwrap_or_default(), &id.name))
            .collect();
        if roots.is_empty() {
            return Err(Failure::new(
                Code::new("P0713"),
                Class::Config,
                "the blueprint has no root application",
            )
            .because(format!(
                "there is no Application in {argocd}{}",
                ROOTS.join(&format!(" or {argocd}"))
            )));
        }
        Ok((manifest, roots))
    }
}

#[async_trait]
impl Step for Root {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: RootInput = input(call)?;
        let (manifest, roots) = self.manifest(&input)?;
        let cluster = self.0.cluster(&input.reach).await?;
        if let Some(lacking) = lacking(&cluster, &manifest).await? {
            return Ok(lacking);
        }
        Ok(Observed::Matches { ledger: listed(&input, &roots), output: json!({ "roots": roots }) })
    }

    fn intent(&self, _call: &Call) -> Option<Value> {
        Some(json!({ "apply": "projects and root application" }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: RootInput = input(call)?;
        let (manifest, roots) = self.manifest(&input)?;
        self.0.cluster(&input.reach).await?.apply(&manifest, APPLY).await?;
        Ok(Progress::Done { ledger: listed(&input, &roots), output: json!({ "roots": roots }) })
    }
}

fn listed(input: &RootInput, roots: &[AppRef]) -> Vec<platform_spec::LedgerChange> {
    let names: Vec<String> = roots.iter().map(AppRef::to_string).collect();
    put(&input.reach, "applications", names.join(","), true)
}
