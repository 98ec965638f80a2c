//! The protocol of plugins, from both sides.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use platform_provider::{
    Access, CONTRACT_VERSION, Capabilities, ClusterRequest, Description, Ensured, InventoryRequest,
    Kubeconfig, Observation, Owned, Provider, Removed, Resource, ResourceCall, SecretString,
    process::{ProcessProvider, serve_on},
};
use platform_spec::{Failure, report::Finding};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};

/// The first byte says which side is played: a host that hears a plugin, or a plugin that hears a host. The rest is what
/// is heard.
pub fn holds(data: &[u8]) {
    let Some((side, heard)) = data.split_first() else { return };
    heard.split(|byte| *byte == b'\n').for_each(the_same_again);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime");
    match side {
        b'h' => runtime.block_on(host(heard)),
        b'p' => runtime.block_on(plugin(heard)),
        _ => {}
    }
}

/// What a line says by any of the contract's words is the same when written and read again.
fn the_same_again(line: &[u8]) {
    fn again<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(value: &Value) {
        let Ok(read) = serde_json::from_value::<T>(value.clone()) else { return };
        let text = serde_json::to_string(&read).expect("plain data");
        assert_eq!(serde_json::from_str::<T>(&text).expect("what was written can be read"), read, "{text}");
    }
    let Ok(line) = serde_json::from_slice::<Value>(line) else { return };
    for value in [&line["ok"], &line["failure"], &line["params"]] {
        again::<Description>(value);
        again::<Vec<Finding>>(value);
        again::<Vec<Resource>>(value);
        again::<Observation>(value);
        again::<Ensured>(value);
        again::<Removed>(value);
        again::<Vec<Owned>>(value);
        again::<Failure>(value);
        again::<ClusterRequest>(value);
        again::<ResourceCall>(value);
        again::<InventoryRequest>(value);
    }
}

/// A host that hears this from a plugin which has greeted well: each of its calls ends, well or with a failure that is
/// the plugin's own or one of the protocol's, and none of these repeats a kubeconfig.
async fn host(heard: &[u8]) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let heard = heard.to_vec();
    let said = heard.clone();
    let plugin = tokio::spawn(async move {
        let (input, mut output) = tokio::io::split(theirs);
        let mut input = BufReader::new(input);
        let mut hello = String::new();
        input.read_line(&mut hello).await.expect("the host says hello");
        let hello: Value = serde_json::from_str(&hello).expect("the hello is JSON");
        let welcome =
            json!({ "contract": CONTRACT_VERSION, "cookie": hello["hello"]["cookie"], "kind": "k" });
        let welcome = format!("{}\n", json!({ "welcome": welcome }));
        output.write_all(welcome.as_bytes()).await.expect("the host listens");
        // The host may have had enough before the end.
        let mut calls = String::new();
        for _ in 0..4 {
            drop(input.read_line(&mut calls).await);
        }
        drop(output.write_all(&said).await);
        drop(output.shutdown().await);
        drop(input.read_to_string(&mut calls).await);
        for line in calls.lines() {
            serde_json::from_str::<Value>(line).expect("a host writes JSON");
        }
    });
    let (input, output) = tokio::io::split(ours);
    let host = ProcessProvider::on("acme", input, output).await.expect("it greets well");
    let cluster = ClusterRequest::new("p", "c", "k");
    let call = cluster.call("control-plane", "t", 1);
    let (described, seen, ensured, access) =
        tokio::join!(host.describe(), host.observe(&call), host.ensure(&call), host.access(&cluster));
    let failures = [described.err(), seen.err(), ensured.err(), access.err()];
    let own: Vec<Failure> = replies(&heard, "failure");
    let secrets: Vec<String> = replies::<Value>(&heard, "ok")
        .iter()
        .filter_map(|ok| ok["kubeconfig"].as_str().map(str::to_owned))
        .collect();
    for failure in failures.into_iter().flatten().filter(|failure| !own.contains(failure)) {
        assert!(matches!(failure.code.as_str(), "P0205" | "P0206" | "P0207"), "{failure:?}");
        let text = format!("{failure:?}");
        // A word of a few letters may stand in any sentence.
        let told = secrets.iter().find(|secret| secret.len() > 12 && text.contains(secret.as_str()));
        assert!(failure.message.contains("`acme`") && told.is_none(), "{failure:?} tells {told:?}");
    }
    drop(host);
    plugin.await.expect("the plugin only talks");
}

