//! Self-heal.

use platform_tests::World;

use super::wait;

/// A field that was changed and an object that was removed are as Git has them again.
pub fn changes_by_hand_do_not_last(world: &World) {
    let bed = world.bed();
    let web = bed.kubectl_json(["get", "deployment", "web", "--namespace=web-dev"]);
    assert_eq!(web["spec"]["replicas"], 1, "{web:#}");
    bed.kubectl(["scale", "deployment", "web", "--namespace=web-dev", "--replicas=3"]).ok();
    wait(world, "web-dev", "deployment/web", "jsonpath={.spec.replicas}=1");

    let uid = |object: &str| {
        let got = bed.kubectl(["get", object, "--namespace=web-dev", "--output=jsonpath={.metadata.uid}"]);
        got.stdout
    };
    let before = uid("service/web");
    bed.kubectl(["delete", "service", "web", "--namespace=web-dev"]).ok();
    wait(world, "web-dev", "service/web", "create");
    assert_ne!(uid("service/web"), before, "it was made anew");
    wait(world, "argocd", "application/web-dev", "jsonpath={.status.sync.status}=Synced");
    wait(world, "argocd", "application/web-dev", "jsonpath={.status.health.status}=Healthy");
}
