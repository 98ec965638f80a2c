//! Apply, update and strategic patches by example; [`laws`] has what holds for all of them.

mod laws;

use serde_json::{Value, json};

use super::{fields::Set, *};
use crate::kube::schema::Shape;

const THEN: &str = "2026-01-01T00:00:00Z";
const LATER: &str = "2026-01-01T00:00:09Z";

fn shape(kind: &str) -> &'static Shape {
    let group = if kind == "Deployment" { "apps" } else { "" };
    Shape::built_in(group, "v1", kind).expect("a built-in kind")
}

fn nothing() -> &'static Set {
    static NOTHING: std::sync::OnceLock<Set> = std::sync::OnceLock::new();
    NOTHING.get_or_init(Set::new)
}

fn write<'a>(kind: &str, manager: &'a str, now: &'a str) -> Write<'a> {
    let api_version = if kind == "Deployment" { "apps/v1" } else { "v1" };
    Write { shape: shape(kind), manager, api_version, subresource: "", reset: nothing(), now }
}

fn object(kind: &str, more: &Value) -> Value {
    let mut object =
        json!({"apiVersion": write(kind, "", "").api_version, "kind": kind, "metadata": {"name": "x"}});
    for (name, value) in more.as_object().expect("an object") {
        match (name.as_str(), value) {
            ("metadata", Value::Object(fields)) => {
                object["metadata"].as_object_mut().expect("an object").extend(fields.clone());
            }
            _ => object[name] = value.clone(),
        }
    }
    object
}

