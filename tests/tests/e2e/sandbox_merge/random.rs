//! Random writes of a few managers to objects with much in them.

use serde_json::{Map, Value, json};

use super::{
    CONFIG_MAP,
    model::{POD_TEMPLATE, Step, Verb},
};

/// A stream of numbers that is the same for the same seed (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn chance(&mut self, of: u64) -> bool {
        self.roll(of) == 0
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        let at = self.roll(from.len() as u64);
        &from[usize::try_from(at).expect("a small number")]
    }

    /// Some of these, in some order.
    fn some<'a>(&mut self, from: &[&'a str]) -> Vec<&'a str> {
        let mut left = from.to_vec();
        let mut out = Vec::new();
        while !left.is_empty() && !self.chance(3) {
            let at = self.roll(left.len() as u64);
            out.push(left.remove(usize::try_from(at).expect("a small number")));
        }
        out
    }

    fn map(&mut self, keys: &[&str], values: &[&str]) -> Value {
        let pairs: Vec<_> =
            self.some(keys).into_iter().map(|key| (key.to_owned(), json!(self.pick(values)))).collect();
        Value::Object(pairs.into_iter().collect())
    }
}

/// `count` writes that `seed` determines.
pub(super) fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut dice = Dice(seed);
    let first = Step {
        what: "create",
        kind: POD_TEMPLATE,
        name: "random",
        manager: "c".into(),
        subresource: "",
        verb: Verb::Create(json!({"template": {"spec": {"containers": [{"name": "base", "image": "x:1"}]}}})),
    };
    let create = Step { kind: CONFIG_MAP, verb: Verb::Create(json!({})), ..first.clone() };
    let mut steps = vec![first, create];
    steps.extend((0..count).map(|_| step(&mut dice)));
    steps
}

fn step(dice: &mut Dice) -> Step {
    let kind = *dice.pick(&[POD_TEMPLATE, POD_TEMPLATE, POD_TEMPLATE, CONFIG_MAP]);
    let body = if kind == POD_TEMPLATE { template(dice) } else { config(dice) };
    let verb = match dice.roll(9) {
        0 => Verb::Merge(body),
        8 if kind == POD_TEMPLATE => Verb::Json(operations(dice)),
        1 | 2 => Verb::Strategic(body),
        3 | 4 => Verb::Apply(body, false),
        _ => Verb::Apply(body, true),
    };
    let manager = (*dice.pick(&["a", "b", "c"])).to_owned();
    Step { what: "random", kind, name: "random", manager, subresource: "", verb }
}

fn maybe(
    dice: &mut Dice,
    object: &mut Map<String, Value>,
    name: &str,
    value: impl FnOnce(&mut Dice) -> Value,
) {
    if dice.chance(2) {
        let value = if dice.chance(12) { Value::Null } else { value(dice) };
        object.insert(name.to_owned(), value);
    }
}

fn metadata(dice: &mut Dice) -> Value {
    let mut metadata = Map::new();
    maybe(dice, &mut metadata, "labels", |dice| dice.map(&["l1", "l2", "l3"], &["1", "2"]));
    maybe(dice, &mut metadata, "annotations", |dice| dice.map(&["x.io/a", "n2"], &["1", "<&>"]));
    maybe(dice, &mut metadata, "finalizers", |dice| json!(dice.some(&["x.io/a", "x.io/b", "x.io/c"])));
    metadata.into()
}

/// A JSON patch of one or two operations; many do not fit the object.
fn operations(dice: &mut Dice) -> Value {
    let operation = |dice: &mut Dice| {
        let place = dice.roll(3);
        let path = dice.pick(&["env", "env/0", "ports/0", "image", "command/-", "command/0", "resources"]);
        let path = format!("/template/spec/containers/{place}/{path}");
        match dice.roll(4) {
            0 => json!({"op": "remove", "path": path}),
            1 => json!({"op": "test", "path": path, "value": null}),
            2 => {
                json!({"op": "move", "from": "/template/spec/containers/0", "path": "/template/spec/containers/-"})
            }
            _ if path.ends_with("image") => json!({"op": "replace", "path": path, "value": "x:3"}),
            _ => {
                json!({"op": "add", "path": "/template/spec/containers/0/env/-", "value": {"name": "D", "value": "1"}})
            }
        }
    };
    if dice.chance(2) { json!([operation(dice)]) } else { json!([operation(dice), operation(dice)]) }
}

