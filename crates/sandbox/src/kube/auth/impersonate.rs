//! From one user to another: the headers `Impersonate-*`.

use std::collections::BTreeMap;

use super::{
    User,
    rules::Deed,
    user::{ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED, account_groups, account_of},
};
use crate::kube::{api::Api, refusal::Refusal};

/// Whom somebody wants to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::kube) struct Wanted {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Uid`.
    pub uid: String,
    /// `Impersonate-Group`, each.
    pub groups: Vec<String>,
    /// `Impersonate-Extra-KEY`, each.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Wanted {
    fn is_nobody(&self) -> bool {
        *self == Self::default()
    }
}

/// The user as whom the request is judged.
///
/// # Errors
/// 400 without a user to be, 403 when somebody may not be one of what is wanted.
pub(in crate::kube) fn impersonate(api: &Api, user: User, wanted: Wanted) -> Result<User, Refusal> {
    if wanted.is_nobody() {
        return Ok(user);
    }
    if wanted.user.is_empty() {
        // In the form in which the real server prints references.
        let reference = |group: &String| format!("{{Group  {group}    }}");
        let groups: Vec<String> = wanted.groups.iter().map(reference).collect();
        return Err(Refusal::bad_request(format!(
            "requested [{}] without impersonating a user",
            groups.join(" ")
        )));
    }
    let deed = Deed { verb: "impersonate", ..Deed::default() };
    match account_of(&wanted.user) {
        Some((namespace, name)) => {
            api.allow(&user, &Deed { resource: "serviceaccounts", namespace, name, ..deed })?
        }
        None => api.allow(&user, &Deed { resource: "users", name: &wanted.user, ..deed })?,
    }
    for name in &wanted.groups {
        api.allow(&user, &Deed { resource: "groups", name, ..deed })?;
    }
    let deed = Deed { group: "authentication.k8s.io", ..deed };
    for (key, values) in &wanted.extra {
        for name in values {
            api.allow(&user, &Deed { resource: "userextras", subresource: key, name, ..deed })?;
        }
    }
    if !wanted.uid.is_empty() {
        api.allow(&user, &Deed { resource: "uids", name: &wanted.uid, ..deed })?;
    }
    Ok(become_user(wanted))
}

fn become_user(wanted: Wanted) -> User {
    let mut groups = match account_of(&wanted.user) {
        Some((namespace, _)) if wanted.groups.is_empty() => account_groups(namespace).to_vec(),
        _ => wanted.groups,
    };
    let has = |name: &str| groups.iter().any(|group| group == name);
    let (known, unknown) = (has(AUTHENTICATED), has(UNAUTHENTICATED));
    match wanted.user == ANONYMOUS {
        false if !known && !unknown => groups.push(AUTHENTICATED.to_owned()),
        true if !unknown => groups.push(UNAUTHENTICATED.to_owned()),
        _ => {}
    }
    User { name: wanted.user, uid: wanted.uid, groups, extra: wanted.extra }
}
