use super::*;

fn id(kind: &str) -> ObjectRef {
    ObjectRef::namespaced(API_VERSION, kind, "velero", "x")
}

fn backup(status: Value) -> Backup {
    read_backup(&id("Backup"), &json!({"status": status}))
}

#[test]
fn only_completed_is_success() {
    let done = backup(
        json!({"phase": "Completed", "warnings": 1, "progress": {"itemsBackedUp": 20, "totalItems": 20},
                             "completionTimestamp": "2026-11-21T10:00:00Z"}),
    );
    let expected =
        Backup::Completed { name: "x".into(), items: 20, warnings: 1, at: "2026-11-21T10:00:00Z".into() };
    assert_eq!(done, expected);
}

#[test]
fn every_phase_on_the_way_and_any_unknown_one_is_waited_for() {
    for phase in [
        "New",
        "Queued",
        "ReadyToStart",
        "InProgress",
        "WaitingForPluginOperations",
        "Finalizing",
        "WaitingForPluginOperationsPartiallyFailed",
        "FinalizingPartiallyFailed",
        "SomethingNew",
    ] {
        assert!(matches!(backup(json!({"phase": phase})), Backup::Running { .. }), "{phase}");
    }
    let Backup::Running { waiting_for, .. } =
        backup(json!({"phase": "InProgress", "progress": {"itemsBackedUp": 12, "totalItems": 20}}))
    else {
        panic!("finished")
    };
    assert_eq!(waiting_for, "backup velero/x: InProgress, 12 of 20 items");
}

#[test]
fn a_failure_keeps_counts_and_words() {
    let Backup::Failed(failure) = backup(json!({"phase": "PartiallyFailed", "errors": 2, "warnings": 1,
        "progress": {"itemsBackedUp": 9, "totalItems": 11}, "validationErrors": ["no such location"]}))
    else {
        panic!("no failure")
    };
    assert_eq!((failure.code.as_str(), failure.class), ("P0431", Class::Config));
    assert_eq!(
        failure.causes,
        ["phase PartiallyFailed: 2 errors, 1 warnings, 9 of 11 items", "no such location"]
    );
}

#[test]
fn a_backup_lost_by_a_restart_is_told_from_one_that_failed() {
    let reason =
        "found a backup with status \"InProgress\" during the server starting, mark it as \"Failed\"";
    assert!(lost_by_restart(&json!({"status": {"phase": "Failed", "failureReason": reason}})));
    assert!(!lost_by_restart(&json!({"status": {"phase": "Failed", "failureReason": "bucket gone"}})));
}

#[test]
fn a_schedule_is_enabled_or_never_will_be() {
    let verdict = |live: Value| schedule_verdict(&id("Schedule"), Some(&live));
    assert_eq!(verdict(json!({"status": {"phase": "Enabled"}})), Verdict::Met);
    assert!(matches!(verdict(json!({"status": {"phase": "New"}})), Verdict::NotYet { .. }));
    assert!(matches!(
        verdict(json!({"spec": {"paused": true}, "status": {"phase": "Enabled"}})),
        Verdict::Never { .. }
    ));
    let bad = verdict(json!({"status": {"phase": "FailedValidation", "validationErrors": ["bad cron"]}}));
    assert_eq!(bad, Verdict::Never { because: "Schedule velero/x: bad cron".into() });
}

#[test]
fn the_credentials_show_only_on_the_wire() {
    let manifest = credentials("demo", "velero", SecretString::from("aws_secret"));
    assert!(!format!("{manifest:?}{}", manifest.objects()[0].value()).contains("aws_secret"));
}
