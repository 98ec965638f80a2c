//! Whether what is there answers as it should: APIs, nodes, Applications, endpoints. Changes nothing.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use platform_flows::{
    Doors,
    doors::Reach,
    wish::{self, Rendered, reach},
};
use platform_kube::{Cluster, argocd::AppRef};
use platform_spec::{Failure, Model, model};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use crate::{App, doors, specs::Wanted};

/// How long an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The port of plain HTTP: where an ingress answers, or says that it wants TLS.
const HTTP: u16 = 80;

/// How something that was asked has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed,
    /// It could not be asked.
    Skipped,
}

/// One thing that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The cluster.
    pub cluster: String,
    /// What was asked: `api`, `nodes`, `applications`, `endpoint web.example.com`.
    pub what: String,
    /// How it answered.
    pub verdict: Verdict,
    /// What was found, in words.
    pub found: String,
}

/// What was asked, and how it answered. Field names are a contract with scripts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Always `platform.verify/v1`.
    pub schema: String,
    /// Which platform.
    pub platform: String,
    /// Whether nothing answered otherwise than it should.
    pub passed: bool,
    /// Everything that was asked.
    pub checks: Vec<Check>,
    /// How long it took.
    pub elapsed_ms: u64,
}

/// Asks everything that the spec names. Changes nothing.
///
/// # Errors
/// When the blueprint or the providers cannot say what there should be. What does not answer is no error here.
pub async fn verify(app: &App, wanted: &Wanted) -> Result<Report, Failure> {
    let began = Instant::now();
    let doors = doors::open(app).await?;
    let model = wish::settled(&doors, wanted.model.clone()).await?;
    let rendered = wish::render(&doors, &model).await?;
    let mut checks = Vec::new();
    let chosen = |name: &String| wanted.only.as_ref().is_none_or(|only| only.contains(name));
    for cluster in model.clusters.iter().filter(|cluster| chosen(&cluster.name)) {
        Asking { doors: &doors, model: &model, rendered: &rendered, cluster, checks: &mut checks }
            .all()
            .await;
    }
    Ok(Report {
        schema: "platform.verify/v1".to_owned(),
        platform: wanted.model.platform.clone(),
        passed: checks.iter().all(|check| check.verdict != Verdict::Failed),
        checks,
        elapsed_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}

struct Asking<'a> {
    doors: &'a Arc<Doors>,
    model: &'a Model,
    rendered: &'a Rendered,
    cluster: &'a model::Cluster,
    checks: &'a mut Vec<Check>,
}

impl Asking<'_> {
    async fn all(&mut self) {
        let reach = reach(self.model, self.cluster);
        let api = match self.api(&reach).await {
            Ok((api, version)) => {
                self.say("api", Verdict::Passed, version);
                api
            }
            Err(failure) => return self.say("api", Verdict::Failed, in_words(&failure)),
        };
        self.judge("nodes", nodes(&api).await);
        if self.model.argocd.instances.iter().any(|it| it.cluster == self.cluster.name) {
            self.judge("applications", self.applications(&api).await);
        }
        self.endpoints(&reach).await;
    }

    async fn api(&self, reach: &Reach) -> Result<(Cluster, String), Failure> {
        let api = self.doors.cluster(reach).await?;
        api.ready().await?;
        let version = api.version().await?;
        Ok((api, version))
    }

    /// Those that Argo CD has on this cluster: the ones that bring others, and all that bring workloads.
    async fn applications(&self, api: &Cluster) -> Result<Result<String, String>, Failure> {
        let expected: Vec<AppRef> =
            self.rendered.leaves.iter().map(|leaf| AppRef::new(&leaf.namespace, &leaf.name)).collect();
        let table = api.applications(&expected, &[]).await?;
        let bad: Vec<String> = table
            .rows
            .iter()
            .filter(|row| row.sync != "Synced" || row.health != "Healthy")
            .map(|row| {
                let or = |word: &str| if word.is_empty() { "unknown".to_owned() } else { word.to_owned() };
                format!("{} is {} and {}", row.app.name, or(&row.sync), or(&row.health))
            })
            .collect();
        Ok(if bad.is_empty() {
            Ok(format!("{} Synced and Healthy", table.rows.len()))
        } else {
            Err(bad.join("; "))
        })
    }

    /// Host names with a known address: whatever answers there, short of a server's error, is an answer.
    async fn endpoints(&mut self, reach: &Reach) {
        let emulated = match self.doors.provider(&reach.provider) {
            Ok(_) if self.model.emulated => true,
            Ok(provider) => provider.describe().await.is_ok_and(|it| it.capabilities.emulated),
            Err(_) => false,
        };
        let hosts: Vec<String> = self
            .model
            .hosts
            .iter()
            .filter(|host| host.cells.iter().any(|cell| self.cluster.cells.contains(cell)))
            .map(|host| host.name.clone())
            .collect();
        for host in hosts {
            let what = format!("endpoint {host}");
            match self.cluster.addresses.first() {
                _ if emulated => {
                    self.say(&what, Verdict::Skipped, "nothing answers at emulated addresses".to_owned())
                }
                None => self.say(&what, Verdict::Skipped, "the spec knows no address for it".to_owned()),
                Some(address) => {
                    let answered = answers(&host, SocketAddr::new(*address, HTTP)).await;
                    let (verdict, found) = match answered {
                        Ok(found) => (Verdict::Passed, found),
                        Err(found) => (Verdict::Failed, found),
                    };
                    self.say(&what, verdict, found);
                }
            }
        }
    }

    fn judge(&mut self, what: &str, found: Result<Result<String, String>, Failure>) {
        match found {
            Ok(Ok(found)) => self.say(what, Verdict::Passed, found),
            Ok(Err(found)) => self.say(what, Verdict::Failed, found),
            Err(failure) => self.say(what, Verdict::Failed, in_words(&failure)),
        }
    }

    fn say(&mut self, what: &str, verdict: Verdict, found: String) {
        let cluster = self.cluster.name.clone();
        self.checks.push(Check { cluster, what: what.to_owned(), verdict, found });
    }
}

