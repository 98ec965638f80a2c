use super::*;

const REPO: &str = "https://git.example/platform.git";
const COMMIT: &str = "1111111111111111111111111111111111111111";

fn at() -> Vec<At> {
    vec![At { repo: REPO.into(), commit: COMMIT.into() }]
}

/// As the controller of Argo CD 3.5 writes it, shortened.
fn healthy() -> Value {
    let source =
        json!({"repoURL": "https://git.example/platform", "path": "apps/web", "targetRevision": "main"});
    json!({
        "metadata": {"namespace": "argocd", "name": "web"},
        "spec": {"source": source},
        "status": {
            "sync": {"status": "Synced", "revision": COMMIT, "comparedTo": {"source": source, "destination": {}}},
            "health": {"status": "Healthy"},
            "operationState": {"phase": "Succeeded", "message": "successfully synced",
                               "syncResult": {"revision": COMMIT, "source": source}},
            "reconciledAt": "2026-11-21T10:00:00Z"
        }
    })
}

fn read(live: &Value) -> AppStatus {
    AppStatus::read(&AppRef::new("argocd", "web"), Some(live), &at())
}

fn table(live: &Value) -> Table {
    Table { rows: vec![read(live)] }
}

fn waiting_for(live: &Value) -> String {
    match table(live).verdict() {
        Verdict::NotYet { waiting_for } => waiting_for,
        other => panic!("{other:?}"),
    }
}

fn with(pointer: &str, value: Value) -> Value {
    let mut live = healthy();
    *live.pointer_mut(pointer).expect("a field") = value;
    live
}

#[test]
fn settled_is_synced_healthy_succeeded_and_at_our_commit() {
    assert!(read(&healthy()).is_settled());
    assert_eq!(table(&healthy()).verdict(), Verdict::Met);
    assert_eq!(table(&healthy()).trouble(), None);
    for (pointer, value) in [
        ("/status/sync/status", "OutOfSync"),
        ("/status/health/status", "Progressing"),
        ("/status/operationState/phase", "Running"),
        ("/status/sync/revision", "2222222222222222222222222222222222222222"),
        ("/spec/source/path", "apps/other"),
    ] {
        assert!(!read(&with(pointer, json!(value))).is_settled(), "{pointer}");
    }
}

#[test]
fn what_argo_cd_does_not_sync_by_itself_is_synced_once_and_then_left_to_people() {
    let mut live = with("/status/sync/status", json!("OutOfSync"));
    live["status"]["operationState"] = Value::Null;
    let now = "2026-11-21T10:00:01Z".parse().expect("a time");
    assert!(!read(&live).is_settled() && table(&live).is_stale(now), "it was never there");
    live["status"]["history"] = json!([{"id": 0}]);
    assert!(read(&live).is_settled() && !table(&live).is_stale(now), "it follows when somebody says so");
    live["spec"]["syncPolicy"] = json!({"automated": {}});
    assert!(!read(&live).is_settled() && !table(&live).is_stale(now), "Argo CD is about to");
    live["status"]["history"] = json!([]);
    assert!(!table(&live).is_stale(now));
}

#[test]
fn nothing_to_sync_needs_no_operation_but_a_pending_one_counts() {
    let mut live = with("/status/operationState", Value::Null);
    assert!(read(&live).is_settled());
    live["operation"] = json!({"sync": {}});
    assert!(!read(&live).is_settled());
}

#[test]
fn every_source_of_ours_must_be_at_our_commit() {
    let sources = json!([
        {"repoURL": "https://charts.example", "chart": "redis", "targetRevision": "1.2.3"},
        {"repoURL": REPO, "ref": "values", "targetRevision": "main"}
    ]);
    let mut live = healthy();
    live["spec"] = json!({"sources": sources});
    live["status"]["sync"] =
        json!({"status": "Synced", "revisions": ["1.2.3", COMMIT], "comparedTo": {"sources": sources}});
    assert!(read(&live).is_settled());
    live["status"]["sync"]["revisions"] = json!(["1.2.3", "2222222"]);
    assert!(!read(&live).at_commit);
    live["status"]["sync"]["revisions"] = json!(["1.2.3"]);
    assert!(!read(&live).at_commit);
}

#[test]
fn what_is_lacking_is_said() {
    assert_eq!(
        waiting_for(&with("/status/health/status", json!("Progressing"))),
        "0 of 1 applications settled; argocd/web: Synced, Progressing, operation Succeeded"
    );
    let stale = with("/status/sync/revision", json!("2222222222222222222222222222222222222222"));
    assert_eq!(waiting_for(&stale), "0 of 1 applications settled; argocd/web: still at 2222222");
    let missing = Table { rows: vec![AppStatus::read(&AppRef::new("argocd", "web"), None, &at())] };
    let Verdict::NotYet { waiting_for } = missing.verdict() else { panic!("met") };
    assert_eq!(waiting_for, "0 of 1 applications settled; argocd/web: not there yet");
}