fn config(dice: &mut Dice) -> Value {
    let mut object = Map::new();
    maybe(dice, &mut object, "metadata", metadata);
    maybe(dice, &mut object, "data", |dice| dice.map(&["a", "b", "c", "d"], &["1", "2", "3"]));
    maybe(dice, &mut object, "binaryData", |dice| dice.map(&["x", "y"], &["AA==", "AQ=="]));
    object.into()
}

fn template(dice: &mut Dice) -> Value {
    let mut spec = Map::new();
    maybe(dice, &mut spec, "containers", |dice| items(dice, &["a", "base", "b", "d"], container));
    maybe(dice, &mut spec, "volumes", |dice| items(dice, &["v", "w"], volume));
    maybe(dice, &mut spec, "nodeSelector", |dice| dice.map(&["n", "m"], &["1", "2"]));
    maybe(dice, &mut spec, "imagePullSecrets", |dice| {
        items(dice, &["s", "t", "u"], |_, name| json!({"name": name}))
    });
    maybe(dice, &mut spec, "tolerations", |dice| {
        items(dice, &["k", "j"], |_, key| json!({"key": key, "operator": "Exists"}))
    });
    maybe(dice, &mut spec, "securityContext", |dice| json!({"runAsUser": dice.roll(3) + 1}));
    maybe(dice, &mut spec, "terminationGracePeriodSeconds", |dice| json!(dice.roll(3) + 1));
    maybe(dice, &mut spec, "hostAliases", |dice| {
        items(
            dice,
            &["192.0.2.1", "192.0.2.2", "192.0.2.3"],
            |dice, ip| json!({"ip": ip, "hostnames": dice.some(&["x", "y"])}),
        )
    });
    maybe(dice, &mut spec, "topologySpreadConstraints", |dice| {
        items(dice, &["DoNotSchedule", "ScheduleAnyway"], |dice, when| {
            let key = dice.pick(&["zone", "host"]);
            json!({"topologyKey": key, "whenUnsatisfiable": when, "maxSkew": dice.roll(2) + 1})
        })
    });
    let mut object = json!({"template": {"spec": spec}});
    if dice.chance(3) {
        object["metadata"] = metadata(dice);
    }
    if dice.chance(3) {
        object["template"]["metadata"] = metadata(dice);
    }
    object
}

fn items(dice: &mut Dice, names: &[&str], item: impl Fn(&mut Dice, &str) -> Value) -> Value {
    dice.some(names).into_iter().map(|name| item(dice, name)).collect()
}

fn container(dice: &mut Dice, name: &str) -> Value {
    let mut container = Map::new();
    container.insert("name".into(), json!(name));
    container.insert("image".into(), json!(dice.pick(&["x:1", "x:2"])));
    maybe(dice, &mut container, "env", |dice| {
        items(dice, &["A", "B", "C"], |dice, name| json!({"name": name, "value": dice.pick(&["1", "2"])}))
    });
    maybe(dice, &mut container, "ports", |dice| {
        items(dice, &["80", "81", "82"], |dice, port| {
            let port: u16 = port.parse().expect("a port");
            match dice.roll(3) {
                0 => json!({"containerPort": port}),
                1 => json!({"containerPort": port, "protocol": "TCP", "name": format!("p{port}")}),
                _ => json!({"containerPort": port, "protocol": "UDP"}),
            }
        })
    });
    maybe(dice, &mut container, "command", |dice| json!(dice.some(&["x", "y"])));
    maybe(
        dice,
        &mut container,
        "resources",
        |dice| json!({"limits": dice.map(&["cpu", "memory"], &["1", "2"])}),
    );
    container.into()
}

fn volume(dice: &mut Dice, name: &str) -> Value {
    match dice.roll(2) {
        0 => json!({"name": name, "emptyDir": {}}),
        _ => json!({"name": name, "emptyDir": {"medium": "Memory"}}),
    }
}
