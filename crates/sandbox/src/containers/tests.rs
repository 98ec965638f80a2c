//! Command lines, and what comes of them, in a world whose time is virtual.

mod git;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{Ask, Said, client};
use crate::{
    cloud::Options,
    keep::Keeper,
    parts::{
        faults::{Fault, Rule},
        transitions::Pace,
    },
    play::{argocd::Renderer, repositories::Memory, workloads},
    world::{Settings, World},
};

/// How a program ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}", self.err);
        self.out
    }

    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }

    #[track_caller]
    fn fails(self, code: i32, words: &str) {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.err.contains(words), "`{words}` in {}", self.err);
    }
}

async fn world_in(keeper: Keeper, pace: Pace) -> World {
    world_with(Arc::new(Memory::new()), keeper, pace).await
}

async fn world_with(repositories: Arc<Memory>, keeper: Keeper, pace: Pace) -> World {
    let begun = tokio::time::Instant::now();
    let settings = Settings {
        seed: 7,
        secret: 7,
        cloud: Options::new("key".into()),
        pace,
        pods: workloads::Pace::steady(),
        repositories,
        renderer: Arc::new(Renderer::lean()),
        keeper,
        rights: false,
        owners: false,
        history: false,
    };
    let now = Arc::new(move || {
        let ms = i64::try_from(begun.elapsed().as_millis()).unwrap_or(0);
        Timestamp::from_millisecond(1_800_000_000_000 + ms).expect("a time")
    });
    World::open(settings, now, None).await.expect("a world")
}

async fn world() -> World {
    world_in(Keeper::memory(), Pace::CLOUD).await
}

async fn run(world: &World, words: &str) -> Ended {
    let mut words = words.split(' ').map(str::to_owned);
    let program = words.next().expect("a program");
    let ask = Ask::here(&program, words.collect(), []);
    let (mut out, mut err) = (String::new(), String::new());
    let code = world
        .ask_program(&ask, &mut |said| match said {
            Said::Out(text) => out.push_str(&text),
            Said::Err(text) => err.push_str(&text),
            file @ Said::File { .. } => client::perform(&file).expect("written"),
            Said::Ended(_) => {}
        })
        .await;
    Ended { code, out, err }
}

const GET: &str = "exec demo-control-plane kubectl --kubeconfig /etc/kubernetes/admin.conf get nodes,storageclasses -o json";

