use proptest::prelude::*;
use serde_json::json;

use super::*;

fn paths(desired: &Value, live: &Value) -> Vec<String> {
    compare(desired, live).into_iter().map(|difference| difference.path).collect()
}

/// An object as the server keeps it once we applied `fields`.
fn applied(mut live: Value, fields: Value) -> Value {
    live["metadata"]["managedFields"] = json!([
        {"manager": "platform", "operation": "Apply", "fieldsV1": fields},
        {"manager": "kcm", "operation": "Update", "subresource": "status", "fieldsV1": {"f:status": {}}},
    ]);
    live
}

#[test]
fn defaults_of_the_server_are_no_difference() {
    let desired = json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [
        {"name": "a", "image": "x", "ports": [{"containerPort": 80}], "resources": {"limits": {"cpu": "1000m"}}}]}}}});
    let live = json!({"metadata": {"uid": "u"}, "status": {}, "spec": {"replicas": 1, "strategy": {"type": "RollingUpdate"},
        "template": {"spec": {"dnsPolicy": "ClusterFirst", "containers": [
            {"name": "sidecar", "image": "y"},
            {"name": "a", "image": "x", "imagePullPolicy": "Always", "resources": {"limits": {"cpu": "1"}},
             "ports": [{"containerPort": 80, "protocol": "TCP"}]}]}}}});
    assert_eq!(compare(&desired, &live), []);
}

#[test]
fn a_difference_says_where_and_why() {
    let desired =
        json!({"spec": {"containers": [{"name": "a", "image": "new"}], "args": ["x"], "flag": true}});
    let live = json!({"spec": {"containers": [{"name": "a", "image": "old"}], "args": ["x", "y"]}});
    let found: Vec<String> =
        compare(&desired, &live).into_iter().map(|d| format!("{} {}", d.path, d.why)).collect();
    assert_eq!(
        found,
        [
            "spec.containers[name=a].image is \"old\", not \"new\"",
            "spec.args has 2 entries, not 1",
            "spec.flag is not there"
        ]
    );
}

#[test]
fn what_we_own_and_no_longer_wish_is_a_difference() {
    let live = applied(
        json!({"metadata": {"labels": {"a": "1", "b": "2", "theirs": "3"}}, "spec": {"list": [{"name": "x"}, {"name": "y"}, {"name": "z"}]}}),
        json!({"f:metadata": {"f:labels": {"f:a": {}, "f:b": {}}},
               "f:spec": {"f:list": {"k:{\"name\":\"x\"}": {".": {}, "f:name": {}}, "k:{\"name\":\"y\"}": {".": {}, "f:name": {}}}}}),
    );
    let desired = json!({"metadata": {"labels": {"a": "1"}}, "spec": {"list": [{"name": "x"}]}});
    assert_eq!(paths(&desired, &live), ["metadata.labels.b", "spec.list[name=y]"]);
}

#[test]
fn nothing_is_nothing_only_where_we_put_it() {
    let desired = json!({"spec": {"hostNetwork": false, "args": [], "env": "", "count": 0, "volume": {"emptyDir": {}}}});
    let taken = applied(
        json!({"spec": {}}),
        json!({"f:spec": {"f:hostNetwork": {}, "f:args": {}, "f:env": {}, "f:count": {}, "f:volume": {"f:emptyDir": {}}}}),
    );
    assert_eq!(compare(&desired, &taken), []);
    let lost = applied(json!({"metadata": {}, "spec": {}}), json!({"f:spec": {"f:other": {}}}));
    let expected = ["spec.hostNetwork", "spec.env", "spec.count", "spec.volume"];
    assert_eq!(paths(&desired, &lost), expected, "an empty list leaves no trace in the record");
}

#[test]
fn an_atomic_list_is_compared_whole() {
    let desired = json!({"rules": [{"verbs": ["get"], "resources": ["pods"]}]});
    let more = json!({"metadata": {}, "rules": [{"verbs": ["get"], "resources": ["pods"]}, {"verbs": ["*"], "resources": ["*"]}]});
    assert_eq!(paths(&desired, &more), ["rules"]);
    let named = json!({"spec": {"subjects": [{"name": "a"}]}});
    let extra = json!({"metadata": {}, "spec": {"subjects": [{"name": "a"}, {"name": "b"}]}});
    assert_eq!(compare(&named, &extra), [], "a guessed key leaves others their entries");
    assert_eq!(paths(&named, &applied(extra, json!({"f:spec": {"f:subjects": {}}}))), ["spec.subjects"]);
}

#[test]
fn a_recorded_set_may_hold_more() {
    let live = applied(
        json!({"metadata": {"finalizers": ["ours", "old", "theirs"]}}),
        json!({"f:metadata": {"f:finalizers": {".": {}, "v:\"ours\"": {}, "v:\"old\"": {}}}}),
    );
    let found = compare(&json!({"metadata": {"finalizers": ["ours"]}}), &live);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].why, "has \"old\", which is no longer wished for");
}

