//! Against a real API server: what only it can say about server-side apply, defaults and normalisation.
//!
//! `PLATFORM_TEST_KUBECONFIG` names a kubeconfig of a cluster that may be changed; without it these tests say that they
//! skip. `PLATFORM_TEST_KUBECONFIG_EXPIRED` names one whose client certificate has ended. `PLATFORM_TEST_MANIFESTS` may
//! name further files (separated by `:`) that must be found as wished once applied.
#![expect(clippy::print_stderr, reason = "a test that skips has to say so")]

use std::time::Duration;

use platform_kube::{
    Cluster, Condition, Manifest, Object, ObjectRef,
    apply::{Existing, Options},
    inventory::Search,
};
use platform_spec::Class;
use secrecy::SecretString;
use serde_json::{Value, json};

const FORCE: Options = Options { force: true, existing: Existing::Refuse };

fn kubeconfig() -> Option<String> {
    let Ok(path) = std::env::var("PLATFORM_TEST_KUBECONFIG") else {
        eprintln!("skipped: PLATFORM_TEST_KUBECONFIG names no cluster");
        return None;
    };
    Some(std::fs::read_to_string(path).expect("the kubeconfig can be read"))
}

async fn cluster(kubeconfig: &str) -> Cluster {
    Cluster::connect(&SecretString::from(kubeconfig), None).await.expect("a cluster")
}

/// Removes everything of an owner, and waits until it is gone.
async fn clear(cluster: &Cluster, owner: &str) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let left = cluster.remove_owned(owner).await.expect("removal");
        if left.is_empty() {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "still there: {left:#?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn config_map(namespace: &str, name: &str, data: Value) -> Object {
    Object::named(&ObjectRef::namespaced("v1", "ConfigMap", namespace, name)).with("data", data)
}

