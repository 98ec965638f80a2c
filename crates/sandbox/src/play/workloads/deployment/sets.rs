//! The ReplicaSets of a Deployment: which is the new one, their revisions, their numbers.

use std::{cmp::Reverse, sync::Arc};

use serde_json::{Value, json};

use super::{BY, SETS, has_deadline, status};
use crate::{
    kube::object::{is_going, meta},
    play::{
        Cluster,
        cluster::Refused,
        workloads::objects::{
            age, annotation, claim, controller, hash, int, is_active, key_of, owned_by, share,
        },
    },
};

const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";

/// Annotations that a ReplicaSet does not take over.
const OWN: &[&str] = &[
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];

/// A Deployment with its ReplicaSets.
pub struct Sets {
    pub deployment: Arc<Value>,
    /// The one of the present template.
    pub new: Option<Arc<Value>>,
    /// All others, oldest first.
    pub old: Vec<Arc<Value>>,
}

/// Wanted replicas.
pub fn replicas(set: &Value) -> i64 {
    int(&set["spec"]["replicas"])
}

/// Available replicas.
pub fn available(set: &Value) -> i64 {
    int(&set["status"]["availableReplicas"])
}

impl Sets {
    pub fn of(cluster: &Cluster, deployment: &Arc<Value>) -> Self {
        let mut all = claim(cluster, BY, SETS, deployment);
        all.sort_by(|one, two| age(one).cmp(&age(two)));
        let new = all.iter().position(|set| is_of_template(set, &deployment["spec"]["template"]));
        let new = new.map(|place| all.remove(place));
        Self { deployment: deployment.clone(), new, old: all }
    }