#[test]
fn a_failed_sync_of_our_commit_will_not_mend_itself() {
    let mut live = with("/status/operationState/phase", json!("Failed"));
    live["status"]["sync"]["status"] = json!("OutOfSync");
    live["status"]["operationState"]["message"] = json!("one or more objects failed to apply: quota");
    let failure = table(&live).trouble().expect("trouble");
    assert_eq!((failure.code.as_str(), failure.class), ("P0420", Class::Config));
    assert_eq!(failure.causes, ["argocd/web: sync failed: one or more objects failed to apply: quota"]);
    live["status"]["operationState"]["syncResult"]["revision"] = json!("older");
    assert_eq!(table(&live).trouble(), None);
}

#[test]
fn a_retried_operation_is_told_and_one_for_an_older_commit_is_in_the_way() {
    let now: Timestamp = "2026-11-21T10:00:30Z".parse().expect("a time");
    let mut live = with(
        "/status/operationState",
        json!({"phase": "Running", "retryCount": 2, "message": "no such kind",
        "startedAt": "2026-11-21T10:00:00Z", "operation": {"sync": {"revision": COMMIT}}}),
    );
    live["operation"] = json!({"sync": {"revision": COMMIT}});
    assert!(read(&live).tried_commit && !read(&live).is_outdated(now));
    assert!(waiting_for(&live).ends_with("argocd/web: Synced, Healthy, operation Running: no such kind"));
    let failure = table(&live).trouble().expect("trouble");
    assert_eq!(failure.class, Class::Retryable);
    assert_eq!(failure.causes, ["argocd/web: sync is being retried: no such kind"]);

    live["status"]["operationState"]["operation"]["sync"]["revision"] = json!("older");
    assert!(read(&live).is_outdated(now));
    live["status"]["operationState"]["retryCount"] = json!(0);
    assert!(!read(&live).is_outdated(now), "a sync under way is given a minute");
    assert!(read(&live).is_outdated("2026-11-21T10:02:00Z".parse().expect("a time")));
}

#[test]
fn a_table_is_stale_when_something_is_to_be_asked_of_argo_cd() {
    let now: Timestamp = "2026-11-21T10:00:30Z".parse().expect("a time");
    assert!(!table(&healthy()).is_stale(now));
    assert!(table(&with("/status/sync/revision", json!("older"))).is_stale(now));
    let left =
        json!({"phase": "Failed", "message": "Operation terminated", "syncResult": {"revision": "older"}});
    assert!(table(&with("/status/operationState", left.clone())).is_stale(now), "nobody would sync it again");
    let mut live = with("/status/operationState", left);
    live["status"]["sync"]["status"] = json!("OutOfSync");
    assert!(!table(&live).is_stale(now), "Argo CD syncs it by itself");
}

#[test]
fn an_error_of_comparison_may_pass() {
    let mut live = healthy();
    live["status"]["conditions"] = json!([
        {"type": "ComparisonError", "message": "authentication required: Unauthorized"},
        {"type": "SharedResourceWarning", "message": "x"}]);
    let failure = table(&live).trouble().expect("trouble");
    assert_eq!((failure.code.as_str(), failure.class), ("P0423", Class::Retryable));
    assert_eq!(failure.causes, ["argocd/web: ComparisonError: authentication required: Unauthorized"]);
    assert!(waiting_for(&live).contains("authentication required"));
}

#[test]
fn an_error_that_waiting_does_not_mend_is_told_from_others_and_given_time() {
    let look = |message: &str| {
        let mut live = healthy();
        live["status"]["conditions"] = json!([{"type": "ComparisonError", "message": message,
            "lastTransitionTime": "2026-11-21T10:00:00Z"}]);
        table(&live)
    };
    let at = |text: &str| format!("2026-11-21T{text}Z").parse::<Timestamp>().expect("a time");
    let patience = SignedDuration::from_mins(2);
    for (message, class) in [
        (
            "rpc error: code = Unknown desc = failed to list refs: authentication required: Unauthorized",
            Class::AuthExpired,
        ),
        ("failed to list refs: repository not found: Repository not found.", Class::NotFound),
        ("unable to resolve 'main' to a commit SHA", Class::NotFound),
        ("rpc error: code = Unknown desc = authorization failed", Class::Forbidden),
    ] {
        let table = look(message);
        assert_eq!(table.refused(at("10:01:59"), patience), None, "{message}");
        let failure = table.refused(at("10:02:00"), patience).expect(message);
        assert_eq!((failure.code.as_str(), failure.class), ("P0424", class), "{message}");
        assert_eq!(failure.causes, [format!("argocd/web: ComparisonError: {message}")]);
        assert!(table.is_stale(at("10:00:30")), "it is compared again, in case somebody mended it");
    }
    for message in ["dial tcp 192.0.2.1:443: connect: connection refused", "context deadline exceeded"] {
        assert!(!look(message).is_refused(), "{message}");
    }
}

#[test]
fn two_looks_differ_when_a_comparison_lies_between() {
    let later = with("/status/reconciledAt", json!("2026-11-21T10:00:10Z"));
    assert_eq!(table(&healthy()).digest(), table(&healthy()).digest());
    assert_ne!(table(&healthy()).digest(), table(&later).digest());
}
