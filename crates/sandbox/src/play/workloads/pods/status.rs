//! What is said of a pod on its node.

use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::life::{Faults, Life, Stage, before};
use crate::{
    kube::object::{meta, time},
    play::workloads::objects::{condition, int, is_true, items, text},
};

/// The conditions that a kubelet writes, in its order; PodScheduled, the scheduler's, stands after them.
const OURS: &[&str] = &["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady"];

/// The whole status of a pod at a stage of its life.
pub fn of(
    pod: &Value,
    node: &Value,
    address: Option<&str>,
    stage: &Stage,
    life: &Life,
    now: Timestamp,
) -> Value {
    let mut status = pod["status"].clone();
    let up = !matches!(stage, Stage::Creating | Stage::Unpullable);
    status["phase"] = match stage {
        Stage::Creating | Stage::Unpullable | Stage::Init { .. } => "Pending",
        Stage::Running { .. } | Stage::Backoff { .. } => "Running",
        Stage::Ended { well: true, .. } => "Succeeded",
        Stage::Ended { well: false, .. } => "Failed",
    }
    .into();
    let observed = pod["metadata"]["generation"].clone();
    status["observedGeneration"] = observed.clone();
    if status["startTime"].is_null() {
        status["startTime"] = time(now).into();
    }
    if let Some(host) = items(&node["status"]["addresses"]).find(|it| it["type"] == "InternalIP") {
        status["hostIP"] = host["address"].clone();
        status["hostIPs"] = json!([{ "ip": host["address"] }]);
        if up {
            let own = if pod["spec"]["hostNetwork"] == true { host["address"].as_str() } else { address };
            if let Some(ip) = own {
                status["podIP"] = ip.into();
                status["podIPs"] = json!([{ "ip": ip }]);
            }
        }
    }
    let teller = Teller { pod, stage, life, faults: Faults::of(pod) };
    let inits: Vec<Value> = before(pod).enumerate().map(|(place, it)| teller.init(place, it)).collect();
    if !inits.is_empty() {
        status["initContainerStatuses"] = inits.into();
    }
    let mut containers: Vec<Value> =
        items(&pod["spec"]["containers"]).map(|it| teller.container(it)).collect();
    containers.sort_by(|one, two| text(&one["name"]).cmp(text(&two["name"])));
    status["containerStatuses"] = containers.into();
    status["conditions"] = conditions(pod, stage, &status, &observed, now);
    status
}

fn conditions(pod: &Value, stage: &Stage, status: &Value, observed: &Value, now: Timestamp) -> Value {
    let up = !matches!(stage, Stage::Creating | Stage::Unpullable);
    let ended = matches!(stage, Stage::Ended { .. });
    let names = |key: &str, lacks: &dyn Fn(&Value) -> bool| {
        let list = items(&status[key]).filter(|it| lacks(it));
        list.map(|it| text(&it["name"]).to_owned()).collect::<Vec<_>>().join(" ")
    };
    let incomplete = names("initContainerStatuses", &|it| it["ready"] != true);
    let unready = names("containerStatuses", &|it| it["ready"] != true);
    let unready = match (ended, unready.is_empty()) {
        (true, _) => Some(("PodCompleted", None)),
        (false, false) => {
            Some(("ContainersNotReady", Some(format!("containers with unready status: [{unready}]"))))
        }
        (false, true) => None,
    };
    let gates = items(&pod["spec"]["readinessGates"]).map(|it| text(&it["conditionType"]));
    let closed = gates.into_iter().find(|gate| !is_true(&pod["status"], gate));
    let gated = closed.map(|gate| {
        let why = match condition(&pod["status"], gate) {
            Some(_) => format!("the status of pod readiness gate {gate:?} is not \"True\", but False"),
            None => format!("corresponding condition of pod readiness gate {gate:?} does not exist."),
        };
        ("ReadinessGatesNotReady", Some(why))
    });
    let uninitialized = (!incomplete.is_empty()).then(|| {
        ("ContainersNotInitialized", Some(format!("containers with incomplete status: [{incomplete}]")))
    });
    let done =
        |it| if matches!(stage, Stage::Ended { well: true, .. }) { Some(("PodCompleted", None)) } else { it };
    let wanted = [
        (up && !ended, None),
        (uninitialized.is_none(), if uninitialized.is_none() { done(None) } else { uninitialized }),
        (unready.is_none() && gated.is_none(), unready.clone().or(gated)),
        (unready.is_none(), unready),
    ];
    let mut all = Vec::new();
    for (kind, (holds, words)) in OURS.iter().zip(wanted) {
        let value = if holds { "True" } else { "False" };
        let old = condition(&pod["status"], kind).filter(|it| it["status"] == value);
        let since = old.map_or_else(|| time(now).into(), |it| it["lastTransitionTime"].clone());
        let mut condition = json!({
            "type": kind, "observedGeneration": observed, "status": value, "lastProbeTime": null, "lastTransitionTime": since,
        });
        if let Some((reason, message)) = words {
            condition["reason"] = reason.into();
            if let Some(message) = message {
                condition["message"] = message.into();
            }
        }
        // As it is stored: what is null is left out.
        drop(condition.as_object_mut().map(|it| it.shift_remove("lastProbeTime")));
        all.push(condition);
    }
    let others = items(&pod["status"]["conditions"]).filter(|it| !OURS.contains(&text(&it["type"])));
    all.extend(others.cloned());
    all.into()
}

