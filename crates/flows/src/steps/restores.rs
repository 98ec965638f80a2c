//! `restores.remove`.

use std::sync::Arc;

use async_trait::async_trait;
use platform_engine::step::{Call, Observed, Progress, Step};
use platform_spec::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::objects::{Reached, reach_to_remove, waiting_for_gone};
use crate::doors::{Doors, Reach, input};

/// Input of `restores.remove`.
#[derive(Serialize, Deserialize)]
pub(crate) struct RemoveInput {
    /// The cluster.
    pub reach: Reach,
    /// Velero's namespace.
    pub namespace: String,
    /// All that is in the cluster ends with it, and it is about to.
    #[serde(default)]
    pub ends: bool,
}

/// Removes Velero's Restores while Velero lives: each bears a finalizer of it, and would hold its namespace for ever once
/// Velero is gone.
pub(crate) struct Remove(pub Arc<Doors>);

#[async_trait]
impl Step for Remove {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: RemoveInput = input(call)?;
        let reached = reach_to_remove(&self.0, &input.reach, input.ends).await?;
        let gone = || Observed::Matches { output: reached.output(), ledger: Vec::new() };
        let Reached::There(cluster) = &reached else { return Ok(gone()) };
        let restores = cluster.restores(&input.namespace).await?;
        Ok(match restores.left.len() {
            0 => gone(),
            n if restores.want_help() => Observed::Differs { how: format!("{n} restores are there") },
            _ => Observed::InProgress(waiting_for_gone(&restores.left)),
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "remove": "restores", "cluster": call.input["reach"]["request"]["cluster"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: RemoveInput = input(call)?;
        let restores = self.0.cluster(&input.reach).await?.remove_restores(&input.namespace).await?;
        Ok(Progress::InProgress(waiting_for_gone(&restores.left)))
    }
}
