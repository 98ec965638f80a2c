//! `plan` shows what the spec means before it shows what would be done.

use crate::bed::Bed;

fn bed() -> Bed {
    let bed = Bed::new();
    assert_eq!(bed.run(&["init", "--provider", "existing"]).code, 0);
    bed
}

#[test]
fn a_plan_shows_the_model_also_where_the_cluster_cannot_be_looked_at() {
    let bed = bed();
    let document = bed.run(&["plan", "--output", "json"]).json();
    let model = &document["model"];
    let names: Vec<_> =
        model["applications"].as_array().expect("applications").iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["hello-dev", "hello-prod", "web-dev", "web-prod"]);
    assert_eq!(model["backup"]["objectives"][0]["feasible"], true);
    let text = bed.run(&["plan"]).stdout;
    for heading in [
        "CLUSTER ",
        "CELL ",
        "APPLICATION ",
        "NAMESPACE ",
        "HOST ",
        "ADD-ON ",
        "ROLLOUT ",
        "OBJECTIVE ",
        "STEP ",
    ] {
        assert!(text.lines().any(|line| line.starts_with(heading)), "{heading}: {text}");
    }
    assert!(!text.contains("TENANT "), "the starter has none: {text}");
}

/// What is removed is what exists, whatever the spec means by now.
#[test]
fn a_plan_of_down_shows_no_model() {
    let bed = bed();
    assert!(bed.run(&["plan", "down", "--output", "json"]).json()["model"].is_null());
    assert!(!bed.run(&["plan", "down"]).stdout.contains("APPLICATION "));
}
