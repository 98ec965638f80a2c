//! Who is examined, and the small flows that examining takes.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    ClusterRequest, Ensured, Observation, Provider, Removed, Resource, ResourceCall, Wait, resource,
};
use async_trait::async_trait;
use serde_json::Value;

use super::fault::Fault;
use super::{Broken, Verdict};

/// What some behaviours need of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Its provider makes clusters.
    Makes,
    /// It counts what it makes.
    Count,
    /// It has faults to inject.
    Faults,
    /// Its outside refuses an older epoch.
    Epochs,
    /// It can hold something that was there before.
    Foreign,
    /// Its quota can be used up.
    Quota,
    /// Its provider sweeps.
    Sweeps,
}

impl Need {
    /// Why a subject without it cannot be examined.
    pub fn why(self) -> &'static str {
        match self {
            Self::Makes => "this provider finds clusters and makes none",
            Self::Count => "this outside does not count what it makes",
            Self::Faults => "nothing can be made to go wrong at this outside",
            Self::Epochs => "this outside does not check epochs",
            Self::Foreign => "nothing can be put there that was there before",
            Self::Quota => "the quota of this outside cannot be used up",
            Self::Sweeps => "this provider does not know how long its clusters are to live",
        }
    }
}

/// A provider with its outside, made anew for each behaviour.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The provider as a new process would have it: the same outside, nothing remembered.
    fn provider(&self) -> Arc<dyn Provider>;

    /// The cluster that the behaviours are tried on.
    fn cluster(&self) -> ClusterRequest;

    /// Lets this much time pass for the outside, in milliseconds.
    async fn pass(&self, ms: u64);

    /// How many objects the outside has made and how often it was changed, by its own count; `None` when it cannot count.
    fn made_and_changed(&self) -> Option<(u64, u64)> {
        None
    }

    /// Whether this subject lacks what a behaviour needs, so that it cannot be examined in it.
    fn lacks(&self, _need: Need) -> bool {
        false
    }

    /// Makes something go wrong at a later call; `false` when this subject cannot.
    fn inject(&self, _fault: Fault) -> bool {
        false
    }

    /// Puts something there that was there before us; `false` when this subject cannot.
    fn put_foreign(&self, _resource: &str) -> bool {
        false
    }

    /// Lets the cluster make a load balancer of its own; `None` when this subject cannot, else its name.
    fn put_load_balancer(&self) -> Option<String> {
        None
    }

    /// Sets the outside's quota to nothing; `false` when this subject cannot.
    fn use_up_quota(&self) -> bool {
        false
    }
}

/// How often a transition is looked at before it counts as stuck.
///
/// The longest in any subject's script takes a dozen looks at the pace that the provider asks for.
pub(super) const LOOKS: usize = 200;

/// The client token of a resource in these examinations.
pub(super) fn token(resource: &str) -> String {
    format!("conformance-{resource}")
}

/// The cluster's resources, each after what it needs.
pub(super) async fn ordered(subject: &dyn Subject) -> Result<Vec<Resource>, Broken> {
    let declared = subject.provider().resources(&subject.cluster()).await?;
    Ok(resource::order("the subject", &declared)?.into_iter().cloned().collect())
}

/// Counts, for a subject that must be able to.
pub(super) fn counted(subject: &dyn Subject) -> Result<(u64, u64), Broken> {
    subject.made_and_changed().ok_or_else(|| Broken("this subject cannot count what it makes".to_owned()))
}

/// Injects, for a subject that must be able to.
pub(super) fn inject(subject: &dyn Subject, fault: Fault) -> Verdict {
    if subject.inject(fault) {
        Ok(())
    } else {
        Err(Broken("this subject has no faults to inject".to_owned()))
    }
}

