//! Shapes of objects: what is a struct, what is a map, which lists are merged by which keys.
//!
//! Built-in kinds have them from the published OpenAPI documents, custom kinds from their structural schemas; both are
//! read by [`Shape::of`]. Source of the extensions' meaning: the Kubernetes documentation on server-side apply and on
//! CustomResourceDefinitions.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use serde_json::Value;

use super::published::Published;

/// Ends the name under which an atomic type is kept once more, without being atomic.
const GRANULAR: &str = "#granular";

/// The shape of a value.
#[derive(Clone, Debug, Default)]
pub enum Shape {
    /// Nothing is known: objects are merged by their keys, lists as a whole; never pruned.
    #[default]
    Any,
    /// Nothing is known, and there is one owner for all of it.
    Whole,
    /// A string, number or boolean.
    Scalar(Scalar),
    /// A list.
    List(Arc<List>),
    /// An object whose keys are data: labels, limits.
    Map(Arc<Map>),
    /// An object whose keys are fields.
    Struct(Arc<Struct>),
    /// A published type by its name, found when it is needed: types may hold themselves.
    Named(Arc<str>),
}

/// A string, number or boolean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// Any number.
    Number,
    /// True or false.
    Boolean,
    /// A whole number or text, as ports are written.
    IntOrString,
    /// A number or text with a unit, as memory is written; `1000m` equals `1`.
    Quantity,
}

/// A list.
#[derive(Clone, Debug)]
pub struct List {
    /// What it holds.
    pub items: Shape,
    /// How two of them are merged.
    pub kind: ListKind,
}

/// How lists are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListKind {
    /// As a whole: the last writer has it all.
    Atomic,
    /// By value: each value at most once.
    Set,
    /// By these fields of the items.
    Map(Vec<String>),
}

/// An object whose keys are data.
#[derive(Clone, Debug)]
pub struct Map {
    /// What it holds.
    pub values: Shape,
    /// Whether it has one owner as a whole.
    pub atomic: bool,
}

/// An object whose keys are fields.
#[derive(Clone, Debug, Default)]
pub struct Struct {
    /// Its fields.
    pub fields: BTreeMap<String, Field>,
    /// Whether it has one owner as a whole.
    pub atomic: bool,
    /// Whether fields that are not listed are kept (`x-kubernetes-preserve-unknown-fields`).
    pub open: bool,
    /// Fields that must be there.
    pub required: Vec<String>,
}

/// A field.
#[derive(Clone, Debug, Default)]
pub struct Field {
    /// Its shape.
    pub shape: Shape,
    /// What it is when it is left out.
    pub default: Option<Value>,
    /// How a strategic merge patch treats it.
    pub strategic: Strategic,
}

/// How a strategic merge patch treats a field (`x-kubernetes-patch-strategy`, `x-kubernetes-patch-merge-key`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strategic {
    /// A list is merged; otherwise it is replaced.
    pub merge: bool,
    /// An object is replaced; otherwise it is merged.
    pub replace: bool,
    /// Fields that the patch does not name are dropped.
    pub retain_keys: bool,
    /// The field by which items of a list are told apart; of a list of scalars there is none.
    pub key: Option<String>,
}

impl Shape {
    /// Reads an OpenAPI or structural schema.
    pub fn of(schema: &Value) -> Self {
        if let Some(name) = reference(schema) {
            return match name.rsplit('.').next() {
                Some("Quantity") => Self::Scalar(Scalar::Quantity),
                Some("IntOrString") => Self::Scalar(Scalar::IntOrString),
                // Times are text, and free JSON is what its name says.
                Some("Time" | "MicroTime") => Self::Scalar(Scalar::String),
                Some("RawExtension") => Self::Whole,
                Some(
                    "JSON"
                    | "JSONSchemaPropsOrBool"
                    | "JSONSchemaPropsOrArray"
                    | "JSONSchemaPropsOrStringArray"
                    | "FieldsV1",
                ) => Self::Any,
                // One field of all overrides its type: a volume's claimRef is an atomic type, merged by its fields.
                _ if schema["x-kubernetes-map-type"] == "granular" => {
                    Self::Named(format!("{name}{GRANULAR}").into())
                }
                _ => Self::Named(name.into()),
            };
        }
        if schema["x-kubernetes-int-or-string"] == true || schema["format"] == "int-or-string" {
            return Self::Scalar(Scalar::IntOrString);
        }
        match schema["type"].as_str() {
            Some("string") => Self::Scalar(Scalar::String),
            Some("integer") => Self::Scalar(Scalar::Integer),
            Some("number") => Self::Scalar(Scalar::Number),
            Some("boolean") => Self::Scalar(Scalar::Boolean),
            Some("array") => {
                Self::List(Arc::new(List { items: Self::of(&schema["items"]), kind: list_kind(schema) }))
            }
            Some("object") | None => Self::of_object(schema),
            Some(_) => Self::Any,
        }
    }

