//! Velero: a namespace, gone and back.

use platform_tests::{Output, World};
use serde_json::{Value, json};

use super::{create, wait};

const NAMESPACE: &str = "shop";

fn velero(world: &World, args: &[&str]) -> Output {
    let bed = world.bed();
    let program = bed.components().built("velero", "velero");
    let mut command = bed.command(program);
    command.args(args).env("KUBECONFIG", bed.facts().kubeconfig()).env("HOME", world.dir());
    Output::of(&mut command)
}

/// Everything in it that somebody made, without what a restore writes anew.
fn contents(world: &World) -> Vec<Value> {
    let kinds = "configmaps,secrets,serviceaccounts,roles,services,deployments";
    let listed = world.bed().kubectl_json(["get", kinds, "--namespace", NAMESPACE]);
    let items = listed["items"].as_array().cloned().unwrap_or_default();
    let ours = items.into_iter().filter(|it| it["metadata"]["labels"]["made"] == "by-hand");
    let plain = ours.map(|mut it| {
        let name = it["metadata"]["name"].clone();
        if it["kind"] == "Service" {
            // an address is not promised to come back
            for field in ["clusterIP", "clusterIPs"] {
                it["spec"][field] = Value::Null;
            }
        }
        json!({"kind": it["kind"], "name": name, "spec": it["spec"], "data": it["data"], "rules": it["rules"]})
    });
    plain.collect()
}

fn fill(world: &World) {
    let meta = |name: &str| json!({"name": name, "namespace": NAMESPACE, "labels": {"made": "by-hand"}});
    create(world, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}));
    let items = json!([
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta("prices"), "data": {"tea": "3", "long": "x".repeat(9_000)}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta("keys"), "data": {"binary": "AAH//g=="}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta("clerk")},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta("clerk"),
            "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
        },
        {
            "apiVersion": "v1", "kind": "Service", "metadata": meta("web"),
            "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]},
        },
        {
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta("web"),
            "spec": {
                "replicas": 2, "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "containers": [{"name": "web", "image": "example.com/web:1"}],
                        "volumes": [{"name": "cache", "emptyDir": {}}],
                    },
                },
            },
        },
    ]);
    create(world, &json!({"apiVersion": "v1", "kind": "List", "items": items}));
}

pub fn a_namespace_comes_back(world: &World) {
    let bed = world.bed();
    fill(world);
    wait(world, NAMESPACE, "deployment/web", "condition=Available");
    let before = contents(world);
    assert_eq!(before.len(), 6, "{before:#?}");

    velero(world, &["backup", "create", "shop", "--include-namespaces", NAMESPACE, "--wait"]).ok();
    let backup = bed.kubectl_json(["get", "backup.velero.io", "shop", "--namespace=velero"]);
    let status = &backup["status"];
    assert_eq!(status["phase"], "Completed", "{status:#}");
    assert_eq!(status["progress"]["itemsBackedUp"], status["progress"]["totalItems"], "{status:#}");
    // by an address that the server signs, straight from the store
    let log = velero(world, &["backup", "logs", "shop"]).ok().stdout;
    assert!(log.contains("Backed up"), "{log}");

    bed.kubectl(["delete", "namespace", NAMESPACE, "--wait", "--timeout=60s"]).ok();
    velero(world, &["restore", "create", "back", "--from-backup=shop", "--wait"]).ok();
    wait(world, "velero", "restore/back", "jsonpath={.status.phase}=Completed");
    assert_eq!(contents(world), before);
    wait(world, NAMESPACE, "deployment/web", "condition=Available");

    // nobody is there to copy what is in volumes: the same is said where the sandbox's own Velero plays
    let create =
        ["backup", "create", "all", "--include-namespaces", NAMESPACE, "--default-volumes-to-fs-backup"];
    velero(world, &create).ok();
    wait(world, "velero", "backup.velero.io/all", "jsonpath={.status.phase}=PartiallyFailed");
    let all = bed.kubectl_json(["get", "backup.velero.io", "all", "--namespace=velero"]);
    assert_eq!(all["status"]["errors"], 2, "one for each pod: {all:#}");
    let described = velero(world, &["backup", "describe", "all"]).ok().stdout;
    assert!(
        described.contains("message: /Error backing up item error: /daemonset pod not found"),
        "{described}"
    );

    // a store that is not there is no store
    let key = world.bucket();
    let wrong = format!("{key}-nowhere");
    velero(
        world,
        &[
            "backup-location",
            "create",
            "wrong",
            "--provider=aws",
            "--bucket",
            &wrong,
            "--config",
            "region=us-east-1,s3ForcePathStyle=true,s3Url=http://127.0.0.1:9000",
        ],
    )
    .ok();
    wait(world, "velero", "backupstoragelocation/wrong", "jsonpath={.status.phase}=Unavailable");

    velero(world, &["restore", "delete", "back", "--confirm"]).ok();
    wait(world, "velero", "restore/back", "delete");
    velero(world, &["backup", "delete", "shop", "all", "--confirm"]).ok();
    for backup in ["shop", "all"] {
        wait(world, "velero", &format!("backup.velero.io/{backup}"), "delete");
    }
    velero(world, &["backup-location", "delete", "wrong", "--confirm"]).ok();
    bed.kubectl(["delete", "namespace", NAMESPACE, "--wait", "--timeout=60s"]).ok();
}