/// A live object to which managers write in turn.
struct Live(&'static str, Value);

impl Live {
    fn new(kind: &'static str) -> Self {
        Self(kind, blank(shape(kind), &object(kind, &json!({}))))
    }

    fn apply(&mut self, manager: &str, config: Value) -> Result<bool, String> {
        self.apply_at(THEN, manager, config, false)
    }

    fn force(&mut self, manager: &str, config: Value) -> bool {
        self.apply_at(THEN, manager, config, true).expect("force has no conflicts")
    }

    fn apply_at(&mut self, now: &str, manager: &str, config: Value, force: bool) -> Result<bool, String> {
        let config = object(self.0, &config);
        let applied =
            write(self.0, manager, now).apply(&self.1, &config, force).map_err(|error| error.to_string())?;
        self.1 = applied.object;
        decode(shape(self.0), &mut self.1);
        self.1["metadata"]["uid"] = json!("u");
        Ok(applied.changed)
    }

    fn update(&mut self, manager: &str, edit: impl FnOnce(&mut Value)) {
        let mut new = self.1.clone();
        edit(&mut new);
        write(self.0, manager, LATER).track(&self.1, &mut new);
        self.1 = new;
        self.1["metadata"]["uid"] = json!("u");
    }

    /// What each manager owns.
    fn owners(&self) -> Value {
        let entries = self.1["metadata"]["managedFields"].as_array().into_iter().flatten();
        entries
            .map(|entry| (entry["manager"].as_str().expect("a name").to_owned(), entry["fieldsV1"].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

fn data(data: Value) -> Value {
    json!({ "data": data })
}

#[test]
fn what_is_no_longer_applied_goes_unless_another_owns_it() {
    let mut live = Live::new("ConfigMap");
    live.apply("a", data(json!({"x": "1", "y": "1", "z": "1"}))).expect("applied");
    assert!(!live.apply("b", data(json!({"y": "1"}))).expect("equal values are shared"));
    live.update("c", |it| it["data"]["u"] = json!("1"));
    live.apply("a", data(json!({"z": "1"}))).expect("applied");
    assert_eq!(live.1["data"], json!({"z": "1", "y": "1", "u": "1"}));
    assert_eq!(
        live.owners(),
        json!({"a": {"f:data": {"f:z": {}}}, "b": {"f:data": {"f:y": {}}}, "c": {"f:data": {"f:u": {}}}})
    );
}

#[test]
fn conflicts_name_managers_and_fields_and_force_takes_over() {
    let mut live = Live::new("ConfigMap");
    live.apply("a", data(json!({"x": "1", "y": "1"}))).expect("applied");
    live.update("b", |it| it["data"]["z"] = json!("1"));
    assert_eq!(
        live.apply("c", data(json!({"x": "2"}))),
        Err("Apply failed with 1 conflict: conflict with \"a\": .data.x".to_owned())
    );
    assert_eq!(
        live.apply("c", data(json!({"x": "2", "y": "2", "z": "2"}))),
        Err("Apply failed with 3 conflicts: conflicts with \"a\":\n- .data.x\n- .data.y\n\
             conflicts with \"b\" using v1:\n- .data.z"
            .to_owned())
    );
    live.force("c", data(json!({"x": "2", "z": "2"})));
    assert_eq!(live.owners(), json!({"a": {"f:data": {"f:y": {}}}, "c": {"f:data": {"f:x": {}, "f:z": {}}}}));
}

#[test]
fn an_apply_that_changes_nothing_keeps_the_times() {
    let mut live = Live::new("ConfigMap");
    live.apply("a", data(json!({"x": "1"}))).expect("applied");
    let before = live.1.clone();
    assert_eq!(live.apply_at(LATER, "a", data(json!({"x": "1"})), false), Ok(false));
    assert_eq!(live.1, before);
    live.apply_at(LATER, "a", data(json!({"x": "2"})), false).expect("applied");
    assert_eq!(live.1["metadata"]["managedFields"][0]["time"], LATER);
}

fn containers(list: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": list}}}})
}

#[test]
fn lists_are_merged_by_key_in_the_order_of_the_last_who_changed_it() {
    let mut live = Live::new("Deployment");
    live.apply("a", containers(json!([{"name": "a", "image": "1"}, {"name": "c", "image": "1"}])))
        .expect("applied");
    live.apply("b", containers(json!([{"name": "b", "image": "1"}]))).expect("applied");
    live.force(
        "a",
        containers(json!([{"name": "d", "image": "1"}, {"name": "c", "image": "2"}, {"name": "a"}])),
    );
    let names: Vec<_> = live.1["spec"]["template"]["spec"]["containers"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|item| {
            format!(
                "{}{}",
                item["name"].as_str().expect("a name"),
                item["image"].as_str().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(names, ["d1", "c2", "b1", "a"]);
}

#[test]
fn keys_have_defaults_and_duplicates_are_refused() {
    let port = |port: Value| json!({"spec": {"ports": [port]}});
    let mut live = Live::new("Service");
    live.apply("a", port(json!({"port": 80, "name": "web"}))).expect("applied");
    live.apply("b", port(json!({"port": 80, "protocol": "UDP"}))).expect("another port");
    assert_eq!(
        live.apply("b", port(json!({"port": 80, "protocol": "TCP", "name": "x"})))
            .expect_err("the same port"),
        "Apply failed with 1 conflict: conflict with \"a\": .spec.ports[port=80,protocol=\"TCP\"].name"
    );
    let twice = json!({"spec": {"ports": [{"port": 80}, {"port": 80, "protocol": "TCP"}]}});
    assert_eq!(
        live.apply("a", twice).expect_err("twice"),
        "failed to create typed patch object (/x; /v1, Kind=Service): .spec.ports: duplicate entries for key \
         [port=80,protocol=\"TCP\"]"
    );
    assert_eq!(
        live.apply("a", json!({"spec": {"prots": []}})).expect_err("unknown"),
        "failed to create typed patch object (/x; /v1, Kind=Service): .spec.prots: field not declared in schema"
    );
}

#[test]
fn what_was_there_before_the_first_apply_has_a_manager() {
    let mut live = Live::new("ConfigMap");
    live.1 = object("ConfigMap", &json!({"metadata": {"uid": "u"}, "data": {"x": "1", "y": "1"}}));
    assert!(
        live.apply("a", data(json!({"x": "2"})))
            .expect_err("a conflict")
            .contains("\"before-first-apply\" using v1")
    );
    live.force("a", data(json!({"x": "2"})));
    assert_eq!(
        live.owners(),
        json!({"a": {"f:data": {"f:x": {}}}, "before-first-apply": {"f:data": {".": {}, "f:y": {}}}})
    );
}

#[test]
fn an_update_owns_what_it_changes_and_owners_can_be_forgotten() {
    let mut live = Live::new("Deployment");
    live.update("c", |it| {
        *it = {
            let mut new = object(
                "Deployment",
                &json!({"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 1,
            "selector": {"matchLabels": {"a": "1"}},
            "template": {"spec": {"containers": [{"name": "a", "image": "1"}]}}}}),
            );
            decode(shape("Deployment"), &mut new);
            new
        }
    });
    assert_eq!(
        live.owners()["c"],
        json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:replicas": {}, "f:selector": {},
            "f:template": {"f:spec": {"f:containers": {r#"k:{"name":"a"}"#: {".": {}, "f:image": {}, "f:name": {},
                "f:resources": {}}}}}}})
    );
    live.update("d", |it| it["spec"]["replicas"] = json!(2));
    assert_eq!(live.owners()["d"], json!({"f:spec": {"f:replicas": {}}}));
    assert!(live.owners()["c"]["f:spec"].get("f:replicas").is_none());
    live.update("d", |it| it["metadata"]["managedFields"] = json!([]));
    assert_eq!(live.1["metadata"].get("managedFields"), None);
}

#[test]
fn strategic_patches_merge_delete_replace_and_order() {
    let list = |list: Value| json!({"spec": {"containers": list}});
    let live = list(json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}, {"name": "c"}]));
    let patched = |patch: Value| {
        let patched = strategic_patch(shape("Pod"), &live, &list(patch)).expect("patched");
        patched["spec"]["containers"].clone()
    };
    assert_eq!(
        patched(json!([{"name": "d"}, {"name": "b", "image": null}, {"name": "c", "$patch": "delete"}])),
        json!([{"name": "d"}, {"name": "a", "image": "1"}, {"name": "b"}])
    );
    assert_eq!(patched(json!([{"name": "d"}, {"$patch": "replace"}])), json!([{"name": "d"}]));
    let ordered = json!({"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}});
    assert_eq!(
        strategic_patch(shape("Pod"), &live, &ordered).expect("patched"),
        list(json!([{"name": "b", "image": "1"}, {"name": "c"}, {"name": "a", "image": "1"}]))
    );
}

#[test]
fn custom_kinds_have_the_owners_that_their_schemas_say() {
    let schema = json!({"type": "object", "properties": {
        "apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
        "spec": {"type": "object", "properties": {
            "rules": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["host", "port"],
                "items": {"type": "object", "properties": {
                    "host": {"type": "string"}, "port": {"type": "integer", "default": 80}, "to": {"type": "string"}}}},
            "all": {"type": "object", "x-kubernetes-map-type": "atomic", "properties": {"x": {"type": "integer"}}},
            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        }},
    }});
    let (shape, status) = (Shape::of(&schema), reset_fields("Thing", true, "", true));
    let write = Write {
        shape: &shape,
        manager: "a",
        api_version: "x.io/v1",
        subresource: "",
        reset: &status,
        now: THEN,
    };
    let thing = |spec: Value| json!({"apiVersion": "x.io/v1", "kind": "Thing", "metadata": {"name": "x"}, "spec": spec});
    let config =
        thing(json!({"rules": [{"host": "h", "to": "y"}], "all": {"x": 1}, "free": {"a": {"b": [1]}}}));
    let applied = write.apply(&blank(&shape, &config), &config, false).expect("applied").object;
    assert_eq!(
        applied["metadata"]["managedFields"][0]["fieldsV1"],
        json!({"f:spec": {
            "f:all": {},
            "f:free": {"f:a": {".": {}, "f:b": {}}},
            "f:rules": {r#"k:{"host":"h","port":80}"#: {".": {}, "f:host": {}, "f:to": {}}},
        }})
    );
    let other = Write { manager: "b", ..write };
    let same_rule = thing(json!({"rules": [{"host": "h", "port": 80, "to": "z"}]}));
    let refused = other.apply(&applied, &same_rule, false).expect_err("a conflict");
    assert_eq!(
        refused.to_string(),
        "Apply failed with 1 conflict: conflict with \"a\": .spec.rules[host=\"h\",port=80].to"
    );
}