#[test]
fn ports_are_told_apart_by_protocol() {
    let desired = json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
    let live = json!({"ports": [{"port": 53, "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "targetPort": 53}]});
    assert_eq!(compare(&desired, &live), []);
}

#[test]
fn volume_mounts_of_one_volume_are_told_apart_by_path() {
    let desired = json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "a"}, {"name": "v", "mountPath": "/b"}]});
    let live = json!({"volumeMounts": [{"name": "v", "mountPath": "/b"}, {"name": "v", "mountPath": "/a", "subPath": "a"}]});
    assert_eq!(compare(&desired, &live), []);
}

#[test]
fn contents_of_secrets_are_never_shown() {
    let desired = json!({"kind": "Secret", "data": {"password": "aHVudGVyMg=="}});
    let live = json!({"kind": "Secret", "data": {"password": "b2xk"}});
    let found = compare(&desired, &live);
    assert_eq!(found, [Difference { path: "data.password".into(), why: "has another value".into() }]);
}

#[test]
fn a_change_inside_an_owned_whole_is_seen() {
    let fields = json!({"f:spec": {"f:versions": {}}});
    let desired = json!({"spec": {"versions": [{"name": "v1", "schema": {"items": {}, "nullable": false, "type": "string"}}]}});
    let live = json!({"metadata": {}, "spec": {"versions": [{"name": "v1", "schema": {"type": "string"}}]}});
    assert_eq!(compare(&desired, &applied(live.clone(), fields.clone())), []);
    let other = json!({"metadata": {}, "spec": {"versions": [{"name": "v1", "schema": {"type": "object"}}]}});
    assert_eq!(paths(&desired, &applied(other, fields)), ["spec.versions[0].schema.type"]);
}

/// Any wish that says something: no nulls, no empty things, entries of lists named apart.
fn wish() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        "[a-z]{1,6}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::btree_map("[a-z]{1,5}", inner.clone(), 1..5).prop_map(|map| json!(map)),
            prop::collection::vec("[a-z]{1,5}", 1..4).prop_map(|list| json!(list)),
            prop::collection::btree_map("[a-z]{1,5}", inner, 1..4).prop_map(|map| {
                map.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
            }),
        ]
    });
    prop::collection::btree_map("[a-z]{1,5}", tree, 1..4)
        .prop_map(|spec| json!({"metadata": {"name": "x"}, "spec": spec}))
}

/// What a server does to an object: adds fields to maps, and entries to keyed lists.
fn with_defaults(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: Map<String, Value> =
                map.iter().map(|(k, v)| (k.clone(), with_defaults(v))).collect();
            map.insert("defaulted-by-server".into(), json!({"a": [1]}));
            Value::Object(map)
        }
        Value::Array(items) if items.iter().all(|item| item.get("name").is_some()) => {
            let injected = json!({"name": "injected-by-server"});
            std::iter::once(injected).chain(items.iter().map(with_defaults)).collect()
        }
        other => other.clone(),
    }
}

/// Pointers to all leaves.
fn leaves(value: &Value, at: &str, out: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| leaves(value, &format!("{at}/{key}"), out)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| leaves(value, &format!("{at}/{index}"), out));
        }
        _ => out.push(at.to_owned()),
    }
}

proptest! {
    #[test]
    fn adding_what_servers_add_keeps_a_match(wish in wish()) {
        prop_assert_eq!(compare(&wish, &wish), []);
        prop_assert_eq!(compare(&wish, &with_defaults(&wish)), []);
    }

    #[test]
    fn changing_any_leaf_makes_a_difference(wish in wish(), which in any::<prop::sample::Index>()) {
        let mut all = Vec::new();
        leaves(&wish, "", &mut all);
        let mut live = wish.clone();
        *live.pointer_mut(which.get::<String>(all.as_slice())).expect("a leaf") = json!("CHANGED");
        prop_assert_ne!(compare(&wish, &live), []);
        prop_assert_ne!(compare(&wish, &with_defaults(&live)), []);
    }

    #[test]
    fn removing_any_field_makes_a_difference(wish in wish(), which in any::<prop::sample::Index>()) {
        let mut all = Vec::new();
        leaves(&wish, "", &mut all);
        let (parent, key) = which.get(all.as_slice()).rsplit_once('/').expect("a path");
        let mut live = wish.clone();
        match live.pointer_mut(parent) {
            Some(Value::Object(map)) => { map.remove(key); }
            Some(Value::Array(items)) => { items.remove(key.parse().expect("an index")); }
            _ => unreachable!("leaves have parents"),
        }
        prop_assert_ne!(compare(&wish, &live), []);
    }
}
