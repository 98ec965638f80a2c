//! LimitRanges: what containers ask for when they do not say, and what they may ask for.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{forbidden, needs};
use crate::kube::{catalog::Resource, object::metadata, quantity::Quantity, refusal::Refusal};

/// Amounts by the name of what they are of.
pub(super) type Amounts = BTreeMap<String, Quantity>;

/// Reads `requests` or `limits`.
pub(super) fn amounts(map: &Value) -> Amounts {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(name, value)| Some((name.clone(), Quantity::of(value)?))).collect()
}

/// Gives a pod's containers what the ranges say they have.
pub(super) fn fill(ranges: &[&Value], pod: &mut Value) {
    for range in ranges {
        let (mut limits, mut requests) = (Map::new(), Map::new());
        for limit in of_type(range, "Container") {
            limits.extend(limit["default"].as_object().cloned().unwrap_or_default());
            requests.extend(limit["defaultRequest"].as_object().cloned().unwrap_or_default());
        }
        let mut words = Vec::new();
        for (kind, name) in [("containers", "container"), ("initContainers", "init container")] {
            for container in pod["spec"][kind].as_array_mut().into_iter().flatten() {
                let given = give(container, "limits", &limits);
                let asked = give(container, "requests", &requests);
                let of = container["name"].as_str().unwrap_or_default();
                for (set, word) in [(asked, "request"), (given, "limit")] {
                    if !set.is_empty() {
                        words.push(format!("{} {word} for {name} {of}", set.join(", ")));
                    }
                }
            }
        }
        if !words.is_empty() {
            let meta = metadata(pod);
            let annotations = meta.entry("annotations").or_insert_with(|| json!({}));
            annotations["kubernetes.io/limit-ranger"] =
                json!(format!("LimitRanger plugin set: {}", words.join("; ")));
        }
    }
}

/// Adds what is missing, and says what that was.
fn give(container: &mut Value, key: &str, defaults: &Map<String, Value>) -> Vec<String> {
    let mut set = Vec::new();
    for (name, value) in defaults {
        if container["resources"][key][name].is_null() {
            container["resources"][key][name] = value.clone();
            set.push(name.clone());
        }
    }
    set.sort();
    set
}

fn of_type<'a>(range: &'a Value, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    range["spec"]["limits"].as_array().into_iter().flatten().filter(move |it| it["type"] == kind)
}

/// Refuses a pod or a claim that asks for more or less than a range allows.
///
/// # Errors
/// 403, with everything that is wrong with it by the first range that has something against it.
pub(super) fn judge(ranges: &[&Value], resource: &Resource, object: &Value) -> Result<(), Refusal> {
    for range in ranges {
        let mut wrong = Vec::new();
        if &*resource.stored_as == "/pods" {
            for limit in range["spec"]["limits"].as_array().into_iter().flatten() {
                match limit["type"].as_str() {
                    Some("Container") => {
                        for kind in ["containers", "initContainers"] {
                            for it in object["spec"][kind].as_array().into_iter().flatten() {
                                let of = |key: &str| amounts(&it["resources"][key]);
                                wrong.extend(check(limit, &of("requests"), &of("limits")));
                            }
                        }
                    }
                    Some("Pod") => {
                        let spec = &object["spec"];
                        wrong.extend(check(limit, &needs::of(spec, "requests"), &needs::of(spec, "limits")));
                    }
                    _ => {}
                }
            }
        } else {
            let asked = amounts(&object["spec"]["resources"]["requests"]);
            for limit in of_type(range, "PersistentVolumeClaim") {
                let (smallest, largest) = (amounts(&limit["min"]), amounts(&limit["max"]));
                wrong.extend(smallest.iter().filter_map(|(name, least)| {
                    least_of("PersistentVolumeClaim", name, least, asked.get(name), None)
                }));
                wrong.extend(largest.iter().filter_map(|(name, most)| match asked.get(name) {
                    None => Some(format!(
                        "maximum {name} usage per PersistentVolumeClaim is {most}.  No request is specified"
                    )),
                    Some(asked) => (asked > most).then(|| {
                        format!(
                            "maximum {name} usage per PersistentVolumeClaim is {most}, but request is {asked}"
                        )
                    }),
                }));
            }
        }
        let words = match wrong.as_slice() {
            [] => continue,
            [one] => one.clone(),
            several => {
                let mut each: Vec<&String> = Vec::new();
                several.iter().for_each(|it| {
                    if !each.contains(&it) {
                        each.push(it)
                    }
                });
                match each.as_slice() {
                    [one] => (*one).clone(),
                    each => format!("[{}]", each.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(", ")),
                }
            }
        };
        return Err(forbidden(resource, object, &words));
    }
    Ok(())
}

fn check(limit: &Value, requests: &Amounts, limits: &Amounts) -> Vec<String> {
    let kind = limit["type"].as_str().unwrap_or_default();
    let mut wrong = Vec::new();
    for (name, least) in amounts(&limit["min"]) {
        wrong.extend(least_of(kind, &name, &least, requests.get(&name), limits.get(&name)));
    }
    for (name, most) in amounts(&limit["max"]) {
        wrong.extend(most_of(kind, &name, &most, requests.get(&name), limits.get(&name)));
    }
    for (name, ratio) in amounts(&limit["maxLimitRequestRatio"]) {
        wrong.extend(ratio_of(kind, &name, &ratio, requests.get(&name), limits.get(&name)));
    }
    wrong
}

fn least_of(
    kind: &str,
    name: &str,
    least: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let head = format!("minimum {name} usage per {kind} is {least}");
    match (request, limit) {
        (None, _) => Some(format!("{head}.  No request is specified")),
        (Some(request), _) if request < least => Some(format!("{head}, but request is {request}")),
        (_, Some(limit)) if limit < least => Some(format!("{head}, but limit is {limit}")),
        _ => None,
    }
}

fn most_of(
    kind: &str,
    name: &str,
    most: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let head = format!("maximum {name} usage per {kind} is {most}");
    match (request, limit) {
        (_, None) => Some(format!("{head}.  No limit is specified")),
        (_, Some(limit)) if limit > most => Some(format!("{head}, but limit is {limit}")),
        (Some(request), _) if request > most => Some(format!("{head}, but request is {request}")),
        _ => None,
    }
}

fn ratio_of(
    kind: &str,
    name: &str,
    most: &Quantity,
    request: Option<&Quantity>,
    limit: Option<&Quantity>,
) -> Option<String> {
    let head = format!("{name} max limit to request ratio per {kind} is {most}");
    match (request.filter(|it| !it.is_zero()), limit.filter(|it| !it.is_zero())) {
        (None, _) => Some(format!("{head}, but no request is specified or request is 0")),
        (_, None) => Some(format!("{head}, but no limit is specified or limit is 0")),
        (Some(request), Some(limit)) => {
            let ratio = limit.ratio(request);
            (ratio > most.ratio(&Quantity::count(1)))
                .then(|| format!("{head}, but provided ratio is {ratio:.6}"))
        }
    }
}
