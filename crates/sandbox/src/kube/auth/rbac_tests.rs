//! The index against a naive reading of the same objects, and the words of refusals.

use std::{convert::Infallible, sync::Arc};

use jiff::Timestamp;
use proptest::{prelude::*, sample::select};
use serde_json::json;

use super::*;
use crate::kube::store::Key;

fn put(store: &Store, object: Value) {
    let plural = format!("{}s", object["kind"].as_str().expect("a kind").to_lowercase());
    let key = Key {
        kind: format!("{GROUP}/{plural}").into(),
        namespace: meta(&object, "namespace").to_owned(),
        name: meta(&object, "name").to_owned(),
    };
    store.change(&key, |_| Ok::<_, Infallible>(Some(object))).expect("infallible");
}

/// Reads every binding and every role, each time.
fn naive(objects: &[Value], user: &User, deed: &Deed<'_>) -> bool {
    let is_of = |subject: &Value, namespace: &str| match subject["kind"].as_str() {
        Some("User") => subject["name"] == user.name.as_str(),
        Some("Group") => user.groups.iter().any(|group| subject["name"] == group.as_str()),
        _ => {
            let within = subject["namespace"].as_str().unwrap_or(namespace);
            !within.is_empty()
                && user.name
                    == format!(
                        "system:serviceaccount:{within}:{}",
                        subject["name"].as_str().unwrap_or_default()
                    )
        }
    };
    let applies = |binding: &&Value| {
        let namespace = meta(binding, "namespace");
        let here = match binding["kind"].as_str() {
            Some("ClusterRoleBinding") => true,
            Some("RoleBinding") => !deed.namespace.is_empty() && namespace == deed.namespace,
            _ => false,
        };
        here && binding["subjects"].as_array().expect("subjects").iter().any(|it| is_of(it, namespace))
    };
    let role_of = |binding: &Value| {
        objects.iter().find(|it| {
            it["kind"] == binding["roleRef"]["kind"]
                && it["metadata"]["name"] == binding["roleRef"]["name"]
                && (it["kind"] == "ClusterRole" || meta(it, "namespace") == meta(binding, "namespace"))
        })
    };
    objects
        .iter()
        .filter(applies)
        .filter_map(role_of)
        .any(|role| role["rules"].as_array().expect("rules").iter().any(|rule| Rule::of(rule).allows(deed)))
}

fn rule() -> impl Strategy<Value = Value> {
    let verb = select(vec!["get", "list", "*"]);
    let resource = select(vec!["pods", "pods/log", "*", "*/log", "secrets"]);
    let group = select(vec!["", "apps", "*"]);
    let names = select(vec![json!([]), json!(["a"])]);
    (verb, resource, group, names).prop_map(|(verb, resource, group, names)| {
        json!({ "verbs": [verb], "resources": [resource], "apiGroups": [group], "resourceNames": names })
    })
}

fn object() -> impl Strategy<Value = Value> {
    let name = || select(vec!["one", "two"]);
    let namespace = || select(vec!["x", "y"]);
    let rules = || prop::collection::vec(rule(), 0..3);
    let subject = prop_oneof![
        select(vec!["jane", "joe"]).prop_map(|name| json!({ "kind": "User", "name": name })),
        select(vec!["devs", "ops"]).prop_map(|name| json!({ "kind": "Group", "name": name })),
        namespace().prop_map(|it| json!({ "kind": "ServiceAccount", "name": "robot", "namespace": it })),
        Just(json!({ "kind": "ServiceAccount", "name": "robot" })),
    ];
    let subjects = || prop::collection::vec(subject.clone(), 0..3);
    let role = prop_oneof![
        name().prop_map(|name| json!({ "kind": "ClusterRole", "name": name })),
        name().prop_map(|name| json!({ "kind": "Role", "name": name })),
    ];
    prop_oneof![
        (name(), rules()).prop_map(|(name, rules)| {
            json!({ "kind": "ClusterRole", "metadata": { "name": name }, "rules": rules })
        }),
        (name(), namespace(), rules()).prop_map(|(name, namespace, rules)| {
            json!({ "kind": "Role", "metadata": { "name": name, "namespace": namespace }, "rules": rules })
        }),
        (name(), name(), subjects()).prop_map(|(name, role, subjects)| {
            json!({
                "kind": "ClusterRoleBinding", "metadata": { "name": name },
                "roleRef": { "kind": "ClusterRole", "name": role }, "subjects": subjects,
            })
        }),
        (name(), namespace(), role, subjects()).prop_map(|(name, namespace, role, subjects)| {
            json!({
                "kind": "RoleBinding", "metadata": { "name": name, "namespace": namespace },
                "roleRef": role, "subjects": subjects,
            })
        }),
    ]
}

