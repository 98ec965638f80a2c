//! How a running sandbox is told what to do: HTTP over a Unix socket that only its owner can reach.

use std::{convert::Infallible, io, path::PathBuf, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Query, State},
    http::{Method, Request, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    net::{UnixListener, UnixStream},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::place::{Connection, Place};
use crate::{
    containers::{Ask, Said, Say},
    parts::{
        calls::Call,
        faults::{Script, Standing},
    },
    world::World,
};

/// How long an answer may take: all that is asked here is answered from memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a sandbox stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The process.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// Since when it runs.
    pub since: Timestamp,
    /// Its folder.
    pub folder: PathBuf,
    /// The cloud's API.
    pub cloud: String,
    /// The object store.
    pub s3: String,
    /// The DNS server.
    pub dns: String,
    /// Its clusters.
    pub clusters: Vec<ClusterStatus>,
    /// How many things there are in the cloud.
    pub things: usize,
    /// How many calls the cloud has answered.
    pub calls: u64,
    /// Fault rules in force.
    pub faults: usize,
}

/// A cluster of a sandbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// Its API: `https://127.0.0.1:1234`.
    pub server: String,
    /// The file by which `kubectl` reaches it.
    pub kubeconfig: PathBuf,
}

/// Who answers.
#[derive(Clone)]
pub(super) struct Desk {
    pub world: World,
    pub place: Place,
    pub connection: Connection,
    pub stop: CancellationToken,
}

impl Desk {
    fn status(&self) -> Status {
        let cluster = |hosted: std::sync::Arc<crate::world::Hosted>| ClusterStatus {
            name: hosted.name.clone(),
            server: format!("https://{}", hosted.address),
            kubeconfig: self.place.kubeconfig(&hosted.name),
        };
        let Connection { pid, version, since, url, s3, dns, .. } = self.connection.clone();
        Status {
            pid,
            version,
            since,
            folder: self.place.folder().to_owned(),
            cloud: url,
            s3,
            dns,
            clusters: self.world.clusters().into_iter().map(cluster).collect(),
            things: self.world.cloud().things().len(),
            calls: self.world.calls().count(),
            faults: self.world.faults().standing().len(),
        }
    }
}

/// Answers at the socket until it is told to stop.
///
/// # Errors
/// When the socket cannot be opened.
pub(super) fn serve(desk: Desk) -> io::Result<tokio::task::JoinHandle<()>> {
    let socket = desk.place.socket();
    // Whoever has the folder's lock may take away what an earlier life left behind.
    match std::fs::remove_file(&socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&socket)?;
    let stop = desk.stop.clone();
    let router = Router::new()
        .route("/status", get(async |State(desk): State<Desk>| Json(desk.status())))
        .route("/stop", post(async |State(desk): State<Desk>| desk.stop.cancel()))
        .route("/faults", get(standing).put(set_faults).delete(clear_faults))
        .route("/calls", get(calls))
        .route("/play", post(play))
        .with_state(desk);
    Ok(tokio::spawn(async move {
        let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "the control socket has broken");
        }
    }))
}

async fn standing(State(desk): State<Desk>) -> Json<Vec<Standing>> {
    Json(desk.world.faults().standing())
}

async fn set_faults(State(desk): State<Desk>, Json(script): Json<Script>) {
    set(&desk.world, script).await;
}

async fn clear_faults(State(desk): State<Desk>) {
    set(&desk.world, Script::default()).await;
}

/// The book in which the fault script is kept.
const FAULTS: &str = "faults";

/// Sets faults, and keeps them for the next life.
pub(super) async fn set(world: &World, script: Script) {
    tracing::info!(rules = script.faults.len(), "faults are set");
    let text = serde_json::to_vec(&script).unwrap_or_default();
    world.keeper().book(FAULTS).put("script", &text);
    world.faults().set(script);
    if let Err(error) = world.keeper().kept().await {
        tracing::error!(%error, "the faults are not kept");
    }
}

/// Sets the faults of an earlier life; counting and times begin anew.
///
/// # Errors
/// When what is kept cannot be read.
pub(super) async fn recall(world: &World) -> Result<(), sqlx::Error> {
    let kept = world.keeper().book(FAULTS).load().await?;
    if let Some(script) = kept.first().and_then(|(_, text)| serde_json::from_slice::<Script>(text).ok()) {
        world.faults().set(script);
    }
    Ok(())
}

#[derive(Deserialize)]
struct After {
    #[serde(default)]
    after: u64,
}

async fn calls(State(desk): State<Desk>, Query(asked): Query<After>) -> Response {
    Json(desk.world.calls().after(asked.after)).into_response()
}

/// A program that is played for as long as its client is there: nobody reads what it says any more when it is dropped.
struct Playing {
    said: mpsc::UnboundedReceiver<Said>,
    task: JoinHandle<()>,
}

