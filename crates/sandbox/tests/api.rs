//! The API as clients use it: through the `kube` crate in process, and through `kubectl` over TLS.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, pin_mut};
use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Namespace, Pod, Secret},
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use platform_sandbox::kube::Api as Sandbox;
use serde_json::json;

fn sandbox() -> Sandbox {
    Sandbox::new(Arc::new(Timestamp::now), 1)
}

/// A client without a socket.
fn client(sandbox: &Sandbox) -> Client {
    let sandbox = sandbox.clone();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let sandbox = sandbox.clone();
        async move { Ok::<_, std::convert::Infallible>(sandbox.respond(request).await) }
    });
    Client::new(service, "default")
}

async fn namespace(client: &Client, name: &str) {
    let metadata = ObjectMeta { name: Some(name.into()), ..ObjectMeta::default() };
    let namespace = Namespace { metadata, ..Namespace::default() };
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &namespace).await.expect("made");
}

fn map(name: &str, value: &str) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name, "labels": {"v": value}}, "data": {"k": value}}))
        .expect("a map")
}

fn code<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> (u16, String) {
    match result.expect_err("refused") {
        kube::Error::Api(status) => (status.code, status.reason.clone()),
        other => panic!("{other}"),
    }
}

/// However much lies in it: the server has as much stack as its threads.
#[tokio::test]
async fn a_full_namespace_goes_with_all_it_holds() {
    let client = client(&sandbox());
    namespace(&client, "full").await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "full");
    for number in 0..1_500 {
        maps.create(&PostParams::default(), &map(&format!("m{number}"), "1")).await.expect("made");
    }
    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete("full", &DeleteParams::default()).await.expect("deleted");
    assert!(namespaces.get_opt("full").await.expect("asked").is_none());
}

#[tokio::test]
async fn an_object_lives_and_dies() {
    let client = client(&sandbox());
    namespace(&client, "shop").await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "shop");
    let made = maps.create(&PostParams::default(), &map("a", "1")).await.expect("made");
    assert!(made.uid().is_some() && made.resource_version().is_some() && made.creation_timestamp().is_some());
    assert_eq!(
        code(maps.create(&PostParams::default(), &map("a", "1")).await),
        (409, "AlreadyExists".into())
    );

    let mut stale = made.clone();
    let changed = maps
        .patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "2"}})))
        .await
        .expect("patched");
    assert_ne!(changed.resource_version(), made.resource_version());
    let same = maps
        .patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "2"}})))
        .await
        .expect("patched");
    assert_eq!(
        same.resource_version(),
        changed.resource_version(),
        "what changes nothing has no new version"
    );
    stale.data = None;
    assert_eq!(code(maps.replace("a", &PostParams::default(), &stale).await), (409, "Conflict".into()));

    maps.delete("a", &DeleteParams::default()).await.expect("deleted");
    assert_eq!(code(maps.get("a").await), (404, "NotFound".into()));
}

#[tokio::test]
async fn a_dry_run_keeps_nothing() {
    let sandbox = sandbox();
    let client = client(&sandbox);
    namespace(&client, "shop").await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "shop");
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let before = sandbox.store.revision();
    assert_eq!(maps.create(&dry, &map("a", "1")).await.expect("it would").name_any(), "a");
    assert_eq!(sandbox.store.revision(), before);
}

#[tokio::test]
async fn lists_come_in_pages_of_one_version() {
    let client = client(&sandbox());
    namespace(&client, "shop").await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "shop");
    for n in 0..5 {
        maps.create(&PostParams::default(), &map(&format!("m{n}"), if n < 3 { "few" } else { "rest" }))
            .await
            .expect("made");
    }
    // The first is one that every namespace has.
    let first = maps.list(&ListParams::default().limit(3)).await.expect("a page");
    assert_eq!((first.items.len(), first.metadata.remaining_item_count), (3, Some(3)));
    let token = first.metadata.continue_.clone().expect("there is more");
    let rest = maps.list(&ListParams::default().continue_token(&token)).await.expect("the rest");
    let names: Vec<String> = rest.items.iter().map(ResourceExt::name_any).collect();
    assert_eq!(names, ["m2", "m3", "m4"]);
    assert_eq!(rest.metadata.resource_version, first.metadata.resource_version);
    assert_eq!(maps.list(&ListParams::default().labels("v=few")).await.expect("some").items.len(), 3);
}

#[tokio::test]
async fn a_list_whose_version_is_forgotten_can_be_gone_on_with() {
    let sandbox = sandbox();
    let client = client(&sandbox);
    namespace(&client, "shop").await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "shop");
    for name in ["a", "b", "c"] {
        maps.create(&PostParams::default(), &map(name, "1")).await.expect("made");
    }
    let selected = ListParams::default().labels("v=1").limit(1);
    let first = maps.list(&selected).await.expect("a page");
    let since = first.metadata.resource_version.clone().unwrap_or_default();
    let token = first.metadata.continue_.expect("there is more");
    maps.create(&PostParams::default(), &map("d", "1")).await.expect("made");
    sandbox.store.compact(sandbox.store.revision());

    let refused = maps.list(&selected.clone().continue_token(&token)).await.expect_err("forgotten");
    let kube::Error::Api(status) = refused else { panic!("{refused}") };
    assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
    let token = status.metadata.and_then(|it| it.continue_).expect("another way to go on");
    let rest = maps.list(&selected.limit(9).continue_token(&token)).await.expect("the rest");
    assert_eq!(rest.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["b", "c", "d"]);

    let events = maps.watch(&WatchParams::default(), &since).await.expect("a watch");
    pin_mut!(events);
    let told = events.try_next().await.expect("an event").expect("one");
    let WatchEvent::Error(error) = told else { panic!("{told:?}") };
    assert_eq!((error.code, error.reason.as_str()), (410, "Expired"));
}

