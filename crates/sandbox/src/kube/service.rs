//! Addresses and ports of services: what the server takes from its ranges when a service is written.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::Api;

/// Ports of every node that are given to services.
const NODE_PORTS: std::ops::RangeInclusive<u64> = 30_000..=32_767;

/// What services have taken. It is looked up before a service is written, because it may not be while one is.
#[derive(Default)]
pub struct Taken {
    addresses: BTreeSet<String>,
    ports: BTreeSet<u64>,
}

impl Taken {
    /// By all services that there are.
    pub fn of(api: &Api) -> Self {
        let mut taken = Self::default();
        for (_, service) in api.store.list(&"/services".into(), None).objects {
            let spec = &service["spec"];
            taken.addresses.extend(texts(&spec["clusterIPs"]));
            taken.addresses.extend(spec["clusterIP"].as_str().map(str::to_owned));
            taken.ports.extend(ports(spec).filter_map(|port| port["nodePort"].as_u64()));
            taken.ports.extend(spec["healthCheckNodePort"].as_u64());
        }
        taken
    }

    /// The first free address. The range is 10.96.0.0/12, as small clusters have it; the first address of a cluster is
    /// that of its API and the tenth that of its names, so these come last.
    fn address(&self) -> String {
        let third = (1..=255_u16).chain([0]);
        let all = third.flat_map(|third| (1..255_u16).map(move |last| format!("10.96.{third}.{last}")));
        all.into_iter().find(|it| !self.addresses.contains(it)).unwrap_or_default()
    }

    fn port(&mut self) -> Option<u64> {
        let port = NODE_PORTS.into_iter().find(|it| !self.ports.contains(it))?;
        self.ports.insert(port);
        Some(port)
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn ports(spec: &Value) -> impl Iterator<Item = &Value> {
    spec["ports"].as_array().into_iter().flatten()
}

/// Gives a service that is written what it has no say in: an address in the cluster, ports of the nodes; and takes back
/// what its type has no use for. What it had before it keeps.
pub fn fill(taken: &mut Taken, old: Option<&Value>, service: &mut Value) {
    let spec = &mut service["spec"];
    let before = old.map_or(&Value::Null, |old| &old["spec"]);
    let kind = spec["type"].as_str().unwrap_or("ClusterIP").to_owned();
    if kind == "ExternalName" {
        let changed = before["type"].is_string() && before["type"] != "ExternalName";
        for key in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"] {
            if changed && spec.get(key) == before.get(key) {
                drop(spec.as_object_mut().map(|it| it.shift_remove(key)));
            }
        }
    } else {
        if spec["clusterIP"].as_str().unwrap_or_default().is_empty() {
            let kept = before["clusterIP"].as_str().filter(|it| !it.is_empty()).map(str::to_owned);
            let given = texts(&spec["clusterIPs"]).into_iter().next();
            let address = given.or(kept).unwrap_or_else(|| taken.address());
            spec["clusterIP"] = address.into();
        }
        if !spec["clusterIPs"].is_array() {
            spec["clusterIPs"] = json!([spec["clusterIP"]]);
        }
        for (key, value) in [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))] {
            if spec[key].is_null() {
                spec[key] = before.get(key).cloned().unwrap_or(value);
            }
        }
    }
    node_ports(taken, &kind, before, spec);
}

fn node_ports(taken: &mut Taken, kind: &str, before: &Value, spec: &mut Value) {
    let opens = match kind {
        "NodePort" => true,
        "LoadBalancer" => spec["allocateLoadBalancerNodePorts"] != false,
        _ => false,
    };
    let opened = matches!(before["type"].as_str(), Some("NodePort" | "LoadBalancer"));
    for port in spec["ports"].as_array_mut().into_iter().flatten() {
        let same = |it: &&Value| it["port"] == port["port"] && it["protocol"] == port["protocol"];
        let had = ports(before).find(same).and_then(|it| it["nodePort"].as_u64());
        let has = port["nodePort"].as_u64().filter(|it| *it > 0);
        match (opens, has) {
            (true, None) => {
                if let Some(number) = had.or_else(|| taken.port()) {
                    port["nodePort"] = number.into();
                }
            }
            // A type without ports of the nodes gives back those that it had.
            (false, Some(_)) if opened && has == had => {
                drop(port.as_object_mut().map(|it| it.shift_remove("nodePort")));
            }
            _ => {}
        }
    }
    let local = kind == "LoadBalancer" && spec["externalTrafficPolicy"] == "Local";
    if local && spec["healthCheckNodePort"].as_u64().unwrap_or(0) == 0 {
        let number = before["healthCheckNodePort"].as_u64().or_else(|| taken.port());
        if let Some(number) = number {
            spec["healthCheckNodePort"] = number.into();
        }
    }
    if !opens && opened {
        for key in ["externalTrafficPolicy", "allocateLoadBalancerNodePorts", "healthCheckNodePort"] {
            if spec.get(key) == before.get(key) {
                drop(spec.as_object_mut().map(|it| it.shift_remove(key)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(taken: &mut Taken, old: Option<&Value>, mut service: Value) -> Value {
        fill(taken, old, &mut service);
        service["spec"].take()
    }

    #[test]
    fn a_service_gets_what_is_free_and_keeps_what_it_has() {
        let mut taken = Taken::default();
        taken.addresses.insert("10.96.1.1".into());
        taken.ports.insert(30_000);
        let wanted = json!({"spec": {"type": "NodePort", "ports": [{"port": 80, "protocol": "TCP"}]}});
        let spec = filled(&mut taken, None, wanted.clone());
        assert_eq!((&spec["clusterIP"], &spec["clusterIPs"]), (&json!("10.96.1.2"), &json!(["10.96.1.2"])));
        assert_eq!(spec["ports"][0]["nodePort"], 30_001);
        let old = json!({ "spec": spec });
        assert_eq!(filled(&mut taken, Some(&old), wanted), old["spec"]);
    }

    #[test]
    fn a_type_gives_back_what_it_has_no_use_for() {
        let mut taken = Taken::default();
        let old = json!({"spec": {
            "type": "NodePort", "clusterIP": "10.96.1.1", "clusterIPs": ["10.96.1.1"], "externalTrafficPolicy": "Cluster",
            "ports": [{"port": 80, "protocol": "TCP", "nodePort": 30_001}],
        }});
        let mut new = old.clone();
        new["spec"]["type"] = "ClusterIP".into();
        let spec = filled(&mut taken, Some(&old), new.clone());
        assert_eq!(spec["ports"], json!([{"port": 80, "protocol": "TCP"}]));
        assert!(spec.get("externalTrafficPolicy").is_none() && spec["clusterIP"] == "10.96.1.1");
        new["spec"]["type"] = "ExternalName".into();
        assert!(filled(&mut taken, Some(&old), new).get("clusterIP").is_none());
        let headless = json!({"spec": {"clusterIP": "None"}});
        assert_eq!(filled(&mut taken, None, headless)["clusterIPs"], json!(["None"]));
    }
}
