//! Which objects a backup or a restore is about.

use serde_json::Value;

use crate::kube::{catalog::Resource, select::Selector};

/// A list of texts.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Whether something is included and not excluded; an empty list includes everything.
pub(super) fn includes(included: &Value, excluded: &Value, is: impl Fn(&str) -> bool) -> bool {
    let (included, excluded) = (texts(included), texts(excluded));
    let listed = |list: &[&str]| list.iter().any(|it| *it == "*" || is(it));
    (included.is_empty() || listed(&included)) && !listed(&excluded)
}

/// Whether every namespace is included.
pub(super) fn all_namespaces(spec: &Value) -> bool {
    let included = texts(&spec["includedNamespaces"]);
    (included.is_empty() || included.contains(&"*")) && texts(&spec["excludedNamespaces"]).is_empty()
}

/// Whether a namespace is included. Names may have stars.
pub(super) fn has_namespace(spec: &Value, namespace: &str) -> bool {
    includes(&spec["includedNamespaces"], &spec["excludedNamespaces"], |it| glob(it, namespace))
}

fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => {
            text.strip_prefix(start).is_some_and(|text| (0..=text.len()).any(|at| glob(rest, &text[at..])))
        }
    }
}

/// `deployments.apps`, `pods`.
pub(super) fn full_name(resource: &Resource) -> String {
    match resource.group.as_str() {
        "" => resource.plural.clone(),
        group => format!("{}.{group}", resource.plural),
    }
}

/// Whether a word in a list of resources means this one.
pub(super) fn means(word: &str, resource: &Resource) -> bool {
    let word = word.to_lowercase();
    let plain = word == resource.plural
        || word == resource.singular
        || word == resource.kind.to_lowercase()
        || resource.short_names.contains(&word);
    plain || word == full_name(resource)
}

/// Whether lists of `included…` and `excluded…` resources take one. There are two generations of them: one list for all,
/// or one for what lies in namespaces and one for the rest.
pub(super) fn has_resource(spec: &Value, resource: &Resource) -> bool {
    let is = |word: &str| means(word, resource);
    let new = ["includedClusterScopedResources", "excludedClusterScopedResources"]
        .iter()
        .chain(&["includedNamespaceScopedResources", "excludedNamespaceScopedResources"])
        .any(|list| !texts(&spec[*list]).is_empty());
    match (new, resource.namespaced) {
        (false, _) => includes(&spec["includedResources"], &spec["excludedResources"], is),
        (true, true) => {
            includes(&spec["includedNamespaceScopedResources"], &spec["excludedNamespaceScopedResources"], is)
        }
        (true, false) => {
            includes(&spec["includedClusterScopedResources"], &spec["excludedClusterScopedResources"], is)
        }
    }
}

/// Whether the labels of an object are selected.
pub(super) fn has_labels(spec: &Value, object: &Value) -> bool {
    // A selector that is none selects nothing.
    let selects = |selector: &Value| Selector::of_object(selector).is_ok_and(|it| it.matches(object));
    match spec["orLabelSelectors"].as_array().filter(|any| !any.is_empty()) {
        Some(any) => any.iter().any(selects),
        None => selects(&spec["labelSelector"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_include_and_exclude() {
        let spec = json!({"includedNamespaces": ["team-*"], "excludedNamespaces": ["team-x"]});
        assert_eq!(["team-a", "team-x", "other"].map(|it| has_namespace(&spec, it)), [true, false, false]);
        assert!(all_namespaces(&json!({})) && all_namespaces(&json!({"includedNamespaces": ["*"]})));
        assert!(!all_namespaces(&spec));
    }

    #[test]
    fn labels_are_selected_by_one_or_by_any() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "gold"}}});
        let spec = |selector: Value| has_labels(&selector, &object);
        assert!(spec(json!({})));
        assert!(spec(json!({"labelSelector": {"matchLabels": {"app": "web"}}})));
        assert!(!spec(json!({"labelSelector": {"matchLabels": {"app": "db"}}})));
        let among = json!({"key": "tier", "operator": "In", "values": ["gold", "silver"]});
        assert!(spec(json!({"labelSelector": {"matchExpressions": [among]}})));
        let missing = json!({"key": "tier", "operator": "DoesNotExist"});
        assert!(!spec(json!({"labelSelector": {"matchExpressions": [missing]}})));
        assert!(spec(
            json!({"orLabelSelectors": [{"matchLabels": {"app": "db"}}, {"matchLabels": {"app": "web"}}]})
        ));
    }
}
