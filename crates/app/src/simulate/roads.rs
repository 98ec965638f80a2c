//! The ways from a process into a played world: no sockets, no waiting for anybody outside.

use std::{io, sync::Arc};

use async_trait::async_trait;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use jiff::Timestamp;
use platform_dns::{Dns, Road};
use platform_flows::doors::Roads;
use platform_kube::{Cluster, Endpoint};
use platform_provider::Access;
use platform_provider_sandbox::{Connect, Connection, Line, NoAnswer, Sandbox};
use platform_sandbox::{cloud::thing::Phase, kube::serve::TakesDocuments, world::World};
use platform_spec::{Class, Code, Failure};
use serde_json::{Value, json};

/// The key to the cloud of a played world.
pub(crate) const KEY: &str = "simulation";

/// The clusters and zones of a played world.
pub(super) struct Here(pub World);

#[async_trait]
impl Roads for Here {
    async fn cluster(&self, access: &Access) -> Result<Cluster, Failure> {
        let kubeconfig = access.kubeconfig().await?;
        let endpoint = Endpoint::of(&kubeconfig, access.context.as_deref());
        let server = endpoint.map(|endpoint| endpoint.server).unwrap_or_default();
        let hosted = self.0.clusters().into_iter().find(|it| server == format!("https://{}", it.address));
        let Some(hosted) = hosted else {
            return Err(Failure::new(
                Code::new("P0405"),
                Class::Retryable,
                format!("could not reach the API server {server}"),
            )
            .because("connection refused"));
        };
        let (world, id) = (self.0.clone(), hosted.id.clone());
        Ok(Cluster::over(
            move |mut request| {
                let (world, id) = (world.clone(), id.clone());
                request.extensions_mut().insert(TakesDocuments);
                async move { world.ask_cluster(&id, request).await.map_err(io::Error::other) }
            },
            &server,
        )
        .with_clock(self.0.clock()))
    }

    fn now(&self) -> Timestamp {
        self.0.clock()()
    }

    fn zone(&self, dns: Dns) -> Dns {
        // Signatures bear the time of the world that they are made in.
        let now = self.0.clock();
        let seconds = move || u64::try_from(now().as_second()).unwrap_or_default();
        dns.with_clock(seconds).by(Arc::new(Zones(self.0.clone())))
    }
}

/// The zones of a played world.
struct Zones(World);

#[async_trait]
impl Road for Zones {
    async fn exchange(&self, _server: &str, message: Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
        Ok(self.0.ask_zone(&message))
    }
}

/// The provider of a played world's cloud.
pub(crate) fn provider(world: &World) -> Sandbox {
    Sandbox::new(Arc::new(Inside(world.clone())))
}

/// The way to a played world's cloud.
struct Inside(World);

#[async_trait]
impl Connect for Inside {
    async fn connect(&self) -> Result<Connection, Failure> {
        Ok(Connection { line: Arc::new(Self(self.0.clone())), key: KEY.into() })
    }
}

#[async_trait]
impl Line for Inside {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, NoAnswer> {
        let request = request.map(|body| Full::new(bytes::Bytes::from(body)));
        let none = |error: &dyn std::error::Error| NoAnswer(error.to_string());
        let (head, body) = self.0.ask_cloud(request).await.map_err(|error| none(&error))?.into_parts();
        let body = body.collect().await.map_err(|error| none(&error))?.to_bytes().to_vec();
        Ok(Response::from_parts(head, body))
    }
}

/// Mends in the cloud what has failed there, as a person does at its console: each such thing is asked to be as it was
/// asked to be before.
///
/// # Errors
/// What the cloud answers instead.
pub(super) async fn mend(world: &World) -> Result<(), String> {
    let login = ask(world, "POST", "/v1/login", None, &json!({ "key": KEY })).await?;
    let token = login["token"].as_str().ok_or("login gave no token")?;
    for thing in world.cloud().things().iter().filter(|thing| matches!(thing.phase, Phase::Failed(_))) {
        let path = format!("/v1/{}/{}", thing.kind.plural(), thing.id);
        ask(world, "PATCH", &path, Some(token), &json!({ "spec": {} })).await?;
    }
    Ok(())
}

async fn ask(
    world: &World,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &Value,
) -> Result<Value, String> {
    let mut request =
        Request::builder().method(method).uri(path).header(header::CONTENT_TYPE, "application/json");
    if let Some(token) = token {
        request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
    }
    let request = request.body(body.to_string().into_bytes()).map_err(|error| error.to_string())?;
    let answer = Inside(world.clone()).send(request).await.map_err(|none| none.0)?;
    let words = String::from_utf8_lossy(answer.body());
    match answer.status().is_success() {
        true => serde_json::from_str(&words).map_err(|error| error.to_string()),
        false => Err(format!("{method} {path}: {words}")),
    }
}
