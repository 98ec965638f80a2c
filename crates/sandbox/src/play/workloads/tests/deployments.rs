use serde_json::{Value, json};

use super::world::{World, condition, deployment};
use crate::play::workloads::{
    nodes,
    objects::{annotation, int, is_active, is_ready},
};

const KIND: &str = "apps/deployments";

fn up(replicas: i64) -> World {
    let mut world = World::new(&["n1", "n2"]);
    world.make(KIND, deployment("web", replicas));
    world.pass(10);
    world
}

fn image(world: &World, image: &str) {
    world.change(KIND, "web", |it| it["spec"]["template"]["spec"]["containers"][0]["image"] = image.into());
}

#[test]
fn a_deployment_becomes_available() {
    let mut world = World::new(&["n1", "n2"]);
    world.make(KIND, deployment("web", 3));
    world.pass(0);
    let web = world.there(KIND, "web");
    assert_eq!(condition(&web, "Available"), "False/MinimumReplicasUnavailable");
    assert!(world.pods().iter().all(|pod| pod["status"]["phase"] == "Pending"));
    let waiting = &world.pods()[0]["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    assert_eq!(waiting, "ContainerCreating");

    world.pass(10);
    let web = world.there(KIND, "web");
    let set = &world.list("apps/replicasets")[0];
    let name = set["metadata"]["name"].as_str().expect("a name");
    assert_eq!(condition(&web, "Available"), "True/MinimumReplicasAvailable");
    assert_eq!(condition(&web, "Progressing"), "True/NewReplicaSetAvailable");
    let status = &web["status"];
    assert_eq!(
        (
            &status["replicas"],
            &status["readyReplicas"],
            &status["availableReplicas"],
            &status["updatedReplicas"]
        ),
        (&json!(3), &json!(3), &json!(3), &json!(3))
    );
    assert_eq!(status["observedGeneration"], web["metadata"]["generation"]);
    assert_eq!(annotation(&web, "deployment.kubernetes.io/revision"), "1");
    assert_eq!(
        world.was_told("web", "ScalingReplicaSet"),
        format!("Scaled up replica set {name} from 0 to 3")
    );
    let pods = world.pods();
    let mut addresses: Vec<&Value> = pods.iter().map(|pod| &pod["status"]["podIP"]).collect();
    addresses.sort_by_key(|it| it.to_string());
    addresses.dedup();
    assert_eq!(addresses.len(), 3, "addresses of their own");
    for pod in &pods {
        assert_eq!(
            (condition(pod, "Ready").as_str(), &pod["metadata"]["generation"]),
            ("True/", &json!(1)),
            "{pod}"
        );
    }
    let nodes: std::collections::BTreeSet<String> =
        pods.iter().map(|it| it["spec"]["nodeName"].to_string()).collect();
    assert_eq!(nodes.len(), 2, "spread over the nodes");
}

#[test]
fn a_new_template_rolls_out_within_its_bounds_and_can_be_undone() {
    let mut world = up(4);
    image(&world, "web:2");
    for _ in 0..40 {
        world.pass(1);
        let ready = world.pods().iter().filter(|pod| is_active(pod) && is_ready(pod)).count();
        let all = world.pods().iter().filter(|pod| is_active(pod)).count();
        assert!(ready >= 3 && all <= 5, "{ready} of {all}");
    }
    let web = world.there(KIND, "web");
    assert_eq!(condition(&web, "Progressing"), "True/NewReplicaSetAvailable");
    assert_eq!(int(&web["status"]["updatedReplicas"]), 4);
    assert!(world.pods().iter().all(|pod| pod["spec"]["containers"][0]["image"] == "web:2"));
    assert_eq!(world.list("apps/replicasets").len(), 2);

    // As `kubectl rollout undo`: the template of the older ReplicaSet, without its hash.
    let sets = world.list("apps/replicasets");
    let old =
        sets.iter().find(|it| annotation(it, "deployment.kubernetes.io/revision") == "1").expect("kept");
    let mut template = old["spec"]["template"].clone();
    template["metadata"]["labels"].as_object_mut().expect("labels").shift_remove("pod-template-hash");
    world.change(KIND, "web", |it| it["spec"]["template"] = template.clone());
    world.pass(40);
    let old = world.there("apps/replicasets", old["metadata"]["name"].as_str().expect("a name"));
    assert_eq!(int(&old["status"]["availableReplicas"]), 4);
    assert_eq!(annotation(&old, "deployment.kubernetes.io/revision"), "3");
    assert_eq!(annotation(&old, "deployment.kubernetes.io/revision-history"), "1");
    assert_eq!(annotation(&world.there(KIND, "web"), "deployment.kubernetes.io/revision"), "3");
}

#[test]
fn only_so_many_old_sets_are_kept() {
    let mut world = up(1);
    world.change(KIND, "web", |it| it["spec"]["revisionHistoryLimit"] = 1.into());
    for number in 2..5 {
        image(&world, &format!("web:{number}"));
        world.pass(20);
    }
    assert_eq!(world.list("apps/replicasets").len(), 2);
}

#[test]
fn recreate_waits_for_the_last_old_pod() {
    let mut world = up(3);
    world.change(KIND, "web", |it| it["spec"]["strategy"] = json!({"type": "Recreate"}));
    image(&world, "web:2");
    for _ in 0..30 {
        world.pass(1);
        let images: std::collections::BTreeSet<String> =
            world.pods().iter().map(|it| it["spec"]["containers"][0]["image"].to_string()).collect();
        assert!(images.len() <= 1, "{images:?}");
    }
    assert_eq!(int(&world.there(KIND, "web")["status"]["updatedReplicas"]), 3);
}

#[test]
fn what_never_becomes_ready_exceeds_its_deadline_and_keeps_the_old_pods() {
    let mut world = up(4);
    world.change(KIND, "web", |it| {
        it["spec"]["progressDeadlineSeconds"] = 60.into();
        it["spec"]["template"]["metadata"]["annotations"]["sandbox.platform.dev/unready"] = "true".into();
    });
    world.jump(120);
    let web = world.there(KIND, "web");
    assert_eq!(condition(&web, "Progressing"), "False/ProgressDeadlineExceeded");
    assert_eq!(condition(&web, "Available"), "True/MinimumReplicasAvailable");
    assert!(int(&web["status"]["availableReplicas"]) >= 3);
    world.change(KIND, "web", |it| {
        it["spec"]["template"]["metadata"]["annotations"] = json!({});
        it["spec"]["template"]["spec"]["containers"][0]["image"] = "web:3".into();
    });
    world.jump(120);
    assert_eq!(condition(&world.there(KIND, "web"), "Progressing"), "True/NewReplicaSetAvailable");
}

#[test]
fn a_pause_holds_what_is_on_its_way_and_scaling_goes_on() {
    let mut world = up(2);
    world.change(KIND, "web", |it| it["spec"]["paused"] = true.into());
    image(&world, "web:2");
    world.change(KIND, "web", |it| it["spec"]["replicas"] = 5.into());
    world.pass(20);
    let web = world.there(KIND, "web");
    assert_eq!(condition(&web, "Progressing"), "Unknown/DeploymentPaused");
    assert!(world.pods().iter().all(|pod| pod["spec"]["containers"][0]["image"] == "web:1"));
    assert_eq!(int(&web["status"]["availableReplicas"]), 5);
    world.change(KIND, "web", |it| it["spec"]["paused"] = Value::Null);
    world.pass(40);
    assert!(world.pods().iter().all(|pod| pod["spec"]["containers"][0]["image"] == "web:2"));
    assert_eq!(condition(&world.there(KIND, "web"), "Progressing"), "True/NewReplicaSetAvailable");
}

#[test]
fn what_does_not_fit_is_said_in_the_words_of_the_scheduler() {
    let mut world = World::new(&["n1", "n2"]);
    let mut big = deployment("web", 1);
    big["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "9".into();
    world.make(KIND, big);
    world.pass(5);
    let pod = &world.pods()[0];
    assert_eq!(condition(pod, "PodScheduled"), "False/Unschedulable");
    let words = world.was_told(pod["metadata"]["name"].as_str().expect("a name"), "FailedScheduling");
    assert!(
        words.starts_with("0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes"),
        "{words}"
    );
    // A greater machine comes.
    nodes::nodes(&world.cluster, &[super::world::node("n1", "4"), super::world::node("n3", "16")])
        .expect("nodes");
    world.pass(10);
    assert_eq!(world.pods()[0]["spec"]["nodeName"], "n3");
    assert_eq!(condition(&world.pods()[0], "Ready"), "True/");
}

#[test]
fn without_nodes_there_are_only_wishes() {
    let mut world = World::new(&[]);
    world.make(KIND, deployment("web", 1));
    world.pass(30);
    let name = world.pods()[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    assert_eq!(world.was_told(&name, "FailedScheduling"), "no nodes available to schedule pods");
    assert_eq!(condition(&world.there(KIND, "web"), "Available"), "False/MinimumReplicasUnavailable");
}

#[test]
fn a_lost_node_loses_its_pods_after_a_while() {
    let mut world = up(2);
    nodes::heartbeat(&world.cluster, "n1", false).expect("lost");
    world.pass(5);
    assert_eq!(int(&world.there(KIND, "web")["status"]["availableReplicas"]), 1);
    assert_eq!(world.pods().len(), 2, "it may come back");
    world.jump(330);
    assert_eq!(int(&world.there(KIND, "web")["status"]["availableReplicas"]), 2);
    let going: Vec<_> = world.pods().into_iter().filter(|pod| !is_active(pod)).collect();
    assert_eq!(going.len(), 1, "nobody there confirms that it is over");
    nodes::nodes(&world.cluster, &[super::world::node("n2", "4")]).expect("n1 is gone");
    world.jump(120);
    assert_eq!(world.pods().len(), 2);
    assert!(world.pods().iter().all(|pod| pod["spec"]["nodeName"] == "n2" && is_ready(pod)));
}

#[test]
fn a_crash_shows_and_heals() {
    let mut world = up(1);
    let name = world.pods()[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    world.change("/pods", &name, |it| {
        it["metadata"]["annotations"]["sandbox.platform.dev/crash"] = "true".into()
    });
    world.pass(5);
    let pod = world.there("/pods", &name);
    let container = &pod["status"]["containerStatuses"][0];
    assert_eq!(container["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(container["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(condition(&pod, "Ready"), "False/ContainersNotReady");
    assert_eq!(int(&world.there(KIND, "web")["status"]["availableReplicas"]), 0);
    world.restart();
    world.jump(60);
    assert!(int(&world.there("/pods", &name)["status"]["containerStatuses"][0]["restartCount"]) >= 2);
    world.change("/pods", &name, |it| it["metadata"]["annotations"] = json!({}));
    world.pass(5);
    assert_eq!(condition(&world.there("/pods", &name), "Ready"), "True/");

    world.change(KIND, "web", |it| {
        it["spec"]["template"]["metadata"]["annotations"]["sandbox.platform.dev/unpullable"] = "true".into();
    });
    world.pass(5);
    let pods = world.pods();
    let state = |pod: &Value| pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"].clone();
    assert!(pods.iter().any(|pod| state(pod) == "ImagePullBackOff"), "{pods:?}");
}

#[test]
fn a_deployment_that_is_deleted_leaves_nothing() {
    let mut world = up(3);
    world.delete(KIND, "web");
    world.pass(5);
    assert!(world.pods().is_empty() && world.list("apps/replicasets").is_empty());
}

#[test]
fn pods_that_nobody_controls_are_taken_in_and_others_let_go() {
    let mut world = up(2);
    let name = world.pods()[0]["metadata"]["name"].as_str().expect("a name").to_owned();
    world.change("/pods", &name, |it| it["metadata"]["labels"]["app"] = "other".into());
    world.pass(10);
    assert_eq!(world.pods().len(), 3, "one was let go and another made");
    assert!(world.there("/pods", &name)["metadata"].get("ownerReferences").is_none());
    world.change("/pods", &name, |it| it["metadata"]["labels"]["app"] = "web".into());
    world.pass(10);
    assert_eq!(world.pods().len(), 2, "taken in again, and so one too many");
}
