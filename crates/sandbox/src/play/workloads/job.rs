//! Jobs: pods that end, until enough of them have ended well.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::objects::{
    AGAIN, at, claim, condition, controller, count, create_pod, delete_pod, int, is_active, is_finished,
    is_ready, is_true, items, key_of, let_go, owners_of, pod_from, set_condition, sooner, text,
};
use crate::{
    kube::{
        object::{finalizers, is_going, meta, time},
        store::{Change, Key},
    },
    play::{Cluster, Controller, cluster::Refused},
};

const BY: &str = "job-controller";
const KIND: &str = "batch/jobs";
/// Holds a pod until it has been counted.
const TRACKING: &str = "batch.kubernetes.io/job-tracking";
const INDEX: &str = "batch.kubernetes.io/job-completion-index";

/// The first wait after a failed pod; it doubles with each, up to [`LONGEST`]. As the real controller.
const BACKOFF: i64 = 10;
const LONGEST: i64 = 600;

/// Keeps Jobs.
pub struct Jobs;

impl Controller for Jobs {
    fn watches(&self) -> &'static [&'static str] {
        &[KIND, "/pods"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            KIND => vec![change.key.clone()],
            _ => owners_of(cluster, change.latest(), "Job", KIND),
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let outcome = match cluster.get(key) {
            None => release_orphans(cluster, key).map(|()| None),
            Some(job) => sync(cluster, key, &job),
        };
        outcome.unwrap_or(Some(AGAIN))
    }
}

/// Whether a Job is over, and when it was.
pub fn finished(job: &Value) -> Option<(&str, Option<Timestamp>)> {
    let over = ["Complete", "Failed"].into_iter().find(|kind| is_true(&job["status"], kind))?;
    let since = condition(&job["status"], over).and_then(|it| at(&it["lastTransitionTime"]));
    Some((over, since))
}

/// Pods of a Job that is gone need not be counted.
fn release_orphans(cluster: &Cluster, key: &Key) -> Result<(), Refused> {
    for pod in cluster.list("/pods", Some(&key.namespace)) {
        let ours = controller(&pod).is_some_and(|it| it["kind"] == "Job" && it["name"] == key.name.as_str());
        if ours && finalizers(&pod).contains(&TRACKING) {
            cluster.change(BY, &key_of("/pods", &pod), |it| let_go(it, TRACKING))?;
        }
    }
    Ok(())
}

fn sync(cluster: &Cluster, key: &Key, job: &Value) -> Result<Option<SignedDuration>, Refused> {
    if is_going(job) {
        for pod in claim(cluster, BY, "/pods", job).iter().filter(|pod| finalizers(pod).contains(&TRACKING)) {
            cluster.change(BY, &key_of("/pods", pod), |it| let_go(it, TRACKING))?;
        }
        return Ok(None);
    }
    if let Some((_, since)) = finished(job) {
        return expire(cluster, key, job, since);
    }
    let mut work =
        Work { cluster, key, job, pods: claim(cluster, BY, "/pods", job), status: job["status"].clone() };
    work.count_finished()?;
    work.go_on()
}

/// Deletes a Job some time after it is over.
fn expire(
    cluster: &Cluster,
    key: &Key,
    job: &Value,
    since: Option<Timestamp>,
) -> Result<Option<SignedDuration>, Refused> {
    for pod in claim(cluster, BY, "/pods", job).iter().filter(|pod| finalizers(pod).contains(&TRACKING)) {
        cluster.change(BY, &key_of("/pods", pod), |it| let_go(it, TRACKING))?;
    }
    let Some(seconds) = job["spec"]["ttlSecondsAfterFinished"].as_i64() else { return Ok(None) };
    let due = since.unwrap_or_else(|| cluster.now()) + SignedDuration::from_secs(seconds);
    let left = cluster.now().duration_until(due);
    if left > SignedDuration::ZERO {
        return Ok(Some(left));
    }
    let options = json!({ "propagationPolicy": "Foreground", "preconditions": { "uid": meta(job, "uid") } });
    cluster.delete_with("ttl-after-finished-controller", key, &options)?;
    Ok(None)
}

struct Work<'a> {
    cluster: &'a Cluster,
    key: &'a Key,
    job: &'a Value,
    pods: Vec<Arc<Value>>,
    status: Value,
}

