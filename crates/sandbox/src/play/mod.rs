//! The harness: controllers that act on a cluster's API, in real time or in virtual time.
//!
//! A controller hears of changes and looks at one object at a time, as those of Kubernetes do. Nothing runs by itself:
//! [`Players::settle`] does everything that is due by the cluster's clock and says when there is more to do. The
//! background process settles when something changed or that time has come; a simulation settles after each request and
//! whenever its clock jumps. So the same controllers run in both, and in a simulation always in the same order.
//!
//! | room | what it holds |
//! |---|---|
//! | [`cluster`] | one cluster, as its controllers reach it |
//! | [`workloads`] | workloads, pods, services, volumes |
//! | [`repositories`] | Git repositories in memory, and through the `git` program |
//! | [`argocd`] | Argo CD |
//! | [`around`] | what lies outside of it: the cloud, Git, object stores, zones |
//! | [`velero`], [`certmanager`], [`externaldns`] | players |
//! | [`cron`] | when something is due |

pub mod argocd;
pub mod around;
pub mod certmanager;
pub mod cluster;
pub mod cron;
pub mod externaldns;
pub mod repositories;
pub mod velero;
pub mod workloads;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use crate::kube::store::{Change, Gone, Key};

pub use cluster::Cluster;

/// One who watches a cluster and acts on it.
///
/// It keeps nothing in memory that the cluster does not know: after a restart everything is looked at again.
pub trait Controller: Send + Sync {
    /// Kinds whose changes it hears, as they are stored: `apps/deployments`, `/pods`. `*` are the changes of every kind;
    /// the first look is only at those that are named.
    fn watches(&self) -> &'static [&'static str];

    /// Which of its objects a change concerns: of a pod perhaps the ReplicaSet that owns it. They need not exist.
    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key>;

    /// Which of its objects are concerned by what has changed in other clusters since it was asked last.
    ///
    /// # Errors
    /// When that cannot be told any more: then everything is looked at anew.
    fn concerned_elsewhere(&self, _cluster: &Cluster) -> Result<Vec<Key>, Gone> {
        Ok(Vec::new())
    }

    /// Brings one object a step further; after how long it wants to look at it again without a change, if at all.
    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration>;
}

/// Rounds that one object may take within one settling before its controller is made to wait: two controllers that undo
/// each other's work would spin for ever.
const ROUNDS: u32 = 1_000;

/// How long such an object then waits.
const COOLING: SignedDuration = SignedDuration::from_secs(1);

/// A controller, by its place, and an object that it looks at.
type Look = (usize, Key);

/// The controllers of one cluster, and what they have still to do.
pub struct Players {
    cluster: Cluster,
    controllers: Vec<Box<dyn Controller>>,
    /// The last change that was heard; `None` before the first look.
    heard: Option<u64>,
    ready: VecDeque<Look>,
    waits_in_line: HashSet<Look>,
    timers: BTreeMap<(Timestamp, u64), Look>,
    set: HashMap<Look, (Timestamp, u64)>,
    count: u64,
}

impl Players {
    /// Controllers of a cluster. The first settling looks at everything that is there.
    pub fn new(cluster: Cluster, controllers: Vec<Box<dyn Controller>>) -> Self {
        Self {
            cluster,
            controllers,
            heard: None,
            ready: VecDeque::new(),
            waits_in_line: HashSet::new(),
            timers: BTreeMap::new(),
            set: HashMap::new(),
            count: 0,
        }
    }

    /// The cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Does everything that is due now, and what follows from it; when there will be more to do, if nothing changes.
    pub fn settle(&mut self) -> Option<Timestamp> {
        let mut rounds: HashMap<Look, u32> = HashMap::new();
        self.hear_elsewhere();
        loop {
            self.hear();
            self.ring();
            let Some(look) = self.ready.pop_front() else {
                // What this has changed elsewhere may want a look once more.
                self.hear_elsewhere();
                if self.ready.is_empty() && self.heard.is_some() {
                    break;
                }
                continue;
            };
            self.waits_in_line.remove(&look);
            let round = rounds.entry(look.clone()).or_default();
            *round += 1;
            if *round > ROUNDS {
                self.set(look, COOLING);
                continue;
            }
            self.unset(&look);
            if let Some(after) = self.controllers[look.0].reconcile(&self.cluster, &look.1) {
                self.set(look, after);
            }
        }
        self.timers.first_key_value().map(|((at, _), _)| *at)
    }

