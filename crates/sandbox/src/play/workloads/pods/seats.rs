//! Which pod takes what of which node.
//!
//! Everything here can be found by looking at all pods; it is kept, and follows their changes, because the scheduler
//! would look at all of them for each.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::{
    kube::{
        quantity::Quantity,
        store::{Change, Key},
    },
    play::{
        Cluster,
        workloads::objects::{is_finished, items, text},
    },
};

/// Pods by their places.
#[derive(Default)]
pub struct Seats {
    seats: BTreeMap<Key, Seat>,
    nodes: BTreeMap<String, Load>,
    standing: BTreeSet<Key>,
}

struct Seat {
    node: String,
    needs: Needs,
    address: Option<u32>,
}

/// What the pods of a node take.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// In thousandths, by resource.
    pub taken: BTreeMap<String, i128>,
    /// How many there are.
    pub pods: i128,
    /// Addresses in use, by their last parts.
    addresses: BTreeSet<u32>,
    keys: BTreeSet<Key>,
}

/// What a pod asks for, in thousandths, by resource.
pub type Needs = BTreeMap<String, i128>;

/// What a pod asks for: its containers together, or the greediest of those that run before them.
pub fn needs(pod: &Value) -> Needs {
    let of = |container: &Value| -> Needs {
        let requests = container["resources"]["requests"].as_object();
        requests
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.clone(), Quantity::thousandths(value)))
            .collect()
    };
    let add = |sum: &mut Needs, more: &Needs| {
        for (name, amount) in more {
            *sum.entry(name.clone()).or_default() += amount;
        }
    };
    let spec = &pod["spec"];
    let mut sum = Needs::new();
    let mut greediest = Needs::new();
    // Those that stay beside the containers count with them, and with every one that comes after.
    for init in items(&spec["initContainers"]) {
        let mut now = of(init);
        if init["restartPolicy"] == "Always" {
            add(&mut sum, &now);
            now = sum.clone();
        } else {
            add(&mut now, &sum);
        }
        for (name, amount) in now {
            let most = greediest.entry(name).or_default();
            *most = amount.max(*most);
        }
    }
    for container in items(&spec["containers"]) {
        add(&mut sum, &of(container));
    }
    for (name, amount) in greediest {
        let all = sum.entry(name).or_default();
        *all = amount.max(*all);
    }
    let overhead = spec["overhead"].as_object();
    for (name, amount) in overhead.into_iter().flatten() {
        *sum.entry(name.clone()).or_default() += Quantity::thousandths(amount);
    }
    sum
}

impl Seats {
    /// Hears of a change of a pod; whether it freed something.
    pub fn hear(&mut self, cluster: &Cluster, change: &Change) -> bool {
        if change.before.is_none() && self.seats.contains_key(&change.key) {
            // Everything is told anew; what has gone meanwhile is not told.
            *self = Self::default();
            for pod in cluster.list("/pods", None) {
                let key = super::key_of("/pods", &pod);
                self.place(&key, Some(&pod));
            }
            return true;
        }
        self.place(&change.key, change.after.as_deref())
    }

    fn place(&mut self, key: &Key, pod: Option<&Value>) -> bool {
        match pod {
            Some(pod) if !is_finished(pod) => match text(&pod["spec"]["nodeName"]) {
                "" => {
                    self.standing.insert(key.clone());
                    self.rise(key)
                }
                node => {
                    self.sit(key, pod, node);
                    false
                }
            },
            _ => {
                self.standing.remove(key);
                self.rise(key)
            }
        }
    }

    /// A pod takes its place on a node.
    pub fn sit(&mut self, key: &Key, pod: &Value, node: &str) {
        self.standing.remove(key);
        let own = pod["spec"]["hostNetwork"] != true;
        let address =
            text(&pod["status"]["podIP"]).rsplit('.').next().and_then(|it| it.parse().ok()).filter(|_| own);
        if let Some(seat) = self.seats.get(key)
            && seat.node == node
            && (seat.address.is_some() || address.is_none())
        {
            return;
        }
        self.rise(key);
        let needs = needs(pod);
        let load = self.nodes.entry(node.to_owned()).or_default();
        for (name, amount) in &needs {
            *load.taken.entry(name.clone()).or_default() += amount;
        }
        load.pods += 1;
        load.keys.insert(key.clone());
        load.addresses.extend(address);
        self.seats.insert(key.clone(), Seat { node: node.to_owned(), needs, address });
    }

    fn rise(&mut self, key: &Key) -> bool {
        let Some(seat) = self.seats.remove(key) else { return false };
        if let Some(load) = self.nodes.get_mut(&seat.node) {
            for (name, amount) in &seat.needs {
                *load.taken.entry(name.clone()).or_default() -= amount;
            }
            load.pods -= 1;
            load.keys.remove(key);
            if let Some(address) = seat.address {
                load.addresses.remove(&address);
            }
        }
        true
    }

    /// What is taken of a node.
    pub fn load(&self, node: &str) -> Load {
        self.nodes.get(node).cloned().unwrap_or_default()
    }

    /// Pods on a node.
    pub fn on(&self, node: &str) -> impl Iterator<Item = &Key> {
        self.nodes.get(node).into_iter().flat_map(|load| &load.keys)
    }

    /// Pods without a node.
    pub fn standing(&self) -> impl Iterator<Item = &Key> {
        self.standing.iter()
    }

    /// The address of a pod in its node's range, taken if it has none.
    pub fn address(&mut self, key: &Key, node: &Value) -> Option<String> {
        let range = text(&node["spec"]["podCIDR"]).split('/').next()?;
        let head = range.rsplit_once('.')?.0;
        let seat = self.seats.get_mut(key)?;
        let load = self.nodes.get_mut(&seat.node)?;
        // The first is the bridge's.
        let last = match seat.address {
            Some(address) => address,
            None => (2..255).find(|it| !load.addresses.contains(it))?,
        };
        load.addresses.insert(last);
        seat.address = Some(last);
        Some(format!("{head}.{last}"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_needs_what_its_containers_ask_for_or_what_one_before_them_does() {
        let pod = json!({"spec": {
            "initContainers": [
                {"resources": {"requests": {"cpu": "2"}}},
                {"restartPolicy": "Always", "resources": {"requests": {"cpu": "100m"}}},
            ],
            "containers": [
                {"resources": {"requests": {"cpu": "500m", "memory": "1Gi"}}},
                {"resources": {"requests": {"cpu": 1}}},
            ],
        }});
        let needs = needs(&pod);
        assert_eq!((needs["cpu"], needs["memory"]), (2_000, 1_073_741_824_000));
    }
}
