//! The provider `existing` against a server with real TLS: the conformance suite as far as it applies, and what goes
//! wrong with kubeconfigs, credentials and certificates.

mod server;

use std::sync::Arc;

use async_trait::async_trait;
use platform_provider::{ClusterRequest, ExposeSecret, Observation, Ownership, Provider, Removed};
use platform_provider_existing::Existing;
use platform_spec::{
    Class, Failure,
    report::{Finding, Severity},
};
use platform_testkit::{conformance::Subject, conformance_tests};
use serde_json::{Value, json};
use server::{Server, ServerCertificate, TOKEN, handle};

struct OnServer {
    server: Server,
    cluster: ClusterRequest,
}

fn cluster_at(kubeconfig: &str) -> ClusterRequest {
    let mut cluster = ClusterRequest::new("shop", "eu", "mine");
    cluster.config = json!({"kubeconfigRef": kubeconfig});
    cluster
}

async fn with_user(user: &str) -> OnServer {
    let server = Server::start(ServerCertificate::Valid).await;
    let cluster = cluster_at(&server.kubeconfig(user));
    OnServer { server, cluster }
}

async fn with_token() -> OnServer {
    with_user(&format!("{{token: {TOKEN}}}")).await
}

impl OnServer {
    async fn look(&self) -> Result<Observation, Failure> {
        Existing.observe(&self.cluster.call("control-plane", "t", 1)).await
    }

    async fn refusal(&self) -> (String, Class, Failure) {
        let failure = self.look().await.expect_err("refused");
        assert!(!format!("{failure:?}").contains("pl4nted"), "a secret in {failure:?}");
        assert!(!failure.hints.is_empty(), "no hint in {failure:?}");
        (failure.code.as_str().to_owned(), failure.class, failure)
    }

    async fn findings(&self) -> Vec<Finding> {
        Existing.preflight(&self.cluster).await.expect("it can be looked at")
    }
}

#[async_trait]
impl Subject for OnServer {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(Existing)
    }

    fn cluster(&self) -> ClusterRequest {
        self.cluster.clone()
    }

    async fn pass(&self, _ms: u64) {}

    fn made_and_changed(&self) -> Option<(u64, u64)> {
        Some((0, self.server.writes()))
    }

    fn put_foreign(&self, _resource: &str) -> bool {
        true
    }
}

conformance_tests!(with_token() =>
    describes_itself,
    graph_is_sound,
    preflight_changes_nothing,
    observe_is_pure,
    ensure_twice_changes_once,
    adopted_is_never_deleted,
    access_works,
);

#[tokio::test]
async fn the_cluster_is_adopted_by_the_uid_of_its_kube_system() {
    let there = with_token().await;
    let Ok(Observation::Present { thing, differs: None }) = there.look().await else { panic!("it is there") };
    assert_eq!(thing.external_id, "uid-of-kube-system");
    assert_eq!(thing.ownership, Ownership::Adopted);
    assert_eq!(thing.outputs, json!({"endpoint": there.server.url, "context": "main", "version": "v1.36.3"}));
}

