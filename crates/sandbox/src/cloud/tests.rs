use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use axum::body::Body;
use axum::http::{Request, Response};
use http_body_util::BodyExt;
use jiff::SignedDuration;
use secrecy::SecretString;
use serde_json::json;

use super::*;
use crate::{
    keep::Keeper,
    kube::store::Key,
    parts::faults::{Fault, Rule},
    play::around::CloudController,
};

/// A cloud, its clock, and somebody who is logged in.
struct World {
    cloud: Cloud,
    clock: Arc<AtomicI64>,
    token: String,
}

const KEY: &str = "the-key";

fn parts(clock: &Arc<AtomicI64>, book: Book) -> Parts {
    let clock = clock.clone();
    let now: Now =
        Arc::new(move || Timestamp::from_millisecond(clock.load(Ordering::SeqCst)).expect("a time"));
    Parts {
        options: Options::new(SecretString::from(KEY)),
        seed: 7,
        pace: Pace::CLOUD,
        faults: Faults::new(7, now.clone()),
        now,
        calls: CallLog::default(),
        book,
    }
}

async fn world() -> World {
    let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
    let cloud = Cloud::new(parts(&clock, Book::default()));
    let mut world = World { cloud, clock, token: String::new() };
    world.login().await;
    world
}

async fn json_of(response: Response<Body>) -> (u16, Value) {
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await.expect("a body").to_bytes();
    let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).expect("JSON") };
    (status, body)
}

