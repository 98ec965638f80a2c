//! Whether an object is as wished for, without asking the server to try it.
//!
//! The second `up` must not write at all, not even a patch without effect; so wish and reality are compared here. The
//! wish is a part of the object (defaults and status come from the server), and the same thing can be written in
//! several ways. Two things are known beyond the two texts:
//!
//! - The server's record of what our field manager applied (`metadata.managedFields`). It says which lists are keyed
//!   by what, which are atomic, and which fields are ours though no longer wished for. Where we own a field that is not
//!   there, its value was nothing worth keeping (`replicas: 0`, `args: []`): the server took it and left it out.
//! - Without such a record, common merge keys and the habits of the API are guessed.

mod evidence;
mod scalar;

use serde_json::{Map, Value};

use evidence::Evidence;
pub(crate) use evidence::ours;

/// One place where reality is not as wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Such as `spec.template.spec.containers[name=server].image`.
    pub path: String,
    /// What differs, in words; no values where they may be secret.
    pub why: String,
}

/// Compares a wish with what is there. Nothing when it is fulfilled.
pub(crate) fn compare(desired: &Value, live: &Value) -> Vec<Difference> {
    let record = ours(live);
    let evidence = record.as_ref().map_or(Evidence::Unknown, Evidence::of);
    let mut walk = Walk { secret: desired["kind"] == "Secret", out: Vec::new() };
    walk.value(desired, Some(live), evidence, &mut Vec::new());
    walk.out
}

struct Walk {
    secret: bool,
    out: Vec<Difference>,
}

type Path = Vec<String>;

impl Walk {
    fn value(&mut self, desired: &Value, live: Option<&Value>, evidence: Evidence<'_>, path: &mut Path) {
        match (desired, live) {
            // Apply leaves nulls out.
            (Value::Null, _) => {}
            (wish, None | Some(Value::Null)) => {
                if !evidence.excuses_absence(wish) {
                    self.note(path, "is not there".into());
                }
            }
            (Value::Object(wish), Some(Value::Object(have))) => self.map(wish, have, evidence, path),
            (Value::Array(wish), Some(Value::Array(have))) => self.list(wish, have, evidence, path),
            (wish, Some(have)) => {
                if !scalar::same(wish, have, path, self.secret) {
                    let why = if self.is_private(path) {
                        "has another value".into()
                    } else {
                        format!("is {}, not {}", brief(have), brief(wish))
                    };
                    self.note(path, why);
                }
            }
        }
    }

    fn map(
        &mut self,
        wish: &Map<String, Value>,
        have: &Map<String, Value>,
        evidence: Evidence<'_>,
        path: &mut Path,
    ) {
        for (key, value) in wish {
            path.push(key.clone());
            self.value(value, have.get(key), evidence.field(key), path);
            path.pop();
        }
        for key in evidence.fields() {
            let unwished = wish.get(key).is_none_or(Value::is_null);
            let there = have.get(key).is_some_and(|value| !value.is_null());
            if unwished && there && !is_housekeeping(path, key) {
                path.push(key.to_owned());
                self.note(path, "is no longer wished for".into());
                path.pop();
            }
        }
    }

    fn list(&mut self, wish: &[Value], have: &[Value], evidence: Evidence<'_>, path: &mut Path) {
        if let Some(keys) = evidence.item_keys() {
            return self.keyed(wish, have, evidence, &keys, path);
        }
        if let Some(applied) = evidence.set_items() {
            for value in wish.iter().filter(|value| !have.contains(value)) {
                self.note(path, format!("lacks {}", brief(value)));
            }
            for value in applied.iter().filter(|value| !wish.contains(value) && have.contains(value)) {
                self.note(path, format!("has {}, which is no longer wished for", brief(value)));
            }
            return;
        }
        let is_set = path.last().is_some_and(|name| name == "finalizers");
        if is_set && !evidence.is_whole() {
            for value in wish.iter().filter(|value| !have.contains(value)) {
                self.note(path, format!("lacks {}", brief(value)));
            }
            return;
        }
        if !evidence.is_whole()
            && let Some(keys) = guess_keys(wish, have)
        {
            return self.keyed(wish, have, evidence, &keys, path);
        }
        if wish.len() != have.len() {
            return self.note(path, format!("has {} entries, not {}", have.len(), wish.len()));
        }
        for (index, (wish, have)) in wish.iter().zip(have).enumerate() {
            path.push(format!("[{index}]"));
            self.value(wish, Some(have), evidence.inside(), path);
            path.pop();
        }
    }

