//! What is applied to install Argo CD, read once: two megabytes of YAML, looked at again and again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use platform_artifact::{Artifacts, support};
use platform_kube::{
    Manifest, Object,
    argocd::{InstallOptions, install},
};
use platform_spec::Failure;

/// Manifests that were read. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Installs {
    read: Arc<Mutex<BTreeMap<Asked, Arc<Manifest>>>>,
    lean: bool,
}

/// Which installation: owner, version, namespace, how often Git is looked at.
type Asked = (String, &'static str, String, Option<Duration>);

impl Installs {
    /// Only what an emulated Argo CD asks for: its definitions, without schemas, its settings, and the two workloads that
    /// the others stand for. A simulation of a thousand clusters does without the rest.
    pub fn lean() -> Self {
        Self { lean: true, ..Self::default() }
    }

    /// Argo CD's manifest for an owner, version and namespace.
    ///
    /// # Errors
    /// A version that is not supported, an artifact that cannot be had or is no manifest of Argo CD.
    pub async fn argocd(
        &self,
        artifacts: &Artifacts,
        owner: &str,
        version: &str,
        namespace: &str,
        poll_interval: Option<Duration>,
    ) -> Result<Arc<Manifest>, Failure> {
        let version = support::argocd(version)?.version;
        let asked = (owner.to_owned(), version, namespace.to_owned(), poll_interval);
        if let Some(manifest) = self.read().get(&asked) {
            return Ok(manifest.clone());
        }
        let upstream = artifacts.get("argocd-install", version).await?;
        let mut options = InstallOptions { namespace: namespace.to_owned(), ..InstallOptions::default() };
        if let Some(interval) = poll_interval {
            options.reconciliation = interval;
        }
        let manifest = install(owner, &upstream, &options)?;
        let manifest =
            Arc::new(if self.lean { manifest.without_schemas().only(is_needed) } else { manifest });
        self.read().insert(asked, manifest.clone());
        Ok(manifest)
    }

    fn read(&self) -> std::sync::MutexGuard<'_, BTreeMap<Asked, Arc<Manifest>>> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_needed(object: &Object) -> bool {
    match object.kind() {
        "CustomResourceDefinition"
        | "Namespace"
        | "ServiceAccount"
        | "ConfigMap"
        | "Secret"
        | "StatefulSet" => true,
        "Deployment" => object.id().name == "argocd-repo-server",
        _ => false,
    }
}
