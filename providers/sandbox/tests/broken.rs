//! The process is killed, or the line breaks, at each single call of a whole up and down; a new process goes on.

mod world;

use std::collections::BTreeMap;

use platform_provider::{Ensured, Observation, Provider, Removed, ResourceCall, ZoneRequest, resource};
use platform_provider_sandbox::{Place, Sandbox};
use platform_sandbox::parts::faults::{Fault, Rule};
use platform_spec::{Class, Failure, PlatformName};
use platform_testkit::conformance::{Subject, bring_up, take_down};
use serde_json::Value;
use world::World;

/// More looks and tries than the slowest resource takes with the worst luck here.
const TRIES: u32 = 200;

/// One resource, as the engine treats it: it looks first, acts, waits, and tries again what may be tried again.
async fn settle(world: &World, call: &mut ResourceCall, up: bool) -> Result<Value, Failure> {
    for attempt in 1..=TRIES {
        call.attempt = attempt;
        // Each time a new process, which knows what was recorded and nothing else.
        let provider = world.provider();
        let result = step(&*provider, call, up).await;
        match result {
            Ok(Step::Done(output)) => return Ok(output),
            Ok(Step::Wait(ms)) => world.pass(ms).await,
            Err(failure) if matches!(failure.class, Class::Retryable | Class::Throttled) => {
                world.pass(1_000).await
            }
            Err(failure) => return Err(failure),
        }
    }
    panic!("`{}` does not settle", call.resource);
}

enum Step {
    Done(Value),
    Wait(u64),
}

async fn step(provider: &dyn Provider, call: &mut ResourceCall, up: bool) -> Result<Step, Failure> {
    match provider.observe(call).await? {
        Observation::InProgress(wait) => {
            call.operation = wait.operation;
            return Ok(Step::Wait(wait.poll_after_ms));
        }
        Observation::Present { thing, differs: None } if up => return Ok(Step::Done(thing.outputs)),
        Observation::Absent if !up => return Ok(Step::Done(Value::Null)),
        _ => {}
    }
    let wait = if up {
        match provider.ensure(call).await? {
            Ensured::Done { thing, .. } => return Ok(Step::Done(thing.outputs)),
            Ensured::InProgress(wait) => wait,
        }
    } else {
        match provider.remove(call).await? {
            Removed::InProgress(wait) => wait,
            Removed::Done => return Ok(Step::Done(Value::Null)),
            other => panic!("removing `{}` says {other:?}", call.resource),
        }
    };
    call.operation = wait.operation;
    Ok(Step::Wait(wait.poll_after_ms))
}

/// A whole up and down; everything was made once, and nothing is left.
async fn up_and_down(world: &World) {
    let cluster = world.cluster();
    let declared = world.provider().resources(&cluster).await.expect("a graph");
    let ordered = resource::order("sandbox", &declared).expect("an order");
    let mut outputs: BTreeMap<String, Value> = BTreeMap::new();
    let mut calls = Vec::new();
    for resource in ordered {
        let mut call = cluster.call(&resource.id, &format!("token-{}", resource.id), 1);
        call.outputs = outputs
            .iter()
            .filter(|(id, _)| resource.needs.contains(id))
            .map(|(id, output)| (id.clone(), output.clone()))
            .collect();
        let output = settle(world, &mut call, true).await.expect("made");
        outputs.insert(resource.id.clone(), output);
        calls.push(call);
    }
    assert_eq!(world.cloud.made().values().sum::<u64>(), calls.len() as u64, "{:?}", world.cloud.made());
    for call in calls.iter_mut().rev() {
        call.operation = Value::Null;
        settle(world, call, false).await.expect("removed");
    }
    assert!(world.cloud.things().is_empty(), "{:?}", world.cloud.things());
}

#[tokio::test]
async fn breaking_at_any_call_makes_everything_once_and_leaves_nothing() {
    for fault in [Fault::ResetBefore, Fault::ResetAfter, Fault::error(500)] {
        let mut nth = 0;
        loop {
            nth += 1;
            let world = world::in_process().await;
            world.cloud.faults().add(Rule::at("cloud", "*", "*").nth(nth).fault(fault.clone()));
            up_and_down(&world).await;
            if world.cloud.faults().standing()[0].struck == 0 {
                break;
            }
        }
        assert!(nth > 50, "a whole up and down has more than {nth} calls");
    }
}

#[tokio::test]
async fn a_token_that_runs_out_on_the_way_is_renewed() {
    let world = world::in_process().await;
    let provider = world.provider();
    let cluster = world.cluster();
    assert!(provider.list_owned(&cluster.inventory()).await.expect("a list").is_empty());
    world.pass(2 * 3_600_000).await;
    assert!(provider.list_owned(&cluster.inventory()).await.expect("a list").is_empty());
    let operations: Vec<String> =
        world.cloud.calls().after(0).into_iter().map(|call| call.operation).collect();
    assert_eq!(operations, ["login", "list_things", "list_things", "login", "list_things"]);
}

