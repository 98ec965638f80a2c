//! Services of type LoadBalancer: an address from the cloud, and Ingresses that are served there.

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    Pace,
    objects::{AGAIN, hold, key_of, let_go, sooner, text},
};
use crate::{
    kube::{
        object::{finalizers, is_going, meta},
        store::{Change, Key},
    },
    play::{Cluster, Controller, around::CloudController},
};

const BY: &str = "service-controller";
const CLEANUP: &str = "service.kubernetes.io/load-balancer-cleanup";

/// Keeps the load balancers of services.
pub struct LoadBalancers {
    pace: Pace,
}

impl LoadBalancers {
    /// At that pace.
    pub fn new(pace: Pace) -> Self {
        Self { pace }
    }

    /// Makes the load balancer of a service, or waits for it.
    fn ensure(
        &self,
        cluster: &Cluster,
        cloud: &dyn CloudController,
        key: &Key,
        service: &Value,
    ) -> Option<SignedDuration> {
        if !finalizers(service).contains(&CLEANUP) {
            cluster.event(BY, service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer");
            if cluster.change(BY, key, |it| hold(it, CLEANUP)).is_err() {
                return Some(AGAIN);
            }
        }
        match cloud.ensure_load_balancer(&cluster.name, key, meta(service, "uid")) {
            Ok(addresses) if addresses.is_empty() => Some(self.pace.poll),
            Ok(addresses) => {
                let ingress: Value = addresses.iter().map(|it| entry(it)).collect();
                if service["status"]["loadBalancer"]["ingress"] == ingress {
                    return None;
                }
                let written = cluster.change_status(BY, key, |it| {
                    it["status"]["loadBalancer"] = json!({ "ingress": ingress });
                });
                cluster.event(BY, service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer");
                written.is_err().then_some(AGAIN)
            }
            Err(why) => {
                let words = format!("Error syncing load balancer: failed to ensure load balancer: {why}");
                cluster.event(BY, service, "Warning", "SyncLoadBalancerFailed", &words);
                Some(AGAIN)
            }
        }
    }

    /// Removes the load balancer of a service, or waits for it to be gone.
    fn remove(
        &self,
        cluster: &Cluster,
        cloud: &dyn CloudController,
        key: &Key,
        service: &Value,
    ) -> Option<SignedDuration> {
        cluster.event(BY, service, "Normal", "DeletingLoadBalancer", "Deleting load balancer");
        match cloud.remove_load_balancer(&cluster.name, meta(service, "uid")) {
            Ok(false) => Some(self.pace.poll),
            Ok(true) => {
                cluster.event(BY, service, "Normal", "DeletedLoadBalancer", "Deleted load balancer");
                let cleared = cluster.change_status(BY, key, |it| it["status"]["loadBalancer"] = json!({}));
                let released = cleared.and_then(|_| cluster.change(BY, key, |it| let_go(it, CLEANUP)));
                released.is_err().then_some(AGAIN)
            }
            Err(why) => {
                let words = format!("Error syncing load balancer: failed to delete load balancer: {why}");
                cluster.event(BY, service, "Warning", "SyncLoadBalancerFailed", &words);
                Some(AGAIN)
            }
        }
    }
}

/// An address or a name, as it stands in a status.
fn entry(address: &str) -> Value {
    match address.parse::<std::net::IpAddr>() {
        Ok(ip) => json!({ "ip": ip.to_string(), "ipMode": "VIP" }),
        Err(_) => json!({ "hostname": address }),
    }
}

impl Controller for LoadBalancers {
    fn watches(&self) -> &'static [&'static str] {
        &["/services"]
    }

    fn concerned(&self, _: &Cluster, change: &Change) -> Vec<Key> {
        let object = change.latest();
        let ours = is_ours(object) || finalizers(object).contains(&CLEANUP);
        if ours { vec![change.key.clone()] } else { Vec::new() }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let service = cluster.get(key)?;
        let cloud = cluster.around.cloud.clone()?;
        match (is_ours(&service) && !is_going(&service), finalizers(&service).contains(&CLEANUP)) {
            (true, _) => self.ensure(cluster, &*cloud, key, &service),
            (false, true) => self.remove(cluster, &*cloud, key, &service),
            (false, false) => None,
        }
    }
}

/// Whether the cloud's own controller answers for a service.
fn is_ours(service: &Value) -> bool {
    service["spec"]["type"] == "LoadBalancer"
        && service["spec"].get("loadBalancerClass").is_none_or(Value::is_null)
}

const INGRESSES: &str = "networking.k8s.io/ingresses";
const CLASSES: &str = "networking.k8s.io/ingressclasses";

/// Gives Ingresses the address of the load balancer of their controller.
///
/// Which Service that is nobody says in the API. Real controllers are told by their own flags; here it is the Service
/// of type LoadBalancer whose labels name the controller: `app.kubernetes.io/name` (or `app.kubernetes.io/instance`)
/// is the name of the class, or begins what the class says of its controller (`traefik.io/ingress-controller`,
/// `k8s.io/ingress-nginx`).
pub struct Ingresses;

impl Controller for Ingresses {
    fn watches(&self) -> &'static [&'static str] {
        &[INGRESSES, "/services", CLASSES]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        match &*change.key.kind {
            INGRESSES => vec![change.key.clone()],
            "/services" if change.latest()["spec"]["type"] != "LoadBalancer" => Vec::new(),
            _ => cluster.list(INGRESSES, None).iter().map(|it| key_of(INGRESSES, it)).collect(),
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let ingress = cluster.get(key)?;
        let classes = cluster.list(CLASSES, None);
        let wanted = text(&ingress["spec"]["ingressClassName"]);
        let default = "ingressclass.kubernetes.io/is-default-class";
        let class = classes.iter().find(|it| match wanted {
            "" => super::objects::annotation(it, default) == "true",
            wanted => meta(it, "name") == wanted,
        })?;
        let services = cluster.list("/services", None);
        let service = services.iter().find(|it| it["spec"]["type"] == "LoadBalancer" && serves(it, class));
        let mut address = service.map_or(Value::Null, |it| it["status"]["loadBalancer"]["ingress"].clone());
        for entry in address.as_array_mut().into_iter().flatten() {
            drop(entry.as_object_mut().map(|it| it.shift_remove("ipMode")));
        }
        let status = if address.is_null() { json!({}) } else { json!({ "ingress": address }) };
        let by = text(&class["spec"]["controller"]).rsplit('/').next().unwrap_or_default();
        let written = cluster.change_status(by, key, |it| it["status"]["loadBalancer"] = status.clone());
        sooner(None, written.is_err().then_some(AGAIN))
    }
}

fn serves(service: &Value, class: &Value) -> bool {
    let labels = &service["metadata"]["labels"];
    let controller = text(&class["spec"]["controller"]);
    ["app.kubernetes.io/name", "app.kubernetes.io/instance"].iter().map(|key| text(&labels[*key])).any(
        |name| {
            !name.is_empty()
                && (name == meta(class, "name") || controller.split(['/', '.']).any(|part| part == name))
        },
    )
}
