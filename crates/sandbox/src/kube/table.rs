//! Tables, as `kubectl get` prints them.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    catalog::Resource,
    published::Published,
    read::{Form, Rows, shown},
};

/// A column: its head, and how a cell is had from an object.
struct Column {
    name: &'static str,
    kind: &'static str,
    /// 1 for what only `-o wide` shows.
    priority: u8,
    cell: fn(&Value) -> Value,
}

const fn column(name: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column { name, kind: "string", priority: 0, cell }
}

const fn wide(name: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column { name, kind: "string", priority: 1, cell }
}

const fn number(name: &'static str, cell: fn(&Value) -> Value) -> Column {
    Column { name, kind: "integer", priority: 0, cell }
}

/// A `Table` of objects.
pub fn of(resource: &Resource, objects: &[&Value], metadata: Value, now: Timestamp, rows: Rows) -> Value {
    let custom = resource
        .custom
        .as_ref()
        .map(|custom| custom.columns.as_slice())
        .filter(|columns| !columns.is_empty());
    let columns = columns(resource);
    let said = Published::get().columns.get(&resource.kind).filter(|_| resource.custom.is_none());
    let head = |name: &str, kind: &str, format: &str, priority: u8| {
        // What every kind has is described by all that describe their columns, in the same words.
        let of =
            |kind: &str| Published::get().columns.get(kind)?.get(if name == "Name" { name } else { "Age" });
        let said = said.and_then(|it| it.get(name)).or_else(|| match name {
            "Name" | "Age" | "Created At" => of("ConfigMap"),
            _ => None,
        });
        json!({
            "name": name, "type": kind, "format": format, "description": said.map_or("", String::as_str),
            "priority": priority,
        })
    };
    let mut heads = vec![head("Name", "string", "name", 0)];
    match custom {
        Some(custom) => heads.extend(custom.iter().map(|it| {
            json!({
                "name": it["name"], "type": it["type"],
                "format": it["format"].as_str().unwrap_or_default(),
                "description": it["description"].as_str().map_or_else(|| words(it), str::to_owned),
                "priority": it["priority"].as_u64().unwrap_or(0),
            })
        })),
        None => {
            let plain = columns.iter().filter(|it| it.priority == 0).map(|it| head(it.name, it.kind, "", 0));
            heads.extend(plain);
            if aged(columns) {
                heads.push(head("Age", "string", "", 0));
            }
            heads.extend(columns.iter().filter(|it| it.priority > 0).map(|it| head(it.name, it.kind, "", 1)));
        }
    }
    let row = |object: &&Value| {
        let mut cells = vec![object["metadata"]["name"].clone()];
        match custom {
            Some(custom) => cells.extend(custom.iter().map(|it| custom_cell(it, object, now))),
            None => {
                cells.extend(columns.iter().filter(|it| it.priority == 0).map(|it| (it.cell)(object)));
                if aged(columns) {
                    cells.push(age(&object["metadata"]["creationTimestamp"], now));
                }
                cells.extend(columns.iter().filter(|it| it.priority > 0).map(|it| (it.cell)(object)));
            }
        }
        let object = match rows {
            Rows::Metadata => json!({
                "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
            }),
            Rows::Object => shown(resource, object, Form::Whole),
            Rows::None => Value::Null,
        };
        json!({ "cells": cells, "object": object })
    };
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": heads,
        "rows": objects.iter().map(row).collect::<Vec<_>>(),
    })
}

/// What a column of a definition is said to be when the definition does not say.
fn words(column: &Value) -> String {
    let path = column["jsonPath"].as_str().unwrap_or_default();
    format!("Custom resource definition column (in JSONPath format): {path}")
}

fn custom_cell(column: &Value, object: &Value, now: Timestamp) -> Value {
    let path = column["jsonPath"].as_str().unwrap_or_default();
    let found = at_path(object, path);
    match (column["type"].as_str(), found) {
        (Some("date"), Some(value)) => age(value, now),
        (Some("integer" | "number" | "boolean"), Some(value)) => value.clone(),
        (_, Some(Value::String(text))) => text.as_str().into(),
        (_, Some(value)) => value.to_string().into(),
        (_, None) => Value::Null,
    }
}

/// `.status.conditions[?(@.type=="Ready")].status`: names, numbers and one kind of filter, as columns use them.
fn at_path<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    let mut place = object;
    let mut rest = path.strip_prefix('.').unwrap_or(path);
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('[') {
            let (index, after) = inside.split_once(']')?;
            place = match index.strip_prefix("?(@.") {
                Some(filter) => {
                    let (key, wanted) = filter.trim_end_matches(')').split_once("==")?;
                    let wanted = wanted.trim_matches(['"', '\'']);
                    place.as_array()?.iter().find(|it| it[key] == wanted)?
                }
                None if index.starts_with(['\'', '"']) => place.get(index.trim_matches(['\'', '"']))?,
                None => place.get(index.parse::<usize>().ok()?)?,
            };
            rest = after.strip_prefix('.').unwrap_or(after);
            continue;
        }
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        place = place.get(&rest[..end])?;
        rest = rest[end..].strip_prefix('.').unwrap_or(&rest[end..]);
    }
    Some(place)
}

