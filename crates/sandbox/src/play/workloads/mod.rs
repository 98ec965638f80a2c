//! The controllers that a platform waits for: workloads, pods, services, volumes.
//!
//! They do what those of Kubernetes 1.36 do, in the same words. No container runs: pods come up after a while that the
//! [`Pace`] says.
//!
//! | room | what it holds |
//! |---|---|
//! | `deployment`, `replicaset`, `statefulset`, `daemonset` | from a template to its pods |
//! | `history` | the templates before |
//! | `job`, `cronjob` | pods that end |
//! | [`pods`] | the scheduler and the kubelets |
//! | [`nodes`] | machines: made from outside, lost, found again |
//! | `services`, `endpoints` | load balancers; which pods are behind a service |
//! | [`volumes`] | claims and volumes |
//! | `expiry` | events are forgotten |
//! | `objects` | what all of them say of objects |

mod cronjob;
mod daemonset;
mod deployment;
mod endpoints;
mod expiry;
mod history;
mod job;
pub mod nodes;
pub(crate) mod objects;
pub mod pods;
mod replicaset;
mod services;
mod statefulset;
pub mod volumes;

use jiff::SignedDuration;

use super::Controller;

/// How long things take that take time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// From a pod's node to its first container: images, volumes, network.
    pub start: SignedDuration,
    /// What runs before the containers, each.
    pub init: SignedDuration,
    /// The most that probes hold a pod back; their own delays count below that.
    pub probe: SignedDuration,
    /// What a container does that ends by itself: the pods of jobs.
    pub work: SignedDuration,
    /// From coming up to crashing, of a container that crashes.
    pub crash: SignedDuration,
    /// From being told to go until gone, within the grace that a pod has.
    pub stop: SignedDuration,
    /// How often the cloud is asked whether it is done.
    pub poll: SignedDuration,
    /// Whether the steps of every pod become events. What goes wrong always does.
    pub events: bool,
}

impl Pace {
    /// For people who wait: a pod is ready in less than half a second.
    pub fn quick() -> Self {
        let ms = SignedDuration::from_millis;
        Self {
            start: ms(150),
            init: ms(50),
            probe: ms(200),
            work: ms(300),
            crash: ms(200),
            stop: ms(100),
            poll: ms(200),
            events: true,
        }
    }

    /// For simulations: some seconds, as on real machines.
    pub fn steady() -> Self {
        let seconds = SignedDuration::from_secs;
        Self {
            start: seconds(3),
            init: seconds(2),
            probe: SignedDuration::MAX,
            work: seconds(5),
            crash: seconds(2),
            stop: seconds(2),
            poll: seconds(5),
            events: false,
        }
    }
}

/// All controllers of a cluster.
pub fn controllers(pace: Pace) -> Vec<Box<dyn Controller>> {
    vec![
        Box::new(deployment::Deployments),
        Box::new(replicaset::ReplicaSets),
        Box::new(statefulset::StatefulSets),
        Box::new(daemonset::DaemonSets),
        Box::new(job::Jobs),
        Box::new(cronjob::CronJobs),
        Box::new(pods::Pods::new(pace.clone())),
        Box::new(nodes::Evictions::default()),
        Box::new(endpoints::Endpoints),
        Box::new(volumes::Claims::new(pace.clone())),
        Box::new(volumes::Volumes::new(pace.clone())),
        Box::new(services::LoadBalancers::new(pace)),
        Box::new(services::Ingresses),
        Box::new(expiry::Expiry),
    ]
}

#[cfg(test)]
mod tests;
