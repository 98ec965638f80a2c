//! What holds for all objects and writes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// JSON of any form, with the names that matter.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-1..90i64).prop_map(Value::from),
        prop::sample::select(vec!["a", "b", "delete", "replace", "merge", "TCP", "/data/a", "add"])
            .prop_map(Value::from),
    ];
    let name = prop::sample::select(vec![
        "metadata",
        "managedFields",
        "finalizers",
        "labels",
        "spec",
        "template",
        "containers",
        "ports",
        "name",
        "containerPort",
        "protocol",
        "strategy",
        "type",
        "image",
        "data",
        "selector",
        "$patch",
        "$retainKeys",
        "$setElementOrder/containers",
        "$deleteFromPrimitiveList/finalizers",
        "op",
        "path",
        "value",
        "from",
    ]);
    leaf.prop_recursive(7, 60, 5, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn config() -> impl Strategy<Value = Value> {
    let image = prop::option::of("[12]");
    let item = ("[abc]", image, prop::collection::btree_map("[AB]", "[12]", 0..3));
    let containers = prop::collection::vec(item, 0..4).prop_map(|items| {
        let mut seen = std::collections::BTreeSet::new();
        let items =
            items.into_iter().filter(|(name, ..)| seen.insert(name.clone())).map(|(name, image, env)| {
                let env: Vec<_> =
                    env.into_iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                let mut item = json!({"name": name});
                if let Some(image) = image {
                    item["image"] = json!(image);
                }
                if !env.is_empty() {
                    item["env"] = json!(env);
                }
                item
            });
        items.collect::<Vec<_>>()
    });
    (containers, prop::collection::btree_map("[xyz]", "[12]", 0..3)).prop_map(|(containers, labels)| {
        let mut config = json!({});
        if !containers.is_empty() {
            config["spec"]["template"]["spec"]["containers"] = json!(containers);
        }
        if !labels.is_empty() {
            config["metadata"]["labels"] = json!(labels);
        }
        config
    })
}

/// Whether all that `part` says holds of `whole`; items are found by their names.
fn holds(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| holds(part, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => part
            .iter()
            .all(|part| whole.iter().any(|whole| part["name"] == whole["name"] && holds(part, whole))),
        (part, whole) => part == whole,
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_has_an_answer(live in anything(), sent in anything(), kind in 0..3usize) {
        let kind = ["Deployment", "ConfigMap", "Pod"][kind];
        let write = write(kind, "m", THEN);
        let mut patched = vec![live.clone(), sent.clone()];
        patched.extend(write.apply(&live, &sent, true).map(|applied| applied.object));
        patched.extend(strategic_patch(shape(kind), &live, &sent));
        patched.extend(merge_patch(&live, &sent));
        patched.extend(json_patch(&live, &sent));
        for mut new in patched {
            decode(shape(kind), &mut new);
            write.track(&live, &mut new);
            keep_times(&live, &mut new);
        }
    }

    #[test]
    fn applied_by_force_the_config_holds_and_once_is_as_good_as_twice(
        configs in prop::collection::vec(("[ab]", config()), 1..6)
    ) {
        let mut live = Live::new("Deployment");
        for (manager, config) in configs {
            live.force(&manager, config.clone());
            prop_assert!(holds(&config, &live.1), "{config} in {}", live.1);
            let once = live.1.clone();
            prop_assert!(!live.force(&manager, config));
            prop_assert_eq!(&live.1, &once);
        }
    }

    #[test]
    fn disjoint_fields_never_conflict(a in config(), b in config()) {
        // The second manager's names are none of the first's.
        let b: Value = serde_json::from_str(
            &b.to_string().replace(r#""name":"a""#, r#""name":"m""#).replace(r#""name":"b""#, r#""name":"n""#)
                .replace(r#""name":"c""#, r#""name":"o""#).replace(r#""x":"#, r#""u":"#).replace(r#""y":"#, r#""v":"#)
                .replace(r#""z":"#, r#""w":"#),
        ).expect("JSON");
        let mut live = Live::new("Deployment");
        live.apply("a", a.clone()).expect("the first has no conflict");
        live.apply("b", b.clone()).expect("the second has none");
        live.apply("a", json!({})).expect("nor has giving up");
        let mut alone = Live::new("Deployment");
        alone.apply("b", b).expect("applied");
        prop_assert_eq!(live.owners(), alone.owners());
        prop_assert_eq!(&live.1["spec"], &alone.1["spec"]);
    }
}
