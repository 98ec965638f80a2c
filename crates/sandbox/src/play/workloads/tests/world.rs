//! A cluster in virtual time, driven by requests.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicI64, Ordering},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    kube::{Api, store::Key},
    play::{
        Cluster, Players,
        around::{Around, CloudController},
        workloads::{Pace, controllers, nodes, nodes::NodeSpec},
    },
};

/// A cluster with its controllers, and the clock.
pub struct World {
    pub cluster: Cluster,
    pub cloud: Arc<Cloud>,
    players: Players,
    seconds: Arc<AtomicI64>,
}

/// A cloud that has made something when it is asked for the third time, and refuses when told to.
#[derive(Default)]
pub struct Cloud {
    pub asked: Mutex<Vec<String>>,
    pub refuses: Mutex<Option<String>>,
}

impl Cloud {
    fn third_time(&self, what: String) -> Result<bool, String> {
        if let Some(why) = self.refuses.lock().expect("unpoisoned").clone() {
            return Err(why);
        }
        let mut asked = self.asked.lock().expect("unpoisoned");
        asked.push(what);
        Ok(asked.iter().filter(|it| Some(*it) == asked.last()).count() > 2)
    }
}

impl CloudController for Cloud {
    fn ensure_load_balancer(&self, _: &str, _: &Key, uid: &str) -> Result<Vec<String>, String> {
        let made = self.third_time(format!("balancer {uid}"))?;
        Ok(if made { vec!["203.0.113.7".to_owned()] } else { Vec::new() })
    }

    fn remove_load_balancer(&self, _: &str, uid: &str) -> Result<bool, String> {
        self.third_time(format!("no balancer {uid}"))
    }

    fn ensure_volume(&self, _: &str, _: &Key, uid: &str, _: u64) -> Result<Option<String>, String> {
        Ok(self.third_time(format!("volume {uid}"))?.then(|| format!("vol-{uid}")))
    }

    fn remove_volume(&self, _: &str, handle: &str) -> Result<bool, String> {
        self.third_time(format!("no volume {handle}"))
    }
}

/// A node with room for that many cores.
pub fn node(name: &str, cpu: &str) -> NodeSpec {
    NodeSpec { name: name.into(), cpu: cpu.into(), memory: "16Gi".into(), pods: 110, ..NodeSpec::default() }
}

impl World {
    /// With nodes of four cores.
    pub fn new(names: &[&str]) -> Self {
        let seconds = Arc::new(AtomicI64::new(1_000_000));
        let clock = seconds.clone();
        let now = move || Timestamp::from_second(clock.load(Ordering::SeqCst)).expect("in range");
        let cloud = Arc::new(Cloud::default());
        let around = Around { cloud: Some(cloud.clone()), ..Around::default() };
        let cluster = Cluster { name: "one".into(), api: Api::new(Arc::new(now), 7), around };
        for name in ["default", "shop"] {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            let _there = cluster.create("test", "/namespaces", &namespace);
        }
        let specs: Vec<NodeSpec> = names.iter().map(|name| node(name, "4")).collect();
        nodes::nodes(&cluster, &specs).expect("nodes");
        let players = Players::new(cluster.clone(), controllers(Pace::steady()));
        let mut world = Self { cluster, cloud, players, seconds };
        world.pass(0);
        world
    }

    /// Lets seconds pass, one after the other.
    pub fn pass(&mut self, seconds: i64) {
        self.players.settle();
        for _ in 0..seconds {
            self.seconds.fetch_add(1, Ordering::SeqCst);
            self.players.settle();
        }
    }

    /// Jumps from one thing that is due to the next, until that many seconds have passed.
    pub fn jump(&mut self, seconds: i64) {
        let end = self.seconds.load(Ordering::SeqCst) + seconds;
        loop {
            match self.players.settle() {
                Some(next) if next.as_second() < end => {
                    let now = self.seconds.load(Ordering::SeqCst);
                    self.seconds.store((next.as_second() + 1).max(now + 1).min(end), Ordering::SeqCst);
                }
                _ => break,
            }
        }
        self.seconds.store(end, Ordering::SeqCst);
        self.players.settle();
    }

    /// Forgets everything that controllers remember, as after a crash.
    pub fn restart(&mut self) {
        self.players = Players::new(self.cluster.clone(), controllers(Pace::steady()));
    }

    pub fn make(&self, kind: &str, object: Value) -> Value {
        let made = self.cluster.create("test", kind, &object);
        Arc::unwrap_or_clone(made.unwrap_or_else(|refused| panic!("{refused}: {object}")))
    }

    pub fn get(&self, kind: &str, name: &str) -> Option<Arc<Value>> {
        let spaced = self.cluster.get(&Cluster::key(kind, "shop", name));
        spaced.or_else(|| self.cluster.get(&Cluster::key(kind, "", name)))
    }

    pub fn there(&self, kind: &str, name: &str) -> Arc<Value> {
        self.get(kind, name).unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    pub fn change(&self, kind: &str, name: &str, act: impl Fn(&mut Value)) {
        self.cluster.change("test", &Cluster::key(kind, "shop", name), act).expect("changed");
    }

    pub fn delete(&self, kind: &str, name: &str) {
        self.cluster.delete("test", &Cluster::key(kind, "shop", name)).expect("deleted");
    }

    pub fn list(&self, kind: &str) -> Vec<Arc<Value>> {
        self.cluster.list(kind, Some("shop"))
    }

    pub fn pods(&self) -> Vec<Arc<Value>> {
        self.list("/pods")
    }

    /// Reasons of the events about an object, in the order in which they were first told.
    pub fn told(&self, name: &str) -> Vec<(String, String)> {
        let mut events = self.cluster.list("/events", None);
        events.retain(|it| it["involvedObject"]["name"] == name);
        events.sort_by_key(|it| {
            it["metadata"]["resourceVersion"].as_str().and_then(|it| it.parse::<u64>().ok())
        });
        let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
        events.iter().map(|it| (text(&it["reason"]), text(&it["message"]))).collect()
    }

    pub fn was_told(&self, name: &str, reason: &str) -> String {
        let told = self.told(name);
        let found = told.iter().find(|it| it.0 == reason);
        found.unwrap_or_else(|| panic!("no {reason} of {name}: {told:?}")).1.clone()
    }
}

/// A condition, as `Status/Reason`.
pub fn condition(object: &Value, kind: &str) -> String {
    let found = super::super::objects::condition(&object["status"], kind);
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    found.map_or_else(String::new, |it| format!("{}/{}", text(&it["status"]), text(&it["reason"])))
}

/// A template whose containers ask for a tenth of a core.
pub fn template(app: &str, image: &str) -> Value {
    json!({
        "metadata": { "labels": { "app": app } },
        "spec": { "containers": [{
            "name": "main", "image": image, "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
            "ports": [{ "name": "http", "containerPort": 8080 }],
        }] },
    })
}

pub fn deployment(name: &str, replicas: i64) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name, "namespace": "shop" },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": { "app": name } }, "template": template(name, "web:1"),
        },
    })
}
