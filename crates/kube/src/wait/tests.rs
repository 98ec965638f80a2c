use serde_json::json;

use super::*;

fn at() -> (String, String) {
    ("argocd".into(), "argocd-server".into())
}

fn deployment(live: &Value) -> Verdict {
    let (namespace, name) = at();
    let condition = Condition::DeploymentAvailable { namespace, name };
    judge(&condition, &subject(&condition).expect("one object"), Some(live))
}

fn words(verdict: &Verdict) -> &str {
    assert!(matches!(verdict, Verdict::NotYet { .. }), "{verdict:?}");
    verdict.words()
}

#[test]
fn a_deployment_is_available_when_its_last_change_is() {
    let mut live = json!({"metadata": {"generation": 2}, "spec": {"replicas": 1}, "status": {
        "observedGeneration": 2, "updatedReplicas": 1, "availableReplicas": 1,
        "conditions": [{"type": "Available", "status": "True"}]}});
    assert_eq!(deployment(&live), Verdict::Met);
    live["status"]["availableReplicas"] = json!(0);
    assert_eq!(words(&deployment(&live)), "argocd/argocd-server: 0 of 1 replicas available");
    live["status"]["observedGeneration"] = json!(1);
    assert_eq!(
        words(&deployment(&live)),
        "argocd/argocd-server: its controller has not seen the last change"
    );
    live["status"] = json!({});
    assert_eq!(
        words(&deployment(&live)),
        "argocd/argocd-server: its controller has not seen the last change"
    );
}

#[test]
fn a_job_that_failed_never_completes() {
    let condition = Condition::JobComplete { namespace: "n".into(), name: "j".into() };
    let id = subject(&condition).expect("one object");
    let look =
        |conditions: Value| judge(&condition, &id, Some(&json!({"status": {"conditions": conditions}})));
    assert_eq!(look(json!([{"type": "Complete", "status": "True"}])), Verdict::Met);
    assert_eq!(words(&look(json!([]))), "Job n/j: not complete");
    let failed = look(json!([{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]));
    assert_eq!(failed, Verdict::Never { because: "Job n/j failed: BackoffLimitExceeded".into() });
}

#[test]
fn absence_names_what_holds_a_thing_back() {
    let object = ObjectRef::namespaced("v1", "ConfigMap", "n", "c");
    let condition = Condition::Absent { object: object.clone() };
    let live = json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["a/b"]}});
    assert_eq!(judge(&condition, &object, None), Verdict::Met);
    assert_eq!(
        words(&judge(&condition, &object, Some(&live))),
        "ConfigMap n/c: being deleted since 2026-01-01T00:00:00Z, held by finalizer a/b"
    );
}

#[test]
fn nodes_are_counted_and_named() {
    let node = |name: &str, ready: &str| {
        let conditions = json!([{"type": "Ready", "status": ready}]);
        Arc::new(json!({"metadata": {"name": name}, "status": {"conditions": conditions}}))
    };
    assert_eq!(nodes_ready(&[node("a", "True"), node("b", "True")], 2), Verdict::Met);
    assert_eq!(words(&nodes_ready(&[node("a", "True")], 2)), "nodes: 1 of 2 ready");
    assert_eq!(
        words(&nodes_ready(&[node("a", "True"), node("b", "Unknown")], 1)),
        "nodes: 1 of 2 ready, not b"
    );
}

#[test]
fn combinations_say_what_is_open() {
    let open = |text: &str| Verdict::not_yet(text);
    let never = || Verdict::Never { because: "no".into() };
    assert_eq!(all(vec![]), Verdict::Met);
    assert_eq!(all(vec![Verdict::Met, open("a"), open("b"), open("c")]), open("a; b; and 1 more"));
    assert_eq!(all(vec![open("a"), never()]), never());
    assert_eq!(any(vec![open("a"), Verdict::Met]), Verdict::Met);
    assert_eq!(any(vec![open("a"), never()]), open("a"));
    assert_eq!(any(vec![never(), never()]), Verdict::Never { because: "no, or no".into() });
}

#[test]
fn a_condition_can_be_kept_as_json() {
    let (namespace, name) = at();
    let condition = Condition::all_of([
        Condition::DeploymentAvailable { namespace, name },
        Condition::any_of([Condition::NodesReady { at_least: 3 }]),
    ]);
    let text = serde_json::to_string(&condition).expect("serialises");
    assert_eq!(serde_json::from_str::<Condition>(&text).expect("reads back"), condition);
}
