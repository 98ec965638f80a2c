//! PodDisruptionBudgets: how many pods may be disturbed, and evictions, which ask before they delete.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use crate::kube::{
    api::{Api, Subject},
    catalog::Resource,
    house,
    object::{is_going, meta, time},
    refusal::Refusal,
    select::Selector,
    store::{Change, Key},
};

const BUDGETS: &str = "policy/poddisruptionbudgets";

fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|it| it["type"] == "Ready" && it["status"] == "True")
}

/// Whether a budget is about a pod. A budget without a selector is about none.
fn is_about(budget: &Value, pod: &Value) -> bool {
    budget["spec"]["selector"].is_object()
        && Selector::of_object(&budget["spec"]["selector"]).is_ok_and(|it| it.matches(pod))
}

/// Refuses an eviction that a budget does not allow.
///
/// # Errors
/// 429 when it would disturb too many; 500 for a pod of several budgets.
pub(in crate::kube) fn evict(api: &Api, subject: &Subject<'_>, name: &str) -> Result<(), Refusal> {
    let Some(pod) = api.store.get(&subject.key(name)) else {
        return Err(Refusal::not_found(subject.about(name)));
    };
    // Pods that do not run are nobody's loss.
    if is_going(&pod) || matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed" | "Pending")) {
        return Ok(());
    }
    let namespace = subject.place.namespace.as_deref();
    let budgets = api.store.list(&BUDGETS.into(), namespace).objects;
    let mut of_pod = budgets.iter().map(|(_, it)| it).filter(|it| is_about(it, &pod));
    let (Some(budget), more) = (of_pod.next(), of_pod.next()) else { return Ok(()) };
    if more.is_some() {
        return Err(Refusal::new(
            500,
            "InternalError",
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
        ));
    }
    let counted = count(api, budget);
    let number = |key: &str| counted[key].as_i64().unwrap_or(0);
    let (healthy, desired) = (number("currentHealthy"), number("desiredHealthy"));
    let unready_may = match budget["spec"]["unhealthyPodEvictionPolicy"].as_str() {
        Some("AlwaysAllow") => true,
        _ => desired > 0 && healthy >= desired,
    };
    if (!is_ready(&pod) && unready_may) || number("disruptionsAllowed") > 0 {
        return Ok(());
    }
    let message = format!(
        "The disruption budget {} needs {desired} healthy pods and has {healthy} currently",
        meta(budget, "name")
    );
    let details = json!({ "causes": [{ "reason": "DisruptionBudget", "message": message }] });
    let words = "Cannot evict pod as it would violate the pod's disruption budget.";
    Err(Refusal { details, ..Refusal::new(429, "TooManyRequests", words) })
}

/// Writes down how many pods may be disturbed now, in every budget that a change touches.
pub(super) fn count_again(api: &Api, resource: &Resource, change: &Change) {
    let own = &*resource.stored_as == BUDGETS;
    let counts = matches!(
        &*resource.stored_as,
        "/pods" | "apps/deployments" | "apps/replicasets" | "apps/statefulsets" | "/replicationcontrollers"
    );
    if !own && !counts {
        return;
    }
    let Some(budgets) = api.catalog.find("policy", "v1", "poddisruptionbudgets") else { return };
    for (key, budget) in api.store.list(&budgets.stored_as, Some(&change.key.namespace)).objects {
        if (!own || key == change.key) && !is_going(&budget) {
            write(api, &budgets, &key, &budget);
        }
    }
}

fn write(api: &Api, resource: &Resource, key: &Key, budget: &Value) {
    let mut status = count(api, budget);
    let enough = status["disruptionsAllowed"].as_i64().is_some_and(|it| it > 0);
    let (word, reason) = if enough { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
    let old = &budget["status"]["conditions"][0];
    let since = match old["status"] == word {
        true => old["lastTransitionTime"].clone(),
        false => json!(time((api.now)())),
    };
    status["conditions"] = json!([{
        "type": "DisruptionAllowed", "status": word, "reason": reason, "message": "", "lastTransitionTime": since,
        "observedGeneration": budget["metadata"]["generation"],
    }]);
    status["observedGeneration"] = budget["metadata"]["generation"].clone();
    if budget["status"] != status {
        house::edit(api, resource, key, |budget| budget["status"] = status);
    }
}

/// How many pods there are, shall be, and may be disturbed.
fn count(api: &Api, budget: &Value) -> Value {
    let pods = api.store.list(&"/pods".into(), Some(meta(budget, "namespace"))).objects;
    let pods: Vec<Arc<Value>> =
        pods.into_iter().map(|(_, pod)| pod).filter(|pod| is_about(budget, pod)).collect();
    let healthy = pods.iter().filter(|pod| !is_going(pod) && is_ready(pod)).count();
    let (spec, here) = (&budget["spec"], pods.len());
    let (expected, desired) = match (&spec["maxUnavailable"], &spec["minAvailable"]) {
        (Value::Null, Value::Number(least)) => {
            (here, usize::try_from(least.as_u64().unwrap_or(0)).unwrap_or(here))
        }
        (Value::Null, share) => {
            let all = wanted(api, &pods);
            (all, part(share, all))
        }
        (most, _) => {
            let all = wanted(api, &pods);
            (all, all.saturating_sub(part(most, all)))
        }
    };
    let allowed = if expected == 0 { 0 } else { healthy.saturating_sub(desired) };
    json!({
        "currentHealthy": healthy, "desiredHealthy": desired, "disruptionsAllowed": allowed, "expectedPods": expected,
    })
}

/// A number, or a share of all, rounded up.
fn part(of: &Value, all: usize) -> usize {
    let number = |it: u64| usize::try_from(it).unwrap_or(usize::MAX);
    match of {
        Value::Number(it) => number(it.as_u64().unwrap_or(0)),
        Value::String(text) => {
            let share: usize = text.trim_end_matches('%').parse().unwrap_or(0);
            share.saturating_mul(all).div_ceil(100)
        }
        _ => 0,
    }
}

/// How many pods the controllers of these want.
fn wanted(api: &Api, pods: &[Arc<Value>]) -> usize {
    let mut wanted: BTreeMap<String, usize> = BTreeMap::new();
    for pod in pods {
        let Some(mut owner) = controller(api, pod) else {
            wanted.insert(meta(pod, "uid").to_owned(), 1);
            continue;
        };
        if let Some(above) = controller(api, &owner) {
            owner = above;
        }
        let replicas = owner["spec"]["replicas"].as_u64().unwrap_or(1);
        wanted.insert(meta(&owner, "uid").to_owned(), usize::try_from(replicas).unwrap_or(usize::MAX));
    }
    wanted.values().sum()
}

/// Who controls an object, if it is there.
fn controller(api: &Api, object: &Value) -> Option<Arc<Value>> {
    let mut owners = object["metadata"]["ownerReferences"].as_array()?.iter();
    let owner = owners.find(|it| it["controller"] == true)?;
    let version = owner["apiVersion"].as_str()?;
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let resource = api.catalog.of_kind(group, version, owner["kind"].as_str()?)?;
    let key = Key {
        kind: resource.stored_as.clone(),
        namespace: meta(object, "namespace").to_owned(),
        name: owner["name"].as_str()?.to_owned(),
    };
    api.store.get(&key).filter(|it| it["metadata"]["uid"] == owner["uid"])
}
