//! The sandbox's own emulated cloud: HTTP and JSON, with networks, clusters, node pools, load balancers, volumes,
//! addresses, identities, buckets and DNS zones. It keeps state, takes its time, has limits, and refuses.
//!
//! What it understands is in `docs/reference/sandbox.md`.
//!
//! | room | what it holds |
//! |---|---|
//! | [`options`] | regions, zones, limits, the key |
//! | [`thing`] | what there can be, and what is known of each |
//! | [`plug`] | what the cloud reaches: Kubernetes APIs, buckets, DNS zones |
//! | `state` | everything that exists; the passing of time |
//! | `request`, [`refusal`] | what is asked, and why not |
//! | `acts` | create, read, change, remove |
//! | `kinds` | what differs from kind to kind |
//! | `account` | login, regions, quotas |
//! | `controller` | what the controllers of a cluster ask for |
//! | [`door`] | the cloud over HTTP |
//! | [`examined`] | what examining its provider asks of it |

mod account;
mod acts;
mod controller;
pub mod door;
pub mod examined;
mod kinds;
pub mod options;
pub mod plug;
pub mod refusal;
mod request;
mod state;
pub mod thing;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use jiff::Timestamp;
use serde_json::Value;

use crate::{
    keep::Book,
    kube::object::Now,
    parts::{calls::CallLog, chance::Chance, faults::Faults, paging::Pager, transitions::Pace},
};

pub use options::{Options, Region};
pub use plug::{Buckets, Clusters, NewCluster, Node, ZoneKey, Zones};
pub use refusal::Refusal;
pub use thing::{Kind, Thing};

use state::{Effect, State};

/// A cloud. Clones are the same cloud.
#[derive(Clone)]
pub struct Cloud {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    chance: Chance,
    pace: Pace,
    now: Now,
    faults: Faults,
    calls: CallLog,
    pager: Pager,
    book: Book,
    state: Mutex<State>,
    clusters: OnceLock<Arc<dyn Clusters>>,
    buckets: OnceLock<Arc<dyn Buckets>>,
    zones: OnceLock<Arc<dyn Zones>>,
}

/// What a cloud is made of.
pub struct Parts {
    /// Regions, limits, the key.
    pub options: Options,
    /// What chance goes by: ids, how long things take.
    pub seed: u64,
    /// How fast it lives.
    pub pace: Pace,
    /// The time.
    pub now: Now,
    /// What goes wrong.
    pub faults: Faults,
    /// Where calls are written down.
    pub calls: CallLog,
    /// What outlives the process.
    pub book: Book,
}

impl Cloud {
    /// An empty cloud.
    pub fn new(parts: Parts) -> Self {
        let Parts { options, seed, pace, now, faults, calls, book } = parts;
        let chance = Chance::new(seed);
        let state = State::new(&options);
        let pager = Pager::new(chance, options.pages_last);
        Self {
            inner: Arc::new(Inner {
                options,
                chance,
                pace,
                now,
                faults,
                calls,
                pager,
                book,
                state: Mutex::new(state),
                clusters: OnceLock::new(),
                buckets: OnceLock::new(),
                zones: OnceLock::new(),
            }),
        }
    }

    /// A cloud as its book has it; empty when the book is.
    ///
    /// # Errors
    /// When the book cannot be read, or something in it cannot be understood.
    pub async fn load(parts: Parts) -> Result<Self, LoadError> {
        let entries = parts.book.load().await?;
        let cloud = Self::new(parts);
        cloud.state().load(entries, cloud.now())?;
        Ok(cloud)
    }

    /// Says who makes the Kubernetes APIs, and has those made that are known already. Only the first time counts.
    pub fn plug_clusters(&self, clusters: Arc<dyn Clusters>) {
        if self.inner.clusters.set(clusters).is_ok() {
            self.state().all_clusters_again();
            self.perform();
        }
    }

    /// Says who keeps the buckets. Only the first time counts.
    pub fn plug_buckets(&self, buckets: Arc<dyn Buckets>) {
        let _second = self.inner.buckets.set(buckets);
    }

    /// Says who answers for DNS zones. Only the first time counts.
    pub fn plug_zones(&self, zones: Arc<dyn Zones>) {
        let _second = self.inner.zones.set(zones);
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// What was called.
    pub fn calls(&self) -> &CallLog {
        &self.inner.calls
    }

    /// Everything that exists now, what is going included.
    pub fn things(&self) -> Vec<Thing> {
        self.at_now(|state, _| state.things().cloned().collect())
    }

    /// How many things were ever made, by kind.
    pub fn made(&self) -> BTreeMap<Kind, u64> {
        self.state().meta.made.clone()
    }

    /// Limits how many there may be of a kind (`nodes` are limited as `node`, see [`Options::quotas`]).
    pub fn set_quota(&self, what: &str, limit: u64) {
        let mut state = self.state();
        state.meta.quotas.insert(what.to_owned(), limit);
        state.save_meta(&self.inner.book);
    }

    /// Limits how many nodes a zone has room for.
    pub fn set_capacity(&self, zone: &str, nodes: u64) {
        let mut state = self.state();
        state.meta.capacity.insert(zone.to_owned(), nodes);
        state.save_meta(&self.inner.book);
    }

    /// When something ends by itself next, if anything does: a simulation may let its clock jump there.
    pub fn next_change(&self) -> Option<Timestamp> {
        self.state().next_due()
    }

    /// Lets time do its work. Every call does this first; who watches clusters without calling needs it too.
    pub fn settle(&self) {
        self.at_now(|_, _| ());
    }

    fn now(&self) -> Timestamp {
        (self.inner.now)()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // An act either ends or has changed nothing that matters: a panic in between is a bug that tests show elsewhere.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One indivisible act, after time has done its work; then what follows outside of the cloud.
    fn at_now<T>(&self, act: impl FnOnce(&mut State, Timestamp) -> T) -> T {
        let now = self.now();
        let result = {
            let mut state = self.state();
            state.settle(now, &self.inner.book);
            let result = act(&mut state, now);
            // With a pace of nothing, what the act began is over.
            state.settle(now, &self.inner.book);
            result
        };
        self.perform();
        result
    }

    /// Does outside what has changed inside, in its order, without holding the state: those outside may ask back.
    fn perform(&self) {
        loop {
            let effect = {
                let mut state = self.state();
                if state.performing {
                    return;
                }
                let Some(effect) = state.effects.pop_front() else { return };
                state.performing = true;
                state.in_full(effect, &self.inner.options)
            };
            let endpoint = self.inner.clusters.get().and_then(|clusters| match &effect {
                Effect::Made(cluster) => {
                    clusters.create(cluster);
                    Some((cluster.id.clone(), clusters.endpoint(&cluster.id)))
                }
                Effect::Nodes(id, nodes) => {
                    clusters.nodes(id, nodes);
                    None
                }
                Effect::Gone(id) => {
                    clusters.remove(id);
                    None
                }
                Effect::MadeById(_) | Effect::NodesById(_) => None,
            });
            let mut state = self.state();
            state.performing = false;
            if let Some((id, endpoint)) = endpoint {
                state.set_output(&id, "endpoint", Value::from(endpoint), &self.inner.book);
            }
        }
    }
}

/// Why a cloud could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The book cannot be read.
    #[error("could not read the book of the cloud")]
    Book(#[from] sqlx::Error),
    /// An entry cannot be understood.
    #[error("could not understand the entry `{key}` in the book of the cloud")]
    Entry {
        /// Its key.
        key: String,
        /// Why.
        #[source]
        cause: serde_json::Error,
    },
}

#[cfg(test)]
mod tests;