    fn of_object(schema: &Value) -> Self {
        let atomic = schema["x-kubernetes-map-type"] == "atomic";
        let open = schema["x-kubernetes-preserve-unknown-fields"] == true;
        let embedded = schema["x-kubernetes-embedded-resource"] == true;
        match (schema["properties"].as_object(), &schema["additionalProperties"]) {
            (Some(properties), _) => Self::Struct(Arc::new(Struct {
                fields: properties.iter().map(|(name, schema)| (name.clone(), Field::of(schema))).collect(),
                atomic,
                open: open || embedded,
                required: words(&schema["required"]),
            })),
            (None, values @ Value::Object(_)) => {
                Self::Map(Arc::new(Map { values: Self::of(values), atomic }))
            }
            (None, Value::Bool(true)) => Self::Map(Arc::new(Map { values: Self::Any, atomic })),
            _ if atomic => Self::Whole,
            _ => Self::Any,
        }
    }

    /// The shape itself: a name is looked up among the published types. An unknown name is [`Shape::Any`].
    pub fn resolve(&self) -> &Self {
        const ANY: &Shape = &Shape::Any;
        match self {
            Self::Named(name) => types().get(&**name).unwrap_or(ANY),
            other => other,
        }
    }

    /// The shape of a field, or of a value of a map.
    pub fn field(&self, name: &str) -> &Self {
        const ANY: &Shape = &Shape::Any;
        match self.resolve() {
            Self::Struct(it) => it.fields.get(name).map_or(ANY, |field| field.shape.resolve()),
            Self::Map(it) => it.values.resolve(),
            _ => ANY,
        }
    }

    /// Whether an object is of a built-in kind.
    pub fn is_built_in(object: &Value) -> bool {
        let text = |name: &str| object[name].as_str().unwrap_or_default();
        let (group, version) = text("apiVersion").rsplit_once('/').unwrap_or(("", text("apiVersion")));
        Self::built_in(group, version, text("kind")).is_some()
    }

    /// The shape of a built-in kind: `("apps", "v1", "Deployment")`; the group without a name is empty.
    pub fn built_in(group: &str, version: &str, kind: &str) -> Option<&'static Self> {
        let name = kinds().get(&(group.to_owned(), version.to_owned(), kind.to_owned()))?;
        types().get(name)
    }
}