fn namespace(name: &str) -> Object {
    Object::named(&ObjectRef::cluster("v1", "Namespace", name))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_and_refuses_in_our_words() {
    let Some(text) = kubeconfig() else { return };
    let good = cluster(&text).await;
    good.ready().await.expect("ready");
    assert!(good.version().await.expect("a version").starts_with("v1."));
    assert_eq!(good.uid().await.expect("a uid").len(), 36);

    let mut config: Value = yaml_serde::from_str(&text).expect("YAML");
    let user = config["users"][0]["user"].take();
    config["users"][0]["user"] = json!({"token": "not-a-token"});
    let failure = cluster(&config.to_string()).await.uid().await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("P0404", Class::AuthExpired), "{failure:?}");

    config["users"][0]["user"] = json!({});
    let failure = cluster(&config.to_string()).await.uid().await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("P0405", Class::Forbidden), "{failure:?}");

    if user["client-certificate-data"].is_string() {
        config["clusters"][0]["cluster"]["certificate-authority-data"] =
            user["client-certificate-data"].clone();
        let failure = cluster(&config.to_string()).await.uid().await.unwrap_err();
        assert_eq!((failure.code.as_str(), failure.class), ("P0403", Class::Config), "{failure:?}");
    }
    config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    let failure = cluster(&config.to_string()).await.uid().await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("P0402", Class::Retryable), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_ran_out_is_said_to_have() {
    let Ok(path) = std::env::var("PLATFORM_TEST_KUBECONFIG_EXPIRED") else {
        eprintln!("skipped: PLATFORM_TEST_KUBECONFIG_EXPIRED names no kubeconfig");
        return;
    };
    let text = std::fs::read_to_string(path).expect("the kubeconfig can be read");
    let failure = cluster(&text).await.uid().await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("P0404", Class::AuthExpired), "{failure:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_applied_is_found_as_wished() {
    let Some(text) = kubeconfig() else { return };
    let cluster = cluster(&text).await;
    let mut files = vec![include_str!("zoo.yaml").to_owned()];
    for path in std::env::var("PLATFORM_TEST_MANIFESTS")
        .iter()
        .flat_map(|paths| paths.split(':'))
        .filter(|path| !path.is_empty())
    {
        files.push(std::fs::read_to_string(path).expect("a manifest"));
    }
    let owner = "real-wished";
    clear(&cluster, owner).await;
    for file in files {
        let home = namespace("real-wished");
        let manifest = Manifest::parse(owner, &file).expect("parses").and([home]).in_namespace("real-wished");
        let before = cluster.observe(&manifest, FORCE).await.expect("observes");
        assert!(!before.is_match());
        let applied = cluster.apply(&manifest, FORCE).await.expect("applies");
        assert_eq!(applied.owned().count(), manifest.objects().len());

        let after = cluster.observe(&manifest, FORCE).await.expect("observes");
        assert!(after.is_match(), "{:#?}\nmissing {:?}", after.differing, after.missing);
        let again = cluster.apply(&manifest, FORCE).await.expect("applies");
        assert_eq!((again.created.len(), again.changed.len()), (0, 0), "{again:#?}");
        let crds = manifest.ids().into_iter().filter(|id| id.kind == "CustomResourceDefinition");
        let established = Condition::all_of(crds.filter_map(|id| Condition::ready(&id)));
        assert!(cluster.check(&established).await.expect("a look").is_met());
    }
    clear(&cluster, owner).await;
    assert_eq!(cluster.inventory(&Search::owner(owner)).await.expect("inventory"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_is_seen_and_conflicts_name_the_manager() {
    let Some(text) = kubeconfig() else { return };
    let cluster = cluster(&text).await;
    let (owner, place) = ("real-drift", "real-drift");
    clear(&cluster, owner).await;
    let wish = |data: Value| Manifest::new(owner, [namespace(place), config_map(place, "c", data)]);
    let first = wish(json!({"a": "1", "b": "2"}));
    cluster.apply(&first, FORCE).await.expect("applies");

    // Another platform's wish for the same object stands in for somebody else's hand.
    let theirs = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(raw(&text).await, place);
    let patch = kube::api::Patch::Merge(json!({"data": {"a": "theirs", "extra": "x"}}));
    let by = kube::api::PatchParams { field_manager: Some("somebody".into()), ..Default::default() };
    theirs.patch("c", &by, &patch).await.expect("their change");
    let diff = cluster.observe(&first, FORCE).await.expect("observes");
    assert_eq!(diff.summary(), "differing: ConfigMap real-drift/c: data.a has another value");

    let failure = cluster.apply(&first, Options::default()).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("P0407", Class::ConflictInProgress));
    assert_eq!(failure.blockers, ["field manager `somebody` holds .data.a"]);
    cluster.apply(&first, FORCE).await.expect("applies");
    assert!(cluster.observe(&first, FORCE).await.expect("observes").is_match());

    // What we do not wish for any more goes; what is theirs stays.
    let second = wish(json!({"a": "1"}));
    let diff = cluster.observe(&second, FORCE).await.expect("observes");
    assert_eq!(diff.summary(), "differing: ConfigMap real-drift/c: data.b is no longer wished for");
    cluster.apply(&second, FORCE).await.expect("applies");
    let live = cluster.get(&ObjectRef::namespaced("v1", "ConfigMap", place, "c")).await.expect("a look");
    assert_eq!(live.expect("there")["data"], json!({"a": "1", "extra": "x"}));

    // Somebody takes a key away.
    let patch = kube::api::Patch::Merge(json!({"data": {"a": null}}));
    theirs.patch("c", &by, &patch).await.expect("their change");
    assert!(!cluster.observe(&second, FORCE).await.expect("observes").is_match());
    clear(&cluster, owner).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_left_alone() {
    let Some(text) = kubeconfig() else { return };
    let cluster = cluster(&text).await;
    let (owner, place) = ("real-guest", "real-guest");
    clear(&cluster, owner).await;
    clear(&cluster, "real-host").await;
    let objects = || [namespace(place), config_map(place, "c", json!({"a": "1"}))];
    cluster.apply(&Manifest::new("real-host", objects()), FORCE).await.expect("applies");
    let failure = cluster.observe(&Manifest::new(owner, objects()), FORCE).await.unwrap_err();
    assert_eq!(failure.code.as_str(), "P0413");

    // A person's namespace is used and not claimed; a person's object is not touched unless asked for.
    let people = kube::Api::<k8s_openapi::api::core::v1::Namespace>::all(raw(&text).await);
    let theirs = json!({"metadata": {"name": "real-people"}});
    let _ = people.create(&Default::default(), &serde_json::from_value(theirs).expect("a namespace")).await;
    let guest =
        Manifest::new(owner, [namespace("real-people"), config_map("real-people", "c", json!({"a": "1"}))]);
    let applied = cluster.apply(&guest, Options::default()).await.expect("applies");
    assert_eq!(applied.shared, [ObjectRef::cluster("v1", "Namespace", "real-people")]);
    assert!(cluster.observe(&guest, Options::default()).await.expect("observes").is_match());
    let maps =
        kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(raw(&text).await, "real-people");
    let theirs = serde_json::from_value(json!({"metadata": {"name": "theirs"}})).expect("a config map");
    maps.create(&Default::default(), &theirs).await.expect("made");
    let stranger = Manifest::new(owner, [config_map("real-people", "theirs", json!({"a": "1"}))]);
    assert_eq!(cluster.apply(&stranger, Options::default()).await.unwrap_err().code.as_str(), "P0417");
    clear(&cluster, owner).await;
    assert!(people.get_opt("real-people").await.expect("a look").is_some());
    people.delete("real-people", &Default::default()).await.expect("deleted");
    clear(&cluster, "real-host").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_back_is_named_and_keeps_nothing_else() {
    let Some(text) = kubeconfig() else { return };
    let cluster = cluster(&text).await;
    let (owner, place) = ("real-held", "real-held");
    let id = ObjectRef::namespaced("v1", "ConfigMap", place, "held");
    let maps = kube::Api::<k8s_openapi::api::core::v1::ConfigMap>::namespaced(raw(&text).await, place);
    let mut held = config_map(place, "held", json!({}));
    held.value_mut()["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let manifest = Manifest::new(owner, [namespace(place), held, config_map(place, "free", json!({}))]);
    cluster.apply(&manifest, FORCE).await.expect("applies");

    let absent = Condition::Absent { object: ObjectRef::namespaced("v1", "ConfigMap", place, "free") };
    let left = cluster.remove_owned(owner).await.expect("removal");
    cluster.wait(&absent, Duration::from_secs(20)).await.expect("the free one goes");
    let found = left.iter().find(|one| one.object == id).expect("it is named");
    assert_eq!(found.why(), "being deleted, held by finalizer example.com/hold");

    let failure = cluster.apply(&manifest, FORCE).await.unwrap_err();
    assert_eq!((failure.code.as_str(), failure.class), ("P0418", Class::ConflictInProgress), "{failure:?}");
    let release = kube::api::Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &Default::default(), &release).await.expect("released");
    clear(&cluster, owner).await;
}

async fn raw(kubeconfig: &str) -> kube::Client {
    let file = kube::config::Kubeconfig::from_yaml(kubeconfig).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(file, &Default::default()).await.expect("a config");
    kube::Client::try_from(config).expect("a client")
}
