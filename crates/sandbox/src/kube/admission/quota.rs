//! ResourceQuotas: what counts, how much of it there is, and who gets no more.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    forbidden,
    limits::{Amounts, amounts},
    needs,
};
use crate::kube::{
    api::Api,
    catalog::Resource,
    house,
    object::{is_going, meta},
    quantity::Quantity,
    refusal::Refusal,
    store::{Change, Key},
};

/// What must be said by every container, once a quota counts it.
const MUST_SAY: &[&str] =
    &["cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"];
/// Kinds that are also counted by their plural alone.
const BY_PLURAL: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];
const OF_CLASS: &str = ".storageclass.storage.k8s.io/";

/// A quota with what is used of it.
pub(super) struct Counted {
    quota: Arc<Value>,
    hard: Amounts,
    used: Amounts,
}

impl Counted {
    /// Counts what is there.
    pub fn of(api: &Api, quota: Arc<Value>) -> Self {
        let hard = amounts(&quota["spec"]["hard"]);
        let namespace = meta(&quota, "namespace");
        let mut used: Amounts = hard.keys().map(|name| (name.clone(), Quantity::ZERO)).collect();
        let mut counted: Vec<Arc<str>> = Vec::new();
        for name in hard.keys() {
            let Some(resource) = resource_of(api, name) else { continue };
            if counted.contains(&resource.stored_as) {
                continue;
            }
            counted.push(resource.stored_as.clone());
            for (_, object) in api.store.list(&resource.stored_as, Some(namespace)).objects {
                if !in_scope(&quota, &resource, &object) {
                    continue;
                }
                for (name, amount) in usage(&resource, &object) {
                    if let Some(sum) = used.get_mut(&name) {
                        *sum = *sum + amount;
                    }
                }
            }
        }
        Self { quota, hard, used }
    }

    /// Refuses what would use more than there is.
    ///
    /// # Errors
    /// 403.
    pub fn judge(&self, resource: &Resource, old: Option<&Value>, new: &Value) -> Result<(), Refusal> {
        let is_pod = &*resource.stored_as == "/pods";
        if (is_pod && old.is_some()) || !in_scope(&self.quota, resource, new) {
            return Ok(());
        }
        let name = meta(&self.quota, "name");
        if is_pod {
            self.must_say(&new["spec"])
                .map_err(|why| forbidden(resource, new, &format!("failed quota: {name}: {why}")))?;
        }
        let before = old.map(|old| usage(resource, old)).unwrap_or_default();
        let mut wanted = Amounts::new();
        for (name, amount) in usage(resource, new) {
            let more = before.get(&name).map_or(amount, |before| amount - *before);
            if self.hard.contains_key(&name) && more > Quantity::ZERO {
                wanted.insert(name, more);
            }
        }
        let used = |name: &str| self.used.get(name).copied().unwrap_or(Quantity::ZERO);
        let exceeded: Vec<(&String, &Quantity, Quantity)> = wanted
            .iter()
            .filter_map(|(name, more)| Some((name, more, *self.hard.get(name)?)))
            .filter(|(name, more, hard)| used(name) + **more > *hard)
            .collect();
        if exceeded.is_empty() {
            return Ok(());
        }
        let words = |of: &dyn Fn(&(&String, &Quantity, Quantity)) -> Quantity| {
            exceeded.iter().map(|it| format!("{}={}", it.0, of(it))).collect::<Vec<_>>().join(",")
        };
        let why = format!(
            "exceeded quota: {name}, requested: {}, used: {}, limited: {}",
            words(&|it| *it.1),
            words(&|it| used(it.0)),
            words(&|it| it.2)
        );
        Err(forbidden(resource, new, &why))
    }