/// `5s`, `3m20s`, `2d`: as people read ages.
fn age(since: &Value, now: Timestamp) -> Value {
    let Some(since) = since.as_str().and_then(|text| text.parse::<Timestamp>().ok()) else {
        return "<unknown>".into();
    };
    duration(now.duration_since(since).as_secs().max(0)).into()
}

fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |big: i64, unit: &str, small: i64, of: &str| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit}{small}{of}"),
    };
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => two(hours, "h", minutes % 60, "m"),
        () if hours < 48 => format!("{hours}h"),
        () if hours < 192 => two(days, "d", hours % 24, "h"),
        () if days < 730 => format!("{days}d"),
        () if days < 2_920 => two(days / 365, "y", days % 365, "d"),
        () => format!("{}y", days / 365),
    }
}

fn text(value: &Value) -> Value {
    match value {
        Value::String(text) if !text.is_empty() => text.as_str().into(),
        Value::Null | Value::String(_) => "<none>".into(),
        other => other.to_string().into(),
    }
}

/// A number or a share, or `N/A`.
fn or_none(value: &Value) -> Value {
    match value {
        Value::Null => "N/A".into(),
        Value::String(text) => text.as_str().into(),
        other => other.to_string().into(),
    }
}

fn count(value: &Value) -> Value {
    value.as_u64().unwrap_or(0).into()
}

fn size(value: &Value) -> Value {
    value.as_object().map_or(0, serde_json::Map::len).into()
}

fn joined<'a>(values: impl Iterator<Item = &'a str>) -> Value {
    let joined = values.collect::<Vec<_>>().join(",");
    if joined.is_empty() { "<none>".into() } else { joined.into() }
}

fn each<'a>(list: &'a Value, key: &'a str) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(move |it| it[key].as_str())
}

fn ratio(done: &Value, all: &Value) -> Value {
    format!("{}/{}", done.as_u64().unwrap_or(0), all.as_u64().unwrap_or(0)).into()
}

fn labels(selector: &Value) -> Value {
    let map = selector.get("matchLabels").unwrap_or(selector).as_object();
    let pairs: Vec<String> = map
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    joined(pairs.iter().map(String::as_str))
}