/// Writes into the conditions that have none which generation they are about.
pub fn observe(status: &mut Value, generation: &Value) {
    if let Some(all) = status["conditions"].as_array_mut() {
        for condition in all {
            condition["observedGeneration"] = generation.clone();
        }
    }
}

/// A pod that was ended before it had done its work.
pub fn killed(pod: &mut Value, now: Timestamp) {
    let status = &mut pod["status"];
    status["phase"] = "Failed".into();
    for kind in ["Ready", "ContainersReady"] {
        super::super::objects::set_condition(status, kind, "False", Some(("PodFailed", "")), &time(now));
    }
    if let Some(all) = status["containerStatuses"].as_array_mut() {
        for container in all {
            let since = container["state"]["running"]["startedAt"].clone();
            let since = if since.is_string() { since } else { time(now).into() };
            container["ready"] = false.into();
            container["started"] = false.into();
            container["state"] = json!({ "terminated": {
                // 128 and the signal that a container gets first.
                "exitCode": 143, "reason": "Error", "startedAt": since, "finishedAt": time(now),
            } });
        }
    }
}

struct Teller<'a> {
    pod: &'a Value,
    stage: &'a Stage,
    life: &'a Life,
    faults: Faults,
}

impl Teller<'_> {
    fn base(&self, container: &Value, restarts: i64) -> Value {
        let (name, image) = (text(&container["name"]), text(&container["image"]));
        let mut status = json!({
            "name": name, "state": {}, "lastState": {}, "ready": false, "restartCount": restarts,
            "image": image, "imageID": "", "started": false,
        });
        if !matches!(self.stage, Stage::Creating | Stage::Unpullable) {
            status["image"] = full_name(image).into();
            status["imageID"] = format!("{}@sha256:{}", repository(image), digest(&[image])).into();
            let parts = [meta(self.pod, "uid"), name, &restarts.to_string()];
            status["containerID"] = format!("containerd://{}", digest(&parts)).into();
        }
        status
    }

    fn init(&self, place: usize, container: &Value) -> Value {
        let mut status = self.base(container, 0);
        let stays = container["restartPolicy"] == "Always";
        let reached = match self.stage {
            Stage::Creating | Stage::Unpullable => None,
            Stage::Init { index, since } => (place <= *index).then_some((place < *index, *since)),
            Stage::Running { since, .. } | Stage::Backoff { since, .. } | Stage::Ended { since, .. } => {
                Some((true, *since))
            }
        };
        match reached {
            None => status["state"] = json!({ "waiting": { "reason": "PodInitializing" } }),
            Some((_, since)) if stays => {
                let since = self.kept(container, "initContainerStatuses", "running", "startedAt", since);
                status["state"] = json!({ "running": { "startedAt": since } });
                status["ready"] = true.into();
                status["started"] = true.into();
            }
            Some((false, since)) => {
                status["state"] = json!({ "running": { "startedAt": time(since) } });
                status["started"] = true.into();
            }
            Some((true, since)) => {
                let end = self.kept(container, "initContainerStatuses", "terminated", "finishedAt", since);
                status["state"] = json!({ "terminated": {
                    "exitCode": 0, "reason": "Completed", "startedAt": end, "finishedAt": end,
                    "containerID": status["containerID"],
                } });
                status["ready"] = true.into();
            }
        }
        status
    }

    /// A time that was said before stays as it was.
    fn kept(&self, container: &Value, list: &str, state: &str, field: &str, otherwise: Timestamp) -> String {
        let said = items(&self.pod["status"][list]).find(|it| it["name"] == container["name"]);
        let said = said.and_then(|it| it["state"][state][field].as_str());
        said.map_or_else(|| time(otherwise), str::to_owned)
    }

    fn container(&self, container: &Value) -> Value {
        let name = text(&container["name"]);
        let crashes = self.faults.crashes(name);
        let said = items(&self.pod["status"]["containerStatuses"]).find(|it| it["name"] == name);
        let before = said.map_or(0, |it| int(&it["restartCount"]));
        // Only those that crash are started again; the count of the others stays.
        let restarts = if crashes || before > 0 { self.life.restarts.max(before) } else { 0 };
        let mut status = self.base(container, restarts);
        let crashed = |since: Timestamp, at: Timestamp| {
            json!({ "terminated": {
                "exitCode": 1, "reason": "Error", "startedAt": time(since), "finishedAt": time(at),
                "containerID": format!("containerd://{}", digest(&[meta(self.pod, "uid"), name, "crashed"])),
            } })
        };
        match self.stage {
            Stage::Creating | Stage::Init { .. } => {
                let inits = before_count(self.pod) > 0;
                let reason = if inits { "PodInitializing" } else { "ContainerCreating" };
                status["state"] = json!({ "waiting": { "reason": reason } });
            }
            Stage::Unpullable if self.faults.is_unpullable(name) => {
                let image = text(&container["image"]);
                status["state"] = json!({ "waiting": {
                    "reason": "ImagePullBackOff",
                    "message": format!(
                        "Back-off pulling image {image:?}: ErrImagePull: failed to pull and unpack image {image:?}: \
                         failed to resolve reference {image:?}: not found"
                    ),
                } });
            }
            Stage::Unpullable => status["state"] = json!({ "waiting": { "reason": "ContainerCreating" } }),
            Stage::Running { since, probed } => {
                status["state"] = json!({ "running": { "startedAt": time(*since) } });
                if let Some(last) = said.map(|it| &it["lastState"]).filter(|it| it.is_object()) {
                    status["lastState"] = last.clone();
                }
                if restarts > before
                    && let Some(ran) = self.life.ran
                {
                    status["lastState"] = crashed(ran, *since);
                }
                status["started"] = true.into();
                status["ready"] = (*probed && !self.faults.is_unready(name)).into();
            }
            Stage::Backoff { since, seconds } if crashes => {
                let full = format!(
                    "{}_{}({})",
                    meta(self.pod, "name"),
                    meta(self.pod, "namespace"),
                    meta(self.pod, "uid")
                );
                let length = if *seconds < 60 {
                    format!("{seconds}s")
                } else {
                    format!("{}m{}s", seconds / 60, seconds % 60)
                };
                status["state"] = json!({ "waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": format!("back-off {length} restarting failed container={name} pod={full}"),
                } });
                status["lastState"] = crashed(self.life.ran.unwrap_or(*since), *since);
            }
            Stage::Backoff { since, .. } => {
                let since = self.kept(container, "containerStatuses", "running", "startedAt", *since);
                status["state"] = json!({ "running": { "startedAt": since } });
                status["started"] = true.into();
                status["ready"] = (!self.faults.is_unready(name)).into();
            }
            Stage::Ended { well, since, at } => {
                let (code, reason) = if *well || !crashes { (0, "Completed") } else { (1, "Error") };
                status["state"] = json!({ "terminated": {
                    "exitCode": code, "reason": reason, "startedAt": time(*since), "finishedAt": time(*at),
                    "containerID": status["containerID"],
                } });
            }
        }
        status
    }
}

fn before_count(pod: &Value) -> usize {
    before(pod).count()
}

fn digest(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hex::encode(hash.finalize())
}

/// An image with everything that its short name leaves out.
fn full_name(image: &str) -> String {
    let full = match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => image.to_owned(),
        Some(_) => format!("docker.io/{image}"),
        None => format!("docker.io/library/{image}"),
    };
    let last = full.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { full } else { format!("{full}:latest") }
}

fn repository(image: &str) -> String {
    let full = full_name(image);
    let full = full.split('@').next().unwrap_or_default();
    let (path, last) = full.rsplit_once('/').unwrap_or(("", full));
    format!("{path}/{}", last.split(':').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_full_names() {
        assert_eq!(full_name("nginx"), "docker.io/library/nginx:latest");
        assert_eq!(full_name("bitnami/redis:7"), "docker.io/bitnami/redis:7");
        assert_eq!(full_name("quay.io/argoproj/argocd:v3"), "quay.io/argoproj/argocd:v3");
        assert_eq!(repository("localhost:5000/a:1"), "localhost:5000/a");
    }
}