    /// All of them; the new one last.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.old.iter().chain(&self.new)
    }

    pub fn sum(&self, number: impl Fn(&Value) -> i64) -> i64 {
        self.all().map(|set| number(set)).sum()
    }

    pub fn wanted(&self) -> i64 {
        replicas(&self.deployment)
    }

    fn rolling(&self) -> &Value {
        &self.deployment["spec"]["strategy"]["rollingUpdate"]
    }

    pub fn max_surge(&self) -> i64 {
        if super::recreates(&self.deployment) {
            0
        } else {
            share(&self.rolling()["maxSurge"], self.wanted(), true)
        }
    }

    pub fn max_unavailable(&self) -> i64 {
        let wanted = self.wanted();
        if super::recreates(&self.deployment) || wanted == 0 {
            return 0;
        }
        let unavailable = share(&self.rolling()["maxUnavailable"], wanted, false);
        // Neither more nor fewer pods than wanted: nothing could ever move.
        let unavailable = if unavailable == 0 && self.max_surge() == 0 { 1 } else { unavailable };
        unavailable.min(wanted)
    }

    /// How many replicas the new set may have now.
    pub fn room_for_new(&self, now: i64) -> i64 {
        if super::recreates(&self.deployment) {
            return self.wanted();
        }
        let most = self.wanted() + self.max_surge();
        let there = self.sum(replicas);
        if there >= most { now } else { now + (most - there).min(self.wanted() - now) }
    }

    /// Whether the wanted number has changed since its sets were last scaled.
    pub fn is_scaling(&self) -> bool {
        let active = self.all().filter(|set| replicas(set) > 0);
        active
            .filter_map(|set| annotation(set, DESIRED).parse::<i64>().ok())
            .any(|desired| desired != self.wanted())
    }

    /// Whether the new set is all there is to be.
    pub fn is_saturated(&self) -> bool {
        self.new.as_ref().is_some_and(|new| {
            let wanted = self.wanted();
            replicas(new) == wanted
                && annotation(new, DESIRED) == wanted.to_string()
                && available(new) == wanted
        })
    }

    /// The number of pods that the Deployment was last scaled for, as a set remembers it.
    pub fn maximum_before(&self, set: &Value) -> i64 {
        match annotation(set, MAXIMUM).parse().unwrap_or(0) {
            0 => int(&self.deployment["status"]["replicas"]),
            before => before,
        }
    }

    /// Gives the new set its revision and annotations, if there is one, and the Deployment the same revision.
    pub fn take_note(&mut self, cluster: &Cluster) -> Result<(), Refused> {
        let Some(new) = self.new.clone() else { return Ok(()) };
        let revision = self.next_revision();
        let minimum = self.deployment["spec"]["minReadySeconds"].clone();
        let deployment = self.deployment.clone();
        let changed = cluster.change(BY, &key_of(SETS, &new), |set| {
            annotate(set, &deployment, revision);
            if set["spec"].get("minReadySeconds").unwrap_or(&Value::Null) != &minimum {
                set["spec"]["minReadySeconds"] = minimum.clone();
            }
        })?;
        if let Some(set) = changed {
            let revision = annotation(&set, REVISION).to_owned();
            self.new = Some(set);
            self.revise(cluster, &revision)?;
        }
        let there = super::super::objects::condition(&self.deployment["status"], "Progressing").is_some();
        if has_deadline(&self.deployment) && !there {
            let words = format!("Found new replica set {:?}", meta(&new, "name"));
            status::progressing(cluster, self, "FoundNewReplicaSet", &words)?;
        }
        Ok(())
    }

    /// As [`Self::take_note`], and makes the new set when there is none; whether there is one now.
    pub fn ensure_new(&mut self, cluster: &Cluster) -> Result<bool, Refused> {
        if self.new.is_some() {
            self.take_note(cluster)?;
            return Ok(true);
        }
        let deployment = self.deployment.clone();
        let collisions = int(&deployment["status"]["collisionCount"]);
        let mut template = deployment["spec"]["template"].clone();
        let hash = hash(&template, collisions);
        template["metadata"]["labels"][HASH] = hash.as_str().into();
        let mut selector = deployment["spec"]["selector"].clone();
        selector["matchLabels"][HASH] = hash.as_str().into();
        let name = format!("{}-{hash}", meta(&deployment, "name"));
        let count = self.room_for_new(0);
        let mut set = json!({
            "apiVersion": "apps/v1", "kind": "ReplicaSet",
            "metadata": {
                "name": name, "namespace": meta(&deployment, "namespace"),
                "labels": template["metadata"]["labels"], "ownerReferences": [owned_by(&deployment)],
            },
            "spec": { "replicas": count, "selector": selector, "template": template },
        });
        if let Some(minimum) = deployment["spec"].get("minReadySeconds") {
            set["spec"]["minReadySeconds"] = minimum.clone();
        }
        annotate(&mut set, &deployment, self.next_revision());
        self.remember_numbers(&mut set);
        match cluster.create(BY, SETS, &set) {
            Ok(made) => {
                if count > 0 {
                    let words = format!("Scaled up replica set {name} from 0 to {count}");
                    cluster.event(BY, &deployment, "Normal", "ScalingReplicaSet", &words);
                }
                let revision = annotation(&made, REVISION).to_owned();
                self.new = Some(made);
                self.revise(cluster, &revision)?;
                if has_deadline(&deployment) {
                    let words = format!("Created new replica set {name:?}");
                    status::progressing(cluster, self, "NewReplicaSetCreated", &words)?;
                }
                Ok(true)
            }
            Err(refused) if refused.code == 409 => {
                // Another template with the same hash, or one of somebody else: the next hash is another.
                let key = key_of(super::KIND, &deployment);
                cluster
                    .change_status(BY, &key, |it| it["status"]["collisionCount"] = (collisions + 1).into())?;
                Ok(false)
            }
            Err(refused) => {
                let words = format!("Failed to create new replica set {name:?}: {refused}");
                if has_deadline(&deployment) {
                    status::no_progress(cluster, self, "ReplicaSetCreateError", &words)?;
                }
                cluster.event(BY, &deployment, "Warning", "ReplicaSetCreateError", &words);
                Err(refused)
            }
        }
    }

    /// Scales a set; whether its number changed.
    pub fn scale(&mut self, cluster: &Cluster, set: &Value, to: i64) -> Result<bool, Refused> {
        let from = replicas(set);
        let changed = cluster.change(BY, &key_of(SETS, set), |set| {
            set["spec"]["replicas"] = to.into();
            self.remember_numbers(set);
        })?;
        let Some(changed) = changed else { return Ok(false) };
        if from != to {
            let direction = if from < to { "up" } else { "down" };
            let words = format!("Scaled {direction} replica set {} from {from} to {to}", meta(set, "name"));
            cluster.event(BY, &self.deployment, "Normal", "ScalingReplicaSet", &words);
        }
        let place = self.old.iter_mut().chain(&mut self.new).find(|it| meta(it, "uid") == meta(set, "uid"));
        if let Some(place) = place {
            *place = changed;
        }
        Ok(from != to)
    }

    /// Deletes the oldest empty sets beyond those that are kept for going back.
    pub fn forget_old(&self, cluster: &Cluster) -> Result<(), Refused> {
        let Some(kept) = self.deployment["spec"]["revisionHistoryLimit"].as_u64() else { return Ok(()) };
        let mut old: Vec<_> = self.old.iter().filter(|set| !is_going(set)).collect();
        old.sort_by_key(|set| (revision(set), age(set)));
        let over = old.len().saturating_sub(usize::try_from(kept).unwrap_or(usize::MAX));
        for set in old.into_iter().take(over) {
            let settled = int(&set["metadata"]["generation"]) <= int(&set["status"]["observedGeneration"]);
            if replicas(set) == 0 && int(&set["status"]["replicas"]) == 0 && settled {
                cluster.delete(BY, &key_of(SETS, set))?;
            }
        }
        Ok(())
    }

    /// Whether pods of an old template are still there.
    pub fn old_pods_run(&self, cluster: &Cluster) -> bool {
        if self.old.iter().any(|set| int(&set["status"]["replicas"]) > 0) {
            return true;
        }
        let pods = cluster.list("/pods", Some(meta(&self.deployment, "namespace")));
        let old = |pod: &Value| {
            let owner = controller(pod).map(|it| &it["uid"]);
            owner.is_some_and(|uid| self.old.iter().any(|set| set["metadata"]["uid"] == *uid))
        };
        pods.iter().any(|pod| old(pod) && (is_active(pod) || is_going(pod)))
    }

    /// The set that is scaled when there is only one to scale: the one with pods, or the newest.
    pub fn only_one(&self) -> Option<Option<Arc<Value>>> {
        let mut active = self.all().filter(|set| replicas(set) > 0);
        match (active.next(), active.next()) {
            (Some(one), None) => Some(Some(one.clone())),
            (None, _) => Some(self.new.clone().or_else(|| {
                self.old
                    .iter()
                    .max_by_key(|set| (meta(set, "creationTimestamp"), Reverse(meta(set, "name"))))
                    .cloned()
            })),
            _ => None,
        }
    }

    fn next_revision(&self) -> i64 {
        self.old.iter().map(|set| revision(set)).max().unwrap_or(0) + 1
    }

    fn remember_numbers(&self, set: &mut Value) {
        let wanted = self.wanted();
        set["metadata"]["annotations"][DESIRED] = wanted.to_string().into();
        set["metadata"]["annotations"][MAXIMUM] = (wanted + self.max_surge()).to_string().into();
    }

    fn revise(&mut self, cluster: &Cluster, revision: &str) -> Result<(), Refused> {
        let key = key_of(super::KIND, &self.deployment);
        let changed =
            cluster.change(BY, &key, |it| it["metadata"]["annotations"][REVISION] = revision.into())?;
        if let Some(changed) = changed {
            self.deployment = changed;
        }
        Ok(())
    }
}

