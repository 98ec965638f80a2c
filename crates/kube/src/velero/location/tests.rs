use serde_json::json;

use super::*;

fn time_of(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().expect("a time")
}

/// A location made at 10:00, a server made at 10:05; looked at an hour later.
fn look(phase: &str, message: &str, validated: &str, given: Option<&str>, names_secret: bool) -> Location {
    let id = ObjectRef::namespaced("velero.io/v1", "BackupStorageLocation", "velero", "x");
    let mut location = json!({"metadata": {"creationTimestamp": "2026-11-21T10:00:00Z"}, "spec": {},
        "status": {"phase": phase, "lastValidationTime": format!("2026-11-21T{validated}Z"), "message": message}});
    if names_secret {
        location["spec"]["credential"] = json!({"name": "cloud-credentials", "key": "cloud"});
    }
    let server = json!({"metadata": {"creationTimestamp": "2026-11-21T10:05:00Z"}});
    read(&id, Some(&location), Some(&server), given.map(time_of), time_of("11:30:00"))
}

#[test]
fn a_location_counts_only_when_validated_after_its_making() {
    assert_eq!(look("Available", "", "10:06:00", None, true).verdict, Verdict::Met);
    let old = look("Available", "", "10:04:00", None, true);
    assert!(
        matches!(&old.verdict, Verdict::NotYet { waiting_for } if waiting_for.contains("before this installation")),
        "{old:?}"
    );
    let down = look("Unavailable", "connection refused", "11:00:00", None, true);
    assert!(
        matches!(&down.verdict, Verdict::NotYet { waiting_for } if waiting_for.ends_with("Unavailable: connection refused")),
        "{down:?}"
    );
    assert!(down.unavailable);
}

#[test]
fn a_location_counts_only_when_validated_with_the_keys_that_are_there() {
    for (validated, names_secret, met) in [
        ("10:19:59", true, false),
        // may be the answer of a validation that began before
        ("10:20:03", true, false),
        ("10:20:06", true, true),
        // keys that come by way of the kubelet
        ("10:20:06", false, false),
        ("10:22:30", false, true),
    ] {
        let found = look("Available", "", validated, Some("10:20:00"), names_secret);
        assert_eq!((found.verdict.is_met(), found.ask_again), (met, !met), "{validated} {names_secret}");
    }
    // keys that were there before the server
    assert!(look("Available", "", "10:05:01", Some("10:04:59"), true).verdict.is_met());
}

#[test]
fn another_validation_is_asked_for_once_its_answer_would_count() {
    let asks = |now: &str| {
        let id = ObjectRef::namespaced("velero.io/v1", "BackupStorageLocation", "velero", "x");
        let made = json!({"creationTimestamp": "2026-11-21T10:00:00Z"});
        let location = json!({"metadata": made, "spec": {"credential": {"name": "cloud-credentials"}},
            "status": {"phase": "Available", "lastValidationTime": "2026-11-21T10:19:50Z"}});
        let given = Some(time_of("10:20:00"));
        read(&id, Some(&location), Some(&json!({"metadata": made})), given, time_of(now)).ask_again
    };
    assert_eq!([asks("10:20:02"), asks("10:20:05")], [false, true]);
}

#[test]
fn a_store_that_refuses_is_believed_once_it_speaks_of_the_keys_that_are_there() {
    let words = "operation error S3: ListObjectsV2, StatusCode: 403, api error SignatureDoesNotMatch";
    let never = |verdict| matches!(verdict, Verdict::Never { because } if because.ends_with(words));
    for (validated, given, names_secret, believed) in [
        // keys that were there before the server
        ("10:05:10", Some("09:59:00"), true, false),
        ("10:05:40", Some("09:59:00"), true, true),
        ("10:05:40", None, false, true),
        // keys that were replaced under a running server
        ("10:20:10", Some("10:20:00"), true, false),
        ("10:20:31", Some("10:20:00"), true, true),
        ("10:21:00", Some("10:20:00"), false, false),
        ("10:22:30", Some("10:20:00"), false, true),
    ] {
        let found = look("Unavailable", words, validated, given, names_secret);
        assert_eq!(never(found.verdict), believed, "{validated} {given:?} {names_secret}");
    }
}

#[test]
fn a_store_that_knows_neither_key_nor_bucket_has_refused() {
    let words = "operation error S3: ListObjectsV2, https response error StatusCode: 404, api error NotFound";
    let found = look("Unavailable", words, "10:30:00", None, true);
    assert!(matches!(found.verdict, Verdict::Never { .. }), "{found:?}");
}
