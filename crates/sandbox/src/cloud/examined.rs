//! What examining its provider asks of the cloud: the behaviours of `platform_provider::conformance`, in its own words.

use axum::body::Bytes;
use futures::FutureExt as _;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use jiff::SignedDuration;
use platform_provider::{
    ClusterRequest,
    conformance::fault::{At, Fault as Asked, Verb, What},
};
use platform_spec::Class;
use serde_json::{Value, json};

use super::Cloud;
use crate::{
    kube::store::Key,
    parts::faults::{Fault, Rule},
    play::around::CloudController as _,
};

/// The cluster that its provider is examined on: one of every kind of thing.
pub fn cluster() -> ClusterRequest {
    let mut cluster = ClusterRequest::new("shop", "eu", "sandbox");
    cluster.kubernetes_version = Some("1.36".to_owned());
    cluster.config = json!({ "ingressIp": true, "bucket": true, "dnsZone": "eu.shop.test" });
    cluster.spec = json!({
        "nodePools": [{ "name": "apps", "min": 2, "max": 4 }, { "name": "jobs", "min": 1, "max": 2 }]
    });
    cluster
}

/// How many things it has made, and how often it was changed.
pub fn made_and_changed(cloud: &Cloud) -> (u64, u64) {
    (cloud.made().values().sum(), cloud.calls().changes())
}

/// Makes something go wrong at a later call; `false` when it cannot.
pub fn inject(cloud: &Cloud, fault: &Asked) -> bool {
    let At::Verb(verb, Some(resource)) = &fault.at else { return false };
    let (one, many) = words(resource);
    let list = Rule::at("cloud", &format!("list_{many}"), "*");
    let rule = match fault.what {
        // Each provider logs in first, and what has expired is logged in for again.
        What::Refuse(Class::AuthExpired) => Rule::at("cloud", "login", "*").fault(Fault::Expired),
        What::Refuse(class) => list.fault(refused(class)),
        What::LoseReply => {
            let deed = if *verb == Verb::Remove { "delete" } else { "create" };
            Rule::at("cloud", &format!("{deed}_{one}"), "*").fault(Fault::ResetAfter)
        }
        // By tag, and by name.
        What::Stale => {
            let behind = Fault::Stale(SignedDuration::from_mins(10));
            cloud.faults().add(list.clone().fault(behind.clone()).nth(2));
            list.fault(behind)
        }
        What::NoCapacityUntil(attempt) => {
            for zone in ["local-a", "local-b", "local-c"].iter().take(attempt as usize - 1) {
                cloud.set_capacity(zone, 0);
            }
            return true;
        }
        _ => return false,
    };
    cloud.faults().add(rule.times(1));
    true
}

/// Makes a cluster that is nobody's, with the name that [`cluster`]'s would have; `false` when that fails. `pass` lets
/// time pass, in milliseconds.
pub fn put_foreign(cloud: &Cloud, key: &str, pass: impl Fn(u64)) -> bool {
    let Some(network) = ask(cloud, key, "/v1/networks", &json!({ "name": "theirs" })) else { return false };
    pass(60_000);
    let spec = json!({ "network": network["id"], "version": "1.35" });
    let made = ask(cloud, key, "/v1/clusters", &json!({ "name": "shop-eu", "spec": spec }));
    pass(600_000);
    made.is_some_and(|cluster| cluster["status"] == "creating")
}

/// Lets the cluster make a load balancer of its own; its name.
pub fn put_load_balancer(cloud: &Cloud) -> Option<String> {
    let service = Key { kind: "/services".into(), namespace: "web".into(), name: "front".into() };
    cloud.ensure_load_balancer("shop-eu", &service, "0b1c2d3e-0000").ok()?;
    Some("k8s-web-front-0b1c2d3e".to_owned())
}

/// Leaves no room for anything.
pub fn use_up_quota(cloud: &Cloud) {
    for what in ["network", "cluster", "node-pool", "node"] {
        cloud.set_quota(what, 0);
    }
}

/// Posts something as anybody with the key would; `None` when it is not answered at once, as a cloud without faults and
/// without a file does.
pub fn ask(cloud: &Cloud, key: &str, path: &str, body: &Value) -> Option<Value> {
    let send = |path: &str, body: &Value, token: &str| {
        let request = Request::post(path)
            .header("authorization", format!("Bearer {token}"))
            .body(Full::new(Bytes::from(body.to_string())))
            .ok()?;
        let answer = async {
            let body = cloud.respond(request).await.ok()?.into_body();
            Some(body.collect().await.ok()?.to_bytes())
        };
        serde_json::from_slice::<Value>(&answer.now_or_never()??).ok()
    };
    let login = send("/v1/login", &json!({ "key": key }), "")?;
    send(path, body, login["token"].as_str()?)
}

/// The words by which the cloud's operations call a resource: one, and many.
fn words(resource: &str) -> (&'static str, &'static str) {
    match resource.split('/').next().unwrap_or_default() {
        "network" => ("network", "networks"),
        "control-plane" => ("cluster", "clusters"),
        "pool" => ("node_pool", "node_pools"),
        "identity" => ("identity", "identities"),
        "ip" => ("ip", "ips"),
        "bucket" => ("bucket", "buckets"),
        _ => ("dns_zone", "dns_zones"),
    }
}

/// What the cloud does so that the provider has to report a class.
fn refused(class: Class) -> Fault {
    match class {
        Class::Retryable => Fault::error(500),
        Class::Throttled => Fault::Throttle { retry_after: SignedDuration::from_secs(2) },
        Class::Capacity => Fault::Capacity,
        Class::Quota => Fault::Quota,
        Class::AuthExpired => Fault::Expired,
        Class::Forbidden => Fault::error(403),
        Class::ConflictInProgress => Fault::error(409),
        Class::DependencyViolation => {
            Fault::Error { status: 409, code: Some("dependency_violation".to_owned()), message: None }
        }
        Class::NotFound => Fault::error(404),
        Class::Config => Fault::error(400),
        Class::Bug => Fault::error(418),
    }
}
