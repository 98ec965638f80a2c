//! Rights as clients meet them: requests of people and of service accounts.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Credentials, User, Wanted, authenticate, impersonate};
use crate::kube::{
    api::{Answer, Api, Ask},
    request::Query,
};

fn api() -> Api {
    let api = Api::new(Arc::new(|| Timestamp::from_second(1_800_000_000).expect("a time")), 1);
    api.begin(6443);
    api.begin_rights();
    api
}

fn ask(api: &Api, user: &User, method: &str, path: &str, body: Value) -> (u16, Value) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let ask = Ask {
        method: method.into(),
        path: path.into(),
        query: Query::parse(query),
        user: user.clone(),
        content_type: if method == "PATCH" { "application/merge-patch+json" } else { "application/json" }
            .into(),
        body: if body.is_null() { Vec::new() } else { body.to_string().into_bytes() },
        ..Ask::default()
    };
    match api.answer(&ask) {
        Answer::List { .. } => unreachable!("made whole"),
        Answer::Json { code, body, .. } => (code, std::sync::Arc::unwrap_or_clone(body)),
        Answer::Text { code, body, .. } => (code, body.into()),
        Answer::Watch(_) | Answer::Bytes { .. } => (200, Value::Null),
    }
}

fn made(api: &Api, path: &str, body: Value) -> Value {
    let (code, body) = ask(api, &User::default(), "POST", path, body);
    assert_eq!(code, 201, "{body}");
    body
}

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

fn bind(api: &Api, namespace: &str, role: &str, user: &str) {
    let name = format!("{role}-{user}").replace(':', "-");
    let binding = json!({
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    });
    made(api, &format!("{RBAC}/namespaces/{namespace}/rolebindings"), binding);
}

