//! JSON values as Go sees them: equality, order, and two ways of printing.

use std::{cmp::Ordering, fmt::Write};

use serde_json::{Number, Value};

/// Whether two values are equal; `1` equals `1.0`.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order_of_numbers(a, b).is_eq(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

/// A total order: numbers, text, booleans, lists, objects, null.
pub(super) fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => order_of_numbers(a, b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => order_of_all(a.iter().zip(b), a.len(), b.len()),
        (Value::Object(a), Value::Object(b)) => {
            let sorted = |object: &serde_json::Map<String, Value>| {
                let mut pairs: Vec<_> = object.clone().into_iter().collect();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                pairs
            };
            order_of_pairs(&sorted(a), &sorted(b))
        }
        _ => rank(a).cmp(&rank(b)),
    }
}

/// The order of lists of names and values.
pub(super) fn order_of_pairs(a: &[(String, Value)], b: &[(String, Value)]) -> Ordering {
    for (a, b) in a.iter().zip(b) {
        let found = a.0.cmp(&b.0).then_with(|| order(&a.1, &b.1));
        if found.is_ne() {
            return found;
        }
    }
    a.len().cmp(&b.len())
}

fn order_of_all<'a>(pairs: impl Iterator<Item = (&'a Value, &'a Value)>, a: usize, b: usize) -> Ordering {
    pairs.map(|(a, b)| order(a, b)).find(|found| found.is_ne()).unwrap_or_else(|| a.cmp(&b))
}

fn order_of_numbers(a: &Number, b: &Number) -> Ordering {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default()),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

/// For people, as paths in conflicts show keys.
pub(super) fn print(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text, false),
        Value::Array(items) => format!("[{}]", items.iter().map(print).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name}={}", print(value))).collect::<String>()
        }
        Value::Number(number) => number_text(number),
        other => other.to_string(),
    }
}

/// As Go writes JSON: characters that matter to HTML are escaped.
pub(super) fn json(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text, true),
        Value::Array(items) => format!("[{}]", items.iter().map(json).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|a, b| a.0.cmp(b.0));
            let text: Vec<_> =
                fields.iter().map(|(name, value)| format!("{}:{}", quote(name, true), json(value))).collect();
            format!("{{{}}}", text.join(","))
        }
        Value::Number(number) => number_text(number),
        other => other.to_string(),
    }
}

/// As Go's `%v` prints what it read from JSON: `map[a:1 b:[x y]]`.
pub(super) fn go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(go).collect::<Vec<_>>().join(" ")),
        Value::Object(fields) => {
            let mut fields: Vec<_> =
                fields.iter().map(|(name, value)| format!("{name}:{}", go(value))).collect();
            fields.sort();
            format!("map[{}]", fields.join(" "))
        }
        other => other.to_string(),
    }
}

/// Whole numbers have no fraction, however they were written.
fn number_text(number: &Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (None, Some(float)) => float.to_string(),
        _ => number.to_string(),
    }
}

/// Text in double quotes; with `html`, `<`, `>`, `&` and two separators are escaped as Go's JSON does.
pub(super) fn quote(text: &str, html: bool) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if html => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c if u32::from(c) < 0x20 => drop(write!(out, "\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_are_equal_by_value() {
        assert!(same(&json!({"a": [1, "x"]}), &json!({"a": [1.0, "x"]})));
        assert!(!same(&json!(1), &json!("1")));
        assert!(!same(&json!({"a": null}), &json!({})));
    }

    #[test]
    fn kinds_have_an_order() {
        let sorted =
            [json!(1), json!(1.5), json!("a"), json!("b"), json!(false), json!([1]), json!({}), json!(null)];
        for pair in sorted.windows(2) {
            assert!(order(&pair[0], &pair[1]).is_lt(), "{} before {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn text_is_escaped_as_go_does() {
        assert_eq!(json(&json!({"b": 80.0, "a": "x<&\"\u{1}"})), r#"{"a":"x\u003c\u0026\"\u0001","b":80}"#);
        assert_eq!(print(&json!("x<y")), r#""x<y""#);
    }
}
