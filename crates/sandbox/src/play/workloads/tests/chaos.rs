//! Whatever is asked for, in whatever order, with pods and controllers dying in between: the end is what was wanted.

use proptest::prelude::*;
use serde_json::Value;

use super::world::{World, deployment};
use crate::{
    kube::object::meta,
    play::workloads::objects::{int, is_active, is_ready},
};

const KIND: &str = "apps/deployments";

#[derive(Clone, Debug)]
enum Act {
    Scale(i64),
    Image(u8),
    Kill(usize),
    Restart,
    Pause(bool),
    Wait(u8),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        (0..7_i64).prop_map(Act::Scale),
        (0..4_u8).prop_map(Act::Image),
        (0..8_usize).prop_map(Act::Kill),
        Just(Act::Restart),
        any::<bool>().prop_map(Act::Pause),
        (0..12_u8).prop_map(Act::Wait),
    ]
}

fn ready(world: &World) -> i64 {
    let ready = world.pods().iter().filter(|pod| is_active(pod) && is_ready(pod)).count();
    i64::try_from(ready).expect("few")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_deployment_ends_as_it_was_last_wanted(acts in prop::collection::vec(act(), 1..12)) {
        let mut world = World::new(&["n1", "n2", "n3"]);
        world.make(KIND, deployment("web", 2));
        let (mut replicas, mut image) = (2, 1);
        for act in acts {
            match act {
                Act::Scale(to) => {
                    replicas = to;
                    world.change(KIND, "web", |it| it["spec"]["replicas"] = to.into());
                }
                Act::Image(number) => {
                    image = number;
                    let name: Value = format!("web:{number}").into();
                    world.change(KIND, "web", |it| it["spec"]["template"]["spec"]["containers"][0]["image"] = name.clone());
                }
                Act::Kill(which) => {
                    if let Some(pod) = world.pods().get(which) {
                        world.delete("/pods", meta(pod, "name"));
                    }
                }
                Act::Restart => world.restart(),
                Act::Pause(paused) => world.change(KIND, "web", |it| it["spec"]["paused"] = paused.into()),
                Act::Wait(seconds) => world.pass(i64::from(seconds)),
            }
            world.pass(1);
        }
        world.change(KIND, "web", |it| it["spec"]["paused"] = false.into());
        world.jump(200);
        let web = world.there(KIND, "web");
        prop_assert_eq!(ready(&world), replicas);
        prop_assert_eq!(int(&web["status"]["updatedReplicas"]), replicas);
        prop_assert_eq!(int(&web["status"]["replicas"]), replicas);
        let name: Value = format!("web:{image}").into();
        prop_assert!(world.pods().iter().all(|pod| pod["spec"]["containers"][0]["image"] == name));
    }

    #[test]
    fn a_rolling_update_stays_within_its_bounds(
        replicas in 1..7_i64,
        surge in 0..4_i64,
        unavailable in 0..4_i64,
        updates in prop::collection::vec(0..15_i64, 1..4),
    ) {
        prop_assume!(surge + unavailable > 0);
        let mut world = World::new(&["n1", "n2", "n3"]);
        let mut web = deployment("web", replicas);
        web["spec"]["strategy"]["rollingUpdate"]["maxSurge"] = surge.into();
        web["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] = unavailable.into();
        world.make(KIND, web);
        world.pass(20);
        prop_assert_eq!(ready(&world), replicas);
        for (number, wait) in updates.iter().enumerate() {
            let name: Value = format!("web:{}", number + 2).into();
            world.change(KIND, "web", |it| it["spec"]["template"]["spec"]["containers"][0]["image"] = name.clone());
            for _ in 0..*wait + 1 {
                world.pass(1);
                let all = world.pods().iter().filter(|pod| is_active(pod)).count();
                prop_assert!(ready(&world) >= replicas - unavailable, "{} ready", ready(&world));
                prop_assert!(i64::try_from(all).expect("few") <= replicas + surge, "{all} in all");
            }
        }
        world.jump(200);
        prop_assert_eq!(int(&world.there(KIND, "web")["status"]["updatedReplicas"]), replicas);
        prop_assert_eq!(ready(&world), replicas);
    }
}
