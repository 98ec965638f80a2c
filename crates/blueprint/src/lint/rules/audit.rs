//! G-23 (S0-37): the first rule that fits decides, so the one for Secrets stands before any that writes bodies down.

use yaml_serde::Value;

use crate::lint::{
    Found,
    sheet::{Sheet, items},
};

/// Levels that write down what was sent, or what was answered as well.
const BODIES: [&str; 2] = ["Request", "RequestResponse"];

/// What makes a rule one for some requests only.
const NARROWING: [&str; 4] = ["users", "userGroups", "verbs", "namespaces"];

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    for policy in sheet.of_kind("audit.k8s.io", "Policy") {
        for rule in items(&policy["rules"]) {
            let level = rule["level"].as_str().unwrap_or_default();
            if !may_match_secrets(rule) {
                continue;
            }
            if BODIES.contains(&level) {
                let message =
                    format!("this rule writes down Secrets: level {level}, and none for them before it");
                found.value(sheet, &rule["level"], message);
            } else if !NARROWING.iter().any(|key| items(&rule[*key]).next().is_some()) && matches_all(rule) {
                break;
            }
        }
    }
}

fn may_match_secrets(rule: &Value) -> bool {
    let resources: Vec<&Value> = items(&rule["resources"]).collect();
    match resources.is_empty() {
        // A rule for paths that are no resources.
        true => items(&rule["nonResourceURLs"]).next().is_none(),
        false => resources.into_iter().any(has_secrets),
    }
}

/// Whether it fits every Secret, and not only those of some names.
fn matches_all(rule: &Value) -> bool {
    let mut fitting = items(&rule["resources"]).filter(|group| has_secrets(group)).peekable();
    let everything = fitting.peek().is_none();
    everything || fitting.any(|group| items(&group["resourceNames"]).next().is_none())
}

fn has_secrets(group: &Value) -> bool {
    let is_core = group["group"].as_str().unwrap_or_default().is_empty();
    let mut names = items(&group["resources"]).filter_map(Value::as_str).peekable();
    // No names are all names of the group.
    is_core && (names.peek().is_none() || names.any(|name| name == "secrets" || name == "*"))
}
