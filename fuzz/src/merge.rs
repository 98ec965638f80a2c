//! Server-side apply and patches.

use std::{collections::BTreeSet, sync::OnceLock};

use platform_sandbox::kube::{
    merge::{
        ApplyError, Conflict, Write, blank, decode, fields::Set, json_patch, keep_times, managed::Operation,
        merge_patch, strategic_patch,
    },
    schema::Shape,
};
use serde_json::{Map, Value, json};

use super::choices::Choices;

const NOW: &str = "2026-01-01T00:00:00Z";

/// The kinds that are written to: group, and kind.
const KINDS: [(&str, &str); 4] = [("", "ConfigMap"), ("apps", "Deployment"), ("", "Pod"), ("", "Service")];

/// A JSON object `{"live", "sent"}` is one write of any form to an object of any form, which has some answer. Anything
/// else is a story of managers that the bytes choose, in which more must hold.
pub fn holds(data: &[u8]) {
    if data.first() == Some(&b'{') {
        if let Ok(given) = serde_json::from_slice::<Value>(data) {
            KINDS.iter().for_each(|kind| answered(*kind, &given["live"], &given["sent"]));
        }
    } else {
        story(&mut Choices(data));
    }
}

fn write<'a>((group, kind): (&str, &str), manager: &'a str) -> Write<'a> {
    static NOTHING: OnceLock<Set> = OnceLock::new();
    Write {
        shape: Shape::built_in(group, "v1", kind).expect("a built-in kind"),
        manager,
        api_version: if group.is_empty() { "v1" } else { "apps/v1" },
        subresource: "",
        reset: NOTHING.get_or_init(Set::new),
        now: NOW,
    }
}

/// However the object and what is sent look, there is an answer; and a merge patch, sent again, changes nothing.
fn answered(kind: (&str, &str), live: &Value, sent: &Value) {
    let write = write(kind, "m");
    let mut made = vec![live.clone(), sent.clone()];
    made.extend(write.apply(live, sent, true).map(|applied| applied.object));
    made.extend(strategic_patch(write.shape, live, sent));
    made.extend(json_patch(live, sent));
    if let Ok(merged) = merge_patch(live, sent) {
        if let Ok(again) = merge_patch(&merged, sent) {
            assert_eq!(again, merged, "a merge patch, sent twice: {sent}");
        }
        made.push(merged);
    }
    for mut new in made {
        decode(write.shape, &mut new);
        write.track(live, &mut new);
        keep_times(live, &mut new);
        owners(&new, true);
    }
}

/// Who owns what, when that can be read; `strange` says that the object may be anything.
fn owners(object: &Value, strange: bool) -> Vec<(String, Set)> {
    let entries = object["metadata"]["managedFields"].as_array();
    let mut owners = Vec::new();
    for entry in entries.into_iter().flatten() {
        match Set::from_json(&entry["fieldsV1"]) {
            Ok(set) => {
                let again = Set::from_json(&set.to_json()).expect("what was written can be read");
                assert_eq!(again, set, "owned fields, written and read again");
                owners.push((entry["manager"].as_str().unwrap_or_default().to_owned(), set));
            }
            Err(cause) => assert!(strange, "{cause} in {entry}"),
        }
    }
    owners
}

/// Managers write in turn. What is applied by force holds, twice is once, what conflicts without force changes nothing,
/// and whoever gives up its fields owns none.
fn story(choices: &mut Choices<'_>) {
    let kind = choices.pick(&[KINDS[0], KINDS[1]]);
    let shape = write(kind, "").shape;
    let mut live = blank(shape, &of_kind(kind, Map::new()));
    for _ in 0..8 {
        if choices.is_empty() {
            return;
        }
        let manager = choices.pick(&["a", "b", "kubectl"]);
        let config = of_kind(kind, if kind.1 == "ConfigMap" { data(choices) } else { workload(choices) });
        let write = write(kind, manager);
        if choices.once_in(5) {
            update(&write, &mut live, &config);
            continue;
        }
        let gently = write.apply(&live, &config, false);
        let applied = write.apply(&live, &config, true).unwrap_or_else(|error| panic!("{config}: {error}"));
        match gently {
            Ok(gently) => assert_eq!(gently, applied, "without a conflict force is no matter"),
            Err(ApplyError::Conflicts(conflicts)) => {
                // A manager's updates are another manager's to its applies.
                let other =
                    |it: &Conflict| it.manager.name != manager || it.manager.operation == Operation::Update;
                assert!(!conflicts.is_empty() && conflicts.iter().all(other), "{conflicts:?}");
            }
            Err(error) => panic!("{config}: {error}"),
        }
        live = stored(shape, applied.object);
        assert!(says(&config, &live), "{config} is not in {live}");
        let again = write.apply(&live, &config, false).expect("who owns its fields has no conflict");
        assert!(!again.changed, "applied twice: {config}");
        assert_eq!(stored(shape, again.object), live, "applied twice: {config}");
        let names: Vec<String> = owners(&live, false).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), names.iter().collect::<BTreeSet<_>>().len() + updaters(&live), "{names:?}");
    }
    for manager in ["a", "b", "kubectl"] {
        let given_up = write(kind, manager).apply(&live, &of_kind(kind, Map::new()), false);
        live = stored(shape, given_up.expect("nobody stands in the way of who gives up").object);
        let applied = |entry: &&Value| entry["manager"] == manager && entry["operation"] == "Apply";
        let entries = live["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        assert!(!entries.iter().any(|entry| applied(&entry)), "{manager} owns nothing any more: {live}");
    }
}