impl Work<'_> {
    fn indexed(&self) -> bool {
        self.job["spec"]["completionMode"] == "Indexed"
    }

    fn suspended(&self) -> bool {
        self.job["spec"]["suspend"] == true
    }

    fn active(&self) -> Vec<Arc<Value>> {
        self.pods.iter().filter(|pod| is_active(pod)).cloned().collect()
    }

    fn write(&mut self) -> Result<(), Refused> {
        let status = self.status.clone();
        self.cluster.change_status(BY, self.key, |it| it["status"] = status.clone()).map(drop)
    }

    /// Counts each pod that has ended exactly once: its id is written down, then it is let go, then it becomes a number.
    /// Whoever dies in between goes on from what is written.
    fn count_finished(&mut self) -> Result<(), Refused> {
        let noted = |status: &Value, list: &str| -> Vec<String> {
            items(&status["uncountedTerminatedPods"][list]).map(|it| text(it).to_owned()).collect()
        };
        let mut lists = [("succeeded", "Succeeded"), ("failed", "Failed")]
            .map(|(list, phase)| (list, phase, noted(&self.status, list)));
        let mut new = false;
        for pod in &self.pods {
            for (_, phase, uids) in &mut lists {
                let uid = meta(pod, "uid");
                let ended = pod["status"]["phase"] == *phase && finalizers(pod).contains(&TRACKING);
                if ended && !uids.iter().any(|it| it == uid) {
                    uids.push(uid.to_owned());
                    new = true;
                }
            }
        }
        if lists.iter().all(|(_, _, uids)| uids.is_empty()) {
            return Ok(());
        }
        if new {
            for (list, _, uids) in lists.iter().filter(|(_, _, uids)| !uids.is_empty()) {
                self.status["uncountedTerminatedPods"][*list] = json!(uids);
            }
            self.write()?;
        }
        for pod in &self.pods {
            let counted = lists.iter().any(|(_, _, uids)| uids.iter().any(|it| it == meta(pod, "uid")));
            if counted && finalizers(pod).contains(&TRACKING) {
                self.cluster.change(BY, &key_of("/pods", pod), |it| let_go(it, TRACKING))?;
            }
        }
        for (list, _, uids) in &lists {
            let sum = int(&self.status[*list]) + i64::try_from(uids.len()).unwrap_or(0);
            count(&mut self.status, list, sum);
        }
        if self.indexed() {
            let mut done = self.completed();
            let succeeded = self.pods.iter().filter(|pod| pod["status"]["phase"] == "Succeeded");
            done.extend(succeeded.filter_map(|pod| index(pod)));
            count(&mut self.status, "succeeded", i64::try_from(done.len()).unwrap_or(0));
            self.status["completedIndexes"] = ranges(&done).into();
        }
        self.status["uncountedTerminatedPods"] = json!({});
        self.write()
    }

    fn completed(&self) -> BTreeSet<i64> {
        let number = |text: &str| text.parse::<i64>().ok();
        let parts = text(&self.status["completedIndexes"]).split(',');
        parts
            .filter_map(|part| {
                let (from, to) = part.split_once('-').unwrap_or((part, part));
                Some(number(from)?..=number(to)?)
            })
            .flatten()
            .collect()
    }

    /// What is wanted now: to end, to wait, or more pods.
    fn go_on(&mut self) -> Result<Option<SignedDuration>, Refused> {
        let now = self.cluster.now();
        let started = at(&self.status["startTime"]);
        if started.is_none() && !self.suspended() {
            self.status["startTime"] = time(now).into();
        }
        let spec = &self.job["spec"];
        let (succeeded, failed) = (int(&self.status["succeeded"]), int(&self.status["failed"]));
        let completions = spec["completions"].as_i64();
        let active = self.active();
        let restarts: i64 = active
            .iter()
            .filter(|_| spec["template"]["spec"]["restartPolicy"] == "OnFailure")
            .flat_map(|pod| items(&pod["status"]["containerStatuses"]))
            .map(|it| int(&it["restartCount"]))
            .sum();
        let deadline = spec["activeDeadlineSeconds"].as_i64().zip(started).filter(|_| !self.suspended());
        let deadline = deadline
            .map(|(seconds, started)| now.duration_until(started + SignedDuration::from_secs(seconds)));
        let limit = int(&spec["backoffLimit"]);
        let failure = if failed > limit || restarts > limit {
            Some(("BackoffLimitExceeded", "Job has reached the specified backoff limit"))
        } else if deadline.is_some_and(|left| left <= SignedDuration::ZERO) {
            Some(("DeadlineExceeded", "Job was active longer than specified deadline"))
        } else {
            None
        };
        if let Some((reason, message)) = failure {
            return self.end("FailureTarget", "Failed", reason, message, &active).map(|()| None);
        }
        let enough = match completions {
            Some(wanted) => succeeded >= wanted,
            None => succeeded > 0 && active.is_empty(),
        };
        if enough {
            let message = "Reached expected number of succeeded pods";
            return self
                .end("SuccessCriteriaMet", "Complete", "CompletionsReached", message, &active)
                .map(|()| None);
        }
        let wait = if self.suspended() { self.suspend(&active)? } else { self.run(&active)? };
        self.counts()?;
        Ok(sooner(wait, deadline))
    }

    fn counts(&mut self) -> Result<(), Refused> {
        self.pods = claim(self.cluster, BY, "/pods", self.job);
        let number = |fits: &dyn Fn(&Value) -> bool| self.pods.iter().filter(|pod| fits(pod)).count();
        let (active, ready) = (number(&is_active), number(&|pod| is_active(pod) && is_ready(pod)));
        let going = number(&|pod| is_going(pod) && !is_finished(pod));
        count(&mut self.status, "active", i64::try_from(active).unwrap_or(0));
        self.status["ready"] = ready.into();
        self.status["terminating"] = going.into();
        if !self.status["uncountedTerminatedPods"].is_object() {
            self.status["uncountedTerminatedPods"] = json!({});
        }
        self.write()
    }

    fn end(
        &mut self,
        before: &str,
        kind: &str,
        reason: &str,
        message: &str,
        active: &[Arc<Value>],
    ) -> Result<(), Refused> {
        let now = self.cluster.time();
        if !is_true(&self.status, before) {
            set_condition(&mut self.status, before, "True", Some((reason, message)), &now);
            probed(&mut self.status, &now);
        }
        for pod in active {
            delete_pod(self.cluster, BY, self.job, pod)?;
        }
        self.counts()?;
        if int(&self.status["active"]) > 0 || int(&self.status["terminating"]) > 0 {
            return Ok(());
        }
        set_condition(&mut self.status, kind, "True", Some((reason, message)), &now);
        probed(&mut self.status, &now);
        if kind == "Complete" {
            self.status["completionTime"] = now.into();
        }
        self.write()?;
        match kind {
            "Complete" => self.cluster.event(BY, self.job, "Normal", "Completed", "Job completed"),
            _ => self.cluster.event(BY, self.job, "Warning", reason, message),
        }
        Ok(())
    }

    fn suspend(&mut self, active: &[Arc<Value>]) -> Result<Option<SignedDuration>, Refused> {
        for pod in active {
            delete_pod(self.cluster, BY, self.job, pod)?;
        }
        if !is_true(&self.status, "Suspended") {
            let now = self.cluster.time();
            set_condition(
                &mut self.status,
                "Suspended",
                "True",
                Some(("JobSuspended", "Job suspended")),
                &now,
            );
            probed(&mut self.status, &now);
            drop(self.status.as_object_mut().map(|it| it.shift_remove("startTime")));
            self.cluster.event(BY, self.job, "Normal", "Suspended", "Job suspended");
        }
        Ok(None)
    }

    /// Makes the pods that are missing, after a pause if the last ones failed.
    fn run(&mut self, active: &[Arc<Value>]) -> Result<Option<SignedDuration>, Refused> {
        if is_true(&self.status, "Suspended") {
            let now = self.cluster.time();
            set_condition(&mut self.status, "Suspended", "False", Some(("JobResumed", "Job resumed")), &now);
            probed(&mut self.status, &now);
            self.cluster.event(BY, self.job, "Normal", "Resumed", "Job resumed");
        }
        let spec = &self.job["spec"];
        let parallelism = int(&spec["parallelism"]);
        let succeeded = int(&self.status["succeeded"]);
        let wanted = match spec["completions"].as_i64() {
            Some(completions) => parallelism.min(completions - succeeded),
            None if succeeded > 0 => 0,
            None => parallelism,
        };
        let mut there = i64::try_from(active.len()).unwrap_or(i64::MAX);
        if spec["podReplacementPolicy"] == "Failed" {
            let going = self.pods.iter().filter(|pod| is_going(pod) && !is_finished(pod)).count();
            there += i64::try_from(going).unwrap_or(0);
        }
        if there > wanted {
            let mut newest = active.to_vec();
            newest.sort_by(|one, two| super::objects::age(two).cmp(&super::objects::age(one)));
            for pod in newest.iter().take(usize::try_from(there - wanted).unwrap_or(0)) {
                delete_pod(self.cluster, BY, self.job, pod)?;
            }
            return Ok(None);
        }
        let pause = self.pause();
        if there == wanted || pause.is_some() {
            return Ok(pause);
        }
        let mut taken = self.completed();
        taken.extend(active.iter().filter_map(|pod| index(pod)));
        for _ in there..wanted {
            let free = (0..).find(|it| !taken.contains(it)).unwrap_or(0);
            taken.insert(free);
            create_pod(self.cluster, BY, self.job, &self.pod(free))?;
        }
        Ok(None)
    }

    /// How long to wait after pods that failed.
    fn pause(&self) -> Option<SignedDuration> {
        let ended = |pod: &Arc<Value>| {
            let containers = items(&pod["status"]["containerStatuses"]);
            containers.filter_map(|it| at(&it["state"]["terminated"]["finishedAt"])).max()
        };
        let of = |phase: &str| {
            self.pods.iter().filter(|pod| pod["status"]["phase"] == phase).filter_map(ended).collect()
        };
        let (failed, succeeded): (Vec<Timestamp>, Vec<Timestamp>) = (of("Failed"), of("Succeeded"));
        let last_success = succeeded.into_iter().max();
        let since: Vec<_> = failed.into_iter().filter(|at| last_success.is_none_or(|it| *at > it)).collect();
        let last = since.iter().max()?;
        let doubled = u32::try_from(since.len() - 1).ok().and_then(|it| 2_i64.checked_pow(it));
        let seconds = doubled.and_then(|it| it.checked_mul(BACKOFF)).unwrap_or(LONGEST).min(LONGEST);
        let left = self.cluster.now().duration_until(*last + SignedDuration::from_secs(seconds));
        (left > SignedDuration::ZERO).then_some(left)
    }

    fn pod(&self, index: i64) -> Value {
        let mut pod = pod_from(&self.job["spec"]["template"], self.job);
        let name = meta(self.job, "name");
        pod["metadata"]["generateName"] = format!("{name}-").into();
        super::objects::hold(&mut pod, TRACKING);
        if self.indexed() {
            let number = index.to_string();
            pod["metadata"]["generateName"] = format!("{name}-{index}-").into();
            pod["metadata"]["annotations"][INDEX] = number.as_str().into();
            pod["metadata"]["labels"][INDEX] = number.as_str().into();
            pod["spec"]["hostname"] = format!("{name}-{index}").into();
            for container in pod["spec"]["containers"].as_array_mut().into_iter().flatten() {
                if !container["env"].is_array() {
                    container["env"] = json!([]);
                }
                let field = json!({ "fieldRef": { "fieldPath": format!("metadata.labels['{INDEX}']") } });
                if let Some(env) = container["env"].as_array_mut() {
                    env.push(json!({ "name": "JOB_COMPLETION_INDEX", "valueFrom": field }));
                }
            }
        }
        pod
    }
}

/// Conditions of jobs also say when they were last looked at.
fn probed(status: &mut Value, now: &str) {
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        if condition.get("lastProbeTime").is_none() {
            condition["lastProbeTime"] = now.into();
        }
    }
}

fn index(pod: &Value) -> Option<i64> {
    text(&pod["metadata"]["annotations"][INDEX]).parse().ok()
}

/// `0-2,5`.
fn ranges(numbers: &BTreeSet<i64>) -> String {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, to)) if *to + 1 == *number => *to = *number,
            _ => runs.push((*number, *number)),
        }
    }
    let run = |(from, to): &(i64, i64)| match to - from {
        0 => from.to_string(),
        1 => format!("{from},{to}"),
        _ => format!("{from}-{to}"),
    };
    runs.iter().map(run).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_ranges() {
        assert_eq!(ranges(&BTreeSet::from([0, 1, 2, 5, 7, 8])), "0-2,5,7,8");
        assert_eq!(ranges(&BTreeSet::new()), "");
    }
}
