//! Roles and bindings: whether somebody may do something.
//!
//! The rules are kept as an index of what each user and each group is given. It is made anew when something in the group
//! `rbac.authorization.k8s.io` has changed since, which the store's own list of changes tells.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;

use super::{
    User,
    rules::{Deed, Rule, cannot},
    user::account_name,
};
use crate::kube::{
    api::Api,
    object::meta,
    refusal::{About, Refusal},
    store::Store,
};

/// The group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// The index of an API server, as of some revision.
#[derive(Default)]
pub struct Access {
    held: Mutex<Option<(u64, Arc<Index>)>>,
    turn: Mutex<()>,
}

/// Who is given which rules.
#[derive(Default)]
pub struct Index {
    /// Rules by namespace (empty: of cluster roles) and name.
    roles: BTreeMap<(String, String), Arc<[Rule]>>,
    /// By namespace (empty: everywhere), then by user or group.
    grants: BTreeMap<String, BTreeMap<Subject, Vec<Grant>>>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    User(String),
    Group(String),
}

/// What a binding gives to one of its subjects.
struct Grant {
    /// The place of the binding among all, and of the subject in the binding.
    place: (usize, usize),
    /// `ClusterRoleBinding "a" of ClusterRole "b" to User "c"`.
    source: String,
    rules: Result<Arc<[Rule]>, String>,
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether somebody may.
    pub allowed: bool,
    /// Which binding allows it, or what could not be found out.
    pub reason: String,
}

impl Access {
    /// Held by whoever judges and writes as one act.
    pub(in crate::kube) fn turn(&self) -> &Mutex<()> {
        &self.turn
    }

    /// The index as of now.
    pub fn now(&self, store: &Store) -> Arc<Index> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = store.revision();
        if let Some((at, index)) = held.as_mut() {
            let of_rules = |kind: &str| kind.strip_prefix(GROUP).is_some_and(|rest| rest.starts_with('/'));
            let same = *at == revision
                || store
                    .changes_after(*at)
                    .is_ok_and(|changes| !changes.iter().any(|change| of_rules(&change.key.kind)));
            if same {
                *at = revision;
                return index.clone();
            }
        }
        let index = Arc::new(Index::of(store));
        *held = Some((revision, index.clone()));
        index
    }
}

/// Something of a kind, everywhere, in order.
fn all(store: &Store, plural: &str) -> Vec<Arc<Value>> {
    let kind = format!("{GROUP}/{plural}").into();
    store.list(&kind, None).objects.into_iter().map(|(_, object)| object).collect()
}

impl Index {
    /// From what is stored.
    pub fn of(store: &Store) -> Self {
        let mut index = Self::default();
        for role in all(store, "roles").iter().chain(&all(store, "clusterroles")) {
            let rules = role["rules"].as_array().into_iter().flatten().map(Rule::of).collect();
            index.roles.insert((meta(role, "namespace").to_owned(), meta(role, "name").to_owned()), rules);
        }
        let bindings = [all(store, "clusterrolebindings"), all(store, "rolebindings")].concat();
        for (at, binding) in bindings.iter().enumerate() {
            index.bind(at, binding);
        }
        index
    }

    fn bind(&mut self, at: usize, binding: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let namespace = meta(binding, "namespace");
        let (kind, role) = (text(&binding["roleRef"]["kind"]), text(&binding["roleRef"]["name"]));
        let rules = self.role(namespace, &kind, &role);
        let which = match namespace {
            "" => format!("ClusterRoleBinding {:?}", meta(binding, "name")),
            _ => format!("RoleBinding {:?}", format!("{}/{namespace}", meta(binding, "name"))),
        };
        for (number, it) in binding["subjects"].as_array().into_iter().flatten().enumerate() {
            let (who, name) = (text(&it["kind"]), text(&it["name"]));
            let (subject, words) = match who.as_str() {
                "User" => (Subject::User(name.clone()), name),
                "Group" => (Subject::Group(name.clone()), name),
                "ServiceAccount" => {
                    let within = match it["namespace"].as_str() {
                        None | Some("") => namespace,
                        Some(given) => given,
                    };
                    if within.is_empty() {
                        continue;
                    }
                    (Subject::User(account_name(within, &name)), format!("{name}/{within}"))
                }
                _ => continue,
            };
            let grant = Grant {
                place: (at, number),
                source: format!("{which} of {kind} {role:?} to {who} {words:?}"),
                rules: rules.clone(),
            };
            let here = self.grants.entry(namespace.to_owned()).or_default();
            here.entry(subject).or_default().push(grant);
        }
    }