fn ready(list: &Value) -> Vec<(String, bool)> {
    let nodes = list["items"].as_array().into_iter().flatten().filter(|it| it["kind"] == "Node");
    nodes
        .map(|node| {
            let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
            let ready = conditions.filter(|it| it["type"] == "Ready").any(|it| it["status"] == "True");
            (node["metadata"]["name"].as_str().unwrap_or_default().to_owned(), ready)
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_made_takes_its_time_and_goes() {
    let world = world().await;
    let dir = tempfile::tempdir().expect("a folder");
    let (config, kubeconfig) = (dir.path().join("config.yaml"), dir.path().join("kubeconfig"));
    let text = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n- role: control-plane\n  labels: {ingress-ready: 'true'}\n  extraPortMappings: [{hostPort: 8080, containerPort: 80}]\n- role: worker\n";
    std::fs::write(&config, text).expect("written");
    let create = format!(
        "kind create cluster --name demo --config {} --kubeconfig {}",
        config.display(),
        kubeconfig.display()
    );
    let begun = tokio::time::Instant::now();
    let made = run(&world, &create).await;
    assert_eq!(made.code, 0, "{}", made.err);
    let took = begun.elapsed();
    assert!((20..60).contains(&took.as_secs()), "{took:?}");
    assert!(
        made.err.contains(" ✓ Joining worker nodes 🚜\nSet kubectl context to \"kind-demo\"\n"),
        "{}",
        made.err
    );
    assert!(std::fs::read_to_string(&kubeconfig).expect("written").contains("https://127.0.0.1:"));
    assert_eq!(run(&world, "kind get nodes --name demo").await.ok(), "demo-control-plane\ndemo-worker\n");
    assert_eq!(run(&world, "kind get clusters").await.ok(), "demo\n");

    // Kind is done before its nodes are.
    let nodes = ready(&run(&world, &format!("docker {GET}")).await.json());
    assert!(nodes.contains(&("demo-worker".into(), false)), "{nodes:?}");
    let wait =
        "docker exec demo-control-plane kubectl wait --for=condition=Ready node --all -o json --timeout";
    run(&world, &format!("{wait}=1s"))
        .await
        .fails(1, "timed out waiting for the condition on nodes/demo-worker");
    let nodes = run(&world, &format!("{wait}=60s")).await.ok();
    let nodes: Vec<Value> =
        serde_json::Deserializer::from_str(&nodes).into_iter().map(|it| it.expect("JSON")).collect();
    assert_eq!(nodes.len(), 2, "one document after another");
    assert!(begun.elapsed() - took < Duration::from_secs(30), "it waits no longer than it has to");
    let list = run(&world, &format!("docker {GET}")).await.json();
    assert_eq!(ready(&list), [("demo-control-plane".into(), true), ("demo-worker".into(), true)]);
    let of =
        |kind: &str| list["items"].as_array().into_iter().flatten().find(|it| it["kind"] == kind).cloned();
    assert_eq!(of("StorageClass").expect("one")["provisioner"], "rancher.io/local-path");
    assert_eq!(of("Node").expect("one")["metadata"]["labels"]["ingress-ready"], "true");

    let seen = run(&world, "docker inspect --type container demo-control-plane").await.json();
    assert_eq!(seen[0]["Config"]["Labels"]["io.x-k8s.kind.role"], "control-plane");
    assert_eq!(seen[0]["HostConfig"]["PortBindings"]["80/tcp"][0]["HostPort"], "8080");
    run(&world, &create).await.fails(1, "node(s) already exist for a cluster with the name \"demo\"");

    run(&world, "kind delete cluster --name demo").await.ok();
    let left = world.containers().count();
    assert_eq!((left["container"], left["cluster"]), (0, 0));
    assert!(world.clusters().is_empty());
    run(&world, "kind get kubeconfig --name demo").await.fails(1, "could not locate any control plane nodes");
}

#[tokio::test(start_paused = true)]
async fn a_creation_that_is_killed_stays_half_made_wherever_it_was() {
    for after in 0..25 {
        let world = world().await;
        let create = run(&world, "kind create cluster --name demo");
        let killed = tokio::time::timeout(Duration::from_secs(after), create).await.is_err();
        assert!(killed, "it takes longer than {after} s");
        let nodes = run(&world, "kind get nodes --name demo").await.ok();
        // Fetching the image takes up to ten seconds, and a node two more.
        if after < 8 {
            assert_eq!(nodes, "", "after {after} s");
            continue;
        }
        if after > 13 {
            assert_eq!(nodes, "demo-control-plane\n", "after {after} s");
            run(&world, "kind create cluster --name demo").await.fails(1, "node(s) already exist");
            let kubeconfig = run(&world, "kind get kubeconfig --name demo").await;
            assert_eq!(kubeconfig.code == 0, !world.clusters().is_empty(), "after {after} s: {kubeconfig:?}");
        }
        run(&world, "kind delete cluster --name demo").await.ok();
        run(&world, "kind create cluster --name demo").await.ok();
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_node_sleeps_and_wakes_with_everything() {
    let world = world().await;
    run(&world, "kind create cluster --name demo").await.ok();
    tokio::time::advance(Duration::from_secs(20)).await;
    run(&world, "docker stop demo-control-plane").await.ok();
    assert!(world.clusters()[0].is_asleep());
    run(&world, &format!("docker {GET}")).await.fails(1, "is not running");
    run(&world, "docker start demo-control-plane").await.ok();
    assert!(!world.clusters()[0].is_asleep());
    let list = run(&world, &format!("docker {GET}")).await.json();
    assert_eq!(ready(&list), [("demo-control-plane".into(), true)]);
    // What is removed by hand is gone with all that was in it.
    run(&world, "docker rm -f demo-control-plane").await.ok();
    assert!(world.clusters().is_empty());
}

#[tokio::test(start_paused = true)]
async fn several_control_planes_have_a_balancer() {
    let world = world().await;
    let dir = tempfile::tempdir().expect("a folder");
    let config = dir.path().join("config.yaml");
    let node = "- role: control-plane\n".repeat(3);
    let text = format!("kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\nnodes:\n{node}");
    std::fs::write(&config, text).expect("written");
    run(&world, &format!("kind create cluster --name demo --config {}", config.display())).await.ok();
    let roles =
        run(&world, "docker ps --filter label=io.x-k8s.kind.role=external-load-balancer --format {{.Names}}");
    assert_eq!(roles.await.ok(), "demo-external-load-balancer\n");
    run(&world, "docker stop demo-control-plane2").await.ok();
    assert!(!world.clusters()[0].is_asleep(), "two of three are enough");
    run(&world, "docker stop demo-control-plane3").await.ok();
    assert!(world.clusters()[0].is_asleep(), "one of three is not");
}

#[tokio::test(start_paused = true)]
async fn the_engine_answers_as_the_real_one() {
    let world = world().await;
    let id = run(
        &world,
        "docker run -d --name one --label x=y --label z -p 127.0.0.1:80:8080 -v data:/data img sleep 9",
    );
    let id = id.await.ok();
    assert_eq!(id.trim().len(), 64);
    let again = run(&world, "docker run -d --name one img").await;
    again.fails(125, "docker: Error response from daemon: Conflict. The container name \"/one\" is already in use by container");
    let taken = run(&world, "docker run -d --name two -p 80:80 img").await;
    assert_eq!(taken.out.trim().len(), 64, "it is made all the same: {taken:?}");
    taken.fails(125, "Bind for 0.0.0.0:80 failed: port is already allocated");
    let states = run(&world, "docker ps --all --format {{.Names}}={{.State}}").await.ok();
    assert_eq!(states, "one=running\ntwo=created\n");
    assert_eq!(
        run(&world, "docker ps --quiet --no-trunc --filter label=x=y --filter label=z").await.ok(),
        id
    );
    let line = run(&world, "docker ps --format json").await.json();
    assert_eq!(
        (line["Labels"].as_str(), line["Ports"].as_str()),
        (Some("x=y,z="), Some("127.0.0.1:80->8080/tcp"))
    );
    run(&world, "docker volume rm data").await.fails(1, "remove data: volume is in use - [");
    run(&world, "docker rm one")
        .await
        .fails(1, "container is running: stop the container before removing or force remove");
    let both = run(&world, "docker inspect --type container one nobody").await;
    assert_eq!(serde_json::from_str::<Value>(&both.out).expect("JSON")[0]["Name"], "/one");
    both.fails(1, "No such container: nobody");
    run(&world, "docker rm --force --volumes one two nobody").await.ok();
    run(&world, "docker volume rm data").await.ok();

    run(&world, "docker network create --driver bridge --label a=b net").await.ok();
    run(&world, "docker network create net").await.fails(1, "network with name net already exists");
    run(&world, "docker run -d --name three --network net img").await.ok();
    assert_eq!(run(&world, "docker network inspect net").await.json()[0]["Labels"]["a"], "b");
    run(&world, "docker network rm net").await.fails(1, "has active endpoints");
    run(&world, "docker rm -f three").await.ok();
    run(&world, "docker network rm net").await.ok();
    run(&world, "docker network rm net").await.fails(1, "Error response from daemon: network net not found");
    run(&world, "docker frob").await.fails(1, "docker: unknown command: docker frob");
    run(&world, "docker ps --frob").await.fails(125, "unknown flag: --frob");
}

#[tokio::test(start_paused = true)]
async fn images_get_into_nodes() {
    let world = world().await;
    run(&world, "kind create cluster --name demo").await.ok();
    run(&world, "kind load docker-image app:1 --name demo")
        .await
        .fails(1, "image: \"app:1\" not present locally");
    run(&world, "docker pull app:1").await.ok();
    run(&world, "kind load docker-image app:1 --name demo").await.ok();
    let seen = run(&world, "docker exec demo-control-plane crictl images --output json").await.json();
    assert_eq!(seen["images"][0]["repoTags"][0], "docker.io/library/app:1");
    run(&world, "kind load docker-image app:1 --name other")
        .await
        .fails(1, "no nodes found for cluster \"other\"");
}

#[tokio::test(start_paused = true)]
async fn what_is_to_go_wrong_goes_wrong() {
    let world = world().await;
    let once = |service: &str, operation: &str, fault: Fault| {
        world.faults().add(Rule::at(service, operation, "*").fault(fault).times(1));
    };
    once("docker", "ps", Fault::error(403));
    run(&world, "docker ps")
        .await
        .fails(1, "permission denied while trying to connect to the Docker daemon socket");
    once("docker", "network_create", Fault::ResetAfter);
    run(&world, "docker network create net").await.fails(1, "error during connect");
    run(&world, "docker network inspect net").await.ok();
    once("docker", "run", Fault::Capacity);
    run(&world, "docker run -d --name one img").await.fails(125, "no space left on device");
    once("kind", "create_cluster", Fault::Fail("etcd did not come up".into()));
    run(&world, "kind create cluster --name demo").await.fails(1, "etcd did not come up");
    assert_eq!(world.containers().count()["container"], 0, "kind removes what it could not finish");
    once("kind", "create_cluster", Fault::Slow(SignedDuration::from_mins(5)));
    let begun = tokio::time::Instant::now();
    run(&world, "kind create cluster --name demo").await.ok();
    assert!(begun.elapsed() > Duration::from_secs(300));
    let calls = world.calls().after(0);
    let words: Vec<_> =
        calls.iter().filter(|call| call.fault.is_some()).map(|call| call.operation.as_str()).collect();
    assert_eq!(words, ["ps", "network_create", "run", "create_cluster", "create_cluster"]);
    assert_eq!(calls.last().map(|call| (call.target.as_str(), call.changed)), Some(("demo", true)));
}

#[tokio::test]
async fn everything_is_there_in_the_next_life() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("sandbox.db");
    let keeper = Keeper::open(&file).await.expect("opened");
    let first = world_in(keeper.clone(), Pace::INSTANT).await;
    run(&first, "kind create cluster --name demo").await.ok();
    run(&first, "docker volume create --label a=b kept").await.ok();
    keeper.kept().await.expect("written");
    let second = world_in(Keeper::open(&file).await.expect("opened"), Pace::INSTANT).await;
    assert_eq!(second.containers().count(), first.containers().count());
    assert_eq!(second.clusters().len(), 1);
    let list = run(&second, &format!("docker {GET}")).await.json();
    assert_eq!(ready(&list).len(), 1);
    assert_eq!(run(&second, "docker volume inspect kept").await.json()[0]["Labels"]["a"], "b");
}