fn columns(resource: &Resource) -> &'static [Column] {
    const CONTAINERS: Column =
        wide("Containers", |it| joined(each(&it["spec"]["template"]["spec"]["containers"], "name")));
    const IMAGES: Column =
        wide("Images", |it| joined(each(&it["spec"]["template"]["spec"]["containers"], "image")));
    const SELECTOR: Column = wide("Selector", |it| labels(&it["spec"]["selector"]));
    match &*resource.stored_as {
        "/namespaces" => const { &[column("Status", |it| text(&it["status"]["phase"]))] },
        "/configmaps" => const { &[column("Data", |it| size(&it["data"]))] },
        "/secrets" => {
            const { &[column("Type", |it| text(&it["type"])), column("Data", |it| size(&it["data"]))] }
        }
        "/pods" => {
            const {
                &[
                    column("Ready", |it| {
                        let statuses = it["status"]["containerStatuses"].as_array();
                        let ready = statuses.into_iter().flatten().filter(|it| it["ready"] == true).count();
                        let all = it["spec"]["containers"].as_array().map_or(0, Vec::len);
                        format!("{ready}/{all}").into()
                    }),
                    column("Status", pod_status),
                    column("Restarts", |it| {
                        let statuses = it["status"]["containerStatuses"].as_array().into_iter().flatten();
                        statuses.filter_map(|it| it["restartCount"].as_u64()).sum::<u64>().to_string().into()
                    }),
                    wide("IP", |it| text(&it["status"]["podIP"])),
                    wide("Node", |it| text(&it["spec"]["nodeName"])),
                    wide("Nominated Node", |it| text(&it["status"]["nominatedNodeName"])),
                    wide("Readiness Gates", |_| "<none>".into()),
                ]
            }
        }
        "/services" => {
            const {
                &[
                    column("Type", |it| text(&it["spec"]["type"])),
                    column("Cluster-IP", |it| text(&it["spec"]["clusterIP"])),
                    column("External-IP", external_address),
                    column("Port(s)", service_ports),
                    wide("Selector", |it| labels(&it["spec"]["selector"])),
                ]
            }
        }
        "/nodes" => {
            const {
                &[
                    column("Status", |it| {
                        let conditions = it["status"]["conditions"].as_array().into_iter().flatten();
                        let ready =
                            conditions.into_iter().any(|it| it["type"] == "Ready" && it["status"] == "True");
                        if ready { "Ready".into() } else { "NotReady".into() }
                    }),
                    column("Roles", |it| {
                        let keys = it["metadata"]["labels"].as_object().into_iter().flatten();
                        joined(keys.filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/")))
                    }),
                    column("Version", |it| text(&it["status"]["nodeInfo"]["kubeletVersion"])),
                ]
            }
        }
        "/serviceaccounts" => const { &[] },
        "/podtemplates" => {
            const CONTAINERS: Column =
                column("Containers", |it| joined(each(&it["template"]["spec"]["containers"], "name")));
            const IMAGES: Column =
                column("Images", |it| joined(each(&it["template"]["spec"]["containers"], "image")));
            const {
                &[
                    CONTAINERS,
                    IMAGES,
                    column("Pod Labels", |it| labels(&it["template"]["metadata"]["labels"])),
                ]
            }
        }
        "policy/poddisruptionbudgets" => {
            const {
                &[
                    column("Min Available", |it| or_none(&it["spec"]["minAvailable"])),
                    column("Max Unavailable", |it| or_none(&it["spec"]["maxUnavailable"])),
                    number("Allowed Disruptions", |it| count(&it["status"]["disruptionsAllowed"])),
                ]
            }
        }
        "/persistentvolumeclaims" => {
            const {
                &[
                    column("Status", |it| text(&it["status"]["phase"])),
                    column("Volume", |it| it["spec"]["volumeName"].as_str().unwrap_or_default().into()),
                    column("Capacity", |it| {
                        it["status"]["capacity"]["storage"].as_str().unwrap_or_default().into()
                    }),
                    column("Access Modes", |it| access(&it["status"]["accessModes"])),
                    column("StorageClass", |it| {
                        it["spec"]["storageClassName"].as_str().unwrap_or_default().into()
                    }),
                    column("VolumeAttributesClass", |it| {
                        it["spec"]["volumeAttributesClassName"].as_str().unwrap_or("<unset>").into()
                    }),
                    wide("VolumeMode", |it| it["spec"]["volumeMode"].as_str().unwrap_or("<unset>").into()),
                ]
            }
        }
        "apps/deployments" => {
            const {
                &[
                    column("Ready", |it| ratio(&it["status"]["readyReplicas"], &it["spec"]["replicas"])),
                    number("Up-to-date", |it| count(&it["status"]["updatedReplicas"])),
                    number("Available", |it| count(&it["status"]["availableReplicas"])),
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            }
        }
        "apps/replicasets" => {
            const {
                &[
                    number("Desired", |it| count(&it["spec"]["replicas"])),
                    number("Current", |it| count(&it["status"]["replicas"])),
                    number("Ready", |it| count(&it["status"]["readyReplicas"])),
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            }
        }
        "apps/statefulsets" => {
            const {
                &[
                    column("Ready", |it| ratio(&it["status"]["readyReplicas"], &it["spec"]["replicas"])),
                    CONTAINERS,
                    IMAGES,
                ]
            }
        }
        "apps/daemonsets" => {
            const {
                &[
                    number("Desired", |it| count(&it["status"]["desiredNumberScheduled"])),
                    number("Current", |it| count(&it["status"]["currentNumberScheduled"])),
                    number("Ready", |it| count(&it["status"]["numberReady"])),
                    number("Up-to-date", |it| count(&it["status"]["updatedNumberScheduled"])),
                    number("Available", |it| count(&it["status"]["numberAvailable"])),
                    column("Node Selector", |it| labels(&it["spec"]["template"]["spec"]["nodeSelector"])),
                    CONTAINERS,
                    IMAGES,
                    SELECTOR,
                ]
            }
        }
        "networking.k8s.io/networkpolicies" => {
            const { &[column("Pod-Selector", |it| labels(&it["spec"]["podSelector"]))] }
        }
        "networking.k8s.io/ingresses" => {
            const {
                &[
                    column("Class", |it| text(&it["spec"]["ingressClassName"])),
                    column("Hosts", |it| {
                        let hosts = joined(each(&it["spec"]["rules"], "host"));
                        if hosts == "<none>" { "*".into() } else { hosts }
                    }),
                    column("Address", |it| {
                        it["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().unwrap_or_default().into()
                    }),
                    column("Ports", |it| {
                        if it["spec"]["tls"].is_array() { "80, 443".into() } else { "80".into() }
                    }),
                ]
            }
        }
        "rbac.authorization.k8s.io/rolebindings" | "rbac.authorization.k8s.io/clusterrolebindings" => {
            const {
                &[
                    column("Role", |it| {
                        let word = |key: &str| it["roleRef"][key].as_str().unwrap_or_default();
                        format!("{}/{}", word("kind"), word("name")).into()
                    }),
                    wide("Users", |it| subjects(it, "User")),
                    wide("Groups", |it| subjects(it, "Group")),
                    wide("ServiceAccounts", |it| subjects(it, "ServiceAccount")),
                ]
            }
        }
        "rbac.authorization.k8s.io/roles"
        | "rbac.authorization.k8s.io/clusterroles"
        | "apiextensions.k8s.io/customresourcedefinitions" => {
            const { &[column("Created At", |it| it["metadata"]["creationTimestamp"].clone())] }
        }
        _ => &[],
    }
}

/// The ways of access to a volume, in their short forms.
fn access(modes: &Value) -> Value {
    let short = |mode: &Value| match mode.as_str()? {
        "ReadWriteOnce" => Some("RWO"),
        "ReadOnlyMany" => Some("ROX"),
        "ReadWriteMany" => Some("RWX"),
        "ReadWriteOncePod" => Some("RWOP"),
        _ => None,
    };
    modes.as_array().into_iter().flatten().filter_map(short).collect::<Vec<_>>().join(",").into()
}

/// The subjects of a binding that are of one kind.
fn subjects(binding: &Value, kind: &str) -> Value {
    let subjects = binding["subjects"].as_array().into_iter().flatten().filter(|it| it["kind"] == kind);
    let named = |it: &Value| {
        let name = it["name"].as_str().unwrap_or_default();
        if kind == "ServiceAccount" {
            format!("{}/{name}", it["namespace"].as_str().unwrap_or_default())
        } else {
            name.to_owned()
        }
    };
    subjects.map(named).collect::<Vec<_>>().join(", ").into()
}

/// Whether there is an age: kinds that show when they were made show none.
fn aged(columns: &[Column]) -> bool {
    columns.iter().all(|it| it.name != "Created At")
}

fn pod_status(it: &Value) -> Value {
    if it["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".into();
    }
    let waiting = each(&it["status"]["containerStatuses"], "name").next().and_then(|_| {
        let statuses = it["status"]["containerStatuses"].as_array()?;
        statuses.iter().find_map(|it| it["state"]["waiting"]["reason"].as_str())
    });
    match (waiting, it["status"]["reason"].as_str()) {
        (Some(reason), _) | (None, Some(reason)) => reason.into(),
        _ if it["status"]["phase"] == "Succeeded" => "Completed".into(),
        _ if it["status"]["phase"] == "Failed" => "Error".into(),
        _ => text(&it["status"]["phase"]),
    }
}

fn external_address(it: &Value) -> Value {
    let ingress = &it["status"]["loadBalancer"]["ingress"];
    let addresses: Vec<&str> = each(ingress, "ip").chain(each(ingress, "hostname")).collect();
    match it["spec"]["type"].as_str() {
        Some("ExternalName") => text(&it["spec"]["externalName"]),
        Some("LoadBalancer") if addresses.is_empty() => "<pending>".into(),
        _ => joined(addresses.into_iter()),
    }
}

fn service_ports(it: &Value) -> Value {
    let ports: Vec<String> = it["spec"]["ports"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|port| {
            let node = port["nodePort"].as_u64().map(|node| format!(":{node}")).unwrap_or_default();
            format!("{}{node}/{}", port["port"], port["protocol"].as_str().unwrap_or("TCP"))
        })
        .collect();
    joined(ports.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_by_people() {
        for (seconds, words) in [
            (0, "0s"),
            (119, "119s"),
            (200, "3m20s"),
            (600, "10m"),
            (3 * 3_600 + 60, "3h1m"),
            (30 * 3_600, "30h"),
            (3 * 86_400, "3d"),
            (100 * 86_400, "100d"),
            (800 * 86_400, "2y70d"),
        ] {
            assert_eq!(duration(seconds), words);
        }
    }

    #[test]
    fn columns_of_custom_kinds_find_their_cells() {
        let object =
            json!({"status": {"conditions": [{"type": "Ready", "status": "True"}], "n": 3}, "a": {"b.c": 1}});
        assert_eq!(at_path(&object, ".status.conditions[?(@.type==\"Ready\")].status"), Some(&json!("True")));
        assert_eq!(at_path(&object, ".status.n"), Some(&json!(3)));
        assert_eq!(at_path(&object, ".status.conditions[0].type"), Some(&json!("Ready")));
        assert_eq!(at_path(&object, ".status.missing.x"), None);
        assert_eq!(at_path(&object, ".a['b.c']"), Some(&json!(1)));
    }
}
