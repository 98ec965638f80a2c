//! The subresource `scale`: replicas of anything that has some, in one form.

use serde_json::{Value, json};

use super::{catalog::Resource, custom::ScalePaths};

/// An object as a `Scale`.
pub fn of(resource: &Resource, object: &Value) -> Value {
    let paths = paths(resource);
    let number = |pointer: &str| object.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
    let mut metadata = json!({});
    for key in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
        if let Some(value) = object["metadata"].get(key) {
            metadata[key] = value.clone();
        }
    }
    let mut status = json!({ "replicas": number(&paths.counted) });
    let selector = match &paths.selector {
        Some(pointer) => object.pointer(pointer).and_then(Value::as_str).map(str::to_owned),
        None => Some(selector(&object["spec"]["selector"])).filter(|text| !text.is_empty()),
    };
    if let Some(selector) = selector {
        status["selector"] = selector.into();
    }
    json!({
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": metadata,
        "spec": match number(&paths.wanted) {
            0 => json!({}),
            wanted => json!({ "replicas": wanted }),
        },
        "status": status,
    })
}

/// An object with the replicas that a `Scale` wants.
pub fn put(resource: &Resource, object: &Value, scale: &Value) -> Value {
    let mut object = object.clone();
    let wanted = scale["spec"]["replicas"].as_u64().unwrap_or(0);
    let mut place = &mut object;
    for part in paths(resource).wanted.split('/').filter(|part| !part.is_empty()) {
        place = &mut place[part];
    }
    *place = wanted.into();
    if let Some(version) = scale["metadata"].get("resourceVersion") {
        object["metadata"]["resourceVersion"] = version.clone();
    }
    object
}

fn paths(resource: &Resource) -> ScalePaths {
    resource.custom.as_ref().and_then(|custom| custom.scale.clone()).unwrap_or_else(|| ScalePaths {
        wanted: "/spec/replicas".into(),
        counted: "/status/replicas".into(),
        selector: None,
    })
}

/// `a=b,c in (d,e)`.
fn selector(selector: &Value) -> String {
    // Replication controllers have a plain map.
    let labels = selector.get("matchLabels").unwrap_or(if selector.get("matchExpressions").is_some() {
        &Value::Null
    } else {
        selector
    });
    let mut terms: Vec<String> = labels
        .as_object()
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    terms.sort();
    terms.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kube::catalog::Catalog;

    #[test]
    fn a_deployment_scales() {
        let deployments = Catalog::default().find("apps", "v1", "deployments").expect("built in");
        let object = json!({
            "metadata": {"name": "x", "resourceVersion": "4", "labels": {}},
            "spec": {"replicas": 2, "selector": {"matchLabels": {"app": "a"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]}},
            "status": {"replicas": 1},
        });
        let mut scale = of(&deployments, &object);
        assert_eq!(
            (&scale["spec"]["replicas"], &scale["status"]),
            (&json!(2), &json!({"replicas": 1, "selector": "app=a,b"}))
        );
        scale["spec"]["replicas"] = json!(5);
        assert_eq!(put(&deployments, &object, &scale)["spec"]["replicas"], 5);
    }
}