async fn nodes(api: &Cluster) -> Result<Result<String, String>, Failure> {
    let nodes = api.list("v1", "Node", None).await?;
    let bad: Vec<&str> = nodes
        .iter()
        .filter(|node| !is_ready(node))
        .map(|node| node["metadata"]["name"].as_str().unwrap_or("a node without a name"))
        .collect();
    Ok(match (nodes.len(), bad.as_slice()) {
        (0, _) => Err("there are none".to_owned()),
        (n, []) => Ok(format!("{n} Ready")),
        (_, bad) => Err(format!("not Ready: {}", bad.join(", "))),
    })
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|it| it["type"] == "Ready" && it["status"] == "True")
}

async fn answers(host: &str, address: SocketAddr) -> Result<String, String> {
    let client = reqwest::Client::builder()
        .resolve(host, address)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(PATIENCE)
        .build()
        .map_err(|error| error.to_string())?;
    let answer = client.get(format!("http://{host}:{}/", address.port())).send().await;
    let status = answer.map_err(|error| format!("no answer at {address}: {error}"))?.status();
    if status.is_server_error() { Err(format!("{status}")) } else { Ok(format!("{status}")) }
}

fn in_words(failure: &Failure) -> String {
    match failure.causes.last() {
        Some(cause) => format!("{}: {cause}", failure.message),
        None => failure.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn a_node_is_ready_when_it_says_so() {
        let node = |status: &str| {
            json!({ "status": { "conditions": [
            { "type": "MemoryPressure", "status": "False" }, { "type": "Ready", "status": status },
        ] } })
        };
        assert!(is_ready(&node("True")));
        assert!(!is_ready(&node("False")) && !is_ready(&node("Unknown")) && !is_ready(&json!({})));
    }

    /// A server that says one thing, once; the head of what it was asked.
    async fn one_answer(status: &'static str) -> (SocketAddr, tokio::task::JoinHandle<String>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut asked = vec![0; 4096];
            let n = stream.read(&mut asked).await.expect("a request");
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("a listener");
            String::from_utf8_lossy(&asked[..n]).into_owned()
        });
        (address, served)
    }

    #[tokio::test]
    async fn an_endpoint_is_asked_by_its_name_at_its_address() {
        let (address, served) = one_answer("404 Not Found").await;
        assert_eq!(answers("web.example.com", address).await, Ok("404 Not Found".to_owned()));
        let asked = served.await.expect("it was asked");
        assert!(asked.contains("host: web.example.com"), "{asked}");
    }

    #[tokio::test]
    async fn a_server_in_trouble_and_nobody_at_all_are_no_answers() {
        let (address, _) = one_answer("503 Service Unavailable").await;
        assert_eq!(answers("web.example.com", address).await, Err("503 Service Unavailable".to_owned()));
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = gone.local_addr().expect("an address");
        drop(gone);
        let why = answers("web.example.com", address).await.expect_err("nobody listens");
        assert!(why.contains("no answer at 127.0.0.1"), "{why}");
    }
}
