//! Events are forgotten after an hour, as the real server's `--event-ttl`.

use jiff::SignedDuration;

use super::objects::{AGAIN, at};
use crate::{
    kube::store::{Change, Key},
    play::{Cluster, Controller},
};

const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// Forgets events.
pub struct Expiry;

impl Controller for Expiry {
    fn watches(&self) -> &'static [&'static str] {
        &["/events", "events.k8s.io/events"]
    }

    fn concerned(&self, _: &Cluster, change: &Change) -> Vec<Key> {
        if change.after.is_some() { vec![change.key.clone()] } else { Vec::new() }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let event = cluster.get(key)?;
        let times = [&event["lastTimestamp"], &event["series"]["lastObservedTime"], &event["eventTime"]];
        // the real server counts from when it was written, whatever the event says of its time
        let made = &event["metadata"]["creationTimestamp"];
        let last = times.into_iter().chain([made]).filter_map(at).max()?;
        let left = KEPT - last.duration_until(cluster.now());
        if left > SignedDuration::ZERO {
            return Some(left);
        }
        cluster.delete("kube-apiserver", key).is_err().then_some(AGAIN)
    }
}
