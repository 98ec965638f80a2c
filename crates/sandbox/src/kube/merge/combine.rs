//! An object with another laid over it. Nothing is removed; where both have a leaf, the second wins.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::{
    element::Element,
    shapes::{Kind, by_element, element_of, field, fields, is_bare, items, kind},
};
use crate::kube::schema::{List, Shape};

/// Lays `over` over `under`. Nothing when both are nothing.
pub(super) fn combine(shape: &Shape, under: Option<&Value>, over: Option<&Value>) -> Option<Value> {
    let whole = || over.or(under).cloned();
    let how = if over.is_some() { kind(shape, over) } else { kind(shape, under) };
    match how {
        Kind::Items(list) if !items(under).is_empty() || !items(over).is_empty() => {
            combine_items(list, items(under), items(over)).map(Value::Array)
        }
        Kind::Fields if !is_bare(under) || !is_bare(over) => {
            let (under, over) = (fields(under), fields(over));
            let mut out = Map::new();
            for name in under.into_iter().chain(over).flat_map(Map::keys) {
                if !out.contains_key(name) {
                    let value = combine(shape.field(name), field(under, name), field(over, name));
                    out.extend(value.map(|value| (name.clone(), value)));
                }
            }
            (!out.is_empty()).then_some(Value::Object(out))
        }
        _ => whole(),
    }
}

/// The items of both lists. Those of `over` keep their order; the others stay between the same neighbours where that is
/// possible. `over` has every element once; of an element that `under` has more than once, no item is merged.
fn combine_items(list: &List, under: &[Value], over: &[Value]) -> Option<Vec<Value>> {
    let elements = |items: &[Value]| -> Vec<Element> {
        items.iter().filter_map(|item| element_of(list, item).ok()).collect()
    };
    let (under_elements, over_elements) = (elements(under), elements(over));
    let (under_found, over_found) = (by_element(list, under), by_element(list, over));
    let in_both = |element: &Element| {
        let below = match under_found.get(element).map(Vec::as_slice) {
            None | Some([]) => None,
            Some([item]) => Some(*item),
            Some(_) => Some(&Value::Null),
        };
        combine(&list.items, below, over_found.get(element).and_then(|items| items.first().copied()))
    };
    let mut shared: VecDeque<&Element> =
        over_elements.iter().filter(|element| under_found.contains_key(element)).collect();
    let mut done = BTreeSet::new();

    let mut out = Vec::new();
    let (mut u, mut o) = (0, 0);
    while u < under_elements.len() || o < over_elements.len() {
        if let (Some(lower), Some(upper)) = (under_elements.get(u), over_elements.get(o)) {
            if lower == upper {
                out.extend(in_both(upper));
                done.insert(upper);
                (u, o) = (u + 1, o + 1);
                shared.pop_front();
                continue;
            }
            // An item of both whose turn has not come: `over` says when.
            if over_found.contains_key(lower) && shared.front().is_some_and(|next| *next != lower) {
                u += 1;
                continue;
            }
        }
        if let Some(lower) = under_elements.get(u) {
            if !over_found.contains_key(lower) {
                out.extend(combine(&list.items, under.get(u), None));
                u += 1;
                continue;
            }
            if done.contains(lower) {
                u += 1;
            }
        }
        if let Some(upper) = over_elements.get(o) {
            out.extend(in_both(upper));
            done.insert(upper);
            o += 1;
            if shared.front() == Some(&upper) {
                shared.pop_front();
            }
        }
    }
    (!out.is_empty()).then_some(out)
}
