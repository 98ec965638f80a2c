//! Strategic merge patches: merge patches that know which lists are merged by which key.
//!
//! Source: the Kubernetes documentation on updating API objects in place, and the design "preserve order in strategic
//! merge patch".

use serde_json::{Map, Value};

use super::{
    order::{self, By},
    patch::PatchError,
    value::go,
};
use crate::kube::schema::{Shape, Strategic};

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

type Fields = Map<String, Value>;

/// Applies a patch to an object of a built-in kind. Custom kinds have no such patches: the real server answers 415.
///
/// # Errors
/// [`PatchError`], for a patch that cannot be read or contradicts itself.
pub fn strategic_patch(shape: &Shape, object: &Value, patch: &Value) -> Result<Value, PatchError> {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            merge_fields(shape, object.clone(), patch.clone()).map(Value::Object)
        }
        (_, other) => Err(PatchError::decode(other, "map[string]interface {}")),
    }
}

fn merge_fields(shape: &Shape, mut object: Fields, mut patch: Fields) -> Result<Fields, PatchError> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.shift_remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Fields::new()),
            _ => Err(bad_directive(&patch)),
        };
    }
    retain_keys(&mut object, &mut patch)?;
    merge_ordered_lists(shape, &mut object, &mut patch)?;
    for (name, value) in patch {
        match name.strip_prefix(DELETE_FROM) {
            Some(list) => delete_from(&mut object, list, &value)?,
            None => merge_field(shape, &mut object, name, value)?,
        }
    }
    Ok(object)
}

fn merge_field(shape: &Shape, object: &mut Fields, name: String, value: Value) -> Result<(), PatchError> {
    let (inside, strategic) = look(shape, &name);
    let merged = match (object.get_mut(&name).map(Value::take), value) {
        (_, Value::Null) => None,
        (Some(Value::Object(old)), Value::Object(new)) if !strategic.replace => {
            Some(Value::Object(merge_fields(inside, old, new)?))
        }
        (Some(Value::Object(_)), new @ Value::Object(_)) => Some(new),
        (Some(Value::Array(old)), Value::Array(new)) if strategic.merge => {
            Some(Value::Array(merge_items(items_of(inside), strategic.key.as_deref(), old, new)?))
        }
        (Some(Value::Array(_)), new @ Value::Array(_)) => Some(new),
        (_, mut new) => {
            discard_nulls(&mut new);
            without_directives(new)
        }
    };
    match merged {
        Some(merged) => drop(object.insert(name, merged)),
        None => drop(object.shift_remove(&name)),
    }
    Ok(())
}

/// Keeps only the fields that `$retainKeys` names; the patch may have no others.
fn retain_keys(object: &mut Fields, patch: &mut Fields) -> Result<(), PatchError> {
    let refused = || PatchError::BadRequest("invalid patch format of retainKeys".to_owned());
    let Some(keys) = patch.shift_remove(RETAIN_KEYS) else { return Ok(()) };
    let keys = keys.as_array().ok_or_else(refused)?;
    let retained = |name: &str| keys.iter().any(|key| key == name);
    let special = |name: &str| name.starts_with(DELETE_FROM) || name.starts_with(ORDER);
    if patch.iter().any(|(name, value)| !value.is_null() && !special(name) && !retained(name)) {
        return Err(refused());
    }
    object.retain(|name, _| retained(name));
    Ok(())
}

fn delete_from(object: &mut Fields, list: &str, gone: &Value) -> Result<(), PatchError> {
    match (object.get_mut(list), gone) {
        (_, Value::Null) => drop(object.shift_remove(list)),
        (Some(Value::Array(items)), Value::Array(gone)) if !(items.is_empty() && gone.is_empty()) => {
            element_kind(&[items, gone])?;
            items.retain(|item| !gone.contains(item));
        }
        _ => (),
    }
    Ok(())
}

/// Merges the lists that come with a `$setElementOrder`, and takes both from the patch.
fn merge_ordered_lists(shape: &Shape, object: &mut Fields, patch: &mut Fields) -> Result<(), PatchError> {
    let directives: Vec<_> = patch.keys().filter(|name| name.starts_with(ORDER)).cloned().collect();
    for directive in directives {
        let wanted = patch.shift_remove(&directive).unwrap_or_default();
        let name = &directive[ORDER.len()..];
        let wanted = list(wanted)?;
        let old = object.get(name).cloned().map(list).transpose()?;
        let new = patch.shift_remove(name).map(list).transpose()?;
        let (inside, strategic) = look(shape, name);
        let key = strategic.key.as_deref();
        order::agrees(new.as_deref().unwrap_or_default(), &wanted, key)?;
        let merged = match (&old, &new) {
            (None, None) => continue,
            (Some(old), None) => old.clone(),
            (None, Some(new)) => new.iter().cloned().filter_map(without_directives).collect(),
            (Some(old), Some(new)) if strategic.merge => {
                merge_items(items_of(inside), key, old.clone(), new.clone())?
            }
            (Some(_), Some(new)) => new.clone(),
        };
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let by = if element_kind(&[&old, &new])? == Kind::Map {
            By::Key(key.unwrap_or_default())
        } else {
            By::Value
        };
        let (listed, others) = by.split(merged, &wanted)?;
        object.insert(name.to_owned(), Value::Array(by.arrange(listed, others, &wanted, &old)?));
    }
    Ok(())
}

