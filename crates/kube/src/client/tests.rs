//! The whole crate against a service that answers as an API server would.

use std::sync::{Arc, Mutex};

use http::Response;
use serde_json::json;

use super::*;
use crate::{
    apply::{Existing, Options},
    inventory::Search,
    manifest::Manifest,
    object::{OWNER_LABEL, Object},
};

/// What was asked, and a function that answers.
type Calls = Arc<Mutex<Vec<String>>>;

fn cluster(answer: impl Fn(&str) -> (u16, Value) + Send + Sync + 'static) -> (Cluster, Calls) {
    let calls = Calls::default();
    let seen = Arc::clone(&calls);
    let answer = Arc::new(answer);
    let service = tower::service_fn(move |request: Request<Body>| {
        let call = format!("{} {}", request.method(), request.uri());
        seen.lock().expect("calls").push(call.clone());
        let (status, body) = match call.as_str() {
            "GET /api" | "GET /apis" => discovery(&call, &answer),
            _ => answer(&call),
        };
        let wait = if body["message"] == "storage is (re)initializing" { "0" } else { "7" };
        let response = Response::builder()
            .status(status)
            .header("retry-after", wait)
            .body(Body::from(body.to_string().into_bytes()));
        std::future::ready(response)
    });
    (Cluster::from_client(Client::new(service, "default"), "https://mock"), calls)
}

/// ConfigMaps and Namespaces, and Animals once `answer` says so.
fn discovery(call: &str, answer: &Arc<impl Fn(&str) -> (u16, Value)>) -> (u16, Value) {
    let kind = |plural: &str, kind: &str, scope: &str| json!({"resource": plural, "responseKind": {"kind": kind}, "scope": scope, "verbs": ["get", "list"]});
    if call == "GET /api" {
        let kinds =
            [kind("configmaps", "ConfigMap", "Namespaced"), kind("namespaces", "Namespace", "Cluster")];
        return (200, json!({"items": [{"versions": [{"version": "v1", "resources": kinds}]}]}));
    }
    let animals = kind("animals", "Animal", "Namespaced");
    let group = json!({"metadata": {"name": "zoo"}, "versions": [{"version": "v1", "resources": [animals]}]});
    (200, json!({"items": if answer("animals?").0 == 200 { vec![group] } else { vec![] }}))
}

fn gone() -> (u16, Value) {
    (404, json!({"kind": "Status", "reason": "NotFound", "message": "not found"}))
}

fn writes(calls: &Calls) -> Vec<String> {
    calls.lock().expect("calls").iter().filter(|call| !call.starts_with("GET ")).cloned().collect()
}

fn config_map(owner: Option<&str>) -> Value {
    let mut live = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "n", "name": "c", "uid": "u"},
                          "data": {"a": "1"}});
    if let Some(owner) = owner {
        live["metadata"]["labels"] = json!({OWNER_LABEL: owner, "app.kubernetes.io/managed-by": "platform"});
    }
    live
}

fn manifest() -> Manifest {
    Manifest::new("demo", [Object::new(config_map(None)).expect("an object")])
}

#[tokio::test]
async fn a_throttled_call_says_how_long_to_wait() {
    let (cluster, _) = cluster(|_| (429, json!("slow down")));
    let failure = cluster.uid().await.unwrap_err();
    assert_eq!((failure.class, failure.retry_after_ms), (Class::Throttled, Some(7000)));
}

#[tokio::test]
async fn what_is_as_wished_is_only_read() {
    let (cluster, calls) = cluster(|_| (200, config_map(Some("demo"))));
    assert!(cluster.observe(&manifest(), Options::default()).await.expect("a look").is_match());
    let applied = cluster.apply(&manifest(), Options::default()).await.expect("applies");
    assert_eq!((applied.unchanged.len(), writes(&calls)), (1, vec![]));
}

#[tokio::test]
async fn what_differs_is_patched_under_our_name() {
    let (cluster, calls) = cluster(|call| match call {
        "GET /api/v1/namespaces/n/configmaps/c" => {
            let mut live = config_map(Some("demo"));
            live["data"]["a"] = json!("2");
            (200, live)
        }
        _ => (200, json!({})),
    });
    let diff = cluster.observe(&manifest(), Options::default()).await.expect("a look");
    assert_eq!(diff.summary(), "differing: ConfigMap n/c: data.a has another value");
    let applied = cluster.apply(&manifest(), Options::default()).await.expect("applies");
    assert_eq!(applied.changed.len(), 1);
    let expected =
        "PATCH /api/v1/namespaces/n/configmaps/c?fieldManager=platform&force=false&fieldValidation=Strict";
    assert_eq!(writes(&calls), [expected]);
}

#[tokio::test]
async fn whose_it_is_decides_what_may_be_done() {
    let look = |live: Value, existing| async move {
        let (cluster, _) = cluster(move |_| (200, live.clone()));
        cluster.observe(&manifest(), Options { force: false, existing }).await
    };
    let other = look(config_map(Some("other")), Existing::Claim).await.unwrap_err();
    assert_eq!(other.code.as_str(), "P0413");
    let nobody = look(config_map(None), Existing::Refuse).await.unwrap_err();
    assert_eq!(nobody.code.as_str(), "P0417");
    let shared = look(config_map(None), Existing::Share).await.expect("a look");
    assert!(shared.is_match() && shared.shared.len() == 1);
    let claimed = look(config_map(None), Existing::Claim).await.expect("a look");
    assert!(!claimed.is_match() && claimed.shared.is_empty());
}