/// What stands under a key of the lines that are JSON, where it can be read.
fn replies<T: DeserializeOwned>(heard: &[u8], key: &str) -> Vec<T> {
    let lines =
        heard.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    lines.filter_map(|line| serde_json::from_value(line.get(key)?.clone()).ok()).collect()
}

/// A plugin that hears this from a host: it writes nothing but JSON lines, greets first, and answers each call at most
/// once, all of them when nothing else was said.
async fn plugin(heard: &[u8]) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (input, output) = tokio::io::split(theirs);
    let serving = tokio::spawn(serve_on(Arc::new(Still), input, output));
    let (mut answers, mut calls) = tokio::io::split(ours);
    let listening = tokio::spawn(async move {
        let mut text = String::new();
        answers.read_to_string(&mut text).await.expect("a plugin writes UTF-8");
        text
    });
    // A plugin that is asked nonsense hangs up.
    drop(calls.write_all(heard).await);
    // Time goes on by itself once nobody has anything to do: all that can be answered then is.
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    drop(calls.shutdown().await);
    drop(calls);
    let served = serving.await.expect("a plugin never panics");
    let text = listening.await.expect("a listener only listens");

    let mut asked: BTreeMap<u64, i64> = BTreeMap::new();
    let mut cancelled = false;
    for line in
        heard.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok())
    {
        cancelled |= line.get("cancel").is_some();
        if let Some(id) = line["id"].as_u64() {
            *asked.entry(id).or_default() += 1;
        }
    }
    let mut lines =
        text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a plugin writes JSON"));
    let Some(first) = lines.next() else {
        assert!(served.is_err(), "it heard a hello, or said why not");
        return;
    };
    assert_eq!(first["welcome"]["contract"], CONTRACT_VERSION, "it greets first: {first}");
    for answer in lines {
        let id = answer["id"].as_u64().expect("an answer says to what");
        let said = [&answer["ok"], &answer["failure"]].into_iter().filter(|it| !it.is_null()).count();
        assert!(said <= 1, "{answer}");
        let open = asked.get_mut(&id).unwrap_or_else(|| panic!("nobody asked: {answer}"));
        *open -= 1;
        assert!(*open >= 0, "answered once too often: {answer}");
    }
    // Its version is another, or it has been told to stop, or it hung up: then calls may stay open.
    let well = served.is_ok() && !cancelled && heard.ends_with(b"\n");
    let agreed =
        heard.split(|byte| *byte == b'\n').next().and_then(|line| serde_json::from_slice::<Value>(line).ok());
    if well && agreed.is_some_and(|line| line["hello"]["contract"] == CONTRACT_VERSION) {
        assert!(asked.values().all(|open| *open == 0), "calls without an answer: {asked:?}");
    }
}

/// A provider whose world stands still.
struct Still;

#[async_trait]
impl Provider for Still {
    async fn describe(&self) -> Result<Description, Failure> {
        Ok(Description {
            kind: "still".to_owned(),
            summary: "nothing happens".to_owned(),
            version: "1".to_owned(),
            capabilities: Capabilities::default(),
            tools: Vec::new(),
            credentials: Vec::new(),
            config_schema: Value::Null,
        })
    }

    async fn preflight(&self, _: &ClusterRequest) -> Result<Vec<Finding>, Failure> {
        Ok(Vec::new())
    }

    async fn resources(&self, _: &ClusterRequest) -> Result<Vec<Resource>, Failure> {
        Ok(Vec::new())
    }

    async fn observe(&self, _: &ResourceCall) -> Result<Observation, Failure> {
        Ok(Observation::Absent)
    }

    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure> {
        Ok(Ensured::InProgress(platform_provider::Wait {
            operation: call.operation.clone(),
            waiting_for: call.resource.clone(),
            poll_after_ms: 1_000,
        }))
    }

    async fn remove(&self, _: &ResourceCall) -> Result<Removed, Failure> {
        Ok(Removed::Done)
    }

    async fn list_owned(&self, _: &InventoryRequest) -> Result<Vec<Owned>, Failure> {
        Ok(Vec::new())
    }

    async fn access(&self, _: &ClusterRequest) -> Result<Access, Failure> {
        let kubeconfig = Kubeconfig::Value(SecretString::from("k"));
        Ok(Access { kubeconfig, context: None, expires: None, inside: None })
    }
}
