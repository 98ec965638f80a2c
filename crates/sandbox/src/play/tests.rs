use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, AtomicU32, Ordering},
};

use serde_json::json;

use super::*;
use crate::kube::Api;

/// Every namespace has a ConfigMap that is written back when somebody changes it; these controllers leave it alone.
fn ours(change: &Change) -> Vec<Key> {
    if change.key.name == "kube-root-ca.crt" { Vec::new() } else { vec![change.key.clone()] }
}

/// Writes into each ConfigMap how often it has looked at it, until three times, ten seconds apart.
struct Counter(Arc<Mutex<Vec<String>>>);

impl Controller for Counter {
    fn watches(&self) -> &'static [&'static str] {
        &["/configmaps"]
    }

    fn concerned(&self, _: &Cluster, change: &Change) -> Vec<Key> {
        ours(change)
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let object = cluster.get(key)?;
        let looks = object["data"]["looks"].as_str().map_or(0, |it| it.parse().expect("a number"));
        let since = object["data"]["at"].as_str() == Some(&cluster.time());
        self.0.lock().expect("unpoisoned").push(format!("{} {looks}", key.name));
        if looks < 3 && !since {
            let at = cluster.time();
            let written = cluster.change("counter", key, |object| {
                object["data"] = json!({ "looks": (looks + 1).to_string(), "at": at });
            });
            written.expect("nobody refuses");
        }
        (looks < 3).then_some(SignedDuration::from_secs(10))
    }
}

fn cluster() -> (Cluster, Arc<AtomicI64>) {
    let seconds = Arc::new(AtomicI64::new(1_000));
    let clock = seconds.clone();
    let now = move || Timestamp::from_second(clock.load(Ordering::SeqCst)).expect("in range");
    (
        Cluster { name: "one".into(), api: Api::new(Arc::new(now), 7), around: around::Around::default() },
        seconds,
    )
}

fn configmap(cluster: &Cluster, name: &str) {
    let object =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}});
    cluster.create("test", "/configmaps", &object).expect("made");
}

#[test]
fn what_is_due_is_done_and_what_comes_later_is_said() {
    let (cluster, seconds) = cluster();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
    let _there = cluster.create("test", "/namespaces", &namespace);
    configmap(&cluster, "a");
    let log = Arc::default();
    let mut players = Players::new(cluster.clone(), vec![Box::new(Counter(Arc::clone(&log)))]);

    let next = players.settle().expect("more to do");
    assert_eq!(next.as_second(), 1_010);
    let looks = |name: &str| {
        let key = Cluster::key("/configmaps", "default", name);
        cluster.get(&key).expect("there")["data"]["looks"].as_str().map(str::to_owned)
    };
    assert_eq!(looks("a").as_deref(), Some("1"));
    // Nothing is due: nothing is done.
    let before = log.lock().expect("unpoisoned").len();
    players.settle();
    assert_eq!(log.lock().expect("unpoisoned").len(), before);

    configmap(&cluster, "b");
    seconds.store(1_010, Ordering::SeqCst);
    players.settle();
    assert_eq!((looks("a").as_deref(), looks("b").as_deref()), (Some("2"), Some("1")));
    for at in [1_020, 1_030, 1_040] {
        seconds.store(at, Ordering::SeqCst);
        players.settle();
    }
    assert_eq!(players.settle(), None, "three looks each, and nobody waits any more");

    // Another life begins with a look at everything.
    log.lock().expect("unpoisoned").clear();
    let mut again = Players::new(cluster.clone(), vec![Box::new(Counter(Arc::clone(&log)))]);
    again.settle();
    assert_eq!(*log.lock().expect("unpoisoned"), ["a 3", "b 3"]);
}

/// Changes its object at every look.
struct Restless(AtomicU32);

impl Controller for Restless {
    fn watches(&self) -> &'static [&'static str] {
        &["/configmaps"]
    }

    fn concerned(&self, _: &Cluster, change: &Change) -> Vec<Key> {
        ours(change)
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let count = self.0.fetch_add(1, Ordering::SeqCst).to_string();
        let written = cluster.change("restless", key, |it| it["data"] = json!({ "count": count }));
        written.expect("nobody refuses");
        None
    }
}

#[test]
fn one_that_never_rests_is_made_to_wait() {
    let (cluster, _) = cluster();
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}});
    let _there = cluster.create("test", "/namespaces", &namespace);
    configmap(&cluster, "a");
    let mut players = Players::new(cluster, vec![Box::new(Restless(AtomicU32::new(0)))]);
    assert_eq!(players.settle().expect("later").as_second(), 1_001);
}