/// The last of each name, as a store has it.
fn stored(objects: Vec<Value>) -> Vec<Value> {
    let mut last: BTreeMap<(String, String, String), Value> = BTreeMap::new();
    for object in objects {
        let kind = object["kind"].to_string();
        last.insert((kind, meta(&object, "namespace").to_owned(), meta(&object, "name").to_owned()), object);
    }
    last.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_says_what_the_objects_say(
        objects in prop::collection::vec(object(), 0..14),
        who in select(vec![User::new("jane", ["devs"]), User::new("joe", ["ops"]), User::account("x", "robot", "u")]),
    ) {
        let store = Store::default();
        let access = Access::default();
        let (before, after) = objects.split_at(objects.len() / 2);
        // Asked in the middle, so that what was held then is not good any more.
        for objects in [before.to_vec(), [before, after].concat()] {
            objects.iter().for_each(|object| put(&store, object.clone()));
            let objects = stored(objects);
            for verb in ["get", "list", "delete"] {
                for (resource, subresource) in [("pods", ""), ("pods", "log"), ("secrets", "")] {
                    for (namespace, name) in [("", ""), ("x", ""), ("x", "a"), ("y", "b")] {
                        let deed = Deed { verb, resource, subresource, namespace, name, ..Deed::default() };
                        let verdict = access.now(&store).judge(&who, &deed);
                        prop_assert_eq!(verdict.allowed, naive(&objects, &who, &deed), "{:?}", deed);
                    }
                }
            }
        }
    }
}

#[test]
fn refusals_have_the_words_of_the_real_server() {
    let api = Api::new(Arc::new(|| Timestamp::UNIX_EPOCH), 1);
    let jane = User::new("jane", ["devs"]);
    let words = |deed: Deed<'_>| api.allow(&jane, &deed).expect_err("nobody was given anything").message;
    let pods = Deed { verb: "list", resource: "pods", ..Deed::default() };
    assert_eq!(
        words(pods),
        r#"pods is forbidden: User "jane" cannot list resource "pods" in API group "" at the cluster scope"#
    );
    assert_eq!(
        words(Deed {
            verb: "get",
            group: "apps",
            resource: "deployments",
            subresource: "scale",
            namespace: "x",
            name: "web",
            path: ""
        }),
        r#"deployments.apps "web" is forbidden: User "jane" cannot get resource "deployments/scale" in API group "apps" in the namespace "x""#
    );
    assert_eq!(
        words(Deed { verb: "get", path: "/metrics", ..Deed::default() }),
        r#"forbidden: User "jane" cannot get path "/metrics""#
    );
    put(
        &api.store,
        json!({
            "kind": "ClusterRoleBinding", "metadata": {"name": "b"},
            "roleRef": {"kind": "ClusterRole", "name": "gone"}, "subjects": [{"kind": "User", "name": "jane"}],
        }),
    );
    assert!(
        words(pods).ends_with(
            r#"at the cluster scope: RBAC: clusterrole.rbac.authorization.k8s.io "gone" not found"#
        )
    );
    put(
        &api.store,
        json!({"kind": "ClusterRole", "metadata": {"name": "gone"}, "rules": [{"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}]}),
    );
    let verdict = api.may(&jane, &pods);
    assert_eq!(
        (verdict.allowed, verdict.reason.as_str()),
        (true, r#"RBAC: allowed by ClusterRoleBinding "b" of ClusterRole "gone" to User "jane""#)
    );
}
