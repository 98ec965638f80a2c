//! Objects in a cluster: manifests that bootstrap steps apply, and `objects.remove`, which takes away everything that
//! bears our label.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use platform_engine::step::{Call, Observed, Progress, Step, Wait};
use platform_kube::{
    Cluster, Manifest, ObjectRef,
    apply::{Existing, Options},
    inventory::{Remaining, Search},
};
use platform_provider::{Observation, resource::CONTROL_PLANE};
use platform_spec::{Class, Failure, LedgerChange, event::LedgerEntry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::doors::{Doors, Reach, input};

/// How bootstrap manifests are applied: fields of ours are ours, and what was there before us is used but not claimed.
pub(crate) const APPLY: Options = Options { force: true, existing: Existing::Share };

/// What looking at a manifest found; `None` when it is there as wished.
///
/// # Errors
/// The classified refusal.
pub(crate) async fn lacking(cluster: &Cluster, manifest: &Manifest) -> Result<Option<Observed>, Failure> {
    let diff = cluster.observe(manifest, APPLY).await?;
    Ok(match (diff.is_match(), diff.is_absent()) {
        (true, _) => None,
        (_, true) => Some(Observed::Absent),
        _ => Some(Observed::Differs { how: diff.summary() }),
    })
}

/// The ledger's line about a group of objects in a cluster.
pub(crate) fn put(
    reach: &Reach,
    what: &str,
    external_id: impl Into<String>,
    owned: bool,
) -> Vec<LedgerChange> {
    vec![LedgerChange::Put(LedgerEntry {
        key: format!("{}/{what}", reach.request.cluster),
        kind: what.split('/').next().unwrap_or(what).to_owned(),
        external_id: external_id.into(),
        owned,
        detail: json!({ "cluster": reach.request.cluster }),
    })]
}

/// A cluster out of which something is to be taken.
pub(crate) enum Reached {
    /// It answers.
    There(Box<Cluster>),
    /// Its provider says that there is none.
    Gone,
    /// It can be asked nothing, and what is in it goes with it: why.
    Lame(String),
}

impl Reached {
    /// What a step has to say that finds nothing to take away.
    pub fn output(&self) -> Value {
        match self {
            Self::Lame(why) => {
                json!({ "skipped": format!("it goes with the cluster, which cannot be asked: {why}") })
            }
            Self::There(_) | Self::Gone => json!({ "gone": true }),
        }
    }
}

/// Connects to a cluster that may be gone. `ends`: all that is in it ends with it, and it is about to.
///
/// # Errors
/// The cluster does not answer, and its provider does not say that it is gone.
pub(crate) async fn reach_to_remove(doors: &Doors, reach: &Reach, ends: bool) -> Result<Reached, Failure> {
    if ends {
        let ailments = doors.provider(&reach.provider)?.ailments(&reach.request).await?;
        if let Some(lames) = ailments.into_iter().find(|ailment| ailment.lames) {
            return Ok(Reached::Lame(lames.what));
        }
    }
    Ok(match reach_if_there(doors, reach).await? {
        Some(cluster) => Reached::There(Box::new(cluster)),
        None => Reached::Gone,
    })
}

/// Connects to a cluster that may be gone: `None` when its provider says that there is none.
pub(crate) async fn reach_if_there(doors: &Doors, reach: &Reach) -> Result<Option<Cluster>, Failure> {
    let refusal = match doors.cluster(reach).await {
        Ok(cluster) => match cluster.ready().await {
            Ok(()) => return Ok(Some(cluster)),
            Err(refusal) => refusal,
        },
        Err(refusal) => refusal,
    };
    let look = reach.request.call(CONTROL_PLANE, "", 0);
    match doors.provider(&reach.provider)?.observe(&look).await {
        Ok(Observation::Absent) => Ok(None),
        // Begun and not finished: what has no access yet has nothing in it.
        Ok(Observation::InProgress(_) | Observation::Present { differs: Some(_), .. })
            if refusal.class == Class::NotFound =>
        {
            Ok(None)
        }
        // On its way, be it here or away: what is in one that goes, goes with it.
        Ok(Observation::InProgress(_)) if refusal.class == Class::ConflictInProgress => Ok(None),
        _ => Err(refusal),
    }
}

/// What is left, as something to wait for: the first thing and how many more.
pub(crate) fn waiting_for_gone(left: &[Remaining]) -> Wait {
    let words = match left {
        [] => "nothing".to_owned(),
        [one] => format!("{} to go: {}", one.object, one.why()),
        [one, rest @ ..] => format!("{} to go: {} (and {} more)", one.object, one.why(), rest.len()),
    };
    Wait { waiting_for: words, operation: Value::Null, look_after: Duration::from_secs(2) }
}

/// Objects that were told to go.
#[derive(Serialize, Deserialize)]
struct Going {
    going: Vec<ObjectRef>,
}

/// How many of them are remembered by name; of more, all are searched for at each look.
const BY_NAME: usize = 50;

/// As [`waiting_for_gone`], with the names of what goes.
fn going_on(left: &[Remaining]) -> Wait {
    let wait = waiting_for_gone(left);
    if left.len() > BY_NAME {
        return wait;
    }
    Wait { operation: json!(Going { going: left.iter().map(|one| one.object.clone()).collect() }), ..wait }
}

/// Input of `objects.remove`.
#[derive(Serialize, Deserialize)]
pub(crate) struct RemoveInput {
    /// The cluster.
    pub reach: Reach,
    /// Whose objects.
    pub owner: String,
    /// The ledger's keys that are settled by it.
    #[serde(default)]
    pub keys: Vec<String>,
    /// All that is in the cluster ends with it, and it is about to.
    #[serde(default)]
    pub ends: bool,
}

/// Takes away everything that bears our label.
pub(crate) struct Remove(pub Arc<Doors>);

impl RemoveInput {
    fn ledger(&self) -> Vec<LedgerChange> {
        self.keys.iter().map(|key| LedgerChange::Drop { key: key.clone() }).collect()
    }
}

#[async_trait]
impl Step for Remove {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: RemoveInput = input(call)?;
        let reached = reach_to_remove(&self.0, &input.reach, input.ends).await?;
        let gone = || Observed::Matches { output: reached.output(), ledger: input.ledger() };
        let Reached::There(cluster) = &reached else { return Ok(gone()) };
        // While what was told to go still goes, only that is looked at: an inventory lists every kind there is.
        if let Ok(Going { going }) = Going::deserialize(&call.memory.operation) {
            let left = cluster.still_there(&going).await?;
            if !left.is_empty() && left.iter().all(|one| one.deleting.is_some()) {
                return Ok(Observed::InProgress(going_on(&left)));
            }
        }
        let left = cluster.inventory(&Search::owner(&input.owner)).await?;
        Ok(match left.as_slice() {
            [] => gone(),
            // While something is not yet told to go, there is something to do.
            _ if left.iter().all(|one| one.deleting.is_some()) && call.memory.intent.is_some() => {
                Observed::InProgress(going_on(&left))
            }
            _ => Observed::Differs { how: format!("{} objects are ours", left.len()) },
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "remove": "objects", "owner": call.input["owner"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: RemoveInput = input(call)?;
        let reached = reach_to_remove(&self.0, &input.reach, input.ends).await?;
        let left = match &reached {
            Reached::There(cluster) => cluster.remove_owned(&input.owner).await?,
            Reached::Gone | Reached::Lame(_) => Vec::new(),
        };
        Ok(match left.as_slice() {
            [] => Progress::Done { output: reached.output(), ledger: input.ledger() },
            _ => Progress::InProgress(going_on(&left)),
        })
    }
}
