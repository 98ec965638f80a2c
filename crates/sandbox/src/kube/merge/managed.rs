//! `metadata.managedFields`: who owns which fields.
//!
//! Source of the rules: the Kubernetes documentation on server-side apply, "Field management".

use std::{collections::BTreeMap, fmt};

use serde_json::{Map, Value, json};

use super::fields::Set;

/// How many managers that update may be remembered by name; the oldest ones beyond are remembered together.
const MOST_UPDATERS: usize = 10;
/// The name under which they are remembered together.
const ANCIENT: &str = "ancient-changes";

/// How a manager came to own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// By server-side apply.
    Apply,
    /// By any other way of writing.
    Update,
}

impl Operation {
    fn text(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who owns fields. Two writers of one name are different managers when they write in different ways.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Manager {
    /// The name the request gave.
    pub name: String,
    /// How it writes.
    pub operation: Operation,
    /// The version it writes in; empty for one that applies, since that stays the same in every version.
    pub api_version: String,
    /// The subresource it writes to; empty for the object itself.
    pub subresource: String,
}

impl Manager {
    /// A manager; one without a name is `unknown`.
    pub fn new(name: &str, operation: Operation, api_version: &str, subresource: &str) -> Self {
        Self {
            name: if name.is_empty() { "unknown" } else { name }.to_owned(),
            operation,
            api_version: match operation {
                Operation::Apply => String::new(),
                Operation::Update => api_version.to_owned(),
            },
            subresource: subresource.to_owned(),
        }
    }
}

/// As conflicts name it: `"kubectl" with subresource "status" using apps/v1`.
impl fmt::Display for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)?;
        if !self.subresource.is_empty() {
            write!(f, " with subresource {:?}", self.subresource)?;
        }
        if self.operation == Operation::Update {
            write!(f, " using {}", self.api_version)?;
        }
        Ok(())
    }
}

/// What a manager owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    /// The fields.
    pub(super) set: Set,
    /// The version whose names the fields have.
    pub(super) api_version: String,
    /// When it last changed the object.
    pub(super) time: Option<String>,
}

/// All managers of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Managed(pub(super) BTreeMap<Manager, Owned>);

impl Managed {
    /// Reads `metadata.managedFields` of an object; an object without has no managers.
    ///
    /// # Errors
    /// What is wrong with an entry, in the real server's words.
    pub(super) fn of(object: &Value) -> Result<Self, String> {
        let entries = object["metadata"]["managedFields"].as_array();
        entries
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(at, entry)| read(at, entry))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Writes `metadata.managedFields` into an object; nothing when there are no managers.
    pub(super) fn write(&self, object: &mut Value) {
        without_managed(object);
        if self.0.is_empty() {
            return;
        }
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by(|(a, x), (b, y)| {
            let key = |manager: &Manager, owned: &Owned| (manager.operation, seconds(owned.time.as_deref()));
            key(a, x)
                .cmp(&key(b, y))
                .then_with(|| a.name.cmp(&b.name))
                .then_with(|| x.api_version.cmp(&y.api_version))
                .then_with(|| a.subresource.cmp(&b.subresource))
        });
        let entries: Vec<_> = entries.into_iter().map(|(manager, owned)| entry(manager, owned)).collect();
        if let Some(object) = object.as_object_mut()
            && let Some(metadata) = object.entry("metadata").or_insert_with(|| json!({})).as_object_mut()
        {
            metadata.insert("managedFields".to_owned(), Value::Array(entries));
        }
    }

    /// Remembers the oldest of too many updaters together, version by version.
    pub(super) fn cap(&mut self) {
        let mut updaters: Vec<_> =
            self.0.keys().filter(|manager| manager.operation == Operation::Update).cloned().collect();
        let mut excess = updaters.len().saturating_sub(MOST_UPDATERS);
        updaters.sort_by_cached_key(|manager| (seconds(self.0[manager].time.as_deref()), manager.clone()));
        let mut first: BTreeMap<String, Manager> = BTreeMap::new();
        for manager in updaters {
            if excess == 0 {
                break;
            }
            let version = self.0[&manager].api_version.clone();
            let Some(first) = first.get(&version) else {
                first.insert(version, manager);
                continue;
            };
            let Some(gone) = self.0.remove(&manager) else { continue };
            let ancient = Manager::new(ANCIENT, Operation::Update, &version, "");
            if !self.0.contains_key(&ancient)
                && let Some(owned) = self.0.remove(first)
            {
                self.0.insert(ancient.clone(), owned);
            }
            if let Some(owned) = self.0.get_mut(&ancient) {
                owned.set = owned.set.union(&gone.set);
                owned.time = gone.time;
            }
            excess -= 1;
        }
    }
}

fn read(at: usize, entry: &Value) -> Result<(Manager, Owned), String> {
    let text = |name: &str| entry[name].as_str().unwrap_or_default();
    let operation = match text("operation") {
        "Apply" => Operation::Apply,
        "Update" => Operation::Update,
        _ => return Err("operation must be `Apply` or `Update`".to_owned()),
    };
    if text("apiVersion").is_empty() {
        return Err("apiVersion must not be empty".to_owned());
    }
    match text("fieldsType") {
        "FieldsV1" => (),
        "" => return Err(format!("missing fieldsType in managed fields entry {at}")),
        other => return Err(format!("invalid fieldsType {other:?} in managed fields entry {at}")),
    }
    let set = Set::from_json(&entry["fieldsV1"]).map_err(|cause| {
        format!("error decoding versioned set from entry {at}: error decoding set: {cause}")
    })?;
    let manager = Manager {
        name: text("manager").to_owned(),
        ..Manager::new("", operation, text("apiVersion"), text("subresource"))
    };
    let time = entry["time"].as_str().map(str::to_owned);
    Ok((manager, Owned { set, api_version: text("apiVersion").to_owned(), time }))
}

