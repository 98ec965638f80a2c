use serde_json::{Value, json};

use super::world::{World, condition, template};
use crate::{kube::object::meta, play::workloads::objects::int};

const JOB: &str = "batch/jobs";
const CRON: &str = "batch/cronjobs";

fn job(policy: &str, more: Value) -> Value {
    let mut template = template("work", "work:1");
    template["spec"]["restartPolicy"] = policy.into();
    let mut job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "work", "namespace": "shop" },
        "spec": { "template": template },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        job["spec"][key] = value.clone();
    }
    job
}

#[test]
fn a_job_completes_and_is_forgotten_in_time() {
    let mut world = World::new(&["n1"]);
    world.make(
        JOB,
        job("Never", json!({ "completions": 5, "parallelism": 2, "ttlSecondsAfterFinished": 100 })),
    );
    let mut most = 0;
    for _ in 0..50 {
        world.pass(1);
        most = most.max(int(&world.there(JOB, "work")["status"]["active"]));
    }
    let work = world.there(JOB, "work");
    assert_eq!(most, 2);
    assert_eq!(condition(&work, "Complete"), "True/CompletionsReached");
    assert_eq!((int(&work["status"]["succeeded"]), int(&work["status"]["active"])), (5, 0));
    assert!(work["status"]["completionTime"].is_string());
    assert_eq!(world.pods().len(), 5, "they stay to be read");
    assert!(world.pods().iter().all(|pod| pod["metadata"].get("finalizers").is_none()));
    world.jump(120);
    assert!(world.get(JOB, "work").is_none() && world.pods().is_empty());
}

#[test]
fn an_indexed_job_has_every_number_once() {
    let mut world = World::new(&["n1"]);
    world.make(JOB, job("Never", json!({ "completions": 3, "parallelism": 3, "completionMode": "Indexed" })));
    world.pass(20);
    let work = world.there(JOB, "work");
    assert_eq!((&work["status"]["completedIndexes"], int(&work["status"]["succeeded"])), (&json!("0-2"), 3));
    let mut hosts: Vec<String> = world.pods().iter().map(|it| it["spec"]["hostname"].to_string()).collect();
    hosts.sort();
    assert_eq!(hosts, ["\"work-0\"", "\"work-1\"", "\"work-2\""]);
}

#[test]
fn a_job_gives_up_after_its_limit() {
    let mut world = World::new(&["n1"]);
    let mut failing = job("Never", json!({ "backoffLimit": 2 }));
    failing["spec"]["template"]["metadata"]["annotations"]["sandbox.platform.dev/crash"] = "true".into();
    world.make(JOB, failing);
    world.jump(300);
    let work = world.there(JOB, "work");
    assert_eq!(condition(&work, "Failed"), "True/BackoffLimitExceeded");
    assert_eq!((int(&work["status"]["failed"]), world.pods().len()), (3, 3));
    assert_eq!(world.was_told("work", "BackoffLimitExceeded"), "Job has reached the specified backoff limit");
}

#[test]
fn a_job_waits_when_told_and_not_longer_than_allowed() {
    let mut world = World::new(&["n1"]);
    world.make(JOB, job("OnFailure", json!({ "suspend": true, "activeDeadlineSeconds": 4 })));
    world.pass(20);
    assert_eq!(condition(&world.there(JOB, "work"), "Suspended"), "True/JobSuspended");
    assert!(world.pods().is_empty());
    world.change(JOB, "work", |it| it["spec"]["suspend"] = false.into());
    world.pass(20);
    let work = world.there(JOB, "work");
    assert_eq!(condition(&work, "Suspended"), "False/JobResumed");
    assert_eq!(condition(&work, "Failed"), "True/DeadlineExceeded");
    assert!(world.pods().is_empty());
}

#[test]
fn a_job_that_is_deleted_takes_its_pods_with_it() {
    let mut world = World::new(&["n1"]);
    world.make(JOB, job("Never", json!({ "parallelism": 2, "completions": 2 })));
    world.pass(4);
    assert_eq!(world.pods().len(), 2);
    world.delete(JOB, "work");
    world.pass(10);
    assert!(world.pods().is_empty(), "{:?}", world.pods());
}

fn cron(schedule: &str, zone: &str, policy: &str) -> Value {
    let mut spec = json!({
        "schedule": schedule, "concurrencyPolicy": policy,
        "jobTemplate": { "spec": job("Never", json!({}))["spec"] },
    });
    if !zone.is_empty() {
        spec["timeZone"] = zone.into();
    }
    json!({ "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "tick", "namespace": "shop" }, "spec": spec })
}

#[test]
fn a_cron_job_runs_on_time_and_keeps_some_history() {
    let mut world = World::new(&["n1"]);
    // The clock stands at 1970-01-12T13:46:40Z.
    world.make(CRON, cron("*/10 * * * *", "", "Allow"));
    world.jump(190);
    assert!(world.list(JOB).is_empty());
    world.jump(30);
    assert_eq!(world.list(JOB).len(), 1);
    let first = world.list(JOB)[0].clone();
    assert_eq!(meta(&first, "name"), format!("tick-{}", 1_000_200 / 60));
    let tick = world.there(CRON, "tick");
    assert_eq!(tick["status"]["lastScheduleTime"], "1970-01-12T13:50:00Z");
    world.jump(3_600);
    let tick = world.there(CRON, "tick");
    assert_eq!(world.list(JOB).len(), 3, "of seven");
    assert_eq!(tick["status"]["lastScheduleTime"], "1970-01-12T14:50:00Z");
    assert!(tick["status"]["active"].is_null() && tick["status"]["lastSuccessfulTime"].is_string());
    // What was missed while nobody looked is made up for once.
    world.change(CRON, "tick", |it| it["spec"]["suspend"] = true.into());
    world.jump(3_600);
    assert_eq!(world.there(CRON, "tick")["status"]["lastScheduleTime"], "1970-01-12T14:50:00Z");
    world.change(CRON, "tick", |it| it["spec"]["suspend"] = false.into());
    world.pass(1);
    assert_eq!(world.there(CRON, "tick")["status"]["lastScheduleTime"], "1970-01-12T15:50:00Z");
}

#[test]
fn a_cron_job_has_a_time_zone() {
    let mut world = World::new(&["n1"]);
    world.make(CRON, cron("0 15 * * *", "Europe/Berlin", "Allow"));
    world.jump(1_000);
    assert_eq!(world.there(CRON, "tick")["status"]["lastScheduleTime"], "1970-01-12T14:00:00Z");
}

#[test]
fn a_cron_job_may_forbid_two_at_once() {
    let mut world = World::new(&["n1"]);
    let mut slow = cron("* * * * *", "", "Forbid");
    let annotations = json!({ "sandbox.platform.dev/unpullable": "true" });
    slow["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["annotations"] = annotations;
    world.make(CRON, slow);
    world.jump(300);
    assert_eq!(world.list(JOB).len(), 1);
    world.was_told("tick", "JobAlreadyActive");
    world.change(CRON, "tick", |it| it["spec"]["concurrencyPolicy"] = "Replace".into());
    world.jump(120);
    assert_eq!(world.list(JOB).len(), 1);
}
