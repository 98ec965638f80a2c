//! Generators of generators: matrix and merge.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    super::{home::Home, model::items},
    generators::run,
    params::{Style, shown},
};
use crate::kube::object::is_zero;

/// What another generator gives, inside of one of these.
fn child(
    home: &Home<'_>,
    set: &Value,
    generator: &Value,
    style: &Style,
    outer: &Value,
) -> Result<Vec<Value>, String> {
    let found = run(home, set, generator, style, outer, false)
        .map_err(|error| format!("child generator returned an error on parameter generation: {error}"))?;
    Ok(found.into_iter().map(|(params, _)| params).collect())
}

/// Every parameters of the first with every ones of the second.
pub fn matrix(home: &Home<'_>, set: &Value, said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let both: Vec<&Value> = items(&said["generators"]).collect();
    let [first, second] = both.as_slice() else {
        let how = if both.len() < 2 { "less" } else { "more" };
        return Err(format!("found {how} than two generators, Matrix support only two"));
    };
    let mut all = Vec::new();
    let left = child(home, set, first, style, &json!({})).map_err(|error| {
        format!("error failed to get params for first generator in matrix generator: {error}")
    })?;
    for left in left {
        let right = child(home, set, second, style, &left).map_err(|error| {
            format!("failed to get params for second generator in the matrix generator: {error}")
        })?;
        for right in right {
            all.push(if style.is_go() {
                let mut both = right;
                lay(&mut both, left.clone());
                both
            } else {
                combined(&left, &right).map_err(|error| {
                    format!(
                        "failed to combine string maps with merging params for the matrix generator: {error}"
                    )
                })?
            });
        }
    }
    Ok(all)
}

fn combined(left: &Value, right: &Value) -> Result<Value, String> {
    let mut both = left.clone();
    for (key, value) in right.as_object().into_iter().flatten() {
        match left.get(key) {
            Some(other) if other != value => {
                return Err(format!(
                    "found duplicate key {key} with different value, a: {} ,b: {}",
                    shown(left, key),
                    shown(right, key)
                ));
            }
            _ => both[key] = value.clone(),
        }
    }
    Ok(both)
}

/// The parameters of the first, with what those of the others say that have the same keys.
pub fn merge(home: &Home<'_>, set: &Value, said: &Value, style: &Style) -> Result<Vec<Value>, String> {
    let all: Vec<&Value> = items(&said["generators"]).collect();
    if all.len() < 2 {
        return Err("found less than two generators, Merge requires two or more".to_owned());
    }
    let mut found = Vec::new();
    for (at, generator) in all.iter().enumerate() {
        found.push(child(home, set, generator, style, &json!({})).map_err(|error| {
            format!(
                "error getting param sets from generators: error getting params from generator {} of {}: {error}",
                at + 1,
                all.len()
            )
        })?);
    }
    let keys: Vec<&str> = items(&said["mergeKeys"]).filter_map(Value::as_str).collect();
    let by_key = |params| by_key(&keys, params);
    let mut found = found.into_iter().map(by_key);
    let mut base = found.next().unwrap_or_else(|| Ok(BTreeMap::new()))?;
    for others in found {
        for (key, over) in others? {
            let Some(params) = base.get_mut(&key) else { continue };
            match (params.as_object_mut(), over) {
                (Some(params), Value::Object(over)) if !style.is_go() => params.extend(over),
                (_, over) => lay(params, over),
            }
        }
    }
    Ok(base.into_values().collect())
}

/// Parameters by the values of their keys, as JSON.
fn by_key(keys: &[&str], all: Vec<Value>) -> Result<BTreeMap<String, Value>, String> {
    let wrong = |error: &str| format!("error getting param sets by merge key: {error}");
    if keys.is_empty() {
        return Err(wrong("no merge keys were specified, Merge requires at least one"));
    }
    let keys: BTreeMap<&str, ()> = keys.iter().map(|key| (*key, ())).collect();
    let mut found = BTreeMap::new();
    for params in all {
        let of: Map<String, Value> = keys
            .keys()
            .map(|key| ((*key).to_owned(), params.get(key).cloned().unwrap_or_default()))
            .collect();
        let key = Value::Object(of).to_string();
        if found.contains_key(&key) {
            return Err(wrong(&format!(
                "the parameters from a generator were not unique by the given mergeKeys, Merge requires all param sets to \
                 be unique. Duplicate key was {key}"
            )));
        }
        found.insert(key, params);
    }
    Ok(found)
}

/// Lays a value over another: maps key by key, all else replaces; what is empty says nothing.
pub fn lay(base: &mut Value, over: Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                match base.get_mut(&key) {
                    Some(there) => lay(there, value),
                    None => drop(base.insert(key, value)),
                }
            }
        }
        (_, over) if is_zero(&over) => {}
        (base, over) => *base = over,
    }
}