#[tokio::test]
async fn a_watcher_sees_what_its_selector_sees() {
    let client = client(&sandbox());
    namespace(&client, "shop").await;
    let maps: Api<ConfigMap> = Api::namespaced(client, "shop");
    let seen = maps
        .list(&ListParams::default())
        .await
        .expect("a list")
        .metadata
        .resource_version
        .expect("a version");
    maps.create(&PostParams::default(), &map("a", "1")).await.expect("made");
    maps.create(&PostParams::default(), &map("b", "2")).await.expect("made");
    let relabel = json!({"metadata": {"labels": {"v": "2"}}});
    maps.patch("a", &PatchParams::default(), &Patch::Merge(relabel)).await.expect("patched");
    let events = maps.watch(&WatchParams::default().labels("v=1"), &seen).await.expect("a watch").take(2);
    pin_mut!(events);
    let mut words = Vec::new();
    while let Some(event) = events.try_next().await.expect("events") {
        words.push(match event {
            WatchEvent::Added(it) => format!("added {}", it.name_any()),
            WatchEvent::Deleted(it) => format!("deleted {}", it.name_any()),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(words, ["added a", "deleted a"]);
}

#[tokio::test]
async fn finalizers_hold_and_namespaces_take_their_contents_along() {
    let sandbox = sandbox();
    let client = client(&sandbox);
    namespace(&client, "shop").await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "shop");
    let mut held = map("held", "1");
    held.metadata.finalizers = Some(vec!["example.com/mine".into()]);
    maps.create(&PostParams::default(), &held).await.expect("made");
    maps.create(&PostParams::default(), &map("free", "1")).await.expect("made");

    let namespaces: Api<Namespace> = Api::all(client);
    namespaces.delete("shop", &DeleteParams::default()).await.expect("told to go");
    assert_eq!(
        maps.list(&ListParams::default()).await.expect("a list").items.len(),
        1,
        "the free one is gone"
    );
    let phase = namespaces.get("shop").await.expect("still there").status.and_then(|status| status.phase);
    assert_eq!(phase.as_deref(), Some("Terminating"));
    assert_eq!(code(maps.create(&PostParams::default(), &map("new", "1")).await).0, 403);

    let release = json!({"metadata": {"finalizers": null}});
    maps.patch("held", &PatchParams::default(), &Patch::Merge(release)).await.expect("released");
    assert_eq!(code(namespaces.get("shop").await).0, 404);
}

#[tokio::test]
async fn what_is_owned_goes_with_its_owner() {
    let client = client(&sandbox());
    namespace(&client, "shop").await;
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "shop");
    let secrets: Api<Secret> = Api::namespaced(client, "shop");
    let owner = maps.create(&PostParams::default(), &map("owner", "1")).await.expect("made");
    let owned: Secret = serde_json::from_value(json!({
        "metadata": {"name": "owned", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner.uid()}
        ]},
        "stringData": {"k": "v"},
    }))
    .expect("a secret");
    let made = secrets.create(&PostParams::default(), &owned).await.expect("made");
    assert_eq!(made.data.expect("data")["k"].0, b"v", "text becomes data");
    maps.delete("owner", &DeleteParams::default()).await.expect("deleted");
    assert_eq!(code(secrets.get("owned").await).0, 404);
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_the_known_words() {
    let client = client(&sandbox());
    namespace(&client, "shop").await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), "shop");
    let mut wrong = json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "a"}}, "template": {
            "metadata": {"labels": {"app": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]},
        }},
    });
    let post = |object: &serde_json::Value| {
        serde_json::from_value::<Deployment>(object.clone()).expect("a deployment")
    };
    assert_eq!(
        code(deployments.create(&PostParams::default(), &post(&wrong)).await),
        (422, "Invalid".into())
    );
    wrong["spec"]["template"]["metadata"]["labels"]["app"] = json!("a");
    let made = deployments.create(&PostParams::default(), &post(&wrong)).await.expect("made");
    assert_eq!(made.metadata.generation, Some(1));
    let change = json!({"spec": {"selector": {"matchLabels": {"app": "z"}}}});
    assert_eq!(code(deployments.patch("web", &PatchParams::default(), &Patch::Merge(change)).await).0, 422);
    let scaled = deployments
        .patch_scale("web", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 4}})))
        .await
        .expect("scaled");
    assert_eq!(scaled.spec.expect("a spec").replicas, Some(4));
    assert_eq!(deployments.get("web").await.expect("there").metadata.generation, Some(2));

    let pods: Api<Pod> = Api::namespaced(client, "nowhere");
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "x"}]}});
    let pod = serde_json::from_value(pod).expect("a pod");
    assert_eq!(code(pods.create(&PostParams::default(), &pod).await), (404, "NotFound".into()));
}
