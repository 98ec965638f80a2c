//! `platform conformance`, with the sandbox's provider as a program of its own: a process for each call, TLS, real time.

use platform_tests::Alone;
use serde_json::Value;

/// The verdicts of a report by the names of behaviours.
fn verdicts(report: &Value) -> Vec<(&str, &str)> {
    let checks = report["checks"].as_array().expect("checks");
    let word = |check: &'_ Value, key: &str| check[key].as_str().expect("a word").to_owned();
    let mut verdicts: Vec<_> = checks
        .iter()
        .map(|check| (check["name"].as_str().expect("a name"), check["verdict"].as_str().expect("a verdict")))
        .collect();
    verdicts.sort_unstable();
    assert!(checks.iter().all(|it| it["verdict"] == "passed" || !word(it, "why").is_empty()), "{report:#}");
    verdicts
}

#[test]
fn the_sandboxs_provider_passes_in_process_and_as_a_plugin() {
    let home = Alone::new();
    let inside = home.platform(["conformance", "--provider", "sandbox"]).ok().json();
    let inside = verdicts(&inside);
    assert!(inside.len() >= 20 && inside.iter().all(|(_, verdict)| *verdict == "passed"), "{inside:?}");

    home.platform(["sandbox", "start"]).ok();
    let program = Alone::program("platform-provider-sandbox").display().to_string();
    let connection = home.sandbox().join("connection.json").display().to_string();
    let mut command = home.command(["conformance", "--provider", &program, "--yes", "--report", "report"]);
    let said = platform_tests::Output::of(command.args(["--", &connection])).ok();
    let report = said.json();
    assert_eq!((report["provider"].as_str(), report["passed"].as_bool()), (Some("sandbox"), Some(true)));
    let outside = verdicts(&report);
    let names = |verdicts: &[(&str, &str)]| verdicts.iter().map(|it| it.0.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&outside), names(&inside), "the same behaviours");
    let skipped: Vec<_> = outside.iter().filter(|it| it.1 != "passed").map(|it| it.0).collect();
    // What wants faults, a count or something foreign cannot be had of a cloud that is only reached.
    assert_eq!(
        skipped,
        [
            "adopted_is_never_deleted",
            "capacity_is_tried_elsewhere",
            "lost_reply_makes_no_second_object",
            "quota_is_found_before_anything_is_made",
            "refusals_are_classified",
            "stale_look_makes_no_second_object",
        ]
    );
    assert!(home.dir().join("report/conformance.md").exists());

    let changes = home.changes();
    assert!(changes.iter().filter(|(deed, _)| deed == "create_cluster").count() > 5, "{changes:?}");
    let status = home.platform(["sandbox", "status"]).ok().json();
    assert_eq!(status["things"], 0, "nothing is left: {status:#}");
}