/// How many entries are of updates by a manager who also applies.
fn updaters(live: &Value) -> usize {
    let entries = live["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let of = |operation: &str| {
        let those = entries.iter().filter(|entry| entry["operation"] == operation);
        those.map(|entry| entry["manager"].to_string()).collect::<BTreeSet<_>>()
    };
    of("Update").intersection(&of("Apply")).count()
}

/// As the server keeps it.
fn stored(shape: &Shape, mut object: Value) -> Value {
    decode(shape, &mut object);
    object["metadata"]["uid"] = json!("u");
    object
}

/// A write of the whole object: what it says comes to belong to its manager.
fn update(write: &Write<'_>, live: &mut Value, config: &Value) {
    let mut new = config.clone();
    new["metadata"]["managedFields"] = live["metadata"]["managedFields"].clone();
    decode(write.shape, &mut new);
    write.track(live, &mut new);
    owners(&new, false);
    *live = stored(write.shape, new);
}

fn of_kind((group, kind): (&str, &str), more: Map<String, Value>) -> Value {
    let version = if group.is_empty() { "v1".to_owned() } else { format!("{group}/v1") };
    let mut object = json!({ "apiVersion": version, "kind": kind, "metadata": { "name": "x" } });
    for (name, value) in more {
        match (name.as_str(), value) {
            ("labels", value) => object["metadata"]["labels"] = value,
            (name, value) => object[name] = value,
        }
    }
    object
}

/// Some of the names, each with one of the values.
fn map(choices: &mut Choices<'_>, names: &[&str], values: &[&str]) -> Map<String, Value> {
    let bits = choices.byte();
    let chosen = names.iter().enumerate().filter(|(at, _)| bits & (1 << at) != 0);
    chosen.map(|(_, name)| ((*name).to_owned(), json!(choices.pick(values)))).collect()
}

fn data(choices: &mut Choices<'_>) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("labels".to_owned(), map(choices, &["x", "y"], &["1", "2"]).into());
    object.insert("data".to_owned(), map(choices, &["a", "b", "c", "d"], &["1", "2", ""]).into());
    object.retain(|_, value| value != &json!({}));
    object
}

fn workload(choices: &mut Choices<'_>) -> Map<String, Value> {
    let mut containers = Vec::new();
    for name in ["a", "b", "c"] {
        let bits = choices.byte();
        if bits & 1 == 0 {
            continue;
        }
        let mut container = json!({ "name": name });
        if bits & 2 != 0 {
            container["image"] = json!(choices.pick(&["one", "two"]));
        }
        if bits & 4 != 0 {
            let mut env = map(choices, &["A", "B"], &["1", "2"]);
            // An empty list is not kept.
            env.insert("C".to_owned(), json!("1"));
            container["env"] =
                env.into_iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        }
        if bits & 8 != 0 {
            let ports = [80, 81].into_iter().take(1 + choices.of(2));
            container["ports"] =
                ports.map(|port| json!({ "containerPort": port, "protocol": "TCP" })).collect();
        }
        if bits & 16 != 0 {
            container["command"] = json!(["run", choices.pick(&["x", "y"])]);
        }
        containers.push(container);
    }
    let mut object = Map::new();
    let labels = map(choices, &["x", "y"], &["1", "2"]);
    if !labels.is_empty() {
        object.insert("labels".to_owned(), labels.into());
    }
    let mut spec = json!({});
    if choices.once_in(2) {
        spec["replicas"] = json!(choices.of(3));
    }
    if !containers.is_empty() {
        spec["template"]["spec"]["containers"] = json!(containers);
    }
    if spec != json!({}) {
        object.insert("spec".to_owned(), spec);
    }
    object
}

/// Whether all that `part` says is said by `whole`; items are found by their names and ports.
fn says(part: &Value, whole: &Value) -> bool {
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(name, part)| whole.get(name).is_some_and(|whole| says(part, whole)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            let same =
                |a: &Value, b: &Value| a["name"] == b["name"] && a["containerPort"] == b["containerPort"];
            part.iter().all(|part| whole.iter().any(|whole| same(part, whole) && says(part, whole)))
        }
        (part, whole) => part == whole,
    }
}
