//! One resource of a cluster, through its provider: `resource.ensure` and `resource.remove`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use platform_engine::step::{Call, Observed, Progress, Step, Wait};
use platform_provider::{Ensured, Observation, Ownership, Removed, ResourceCall, Thing, reply};
use platform_spec::{Class, Code, Failure, LedgerChange, event::LedgerEntry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::doors::{Doors, Reach, input};

/// Input of both steps.
#[derive(Serialize, Deserialize)]
pub(crate) struct Input {
    /// The cluster.
    pub reach: Reach,
    /// Which resource of it.
    pub resource: String,
    /// Outputs of the resources it needs, by their ids.
    #[serde(default)]
    pub outputs: BTreeMap<String, Value>,
}

impl Input {
    fn key(&self) -> String {
        format!("{}/{}", self.reach.request.cluster, self.resource)
    }

    fn call(&self, call: &Call) -> ResourceCall {
        ResourceCall {
            attempt: call.attempt,
            operation: call.memory.operation.clone(),
            outputs: self.outputs.clone(),
            ..self.reach.request.call(&self.resource, &call.token, call.epoch)
        }
    }

    fn put(&self, thing: &Thing) -> Vec<LedgerChange> {
        vec![LedgerChange::Put(LedgerEntry {
            key: self.key(),
            kind: "resource".into(),
            external_id: thing.external_id.clone(),
            owned: thing.ownership == Ownership::Owned,
            detail: json!({ "provider": self.reach.provider, "cluster": self.reach.request.cluster }),
        })]
    }

    fn drop(&self) -> Vec<LedgerChange> {
        vec![LedgerChange::Drop { key: self.key() }]
    }
}

/// Makes a resource exist as its provider understands the spec.
pub(crate) struct EnsureResource(pub Arc<Doors>);

#[async_trait]
impl Step for EnsureResource {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: Input = input(call)?;
        let provider = self.0.provider(&input.reach.provider)?;
        Ok(match provider.observe(&input.call(call)).await? {
            Observation::Absent => Observed::Absent,
            Observation::Present { thing, differs: None } => {
                Observed::Matches { ledger: input.put(&thing), output: thing.outputs }
            }
            Observation::Present { differs: Some(how), .. } => Observed::Differs { how },
            Observation::InProgress(wait) => Observed::InProgress(waiting(wait)),
            Observation::Broken { why } => return Err(broken(&input, why)),
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(
            json!({ "ensure": call.input["resource"], "cluster": call.input["reach"]["request"]["cluster"] }),
        )
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: Input = input(call)?;
        let provider = self.0.provider(&input.reach.provider)?;
        Ok(match provider.ensure(&input.call(call)).await? {
            Ensured::Done { thing, .. } => {
                Progress::Done { ledger: input.put(&thing), output: thing.outputs }
            }
            Ensured::InProgress(wait) => Progress::InProgress(waiting(wait)),
        })
    }
}

/// Makes a resource be gone. One that was adopted is let go and stays.
pub(crate) struct RemoveResource(pub Arc<Doors>);

#[async_trait]
impl Step for RemoveResource {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: Input = input(call)?;
        let provider = self.0.provider(&input.reach.provider)?;
        let ledger = input.drop();
        match provider.observe(&input.call(call)).await {
            Ok(Observation::Absent) => Ok(Observed::Matches { output: json!({ "gone": true }), ledger }),
            Ok(Observation::Present { thing, .. }) if thing.ownership == Ownership::Adopted => {
                Ok(Observed::Matches { output: json!({ "kept": "it was here before us" }), ledger })
            }
            Ok(Observation::Present { .. }) => Ok(Observed::Differs { how: "it is still there".into() }),
            Ok(Observation::Broken { why }) => Ok(Observed::Differs { how: why }),
            Ok(Observation::InProgress(wait)) if call.memory.intent.is_some() => {
                Ok(Observed::InProgress(waiting(wait)))
            }
            // Something begun by an earlier run is removed too; the provider says how long that has to wait.
            Ok(Observation::InProgress(wait)) => Ok(Observed::Differs { how: wait.waiting_for }),
            Err(failure) if failure.class == Class::NotFound => {
                Ok(Observed::Matches { output: json!({ "gone": true }), ledger })
            }
            Err(failure) => Err(failure),
        }
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(
            json!({ "remove": call.input["resource"], "cluster": call.input["reach"]["request"]["cluster"] }),
        )
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: Input = input(call)?;
        let provider = self.0.provider(&input.reach.provider)?;
        Ok(match provider.remove(&input.call(call)).await? {
            Removed::Done => Progress::Done { output: json!({ "gone": true }), ledger: input.drop() },
            Removed::Kept { why } => Progress::Done { output: json!({ "kept": why }), ledger: input.drop() },
            Removed::InProgress(wait) => Progress::InProgress(waiting(wait)),
            Removed::Blocked { by } => Progress::InProgress(Wait {
                waiting_for: format!("{} to let go of it", by.join(", ")),
                operation: Value::Null,
                look_after: BLOCKED,
            }),
        })
    }
}

/// How long to wait before something that is blocked is removed again: clouds take about this long to notice that a
/// load balancer or a volume is gone.
const BLOCKED: Duration = Duration::from_secs(10);

fn waiting(wait: reply::Wait) -> Wait {
    Wait {
        waiting_for: wait.waiting_for,
        operation: wait.operation,
        look_after: Duration::from_millis(wait.poll_after_ms),
    }
}

fn broken(input: &Input, why: String) -> Failure {
    Failure::new(
        Code::new("P0711"),
        Class::Config,
        format!("`{}` is broken and does not mend itself", input.key()),
    )
    .because(why)
    .hint("look at it at the provider; `platform down` removes it, `platform up` then makes it anew")
}
