//! Restores, which hold on until Velero lets them go.

use platform_spec::Failure;
use serde_json::{Value, json};

use super::API_VERSION;
use crate::{client::Cluster, inventory::Remaining, object::ObjectRef};

/// With which Velero keeps a Restore until it has removed from the store what it wrote about it
/// (`ExternalResourcesFinalizer` in `pkg/controller/restore_controller.go`).
const FINALIZER: &str = "restores.velero.io/external-resources-finalizer";

/// Restores that are there.
#[derive(Clone, Debug, Default)]
pub struct Restores {
    /// What is left of them.
    pub left: Vec<Remaining>,
    /// Whether Velero runs and can let them go.
    pub velero: bool,
}

impl Restores {
    /// Whether something is to be done for them to go: they were not told to, or nobody is there who would let them.
    pub fn want_help(&self) -> bool {
        self.left.iter().any(|one| one.deleting.is_none()) || (!self.velero && !self.left.is_empty())
    }
}

impl Cluster {
    /// All Restores of an installation of Velero; none when its kinds are not served.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn restores(&self, namespace: &str) -> Result<Restores, Failure> {
        let found = self.list(API_VERSION, "Restore", Some(namespace)).await?;
        if found.is_empty() {
            return Ok(Restores::default());
        }
        let names = found.iter().filter_map(|live| live["metadata"]["name"].as_str());
        let objects: Vec<ObjectRef> = names.map(|name| restore(namespace, name)).collect();
        let server = self.get(&ObjectRef::namespaced("apps/v1", "Deployment", namespace, "velero")).await?;
        let runs = |live: &Value| {
            live["metadata"]["deletionTimestamp"].is_null()
                && live["status"]["availableReplicas"].as_u64() > Some(0)
        };
        Ok(Restores {
            left: self.still_there(&objects).await?,
            velero: server.is_some_and(|live| runs(&live)),
        })
    }

    /// Deletes all Restores of an installation, while Velero is there to let them go. Where it is not, they are let go for
    /// it, as `velero uninstall` does: what it wrote about them stays in the store. What was restored is not touched.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn remove_restores(&self, namespace: &str) -> Result<Restores, Failure> {
        let Restores { left, velero } = self.restores(namespace).await?;
        let objects: Vec<ObjectRef> = left.into_iter().map(|one| one.object).collect();
        let left = self.remove(&objects).await?;
        if velero {
            return Ok(Restores { left, velero });
        }
        for one in &left {
            let Some(live) = self.get(&one.object).await? else { continue };
            let held = live["metadata"]["finalizers"].as_array().into_iter().flatten();
            let others: Vec<&Value> = held.filter(|it| *it != FINALIZER).collect();
            let body = json!({ "metadata": {
                "finalizers": others, "resourceVersion": live["metadata"]["resourceVersion"],
            } });
            match self.merge(&one.object, &body).await {
                Ok(_) => {}
                // Gone, or changed by somebody else, since it was read: the next look says.
                Err(refusal) if matches!(refusal.http(), Some(404 | 409)) => {}
                Err(refusal) => return Err(refusal.during(format!("could not let go of {}", one.object))),
            }
        }
        Ok(Restores { left: self.still_there(&objects).await?, velero })
    }
}

fn restore(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef::namespaced(API_VERSION, "Restore", namespace, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_wanted_by_those_that_were_not_told_to_go_and_by_those_that_nobody_lets_go() {
        let restores = |deleted: Option<&str>, velero| {
            let live = json!({
                "apiVersion": API_VERSION, "kind": "Restore",
                "metadata": { "name": "x", "namespace": "velero", "deletionTimestamp": deleted },
            });
            Restores { left: vec![Remaining::of(&live)], velero }
        };
        let going = Some("2026-11-21T10:00:00Z");
        assert!(restores(None, true).want_help());
        assert!(!restores(going, true).want_help());
        assert!(restores(going, false).want_help());
        assert!(!Restores::default().want_help());
    }
}