fn revision(set: &Value) -> i64 {
    annotation(set, REVISION).parse().unwrap_or(0)
}

/// Copies what a set takes over from its Deployment, and raises its revision, remembering the one it had.
fn annotate(set: &mut Value, deployment: &Value, new_revision: i64) {
    for (key, value) in deployment["metadata"]["annotations"].as_object().into_iter().flatten() {
        if !OWN.contains(&key.as_str()) {
            set["metadata"]["annotations"][key] = value.clone();
        }
    }
    let before = annotation(set, REVISION).to_owned();
    if revision(set) < new_revision {
        set["metadata"]["annotations"][REVISION] = new_revision.to_string().into();
        if !before.is_empty() {
            let history = match annotation(set, HISTORY) {
                "" => before,
                history => format!("{history},{before}"),
            };
            set["metadata"]["annotations"][HISTORY] = history.into();
        }
    }
}

fn is_of_template(set: &Value, template: &Value) -> bool {
    let mut of_set = set["spec"]["template"].clone();
    if let Some(labels) = of_set["metadata"]["labels"].as_object_mut() {
        labels.shift_remove(HASH);
    }
    let mut template = template.clone();
    if let Some(labels) = template["metadata"]["labels"].as_object_mut() {
        labels.shift_remove(HASH);
    }
    of_set == template
}