    /// Every container says how much it needs of what is counted.
    fn must_say(&self, spec: &Value) -> Result<(), String> {
        if ["requests", "limits"].iter().any(|key| spec["resources"][*key].is_object()) {
            return Ok(());
        }
        let mut missing = Vec::new();
        for name in MUST_SAY.iter().filter(|name| self.hard.contains_key(**name)) {
            let (key, what) = name.split_once('.').unwrap_or(("requests", name));
            let mut silent: Vec<&str> = Vec::new();
            for kind in ["containers", "initContainers"] {
                let containers = spec[kind].as_array().into_iter().flatten();
                let without = containers.filter(|it| Quantity::of(&it["resources"][key][what]).is_none());
                silent.extend(without.filter_map(|it| it["name"].as_str()));
            }
            silent.sort_unstable();
            silent.dedup();
            if !silent.is_empty() {
                missing.push((*name, silent.join(",")));
            }
        }
        missing.sort_unstable();
        let words: Vec<String> = missing.iter().map(|(name, who)| format!("{name} for: {who}")).collect();
        if words.is_empty() { Ok(()) } else { Err(format!("must specify {}", words.join("; "))) }
    }

    /// As the quota's status shows it.
    fn status(&self) -> Value {
        let shown = |amounts: &Amounts| -> Value {
            amounts.iter().map(|(name, amount)| (name.clone(), json!(amount.to_string()))).collect()
        };
        json!({ "hard": shown(&self.hard), "used": shown(&self.used) })
    }
}

/// Which resource is counted under a name.
fn resource_of(api: &Api, name: &str) -> Option<Arc<Resource>> {
    let core = |plural: &str| api.catalog.find("", "v1", plural);
    if let Some(counted) = name.strip_prefix("count/") {
        let (plural, group) = counted.split_once('.').unwrap_or((counted, ""));
        return api.catalog.all().into_iter().find(|it| it.plural == plural && it.group == group);
    }
    match name {
        _ if name == "requests.storage" || name.contains(OF_CLASS) => core("persistentvolumeclaims"),
        _ if name.starts_with("services.") => core("services"),
        _ if BY_PLURAL.contains(&name) => core(name),
        _ => core("pods"),
    }
}

