//! Looking into the derived model, and handing values to templates.

use serde_json::Value;

/// The value at a dotted path; the empty path is the value itself. In a list a segment is the `name` of an element, or its place
/// from 0.
pub(crate) fn at<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.').filter(|segment| !segment.is_empty()).try_fold(value, |value, segment| match value {
        Value::Array(list) => {
            let named = list.iter().find(|element| element["name"] == segment);
            named.or_else(|| list.get(segment.parse::<usize>().ok()?))
        }
        _ => value.get(segment),
    })
}

/// The lists of a model whose elements have names of their own, each as a map by name. A template that looks for one of them
/// need not go through them all, once for each of ten thousand files.
pub(crate) fn index(model: &Value) -> Value {
    const NAMED: [&str; 7] = ["addons", "cells", "clusters", "environments", "hosts", "projects", "tenants"];
    let by_name = |list: &Value| -> Value {
        let elements = list.as_array().into_iter().flatten();
        let named = elements.filter_map(|it| Some((it["name"].as_str()?.to_owned(), it.clone())));
        Value::Object(named.collect())
    };
    Value::Object(NAMED.iter().map(|list| ((*list).to_owned(), by_name(&model[*list]))).collect())
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
        let model = json!({"addons": [{"name": "dns", "clusters": ["a", "b"]}]});
        assert_eq!(at(&model, "addons.dns.clusters.1"), Some(&json!("b")));
        assert_eq!(at(&model, "addons.0.name"), Some(&json!("dns")));
        assert_eq!(at(&model, "addons.velero"), None);
        assert_eq!(index(&model)["addons"]["dns"], model["addons"][0]);
        assert!(!wanted("none") && !wanted("no") && !wanted("empty") && !wanted("absent"));
    }
}
