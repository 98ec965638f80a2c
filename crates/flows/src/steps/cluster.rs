//! `cluster.ready`: the Kubernetes API answers and its nodes are Ready.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use platform_engine::step::{Call, Observed, Progress, Step, Wait};
use platform_kube::{Cluster, Condition, Verdict};
use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::doors::{Doors, Reach, input};

/// Input of `cluster.ready`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Input {
    /// The cluster.
    pub reach: Reach,
}

/// Waits until a cluster can be used. Has no effect of its own.
pub(crate) struct ClusterReady(pub Arc<Doors>);

#[async_trait]
impl Step for ClusterReady {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: Input = input(call)?;
        let cluster = self.0.cluster(&input.reach).await?;
        cluster.ready().await?;
        if let Some(wait) = pending(&cluster, &Condition::NodesReady { at_least: 1 }).await? {
            return Ok(Observed::InProgress(wait));
        }
        let output = json!({ "version": cluster.version().await?, "uid": cluster.uid().await? });
        Ok(Observed::Matches { output, ledger: Vec::new() })
    }

    fn intent(&self, _call: &Call) -> Option<Value> {
        None
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        Err(only_looks(call))
    }
}

/// What a step answers that only ever looks.
pub(crate) fn only_looks(call: &Call) -> Failure {
    Failure::new(
        Code::new("P0703"),
        Class::Bug,
        format!("step `{}` only looks and was asked to act", call.step),
    )
}

/// Looks at a condition; `None` when it is met.
///
/// # Errors
/// A condition that can never be met, or that could not be looked at.
pub(crate) async fn pending(cluster: &Cluster, condition: &Condition) -> Result<Option<Wait>, Failure> {
    match cluster.check(condition).await? {
        Verdict::Met => Ok(None),
        Verdict::NotYet { waiting_for } => Ok(Some(wait_for(waiting_for))),
        Verdict::Never { because } => {
            Err(Failure::new(Code::new("P0421"), Class::Config, "waited for what cannot come")
                .because(because))
        }
    }
}

/// A wait inside a cluster, where things change within seconds.
pub(crate) fn wait_for(waiting_for: impl Into<String>) -> Wait {
    Wait { waiting_for: waiting_for.into(), operation: Value::Null, look_after: Duration::from_secs(1) }
}
