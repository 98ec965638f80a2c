//! Which pods are behind a service: Endpoints and EndpointSlices.

use std::sync::Arc;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::objects::{AGAIN, is_controlled_by, is_finished, is_ready, items, key_of, owned_by, text};
use crate::{
    kube::{
        object::{is_going, meta},
        select::Selector,
        store::{Change, Key},
    },
    play::{Cluster, Controller, cluster::Refused},
};

const BY: &str = "endpointslice-controller.k8s.io";
const SLICES: &str = "discovery.k8s.io/endpointslices";

/// Endpoints that one slice holds at most, as in the real one.
const FULL: usize = 100;

/// Keeps Endpoints and EndpointSlices.
pub struct Endpoints;

impl Controller for Endpoints {
    fn watches(&self) -> &'static [&'static str] {
        &["/services", "/pods", SLICES]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            "/services" => vec![change.key.clone()],
            SLICES => match &change.after {
                Some(_) => Vec::new(),
                None => Cluster::controller_of(change.latest(), "Service", "/services").into_iter().collect(),
            },
            _ => {
                if change
                    .before
                    .as_ref()
                    .zip(change.after.as_ref())
                    .is_some_and(|(one, two)| shows_same(one, two))
                {
                    return Vec::new();
                }
                let services =
                    cluster.api.store.list(&"/services".into(), Some(&change.key.namespace)).objects;
                let states: Vec<&Arc<Value>> = change.before.iter().chain(&change.after).collect();
                let selects = |service: &Value| {
                    selector(service).is_some_and(|it| states.iter().any(|pod| it.matches(pod)))
                };
                services.into_iter().filter(|(_, it)| selects(it)).map(|(key, _)| key).collect()
            }
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let service = cluster.get(key)?;
        if is_going(&service) || service["spec"]["type"] == "ExternalName" {
            return None;
        }
        // Without a selector somebody else says who is behind it.
        let selector = selector(&service)?;
        let mut pods = cluster.list("/pods", Some(&key.namespace));
        pods.retain(|pod| selector.matches(pod) && !is_finished(pod) && pod["status"]["podIP"].is_string());
        let outcome = slices(cluster, &service, &pods).and_then(|()| plain(cluster, &service, &pods));
        outcome.is_err().then_some(AGAIN)
    }
}

/// Whether a service would show the same of both states of a pod.
fn shows_same(one: &Value, two: &Value) -> bool {
    let shown = |pod: &Value| {
        (
            is_ready(pod),
            is_going(pod),
            is_finished(pod),
            pod["status"]["podIP"].clone(),
            pod["metadata"]["labels"].clone(),
        )
    };
    shown(one) == shown(two)
}

fn selector(service: &Value) -> Option<Selector> {
    let labels = service["spec"]["selector"].as_object().filter(|it| !it.is_empty())?;
    Selector::of_object(&json!({ "matchLabels": labels })).ok()
}

/// Ports as pods have them: a name stands for the number that a pod gives it.
fn ports(service: &Value, pod: Option<&Value>) -> Vec<Value> {
    let number = |port: &Value| -> Option<Value> {
        let name = match &port["targetPort"] {
            Value::String(name) => name,
            Value::Null => return Some(port["port"].clone()),
            number => return Some(number.clone()),
        };
        let all = pod
            .into_iter()
            .flat_map(|pod| items(&pod["spec"]["containers"]))
            .flat_map(|it| items(&it["ports"]));
        let found = all.into_iter().find(|it| it["name"] == name.as_str());
        found.map(|it| it["containerPort"].clone())
    };
    let of = |port: &Value| {
        let mut shown =
            json!({ "name": text(&port["name"]), "port": number(port)?, "protocol": port["protocol"] });
        if let Some(protocol) = port.get("appProtocol") {
            shown["appProtocol"] = protocol.clone();
        }
        Some(shown)
    };
    items(&service["spec"]["ports"]).filter_map(of).collect()
}

fn target(pod: &Value) -> Value {
    json!({ "kind": "Pod", "namespace": meta(pod, "namespace"), "name": meta(pod, "name"), "uid": meta(pod, "uid") })
}

fn counts_as_ready(service: &Value, pod: &Value) -> bool {
    service["spec"]["publishNotReadyAddresses"] == true || (is_ready(pod) && !is_going(pod))
}

