//! Pods: the scheduler and the kubelets in one.
//!
//! A pod gets a node that fits, comes up after a short while, and goes when it is told to. No container runs: what
//! happens to a pod follows from its spec, from the state of its node, and from annotations with which tests (and
//! people) make it misbehave, see [`Faults`](life::Faults).
//!
//! | room | what it holds |
//! |---|---|
//! | `seats` | which pod takes what of which node |
//! | `fit`, `affinity`, `schedule` | which node takes a pod, and why none does |
//! | [`life`] | what a pod goes through |
//! | `status` | what is said of it |
//! | `tell` | what its events say |

pub(super) mod affinity;
pub(super) mod fit;
pub mod life;
mod schedule;
mod seats;
mod status;
mod tell;

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    Pace,
    objects::{AGAIN, at, condition, is_finished, is_true, key_of, text},
    volumes,
};
use crate::{
    kube::{
        bind,
        object::{is_going, meta},
        store::{Change, Key},
    },
    play::{Cluster, Controller},
};
use life::Life;
use seats::Seats;

const SCHEDULER: &str = "default-scheduler";
const KUBELET: &str = "kubelet";

/// How long after its node is gone a pod is cleaned away. The real collector looks every 20 s, and twice.
const ORPHANED: SignedDuration = SignedDuration::from_secs(40);

/// Schedules and runs pods.
pub struct Pods {
    pace: Pace,
    memory: Mutex<Memory>,
}

/// What would be found again by looking: where pods sit, and more exact times than objects hold.
#[derive(Default)]
struct Memory {
    seats: Seats,
    lives: HashMap<String, Life>,
    lost: HashMap<String, Timestamp>,
}

