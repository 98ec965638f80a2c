//! Fills references to earlier outputs into an input.
//!
//! `{"$from": "demo/network", "path": "/subnets"}` anywhere in an input stands for a part of that step's output;
//! `path` is a JSON pointer, and absent means the whole output.

use std::borrow::Cow;

use platform_spec::StepId;
use serde_json::Value;

/// A reference that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("input refers to `{path}` of the output of step `{step}`, which has none")]
pub struct Dangling {
    /// The step referred to.
    pub step: StepId,
    /// The JSON pointer.
    pub path: String,
}

/// The steps that an input refers to.
pub fn references(input: &Value) -> Vec<StepId> {
    let mut found = Vec::new();
    collect(input, &mut found);
    found
}

fn collect(value: &Value, found: &mut Vec<StepId>) {
    if let Some((step, _)) = reference(value) {
        found.push(step);
        return;
    }
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Object(map) => map.values().for_each(|item| collect(item, found)),
        _ => {}
    }
}

/// The input with every reference filled in; borrowed when there is none.
///
/// # Errors
/// The first reference that leads nowhere.
pub fn resolve<'v>(
    input: &'v Value,
    output_of: &dyn Fn(&StepId) -> Option<&'v Value>,
) -> Result<Cow<'v, Value>, Dangling> {
    if references(input).is_empty() {
        return Ok(Cow::Borrowed(input));
    }
    fill(input, output_of).map(Cow::Owned)
}

fn fill<'v>(input: &Value, output_of: &dyn Fn(&StepId) -> Option<&'v Value>) -> Result<Value, Dangling> {
    if let Some((step, path)) = reference(input) {
        return output_of(&step)
            .and_then(|output| output.pointer(&path))
            .cloned()
            .ok_or(Dangling { step, path });
    }
    Ok(match input {
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| fill(item, output_of)).collect::<Result<_, _>>()?)
        }
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, item)| Ok((key.clone(), fill(item, output_of)?)))
                .collect::<Result<_, Dangling>>()?,
        ),
        other => other.clone(),
    })
}

fn reference(value: &Value) -> Option<(StepId, String)> {
    let map = value.as_object()?;
    let step = map.get("$from")?.as_str()?;
    let path = map.get("path").and_then(Value::as_str).unwrap_or("");
    Some((StepId::new(step), path.to_owned()))
}
