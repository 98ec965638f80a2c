//! G-22: what pods of tenants may reach.

use std::collections::BTreeSet;

use platform_spec::catalogue;
use yaml_serde::Value;

use crate::lint::{
    Found,
    sheet::{Sheet, items, name},
};

/// Namespaces of the platform itself, besides those of add-ons.
const PLATFORM: [&str; 6] =
    ["kube-system", "kube-public", "argocd", "monitoring", "ingress-nginx", "cert-manager"];

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    for policy in sheet.of_kind("networking.k8s.io", "NetworkPolicy") {
        if policy["metadata"]["namespace"].as_str().is_some_and(is_of_platform) {
            continue;
        }
        let mut asked: Option<(&Value, BTreeSet<&str>)> = None;
        for rule in items(&policy["spec"]["egress"]) {
            for peer in items(&rule["to"]) {
                if peer["namespaceSelector"].as_mapping().is_some_and(|selector| selector.is_empty()) {
                    let message = format!("`{}` opens the way to every namespace", name(policy));
                    found.value(sheet, &peer["namespaceSelector"], message);
                }
            }
            let ports: Vec<&Value> = items(&rule["ports"]).collect();
            let is_names = |port: &&Value| port["port"].as_u64() == Some(53);
            let only_names = !ports.is_empty() && ports.iter().all(is_names);
            if items(&rule["to"]).next().is_none() && !only_names {
                found.value(sheet, rule, format!("`{}` opens the way to everywhere", name(policy)));
            }
            for port in ports.into_iter().filter(is_names) {
                let ways = asked.get_or_insert((port, BTreeSet::new()));
                ways.1.insert(port["protocol"].as_str().unwrap_or("TCP"));
            }
        }
        if let Some((port, ways)) = asked.filter(|(_, ways)| ways.len() < 2) {
            let way = ways.first().copied().unwrap_or_default();
            found.value(sheet, port, format!("`{}` lets names be asked by {way} only", name(policy)));
        }
    }
}

fn is_of_platform(namespace: &str) -> bool {
    let plain = namespace.strip_suffix("-system").unwrap_or(namespace);
    PLATFORM.contains(&namespace) || catalogue::entry(plain).is_some()
}