fn well_formed(wait: &Wait, about: &str) -> Verdict {
    super::ensure_that!(
        !wait.waiting_for.trim().is_empty(),
        "`{about}` is in progress and does not say what for"
    );
    super::ensure_that!(wait.poll_after_ms > 0, "`{about}` wants to be looked at without a pause");
    super::ensure_that!(
        !wait.operation.is_null(),
        "`{about}` is in progress without an operation to ask for"
    );
    Ok(())
}

/// Looks until the resource is neither in progress nor unseen, at the pace that the provider asks for.
///
/// # Errors
/// When it stays in progress, or a wait is not well formed.
pub async fn look_until_settled(
    subject: &dyn Subject,
    call: &ResourceCall,
    first: Wait,
) -> Result<Observation, Broken> {
    let mut call = call.clone();
    let mut wait = first;
    for _ in 0..LOOKS {
        well_formed(&wait, &call.resource)?;
        subject.pass(wait.poll_after_ms).await;
        call.operation = wait.operation;
        // A new process each time: what is needed to ask again is in the operation and outside, nowhere else.
        match subject.provider().observe(&call).await? {
            Observation::InProgress(again) => wait = again,
            settled => return Ok(settled),
        }
    }
    Err(Broken(format!("`{}` is still in progress after {LOOKS} looks", call.resource)))
}

/// Brings one resource up; gives its outputs and whether it was ever in progress.
pub(super) async fn make_one(subject: &dyn Subject, call: &ResourceCall) -> Result<(Value, bool), Broken> {
    let about = &call.resource;
    let waited = match subject.provider().ensure(call).await? {
        Ensured::Done { .. } => false,
        Ensured::InProgress(wait) => {
            let settled = look_until_settled(subject, call, wait).await?;
            super::ensure_that!(
                matches!(settled, Observation::Present { .. }),
                "`{about}` was made, and looking says {settled:?}"
            );
            true
        }
    };
    match subject.provider().observe(call).await? {
        Observation::Present { thing, differs: None } => {
            super::ensure_that!(!thing.external_id.is_empty(), "`{about}` has no external id");
            Ok((thing.outputs, waited))
        }
        other => Err(Broken(format!("`{about}` was made, and looking says {other:?}"))),
    }
}

/// Brings every resource up in order; gives the calls that did it, with the outputs of what each needs.
///
/// # Errors
/// When one is refused, stays in progress, or is not as asked afterwards.
pub async fn bring_up(subject: &dyn Subject) -> Result<Vec<ResourceCall>, Broken> {
    bring_up_as(subject, &subject.cluster()).await
}

/// As [`bring_up`], of a cluster that is asked for in another way.
pub(super) async fn bring_up_as(
    subject: &dyn Subject,
    cluster: &ClusterRequest,
) -> Result<Vec<ResourceCall>, Broken> {
    let mut outputs: BTreeMap<String, Value> = BTreeMap::new();
    let mut calls = Vec::new();
    for resource in ordered(subject).await? {
        let mut call = cluster.call(&resource.id, &token(&resource.id), 1);
        call.outputs = outputs.iter().filter(|(id, _)| resource.needs.contains(id)).map(own).collect();
        let (output, _) = make_one(subject, &call).await?;
        outputs.insert(resource.id, output);
        calls.push(call);
    }
    Ok(calls)
}

pub(super) fn own((id, output): (&String, &Value)) -> (String, Value) {
    (id.clone(), output.clone())
}

/// Takes every resource down in reverse order.
///
/// # Errors
/// When one is refused, blocked or kept, or stays.
pub async fn take_down(subject: &dyn Subject, calls: &[ResourceCall]) -> Verdict {
    for call in calls.iter().rev() {
        match subject.provider().remove(call).await? {
            Removed::Done => {}
            Removed::InProgress(wait) => {
                let settled = look_until_settled(subject, call, wait).await?;
                super::ensure_that!(
                    settled == Observation::Absent,
                    "`{}` was removed, and looking says {settled:?}",
                    call.resource
                );
            }
            other => return Err(Broken(format!("`{}` should be removed, and is {other:?}", call.resource))),
        }
    }
    Ok(())
}
