//! Tests that leave the cluster alone. The harness begins tests in the order of their names: these fill the time in which
//! others wait for their turn.

use platform_tests::Bed;

use crate::platform::refused;

#[test]
fn a_cluster_that_cannot_be_reached_is_asked_for_a_minute_and_then_said() {
    let Some(world) = Bed::world_aside("unreachable") else { return };
    let nobody = world.kubeconfig_with("nobody.conf", |text| text.replace(":6443", ":1"));
    let right = world.bed().facts().kubeconfig().display().to_string();
    let spec = world.spec_text().replace(&right, &nobody.display().to_string());
    fs_err::write(world.spec(), spec).expect("written");
    let report = refused(world.platform(["up"]), 1, "P0212", "retryable");
    assert_eq!((report["status"].as_str(), report["counts"]["changed"].as_u64()), (Some("held"), Some(1)));
}
