use serde_json::{Value, json};

use super::world::{World, node, template};
use crate::{
    kube::object::meta,
    play::workloads::{
        nodes,
        objects::{int, is_active, is_ready},
    },
};

const STATEFUL: &str = "apps/statefulsets";
const DAEMON: &str = "apps/daemonsets";

fn statefulset(policy: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "db", "namespace": "shop" },
        "spec": {
            "replicas": 3, "serviceName": "db", "podManagementPolicy": policy,
            "selector": { "matchLabels": { "app": "db" } }, "template": template("db", "db:1"),
            "volumeClaimTemplates": [{
                "metadata": { "name": "data" },
                "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "standard",
                    "resources": { "requests": { "storage": "1Gi" } },
                },
            }],
        },
    })
}

fn names(world: &World) -> Vec<String> {
    world.pods().iter().filter(|pod| is_active(pod)).map(|it| meta(it, "name").to_owned()).collect()
}

fn with_storage() -> World {
    let world = World::new(&["n1", "n2"]);
    crate::play::workloads::volumes::storage_class(&world.cluster).expect("a class");
    world
}

#[test]
fn a_stateful_set_grows_and_shrinks_in_order() {
    let mut world = with_storage();
    world.make(STATEFUL, statefulset("OrderedReady"));
    let mut most_unready = 0;
    for _ in 0..60 {
        world.pass(1);
        let unready = world.pods().iter().filter(|pod| !is_ready(pod)).count();
        most_unready = most_unready.max(unready);
    }
    assert_eq!(most_unready, 1, "one after the other");
    assert_eq!(names(&world), ["db-0", "db-1", "db-2"]);
    let pod = world.there("/pods", "db-1");
    assert_eq!(pod["spec"]["hostname"], "db-1");
    assert_eq!(pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"], "1");
    assert_eq!(pod["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"], "data-db-1");
    assert_eq!(world.there("/persistentvolumeclaims", "data-db-1")["status"]["phase"], "Bound");
    let status = &world.there(STATEFUL, "db")["status"];
    assert_eq!(
        (
            &status["replicas"],
            &status["readyReplicas"],
            &status["currentReplicas"],
            &status["updatedReplicas"]
        ),
        (&json!(3), &json!(3), &json!(3), &json!(3))
    );
    assert_eq!(status["currentRevision"], status["updateRevision"]);

    world.change(STATEFUL, "db", |it| it["spec"]["replicas"] = 1.into());
    let mut seen = Vec::new();
    for _ in 0..20 {
        world.pass(1);
        seen.push(names(&world).len());
    }
    assert!(seen.contains(&2) && names(&world) == ["db-0"], "{seen:?}");
    assert!(world.get("/persistentvolumeclaims", "data-db-2").is_some(), "data is kept");
}

#[test]
fn a_stateful_set_is_updated_from_the_last_down_to_its_partition() {
    let mut world = with_storage();
    world.make(STATEFUL, statefulset("Parallel"));
    world.pass(30);
    assert_eq!(names(&world).len(), 3);
    world.change(STATEFUL, "db", |it| {
        it["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 1.into();
        it["spec"]["template"]["spec"]["containers"][0]["image"] = "db:2".into();
    });
    world.pass(60);
    let image = |name: &str| world.there("/pods", name)["spec"]["containers"][0]["image"].clone();
    assert_eq!([image("db-0"), image("db-1"), image("db-2")], ["db:1", "db:2", "db:2"]);
    let status = world.there(STATEFUL, "db")["status"].clone();
    assert_eq!((int(&status["updatedReplicas"]), int(&status["currentReplicas"])), (2, 1));
    assert_ne!(status["currentRevision"], status["updateRevision"]);
    // A pod below the partition comes back as it was.
    world.delete("/pods", "db-0");
    world.pass(20);
    assert_eq!(world.there("/pods", "db-0")["spec"]["containers"][0]["image"], "db:1");

    world.change(STATEFUL, "db", |it| it["spec"]["updateStrategy"]["rollingUpdate"]["partition"] = 0.into());
    world.pass(30);
    assert_eq!(world.there("/pods", "db-0")["spec"]["containers"][0]["image"], "db:2");
    let status = world.there(STATEFUL, "db")["status"].clone();
    assert_eq!(status["currentRevision"], status["updateRevision"]);
    assert_eq!(world.list("apps/controllerrevisions").len(), 2);

    // As `kubectl rollout undo`.
    let revisions = world.list("apps/controllerrevisions");
    let first = revisions.iter().find(|it| int(&it["revision"]) == 1).expect("kept");
    let mut template = first["data"]["spec"]["template"].clone();
    template.as_object_mut().expect("a template").shift_remove("$patch");
    world.change(STATEFUL, "db", |it| it["spec"]["template"] = template.clone());
    world.pass(60);
    assert_eq!(world.there("/pods", "db-2")["spec"]["containers"][0]["image"], "db:1");
    let revisions = world.list("apps/controllerrevisions");
    assert_eq!(revisions.iter().map(|it| int(&it["revision"])).max(), Some(3));
    assert_eq!(revisions.len(), 2);
}

#[test]
fn a_daemon_set_has_one_pod_on_each_node_that_takes_it() {
    let mut world = World::new(&["n1", "n2"]);
    let mut tainted = node("n3", "4");
    tainted.taints = vec![("only".into(), "gpu".into(), "NoSchedule".into())];
    let nodes_now = [node("n1", "4"), node("n2", "4"), tainted];
    nodes::nodes(&world.cluster, &nodes_now).expect("nodes");
    world.make(DAEMON, json!({
        "apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": { "name": "agent", "namespace": "shop" },
        "spec": { "selector": { "matchLabels": { "app": "agent" } }, "template": template("agent", "agent:1") },
    }));
    world.pass(10);
    let on = |world: &World| -> Vec<String> {
        let mut on: Vec<String> = world
            .pods()
            .iter()
            .filter(|pod| is_active(pod))
            .map(|it| it["spec"]["nodeName"].as_str().unwrap_or_default().to_owned())
            .collect();
        on.sort();
        on
    };
    assert_eq!(on(&world), ["n1", "n2"]);
    let status = world.there(DAEMON, "agent")["status"].clone();
    assert_eq!((int(&status["desiredNumberScheduled"]), int(&status["numberAvailable"])), (2, 2));

    world.change(DAEMON, "agent", |it| {
        let spec = &mut it["spec"]["template"]["spec"];
        spec["tolerations"] = json!([{ "operator": "Exists" }]);
        spec["containers"][0]["image"] = "agent:2".into();
    });
    for _ in 0..40 {
        world.pass(1);
        let ready = world.pods().iter().filter(|pod| is_active(pod) && is_ready(pod)).count();
        assert!(ready >= 1, "one at a time");
    }
    assert_eq!(on(&world), ["n1", "n2", "n3"]);
    assert!(world.pods().iter().all(|pod| pod["spec"]["containers"][0]["image"] == "agent:2"));
    let status = world.there(DAEMON, "agent")["status"].clone();
    assert_eq!((int(&status["updatedNumberScheduled"]), int(&status["numberReady"])), (3, 3));

    nodes::nodes(&world.cluster, &nodes_now[..1]).expect("nodes");
    world.jump(120);
    assert_eq!(on(&world), ["n1"]);
    assert_eq!(int(&world.there(DAEMON, "agent")["status"]["desiredNumberScheduled"]), 1);
}
