//! Argo CD's Applications: `argocd.synced` and `applications.remove`.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
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
    argocd::repository_secret,
    cluster::wait_for,
    objects::{APPLY, Reached, reach_to_remove, waiting_for_gone},
};
use crate::doors::{Doors, Reach, Repository, input};

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
    /// Argo CD's namespace.
    #[serde(default)]
    pub namespace: String,
    /// The repositories, with their handles.
    #[serde(default)]
    pub repositories: Vec<Repository>,
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
/// Acts in three cases only: an Application that Argo CD has not compared with our commit yet is refreshed; one whose
/// sync failed at our commit is synced once more in each attempt, since Argo CD by itself tries a commit once; and when
/// a repository refuses Argo CD, it is given the password anew, in case somebody has mended it, and asked again for as
/// long as [`PATIENCE`].
pub(crate) struct Synced(pub Arc<Doors>);

/// How long a repository may refuse before it is believed: longer than Argo CD remembers what it read from Git, and
/// than a Git server takes to start anew.
const PATIENCE: SignedDuration = SignedDuration::from_mins(2);
/// A pause between two refreshes after which the counting begins anew: nobody was there, and much may have changed.
const PAUSE: SignedDuration = SignedDuration::from_mins(1);

/// Refreshes in a row, as the intent of the last one has them.
#[derive(Serialize, Deserialize)]
struct Refreshes {
    /// Which attempt asked for them.
    attempt: u32,
    /// When the first was asked for.
    since: Timestamp,
    /// When the last was.
    last: Timestamp,
}

impl Refreshes {
    /// Those of this attempt that are still in a row.
    fn of(call: &Call, now: Timestamp) -> Option<Self> {
        let made: Self = serde_json::from_value(call.memory.intent.clone()?).ok()?;
        (made.attempt == call.attempt && now.duration_since(made.last) < PAUSE).then_some(made)
    }

    fn go_on_for(call: &Call, now: Timestamp, patience: SignedDuration) -> bool {
        Self::of(call, now).is_some_and(|made| now.duration_since(made.since) >= patience)
    }
}

/// How long after a refresh that has not helped the next one is asked for.
const REFRESH_AGAIN: SignedDuration = SignedDuration::from_secs(5);

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
        if !call.memory.operation.is_null() {
            // They looked well once and do not now: what is to be done about it is decided at the next look.
            return Ok(Observed::InProgress(wait_for(lacks(&table))));
        }
        if let Some(failure) = table.trouble().filter(|failure| failure.class != Class::Retryable) {
            if call.memory.intent.as_ref().is_some_and(|intent| intent["attempt"] == call.attempt) {
                return Err(failure);
            }
            return Ok(Observed::Differs { how: failure.message });
        }
        let now = self.0.roads.now();
        if let Some(failure) = table.refused(now, PATIENCE)
            && Refreshes::go_on_for(call, now, PATIENCE)
        {
            return Err(failure);
        }
        let just_asked =
            Refreshes::of(call, now).is_some_and(|made| now.duration_since(made.last) < REFRESH_AGAIN);
        if table.is_stale(now) && !just_asked {
            return Ok(Observed::Differs { how: lacks(&table) });
        }
        Ok(Observed::InProgress(wait_for(lacks(&table))))
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        let now = self.0.roads.now();
        let since = Refreshes::of(call, now).map_or(now, |made| made.since);
        Some(json!({ "refresh": "applications", "attempt": call.attempt, "since": since, "last": now }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: SyncedInput = input(call)?;
        let table = input.table(&self.0).await?;
        let cluster = self.0.cluster(&input.reach).await?;
        if table.is_refused() {
            for repository in &input.repositories {
                let secret = repository_secret(&input.reach, &input.namespace, repository).await?;
                cluster.apply(&secret, APPLY).await?;
            }
        }
        cluster.refresh_stale(&table).await?;
        cluster.sync_again(&table).await?;
        Ok(Progress::InProgress(wait_for(lacks(&table))))
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
    /// All that is in the cluster ends with it, and it is about to.
    #[serde(default)]
    pub ends: bool,
}

/// Removes Applications with everything they brought, while the controllers that release load balancers and volumes
/// still live.
pub(crate) struct Remove(pub Arc<Doors>);

impl Remove {
    /// Applications, and after them what only looks deleted: load balancers and volumes.
    async fn left(&self, input: &RemoveInput, reached: &Reached) -> Result<(Vec<Remaining>, bool), Failure> {
        let Reached::There(cluster) = reached else { return Ok((Vec::new(), false)) };
        let owner = input.reach.request.platform.as_str();
        let applications = cluster.applications_left(owner, &[]).await?;
        if !applications.is_empty() {
            return Ok((applications, true));
        }
        let search = Search { namespaces: input.namespaces.clone(), ..Search::default() };
        Ok((cluster.inventory(&search).await?, false))
    }
}

fn gone(input: &RemoveInput) -> Vec<LedgerChange> {
    vec![LedgerChange::Drop { key: format!("{}/applications", input.reach.request.cluster) }]
}

#[async_trait]
impl Step for Remove {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: RemoveInput = input(call)?;
        let reached = reach_to_remove(&self.0, &input.reach, input.ends).await?;
        let (left, applications) = self.left(&input, &reached).await?;
        if left.is_empty() {
            return Ok(Observed::Matches { output: reached.output(), ledger: gone(&input) });
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

#[cfg(test)]
mod tests {
    use platform_engine::step::Memory;
    use platform_spec::{RunId, StepId};
    use tokio_util::sync::CancellationToken;

    use super::*;

    fn call(attempt: u32, intent: Option<Value>) -> Call {
        Call {
            run: RunId::new("R"),
            step: StepId::new("demo/argocd.synced"),
            attempt,
            epoch: 1,
            input: Value::Null,
            token: String::new(),
            memory: Memory { intent, ..Memory::default() },
            cancel: CancellationToken::new(),
        }
    }

    #[test]
    fn a_refusal_is_believed_after_refreshes_in_a_row_by_this_attempt() {
        let at = |text: &str| format!("2026-11-21T{text}Z").parse::<Timestamp>().expect("a time");
        let made = |attempt, since, last| {
            Some(json!({"refresh": "applications", "attempt": attempt, "since": at(since), "last": at(last)}))
        };
        for (intent, believed) in [
            (None, false),
            (made(2, "10:00:00", "10:01:55"), true),
            (made(2, "10:00:30", "10:01:55"), false),
            // an attempt before the run was held
            (made(1, "10:00:00", "10:01:55"), false),
            // a run that was interrupted while it waited, and is resumed now
            (made(2, "09:00:00", "09:03:00"), false),
            // of a version that counted nothing
            (Some(json!({"refresh": "applications", "attempt": 2})), false),
        ] {
            let words = format!("{intent:?}");
            let asked = Refreshes::go_on_for(&call(2, intent), at("10:02:00"), PATIENCE);
            assert_eq!(asked, believed, "{words}");
        }
    }
}
