//! The Kubernetes room of the program by itself, against the bed's API server (S0-01).

use platform_tests::{Bed, Output};

#[test]
fn its_tests_against_a_real_api_server_pass() {
    let Some(world) = Bed::world("kube") else { return };
    let facts = world.bed().facts();
    // They open connections themselves, so they have to run inside the bed's network.
    let mut tests = world.bed().command_as_is(env!("CARGO"));
    tests
        .args(["test", "--offline", "-q", "-p", "platform-kube", "--test", "real", "--", "--nocapture"])
        .env("PLATFORM_TEST_KUBECONFIG", facts.own_kubeconfig())
        .env("PLATFORM_TEST_KUBECONFIG_EXPIRED", world.expired_kubeconfig());
    let said = Output::of(&mut tests).ok();
    assert!(!said.stderr.contains("skipped"), "{}", said.stderr);
    world.assert_clean();
}