    /// Plays in real time, whenever something changed or is due, until a controller panics.
    pub async fn live(mut self) {
        let mut revisions = self.cluster.api.store.revisions();
        loop {
            revisions.borrow_and_update();
            // Controllers read Git and start programs: nothing that may hold up a request.
            let settled = tokio::task::spawn_blocking(move || {
                let next = self.settle();
                (self, next)
            });
            let next;
            (self, next) = match settled.await {
                Ok(settled) => settled,
                Err(error) => {
                    tracing::error!(%error, "a controller has panicked; the cluster stands still");
                    return;
                }
            };
            let wait = next.map(|at| at.duration_since(self.cluster.now()));
            let due = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait.try_into().unwrap_or_default()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = revisions.changed() => if changed.is_err() { return },
                () = due => {}
            }
        }
    }

    /// Hears what changed, or looks at everything when it cannot be told any more.
    fn hear(&mut self) {
        let store = &self.cluster.api.store;
        let changes = match self.heard.map(|heard| store.changes_after(heard)) {
            Some(Ok(changes)) => {
                if let Some(last) = changes.last() {
                    self.heard = Some(last.revision);
                }
                changes
            }
            Some(Err(_)) | None => {
                self.heard = Some(store.revision());
                self.everything()
            }
        };
        for change in changes {
            for (place, controller) in self.controllers.iter().enumerate() {
                if controller.watches().iter().any(|kind| *kind == &*change.key.kind || *kind == "*") {
                    for key in controller.concerned(&self.cluster, &change) {
                        line_up(&mut self.ready, &mut self.waits_in_line, (place, key));
                    }
                }
            }
        }
    }

    /// Hears what changed in other clusters. When that cannot be told any more, everything is looked at anew.
    fn hear_elsewhere(&mut self) {
        for (place, controller) in self.controllers.iter().enumerate() {
            let Ok(concerned) = controller.concerned_elsewhere(&self.cluster) else {
                self.heard = None;
                continue;
            };
            for key in concerned {
                line_up(&mut self.ready, &mut self.waits_in_line, (place, key));
            }
        }
    }

    /// Every watched object, as if it had just been made.
    fn everything(&self) -> Vec<Change> {
        let kinds: std::collections::BTreeSet<&str> =
            self.controllers.iter().flat_map(|it| it.watches().iter().copied()).collect();
        let store = &self.cluster.api.store;
        let of = |kind: &str| store.list(&kind.into(), None);
        let made = |listed: crate::kube::store::Listed| {
            let revision = listed.revision;
            listed.objects.into_iter().map(move |(key, object)| Change {
                revision,
                key,
                before: None,
                after: Some(object),
            })
        };
        kinds.into_iter().flat_map(|kind| made(of(kind))).collect()
    }

    /// Puts in line what wanted to be looked at by now.
    fn ring(&mut self) {
        let now = self.cluster.now();
        while let Some(first) = self.timers.first_entry()
            && first.key().0 <= now
        {
            let look = first.remove();
            self.set.remove(&look);
            line_up(&mut self.ready, &mut self.waits_in_line, look);
        }
    }

    fn set(&mut self, look: Look, after: SignedDuration) {
        let at = self.cluster.now().checked_add(after).unwrap_or(Timestamp::MAX);
        self.unset(&look);
        self.count += 1;
        self.set.insert(look.clone(), (at, self.count));
        self.timers.insert((at, self.count), look);
    }

    fn unset(&mut self, look: &Look) {
        if let Some(at) = self.set.remove(look) {
            self.timers.remove(&at);
        }
    }
}

/// Puts something in line, once.
fn line_up(ready: &mut VecDeque<Look>, waits_in_line: &mut HashSet<Look>, look: Look) {
    if waits_in_line.insert(look.clone()) {
        ready.push_back(look);
    }
}

#[cfg(test)]
mod tests;
