//! Who asks.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Members may do everything, whatever the rules say.
pub const MASTERS: &str = "system:masters";
/// Everybody who said who they are.
pub const AUTHENTICATED: &str = "system:authenticated";
/// Everybody who did not.
pub const UNAUTHENTICATED: &str = "system:unauthenticated";
/// Who did not say who they are.
pub const ANONYMOUS: &str = "system:anonymous";
const ACCOUNT: &str = "system:serviceaccount:";

/// Who asks: a person, a program, a service account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name: `jane`, `system:serviceaccount:shop:robot`.
    pub name: String,
    /// An id that is never given twice; empty when there is none.
    pub uid: String,
    /// The groups, in the order in which they were learned.
    pub groups: Vec<String>,
    /// What else is known: `authentication.kubernetes.io/pod-name`.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl Default for User {
    /// The owner of the cluster, who may do everything.
    fn default() -> Self {
        Self::new("kubernetes-admin", [MASTERS])
    }
}

impl User {
    /// Somebody who said who they are: the groups given, and [`AUTHENTICATED`].
    pub fn new<G: Into<String>>(name: impl Into<String>, groups: impl IntoIterator<Item = G>) -> Self {
        let mut groups: Vec<String> = groups.into_iter().map(Into::into).collect();
        if !groups.iter().any(|group| group == AUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        Self { name: name.into(), uid: String::new(), groups, extra: BTreeMap::new() }
    }

    /// Somebody who did not say who they are.
    pub fn anonymous() -> Self {
        Self {
            name: ANONYMOUS.to_owned(),
            uid: String::new(),
            groups: vec![UNAUTHENTICATED.to_owned()],
            extra: BTreeMap::new(),
        }
    }

    /// A service account.
    pub fn account(namespace: &str, name: &str, uid: &str) -> Self {
        let user = Self::new(account_name(namespace, name), account_groups(namespace));
        Self { uid: uid.to_owned(), ..user }
    }

    /// Whether the rules are not asked.
    pub fn may_everything(&self) -> bool {
        self.groups.iter().any(|group| group == MASTERS)
    }

    /// As reviews and the API show a user.
    pub fn info(&self) -> Value {
        let mut info = json!({ "username": self.name });
        if !self.uid.is_empty() {
            info["uid"] = json!(self.uid);
        }
        if !self.groups.is_empty() {
            info["groups"] = json!(self.groups);
        }
        if !self.extra.is_empty() {
            info["extra"] = json!(self.extra);
        }
        info
    }
}

/// The user name of a service account.
pub fn account_name(namespace: &str, name: &str) -> String {
    format!("{ACCOUNT}{namespace}:{name}")
}

/// The groups of every service account of a namespace.
pub fn account_groups(namespace: &str) -> [String; 2] {
    ["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")]
}

/// Namespace and name of the service account with that user name.
pub fn account_of(user: &str) -> Option<(&str, &str)> {
    let (namespace, name) = user.strip_prefix(ACCOUNT)?.split_once(':')?;
    (!namespace.is_empty() && !name.is_empty() && !name.contains(':')).then_some((namespace, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_service_accounts_read_as_they_were_written() {
        assert_eq!(account_of(&account_name("shop", "robot")), Some(("shop", "robot")));
        for other in
            ["jane", "system:serviceaccount:shop", "system:serviceaccount::x", "system:serviceaccount:a:b:c"]
        {
            assert_eq!(account_of(other), None, "{other}");
        }
    }

    #[test]
    fn who_owns_the_cluster_is_not_asked() {
        assert!(User::default().may_everything());
        assert!(!User::anonymous().may_everything() && !User::account("a", "b", "u").may_everything());
        assert_eq!(
            User::account("a", "b", "u").info(),
            json!({
                "username": "system:serviceaccount:a:b", "uid": "u",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:a", "system:authenticated"],
            })
        );
    }
}
