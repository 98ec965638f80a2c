//! What the server recorded of our own applies: `metadata.managedFields`, format `FieldsV1`.
//!
//! Keys of such a map: `f:<field>`, `k:<JSON of the merge keys>` for an entry of a keyed list, `v:<JSON>` for a member
//! of a set, `.` for the thing itself. An empty map is a leaf: a scalar, or a map or list that is owned as a whole.

use serde_json::{Map, Value};

use crate::object::MANAGER;

/// What is known about one place of an object.
#[derive(Clone, Copy, Debug)]
pub(super) enum Evidence<'a> {
    /// We never applied this object, or the record is lost (a restored backup).
    Unknown,
    /// We own something below.
    Node(&'a Map<String, Value>),
    /// We own it as a whole.
    Whole,
    /// We applied the object and do not own this.
    Foreign,
}

/// Our own entry in an object's record, if there is one.
pub(crate) fn ours(live: &Value) -> Option<Value> {
    let entries = live["metadata"]["managedFields"].as_array()?;
    let entry = entries.iter().find(|entry| {
        entry["manager"] == MANAGER && entry["operation"] == "Apply" && entry["subresource"].is_null()
    })?;
    Some(entry["fieldsV1"].clone())
}

impl<'a> Evidence<'a> {
    /// Reads one place of the record.
    pub fn of(node: &'a Value) -> Self {
        match node {
            Value::Object(map) if map.is_empty() => Self::Whole,
            Value::Object(map) => Self::Node(map),
            _ => Self::Unknown,
        }
    }

    /// What is known about a field below.
    pub fn field(self, name: &str) -> Self {
        match self {
            Self::Node(map) => map.get(&format!("f:{name}")).map_or(Self::Foreign, Self::of),
            other => other,
        }
    }

    /// What is known about entries of a list that is not keyed.
    pub fn inside(self) -> Self {
        match self {
            Self::Node(_) => Self::Unknown,
            other => other,
        }
    }

    /// Names of the fields that we own here.
    pub fn fields(self) -> impl Iterator<Item = &'a str> {
        self.keys("f:")
    }

    /// Merge keys of the list, when it is recorded as a keyed one.
    pub fn item_keys(self) -> Option<Vec<String>> {
        let first = self.keys("k:").next()?;
        let keys: Map<String, Value> = serde_json::from_str(first).ok()?;
        Some(keys.into_iter().map(|(key, _)| key).collect())
    }

    /// The keys of every entry that we applied.
    pub fn items(self) -> Vec<Value> {
        self.keys("k:").filter_map(|json| serde_json::from_str(json).ok()).collect()
    }

    /// What is known about one entry of a keyed list.
    pub fn item(self, item: &Value, keys: &[String]) -> Self {
        let Self::Node(map) = self else { return self };
        map.iter()
            .find(|(name, _)| {
                name.strip_prefix("k:")
                    .and_then(|json| serde_json::from_str::<Value>(json).ok())
                    .is_some_and(|applied| super::same_keys(item, &applied, keys))
            })
            .map_or(Self::Foreign, |(_, node)| Self::of(node))
    }

    /// The members that we applied, when the list is recorded as a set.
    pub fn set_items(self) -> Option<Vec<Value>> {
        let items: Vec<Value> = self.keys("v:").filter_map(|json| serde_json::from_str(json).ok()).collect();
        (!items.is_empty()).then_some(items)
    }

    /// Whether we own this as a whole.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Whole)
    }

    /// Whether a wish is fulfilled though the field is not there.
    pub fn excuses_absence(self, wish: &Value) -> bool {
        let nothing = match wish {
            Value::Null => true,
            Value::Bool(value) => !value,
            Value::Number(value) => value.as_f64() == Some(0.0),
            Value::String(value) => value.is_empty(),
            // `{a: {}}` and `[null]` say no more than `{}`.
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.values().all(|value| value.is_null() || self.excuses_absence(value)),
        };
        match self {
            Self::Whole | Self::Node(_) => nothing,
            Self::Unknown => matches!(wish, Value::Array(_) | Value::Object(_)) && is_empty(wish),
            // An empty keyed list leaves no trace in the record.
            Self::Foreign => wish.is_array() && is_empty(wish),
        }
    }

    fn keys(self, prefix: &'static str) -> impl Iterator<Item = &'a str> {
        let map = match self {
            Self::Node(map) => Some(map),
            _ => None,
        };
        map.into_iter().flat_map(Map::keys).filter_map(move |key| key.strip_prefix(prefix))
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}
