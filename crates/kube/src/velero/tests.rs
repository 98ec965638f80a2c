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

/// A location made at 10:00, a server made at 10:05.
fn location(phase: &str, message: &str, validated: &str, given: Option<&str>) -> Verdict {
    let location = json!({"metadata": {"creationTimestamp": "2026-11-21T10:00:00Z"},
        "status": {"phase": phase, "lastValidationTime": validated, "message": message}});
    let server = json!({"metadata": {"creationTimestamp": "2026-11-21T10:05:00Z"}});
    let given = given.map(|at| at.parse().expect("a time"));
    location_verdict(&id("BackupStorageLocation"), Some(&location), Some(&server), given)
}

#[test]
fn a_location_counts_only_when_validated_after_its_making() {
    assert_eq!(location("Available", "", "2026-11-21T10:06:00Z", None), Verdict::Met);
    let old = location("Available", "", "2026-11-21T10:04:00Z", None);
    assert!(
        matches!(&old, Verdict::NotYet { waiting_for } if waiting_for.contains("before this installation")),
        "{old:?}"
    );
    let down = location("Unavailable", "connection refused", "2026-11-21T11:00:00Z", None);
    assert!(
        matches!(&down, Verdict::NotYet { waiting_for } if waiting_for.ends_with("Unavailable: connection refused")),
        "{down:?}"
    );
}

#[test]
fn a_store_that_refuses_is_believed_once_it_speaks_of_the_keys_that_are_there() {
    let words = "operation error S3: ListObjectsV2, StatusCode: 403, api error SignatureDoesNotMatch";
    let refused = |validated, given| location("Unavailable", words, validated, given);
    let never = |verdict| matches!(verdict, Verdict::Never { because } if because.ends_with(words));
    for (validated, given, believed) in [
        // keys that were there before the server
        ("2026-11-21T10:05:10Z", Some("2026-11-21T09:59:00Z"), false),
        ("2026-11-21T10:05:40Z", Some("2026-11-21T09:59:00Z"), true),
        ("2026-11-21T10:05:40Z", None, true),
        // keys that were replaced under a running server
        ("2026-11-21T10:21:00Z", Some("2026-11-21T10:20:00Z"), false),
        ("2026-11-21T10:22:30Z", Some("2026-11-21T10:20:00Z"), true),
    ] {
        assert_eq!(never(refused(validated, given)), believed, "{validated} {given:?}");
    }
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
