//! Which nodes a pod is drawn to or kept from: by their labels, and by the pods that are there.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::fit::Misfit;
use crate::{
    kube::{object::meta, select::Selector},
    play::{
        Cluster,
        workloads::objects::{int, is_active, items, text},
    },
};

/// Whether a node has the labels (and fields) that a pod insists on.
pub fn node_matches(pod: &Value, node: &Value) -> bool {
    let labels = &node["metadata"]["labels"];
    let selector = pod["spec"]["nodeSelector"].as_object();
    if !selector.into_iter().flatten().all(|(key, value)| labels.get(key) == Some(value)) {
        return false;
    }
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    required.is_null() || terms_match(&required["nodeSelectorTerms"], node)
}

/// Whether one of the terms of a node selector is true of a node. A term that asks for nothing is true of none.
pub fn terms_match(terms: &Value, node: &Value) -> bool {
    items(terms).any(|term| {
        let some = [&term["matchExpressions"], &term["matchFields"]];
        some.iter().any(|it| items(it).next().is_some())
            && items(&term["matchExpressions"])
                .all(|it| holds(it, node["metadata"]["labels"][text(&it["key"])].as_str()))
            && items(&term["matchFields"]).all(|it| holds(it, Some(meta(node, "name"))))
    })
}

fn holds(expression: &Value, value: Option<&str>) -> bool {
    let listed = || value.is_some_and(|value| items(&expression["values"]).any(|it| it == value));
    let number = |value: Option<&str>| value.and_then(|it| it.parse::<i64>().ok());
    let limit = || number(items(&expression["values"]).next().and_then(Value::as_str));
    match text(&expression["operator"]) {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => number(value).zip(limit()).is_some_and(|(value, limit)| value > limit),
        "Lt" => number(value).zip(limit()).is_some_and(|(value, limit)| value < limit),
        _ => false,
    }
}

/// What the pods that are there say about where another may go. Only what is required counts.
pub struct Neighbours {
    rules: Vec<Rule>,
}

struct Rule {
    topology: String,
    /// Pods that the rule is about, by the value that their nodes have for the topology.
    there: BTreeMap<String, i64>,
    kind: Kind,
}

enum Kind {
    /// It goes where such pods are; where there are none anywhere, the first may go anywhere that has the label.
    Affinity { first: bool },
    /// It goes where no such pods are.
    AntiAffinity,
    /// No more than so many above the emptiest place.
    Spread { skew: i64, least: i64 },
}

impl Neighbours {
    /// Of a pod that looks for a place.
    pub fn of(cluster: &Cluster, pod: &Value, nodes: &[Arc<Value>]) -> Self {
        let affinity = &pod["spec"]["affinity"];
        let required = "requiredDuringSchedulingIgnoredDuringExecution";
        let mut rules = Vec::new();
        let mut add = |terms: &Value, attracts: bool| {
            for term in items(terms) {
                let selector = Selector::of_object(&term["labelSelector"]).unwrap_or_default();
                let namespaces: Vec<&str> = items(&term["namespaces"]).filter_map(Value::as_str).collect();
                let namespaces =
                    if namespaces.is_empty() { vec![meta(pod, "namespace")] } else { namespaces };
                let topology = text(&term["topologyKey"]).to_owned();
                let there = places(cluster, nodes, &topology, &namespaces, &selector);
                let kind = match attracts {
                    true => Kind::Affinity { first: there.is_empty() && selector.matches(pod) },
                    false => Kind::AntiAffinity,
                };
                rules.push(Rule { topology, there, kind });
            }
        };
        add(&affinity["podAffinity"][required], true);
        add(&affinity["podAntiAffinity"][required], false);
        for spread in items(&pod["spec"]["topologySpreadConstraints"]) {
            if spread["whenUnsatisfiable"] == "ScheduleAnyway" {
                continue;
            }
            let selector = Selector::of_object(&spread["labelSelector"]).unwrap_or_default();
            let topology = text(&spread["topologyKey"]).to_owned();
            let mut there = places(cluster, nodes, &topology, &[meta(pod, "namespace")], &selector);
            for node in nodes.iter().filter(|node| node_matches(pod, node)) {
                if let Some(value) = node["metadata"]["labels"][&topology].as_str() {
                    there.entry(value.to_owned()).or_default();
                }
            }
            let least = there.values().min().copied().unwrap_or(0);
            let skew = int(&spread["maxSkew"]).max(1) - i64::from(selector.matches(pod));
            rules.push(Rule { topology, there, kind: Kind::Spread { skew, least } });
        }
        Self { rules }
    }

    /// Whether a node is one of those where the pod may go.
    pub fn verdict(&self, node: &Value) -> Result<(), Misfit> {
        for rule in &self.rules {
            let value = node["metadata"]["labels"][&rule.topology].as_str();
            let there = value.and_then(|it| rule.there.get(it)).copied().unwrap_or(0);
            match rule.kind {
                Kind::Affinity { first } if value.is_none() || (there == 0 && !first) => {
                    return Err(Misfit::lasting("node(s) didn't match pod affinity rules"));
                }
                Kind::AntiAffinity if there > 0 => {
                    return Err(Misfit::crowded("node(s) didn't match pod anti-affinity rules"));
                }
                Kind::Spread { .. } if value.is_none() => {
                    return Err(Misfit::lasting(
                        "node(s) didn't match pod topology spread constraints (missing required label)",
                    ));
                }
                Kind::Spread { skew, least } if there - least > skew => {
                    return Err(Misfit::crowded("node(s) didn't match pod topology spread constraints"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn places(
    cluster: &Cluster,
    nodes: &[Arc<Value>],
    topology: &str,
    namespaces: &[&str],
    selector: &Selector,
) -> BTreeMap<String, i64> {
    let mut there = BTreeMap::new();
    for namespace in namespaces {
        for pod in cluster.list("/pods", Some(namespace)) {
            let node = nodes.iter().find(|node| pod["spec"]["nodeName"] == node["metadata"]["name"]);
            let value = node.and_then(|node| node["metadata"]["labels"][topology].as_str());
            if let Some(value) = value
                && is_active(&pod)
                && selector.matches(&pod)
            {
                *there.entry(value.to_owned()).or_default() += 1;
            }
        }
    }
    there
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn expressions_over_labels() {
        let node = json!({"metadata": {"name": "n", "labels": {"zone": "a", "size": "4"}}});
        let term = |key: &str, operator: &str, values: &[&str]| {
            terms_match(
                &json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]),
                &node,
            )
        };
        assert!(
            term("zone", "In", &["a", "b"]) && !term("zone", "NotIn", &["a"]) && term("size", "Gt", &["3"])
        );
        assert!(term("x", "NotIn", &["a"]) && term("x", "DoesNotExist", &[]) && !term("x", "Exists", &[]));
        assert!(!terms_match(&json!([{}]), &node), "a term that asks for nothing");
        let by_name = json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}]);
        assert!(terms_match(&by_name, &node));
    }
}