impl Drop for Playing {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Plays a program; what it says is sent on as it says it, one JSON document a line.
async fn play(State(desk): State<Desk>, Json(ask): Json<Ask>) -> Response {
    let (send, said) = mpsc::unbounded_channel();
    let containers = desk.world.containers().clone();
    let task = tokio::spawn(async move {
        // Nobody hears it when the client is gone; then this task is, too.
        let code = containers.play(&ask, &mut |said| drop(send.send(said))).await;
        drop(send.send(Said::Ended(code)));
    });
    let lines = futures::stream::unfold(Playing { said, task }, async |mut playing| {
        let said = playing.said.recv().await?;
        let mut line = serde_json::to_vec(&said).unwrap_or_default();
        line.push(b'\n');
        Some((Ok::<_, Infallible>(line), playing))
    });
    Body::from_stream(lines).into_response()
}

/// Tells a sandbox what to do.
#[derive(Clone, Debug)]
pub struct Control {
    socket: PathBuf,
}

/// Why a sandbox did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody answers: it does not run.
    #[error("no sandbox is running")]
    NotRunning,
    /// It could not be reached, or broke off.
    #[error("the sandbox did not answer at its control socket")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It refused.
    #[error("the sandbox refused: {0}")]
    Refused(String),
}

impl Control {
    /// The sandbox of a folder.
    pub fn at(place: &Place) -> Self {
        Self { socket: place.socket() }
    }

    /// How it stands; `None` when it does not run.
    ///
    /// # Errors
    /// When it runs and does not answer.
    pub async fn status(&self) -> Result<Option<Status>, ControlError> {
        match self.json(Method::GET, "/status", String::new()).await {
            Ok(status) => Ok(Some(status)),
            Err(ControlError::NotRunning) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Tells it to stop. It keeps what it has.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn stop(&self) -> Result<(), ControlError> {
        self.ask(Method::POST, "/stop", String::new()).await.map(drop)
    }

    /// The faults in force, and what they have done.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn faults(&self) -> Result<Vec<Standing>, ControlError> {
        self.json(Method::GET, "/faults", String::new()).await
    }

    /// Sets faults instead of those that were there.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn set_faults(&self, script: &Script) -> Result<(), ControlError> {
        let body = serde_json::to_string(script).map_err(|error| ControlError::Broken(error.into()))?;
        self.ask(Method::PUT, "/faults", body).await.map(drop)
    }

    /// The calls after a number, as far as they are remembered.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn calls(&self, after: u64) -> Result<Vec<Call>, ControlError> {
        self.json(Method::GET, &format!("/calls?after={after}"), String::new()).await
    }

    /// Plays a program to its end; its exit code. Whoever drops the future has killed it.
    ///
    /// # Errors
    /// When the sandbox is not there, or goes away in the middle.
    pub async fn play(&self, ask: &Ask, say: Say<'_>) -> Result<i32, ControlError> {
        let body = serde_json::to_string(ask).map_err(|error| ControlError::Broken(error.into()))?;
        let (answer, connection) = self.send(Method::POST, "/play", body).await?;
        let mut body = answer.into_body();
        let mut rest = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| ControlError::Broken(error.into()))?;
            rest.extend(frame.into_data().unwrap_or_default());
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                match serde_json::from_slice(&line).map_err(|error| ControlError::Broken(error.into()))? {
                    Said::Ended(code) => {
                        connection.abort();
                        return Ok(code);
                    }
                    said => say(said),
                }
            }
        }
        Err(ControlError::Broken("it went away in the middle of a program".into()))
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<T, ControlError> {
        let bytes = self.ask(method, path, body).await?;
        serde_json::from_slice(&bytes).map_err(|error| ControlError::Broken(error.into()))
    }

    async fn ask(&self, method: Method, path: &str, body: String) -> Result<Vec<u8>, ControlError> {
        let asked = tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await;
        asked.unwrap_or_else(|elapsed| Err(ControlError::Broken(elapsed.into())))
    }

    async fn exchange(&self, method: Method, path: &str, body: String) -> Result<Vec<u8>, ControlError> {
        let (answer, connection) = self.send(method, path, body).await?;
        let status = answer.status();
        let bytes = answer.into_body().collect().await;
        let bytes = bytes.map_err(|error| ControlError::Broken(error.into()))?.to_bytes();
        connection.abort();
        match status {
            StatusCode::OK => Ok(bytes.to_vec()),
            _ => Err(ControlError::Refused(String::from_utf8_lossy(&bytes).into_owned())),
        }
    }

    /// Sends a request, and gives back the beginning of its answer with the task that reads the rest.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(Response<Incoming>, JoinHandle<hyper::Result<()>>), ControlError> {
        let broken = |error: hyper::Error| ControlError::Broken(error.into());
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ControlError::NotRunning,
            _ => ControlError::Broken(error.into()),
        })?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let connection = tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "sandbox")
            .header("content-type", "application/json")
            .body(Body::from(body))
            .map_err(|error| ControlError::Broken(error.into()))?;
        let answer = sender.send_request(request).await.map_err(broken)?;
        Ok((answer, connection))
    }
}