/// Merges two lists: of scalars as sets, of objects by their key.
fn merge_items(
    shape: &Shape,
    key: Option<&str>,
    mut old: Vec<Value>,
    mut new: Vec<Value>,
) -> Result<Vec<Value>, PatchError> {
    if old.is_empty() && new.is_empty() {
        return Ok(old);
    }
    let (by, merged) = match (element_kind(&[&old, &new])?, key) {
        (Kind::Other, _) => (By::Value, order::once(old.iter().chain(&new).cloned().collect())),
        (Kind::Map, None) => {
            return Err(PatchError::Internal("cannot merge lists without merge key for struct".to_owned()));
        }
        (Kind::Map, Some(key)) => {
            (old, new) = obey_directives(key, old, new)?;
            (By::Key(key), merge_objects(shape, key, old.clone(), new.clone())?)
        }
    };
    let (listed, others) = by.split(merged, &new)?;
    by.arrange(listed, others, &new, &old)
}

/// Deletes and replaces as the items of a patch say that have directives, and drops these items.
fn obey_directives(
    key: &str,
    mut old: Vec<Value>,
    new: Vec<Value>,
) -> Result<(Vec<Value>, Vec<Value>), PatchError> {
    let (directives, rest): (Vec<_>, Vec<_>) =
        new.into_iter().partition(|item| item.get(DIRECTIVE).is_some());
    let mut replace = false;
    for item in &directives {
        match item[DIRECTIVE].as_str() {
            Some("delete") => {
                let gone = item.get(key).ok_or_else(|| order::no_key(item, key))?;
                old.retain(|item| item.get(key) != Some(gone));
            }
            Some("replace") => replace = true,
            Some("merge") => {
                return Err(PatchError::Internal(
                    "merging lists cannot yet be specified in the patch".to_owned(),
                ));
            }
            _ => return Err(bad_directive(item.as_object().unwrap_or(&Fields::new()))),
        }
    }
    Ok(if replace { (rest, Vec::new()) } else { (old, rest) })
}

fn merge_objects(
    shape: &Shape,
    key: &str,
    mut old: Vec<Value>,
    new: Vec<Value>,
) -> Result<Vec<Value>, PatchError> {
    for item in new {
        let value = item.get(key).ok_or_else(|| order::no_key(&item, key))?;
        match (old.iter_mut().find(|other| other.get(key) == Some(value)), item) {
            (Some(Value::Object(other)), Value::Object(item)) => {
                *other = merge_fields(shape, std::mem::take(other), item)?;
            }
            (_, item) => old.push(item),
        }
    }
    Ok(old)
}

fn look<'a>(shape: &'a Shape, name: &str) -> (&'a Shape, Strategic) {
    let strategic = match shape.resolve() {
        Shape::Struct(it) => it.fields.get(name).map(|field| field.strategic.clone()),
        _ => None,
    };
    (shape.field(name), strategic.unwrap_or_default())
}

fn items_of(shape: &Shape) -> &Shape {
    const ANY: &Shape = &Shape::Any;
    match shape.resolve() {
        Shape::List(list) => list.items.resolve(),
        _ => ANY,
    }
}

fn list(value: Value) -> Result<Vec<Value>, PatchError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(PatchError::Internal(format!(
            "expected a []interface {{}}, but received a {}",
            super::shapes::kind_of_go(&other)
        ))),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Map,
    Other,
}

/// What lists hold: all the same.
fn element_kind(lists: &[&Vec<Value>]) -> Result<Kind, PatchError> {
    let mut all = lists.iter().copied().flatten();
    let Some(first) = all.next() else {
        return Err(PatchError::Internal("no elements in any of the given slices".to_owned()));
    };
    if first.is_array() {
        return Err(PatchError::Rejected);
    }
    let name = super::shapes::kind_of_go;
    if all.any(|item| name(item) != name(first)) {
        let lists: Vec<_> = lists.iter().map(|list| go(&Value::Array((*list).clone()))).collect();
        let lists = lists.join(" ");
        return Err(PatchError::Internal(format!("list element types are not identical: [{lists}]")));
    }
    Ok(if first.is_object() { Kind::Map } else { Kind::Other })
}

fn bad_directive(patch: &Fields) -> PatchError {
    let (directive, map) = (go(&patch[DIRECTIVE]), go(&Value::Object(patch.clone())));
    PatchError::Internal(format!("unknown patch type: {directive} in map: {map}"))
}

/// A value without objects that are directives; nothing when it is one.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => None,
        Value::Object(fields) => Some(
            fields
                .into_iter()
                .filter_map(|(name, value)| Some((name, without_directives(value)?)))
                .collect::<Fields>()
                .into(),
        ),
        Value::Array(items) => Some(items.into_iter().filter_map(without_directives).collect()),
        other => Some(other),
    }
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => (),
    }
}
