//! The sandbox's cloud as a subject of the conformance suite: in process with a clock of its own, or over TLS.

#![allow(dead_code, reason = "each test uses its part")]

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use axum::{body::Bytes, http};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use platform_provider::{ClusterRequest, Provider, SecretString};
use platform_provider_sandbox::{Connect, Connection, Line, NoAnswer, Sandbox};
use platform_sandbox::{
    cloud::{Cloud, Clusters, NewCluster, Node, Options, Parts, examined},
    keep::Book,
    kube::object::Now,
    parts::{calls::CallLog, faults::Faults, transitions::Pace},
};
use platform_spec::Failure;
use platform_testkit::{conformance::Subject, memory::Fault};
use serde_json::Value;

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

impl World {
    /// Asks the cloud for something new, as somebody else would.
    pub fn ask(&self, path: &str, body: &Value) -> Value {
        examined::ask(&self.cloud, KEY, path, body).expect("an answer at once")
    }

    fn forward(&self, ms: u64) {
        if let Some(clock) = &self.clock {
            clock.fetch_add(ms.cast_signed(), Ordering::SeqCst);
        }
    }
}

#[async_trait]
impl Subject for World {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Sandbox::new(self.connect.clone()))
    }

    fn cluster(&self) -> ClusterRequest {
        examined::cluster()
    }

    async fn pass(&self, ms: u64) {
        match &self.clock {
            Some(_) => self.forward(ms),
            None => tokio::time::sleep(std::time::Duration::from_millis(ms)).await,
        }
    }

    fn made_and_changed(&self) -> Option<(u64, u64)> {
        Some(examined::made_and_changed(&self.cloud))
    }

    fn inject(&self, fault: Fault) -> bool {
        examined::inject(&self.cloud, &fault)
    }

    fn put_foreign(&self, _resource: &str) -> bool {
        examined::put_foreign(&self.cloud, KEY, |ms| self.forward(ms))
    }

    fn put_load_balancer(&self) -> Option<String> {
        examined::put_load_balancer(&self.cloud)
    }

    fn use_up_quota(&self) -> bool {
        examined::use_up_quota(&self.cloud);
        true
    }
}
