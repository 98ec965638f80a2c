//! StatefulSets: numbered pods, each with its own name and volumes, made and replaced in order.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    history::{self, Revisions},
    objects::{
        AGAIN, Availability, availability, claim, count, int, is_finished, is_ready, items, key_of, owned_by,
        owners_of, pod_from, share, sooner, text,
    },
};
use crate::{
    kube::{
        object::{is_going, meta},
        store::{Change, Key},
    },
    play::{Cluster, Controller, cluster::Refused},
};

const BY: &str = "statefulset-controller";
const KIND: &str = "apps/statefulsets";
const REVISION: &str = "controller-revision-hash";

/// Keeps StatefulSets.
pub struct StatefulSets;

impl Controller for StatefulSets {
    fn watches(&self) -> &'static [&'static str] {
        &[KIND, "/pods"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            KIND => vec![change.key.clone()],
            _ => owners_of(cluster, change.latest(), "StatefulSet", KIND),
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let set = cluster.get(key)?;
        match sync(cluster, key, &set) {
            Ok(wait) => wait,
            Err(_) => Some(AGAIN),
        }
    }
}

/// A StatefulSet, its pods by number, and the revisions that they are of.
struct Work<'a> {
    cluster: &'a Cluster,
    set: &'a Value,
    revisions: Revisions,
    current: String,
    update: String,
    start: i64,
    /// One for each wanted number.
    replicas: Vec<Option<Arc<Value>>>,
    /// Those with other numbers, the highest first.
    condemned: Vec<Arc<Value>>,
}

/// Whether the step is all that is done for now.
#[derive(PartialEq)]
enum Step {
    Wait,
    Next,
}

fn sync(cluster: &Cluster, key: &Key, set: &Value) -> Result<Option<SignedDuration>, Refused> {
    let pods = claim_all(cluster, set);
    let revisions = Revisions::of(cluster, BY, set, "controller.kubernetes.io/hash")?;
    let update = meta(revisions.newest(), "name").to_owned();
    let current = text(&set["status"]["currentRevision"]).to_owned();
    let current = if revisions.named(&current).is_some() { current } else { update.clone() };
    let start = int(&set["spec"]["ordinals"]["start"]);
    let wanted = usize::try_from(int(&set["spec"]["replicas"])).unwrap_or(0);
    let mut work = Work {
        cluster,
        set,
        revisions,
        current,
        update,
        start,
        replicas: vec![None; wanted],
        condemned: Vec::new(),
    };
    for pod in pods {
        let place = number(&pod).map(|it| usize::try_from(it - start).unwrap_or(usize::MAX));
        match place.and_then(|it| work.replicas.get_mut(it)) {
            Some(seat) => *seat = Some(pod),
            None if place.is_some() => work.condemned.push(pod),
            None => {}
        }
    }
    work.condemned.sort_by_key(|pod| std::cmp::Reverse(number(pod)));
    let outcome = if is_going(set) { Ok(()) } else { work.act() };
    let wait = work.write(key)?;
    outcome?;
    let used: Vec<&str> = work.pods().map(|it| revision(it)).chain([work.current.as_str()]).collect();
    work.revisions.forget(cluster, BY, set, &used)?;
    Ok(wait)
}

/// Also those that have ended: a number that is taken is not given again.
fn claim_all(cluster: &Cluster, set: &Value) -> Vec<Arc<Value>> {
    let mut pods = claim(cluster, BY, "/pods", set);
    let prefix = format!("{}-", meta(set, "name"));
    pods.retain(|pod| meta(pod, "name").strip_prefix(&prefix).is_some_and(|it| it.parse::<u32>().is_ok()));
    pods
}

fn number(pod: &Value) -> Option<i64> {
    meta(pod, "name").rsplit_once('-')?.1.parse().ok()
}

fn revision(pod: &Value) -> &str {
    text(&pod["metadata"]["labels"][REVISION])
}

