//! Values seen through their shapes: what has one owner, what is told apart by keys, which fields a value has.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    element::Element,
    fields::{Node, Set},
};
use crate::kube::schema::{List, ListKind, Shape};

/// How a value is treated.
#[derive(Clone, Copy)]
pub(super) enum Kind<'a> {
    /// It has one owner as a whole.
    Leaf,
    /// A list whose items have owners.
    Items(&'a List),
    /// An object whose fields have owners.
    Fields,
}

impl Kind<'_> {
    /// Whether two kinds are treated in the same way.
    pub(super) fn is(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// How a value of this shape is treated. Where the shape says nothing, the value does.
pub(super) fn kind<'a>(shape: &'a Shape, value: Option<&Value>) -> Kind<'a> {
    match shape.resolve() {
        Shape::List(list) if list.kind != ListKind::Atomic => Kind::Items(list),
        Shape::Map(map) if !map.atomic => Kind::Fields,
        Shape::Struct(it) if !it.atomic => Kind::Fields,
        Shape::Any if matches!(value, None | Some(Value::Null | Value::Object(_))) => Kind::Fields,
        _ => Kind::Leaf,
    }
}

/// Whether the shape lists a field of this name.
pub(super) fn declares(shape: &Shape, name: &str) -> bool {
    matches!(shape.resolve(), Shape::Struct(it) if it.fields.contains_key(name))
}

/// The items of a list; none for null.
pub(super) fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The fields of an object; nothing for null.
pub(super) fn fields(value: Option<&Value>) -> Option<&Map<String, Value>> {
    value.and_then(Value::as_object)
}

/// Whether an object or nothing has no fields.
pub(super) fn is_bare(value: Option<&Value>) -> bool {
    fields(value).is_none_or(Map::is_empty)
}

/// A field of an object, if there is one.
pub(super) fn field<'a>(object: Option<&'a Map<String, Value>>, name: &str) -> Option<&'a Value> {
    object.and_then(|object| object.get(name))
}

/// The items of a list by what tells them apart; those that nothing tells apart are left out.
pub(super) fn by_element<'a>(list: &List, items: &'a [Value]) -> BTreeMap<Element, Vec<&'a Value>> {
    let mut out: BTreeMap<Element, Vec<&Value>> = BTreeMap::new();
    for (element, item) in items.iter().filter_map(|item| Some((element_of(list, item).ok()?, item))) {
        out.entry(element).or_default().push(item);
    }
    out
}

/// By what an item is told apart from others of its list; or why it cannot be.
pub(super) fn element_of(list: &List, item: &Value) -> Result<Element, String> {
    let ListKind::Map(keys) = &list.kind else {
        return match item {
            Value::Object(_) => {
                Err("associative list without keys has an element that's a map type".to_owned())
            }
            Value::Array(_) => Err("not supported: associative list with lists as elements".to_owned()),
            Value::Null => {
                Err("associative list without keys has an element that's an explicit null".to_owned())
            }
            scalar => Ok(Element::Value(scalar.clone())),
        };
    };
    let item = match item {
        Value::Object(item) => item,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        _ => return Err("associative list with keys may not have non-map elements".to_owned()),
    };
    let default = |key: &String| match list.items.resolve() {
        Shape::Struct(it) => it.fields.get(key)?.default.clone().filter(|default| !default.is_null()),
        _ => None,
    };
    let found: Vec<_> = keys
        .iter()
        .filter_map(|key| Some((key.clone(), item.get(key).cloned().or_else(|| default(key))?)))
        .collect();
    if found.is_empty() {
        let keys: Vec<_> = keys.iter().map(|key| format!("\"{key}\"")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have \
             default values for any key fields)",
            keys.join(" ")
        ));
    }
    Ok(Element::key(found))
}

/// The fields that a value has: its leaves, items of lists, keys of maps, and what is empty.
pub(super) fn fields_of(shape: &Shape, value: &Value) -> Set {
    node_of(shape, value).children
}

fn node_of(shape: &Shape, value: &Value) -> Node {
    let mut children = Set::new();
    match kind(shape, Some(value)) {
        Kind::Leaf => return Node { member: true, children },
        Kind::Items(list) => {
            for (element, found) in by_element(list, items(Some(value))) {
                // What is there more than once is owned as one, without looking inside.
                let inside = match found[..] {
                    [item] => node_of(&list.items, item).children,
                    _ => Set::new(),
                };
                children.put(element, true, inside);
            }
        }
        Kind::Fields => {
            for (name, value) in fields(Some(value)).into_iter().flatten() {
                let node = node_of(shape.field(name), value);
                let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
                let member = node.member || empty || !declares(shape, name);
                children.put(Element::field(name), member, node.children);
            }
        }
    }
    Node { member: false, children }
}

/// The value without these fields and items; nothing where nothing stays. What is below a leaf is not looked at: if it
/// should lose a part, all of it goes.
pub(super) fn without(shape: &Shape, value: &Value, set: &Set) -> Option<Value> {
    let inside = |shape: &Shape, element: &Element, value: &Value| match set.below(element) {
        Some(below) => without(shape, value, below).unwrap_or(Value::Null),
        None => value.clone(),
    };
    match kind(shape, Some(value)) {
        Kind::Leaf => (!value.is_array() && !value.is_object()).then(|| value.clone()),
        Kind::Items(list) => {
            let kept: Vec<_> = items(Some(value))
                .iter()
                .filter_map(|item| match element_of(list, item) {
                    Ok(element) if set.has(&element) => None,
                    Ok(element) => Some(inside(&list.items, &element, item)),
                    Err(_) => Some(item.clone()),
                })
                .collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        Kind::Fields => {
            let kept: Map<_, _> = fields(Some(value))?
                .iter()
                .map(|(name, value)| (name, Element::field(name), value))
                .filter(|(_, element, _)| !set.has(element))
                .map(|(name, element, value)| (name.clone(), inside(shape.field(name), &element, value)))
                .collect();
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
    }
}

/// The set, and every listed field that has something of the set below it.
pub(super) fn with_parents(shape: &Shape, set: &Set) -> Set {
    let mut out = Set::new();
    for (element, node) in set.top() {
        let named = matches!(element, Element::Field(name) if declares(shape, name));
        let member = node.member || (named && !node.children.is_empty());
        out.put(element.clone(), member, with_parents(below(shape, element), &node.children));
    }
    out
}

/// The set as the shape would have it today: where something has one owner by now, parts of it become all of it.
pub(super) fn reconciled(shape: &Shape, set: &Set) -> Set {
    let mut out = Set::new();
    for (element, node) in set.top() {
        let shape = below(shape, element);
        let whole = match shape.resolve() {
            Shape::Whole => true,
            Shape::List(list) => list.kind == ListKind::Atomic,
            Shape::Map(map) => map.atomic,
            Shape::Struct(it) => it.atomic,
            _ => false,
        };
        if whole && !node.children.is_empty() {
            out.put(element.clone(), true, Set::new());
        } else {
            out.put(element.clone(), node.member, reconciled(shape, &node.children));
        }
    }
    out
}

/// The shape below an element.
fn below<'a>(shape: &'a Shape, element: &Element) -> &'a Shape {
    const ANY: &Shape = &Shape::Any;
    match (shape.resolve(), element) {
        (shape, Element::Field(name)) => shape.field(name),
        (Shape::List(list), _) => list.items.resolve(),
        _ => ANY,
    }
}

/// The name that Go has for the type of a JSON value.
pub(super) fn kind_of_go(value: &Value) -> &'static str {
    match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}
