//! The plans of `up` and `down` as a reviewer reads them.

mod stage;

use platform_engine::plan::Plan;
use stage::{Flow, Stage};

/// One line per step, what it needs below it.
fn table(plan: &Plan) -> String {
    let mut lines = vec![format!("{} of {}, policy {:?}", plan.flow, plan.platform, plan.policy)];
    for step in &plan.steps {
        lines.push(format!(
            "{}: {}  [{} {:?}, {} s at most]",
            step.id,
            step.title,
            step.uses,
            step.retry,
            step.deadline_ms / 1_000
        ));
        lines.extend(step.needs.iter().map(|need| format!("    after {need}")));
    }
    lines.join("\n")
}

#[tokio::test]
async fn the_plan_of_up() {
    insta::assert_snapshot!(table(&Stage::new().await.plan(Flow::Up).await));
}

#[tokio::test]
async fn the_plan_of_down() {
    insta::assert_snapshot!(table(&Stage::new().await.plan(Flow::Down).await));
}

#[tokio::test]
async fn the_plan_of_up_for_two_clusters() {
    insta::assert_snapshot!(table(&Stage::with_two_clusters().await.plan(Flow::Up).await));
}

#[tokio::test]
async fn the_plan_of_down_for_two_clusters() {
    insta::assert_snapshot!(table(&Stage::with_two_clusters().await.plan(Flow::Down).await));
}

#[tokio::test]
async fn the_same_wish_gives_the_same_plan() {
    for flow in [Flow::Up, Flow::Down] {
        assert_eq!(Stage::new().await.plan(flow).await, Stage::new().await.plan(flow).await);
    }
}