#[tokio::test]
async fn a_kind_that_appears_is_found_without_a_restart() {
    let served = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let now = Arc::clone(&served);
    let (cluster, _) = cluster(move |call| match call {
        "animals?" if now.load(std::sync::atomic::Ordering::SeqCst) => (200, Value::Null),
        "GET /apis/zoo/v1/namespaces/n/animals/cat" => (200, json!({"metadata": {"name": "cat"}})),
        _ => gone(),
    });
    let cat = ObjectRef::namespaced("zoo/v1", "Animal", "n", "cat");
    assert_eq!(cluster.get(&cat).await.expect("a look"), None);
    let animal = Manifest::new("demo", [Object::named(&cat)]);
    assert_eq!(cluster.observe(&animal, Options::default()).await.expect("a look").missing.len(), 1);
    assert_eq!(cluster.apply(&animal, Options::default()).await.unwrap_err().code.as_str(), "P0412");
    served.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(cluster.get(&cat).await.expect("a look").is_some());
}

#[tokio::test]
async fn an_inventory_goes_over_what_may_not_be_listed() {
    for refused in [403, 404, 405, 503] {
        let (cluster, _) = cluster(move |call| match call.split('?').next() {
            Some("animals") => (200, Value::Null),
            Some("GET /apis/zoo/v1/animals") => (refused, json!({"message": "no"})),
            Some("GET /api/v1/configmaps") => (200, json!({"items": [config_map(Some("demo"))]})),
            _ => (200, json!({"items": []})),
        });
        let found = cluster.inventory(&Search::owner("demo")).await.expect("an inventory");
        assert_eq!(found.len(), 1, "{refused}");
        assert_eq!(found[0].object.to_string(), "ConfigMap n/c");
    }
    let (cluster, _) = cluster(|call| if call == "animals?" { gone() } else { (401, json!({})) });
    assert_eq!(cluster.inventory(&Search::owner("demo")).await.unwrap_err().class, Class::AuthExpired);
}

#[tokio::test]
async fn a_list_that_must_wait_a_moment_is_asked_for_again() {
    let first = Mutex::new(true);
    let (cluster, calls) = cluster(move |call| {
        match call.contains("configmaps") && std::mem::take(&mut *first.lock().expect("first")) {
            true => (429, json!({"message": "storage is (re)initializing"})),
            false => (200, json!({"items": []})),
        }
    });
    assert_eq!(cluster.list("v1", "ConfigMap", None).await.expect("a list"), Vec::<Arc<Value>>::new());
    assert_eq!(calls.lock().expect("calls").iter().filter(|call| call.contains("configmaps")).count(), 2);
}

#[tokio::test]
async fn long_lists_are_read_to_their_end() {
    let (cluster, calls) = cluster(|call| {
        let more = !call.contains("continue=");
        let next = if more { "a/b+" } else { "" };
        (200, json!({"items": [config_map(None)], "metadata": {"continue": next}}))
    });
    assert_eq!(cluster.list("v1", "ConfigMap", Some("n")).await.expect("a list").len(), 2);
    let last = calls.lock().expect("calls").last().cloned();
    assert_eq!(last.as_deref(), Some("GET /api/v1/namespaces/n/configmaps?limit=500&continue=a%2Fb%2B"));
}

#[tokio::test]
async fn removal_deletes_what_was_seen_and_takes_absence_for_success() {
    let (cluster, calls) = cluster(|call| match call.split(' ').next() {
        Some("DELETE") => gone(),
        _ => (200, config_map(Some("demo"))),
    });
    let left = cluster.remove(&[ObjectRef::namespaced("v1", "ConfigMap", "n", "c")]).await.expect("removal");
    assert_eq!(left.len(), 1, "still seen");
    assert_eq!(writes(&calls), ["DELETE /api/v1/namespaces/n/configmaps/c"]);
}

#[tokio::test]
async fn a_kubeconfig_is_refused_without_being_repeated() {
    let connect = |text: &'static str| async move {
        Cluster::connect(&SecretString::from(text), None).await.map(drop).unwrap_err()
    };
    let file = |cluster: &str| {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: c, user: u}}}}], \
             clusters: [{{name: c, cluster: {cluster}}}], users: [{{name: u, user: {{token: hunter2}}}}]}}"
        )
    };
    for text in [
        "users: [token: hunter2".to_owned(),
        "users: hunter2".to_owned(),
        file("{server: 'https://127.0.0.1:1', insecure-skip-tls-verify: true}"),
        file("{server: 'http://kubernetes.example'}"),
        file("{server: 'https://127.0.0.1:1', certificate-authority-data: '%%'}"),
        file("{server: 'https://127.0.0.1:1'}").replace("current-context: c", "current-context: d"),
    ] {
        let failure = connect(Box::leak(text.into_boxed_str())).await;
        assert_eq!((failure.code.as_str(), failure.class), ("P0401", Class::Config), "{failure:?}");
        assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
    }
    let good = SecretString::from(file("{server: 'https://127.0.0.1:1'}"));
    let failure = Cluster::connect(&good, Some("c")).await.expect("a cluster").ready().await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("P0402", Class::Retryable), "{failure:?}");
}