fn entry(manager: &Manager, owned: &Owned) -> Value {
    let texts = [
        ("manager", Some(manager.name.as_str())),
        ("operation", Some(manager.operation.text())),
        ("apiVersion", Some(owned.api_version.as_str())),
        ("time", owned.time.as_deref()),
        ("fieldsType", Some("FieldsV1")),
    ];
    let text = |(name, value): (&str, Option<&str>)| {
        value.filter(|value| !value.is_empty()).map(|value| (name.to_owned(), Value::from(value)))
    };
    let mut entry: Map<_, _> = texts.into_iter().filter_map(text).collect();
    entry.insert("fieldsV1".to_owned(), owned.set.to_json());
    entry.extend(text(("subresource", Some(&manager.subresource))));
    Value::Object(entry)
}

/// Seconds of a time; none are zero.
fn seconds(time: Option<&str>) -> i64 {
    time.and_then(|time| time.parse::<jiff::Timestamp>().ok()).map_or(0, jiff::Timestamp::as_second)
}

/// Removes `metadata.managedFields`.
pub(super) fn without_managed(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
}

/// Leaves all managers as they were.
pub fn keep_managers(old: &Value, new: &mut Value) {
    match old["metadata"].get("managedFields") {
        Some(managers) => new["metadata"]["managedFields"] = managers.clone(),
        None => without_managed(new),
    }
}

/// Gives `new` the times of `old` in its managedFields, when these times are all that differs: a write that changes
/// nothing must not be seen as a change.
pub fn keep_times(old: &Value, new: &mut Value) {
    fn entries(object: &Value) -> Option<&Vec<Value>> {
        object["metadata"]["managedFields"].as_array()
    }
    let (Some(before), Some(after)) = (entries(old), entries(new)) else { return };
    let same = before.len() == after.len()
        && before.iter().zip(after).all(|(a, b)| same_but(a, b, &["time"]))
        && same_but(old, new, &["metadata"])
        && same_but(&old["metadata"], &new["metadata"], &["managedFields"]);
    if same {
        keep_managers(old, new);
    }
}

/// Whether two objects have the same fields but for these.
fn same_but(a: &Value, b: &Value, but: &[&str]) -> bool {
    let (Some(a), Some(b)) = (a.as_object(), b.as_object()) else { return a == b };
    let counts = |map: &Map<String, Value>| map.keys().filter(|key| !but.contains(&key.as_str())).count();
    let all = a.iter().filter(|(key, _)| !but.contains(&key.as_str()));
    counts(a) == counts(b) && all.into_iter().all(|(key, value)| b.get(key) == Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn updated(name: &str, second: u32) -> (Manager, Owned) {
        let set = Set::from_json(&json!({ format!("f:{name}"): {} })).expect("a set");
        let owned =
            Owned { set, api_version: "v1".into(), time: Some(format!("2026-01-01T00:00:{second:02}Z")) };
        (Manager::new(name, Operation::Update, "v1", ""), owned)
    }

    #[test]
    fn entries_are_read_and_written() {
        let object = json!({"metadata": {"name": "x", "managedFields": [
            {"manager": "b", "operation": "Apply", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
             "fieldsType": "FieldsV1", "fieldsV1": {"f:data": {"f:a": {}}}},
            {"manager": "a", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
             "fieldsV1": {"f:data": {".": {}, "f:b": {}}}, "subresource": "status"},
        ]}});
        let mut written = json!({"metadata": {"name": "x"}});
        Managed::of(&object).expect("entries").write(&mut written);
        assert_eq!(written, object);
    }

    #[test]
    fn entries_that_cannot_be_read_say_why() {
        let refused = |entry: Value| {
            Managed::of(&json!({"metadata": {"managedFields": [entry]}})).expect_err("refused")
        };
        assert_eq!(refused(json!({"operation": "x"})), "operation must be `Apply` or `Update`");
        assert_eq!(refused(json!({"operation": "Apply"})), "apiVersion must not be empty");
        assert_eq!(
            refused(json!({"operation": "Apply", "apiVersion": "v1"})),
            "missing fieldsType in managed fields entry 0"
        );
    }

    #[test]
    fn the_oldest_of_many_updaters_are_remembered_together() {
        let mut managed = Managed((0..12).map(|at| updated(&format!("m{at}"), 59 - at)).collect());
        managed.cap();
        assert_eq!(managed.0.len(), 10);
        let ancient = &managed.0[&Manager::new(ANCIENT, Operation::Update, "v1", "")];
        assert_eq!(ancient.set.to_json(), json!({"f:m10": {}, "f:m11": {}, "f:m9": {}}));
        assert_eq!(ancient.time.as_deref(), Some("2026-01-01T00:00:50Z"));
    }

    #[test]
    fn times_are_kept_only_when_nothing_else_differs() {
        let object = |time: &str, data: &str| json!({"metadata": {"managedFields": [{"manager": "a", "time": time}]}, "data": data});
        let (old, mut same, mut other) = (object("1", "x"), object("2", "x"), object("2", "y"));
        keep_times(&old, &mut same);
        keep_times(&old, &mut other);
        assert_eq!((same, other), (old, object("2", "y")));
    }
}