impl Work<'_> {
    fn pods(&self) -> impl Iterator<Item = &Arc<Value>> {
        self.replicas.iter().flatten().chain(&self.condemned)
    }

    fn in_order(&self) -> bool {
        self.set["spec"]["podManagementPolicy"] != "Parallel"
    }

    fn is_available(&self, pod: &Value) -> bool {
        let minimum = int(&self.set["spec"]["minReadySeconds"]);
        !is_going(pod)
            && pod["status"]["phase"] == "Running"
            && availability(pod, minimum, self.cluster.now()) == Availability::Now
    }

    fn act(&mut self) -> Result<(), Refused> {
        let in_order = self.in_order();
        for place in 0..self.replicas.len() {
            if self.replica(place)? == Step::Wait && in_order {
                return Ok(());
            }
        }
        // Of those that are too many the last goes first; an unhealthy one only if none before it is.
        let unhealthy = self
            .condemned
            .iter()
            .rev()
            .find(|pod| !self.is_available(pod))
            .map(|it| meta(it, "uid").to_owned());
        for pod in self.condemned.clone() {
            let first = unhealthy.as_deref() == Some(meta(&pod, "uid"));
            if is_going(&pod) || (in_order && !self.is_available(&pod) && !first) {
                if in_order {
                    return Ok(());
                }
                continue;
            }
            self.release_claims(&pod)?;
            self.delete(&pod)?;
            if in_order {
                return Ok(());
            }
        }
        self.update()
    }

    /// One wanted number: its pod is made, or made again, or waited for.
    fn replica(&mut self, place: usize) -> Result<Step, Refused> {
        let ordinal = self.start + i64::try_from(place).unwrap_or(i64::MAX);
        match self.replicas[place].clone() {
            None => {
                let pod = self.create(ordinal)?;
                self.replicas[place] = Some(pod);
                Ok(Step::Wait)
            }
            Some(pod) if is_finished(&pod) && !is_going(&pod) => {
                let (set, name) = (meta(self.set, "name"), meta(&pod, "name"));
                let words = format!(
                    "StatefulSet {}/{set} is recreating failed Pod {name}",
                    meta(self.set, "namespace")
                );
                self.cluster.event(BY, self.set, "Warning", "RecreatingFailedPod", &words);
                self.delete(&pod)?;
                Ok(Step::Wait)
            }
            Some(pod) => {
                if pod["status"]["phase"] == "Pending" {
                    self.claims(ordinal)?;
                }
                Ok(if self.is_available(&pod) { Step::Next } else { Step::Wait })
            }
        }
    }

    /// Replaces pods of an old revision, the last first, as many at once as may be unavailable.
    fn update(&mut self) -> Result<(), Refused> {
        let strategy = &self.set["spec"]["updateStrategy"];
        if strategy["type"] == "OnDelete" {
            return Ok(());
        }
        let wanted = int(&self.set["spec"]["replicas"]);
        let most = match &strategy["rollingUpdate"]["maxUnavailable"] {
            Value::Null => 1,
            share_of => share(share_of, wanted, true).max(1),
        };
        let first = usize::try_from(int(&strategy["rollingUpdate"]["partition"])).unwrap_or(0);
        let unavailable = self.replicas.iter().flatten().filter(|pod| !self.is_available(pod)).count();
        let mut left = most - i64::try_from(unavailable).unwrap_or(i64::MAX);
        for pod in self.replicas.clone().iter().skip(first).rev().flatten() {
            if left > 0 && revision(pod) != self.update && !is_going(pod) {
                self.delete(pod)?;
                left -= 1;
            }
        }
        Ok(())
    }

    fn create(&self, ordinal: i64) -> Result<Arc<Value>, Refused> {
        self.claims(ordinal)?;
        let partition = int(&self.set["spec"]["updateStrategy"]["rollingUpdate"]["partition"]);
        let old = ordinal - self.start < partition;
        let (revision, template) = match self.revisions.named(&self.current) {
            Some(current) if old => (&self.current, history::template(current)),
            _ => (&self.update, self.set["spec"]["template"].clone()),
        };
        let (set, mut pod) = (meta(self.set, "name"), pod_from(&template, self.set));
        let name = format!("{set}-{ordinal}");
        pod["metadata"]["name"] = name.as_str().into();
        let labels = &mut pod["metadata"]["labels"];
        labels["statefulset.kubernetes.io/pod-name"] = name.as_str().into();
        labels["apps.kubernetes.io/pod-index"] = ordinal.to_string().into();
        labels[REVISION] = revision.as_str().into();
        pod["spec"]["hostname"] = name.as_str().into();
        if let Some(service) = self.set["spec"]["serviceName"].as_str() {
            pod["spec"]["subdomain"] = service.into();
        }
        let mut volumes: Vec<Value> = items(&self.set["spec"]["volumeClaimTemplates"])
            .map(|it| json!({
                "name": meta(it, "name"), "persistentVolumeClaim": { "claimName": self.claim_name(it, ordinal) },
            }))
            .collect();
        let others = items(&pod["spec"]["volumes"])
            .filter(|it| !volumes.iter().any(|ours| ours["name"] == it["name"]));
        volumes.extend(others.cloned().collect::<Vec<_>>());
        if !volumes.is_empty() {
            pod["spec"]["volumes"] = volumes.into();
        }
        self.tell("create", &name, self.cluster.create(BY, "/pods", &pod))
    }

    fn delete(&self, pod: &Value) -> Result<(), Refused> {
        self.tell("delete", meta(pod, "name"), self.cluster.delete(BY, &key_of("/pods", pod)))
    }

    fn tell<T>(&self, verb: &str, pod: &str, outcome: Result<T, Refused>) -> Result<T, Refused> {
        let set = meta(self.set, "name");
        let done = if verb == "create" { "Create" } else { "Delete" };
        match &outcome {
            Ok(_) => {
                let words = format!("{verb} Pod {pod} in StatefulSet {set} successful");
                self.cluster.event(BY, self.set, "Normal", &format!("Successful{done}"), &words);
            }
            Err(refused) => {
                let words = format!("{verb} Pod {pod} in StatefulSet {set} failed error: {refused}");
                self.cluster.event(BY, self.set, "Warning", &format!("Failed{done}"), &words);
            }
        }
        outcome
    }

    fn claim_name(&self, template: &Value, ordinal: i64) -> String {
        format!("{}-{}-{ordinal}", meta(template, "name"), meta(self.set, "name"))
    }

    /// The claims of a number; those that were there before are taken again.
    fn claims(&self, ordinal: i64) -> Result<(), Refused> {
        let namespace = meta(self.set, "namespace");
        let policy = &self.set["spec"]["persistentVolumeClaimRetentionPolicy"];
        for template in items(&self.set["spec"]["volumeClaimTemplates"]) {
            let name = self.claim_name(template, ordinal);
            let key = Cluster::key("/persistentvolumeclaims", namespace, &name);
            if self.cluster.get(&key).is_some() {
                continue;
            }
            let mut metadata = json!({ "name": name, "namespace": namespace });
            let own = template["metadata"]["labels"].as_object().into_iter().flatten();
            let selected = self.set["spec"]["selector"]["matchLabels"].as_object().into_iter().flatten();
            for (label, value) in own.chain(selected) {
                metadata["labels"][label] = value.clone();
            }
            if let Some(annotations) = template["metadata"].get("annotations") {
                metadata["annotations"] = annotations.clone();
            }
            if policy["whenDeleted"] == "Delete" {
                metadata["ownerReferences"] = json!([owned_by(self.set)]);
            }
            let claim = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": template["spec"],
            });
            self.cluster.create(BY, "/persistentvolumeclaims", &claim)?;
            let set = meta(self.set, "name");
            let words = format!("create Claim {name} Pod {set}-{ordinal} in StatefulSet {set} success");
            self.cluster.event(BY, self.set, "Normal", "SuccessfulCreate", &words);
        }
        Ok(())
    }

    /// With `whenScaled: Delete` the claims of a pod that is too many go with it.
    fn release_claims(&self, pod: &Value) -> Result<(), Refused> {
        let policy = &self.set["spec"]["persistentVolumeClaimRetentionPolicy"];
        let Some(ordinal) = number(pod).filter(|_| policy["whenScaled"] == "Delete") else { return Ok(()) };
        for template in items(&self.set["spec"]["volumeClaimTemplates"]) {
            let name = self.claim_name(template, ordinal);
            let key = Cluster::key("/persistentvolumeclaims", meta(self.set, "namespace"), &name);
            let owner = json!({ "apiVersion": "v1", "kind": "Pod", "name": meta(pod, "name"), "uid": meta(pod, "uid") });
            self.cluster.change(BY, &key, |it| it["metadata"]["ownerReferences"] = json!([owner]))?;
        }
        Ok(())
    }

    fn write(&mut self, key: &Key) -> Result<Option<SignedDuration>, Refused> {
        let mut status = json!({});
        let number = |fits: &dyn Fn(&Value) -> bool| {
            i64::try_from(self.pods().filter(|pod| fits(pod)).count()).unwrap_or(i64::MAX)
        };
        let wanted = int(&self.set["spec"]["replicas"]);
        let (replicas, ready) = (number(&|_| true), number(&|pod| is_ready(pod) && !is_finished(pod)));
        let of = |name: &str| number(&|pod| !is_going(pod) && revision(pod) == name);
        let updated = of(&self.update);
        let mut currents = of(&self.current);
        let minimum = int(&self.set["spec"]["minReadySeconds"]);
        let mut wait = None;
        for pod in self.pods() {
            if let Availability::In(left) = availability(pod, minimum, self.cluster.now()) {
                wait = sooner(wait, Some(left));
            }
        }
        let rolls = self.set["spec"]["updateStrategy"]["type"] == "RollingUpdate";
        if rolls && updated == wanted && ready == wanted && replicas == wanted {
            (self.current, currents) = (self.update.clone(), updated);
        }
        status["observedGeneration"] = self.set["metadata"]["generation"].clone();
        status["replicas"] = replicas.into();
        count(&mut status, "readyReplicas", ready);
        count(&mut status, "currentReplicas", currents);
        count(&mut status, "updatedReplicas", updated);
        status["currentRevision"] = self.current.as_str().into();
        status["updateRevision"] = self.update.as_str().into();
        status["collisionCount"] = 0.into();
        status["availableReplicas"] = self.pods().filter(|pod| self.is_available(pod)).count().into();
        self.cluster.change_status(BY, key, |it| it["status"] = status.clone())?;
        Ok(wait)
    }
}