    /// The rules of a role that a binding in that namespace refers to.
    ///
    /// # Errors
    /// In the words of the real server, when there is no such role.
    pub fn role(&self, namespace: &str, kind: &str, name: &str) -> Result<Arc<[Rule]>, String> {
        let (within, plural) = match kind {
            "Role" => (namespace, "role"),
            "ClusterRole" => ("", "clusterrole"),
            other => return Err(format!("unsupported role reference kind: {other:?}")),
        };
        let found = self.roles.get(&(within.to_owned(), name.to_owned()));
        found.cloned().ok_or_else(|| format!("{plural}.{GROUP} {name:?} not found"))
    }

    /// What somebody is given everywhere and in that namespace, each binding once, in order.
    fn grants(&self, user: &User, namespace: &str) -> Vec<&Grant> {
        let mut found = Vec::new();
        let places = if namespace.is_empty() { vec![""] } else { vec!["", namespace] };
        for here in places.iter().filter_map(|place| self.grants.get(*place)) {
            found.extend(here.get(&Subject::User(user.name.clone())).into_iter().flatten());
            for group in &user.groups {
                found.extend(here.get(&Subject::Group(group.clone())).into_iter().flatten());
            }
        }
        found.sort_by_key(|grant| grant.place);
        found.dedup_by_key(|grant| grant.place.0);
        found
    }

    /// Whether the rules allow this.
    pub fn judge(&self, user: &User, deed: &Deed<'_>) -> Verdict {
        let mut unknown: Vec<&str> = Vec::new();
        for grant in self.grants(user, deed.namespace) {
            match &grant.rules {
                Ok(rules) if rules.iter().any(|rule| rule.allows(deed)) => {
                    return Verdict { allowed: true, reason: format!("RBAC: allowed by {}", grant.source) };
                }
                Ok(_) => {}
                Err(why) if unknown.contains(&why.as_str()) => {}
                Err(why) => unknown.push(why),
            }
        }
        let reason = match unknown.as_slice() {
            [] => String::new(),
            [one] => format!("RBAC: {one}"),
            several => format!("RBAC: [{}]", several.join(", ")),
        };
        Verdict { allowed: false, reason }
    }

    /// All rules that somebody is given in a namespace, and what could not be found.
    pub fn rules(&self, user: &User, namespace: &str) -> (Vec<Rule>, Vec<String>) {
        let (mut rules, mut unknown) = (Vec::new(), Vec::new());
        for grant in self.grants(user, namespace) {
            match &grant.rules {
                Ok(given) => rules.extend(given.iter().cloned()),
                Err(why) => unknown.push(why.clone()),
            }
        }
        (rules, unknown)
    }
}

impl Api {
    /// What the rules say. The members of `system:masters` are not asked.
    pub fn may(&self, user: &User, deed: &Deed<'_>) -> Verdict {
        if user.may_everything() {
            return Verdict { allowed: true, reason: String::new() };
        }
        self.access.now(&self.store).judge(user, deed)
    }

    /// Refuses what somebody may not do.
    ///
    /// # Errors
    /// 403, in the words of the real server.
    pub(in crate::kube) fn allow(&self, user: &User, deed: &Deed<'_>) -> Result<(), Refusal> {
        let verdict = self.may(user, deed);
        if verdict.allowed {
            return Ok(());
        }
        let why = match verdict.reason.as_str() {
            "" => cannot(user, deed),
            reason => format!("{}: {reason}", cannot(user, deed)),
        };
        let about = About { group: deed.group, resource: deed.resource, name: deed.name };
        Err(Refusal::forbidden(about, &why))
    }
}

#[cfg(test)]
#[path = "rbac_tests.rs"]
mod tests;
