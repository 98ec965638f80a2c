//! The sandbox's cloud as a subject of the conformance suite: in process with a clock of its own, or over TLS.

#![allow(dead_code, reason = "each test uses its part")]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use axum::{body::Bytes, http};
use futures::FutureExt;
use http_body_util::{BodyExt, Full};
use jiff::{SignedDuration, Timestamp};
use platform_provider::{ClusterRequest, Provider, SecretString};
use platform_provider_sandbox::{Connect, Connection, Line, NoAnswer, Sandbox};
use platform_sandbox::{
    cloud::{Cloud, Clusters, NewCluster, Node, Options, Parts},
    keep::Book,
    kube::{object::Now, store::Key},
    parts::{
        calls::CallLog,
        faults::{self, Faults, Rule},
        transitions::Pace,
    },
    play::around::CloudController,
};
use platform_spec::{Class, Failure};
use platform_testkit::{
    conformance::Subject,
    memory::{At, Fault, Verb, What},
};
use serde_json::{Value, json};

pub mod tls;

pub const KEY: &str = "the-key-of-the-sandbox";

/// Kubernetes APIs that are not there: the suite only looks at the kubeconfig.
struct NoApis;

impl Clusters for NoApis {
    fn create(&self, _: &NewCluster) {}

    fn endpoint(&self, id: &str) -> String {
        format!("https://{id}.sandbox.invalid")
    }

    fn nodes(&self, _: &str, _: &[Node]) {}

    fn remove(&self, _: &str) {}

    fn kubeconfig(&self, id: &str, until: Timestamp) -> Result<SecretString, String> {
        Ok(SecretString::from(format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {id}\n\
             clusters:\n- name: {id}\n  cluster: {{server: 'https://{id}.sandbox.invalid'}}\n\
             contexts:\n- name: {id}\n  context: {{cluster: {id}, user: {id}}}\n\
             users:\n- name: {id}\n  user: {{token: sandbox-token-until-{}}}\n",
            until.as_second()
        )))
    }
}

pub fn cloud(pace: Pace, now: Now) -> Cloud {
    let cloud = Cloud::new(Parts {
        options: Options::new(SecretString::from(KEY)),
        seed: 7,
        pace,
        faults: Faults::new(7, now.clone()),
        now,
        calls: CallLog::default(),
        book: Book::default(),
    });
    cloud.plug_clusters(Arc::new(NoApis));
    cloud
}

/// Within this process.
pub struct Inside(pub Cloud);

#[async_trait]
impl Line for Inside {
    async fn send(&self, request: http::Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, NoAnswer> {
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let answer = self.0.respond(request).await.map_err(|broken| NoAnswer(broken.to_string()))?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await.map_err(|error| NoAnswer(error.to_string()))?.to_bytes().to_vec();
        Ok(http::Response::from_parts(head, body))
    }
}

#[async_trait]
impl Connect for Inside {
    async fn connect(&self) -> Result<Connection, Failure> {
        Ok(Connection { line: Arc::new(Self(self.0.clone())), key: SecretString::from(KEY) })
    }
}

/// A cloud with a way to it, and how its time passes.
pub struct World {
    pub cloud: Cloud,
    pub connect: Arc<dyn Connect>,
    /// `None`: real time.
    pub clock: Option<Arc<AtomicI64>>,
    /// What keeps the world going.
    pub server: Option<tls::Server>,
}

/// In process, in virtual time, at the pace of clouds.
pub async fn in_process() -> World {
    let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
    let ms = clock.clone();
    let now: Now = Arc::new(move || Timestamp::from_millisecond(ms.load(Ordering::SeqCst)).expect("a time"));
    let cloud = cloud(Pace::CLOUD, now);
    World { connect: Arc::new(Inside(cloud.clone())), cloud, clock: Some(clock), server: None }
}

/// Over TLS on a loopback socket, in real time, a thousand times faster than clouds.
pub async fn over_tls() -> World {
    let cloud = cloud(Pace::BRISK, Arc::new(Timestamp::now));
    let server = tls::Server::start(cloud.clone()).await;
    World { connect: Arc::new(server.place()), cloud, clock: None, server: Some(server) }
}

pub fn request() -> ClusterRequest {
    let mut cluster = ClusterRequest::new("shop", "eu", "sandbox");
    cluster.kubernetes_version = Some("1.36".to_owned());
    cluster.config = json!({ "ingressIp": true, "bucket": true, "dnsZone": "eu.shop.test" });
    cluster.spec = json!({ "nodePools": [{ "name": "apps", "min": 2, "max": 4 }, { "name": "jobs", "min": 1, "max": 2 }] });
    cluster
}

impl World {
    /// Asks the cloud as somebody else would.
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let send = |path: &str, body: &Value, token: &str| {
            let request = http::Request::builder()
                .method(if path == "/v1/login" { "POST" } else { method })
                .uri(path)
                .header("authorization", format!("Bearer {token}"))
                .body(Full::new(Bytes::from(body.to_string())))
                .expect("a request");
            let cloud = self.cloud.clone();
            let answer = async move {
                let body = cloud.respond(request).await.expect("an answer").into_body();
                body.collect().await.expect("a body").to_bytes()
            };
            // A cloud that keeps nothing and has no faults never waits.
            let bytes = answer.now_or_never().expect("at once");
            serde_json::from_slice::<Value>(&bytes).expect("JSON")
        };
        let login = send("/v1/login", &json!({ "key": KEY }), "");
        send(path, body, login["token"].as_str().expect("a token"))
    }

