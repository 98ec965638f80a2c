use serde_json::{Value, json};

use super::world::{World, deployment};
use crate::{kube::object::finalizers, play::workloads::objects::items};

fn service(name: &str, spec: Value) -> Value {
    let mut service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": "shop", "labels": { "app.kubernetes.io/name": "traefik" } },
        "spec": { "selector": { "app": "web" }, "ports": [{ "name": "web", "port": 80, "targetPort": "http" }] },
    });
    for (key, value) in spec.as_object().into_iter().flatten() {
        service["spec"][key] = value.clone();
    }
    service
}

fn slice(world: &World) -> Value {
    let slices = world.list("discovery.k8s.io/endpointslices");
    assert_eq!(slices.len(), 1);
    Value::clone(&slices[0])
}

#[test]
fn ready_pods_are_behind_a_service() {
    let mut world = World::new(&["n1", "n2"]);
    world.make("/services", service("web", json!({})));
    world.make("apps/deployments", deployment("web", 2));
    world.pass(0);
    assert!(items(&slice(&world)["endpoints"]).next().is_none());
    world.pass(10);
    let behind = slice(&world);
    assert_eq!(items(&behind["endpoints"]).filter(|it| it["conditions"]["ready"] == true).count(), 2);
    assert_eq!(behind["ports"], json!([{"name": "web", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(behind["metadata"]["labels"]["kubernetes.io/service-name"], "web");
    let plain = world.there("/endpoints", "web");
    assert_eq!(items(&plain["subsets"][0]["addresses"]).count(), 2);

    let name = world.pods()[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    world.change("/pods", &name, |it| {
        it["metadata"]["annotations"]["sandbox.platform.dev/unready"] = "true".into()
    });
    world.pass(1);
    let plain = world.there("/endpoints", "web");
    assert_eq!(items(&plain["subsets"][0]["addresses"]).count(), 1);
    assert_eq!(items(&plain["subsets"][0]["notReadyAddresses"]).count(), 1);
    assert_eq!(items(&slice(&world)["endpoints"]).filter(|it| it["conditions"]["ready"] == true).count(), 1);

    world.delete("/services", "web");
    world.pass(1);
    assert!(world.list("discovery.k8s.io/endpointslices").is_empty());
}

#[test]
fn addresses_and_ports_are_given_when_a_service_is_made() {
    let world = World::new(&[]);
    let plain = world.make("/services", service("a", json!({})));
    let other = world.make("/services", service("b", json!({ "type": "NodePort" })));
    assert!(plain["spec"]["clusterIP"].as_str().expect("one").starts_with("10.96."));
    assert_ne!(plain["spec"]["clusterIP"], other["spec"]["clusterIP"]);
    assert!(other["spec"]["ports"][0]["nodePort"].as_u64().is_some_and(|it| (30_000..32_768).contains(&it)));
    let headless = world.make("/services", service("c", json!({ "clusterIP": "None" })));
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
    let elsewhere = json!({ "type": "ExternalName", "externalName": "example.org", "selector": null });
    assert!(world.make("/services", service("d", elsewhere))["spec"].get("clusterIP").is_none());
    world.change("/services", "a", |it| it["spec"]["type"] = "NodePort".into());
    let changed = world.there("/services", "a");
    assert!(changed["spec"]["ports"][0]["nodePort"].is_u64());
    assert_eq!(changed["spec"]["clusterIP"], plain["spec"]["clusterIP"]);
    world.change("/services", "a", |it| it["spec"]["type"] = "ClusterIP".into());
    assert!(world.there("/services", "a")["spec"]["ports"][0].get("nodePort").is_none());
}

#[test]
fn a_load_balancer_gets_an_address_and_goes_before_its_service() {
    let mut world = World::new(&["n1"]);
    world.make("/services", service("edge", json!({ "type": "LoadBalancer" })));
    world.pass(0);
    let edge = world.there("/services", "edge");
    assert_eq!(finalizers(&edge), ["service.kubernetes.io/load-balancer-cleanup"]);
    assert!(edge["status"]["loadBalancer"].get("ingress").is_none(), "it is being made");
    world.pass(10);
    let edge = world.there("/services", "edge");
    assert_eq!(edge["status"]["loadBalancer"]["ingress"], json!([{"ip": "203.0.113.7", "ipMode": "VIP"}]));
    assert_eq!(world.was_told("edge", "EnsuredLoadBalancer"), "Ensured load balancer");

    let class = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": { "name": "public" },
        "spec": { "controller": "traefik.io/ingress-controller" },
    });
    world.make("networking.k8s.io/ingressclasses", class);
    world.make("networking.k8s.io/ingresses", json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": { "name": "site", "namespace": "shop" },
        "spec": { "ingressClassName": "public", "defaultBackend": { "service": { "name": "web", "port": { "number": 80 } } } },
    }));
    world.pass(1);
    let site = world.there("networking.k8s.io/ingresses", "site");
    assert_eq!(site["status"]["loadBalancer"]["ingress"], json!([{"ip": "203.0.113.7"}]));

    world.delete("/services", "edge");
    world.pass(1);
    assert!(world.get("/services", "edge").is_some(), "its load balancer is still there");
    world.pass(10);
    assert!(world.get("/services", "edge").is_none());
    world.was_told("edge", "DeletedLoadBalancer");
}

#[test]
fn what_the_cloud_refuses_is_told() {
    let mut world = World::new(&["n1"]);
    *world.cloud.refuses.lock().expect("unpoisoned") = Some("quota of load balancers is used up".into());
    world.make("/services", service("edge", json!({ "type": "LoadBalancer" })));
    world.pass(1);
    let words = world.was_told("edge", "SyncLoadBalancerFailed");
    assert_eq!(
        words,
        "Error syncing load balancer: failed to ensure load balancer: quota of load balancers is used up"
    );
    *world.cloud.refuses.lock().expect("unpoisoned") = None;
    world.jump(30);
    assert!(world.there("/services", "edge")["status"]["loadBalancer"]["ingress"].is_array());
}

#[test]
fn events_are_forgotten_after_an_hour() {
    let mut world = World::new(&["n1"]);
    world.make("apps/deployments", deployment("web", 1));
    world.pass(10);
    assert!(!world.told("web").is_empty());
    world.jump(3_700);
    assert!(world.told("web").is_empty());
}
