//! What a kubelet's events say.

use serde_json::Value;

use super::{
    KUBELET,
    life::{Faults, Life, Stage},
};
use crate::play::{
    Cluster,
    workloads::objects::{items, text},
};

/// Tells of a stage that a pod has come to. Its status is still that of the stage before.
pub fn of_stage(cluster: &Cluster, pod: &Value, stage: &Stage, life: &Life) {
    let event = |kind: &str, reason: &str, words: &str| cluster.event(KUBELET, pod, kind, reason, words);
    let faults = Faults::of(pod);
    let ran = items(&pod["status"]["containerStatuses"]).any(|it| it["state"]["running"].is_object());
    for container in items(&pod["spec"]["containers"]) {
        let (name, image) = (text(&container["name"]), text(&container["image"]));
        match stage {
            Stage::Unpullable if faults.is_unpullable(name) => {
                event("Normal", "Pulling", &format!("Pulling image {image:?}"));
                event("Warning", "Failed", &format!("Failed to pull image {image:?}: not found"));
                event("Warning", "Failed", "Error: ErrImagePull");
                event("Normal", "BackOff", &format!("Back-off pulling image {image:?}"));
                event("Warning", "Failed", "Error: ImagePullBackOff");
            }
            Stage::Running { .. } if !ran || (faults.crashes(name) && life.restarts > 0) => {
                let words = format!(
                    "Container image {image:?} already present on machine and can be accessed by the pod"
                );
                event("Normal", "Pulled", &words);
                event("Normal", "Created", "Container created");
                event("Normal", "Started", "Container started");
            }
            Stage::Running { probed: true, .. } if faults.is_unready(name) => {
                event(
                    "Warning",
                    "Unhealthy",
                    "Readiness probe failed: imitated by the annotation sandbox.platform.dev/unready",
                );
            }
            Stage::Backoff { .. } if faults.crashes(name) => {
                event("Warning", "BackOff", &format!("Back-off restarting failed container {name} in pod"));
            }
            _ => {}
        }
    }
}
