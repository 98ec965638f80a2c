//! Looking into the derived model, and handing values to templates.

use serde_json::Value;

/// The value at a dotted path; the empty path is the value itself.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|segment| !segment.is_empty()).try_fold(value, |value, segment| value.get(segment))
}

/// Whether a value counts as being asked for: not null, not false, not empty.
pub(crate) fn is_wanted(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_and_wishes() {
        let model =
            json!({"backup": {"store": {"bucket": "b"}}, "none": null, "no": false, "zero": 0, "empty": []});
        assert_eq!(at(&model, "backup.store.bucket"), Some(&json!("b")));
        assert_eq!(at(&model, "backup.shop"), None);
        assert_eq!(at(&model, ""), Some(&model));
        let wanted = |path| at(&model, path).is_some_and(is_wanted);
        assert!(wanted("backup") && wanted("zero"));
        assert!(!wanted("none") && !wanted("no") && !wanted("empty") && !wanted("absent"));
    }
}