impl Pods {
    /// At that pace.
    pub fn new(pace: Pace) -> Self {
        Self { pace, memory: Mutex::default() }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn schedule(&self, cluster: &Cluster, pod: &Value) -> Option<SignedDuration> {
        let key = key_of("/pods", pod);
        if is_going(pod) || text(&pod["spec"]["schedulerName"]) != SCHEDULER {
            return None;
        }
        let chosen = schedule::choose(cluster, pod, &self.memory().seats);
        match chosen {
            // Volumes come first; when they are there the pod is looked at again.
            Ok(node) if !volumes::select_node(cluster, pod, &node) => None,
            Ok(node) => {
                if bind::bind(&cluster.api, &key, &node) {
                    if self.pace.events {
                        let words = format!("Successfully assigned {}/{} to {node}", key.namespace, key.name);
                        cluster.event(SCHEDULER, pod, "Normal", "Scheduled", &words);
                    }
                    self.memory().seats.sit(&key, pod, &node);
                    self.memory().lives.insert(meta(pod, "uid").to_owned(), Life::begin(cluster.now()));
                }
                None
            }
            Err(why) => {
                let now = cluster.time();
                let was = condition(&pod["status"], "PodScheduled").map(|it| text(&it["message"]).to_owned());
                let written = cluster.change_status(SCHEDULER, &key, |pod| {
                    let words = Some((why.reason, why.message.as_str()));
                    let observed = pod["metadata"]["generation"].clone();
                    super::objects::set_condition(&mut pod["status"], "PodScheduled", "False", words, &now);
                    status::observe(&mut pod["status"], &observed);
                });
                if why.reason == "Unschedulable" && was.as_deref() != Some(&why.message) {
                    cluster.event(SCHEDULER, pod, "Warning", "FailedScheduling", &why.message);
                }
                written.is_err().then_some(AGAIN)
            }
        }
    }

    /// What the kubelet of its node does with a pod.
    fn run(&self, cluster: &Cluster, pod: &Value, node: &Value) -> Option<SignedDuration> {
        let key = key_of("/pods", pod);
        let (uid, now) = (meta(pod, "uid"), cluster.now());
        let mut memory = self.memory();
        let life = memory.lives.entry(uid.to_owned()).or_insert_with(|| Life::of(pod, now));
        if is_going(pod) {
            let left = life.stop(pod, &self.pace, now);
            drop(memory);
            return left.or_else(|| end(cluster, &key, pod));
        }
        if is_finished(pod) {
            return None;
        }
        let (stage, wait) = life.advance(pod, &self.pace, now);
        let address = memory.seats.address(&key, node);
        let life = memory.lives.get(uid).cloned()?;
        drop(memory);
        let new = status::of(pod, node, address.as_deref(), &stage, &life, now);
        if new == pod["status"] {
            return wait;
        }
        if self.pace.events {
            tell::of_stage(cluster, pod, &stage, &life);
        }
        match cluster.change_status(KUBELET, &key, |pod| pod["status"] = new.clone()) {
            Ok(_) => wait,
            Err(_) => Some(AGAIN),
        }
    }

    /// A pod whose node is not there any more goes after a while.
    fn orphaned(&self, cluster: &Cluster, pod: &Value) -> Option<SignedDuration> {
        let (uid, now) = (meta(pod, "uid"), cluster.now());
        let since = *self.memory().lost.entry(uid.to_owned()).or_insert(now);
        let left = ORPHANED - since.duration_until(now);
        if left > SignedDuration::ZERO {
            return Some(left);
        }
        end_as("pod-garbage-collector", cluster, &key_of("/pods", pod), pod)
    }
}

/// Whether the kubelet of a node answers.
pub fn is_alive(node: &Value) -> bool {
    is_true(&node["status"], "Ready")
}

/// The pod is over: it is taken away. It says first that it has ended, which those that wait for its result must hear.
fn end(cluster: &Cluster, key: &Key, pod: &Value) -> Option<SignedDuration> {
    if !crate::kube::object::finalizers(pod).is_empty() && !is_finished(pod) {
        let now = cluster.now();
        let failed = cluster.change_status(KUBELET, key, |pod| status::killed(pod, now)).is_err();
        if failed {
            return Some(AGAIN);
        }
    }
    end_as(KUBELET, cluster, key, pod)
}

fn end_as(by: &str, cluster: &Cluster, key: &Key, pod: &Value) -> Option<SignedDuration> {
    if pod["metadata"]["deletionGracePeriodSeconds"] == 0 {
        return None;
    }
    let options = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": meta(pod, "uid") } });
    match cluster.delete_with(by, key, &options) {
        Ok(()) => None,
        Err(refused) if refused.code == 409 => None,
        Err(_) => Some(AGAIN),
    }
}

impl Controller for Pods {
    fn watches(&self) -> &'static [&'static str] {
        &["/pods", "/nodes", "/persistentvolumeclaims"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        let mut memory = self.memory();
        match &*change.key.kind {
            "/pods" => {
                let freed = memory.seats.hear(cluster, change);
                if change.after.is_none()
                    && let Some(before) = &change.before
                {
                    memory.lives.remove(meta(before, "uid"));
                    memory.lost.remove(meta(before, "uid"));
                }
                let mut keys = vec![change.key.clone()];
                if freed {
                    keys.extend(memory.seats.standing().cloned());
                }
                keys
            }
            "/nodes" => {
                let mut keys: Vec<Key> = memory.seats.standing().cloned().collect();
                let alive = |it: &Option<std::sync::Arc<Value>>| it.as_ref().map(|it| is_alive(it));
                if alive(&change.before) != alive(&change.after) {
                    keys.extend(memory.seats.on(&change.key.name).cloned());
                }
                keys
            }
            _ => memory.seats.standing().filter(|it| it.namespace == change.key.namespace).cloned().collect(),
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let pod = cluster.get(key)?;
        let node = text(&pod["spec"]["nodeName"]);
        if node.is_empty() {
            return self.schedule(cluster, &pod);
        }
        match cluster.get(&Cluster::key("/nodes", "", node)) {
            None => self.orphaned(cluster, &pod),
            Some(node) if is_alive(&node) => self.run(cluster, &pod, &node),
            Some(_) => None,
        }
    }
}

/// When a pod was given its node, as it says itself.
fn bound_at(pod: &Value) -> Option<Timestamp> {
    condition(&pod["status"], "PodScheduled").and_then(|it| at(&it["lastTransitionTime"]))
}