/// Whether a quota is about such an object. One with scopes is about pods alone.
fn in_scope(quota: &Value, resource: &Resource, object: &Value) -> bool {
    let scopes = quota["spec"]["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let exists = Value::from("Exists");
    let mut terms: Vec<(&str, &Value, &Value)> = scopes.map(|it| (it, &exists, &Value::Null)).collect();
    for term in quota["spec"]["scopeSelector"]["matchExpressions"].as_array().into_iter().flatten() {
        terms.push((term["scopeName"].as_str().unwrap_or_default(), &term["operator"], &term["values"]));
    }
    if terms.is_empty() {
        return true;
    }
    let of_pods = &*resource.stored_as == "/pods";
    of_pods && terms.iter().all(|(scope, operator, values)| pod_in_scope(object, scope, operator, values))
}

fn pod_in_scope(pod: &Value, scope: &str, operator: &Value, values: &Value) -> bool {
    let spec = &pod["spec"];
    let ends = spec["activeDeadlineSeconds"].as_i64().is_some_and(|it| it >= 0);
    let asks_nothing = || {
        ["containers", "initContainers"].iter().all(|kind| {
            spec[*kind].as_array().into_iter().flatten().all(|it| {
                ["requests", "limits"].iter().all(|key| {
                    ["cpu", "memory"]
                        .iter()
                        .all(|what| Quantity::of(&it["resources"][*key][*what]).is_none_or(|it| it.is_zero()))
                })
            })
        })
    };
    match scope {
        "Terminating" => ends,
        "NotTerminating" => !ends,
        "BestEffort" => asks_nothing(),
        "NotBestEffort" => !asks_nothing(),
        "PriorityClass" => {
            let class = spec["priorityClassName"].as_str().unwrap_or_default();
            let listed = values.as_array().is_some_and(|it| it.iter().any(|it| it == class));
            match operator.as_str() {
                Some("In") => listed,
                Some("NotIn") => !listed,
                Some("DoesNotExist") => class.is_empty(),
                _ => !class.is_empty(),
            }
        }
        "CrossNamespacePodAffinity" => ["podAffinity", "podAntiAffinity"].iter().any(|kind| {
            let terms = &spec["affinity"][*kind];
            let hard =
                terms["requiredDuringSchedulingIgnoredDuringExecution"].as_array().into_iter().flatten();
            let soft =
                terms["preferredDuringSchedulingIgnoredDuringExecution"].as_array().into_iter().flatten();
            let mut all = hard.chain(soft.map(|it| &it["podAffinityTerm"]));
            all.any(|it| {
                it["namespaces"].as_array().is_some_and(|it| !it.is_empty())
                    || it["namespaceSelector"].is_object()
            })
        }),
        _ => false,
    }
}

/// What an object counts for.
fn usage(resource: &Resource, object: &Value) -> Amounts {
    let one = Quantity::count(1);
    let mut usage = Amounts::new();
    let counted = match resource.group.as_str() {
        "" => format!("count/{}", resource.plural),
        group => format!("count/{}.{group}", resource.plural),
    };
    usage.insert(counted, one);
    if resource.group.is_empty() && BY_PLURAL.contains(&resource.plural.as_str()) {
        usage.insert(resource.plural.clone(), one);
    }
    let spec = &object["spec"];
    match &*resource.stored_as {
        "/pods" if !matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed")) => {
            usage.insert("pods".into(), one);
            for (name, amount) in needs::of(spec, "requests") {
                usage.insert(format!("requests.{name}"), amount);
                if matches!(name.as_str(), "cpu" | "memory" | "ephemeral-storage")
                    || name.starts_with("hugepages-")
                {
                    usage.insert(name, amount);
                }
            }
            for (name, amount) in needs::of(spec, "limits") {
                usage.insert(format!("limits.{name}"), amount);
            }
        }
        "/services" => {
            let ports = spec["ports"].as_array().map_or(0, Vec::len);
            let (nodes, balancers) = match spec["type"].as_str() {
                Some("NodePort") => (ports, 0),
                Some("LoadBalancer") if spec["allocateLoadBalancerNodePorts"] == false => (0, 1),
                Some("LoadBalancer") => (ports, 1),
                _ => (0, 0),
            };
            usage.insert("services.nodeports".into(), Quantity::count(nodes));
            usage.insert("services.loadbalancers".into(), Quantity::count(balancers));
        }
        "/persistentvolumeclaims" => {
            let class = spec["storageClassName"].as_str().unwrap_or_default();
            let size = Quantity::of(&spec["resources"]["requests"]["storage"]).unwrap_or(Quantity::ZERO);
            usage.insert("requests.storage".into(), size);
            if !class.is_empty() {
                usage.insert(format!("{class}{OF_CLASS}requests.storage"), size);
                usage.insert(format!("{class}{OF_CLASS}persistentvolumeclaims"), one);
            }
        }
        _ => {}
    }
    usage
}

/// Writes down what is used now, in every quota that a change touches.
pub(super) fn count_again(api: &Api, resource: &Resource, change: &Change) {
    if change.key.namespace.is_empty() {
        return;
    }
    let Some(quotas) = api.catalog.find("", "v1", "resourcequotas") else { return };
    for (key, quota) in api.store.list(&quotas.stored_as, Some(&change.key.namespace)).objects {
        let own = resource.stored_as == quotas.stored_as && key == change.key;
        let mut names = amounts(&quota["spec"]["hard"]).into_keys();
        let touched = own
            || names.any(|name| resource_of(api, &name).is_some_and(|it| it.stored_as == resource.stored_as));
        if touched && !is_going(&quota) {
            write(api, &quotas, &key, quota);
        }
    }
}

fn write(api: &Api, resource: &Resource, key: &Key, quota: Arc<Value>) {
    let status = Counted::of(api, quota.clone()).status();
    if quota["status"] != status {
        house::edit(api, resource, key, |quota| quota["status"] = status);
    }
}