#[tokio::test]
async fn a_key_that_is_not_known_is_a_finding() {
    let mut world = world::over_tls().await;
    let place = world.server.as_ref().expect("a server").place();
    world.connect = std::sync::Arc::new(Place { key: "another".into(), ..place });
    let findings = world.provider().preflight(&world.cluster()).await.expect("looked");
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].class, Some(Class::AuthExpired));
    assert!(findings[0].message.contains("the key is not known"), "{findings:?}");
}

#[tokio::test]
async fn only_the_sandboxs_own_authority_is_trusted() {
    let world = world::over_tls().await;
    let other = world::over_tls().await;
    let place = world.server.as_ref().expect("a server").place();
    let foreign = other.server.as_ref().expect("a server").place();
    let provider = Sandbox::new(std::sync::Arc::new(Place { ca: foreign.ca, ..place }));
    let failure = provider.list_owned(&world.cluster().inventory()).await.expect_err("another authority");
    assert_eq!((failure.code.as_str(), failure.class), ("P0221", Class::Retryable));
    assert!(failure.causes[0].contains("certificate"), "{:?}", failure.causes);
    assert_eq!(world.cloud.calls().count(), 0);
}

#[tokio::test]
async fn leftovers_are_found_when_the_cluster_is_gone() {
    let world = world::in_process().await;
    let calls = bring_up(&world).await.expect("up");
    let name = world.put_load_balancer().expect("a load balancer");
    world.pass(60_000).await;
    let (network, rest) = calls.split_first().expect("a network first");
    take_down(&world, rest).await.expect("down");
    let removed = world.provider().remove(network).await.expect("an answer");
    assert_eq!(removed, Removed::Blocked { by: vec![format!("load-balancer {name}")] });
    let owned = world.provider().list_owned(&world.cluster().inventory()).await.expect("a list");
    let left: Vec<&str> = owned.iter().map(|owned| owned.name.as_str()).collect();
    assert_eq!(left.len(), 2, "{owned:?}");
    assert!(left.contains(&name.as_str()), "{owned:?}");
    let keeper = owned.iter().find(|owned| owned.kind == "network").expect("the network");
    assert_eq!(keeper.blocked_by, [format!("load-balancer {name}")]);
}

#[tokio::test]
async fn what_belongs_to_somebody_else_is_not_taken() {
    let world = world::in_process().await;
    let network = world.ask("/v1/networks", &serde_json::json!({ "name": "theirs" }));
    world.pass(60_000).await;
    let body = serde_json::json!({
        "name": "shop-eu", "tags": { "platform.dev/name": "another" }, "spec": { "network": network["id"] },
    });
    world.ask("/v1/clusters", &body);
    let cluster = world.cluster();
    let mut call = cluster.call("network", "token-network", 1);
    let output = settle(&world, &mut call, true).await.expect("made");
    let mut call = cluster.call("control-plane", "token-control-plane", 1);
    call.outputs.insert("network".to_owned(), output);
    let failure = settle(&world, &mut call, true).await.expect_err("another's");
    assert_eq!(failure.class, Class::Config);
    assert!(failure.causes[0].contains("belongs to somebody else"), "{:?}", failure.causes);
}

#[tokio::test]
async fn what_has_failed_is_said_in_the_clouds_words_and_mended() {
    let world = world::in_process().await;
    world.cloud.faults().add(
        Rule::at("cloud", "create_network", "*").times(1).fault(Fault::Fail("no route to the moon".into())),
    );
    let call = world.cluster().call("network", "token", 1);
    let Ensured::InProgress(wait) = world.provider().ensure(&call).await.expect("begun") else {
        panic!("a network takes its time")
    };
    world.pass(60_000).await;
    assert!(wait.waiting_for.contains("network `shop-eu-network`"), "{wait:?}");
    let Observation::Broken { why } = world.provider().observe(&call).await.expect("looked") else {
        panic!("it has failed")
    };
    assert!(why.contains("no route to the moon"), "{why}");
    let mut call = call;
    settle(&world, &mut call, true).await.expect("mended");
    assert_eq!(world.cloud.made().values().sum::<u64>(), 1, "mended, not made again");
}

#[tokio::test]
async fn a_zone_that_is_not_there_is_not_found() {
    let world = world::in_process().await;
    let request = ZoneRequest {
        platform: PlatformName::new("shop"),
        provider: "sandbox".into(),
        zone: "shop.test".into(),
        config: Value::Null,
        credentials: None,
    };
    let failure = world.provider().zone(&request).await.expect_err("no zone");
    assert_eq!(failure.class, Class::NotFound);
}