    fn keyed(
        &mut self,
        wish: &[Value],
        have: &[Value],
        evidence: Evidence<'_>,
        keys: &[String],
        path: &mut Path,
    ) {
        for item in wish {
            path.push(label(item, keys));
            match have.iter().find(|other| same_keys(item, other, keys)) {
                Some(other) => self.value(item, Some(other), evidence.item(item, keys), path),
                None => self.note(path, "is not there".into()),
            }
            path.pop();
        }
        for applied in evidence.items() {
            let still_wished = wish.iter().any(|item| same_keys(item, &applied, keys));
            if !still_wished && have.iter().any(|other| same_keys(&applied, other, keys)) {
                path.push(label(&applied, keys));
                self.note(path, "is no longer wished for".into());
                path.pop();
            }
        }
    }

    /// Contents of Secrets and ConfigMaps are named, not shown.
    fn is_private(&self, path: &Path) -> bool {
        matches!(path.first().map(String::as_str), Some("data" | "binaryData"))
    }

    fn note(&mut self, path: &Path, why: String) {
        let mut text = String::new();
        for part in path {
            if !text.is_empty() && !part.starts_with('[') {
                text.push('.');
            }
            text.push_str(part);
        }
        self.out.push(Difference { path: text, why });
    }
}

/// Fields that are part of the object's name or that the server keeps for itself.
fn is_housekeeping(path: &Path, key: &str) -> bool {
    match path.as_slice() {
        [] => matches!(key, "apiVersion" | "kind" | "status"),
        [only] => only == "metadata" && matches!(key, "name" | "namespace" | "creationTimestamp"),
        _ => false,
    }
}

/// A merge key for a list whose type is not recorded: every entry on both sides has it, and no two are alike.
fn guess_keys(wish: &[Value], have: &[Value]) -> Option<Vec<String>> {
    const CANDIDATES: &[&[&str]] = &[
        &["name"],
        &["key"],
        &["mountPath"],
        &["containerPort", "protocol"],
        &["port", "protocol"],
        &["topologyKey"],
        &["devicePath"],
        &["ip"],
        &["uid"],
        &["type"],
    ];
    let fits = |keys: &[String]| {
        let complete =
            |item: &Value| item.get(&keys[0]).is_some_and(|value| !value.is_object() && !value.is_array());
        let distinct = |items: &[Value]| {
            items.iter().enumerate().all(|(i, a)| items[i + 1..].iter().all(|b| !same_keys(a, b, keys)))
        };
        wish.iter().chain(have).all(complete) && distinct(wish) && distinct(have)
    };
    let candidates =
        CANDIDATES.iter().map(|keys| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>());
    candidates.into_iter().find(|keys| !wish.is_empty() && fits(keys))
}

/// Whether two entries have the same keys; one that either side leaves to its default does not tell them apart.
fn same_keys(a: &Value, b: &Value, keys: &[String]) -> bool {
    keys.iter().all(|key| match (a.get(key), b.get(key)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    })
}

fn label(item: &Value, keys: &[String]) -> String {
    let shown = keys.iter().filter_map(|key| item.get(key).map(|value| (key, value)));
    let parts: Vec<String> = shown
        .map(|(key, value)| {
            format!("{key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    format!("[{}]", parts.join(","))
}

/// A value for a message: one line, not too long.
fn brief(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
