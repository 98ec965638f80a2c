use serde_json::{Value, json};

use super::world::{World, condition};
use crate::play::workloads::{objects::annotation, volumes::storage_class};

const CLAIM: &str = "/persistentvolumeclaims";
const VOLUME: &str = "/persistentvolumes";

fn claim(name: &str, more: Value) -> Value {
    let mut claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name, "namespace": "shop" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "2Gi" } } },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        claim["spec"][key] = value.clone();
    }
    claim
}

fn pod(claim: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "user", "namespace": "shop" },
        "spec": {
            "containers": [{ "name": "main", "image": "a:1" }],
            "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": claim } }],
        },
    })
}

#[test]
fn a_volume_is_made_when_a_pod_wants_it_grows_and_goes() {
    let mut world = World::new(&["n1"]);
    storage_class(&world.cluster).expect("a class");
    world.make(CLAIM, claim("data", json!({ "storageClassName": "standard" })));
    world.pass(30);
    assert_eq!(world.there(CLAIM, "data")["status"]["phase"], "Pending");
    world.was_told("data", "WaitForFirstConsumer");

    world.make("/pods", pod("data"));
    world.pass(20);
    let data = world.there(CLAIM, "data");
    assert_eq!(
        (&data["status"]["phase"], &data["status"]["capacity"]),
        (&json!("Bound"), &json!({"storage": "2Gi"}))
    );
    assert_eq!(annotation(&data, "volume.kubernetes.io/selected-node"), "n1");
    assert_eq!(condition(&world.there("/pods", "user"), "Ready"), "True/");
    let name = data["spec"]["volumeName"].as_str().expect("a volume").to_owned();
    let volume = world.there(VOLUME, &name);
    assert_eq!(
        (&volume["status"]["phase"], &volume["spec"]["claimRef"]["name"]),
        (&json!("Bound"), &json!("data"))
    );

    world.change(CLAIM, "data", |it| it["spec"]["resources"]["requests"]["storage"] = "5Gi".into());
    world.pass(10);
    assert_eq!(world.there(CLAIM, "data")["status"]["capacity"]["storage"], "5Gi");
    assert_eq!(world.there(VOLUME, &name)["spec"]["capacity"]["storage"], "5Gi");

    world.delete("/pods", "user");
    world.pass(10);
    world.delete(CLAIM, "data");
    world.pass(20);
    assert!(world.get(CLAIM, "data").is_none() && world.get(VOLUME, &name).is_none());
    let asked = world.cloud.asked.lock().expect("unpoisoned").clone();
    assert!(asked.iter().any(|it| it.starts_with("no volume vol-")), "{asked:?}");
}

#[test]
fn a_pod_waits_for_a_claim_that_is_not_there() {
    let mut world = World::new(&["n1"]);
    world.make("/pods", pod("data"));
    world.pass(1);
    let words = world.was_told("user", "FailedScheduling");
    assert!(
        words.starts_with("0/1 nodes are available: persistentvolumeclaim \"data\" not found."),
        "{words}"
    );
}

#[test]
fn a_volume_that_is_there_is_bound_and_kept() {
    let mut world = World::new(&["n1"]);
    for (name, size) in [("large", "10Gi"), ("small", "1Gi"), ("fitting", "3Gi")] {
        world.make(
            VOLUME,
            json!({
                "apiVersion": "v1", "kind": "PersistentVolume", "metadata": { "name": name },
                "spec": {
                    "accessModes": ["ReadWriteOnce", "ReadOnlyMany"], "capacity": { "storage": size },
                    "hostPath": { "path": "/data" }, "storageClassName": "manual",
                },
            }),
        );
    }
    world.pass(0);
    assert_eq!(world.there(VOLUME, "large")["status"]["phase"], "Available");
    world.make(CLAIM, claim("data", json!({ "storageClassName": "manual" })));
    world.pass(1);
    let data = world.there(CLAIM, "data");
    assert_eq!((&data["spec"]["volumeName"], &data["status"]["phase"]), (&json!("fitting"), &json!("Bound")));
    assert_eq!(world.there(VOLUME, "fitting")["status"]["phase"], "Bound");
    world.delete(CLAIM, "data");
    world.pass(5);
    assert_eq!(world.there(VOLUME, "fitting")["status"]["phase"], "Released");
    world.make(CLAIM, claim("again", json!({ "storageClassName": "manual" })));
    world.pass(5);
    assert_eq!(
        world.there(CLAIM, "again")["spec"]["volumeName"],
        "large",
        "the released one holds data of another"
    );
}
