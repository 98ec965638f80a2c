//! The trait.

use async_trait::async_trait;
use jiff::Timestamp;
use platform_spec::{Class, Code, Failure, model::ClusterStore, report::Finding};
use secrecy::SecretString;

use crate::{
    Access, Ailment, Claim, ClusterRequest, Description, Ensured, InventoryRequest, Observation, Owned,
    ReapCall, Removed, Resource, ResourceCall, SearchRequest, ZoneAccess, ZoneRequest,
};

/// Makes clusters exist somewhere: in a cloud, on machines, or by finding one that is already there.
///
/// Every method may be called from several tasks at once, and again after the process that called it was killed at
/// any moment: a provider keeps nothing in memory that the outside does not know.
///
/// # Errors
/// Every method: a [`Failure`] classified once, at the border where the refusal arrived, with the original text as its
/// last cause. The retry policy reads the class and never the text; so a class that is guessed too kindly (a quota as
/// `retryable`) costs a day, and one guessed too harshly costs a run. No failure, finding, output or operation may hold
/// a secret: all of them are stored.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// Who this provider is, and what it can do.
    ///
    /// # Guarantees
    /// Pure: no network, no credentials, the same answer each time.
    /// # Errors
    /// Only when it cannot be asked at all (a child process that does not start).
    async fn describe(&self) -> Result<Description, Failure>;

    /// Looks for what would make a run fail later: credentials, permissions, quota, capacity, overlapping CIDRs,
    /// version skew, image architecture.
    ///
    /// # Guarantees
    /// Changes nothing. Says everything it finds in one go. A finding of severity `error` means that nothing may be made
    /// before it is mended.
    /// # Assumptions
    /// The cluster may exist already, wholly or in part; that alone is no finding.
    /// # Errors
    /// When looking itself fails. What was found wrong is a [`Finding`], what could not be looked at is a failure.
    async fn preflight(&self, cluster: &ClusterRequest) -> Result<Vec<Finding>, Failure>;

    /// The graph of what the cluster is made of.
    ///
    /// # Guarantees
    /// Pure: a function of the request alone, so that a plan can be made without a network and looks the same
    /// tomorrow. Ids are unique, needs name ids of the same answer, there is no cycle ([`crate::resource::order`]).
    /// There is always a resource `control-plane`.
    /// # Errors
    /// `config` when the request's `config` or `spec` cannot be carried out.
    async fn resources(&self, cluster: &ClusterRequest) -> Result<Vec<Resource>, Failure>;

    /// Looks at one resource.
    ///
    /// # Guarantees
    /// Changes nothing. Finds a thing that an earlier, killed process made, by its deterministic name, client token or
    /// tags, whether or not `call.operation` is known. Never answers [`Observation::Absent`] because it could not look:
    /// that is a failure.
    /// # Assumptions
    /// `call.outputs` holds the outputs of the needed resources as far as they are known; going down, some may be gone.
    /// # Errors
    /// When it cannot be looked at.
    async fn observe(&self, call: &ResourceCall) -> Result<Observation, Failure>;

    /// Makes one resource be as asked, or begins to.
    ///
    /// # Guarantees
    /// Twice with the same token makes one thing, also when the first reply was lost. On a thing that is already as
    /// asked it changes nothing. Never blocks on a long operation: it begins it and answers [`Ensured::InProgress`],
    /// and the caller looks again by [`Provider::observe`] with the operation that was answered.
    /// # Assumptions
    /// The caller holds the platform's lease with `call.epoch`, has written its intent, and every needed resource is
    /// there. An outside that can check the epoch refuses an older one.
    /// # Errors
    /// When it was refused. A failure does not say that nothing was made: the next look does.
    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure>;

    /// Makes one resource be gone, or begins to.
    ///
    /// # Guarantees
    /// A resource that is not there is [`Removed::Done`]. A resource that is not ours is [`Removed::Kept`] and is not
    /// touched. Something that stands in the way is named in [`Removed::Blocked`], and is not removed on the way. Never
    /// blocks on a long operation.
    /// # Assumptions
    /// As for [`Provider::ensure`]; resources that need this one have been removed before.
    /// # Errors
    /// When it was refused.
    async fn remove(&self, call: &ResourceCall) -> Result<Removed, Failure>;

    /// What is out there because of a platform: by tag, by name and by attachment (the load balancer that a Service
    /// made), never from our own database.
    ///
    /// # Guarantees
    /// Changes nothing. Also finds what is being deleted and what belongs to no known resource. Leaves out what was
    /// adopted.
    /// # Errors
    /// When any part of the inventory could not be read: half a list would read as "nothing is left".
    async fn list_owned(&self, owner: &InventoryRequest) -> Result<Vec<Owned>, Failure>;

    /// What is out there because of any platform at all, by tag, name and attachment, together with how long it is to
    /// live. Needs no spec and no database.
    ///
    /// # Guarantees
    /// As for [`Provider::list_owned`]. Answers in a fixed order. A claim says the latest time that anything of it bears,
    /// heartbeats included, and none when a resource that was made for it bears none.
    /// # Errors
    /// As for [`Provider::list_owned`]; `P0920` from a provider that does not sweep.
    async fn list_claims(&self, search: &SearchRequest) -> Result<Vec<Claim>, Failure> {
        Err(does_not_sweep(&search.provider))
    }

    /// Says that a cluster is in use: it is alive at least until a time. A heartbeat; called every few seconds.
    ///
    /// # Guarantees
    /// Never shortens a life, and never ends one that is permanent. Makes no resource differ from what was asked. One
    /// small call that never waits for a resource in transition.
    /// # Errors
    /// When it could not be said; `P0920` from a provider that does not sweep. `false` when there is nothing yet that
    /// could bear it, or what there is is permanent.
    async fn prolong(&self, cluster: &ClusterRequest, _until: Timestamp) -> Result<bool, Failure> {
        Err(does_not_sweep(&cluster.provider))
    }

    /// Makes one thing of a claim be gone, or begins to. Called for what nothing else stands on; the caller lists again
    /// to see that it has gone.
    ///
    /// # Guarantees
    /// As for [`Provider::remove`], by the thing's id instead of a resource's. Removes nothing but what bears the tags of
    /// the claim's platform or hangs on it. The last thing of a cluster takes along what the provider keeps beside it: a
    /// heartbeat, an entry in a file.
    /// # Errors
    /// When it was refused; `P0920` from a provider that does not sweep.
    async fn reap(&self, call: &ReapCall) -> Result<Removed, Failure> {
        Err(does_not_sweep(&call.search.provider))
    }

    /// How to reach the cluster's Kubernetes API; short-lived where the outside allows it.
    ///
    /// # Guarantees
    /// Changes nothing outside. May be called again at any time for a fresh answer.
    /// # Assumptions
    /// `control-plane` is there.
    /// # Errors
    /// `not_found` when it is not.
    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure>;

    /// What keeps a cluster that was made from being used as it should, as after a reboot of the machine that it is on: what
    /// stands still, what leads elsewhere.
    ///
    /// # Guarantees
    /// Changes nothing. Answers nothing of a cluster that was never made.
    /// # Errors
    /// When it cannot be looked at.
    async fn ailments(&self, _cluster: &ClusterRequest) -> Result<Vec<Ailment>, Failure> {
        Ok(Vec::new())
    }

    /// Does what helps against ailments, or begins to; the next look says what is left of them.
    ///
    /// # Guarantees
    /// Removes nothing and makes nothing anew: whatever was in the cluster is in it afterwards. Does what ailments name as
    /// their cure, and nothing else.
    /// # Assumptions
    /// The caller holds the platform's lease.
    /// # Errors
    /// When it was refused.
    async fn mend(&self, _cluster: &ClusterRequest) -> Result<(), Failure> {
        Ok(())
    }

    /// Whether pods of a cluster reach another cluster of this provider at the address that [`Access::inside`] names.
    ///
    /// # Guarantees
    /// Changes nothing.
    /// # Errors
    /// When it cannot be looked at.
    async fn is_joined(&self, _cluster: &ClusterRequest, _to: &ClusterRequest) -> Result<bool, Failure> {
        Ok(true)
    }

    /// Sees to it that they do. It ends with either of the two.
    ///
    /// # Guarantees
    /// Twice is once.
    /// # Assumptions
    /// Both are there; the caller holds the platform's lease.
    /// # Errors
    /// When it was refused.
    async fn join(&self, _cluster: &ClusterRequest, _to: &ClusterRequest) -> Result<(), Failure> {
        Ok(())
    }

    /// How to write to a DNS zone that this provider serves and that takes RFC 2136 updates.
    ///
    /// # Guarantees
    /// As for [`Provider::access`]. A provider without such zones need not answer otherwise than this default.
    /// # Errors
    /// `P0717` from a provider that has none; `not_found` for a zone that is not there.
    async fn zone(&self, request: &ZoneRequest) -> Result<ZoneAccess, Failure> {
        Err(Failure::new(
            Code::new("P0717"),
            Class::Config,
            format!("provider `{}` does not serve zone `{}`", request.provider, request.zone),
        )
        .hint("name a `provider: rfc2136` server for the zone in the spec"))
    }

    /// Where pods of the cluster reach the object store that this provider brings along for `cluster.bucket`; `None` when it
    /// brings none, or when its pods need no address.
    ///
    /// # Guarantees
    /// Pure, as [`Provider::resources`]: what is rendered from the answer is rendered before anything is made.
    /// # Errors
    /// As for [`Provider::resources`].
    async fn store(&self, _cluster: &ClusterRequest) -> Result<Option<ClusterStore>, Failure> {
        Ok(None)
    }

    /// The URL below which pods of the cluster pull what is in `cluster.git`; `None` when this provider brings no folders to pods,
    /// or when its pods reach them as they are.
    ///
    /// # Guarantees
    /// As for [`Provider::store`].
    /// # Errors
    /// As for [`Provider::resources`].
    async fn git(&self, _cluster: &ClusterRequest) -> Result<Option<String>, Failure> {
        Ok(None)
    }

    /// The keys of the store, as `KEY:SECRET`. They are made with it, and are nowhere but there.
    ///
    /// # Guarantees
    /// As for [`Provider::access`].
    /// # Assumptions
    /// The store's resource is there.
    /// # Errors
    /// `P0718` from a provider that brings none; `not_found` when it is not there.
    async fn store_keys(&self, cluster: &ClusterRequest) -> Result<SecretString, Failure> {
        Err(Failure::new(
            Code::new("P0718"),
            Class::Config,
            format!("provider `{}` brings no object store along", cluster.provider),
        )
        .hint("name one in the spec: `backup.store.endpoint` and `credentialsRef`"))
    }
}

fn does_not_sweep(provider: &str) -> Failure {
    Failure::new(
        Code::new("P0920"),
        Class::Config,
        format!("provider `{provider}` does not know how long its clusters are to live"),
    )
    .hint("`platform providers` says which do; remove the cluster with `platform down`")
}