impl World {
    async fn login(&mut self) {
        let (status, body) = self.ask("POST", "/v1/login", json!({ "key": KEY })).await;
        assert_eq!(status, 200, "{body}");
        self.token = body["token"].as_str().expect("a token").to_owned();
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        fence: Option<&str>,
        body: Value,
    ) -> Result<(u16, Value), door::Broken> {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {}", self.token));
        if let Some(fence) = fence {
            request = request.header(door::FENCE, fence);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.cloud.respond(request.body(body).expect("a request")).await?;
        Ok(json_of(response).await)
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.send(method, path, None, body).await.expect("an answer")
    }

    fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// Makes a thing and waits for it; its id.
    async fn make(&self, plural: &str, body: Value) -> String {
        let (status, thing) = self.ask("POST", &format!("/v1/{plural}"), body).await;
        assert_eq!(status, 201, "{thing}");
        let id = thing["id"].as_str().expect("an id").to_owned();
        // Longer than anything takes, and short enough for the token to last.
        self.pass(400);
        let (_, thing) = self.ask("GET", &format!("/v1/{plural}/{id}"), Value::Null).await;
        assert_eq!(thing["status"], "active", "{thing}");
        id
    }

    async fn cluster(&self) -> (String, String) {
        let network = self.make("networks", json!({ "name": "demo-network" })).await;
        let spec = json!({ "network": network, "controller_tags": { "owner": "demo" } });
        let cluster = self.make("clusters", json!({ "name": "demo", "spec": spec })).await;
        (network, cluster)
    }
}

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_cluster_takes_its_time_and_has_an_end() {
    let mut world = world().await;
    let network = world.make("networks", json!({ "name": "n" })).await;
    let wanted = json!({ "name": "c", "spec": { "network": network } });
    let (_, made) = world.ask("POST", "/v1/clusters", wanted.clone()).await;
    assert_eq!(made["status"], "creating");
    assert_eq!(made["outputs"], json!({}), "nothing is promised before it is there");
    let id = made["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/clusters/{id}");
    world.pass(100);
    let (_, halfway) = world.ask("GET", &path, Value::Null).await;
    assert_eq!(halfway["status"], "creating");
    let percent = halfway["operation"]["percent"].as_u64().expect("a number");
    assert!((27..=42).contains(&percent), "{percent}");
    assert_eq!(code(&world.ask("DELETE", &path, Value::Null).await), (409, "operation_in_progress"));
    let no_access = world.ask("POST", &format!("{path}/kubeconfig"), Value::Null).await;
    assert_eq!(code(&no_access), (409, "not_ready"));
    world.pass(300);
    let (_, there) = world.ask("GET", &path, Value::Null).await;
    assert_eq!(
        (there["status"].as_str(), there["outputs"]["version"].as_str()),
        (Some("active"), Some("1.36"))
    );
    assert_eq!(code(&world.ask("POST", "/v1/clusters", wanted).await), (409, "name_taken"));
    let blocked = world.ask("DELETE", &format!("/v1/networks/{network}"), Value::Null).await;
    assert_eq!(code(&blocked), (409, "dependency_violation"));
    assert_eq!(blocked.1["error"]["blockers"], json!(["cluster c"]));
    assert_eq!(world.ask("DELETE", &path, Value::Null).await.0, 202);
    assert_eq!(world.ask("GET", &path, Value::Null).await.1["status"], "deleting");
    world.pass(300);
    assert_eq!(code(&world.ask("GET", &path, Value::Null).await), (404, "not_found"));
    assert_eq!(world.ask("DELETE", &format!("/v1/networks/{network}"), Value::Null).await.0, 202);
    world.pass(3600);
    assert_eq!(code(&world.ask("GET", "/v1/things", Value::Null).await), (401, "auth_expired"));
    world.login().await;
    assert_eq!(world.ask("GET", "/v1/things", Value::Null).await.1["items"], json!([]));
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let world = world().await;
    let (network, cluster) = world.cluster().await;
    let pool = |zone: &str, size: u32| json!({ "name": "p", "spec": { "cluster": cluster, "zone": zone, "size": size } });
    let cases = [
        ("POST", "/v1/networks", json!({ "name": "Not A Name" }), (400, "invalid_request")),
        ("POST", "/v1/networks", json!({ "name": "n", "colour": "red" }), (400, "invalid_request")),
        ("POST", "/v1/networks", json!({ "name": "n", "spec": { "cidr": "ten" } }), (400, "invalid_request")),
        ("POST", "/v1/networks", json!({ "name": "n", "region": "mars-1" }), (400, "invalid_request")),
        (
            "POST",
            "/v1/clusters",
            json!({ "name": "x", "spec": { "network": "net-0" } }),
            (400, "invalid_request"),
        ),
        (
            "POST",
            "/v1/clusters",
            json!({ "name": "x", "spec": { "network": network, "version": "1.12" } }),
            (400, "invalid_request"),
        ),
        (
            "POST",
            "/v1/clusters",
            json!({ "name": "x", "spec": { "network": network, "pod_cidr": "10.0.128.0/17" } }),
            (400, "cidr_overlap"),
        ),
        (
            "POST",
            "/v1/clusters",
            json!({ "name": "x", "region": "eu-1", "spec": { "network": network } }),
            (400, "invalid_request"),
        ),
        ("POST", "/v1/node-pools", pool("eu-1-a", 1), (400, "invalid_request")),
        ("POST", "/v1/node-pools", pool("local-a", 1000), (400, "invalid_request")),
        (
            "PATCH",
            &format!("/v1/networks/{network}"),
            json!({ "spec": { "cidr": "10.1.0.0/16" } }),
            (400, "immutable"),
        ),
        (
            "PATCH",
            &format!("/v1/clusters/{cluster}"),
            json!({ "spec": { "version": "1.35" } }),
            (400, "invalid_request"),
        ),
        ("GET", "/v1/networks?colour=red", Value::Null, (400, "invalid_request")),
        ("GET", "/v1/networks?page=abc", Value::Null, (400, "invalid_page")),
        ("GET", &format!("/v1/networks/{cluster}"), Value::Null, (404, "not_found")),
        ("GET", "/v1/planets", Value::Null, (404, "no_such_path")),
        ("PUT", "/v1/networks", Value::Null, (405, "no_such_method")),
        ("POST", "/v1/login", json!({ "key": "other" }), (401, "unauthenticated")),
    ];
    for (method, path, body, want) in cases {
        let answer = world.ask(method, path, body.clone()).await;
        assert_eq!(code(&answer), want, "{method} {path} {body}: {}", answer.1);
        assert!(answer.1["error"]["request_id"].as_str().is_some_and(|id| id.starts_with("req-")));
    }
}

#[tokio::test]
async fn limits_and_room_are_kept() {
    let world = world().await;
    let (_, cluster) = world.cluster().await;
    let pool = |name: &str, zone: &str, size: u32| json!({ "name": name, "spec": { "cluster": cluster, "zone": zone, "size": size } });
    world.cloud.set_capacity("local-a", 3);
    let made = world.make("node-pools", pool("one", "local-a", 2)).await;
    let full = world.ask("POST", "/v1/node-pools", pool("two", "local-a", 2)).await;
    assert_eq!(code(&full), (503, "insufficient_capacity"));
    world.make("node-pools", pool("two", "local-b", 2)).await;
    let path = format!("/v1/node-pools/{made}");
    let grown = world.ask("PATCH", &path, json!({ "spec": { "size": 3 } })).await;
    assert_eq!((grown.0, grown.1["status"].as_str()), (200, Some("updating")));
    world.pass(600);
    world.cloud.set_quota("node", 5);
    world.cloud.set_capacity("local-a", 10);
    let more = world.ask("PATCH", &path, json!({ "spec": { "size": 4 } })).await;
    assert_eq!(code(&more), (403, "quota_exceeded"));
    world.cloud.set_quota("network", 1);
    let one_more = world.ask("POST", "/v1/networks", json!({ "name": "n" })).await;
    assert_eq!(code(&one_more), (403, "quota_exceeded"));
    let (_, account) = world.ask("GET", "/v1/account", Value::Null).await;
    let quota = account["quotas"].as_array().expect("quotas").iter().find(|it| it["what"] == "node");
    assert_eq!(quota, Some(&json!({ "what": "node", "limit": 5, "used": 5 })));
}

#[tokio::test]
async fn the_same_request_twice_makes_one_thing() {
    let world = world().await;
    let wanted = |cidr: &str| json!({ "name": "n", "client_token": "t", "spec": { "cidr": cidr } });
    let first = world.ask("POST", "/v1/networks", wanted("10.0.0.0/16")).await;
    let again = world.ask("POST", "/v1/networks", wanted("10.0.0.0/16")).await;
    assert_eq!((first.1["id"].as_str(), again.0), (again.1["id"].as_str(), 200));
    let other = world.ask("POST", "/v1/networks", wanted("10.1.0.0/16")).await;
    assert_eq!(code(&other), (409, "token_reused"));
    assert_eq!(other.1["error"]["existing"], first.1["id"]);
    assert_eq!(world.cloud.made(), [(Kind::Network, 1)].into());
}

#[tokio::test]
async fn an_older_epoch_is_refused_and_changes_nothing() {
    let world = world().await;
    let make = |epoch: u64| {
        let (world, fence) = (&world, format!("demo;{epoch}"));
        async move {
            world.send("POST", "/v1/networks", Some(&fence), json!({ "name": "n" })).await.expect("an answer")
        }
    };
    assert_eq!(make(2).await.0, 201);
    assert_eq!(code(&make(1).await), (409, "stale_epoch"));
    assert_eq!(make(2).await.0, 201);
    assert_eq!(world.cloud.made(), [(Kind::Network, 2)].into());
}

#[tokio::test]
async fn lists_come_in_pages_and_are_narrowed() {
    let world = world().await;
    for n in 0..7 {
        let tags = json!({ "parity": (n % 2).to_string() });
        world.make("networks", json!({ "name": format!("n{n}"), "tags": tags })).await;
    }
    let mut names = Vec::new();
    let mut path = "/v1/networks?tag=parity%3D0&limit=3".to_owned();
    loop {
        let (status, page) = world.ask("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= 3);
        names.extend(items.iter().map(|item| item["name"].as_str().expect("a name").to_owned()));
        let Some(next) = page["next_page"].as_str() else { break };
        path = format!("/v1/networks?tag=parity%3D0&limit=3&page={next}");
        let elsewhere = world.ask("GET", &format!("/v1/networks?limit=3&page={next}"), Value::Null).await;
        assert_eq!(code(&elsewhere), (400, "invalid_page"));
    }
    names.sort();
    assert_eq!(names, ["n0", "n2", "n4", "n6"]);
    let (_, one) = world.ask("GET", "/v1/networks?name=n3", Value::Null).await;
    assert_eq!(one["items"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn readers_may_be_behind() {
    let world = world().await;
    let rule = |operation: &str| {
        Rule::at("cloud", operation, "*").times(1).fault(Fault::Stale(SignedDuration::from_secs(30)))
    };
    let count = async || {
        let (_, list) = world.ask("GET", "/v1/networks?name=n", Value::Null).await;
        list["items"].as_array().map_or(0, Vec::len)
    };
    world.cloud.faults().add(rule("create_network"));
    world.ask("POST", "/v1/networks", json!({ "name": "n" })).await;
    assert_eq!(count().await, 0, "what was written is not seen yet");
    world.pass(30);
    assert_eq!(count().await, 1);
    world.cloud.faults().add(rule("list_networks"));
    world.pass(-10);
    assert_eq!(count().await, 0, "this reader is behind");
}

#[tokio::test]
async fn connections_break_before_or_after() {
    let world = world().await;
    let make = async |fault: Fault| {
        world.cloud.faults().clear();
        world.cloud.faults().add(Rule::at("cloud", "create_network", "*").times(1).fault(fault));
        world.send("POST", "/v1/networks", None, json!({ "name": "n" })).await.err()
    };
    assert_eq!(make(Fault::ResetBefore).await, Some(door::Broken::Reset));
    assert_eq!(world.cloud.made().get(&Kind::Network), None);
    assert_eq!(make(Fault::ResetAfter).await, Some(door::Broken::Reset));
    assert_eq!(make(Fault::LoseReply).await, Some(door::Broken::Silence));
    assert_eq!(world.cloud.made().get(&Kind::Network), Some(&2));
    let faults: Vec<Option<String>> =
        world.cloud.calls().after(1).into_iter().map(|call| call.fault).collect();
    assert_eq!(faults, ["reset_before", "reset_after", "lose_reply"].map(|it| Some(it.to_owned())));
}

#[tokio::test]
async fn what_a_cluster_made_stays_when_it_is_gone() {
    let world = world().await;
    let (network, cluster) = world.cluster().await;
    let service = Key { kind: "/services".into(), namespace: "web".into(), name: "front".into() };
    let ensure = || world.cloud.ensure_load_balancer("demo", &service, "uid-1");
    assert_eq!(ensure(), Ok(vec![]), "it is being made");
    world.pass(60);
    let addresses = ensure().expect("there");
    assert!(addresses[0].starts_with("198.18."), "{addresses:?}");
    let volume = world.cloud.ensure_volume(&cluster, &service, "uid-2", 1 << 30).expect("asked");
    assert_eq!(volume, None, "it is being made");
    assert_eq!(world.ask("DELETE", &format!("/v1/clusters/{cluster}"), Value::Null).await.0, 202);
    world.pass(600);
    let blocked = world.ask("DELETE", &format!("/v1/networks/{network}"), Value::Null).await;
    assert_eq!(blocked.1["error"]["blockers"], json!(["load-balancer k8s-web-front-uid1"]));
    let (_, left) = world.ask("GET", "/v1/things?tag=owner%3Ddemo", Value::Null).await;
    assert_eq!(left["items"].as_array().map(Vec::len), Some(2), "{left}");
    assert_eq!(world.cloud.remove_load_balancer("demo", "uid-1"), Ok(false), "it is going");
    world.pass(60);
    assert_eq!(world.cloud.remove_load_balancer("demo", "uid-1"), Ok(true));
    assert_eq!(world.ask("DELETE", &format!("/v1/networks/{network}"), Value::Null).await.0, 202);
}

#[tokio::test]
async fn the_next_process_knows_everything() {
    let dir = tempfile::tempdir().expect("a folder");
    let keeper = Keeper::open(&dir.path().join("sandbox.db")).await.expect("opened");
    let clock = Arc::new(AtomicI64::new(1_800_000_000_000));
    let cloud = Cloud::load(parts(&clock, keeper.book("cloud"))).await.expect("empty");
    let mut world = World { cloud, clock: clock.clone(), token: String::new() };
    world.login().await;
    let network = json!({ "name": "n", "client_token": "t" });
    let (_, first) = world.ask("POST", "/v1/networks", network.clone()).await;
    let before = world.cloud.things();
    // The first is not closed: it was killed.
    world.cloud = Cloud::load(parts(&clock, keeper.book("cloud"))).await.expect("loaded");
    assert_eq!(world.cloud.things(), before);
    assert_eq!(world.ask("POST", "/v1/networks", network).await.1["id"], first["id"], "the token is known");
    world.pass(60);
    let (_, thing) = world.ask("GET", "/v1/networks?name=n", Value::Null).await;
    assert_eq!(thing["items"][0]["status"], "active", "time went on in between");
    let (_, other) = world.ask("POST", "/v1/networks", json!({ "name": "n" })).await;
    assert_ne!(other["id"], first["id"], "ids are not given twice");
}