#[tokio::test]
async fn every_usual_credential_works() {
    let server = Server::start(ServerCertificate::Valid).await;
    server.file("u.pem", &server.valid.0);
    server.file("u.key", &server.valid.1);
    server.file("token", &format!("{TOKEN}\n"));
    let credential = json!({"kind": "ExecCredential", "status": {"token": TOKEN}});
    server.file("credential.json", &credential.to_string());
    let script = server.file(
        "login",
        "#!/bin/sh\ncase $KUBERNETES_EXEC_INFO in *'\"interactive\":false'*) cat \"$FILE\";; esac\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs_err::set_permissions(script, mode).expect("executable");
    let file = server.dir.path().join("credential.json").display().to_string();
    for user in [
        "{client-certificate: u.pem, client-key: u.key}".to_owned(),
        "{tokenFile: token}".to_owned(),
        format!(
            "{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: ./login, env: [{{name: FILE, value: '{file}'}}]}}}}"
        ),
        format!("{{exec: {{apiVersion: client.authentication.k8s.io/v1, command: cat, args: ['{file}']}}}}"),
    ] {
        let cluster = cluster_at(&server.kubeconfig(&user));
        let seen = Existing.observe(&cluster.call("control-plane", "t", 1)).await;
        assert!(matches!(seen, Ok(Observation::Present { .. })), "{user}: {seen:?}");
    }
}

#[tokio::test]
async fn access_is_self_contained() {
    let there = with_user("{client-certificate: u.pem, client-key: u.key}").await;
    there.server.file("u.pem", &there.server.valid.0);
    there.server.file("u.key", &there.server.valid.1);
    let access = Existing.access(&there.cluster).await.expect("access");
    assert_eq!(access.context.as_deref(), Some("main"));
    assert!(access.expires.is_some_and(|end| end.to_string().starts_with("2090")), "{:?}", access.expires);
    let yaml = access.kubeconfig().await.expect("a value");
    let alone = tempfile::tempdir().expect("a directory");
    let path = alone.path().join("config");
    fs_err::write(&path, yaml.expose_secret()).expect("written");
    let document: Value = yaml_serde::from_str(yaml.expose_secret()).expect("YAML");
    assert_eq!(document["contexts"][0]["context"]["namespace"], "web");
    assert_eq!(document["clusters"].as_array().map(Vec::len), Some(1), "one context alone");
    let seen = Existing.observe(&cluster_at(&handle(&path)).call("control-plane", "t", 1)).await;
    assert!(matches!(seen, Ok(Observation::Present { .. })), "{seen:?}");
}

#[tokio::test]
async fn bad_kubeconfigs_say_what_is_missing() {
    let mut there = with_token().await;
    there.cluster.config["context"] = json!("nowhere");
    let (code, class, failure) = there.refusal().await;
    assert_eq!((code.as_str(), class), ("P0211", Class::Config));
    assert!(failure.causes[0].contains("no context `nowhere`; it has main, other"), "{:?}", failure.causes);
    assert_eq!(there.findings().await[0].code.as_str(), "P0211", "preflight finds the same");

    there.cluster.config["context"] = json!("other");
    let (_, _, failure) = there.refusal().await;
    assert!(failure.causes[0].contains("no cluster `gone`"), "{:?}", failure.causes);

    let broken = there.server.file("broken", "users: [pl4nted: {");
    there.cluster = cluster_at(&handle(&broken));
    assert_eq!(there.refusal().await.0, "P0211");

    let path = there.server.file("path", "/home/me/.kube/config\n");
    there.cluster = cluster_at(&handle(&path));
    let (_, _, failure) = there.refusal().await;
    assert!(failure.causes[0].contains("write `file:PATH`"), "{:?}", failure.causes);

    there.cluster = cluster_at("file:/nowhere/config");
    assert_eq!(there.refusal().await.0, "P0201");

    let there = with_user("{client-certificate-data: 'pl4nted'}").await;
    let (_, _, failure) = there.refusal().await;
    assert!(failure.causes[0].contains("`client-certificate-data` is not base64"), "{:?}", failure.causes);
}

#[tokio::test]
async fn the_configuration_is_checked_without_a_network() {
    for config in [Value::Null, json!({}), json!({"kubeconfig": "x"}), json!({"kubeconfigRef": "pl4nted"})] {
        let mut cluster = ClusterRequest::new("shop", "eu", "mine");
        cluster.config = config;
        let failure = Existing.resources(&cluster).await.expect_err("no kubeconfig");
        assert_eq!((failure.code.as_str(), failure.class), ("P0218", Class::Config));
        assert!(!format!("{failure:?}").contains("pl4nted"), "{failure:?}");
        assert!(failure.hints[0].contains("kubeconfigRef"), "{:?}", failure.hints);
    }
    let mut cluster = ClusterRequest::new("shop", "eu", "mine");
    cluster.credentials = Some("file:~/.kube/config".parse().expect("a handle"));
    assert_eq!(Existing.resources(&cluster).await.expect("credentialsRef will do").len(), 1);
}

#[tokio::test]
async fn an_ended_client_certificate_is_found_before_it_is_sent() {
    let there = with_user("{client-certificate: old.pem, client-key: old.key}").await;
    there.server.file("old.pem", &there.server.ended.0);
    there.server.file("old.key", &there.server.ended.1);
    let (code, class, failure) = there.refusal().await;
    assert_eq!((code.as_str(), class), ("P0213", Class::AuthExpired));
    assert!(failure.causes[0].contains("2020-01-01"), "{:?}", failure.causes);
    let findings = there.findings().await;
    assert_eq!((findings[0].code.as_str(), findings[0].severity), ("P0213", Severity::Error));
}

#[tokio::test]
async fn a_server_that_cannot_be_trusted_is_no_hiccup() {
    let mut there = with_token().await;
    there.cluster.config["context"] = json!("unknown-authority");
    let (code, class, _) = there.refusal().await;
    assert_eq!((code.as_str(), class), ("P0217", Class::Config), "signed by nobody we know");

    let server = Server::start(ServerCertificate::Ended).await;
    let cluster = cluster_at(&server.kubeconfig(&format!("{{token: {TOKEN}}}")));
    let (code, class, failure) = OnServer { server, cluster }.refusal().await;
    assert_eq!((code.as_str(), class), ("P0217", Class::Config));
    assert!(failure.causes[0].contains("expired"), "{:?}", failure.causes);
}

#[tokio::test]
async fn refusals_of_the_server_are_classified_with_its_words() {
    let there = with_user("{token: pl4nted-wr0ng}").await;
    let (code, class, failure) = there.refusal().await;
    assert_eq!((code.as_str(), class), ("P0213", Class::AuthExpired));
    assert!(failure.hints[0].contains("kubectl --kubeconfig"), "{:?}", failure.hints);

    let there = with_token().await;
    let message = r#"{"message":"namespaces \"kube-system\" is forbidden"}"#;
    for (status, code, class) in [
        (403, "P0214", Class::Forbidden),
        (429, "P0212", Class::Throttled),
        (503, "P0212", Class::Retryable),
        (404, "P0220", Class::Config),
        (200, "P0220", Class::Config),
    ] {
        there.server.say(status, message);
        let refused = there.refusal().await;
        assert_eq!((refused.0.as_str(), refused.1), (code, class), "{status}");
        if status == 429 {
            assert_eq!(refused.2.retry_after_ms, Some(7000));
        }
        if status == 403 {
            assert!(refused.2.causes[0].contains("is forbidden"), "{:?}", refused.2.causes);
            assert_eq!(there.findings().await[0].code.as_str(), "P0214");
        }
    }
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_is_retryable_and_never_absent() {
    let mut there = with_token().await;
    let free =
        tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let text = fs_err::read_to_string(there.server.dir.path().join("config")).expect("the kubeconfig");
    let moved = there.server.file("moved", &text.replace(&there.server.url, &format!("https://{free}")));
    there.cluster = cluster_at(&handle(&moved));
    let (code, class, failure) = there.refusal().await;
    assert_eq!((code.as_str(), class), ("P0212", Class::Retryable));
    assert!(failure.message.contains(&free.to_string()), "{}", failure.message);
    assert!(failure.causes[0].contains("refused"), "{:?}", failure.causes);
    assert!(failure.hints[0].contains("get --raw /version"), "{:?}", failure.hints);
    let preflight = Existing.preflight(&there.cluster).await.expect_err("may pass by itself");
    assert_eq!(preflight.class, Class::Retryable);
    let removed = Existing.remove(&there.cluster.call("control-plane", "t", 1)).await;
    assert!(matches!(removed, Ok(Removed::Kept { .. })), "down goes on without it: {removed:?}");
}

#[tokio::test]
async fn preflight_warns_of_another_version_and_of_a_way_that_is_not_verified() {
    let mut there = with_token().await;
    there.cluster.kubernetes_version = Some("1.35".to_owned());
    let text = fs_err::read_to_string(there.server.dir.path().join("config")).expect("the kubeconfig");
    let open = there
        .server
        .file("open", &text.replace("certificate-authority: ca.pem", "insecure-skip-tls-verify: true"));
    there.cluster.config["kubeconfigRef"] = json!(handle(&open));
    let findings = there.findings().await;
    let codes: Vec<_> = findings.iter().map(|finding| (finding.code.as_str(), finding.severity)).collect();
    assert_eq!(codes, [("P0210", Severity::Warning), ("P0219", Severity::Warning)]);
    assert!(findings[1].message.contains("v1.36.3"), "{}", findings[1].message);
}

#[tokio::test]
async fn another_name_in_the_certificate_may_be_named() {
    let there = with_token().await;
    let text = fs_err::read_to_string(there.server.dir.path().join("config")).expect("the kubeconfig");
    for (name, works) in [("kubernetes", true), ("somebody-else", false)] {
        let named = text.replace(
            "certificate-authority: ca.pem",
            &format!("certificate-authority: ca.pem, tls-server-name: {name}"),
        );
        let path = there.server.file("named", &named);
        let seen = Existing.observe(&cluster_at(&handle(&path)).call("control-plane", "t", 1)).await;
        assert_eq!(seen.is_ok(), works, "{name}: {seen:?}");
    }
}