impl Field {
    fn of(schema: &Value) -> Self {
        let strategy = schema["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
        Self {
            shape: Shape::of(schema),
            default: schema.get("default").cloned(),
            strategic: Strategic {
                merge: strategy.split(',').any(|word| word == "merge"),
                replace: strategy.split(',').any(|word| word == "replace"),
                retain_keys: strategy.split(',').any(|word| word == "retainKeys"),
                key: schema["x-kubernetes-patch-merge-key"].as_str().map(str::to_owned),
            },
        }
    }
}

/// `$ref`, also inside the `allOf` of one that OpenAPI 3 needs when a description stands beside it.
fn reference(schema: &Value) -> Option<&str> {
    let direct = schema.get("$ref").or_else(|| schema["allOf"].as_array()?.first()?.get("$ref"))?;
    direct.as_str()?.strip_prefix("#/components/schemas/")
}

/// Where no list type is written, the patch strategy says it.
fn list_kind(schema: &Value) -> ListKind {
    let strategy = schema["x-kubernetes-patch-strategy"].as_str().unwrap_or_default();
    match (schema["x-kubernetes-list-type"].as_str(), schema["x-kubernetes-patch-merge-key"].as_str()) {
        (Some("set"), _) => ListKind::Set,
        (Some("map"), _) => ListKind::Map(words(&schema["x-kubernetes-list-map-keys"])),
        (None, key) if strategy.split(',').any(|word| word == "merge") => {
            key.map_or(ListKind::Set, |key| ListKind::Map(vec![key.to_owned()]))
        }
        _ => ListKind::Atomic,
    }
}

fn words(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Every published type by its name.
fn types() -> &'static HashMap<String, Shape> {
    &read().0
}

/// Names of the types of built-in kinds, by group, version and kind.
fn kinds() -> &'static HashMap<(String, String, String), String> {
    &read().1
}

type Read = (HashMap<String, Shape>, HashMap<(String, String, String), String>);

fn read() -> &'static Read {
    static READ: OnceLock<Read> = OnceLock::new();
    READ.get_or_init(|| {
        let published = Published::get();
        let (mut types, mut kinds) = (HashMap::new(), HashMap::new());
        for path in published.openapi_paths() {
            let document: Value =
                published.openapi(path).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
                for kind in schema["x-kubernetes-group-version-kind"].as_array().into_iter().flatten() {
                    let part = |key: &str| kind[key].as_str().unwrap_or_default().to_owned();
                    kinds
                        .entry((part("group"), part("version"), part("kind")))
                        .or_insert_with(|| name.clone());
                }
                let shape = types.entry(name.clone()).or_insert_with(|| Shape::of(schema));
                if let Shape::Struct(it) = shape
                    && it.atomic
                {
                    let granular = Struct { atomic: false, ..Struct::clone(it) };
                    types.insert(format!("{name}{GRANULAR}"), Shape::Struct(Arc::new(granular)));
                }
            }
        }
        (types, kinds)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod_spec() -> &'static Shape {
        Shape::built_in("", "v1", "Pod").expect("pods are built in").field("spec")
    }

    #[test]
    fn containers_are_merged_by_name_and_ports_by_port_and_protocol() {
        let Shape::List(containers) = pod_spec().field("containers") else { panic!("a list") };
        assert_eq!(containers.kind, ListKind::Map(vec!["name".into()]));
        let Shape::List(ports) = containers.items.field("ports") else { panic!("a list") };
        assert_eq!(ports.kind, ListKind::Map(vec!["containerPort".into(), "protocol".into()]));
    }

    #[test]
    fn limits_are_quantities_and_target_ports_are_either() {
        let Shape::List(containers) = pod_spec().field("containers") else { panic!("a list") };
        let limits = containers.items.field("resources").field("limits");
        assert!(matches!(limits.field("memory"), Shape::Scalar(Scalar::Quantity)));
        let service = Shape::built_in("", "v1", "Service").expect("built in");
        let Shape::List(ports) = service.field("spec").field("ports") else { panic!("a list") };
        assert!(matches!(ports.items.field("targetPort"), Shape::Scalar(Scalar::IntOrString)));
    }

    #[test]
    fn selectors_are_atomic_and_labels_are_not() {
        let deployment = Shape::built_in("apps", "v1", "Deployment").expect("built in");
        let Shape::Struct(selector) = deployment.field("spec").field("selector") else { panic!("a struct") };
        assert!(selector.atomic);
        let Shape::Map(labels) = deployment.field("metadata").field("labels") else { panic!("a map") };
        assert!(!labels.atomic);
    }

    #[test]
    fn a_field_may_override_that_its_type_is_atomic() {
        let volume = Shape::built_in("", "v1", "PersistentVolume").expect("built in");
        let Shape::Struct(claim) = volume.field("spec").field("claimRef") else { panic!("a struct") };
        assert!(!claim.atomic && claim.fields.contains_key("uid"));
    }
}
