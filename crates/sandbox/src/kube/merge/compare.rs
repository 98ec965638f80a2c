//! Which fields differ between two objects.

use serde_json::{Map, Value};

use super::{
    element::Element,
    fields::{Node, Set},
    shapes::{Kind, by_element, field, fields, is_bare, items, kind},
    value::same,
};
use crate::kube::schema::{List, Shape};

/// What became of the fields of one object in another. No field is in two of the sets.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    /// Only the first has them.
    pub(super) removed: Set,
    /// Both have them, with different values.
    pub(super) modified: Set,
    /// Only the second has them.
    pub(super) added: Set,
}

impl Comparison {
    /// Compares two objects.
    pub(super) fn of(shape: &Shape, old: &Value, new: &Value) -> Self {
        let found = compare(shape, Some(old), Some(new));
        Self {
            removed: found.removed.children,
            modified: found.modified.children,
            added: found.added.children,
        }
    }

    /// Without these fields and all below them.
    pub(super) fn except(&self, fields: &Set) -> Self {
        Self {
            removed: self.removed.recursive_difference(fields),
            modified: self.modified.recursive_difference(fields),
            added: self.added.recursive_difference(fields),
        }
    }
}

/// A comparison of a value inside an object.
#[derive(Default)]
struct Found {
    removed: Node,
    modified: Node,
    added: Node,
    /// The value was compared as a whole.
    whole: bool,
}

impl Found {
    fn put(&mut self, element: &Element, inside: Self) {
        let place = |node: &mut Node, inside: Node| {
            node.children.put(element.clone(), inside.member, inside.children);
        };
        place(&mut self.removed, inside.removed);
        place(&mut self.modified, inside.modified);
        place(&mut self.added, inside.added);
    }
}

fn compare(shape: &Shape, old: Option<&Value>, new: Option<&Value>) -> Found {
    let (before, after) = (kind(shape, old), kind(shape, new));
    let mut found = Found::default();
    match (old, new) {
        (_, None) => found.look(shape, before, old, new),
        (None, _) => found.look(shape, after, old, new),
        // What was an object and is a number now has lost its fields and changed its value.
        _ if !before.is(&after) => {
            found.look(shape, before, old, new);
            found.whole = false;
            found.look(shape, after, old, new);
        }
        _ => found.look(shape, after, old, new),
    }
    if !found.whole {
        found.added.member |= old.is_none();
        found.removed.member |= old.is_some() && new.is_none();
    }
    found
}

impl Found {
    fn look(&mut self, shape: &Shape, kind: Kind<'_>, old: Option<&Value>, new: Option<&Value>) {
        match kind {
            Kind::Items(list) if !items(old).is_empty() || !items(new).is_empty() => {
                self.look_at_items(list, items(old), items(new));
            }
            Kind::Fields if !is_bare(old) || !is_bare(new) => {
                let (old, new) = (fields(old), fields(new));
                let only_new = new.into_iter().flat_map(Map::keys).filter(|name| field(old, name).is_none());
                for name in old.into_iter().flat_map(Map::keys).chain(only_new) {
                    let inside = compare(shape.field(name), field(old, name), field(new, name));
                    self.put(&Element::field(name), inside);
                }
            }
            // Empty and absent lists and objects are told apart as wholes.
            _ => self.look_at_whole(old, new),
        }
    }

    fn look_at_whole(&mut self, old: Option<&Value>, new: Option<&Value>) {
        self.whole = true;
        match (old, new) {
            (None, _) => self.added.member = true,
            (_, None) => self.removed.member = true,
            (Some(old), Some(new)) => self.modified.member |= !same(old, new),
        }
    }

    fn look_at_items(&mut self, list: &List, old: &[Value], new: &[Value]) {
        let (old, new) = (by_element(list, old), by_element(list, new));
        for element in old.keys().chain(new.keys().filter(|element| !old.contains_key(element))) {
            let old = old.get(element).map_or(&[][..], Vec::as_slice);
            let new = new.get(element).map_or(&[][..], Vec::as_slice);
            self.put(element, compare_item(list, old, new));
        }
    }
}

/// Compares the items that share an element. Several are compared, and owned, as one.
fn compare_item(list: &List, old: &[&Value], new: &[&Value]) -> Found {
    let member = |member| Node { member, children: Set::new() };
    match (old, new) {
        ([] | [_], [] | [_]) => compare(&list.items, old.first().copied(), new.first().copied()),
        ([_, _, ..], [_, _, ..]) => {
            let equal = old.len() == new.len() && old.iter().zip(new).all(|(old, new)| same(old, new));
            Found { modified: member(!equal), ..Found::default() }
        }
        ([_, _, ..], []) => Found { removed: member(true), ..Found::default() },
        ([], [_, _, ..]) => Found { added: member(true), ..Found::default() },
        ([_, _, ..], [new]) => Found { removed: member(true), ..compare(&list.items, None, Some(new)) },
        ([old], [_, _, ..]) => Found { added: member(true), ..compare(&list.items, Some(old), None) },
    }
}
