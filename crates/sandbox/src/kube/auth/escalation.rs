//! Nobody gives away what they do not have: roles and bindings are checked against the writer's own rules.

use serde_json::Value;

use super::{
    User,
    rbac::{GROUP, Index},
    rules::{Deed, Rule, quoted},
};
use crate::kube::{
    catalog::Resource,
    object::meta,
    refusal::{About, Refusal},
};

/// Whether the kind is one that gives rights away.
pub(in crate::kube) fn is_about_rights(resource: &Resource) -> bool {
    resource.group == GROUP
}

/// Refuses a role or binding that gives more than its writer has.
///
/// # Errors
/// 403; 404 for a binding to a role that is not there, by a writer who may not bind any.
pub(in crate::kube) fn check(
    index: &Index,
    user: &User,
    resource: &Resource,
    old: Option<&Value>,
    new: &Value,
) -> Result<(), Refusal> {
    if user.may_everything() || old.is_some_and(|old| only_owners_differ(old, new)) {
        return Ok(());
    }
    let (namespace, name) = (meta(new, "namespace"), meta(new, "name"));
    let about = About { group: GROUP, resource: &resource.plural, name };
    let may = |verb, resource, name| {
        index.judge(user, &Deed { verb, group: GROUP, resource, namespace, name, ..Deed::default() }).allowed
    };
    match resource.plural.as_str() {
        plural @ ("roles" | "clusterroles") => {
            // The address of a new object has no name, so a rule for one name lets nobody make it.
            let of_address = if old.is_some() { name } else { "" };
            if may("escalate", plural, of_address) {
                return Ok(());
            }
            let rules: Vec<Rule> = new["rules"].as_array().into_iter().flatten().map(Rule::of).collect();
            confirm(index, user, namespace, &rules).map_err(|why| Refusal::forbidden(about, &why))?;
            let gathers = |it: &Value| {
                it["aggregationRule"]["clusterRoleSelectors"].as_array().is_some_and(|it| !it.is_empty())
            };
            if (gathers(new) || old.is_some_and(gathers))
                && confirm(index, user, namespace, &everything()).is_err()
            {
                let why = "must have cluster-admin privileges to use the aggregationRule";
                return Err(Refusal::forbidden(about, why));
            }
            Ok(())
        }
        _ => {
            let text = |key: &str| new["roleRef"][key].as_str().unwrap_or_default();
            let plural = if text("kind") == "Role" { "roles" } else { "clusterroles" };
            if may("bind", plural, text("name")) {
                return Ok(());
            }
            let rules = index.role(namespace, text("kind"), text("name")).map_err(|_| {
                Refusal::not_found(About {
                    group: GROUP,
                    resource: plural.trim_end_matches('s'),
                    name: text("name"),
                })
            })?;
            confirm(index, user, namespace, &rules).map_err(|why| Refusal::forbidden(about, &why))
        }
    }
}

/// What the garbage collector changes is nobody's gain.
fn only_owners_differ(old: &Value, new: &Value) -> bool {
    let bare = |it: &Value| {
        let mut it = it.clone();
        if let Some(meta) = it["metadata"].as_object_mut() {
            meta.retain(|key, _| {
                !matches!(
                    key.as_str(),
                    "ownerReferences" | "finalizers" | "managedFields" | "resourceVersion" | "generation"
                )
            });
        }
        it
    };
    bare(old) == bare(new)
}

fn everything() -> [Rule; 2] {
    let all = || vec!["*".to_owned()];
    [
        Rule { verbs: all(), groups: all(), resources: all(), ..Rule::default() },
        Rule { verbs: all(), urls: all(), ..Rule::default() },
    ]
}

/// Whether somebody has all these rights.
fn confirm(index: &Index, user: &User, namespace: &str, rules: &[Rule]) -> Result<(), String> {
    let (mine, unknown) = index.rules(user, namespace);
    let parts = rules.iter().flat_map(Rule::taken_apart);
    let missing: Vec<Rule> = parts.filter(|part| !mine.iter().any(|rule| rule.covers(part))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let mut words: Vec<String> = compact(missing).iter().map(Rule::words).collect();
    words.sort();
    words.dedup();
    let mut why = format!(
        "user {:?} (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        user.name,
        quoted(&user.groups),
        words.join("\n")
    );
    if !unknown.is_empty() {
        why.push_str(&format!("; resolution errors: [{}]", unknown.join(" ")));
    }
    Err(why)
}

/// Rules that differ only by verb, as one.
fn compact(rules: Vec<Rule>) -> Vec<Rule> {
    let mut compact: Vec<Rule> = Vec::new();
    for rule in rules {
        let same = |it: &&mut Rule| {
            rule.urls.is_empty()
                && (&it.groups, &it.resources, &it.names, &it.urls)
                    == (&rule.groups, &rule.resources, &rule.names, &rule.urls)
        };
        match compact.iter_mut().find(same) {
            Some(it) => it.verbs.extend(rule.verbs),
            None => compact.push(rule),
        }
    }
    compact
}