fn slices(cluster: &Cluster, service: &Value, pods: &[Arc<Value>]) -> Result<(), Refused> {
    let endpoint = |pod: &Arc<Value>| {
        let node = text(&pod["spec"]["nodeName"]);
        let mut endpoint = json!({
            "addresses": [pod["status"]["podIP"]],
            "conditions": {
                "ready": counts_as_ready(service, pod), "serving": is_ready(pod), "terminating": is_going(pod),
            },
            "nodeName": node, "targetRef": target(pod),
        });
        if pod["spec"]["hostname"].is_string() && pod["spec"]["subdomain"] == service["metadata"]["name"] {
            endpoint["hostname"] = pod["spec"]["hostname"].clone();
        }
        let at = cluster.get(&Cluster::key("/nodes", "", node));
        if let Some(zone) =
            at.as_ref().and_then(|it| it["metadata"]["labels"].get("topology.kubernetes.io/zone"))
        {
            endpoint["zone"] = zone.clone();
        }
        endpoint
    };
    let ports = ports(service, pods.first().map(|it| &**it));
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert("kubernetes.io/service-name".into(), meta(service, "name").into());
    labels.insert("endpointslice.kubernetes.io/managed-by".into(), BY.into());
    if service["spec"]["clusterIP"] == "None" {
        labels.insert("service.kubernetes.io/headless".into(), "".into());
    }
    let there = cluster.list(SLICES, Some(meta(service, "namespace")));
    let ours: Vec<_> = there.iter().filter(|slice| is_controlled_by(slice, service)).collect();
    let mut chunks: Vec<&[Arc<Value>]> = pods.chunks(FULL).collect();
    if chunks.is_empty() {
        chunks.push(&[]);
    }
    for (place, chunk) in chunks.iter().enumerate() {
        let endpoints: Value = chunk.iter().map(endpoint).collect();
        let ports: Value = if chunk.is_empty() { Value::Null } else { ports.clone().into() };
        match ours.get(place) {
            Some(slice) => {
                cluster.change(BY, &key_of(SLICES, slice), |slice| {
                    slice["endpoints"] = endpoints.clone();
                    slice["ports"] = ports.clone();
                    slice["metadata"]["labels"] = labels.clone().into();
                })?;
            }
            None => {
                let slice = json!({
                    "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                    "metadata": {
                        "generateName": format!("{}-", meta(service, "name")), "namespace": meta(service, "namespace"),
                        "labels": labels, "ownerReferences": [owned_by(&typed(service))],
                    },
                    "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
                });
                cluster.create(BY, SLICES, &slice)?;
            }
        }
    }
    for slice in ours.iter().skip(chunks.len()) {
        cluster.delete(BY, &key_of(SLICES, slice))?;
    }
    Ok(())
}

fn typed(service: &Value) -> Value {
    let mut service = service.clone();
    service["apiVersion"] = "v1".into();
    service["kind"] = "Service".into();
    service
}

/// The older form, which some still read.
fn plain(cluster: &Cluster, service: &Value, pods: &[Arc<Value>]) -> Result<(), Refused> {
    let by = "endpoint-controller";
    let address = |pod: &&Arc<Value>| json!({ "ip": pod["status"]["podIP"], "nodeName": pod["spec"]["nodeName"], "targetRef": target(pod) });
    let (ready, not): (Vec<&Arc<Value>>, Vec<&Arc<Value>>) = pods
        .iter()
        .filter(|pod| !is_going(pod) || counts_as_ready(service, pod))
        .partition(|pod| counts_as_ready(service, pod));
    let mut subset = json!({});
    for (key, pods) in [("addresses", &ready), ("notReadyAddresses", &not)] {
        if !pods.is_empty() {
            subset[key] = pods.iter().map(address).collect();
        }
    }
    let ports: Vec<Value> = ports(service, pods.first().map(|it| &**it))
        .into_iter()
        .map(|mut port| {
            if port["name"] == "" {
                drop(port.as_object_mut().map(|it| it.shift_remove("name")));
            }
            port
        })
        .collect();
    if !ports.is_empty() {
        subset["ports"] = ports.into();
    }
    let subsets = if ready.is_empty() && not.is_empty() { Value::Null } else { json!([subset]) };
    let mut labels = service["metadata"]["labels"].as_object().cloned().unwrap_or_default();
    labels.insert("endpoints.kubernetes.io/managed-by".into(), by.into());
    if service["spec"]["clusterIP"] == "None" {
        labels.insert("service.kubernetes.io/headless".into(), "".into());
    }
    let key = key_of("/endpoints", service);
    if cluster.get(&key).is_some() {
        cluster.change(by, &key, |it| {
            it["subsets"] = subsets.clone();
            it["metadata"]["labels"] = labels.clone().into();
        })?;
    } else {
        let endpoints = json!({
            "apiVersion": "v1", "kind": "Endpoints",
            "metadata": { "name": key.name, "namespace": key.namespace, "labels": labels },
            "subsets": subsets,
        });
        cluster.create(by, "/endpoints", &endpoints)?;
    }
    Ok(())
}
