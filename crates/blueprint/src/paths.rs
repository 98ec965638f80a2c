//! From a path in the blueprint to the paths in a repository: loops and what a path may be.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{BlueprintError, context, manifest::Loop};

/// A path without braces, and what the loop variables stand for there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Placed {
    pub(crate) path: String,
    pub(crate) bindings: Vec<(String, Value)>,
}

/// Makes one path for each combination of loop elements, outer loops first, in the order of the lists.
///
/// `{cell}` is the element's `name` (or the element, when it is a text), `{cell.cluster}` another field of it; a field may be a path
/// of several segments.
pub(crate) fn expand(path: &str, loops: &[Loop], model: &Value) -> Result<Vec<Placed>, BlueprintError> {
    let refuse = |why: String| BlueprintError::Path { path: path.to_owned(), why };
    let mut done = Vec::new();
    let mut open = vec![Placed { path: path.to_owned(), bindings: Vec::new() }];
    while let Some(mut placed) = open.pop() {
        let Some(place) = first_place(&placed.path) else {
            done.push(placed);
            continue;
        };
        let (variable, field) = place.split_once('.').unwrap_or((&place, ""));
        if let Some((_, element)) = placed.bindings.iter().find(|(name, _)| name == variable) {
            let segment = segment_of(element, field)
                .ok_or_else(|| refuse(format!("`{{{place}}}` of an element is no path segment")))?;
            placed.path = placed.path.replace(&format!("{{{place}}}"), segment);
            open.push(placed);
            continue;
        }
        let declared = loops
            .iter()
            .find(|declared| declared.variable == variable)
            .ok_or_else(|| refuse(format!("`{{{place}}}` is no loop of blueprint.toml")))?;
        let list = list_of(declared, &placed.bindings, model)
            .ok_or_else(|| refuse(format!("there is no list `{}` in the model", declared.over)))?;
        // Backwards, since `open` is a stack.
        for element in distinct(list, &declared.by).into_iter().rev() {
            let mut bound = placed.clone();
            bound.bindings.push((declared.variable.clone(), element.clone()));
            open.push(bound);
        }
    }
    Ok(done)
}

fn segment_of<'v>(element: &'v Value, field: &str) -> Option<&'v str> {
    let found =
        if field.is_empty() && element.is_object() { &element["name"] } else { context::at(element, field)? };
    found.as_str().filter(|text| if field.is_empty() { is_segment(text) } else { is_path(text) })
}

/// The first of each group of elements that are equal in these fields; all of them without fields.
fn distinct<'v>(list: &'v [Value], by: &[String]) -> Vec<&'v Value> {
    if by.is_empty() {
        return list.iter().collect();
    }
    let mut seen = BTreeSet::new();
    let fields = |element: &Value| -> Vec<Option<String>> {
        by.iter().map(|field| context::at(element, field).map(Value::to_string)).collect()
    };
    list.iter().filter(|element| seen.insert(fields(element))).collect()
}

fn list_of<'v>(declared: &Loop, bindings: &'v [(String, Value)], model: &'v Value) -> Option<&'v Vec<Value>> {
    let (first, rest) = declared.over.split_once('.').unwrap_or((&declared.over, ""));
    let found = match bindings.iter().find(|(name, _)| name == first) {
        Some((_, element)) => context::at(element, rest),
        None => context::at(model, &declared.over),
    };
    found?.as_array()
}

/// What stands between the first pair of braces.
fn first_place(path: &str) -> Option<String> {
    let start = path.find('{')? + 1;
    let end = start + path[start..].find('}')?;
    Some(path[start..end].to_owned())
}

/// Whether a text may be one segment of a path, on every file system and without leading elsewhere.
pub(crate) fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text != "."
        && text != ".."
        && text != ".git"
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+@".contains(&b))
}

/// Whether a text may be a path in a repository.
pub(crate) fn is_path(text: &str) -> bool {
    text.split('/').all(is_segment)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn declare(variable: &str, over: &str) -> Loop {
        Loop { variable: variable.to_owned(), over: over.to_owned(), by: Vec::new() }
    }

    #[test]
    fn loops_nest_and_keep_the_order_of_the_lists() {
        let model = json!({"tenants": [
            {"name": "b", "apps": [{"name": "y"}, {"name": "x"}]},
            {"name": "a", "apps": [{"name": "z"}]},
        ]});
        let loops = [declare("tenant", "tenants"), declare("app", "tenant.apps")];
        let placed = expand("t/{tenant}/{app}/{tenant}.yaml", &loops, &model).unwrap();
        let paths: Vec<_> = placed.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["t/b/y/b.yaml", "t/b/x/b.yaml", "t/a/z/a.yaml"]);
        assert_eq!(placed[1].bindings[1], ("app".to_owned(), json!({"name": "x"})));
    }

    #[test]
    fn elements_may_be_texts_and_places_may_be_fields() {
        let placed =
            expand("{zone}", &[declare("zone", "dns.zones")], &json!({"dns": {"zones": ["a.b"]}})).unwrap();
        assert_eq!(placed[0].path, "a.b");
        let model = json!({"applications": [{"name": "web-dev", "app": "web"}]});
        let placed =
            expand("{application.app}/{application}", &[declare("application", "applications")], &model)
                .unwrap();
        assert_eq!(placed[0].path, "web/web-dev");
    }

    #[test]
    fn a_field_may_be_a_path_and_equal_elements_are_taken_once() {
        let model = json!({"applications": [
            {"name": "1", "tenants": ["a"], "dir": "us/dev"},
            {"name": "2", "tenants": ["a"], "dir": "us/dev"},
            {"name": "3", "tenants": ["b"], "dir": "eu"},
        ]});
        let mut once = declare("one", "applications");
        once.by = vec!["tenants.0".to_owned()];
        let placed = expand("{one.dir}/{one.tenants.0}.yaml", &[once], &model).unwrap();
        let paths: Vec<_> = placed.iter().map(|p| p.path.as_str()).collect();
        assert_eq!(paths, ["us/dev/a.yaml", "eu/b.yaml"]);
        for dir in ["../x", "a//b", "/a", "a/.git"] {
            let model = json!({"applications": [{"name": "1", "dir": dir}]});
            assert!(expand("{one.dir}/x", &[declare("one", "applications")], &model).is_err(), "{dir}");
        }
    }

    #[test]
    fn what_leads_nowhere_or_elsewhere_is_refused() {
        let loops = [declare("cell", "cells")];
        for (path, model) in [
            ("{app}", json!({"cells": []})),
            ("{cell}", json!({})),
            ("{cell}", json!({"cells": [{"name": ".."}]})),
            ("{cell}", json!({"cells": [{"name": "a/b"}]})),
            ("{cell}", json!({"cells": [{"name": ""}]})),
            ("{cell}", json!({"cells": [{"title": "a"}]})),
        ] {
            assert!(expand(path, &loops, &model).is_err(), "{path} over {model}");
        }
        assert!(!is_path("a//b") && !is_path("../a") && !is_path("/a") && !is_path(".git/config"));
        assert!(is_path(".platform/rendered-by.txt"));
    }
}