    fn forward(&self, ms: u64) {
        if let Some(clock) = &self.clock {
            clock.fetch_add(ms.cast_signed(), Ordering::SeqCst);
        }
    }
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
fn refused(class: Class) -> faults::Fault {
    match class {
        Class::Retryable => faults::Fault::error(500),
        Class::Throttled => faults::Fault::Throttle { retry_after: SignedDuration::from_secs(2) },
        Class::Capacity => faults::Fault::Capacity,
        Class::Quota => faults::Fault::Quota,
        Class::AuthExpired => faults::Fault::Expired,
        Class::Forbidden => faults::Fault::error(403),
        Class::ConflictInProgress => faults::Fault::error(409),
        Class::DependencyViolation => {
            faults::Fault::Error { status: 409, code: Some("dependency_violation".to_owned()), message: None }
        }
        Class::NotFound => faults::Fault::error(404),
        Class::Config => faults::Fault::error(400),
        Class::Bug => faults::Fault::error(418),
    }
}

#[async_trait]
impl Subject for World {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Sandbox::new(self.connect.clone()))
    }

    fn cluster(&self) -> ClusterRequest {
        request()
    }

    async fn pass(&self, ms: u64) {
        match &self.clock {
            Some(_) => self.forward(ms),
            None => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
        }
    }

    fn made_and_changed(&self) -> Option<(u64, u64)> {
        Some((self.cloud.made().values().sum(), self.cloud.calls().changes()))
    }

    fn inject(&self, fault: Fault) -> bool {
        let At::Verb(verb, Some(resource)) = &fault.at else { return false };
        let (one, many) = words(resource);
        let rule = match fault.what {
            // Each provider logs in first, and what has expired is logged in for again.
            What::Refuse(Class::AuthExpired) => Rule::at("cloud", "login", "*").fault(faults::Fault::Expired),
            What::Refuse(class) => Rule::at("cloud", &format!("list_{many}"), "*").fault(refused(class)),
            What::LoseReply => {
                let deed = if *verb == Verb::Remove { "delete" } else { "create" };
                Rule::at("cloud", &format!("{deed}_{one}"), "*").fault(faults::Fault::ResetAfter)
            }
            // By tag, and by name.
            What::Stale => {
                let behind = faults::Fault::Stale(SignedDuration::from_mins(10));
                self.cloud
                    .faults()
                    .add(Rule::at("cloud", &format!("list_{many}"), "*").fault(behind.clone()).nth(2));
                Rule::at("cloud", &format!("list_{many}"), "*").fault(behind)
            }
            What::NoCapacityUntil(attempt) => {
                for zone in ["local-a", "local-b", "local-c"].iter().take(attempt as usize - 1) {
                    self.cloud.set_capacity(zone, 0);
                }
                return true;
            }
            _ => return false,
        };
        self.cloud.faults().add(rule.times(1));
        true
    }

    fn put_foreign(&self, _resource: &str) -> bool {
        let network = self.ask("POST", "/v1/networks", &json!({ "name": "theirs" }));
        self.forward(60_000);
        let spec = json!({ "network": network["id"], "version": "1.35" });
        let cluster = self.ask("POST", "/v1/clusters", &json!({ "name": "shop-eu", "spec": spec }));
        assert_eq!(cluster["status"], "creating", "{cluster}");
        self.forward(600_000);
        true
    }

    fn put_load_balancer(&self) -> Option<String> {
        let service = Key { kind: "/services".into(), namespace: "web".into(), name: "front".into() };
        self.cloud.ensure_load_balancer("shop-eu", &service, "0b1c2d3e-0000").ok()?;
        Some("k8s-web-front-0b1c2d3e".to_owned())
    }

    fn use_up_quota(&self) -> bool {
        for what in ["network", "cluster", "node-pool", "node"] {
            self.cloud.set_quota(what, 0);
        }
        true
    }
}
