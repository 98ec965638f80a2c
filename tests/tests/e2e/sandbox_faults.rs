//! Faults of the background process: set while it runs, and still in force in its next life.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use platform_tests::Alone;

const SCRIPT: &str = "faults:
  - {service: cloud, operation: create_network, when: {nth: 1}, do: {error: 500}}
  - {service: s3, operation: PutObject, do: {throttle: 2s}}
  - {service: dns, operation: update, do: {lose_reply: true}}
";

#[test]
fn faults_outlive_the_process_until_they_are_taken_away() {
    let home = Alone::new();
    fs_err::write(home.dir().join("storm.yaml"), SCRIPT).expect("written");
    let faults = || home.platform(["sandbox", "faults"]).ok().json()["faults"].clone();
    let pid = || home.platform(["sandbox", "status"]).ok().json()["pid"].as_i64().expect("it runs");

    home.platform(["sandbox", "start", "--faults", "storm.yaml"]).ok();
    let set = faults();
    assert_eq!(set.as_array().map(Vec::len), Some(3), "{set:#}");
    home.platform(["sandbox", "stop"]).ok();
    home.platform(["sandbox", "start"]).ok();
    assert_eq!(faults(), set, "stopped and started");

    // What it has said, it has kept: also when it is killed.
    let first = pid();
    kill(Pid::from_raw(i32::try_from(first).expect("a process id")), Signal::SIGKILL).expect("killed");
    home.platform(["sandbox", "start"]).ok();
    assert_ne!(pid(), first);
    assert_eq!(faults(), set, "killed and started");

    home.platform(["sandbox", "faults", "--clear"]).ok();
    home.platform(["sandbox", "stop"]).ok();
    home.platform(["sandbox", "start"]).ok();
    assert_eq!(faults().as_array().map(Vec::len), Some(0), "taken away for good");
}
