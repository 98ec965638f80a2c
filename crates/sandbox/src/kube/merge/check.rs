//! Whether a value has its shape, told in the real server's words.

use serde_json::Value;

use super::shapes::{element_of, kind_of_go};
use crate::kube::schema::{ListKind, Scalar, Shape};

/// What is refused beside wrong types.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// Nothing.
    Lax,
    /// Items that a list has twice, and fields that are not listed.
    Strict,
}

/// Checks an object.
///
/// # Errors
/// Everything that is wrong, as one message.
pub(super) fn check(shape: &Shape, value: &Value, how: Strictness) -> Result<(), String> {
    let mut found = Vec::new();
    Walk { how, found: &mut found }.value(shape, value, "", false);
    match &found[..] {
        [] => Ok(()),
        [one] => Err(one.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

struct Walk<'a> {
    how: Strictness,
    found: &'a mut Vec<String>,
}

impl Walk<'_> {
    fn report(&mut self, path: &str, message: &str) {
        self.found.push(if path.is_empty() { message.to_owned() } else { format!("{path}: {message}") });
    }

    /// `open`: an object further up keeps fields that are not listed, and so does everything in it.
    fn value(&mut self, shape: &Shape, value: &Value, path: &str, open: bool) {
        if value.is_null() {
            return;
        }
        match shape.resolve() {
            Shape::Scalar(scalar) => {
                if let Some(message) = wrong(*scalar, value) {
                    self.report(path, &message);
                }
            }
            Shape::List(list) => match value.as_array() {
                Some(items) => self.items(list, items, path, open),
                None => self.report(path, &format!("expected list, got &{{{}}}", plain(value))),
            },
            Shape::Map(map) => match value.as_object() {
                Some(fields) => {
                    for (name, value) in fields {
                        self.value(&map.values, value, &format!("{path}.{name}"), open);
                    }
                }
                None => self.report(path, &format!("expected map, got &{{{}}}", plain(value))),
            },
            Shape::Struct(it) => match value.as_object() {
                Some(fields) => {
                    let open = open || it.open;
                    for (name, value) in fields {
                        let path = format!("{path}.{name}");
                        match it.fields.get(name) {
                            Some(field) => self.value(&field.shape, value, &path, open),
                            None if open || self.how == Strictness::Lax => (),
                            // The first one ends the look at this object.
                            None => return self.report(&path, "field not declared in schema"),
                        }
                    }
                }
                None => self.report(path, &format!("expected map, got &{{{}}}", plain(value))),
            },
            Shape::Any | Shape::Whole | Shape::Named(_) => (),
        }
    }

    fn items(&mut self, list: &crate::kube::schema::List, items: &[Value], path: &str, open: bool) {
        let mut seen = std::collections::BTreeSet::new();
        for (at, item) in items.iter().enumerate() {
            let mut place = format!("[{at}]");
            if list.kind != ListKind::Atomic {
                match element_of(list, item) {
                    Ok(element) => {
                        place = element.to_string();
                        if !seen.insert(element) && self.how == Strictness::Strict {
                            self.report(path, &format!("duplicate entries for key {place}"));
                        }
                    }
                    Err(message) => return self.report(path, &format!("element {at}: {message}")),
                }
            }
            self.value(&list.items, item, &format!("{path}{place}"), open);
        }
    }
}

fn wrong(scalar: Scalar, value: &Value) -> Option<String> {
    let go = kind_of_go(value);
    match scalar {
        Scalar::Integer | Scalar::Number if !value.is_number() => {
            Some(format!("expected numeric (int or float), got {go}"))
        }
        Scalar::String if !value.is_string() => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{value}}}"))
        }
        Scalar::Boolean if !value.is_boolean() => {
            Some(format!("expected boolean, got &{{{}}}", plain(value)))
        }
        Scalar::IntOrString | Scalar::Quantity if value.is_array() || value.is_object() => {
            Some(format!("expected any scalar, got &{{{}}}", plain(value)))
        }
        _ => None,
    }
}

/// Text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
