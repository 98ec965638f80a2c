//! cert-manager on a cluster in memory.

use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::{
    kube::Api,
    play::{Players, around::Around},
};

struct Site {
    players: Players,
    clock: Arc<AtomicI64>,
}

impl Site {
    fn new() -> Self {
        let clock = Arc::new(AtomicI64::new(1_800_000_000));
        let time = clock.clone();
        let now = Arc::new(move || Timestamp::from_second(time.load(Ordering::Relaxed)).expect("a time"));
        let cluster = Cluster { name: "one".into(), api: Api::new(now, 1), around: Around::default() };
        cluster.api.begin(6443);
        let site = Self { players: Players::new(cluster, vec![Box::new(CertManager)]), clock };
        for (plural, kind, scope) in [
            ("issuers", "Issuer", "Namespaced"),
            ("clusterissuers", "ClusterIssuer", "Cluster"),
            ("certificates", "Certificate", "Namespaced"),
        ] {
            site.make(
                "apiextensions.k8s.io/customresourcedefinitions",
                json!({
                    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                    "metadata": {"name": format!("{plural}.cert-manager.io")},
                    "spec": {
                        "group": "cert-manager.io", "scope": scope,
                        "names": {"plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List")},
                        "versions": [{
                            "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                            "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}},
                        }],
                    },
                }),
            );
        }
        site.make(
            DEPLOYMENTS,
            json!({
                "apiVersion": "apps/v1", "kind": "Deployment",
                "metadata": {"namespace": "default", "name": "cert-manager"},
                "spec": {
                    "selector": {"matchLabels": {"a": "b"}},
                    "template": {
                        "metadata": {"labels": {"a": "b"}},
                        "spec": {"containers": [{"name": "c", "image": "quay.io/jetstack/cert-manager-controller:v1.19.0"}]},
                    },
                },
            }),
        );
        let key = Cluster::key(DEPLOYMENTS, "default", "cert-manager");
        let cluster = site.players.cluster();
        cluster
            .change_status("test", &key, |it| it["status"]["availableReplicas"] = 1.into())
            .expect("changed");
        site
    }

    fn make(&self, kind: &str, object: Value) {
        self.players.cluster().create("test", kind, &object).expect("made");
    }

    fn pass(&mut self, seconds: i64) {
        let end = self.clock.load(Ordering::Relaxed) + seconds;
        while let Some(next) = self.players.settle().map(|it| it.as_second()).filter(|next| *next <= end) {
            let now = self.clock.load(Ordering::Relaxed);
            self.clock.store(next.max(now), Ordering::Relaxed);
        }
        self.clock.store(end, Ordering::Relaxed);
        self.players.settle();
    }

    fn get(&self, kind: &str, namespace: &str, name: &str) -> Value {
        self.players
            .cluster()
            .get(&Cluster::key(kind, namespace, name))
            .map_or(Value::Null, |it| Value::clone(&it))
    }

    fn issuer(&self, name: &str, spec: Value) {
        let object = json!({
            "apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": name}, "spec": spec,
        });
        self.make(CLUSTER_ISSUERS, object);
    }

    fn certificate(&self, name: &str, issuer: &str, more: Value) {
        let mut spec = json!({
            "secretName": name, "dnsNames": [format!("{name}.example.test")],
            "issuerRef": {"name": issuer, "kind": "ClusterIssuer"},
        });
        spec.as_object_mut().expect("an object").extend(more.as_object().cloned().expect("an object"));
        let meta = json!({"namespace": "default", "name": name});
        self.make(CERTIFICATES, json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": meta, "spec": spec}));
    }

    fn is_ready(&self, kind: &str, namespace: &str, name: &str) -> bool {
        has(&self.get(kind, namespace, name), "Ready").is_some()
    }
}

#[test]
fn certificates_are_signed_and_renewed() {
    let mut site = Site::new();
    site.issuer("internet", json!({"acme": {"server": "https://acme.example"}}));
    site.certificate("web", "internet", json!({}));
    site.pass(0);
    assert!(site.is_ready(CLUSTER_ISSUERS, "", "internet") && !site.is_ready(CERTIFICATES, "default", "web"));
    site.pass(2);
    let web = site.get(CERTIFICATES, "default", "web");
    assert!(site.is_ready(CERTIFICATES, "default", "web"), "{web}");
    assert_eq!(web["status"]["revision"], 1);
    let secret = site.get(SECRETS, "default", "web");
    assert_eq!(
        (&secret["type"], &secret["metadata"]["annotations"]["cert-manager.io/alt-names"]),
        (&json!("kubernetes.io/tls"), &json!("web.example.test"))
    );
    let (pem, key) = pair(site.players.cluster(), "default", "web").expect("a pair");
    assert!(pem.contains("BEGIN CERTIFICATE") && KeyPair::from_pem(&key).is_ok());
    // Sixty of its ninety days are over.
    site.pass(61 * 86_400);
    let again = site.get(CERTIFICATES, "default", "web");
    assert_eq!(again["status"]["revision"], 2, "{again}");
    assert_ne!(pair(site.players.cluster(), "default", "web").expect("a pair").0, pem);
    site.players.cluster().delete("test", &Cluster::key(SECRETS, "default", "web")).expect("deleted");
    site.pass(2);
    assert!(pair(site.players.cluster(), "default", "web").is_some(), "it is made again");
}

#[test]
fn an_authority_of_ones_own_signs_as_well() {
    let mut site = Site::new();
    site.issuer("own", json!({"ca": {"secretName": "root"}}));
    site.certificate("web", "own", json!({}));
    site.pass(2);
    assert!(!site.is_ready(CLUSTER_ISSUERS, "", "own") && !site.is_ready(CERTIFICATES, "default", "web"));
    site.issuer("self", json!({"selfSigned": {}}));
    site.certificate("root", "self", json!({"isCA": true, "commonName": "root"}));
    site.pass(5);
    assert!(site.is_ready(CLUSTER_ISSUERS, "", "own"), "{}", site.get(CLUSTER_ISSUERS, "", "own"));
    assert!(site.is_ready(CERTIFICATES, "default", "web"), "{}", site.get(CERTIFICATES, "default", "web"));
    let secret = site.get(SECRETS, "default", "web");
    let root = site.get(SECRETS, "default", "root");
    assert_eq!(secret["data"]["ca.crt"], root["data"]["tls.crt"]);
}

#[test]
fn an_ingress_gets_the_certificate_that_it_asks_for() {
    let mut site = Site::new();
    site.issuer("internet", json!({"acme": {"server": "https://acme.example"}}));
    site.make(
        INGRESSES,
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
            "metadata": {
                "namespace": "default", "name": "web",
                "annotations": {"cert-manager.io/cluster-issuer": "internet"},
            },
            "spec": {
                "rules": [{"host": "www.example.test"}],
                "tls": [{"hosts": ["www.example.test"], "secretName": "web-tls"}],
            },
        }),
    );
    site.pass(3);
    assert!(site.is_ready(CERTIFICATES, "default", "web-tls"));
    assert!(pair(site.players.cluster(), "default", "web-tls").is_some());
}