#[test]
fn who_is_given_nothing_may_nothing() {
    let api = api();
    let jane = User::new("jane", ["devs"]);
    let (code, body) = ask(&api, &jane, "GET", "/api/v1/namespaces/default/pods", Value::Null);
    assert_eq!(code, 403);
    assert_eq!(
        body["message"],
        r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" in the namespace "default""#
    );
    assert_eq!((&body["reason"], &body["details"]), (&json!("Forbidden"), &json!({"kind": "pods"})));
    let (code, body) = ask(&api, &jane, "GET", "/api/v1/namespaces/default", Value::Null);
    assert_eq!(code, 403);
    assert!(
        body["message"].as_str().is_some_and(|it| it.ends_with(r#"in the namespace "default""#)),
        "{body}"
    );
    assert_eq!(
        ask(&api, &jane, "GET", "/apis/nowhere.io/v1/things", Value::Null).0,
        403,
        "before it is looked for"
    );
    let (code, body) = ask(&api, &User::anonymous(), "GET", "/apis", Value::Null);
    assert_eq!(
        (code, &body["message"]),
        (403, &json!(r#"forbidden: User "system:anonymous" cannot get path "/apis""#))
    );
    assert_eq!(ask(&api, &User::anonymous(), "GET", "/version", Value::Null).0, 200);

    bind(&api, "default", "edit", "jane");
    assert_eq!(ask(&api, &jane, "GET", "/api/v1/namespaces/default/pods", Value::Null).0, 200);
    assert_eq!(ask(&api, &jane, "GET", "/api/v1/namespaces/default/pods?watch=1", Value::Null).0, 200);
    assert_eq!(ask(&api, &jane, "GET", "/api/v1/pods", Value::Null).0, 403);
}

#[test]
fn a_name_in_a_field_selector_is_a_name() {
    let api = api();
    let role = json!({
        "metadata": {"name": "one"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"], "resourceNames": ["a"]}],
    });
    made(&api, &format!("{RBAC}/clusterroles"), role);
    bind(&api, "default", "one", "jane");
    let jane = User::new("jane", ["devs"]);
    let maps = "/api/v1/namespaces/default/configmaps";
    assert_eq!(
        ask(&api, &jane, "GET", &format!("{maps}?fieldSelector=metadata.name%3Da"), Value::Null).0,
        200
    );
    assert_eq!(ask(&api, &jane, "GET", maps, Value::Null).0, 403);
}

#[test]
fn nobody_gives_away_what_they_do_not_have() {
    let api = api();
    let jane = User::new("jane", ["devs"]);
    bind(&api, "default", "admin", "jane");
    let roles = format!("{RBAC}/namespaces/default/roles");
    let role = |verbs: &[&str], resource: &str| json!({"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": verbs}]});
    let (code, body) = ask(&api, &jane, "POST", &roles, role(&["get", "update"], "nodes"));
    assert_eq!(code, 403);
    assert_eq!(
        body["message"],
        "roles.rbac.authorization.k8s.io \"r\" is forbidden: user \"jane\" (groups=[\"devs\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"nodes\"], Verbs:[\"get\" \"update\"]}"
    );
    assert_eq!(ask(&api, &jane, "POST", &roles, role(&["get"], "pods")).0, 201);
    let wider = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    assert_eq!(ask(&api, &jane, "PATCH", &format!("{roles}/r"), wider).0, 403);
    assert_eq!(ask(&api, &jane, "PATCH", &format!("{roles}/r"), json!({"rules": []})).0, 200);
    let binding = |role: &str| {
        json!({
            "metadata": {"name": role}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            "subjects": [],
        })
    };
    let bindings = format!("{RBAC}/namespaces/default/rolebindings");
    assert_eq!(ask(&api, &jane, "POST", &bindings, binding("cluster-admin")).0, 403);
    assert_eq!(ask(&api, &jane, "POST", &bindings, binding("view")).0, 201);
    assert_eq!(ask(&api, &jane, "POST", &bindings, binding("nowhere")).0, 404);
}

#[test]
fn one_becomes_another_only_by_right() {
    let api = api();
    let wanted = |user: &str, groups: &[&str]| Wanted {
        user: user.into(),
        groups: groups.iter().map(|it| (*it).to_owned()).collect(),
        ..Wanted::default()
    };
    let become_ = |user: &User, wanted: Wanted| impersonate(&api, user.clone(), wanted);
    let joe = become_(&User::default(), wanted("joe", &["ops"])).expect("the owner may");
    assert_eq!(
        (joe.name.as_str(), joe.groups),
        ("joe", vec!["ops".to_owned(), "system:authenticated".to_owned()])
    );
    let robot =
        become_(&User::default(), wanted("system:serviceaccount:a:robot", &[])).expect("the owner may");
    assert!(robot.groups.contains(&"system:serviceaccounts:a".to_owned()));
    let jane = User::new("jane", ["devs"]);
    let refused = become_(&jane, wanted("joe", &[])).expect_err("jane may not");
    assert_eq!(
        refused.message,
        r#"users "joe" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope"#
    );
    let refused = become_(&User::default(), wanted("", &["ops"])).expect_err("nobody");
    assert_eq!(refused.message, "requested [{Group  ops    }] without impersonating a user");
}

#[test]
fn a_service_account_is_known_by_its_token_as_long_as_it_is_there() {
    let api = api();
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    made(&api, accounts, json!({"metadata": {"name": "robot"}}));
    let answer = made(&api, &format!("{accounts}/robot/token"), json!({"spec": {"expirationSeconds": 600}}));
    let token = answer["status"]["token"].as_str().expect("a token").to_owned();
    assert_eq!(answer["status"]["expirationTimestamp"], "2027-01-15T08:10:00Z");
    let known = |token: &str| {
        authenticate(&api, &Credentials { certificates: &[], authorization: &format!("Bearer {token}") })
            .map(|user| user.name)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(known(&token).as_deref(), Ok("system:serviceaccount:default:robot"));
    let review = |audiences: Value| {
        let body = json!({"spec": {"token": token, "audiences": audiences}});
        made(&api, "/apis/authentication.k8s.io/v1/tokenreviews", body)["status"].clone()
    };
    assert_eq!(review(json!([]))["user"]["username"], "system:serviceaccount:default:robot");
    assert!(review(json!(["vault"]))["authenticated"].is_null());
    let (code, body) = ask(
        &api,
        &User::default(),
        "POST",
        &format!("{accounts}/robot/token"),
        json!({"spec": {"expirationSeconds": 60}}),
    );
    assert_eq!(
        (code, &body["message"]),
        (
            422,
            &json!(
                "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes"
            )
        )
    );

    let secret = json!({
        "metadata": {"name": "kept", "annotations": {"kubernetes.io/service-account.name": "robot"}},
        "type": "kubernetes.io/service-account-token",
    });
    made(&api, "/api/v1/namespaces/default/secrets", secret);
    let (_, secret) =
        ask(&api, &User::default(), "GET", "/api/v1/namespaces/default/secrets/kept", Value::Null);
    use base64::{Engine, engine::general_purpose::STANDARD};
    let kept = STANDARD.decode(secret["data"]["token"].as_str().expect("filled in")).expect("base64");
    let kept = String::from_utf8(kept).expect("text");
    assert_eq!(known(&kept).as_deref(), Ok("system:serviceaccount:default:robot"));

    ask(&api, &User::default(), "DELETE", &format!("{accounts}/robot"), Value::Null);
    assert_eq!((known(&token), known(&kept)), (Err(401), Err(401)));
    assert_eq!(
        ask(&api, &User::default(), "GET", "/api/v1/namespaces/default/secrets/kept", Value::Null).0,
        404
    );
    made(&api, accounts, json!({"metadata": {"name": "robot"}}));
    assert_eq!(known(&token), Err(401), "another of the same name");
}

#[test]
fn questions_are_answered() {
    let api = api();
    bind(&api, "default", "view", "jane");
    let jane = User::new("jane", ["devs"]);
    let group = "/apis/authorization.k8s.io/v1";
    let wants = json!({"verb": "list", "resource": "pods", "namespace": "default"});
    let (code, body) = ask(
        &api,
        &jane,
        "POST",
        &format!("{group}/selfsubjectaccessreviews"),
        json!({"spec": {"resourceAttributes": wants}}),
    );
    assert_eq!((code, &body["status"]["allowed"]), (201, &json!(true)));
    assert_eq!(
        body["status"]["reason"],
        r#"RBAC: allowed by RoleBinding "view-jane/default" of ClusterRole "view" to User "jane""#
    );
    let of = |user: &str| {
        let spec = json!({"user": user, "resourceAttributes": {"verb": "delete", "resource": "pods", "namespace": "default"}});
        made(&api, &format!("{group}/subjectaccessreviews"), json!({"spec": spec}))["status"].clone()
    };
    assert_eq!(of("jane"), json!({"allowed": false}));
    let (code, body) =
        ask(&api, &User::default(), "POST", &format!("{group}/subjectaccessreviews"), json!({"spec": {}}));
    assert_eq!(code, 422, "{body}");
    let (code, _) = ask(&api, &jane, "POST", &format!("{group}/subjectaccessreviews"), json!({"spec": {}}));
    assert_eq!(code, 403, "not everybody may ask about others");
    let (_, rules) = ask(
        &api,
        &jane,
        "POST",
        &format!("{group}/selfsubjectrulesreviews"),
        json!({"spec": {"namespace": "default"}}),
    );
    let rules = rules["status"]["resourceRules"].as_array().expect("rules").clone();
    assert!(
        rules
            .iter()
            .any(|rule| rule["resources"].as_array().is_some_and(|it| it.contains(&json!("pods/log"))))
    );
    let (_, me) = ask(&api, &jane, "POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", json!({}));
    assert_eq!(
        me["status"]["userInfo"],
        json!({"username": "jane", "groups": ["devs", "system:authenticated"]})
    );
}

#[test]
fn roles_that_gather_others_follow_them() {
    let api = api();
    let role = json!({
        "metadata": {"name": "things", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["x.io"], "resources": ["things"], "verbs": ["get"]}],
    });
    made(&api, &format!("{RBAC}/clusterroles"), role);
    bind(&api, "default", "admin", "jane");
    let deed = super::rules::Deed {
        verb: "get",
        group: "x.io",
        resource: "things",
        namespace: "default",
        ..super::rules::Deed::default()
    };
    let jane = User::new("jane", ["devs"]);
    assert!(api.may(&jane, &deed).allowed, "view is gathered into edit, and that into admin");
    ask(&api, &User::default(), "DELETE", &format!("{RBAC}/clusterroles/things"), Value::Null);
    assert!(!api.may(&jane, &deed).allowed);
}
