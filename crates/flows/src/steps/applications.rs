//! Argo CD's Applications: `argocd.synced` and `applications.remove`.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use platform_blueprint::LeafApplication;
use platform_engine::step::{Call, Observed, Progress, Step, Wait};
use platform_kube::{
    Verdict,
    argocd::{AppRef, At, Table},
    inventory::{Remaining, Search},
};
use platform_spec::{Class, Failure, LedgerChange};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    cluster::wait_for,
    objects::{reach_if_there, waiting_for_gone},
};
use crate::doors::{Doors, Reach, input};

/// Input of `argocd.synced`.
#[derive(Serialize, Deserialize)]
pub(crate) struct SyncedInput {
    /// The cluster.
    pub reach: Reach,
    /// Applications that bring others.
    pub roots: Vec<AppRef>,
    /// Applications that bring workloads: a parent says nothing about them.
    pub applications: Vec<LeafApplication>,
    /// The commit that each repository stands at, by its URL for Argo CD.
    pub commits: BTreeMap<String, String>,
}

impl SyncedInput {
    async fn table(&self, doors: &Doors) -> Result<Table, Failure> {
        let leaves = self.applications.iter().map(|leaf| AppRef::new(&leaf.namespace, &leaf.name));
        let expected: Vec<AppRef> = self.roots.iter().cloned().chain(leaves).collect();
        let at: Vec<At> = self
            .commits
            .iter()
            .map(|(repo, commit)| At { repo: repo.clone(), commit: commit.clone() })
            .collect();
        doors.cluster(&self.reach).await?.applications(&expected, &at).await
    }
}

/// Waits until every Application is synced and healthy at our commit, on two looks in a row.
///
/// Acts in two cases only: an Application that Argo CD has not compared with our commit yet is refreshed, and one whose
/// sync failed at our commit is synced once more in each attempt, since Argo CD by itself tries a commit once.
pub(crate) struct Synced(pub Arc<Doors>);

/// How long after a refresh that has not helped the next one is asked for.
const REFRESH_AGAIN: Duration = Duration::from_secs(5);

#[async_trait]
impl Step for Synced {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: SyncedInput = input(call)?;
        let table = input.table(&self.0).await?;
        if table.all_settled() {
            // Between two syncs all can look well for a moment: believe it the second time.
            if call.memory.operation["settled"] == true {
                return Ok(Observed::Matches {
                    output: json!({ "applications": table.rows.len() }),
                    ledger: Vec::new(),
                });
            }
            let again = wait_for("a second look at applications that all look well");
            return Ok(Observed::InProgress(Wait { operation: json!({ "settled": true }), ..again }));
        }
        if let Some(failure) = table.trouble().filter(|failure| failure.class != Class::Retryable) {
            if call.memory.intent.as_ref().is_some_and(|intent| intent["attempt"] == call.attempt) {
                return Err(failure);
            }
            return Ok(Observed::Differs { how: failure.message });
        }
        if table.is_stale(jiff::Timestamp::now()) && call.memory.operation.is_null() {
            return Ok(Observed::Differs { how: lacks(&table) });
        }
        Ok(Observed::InProgress(wait_for(lacks(&table))))
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "refresh": "applications", "attempt": call.attempt }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: SyncedInput = input(call)?;
        let table = input.table(&self.0).await?;
        let cluster = self.0.cluster(&input.reach).await?;
        cluster.refresh_stale(&table).await?;
        cluster.sync_again(&table).await?;
        Ok(Progress::InProgress(Wait { look_after: REFRESH_AGAIN, ..wait_for(lacks(&table)) }))
    }
}

fn lacks(table: &Table) -> String {
    match table.verdict() {
        Verdict::Met => "a second look".into(),
        Verdict::NotYet { waiting_for } => waiting_for,
        Verdict::Never { because } => because,
    }
}

/// Input of `applications.remove`.
#[derive(Serialize, Deserialize)]
pub(crate) struct RemoveInput {
    /// The cluster.
    pub reach: Reach,
    /// Namespaces whose load balancers and volumes must be gone too.
    #[serde(default)]
    pub namespaces: Vec<String>,
}

/// Removes Applications with everything they brought, while the controllers that release load balancers and volumes
/// still live.
pub(crate) struct Remove(pub Arc<Doors>);

impl Remove {
    /// Applications, and after them what only looks deleted: load balancers and volumes.
    async fn left(&self, input: &RemoveInput) -> Result<(Vec<Remaining>, bool), Failure> {
        let Some(cluster) = reach_if_there(&self.0, &input.reach).await? else {
            return Ok((Vec::new(), false));
        };
        let owner = input.reach.request.platform.as_str();
        let applications = cluster.applications_left(owner, &[]).await?;
        if !applications.is_empty() {
            return Ok((applications, true));
        }
        let search = Search { namespaces: input.namespaces.clone(), ..Search::default() };
        Ok((cluster.inventory(&search).await?, false))
    }
}

fn gone(input: &RemoveInput) -> (Value, Vec<LedgerChange>) {
    let key = format!("{}/applications", input.reach.request.cluster);
    (json!({ "gone": true }), vec![LedgerChange::Drop { key }])
}

#[async_trait]
impl Step for Remove {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: RemoveInput = input(call)?;
        let (left, applications) = self.left(&input).await?;
        if left.is_empty() {
            let (output, ledger) = gone(&input);
            return Ok(Observed::Matches { output, ledger });
        }
        if applications && left.iter().any(|one| one.deleting.is_none()) {
            return Ok(Observed::Differs { how: format!("{} applications are there", left.len()) });
        }
        Ok(Observed::InProgress(waiting_for_gone(&left)))
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "remove": "applications", "cluster": call.input["reach"]["request"]["cluster"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: RemoveInput = input(call)?;
        let owner = input.reach.request.platform.as_str();
        let left = self.0.cluster(&input.reach).await?.remove_applications(owner, &[]).await?;
        Ok(Progress::InProgress(if left.is_empty() {
            wait_for("load balancers and volumes to go")
        } else {
            waiting_for_gone(&left)
        }))
    }
}
