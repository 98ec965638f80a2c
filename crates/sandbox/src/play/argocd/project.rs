//! What an AppProject permits.

use std::sync::Arc;

use serde_json::Value;

use super::model::{glob, items, text};
use crate::play::repositories::normalized;

/// A destination, known by the address and the name of its cluster.
#[derive(Clone, Debug, Default)]
pub struct Destination<'a> {
    /// Address of the API server.
    pub server: &'a str,
    /// Name of the cluster.
    pub name: &'a str,
}

/// An AppProject.
#[derive(Clone, Debug)]
pub struct Project {
    object: Arc<Value>,
    destinations: Vec<Pattern>,
}

/// Destinations that a project permits or, with `!`, denies.
#[derive(Clone, Debug)]
struct Pattern {
    server: String,
    name: String,
    namespace: String,
}

impl Project {
    /// Reads an object. There may be a destination for each of a thousand clusters: they are read once.
    pub fn of(object: Arc<Value>) -> Self {
        let owned = |it: &Value, key: &str| text(it, key).to_owned();
        let pattern = |it: &Value| Pattern {
            server: owned(it, "server"),
            name: owned(it, "name"),
            namespace: owned(it, "namespace"),
        };
        let destinations = items(&object["spec"]["destinations"]).map(pattern).collect();
        Self { object, destinations }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        text(&self.object["metadata"], "name")
    }

    /// What it says.
    pub fn spec(&self) -> &Value {
        &self.object["spec"]
    }

    /// Whether sources may come from a repository.
    pub fn permits_source(&self, url: &str) -> bool {
        let wanted = normalized(url);
        let mut any = false;
        for pattern in items(&self.spec()["sourceRepos"]).filter_map(Value::as_str) {
            if let Some(denied) = pattern.strip_prefix('!') {
                if glob(&normalized(denied), &wanted, true) {
                    return false;
                }
                any = true;
            } else if pattern == "*" || glob(&normalized(pattern), &wanted, true) {
                any = true;
            }
        }
        any
    }

    /// Whether something may go into a namespace of a cluster.
    pub fn permits_destination(&self, to: &Destination<'_>, namespace: &str) -> bool {
        let fits = |pattern: &str, text: &str| match pattern.strip_prefix('!') {
            Some(denied) => !glob(denied, text, false),
            None => glob(pattern, text, false),
        };
        let denies = |pattern: &str| pattern.starts_with('!');
        let mut any = false;
        for Pattern { server, name, namespace: spaces } in &self.destinations {
            let name_fits = !to.name.is_empty() && fits(name, to.name);
            let server_fits = !to.server.is_empty() && fits(server, to.server);
            let namespace_fits = fits(spaces, namespace);
            if (server_fits || name_fits) && namespace_fits {
                any = true;
            } else if namespace_fits && ((!name_fits && denies(name)) || (!server_fits && denies(server)))
                || !namespace_fits && denies(spaces) && server_fits
            {
                return false;
            }
        }
        any
    }

    /// Whether objects of a kind may be there.
    pub fn permits_kind(&self, group: &str, kind: &str, name: &str, namespaced: bool) -> bool {
        let spec = self.spec();
        let lists = |list: &Value| {
            items(list).any(|it| {
                let named = text(it, "name");
                glob(text(it, "group"), group, false)
                    && glob(text(it, "kind"), kind, false)
                    && (named.is_empty() || glob(named, name, false))
            })
        };
        let (white, black) = if namespaced {
            ("namespaceResourceWhitelist", "namespaceResourceBlacklist")
        } else {
            ("clusterResourceWhitelist", "clusterResourceBlacklist")
        };
        let open = namespaced && spec[white].is_null();
        (open || lists(&spec[white])) && !lists(&spec[black])
    }

    /// Whether one object may be there; the words if not.
    pub fn permits(
        &self,
        group: &str,
        kind: &str,
        name: &str,
        namespace: Option<&str>,
        to: &Destination<'_>,
    ) -> Result<(), String> {
        if !self.permits_kind(group, kind, name, namespace.is_some()) {
            return Err(format!("resource {group}:{kind} is not permitted in project {}", self.name()));
        }
        match namespace {
            Some(namespace) if !self.permits_destination(to, namespace) => {
                Err(format!("namespace {namespace} is not permitted in project '{}'", self.name()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sources_destinations_and_kinds() {
        let object = json!({"metadata": {"name": "p"}, "spec": {
            "sourceRepos": ["https://git.example.com/team/*"],
            "destinations": [
                {"server": "https://kubernetes.default.svc", "namespace": "team-*"},
                {"name": "other", "namespace": "*"},
            ],
            "clusterResourceWhitelist": [{"group": "", "kind": "Namespace"}],
            "namespaceResourceBlacklist": [{"group": "", "kind": "ResourceQuota"}],
        }});
        let project = Project::of(object.into());
        assert!(project.permits_source("https://git.example.com/team/a.git"));
        assert!(!project.permits_source("https://git.example.com/other/a"));
        assert!(!project.permits_source("https://git.example.com/team/a/b"));
        let here = Destination { server: "https://kubernetes.default.svc", name: "in-cluster" };
        let there = Destination { server: "https://elsewhere", name: "other" };
        assert!(project.permits_destination(&here, "team-a"));
        assert!(!project.permits_destination(&here, "kube-system"));
        assert!(project.permits_destination(&there, "anything"));
        assert!(project.permits_kind("", "Namespace", "a", false));
        assert!(!project.permits_kind("rbac.authorization.k8s.io", "ClusterRole", "a", false));
        assert!(project.permits_kind("apps", "Deployment", "a", true));
        let refused = project.permits("", "ResourceQuota", "a", Some("team-a"), &here).expect_err("listed");
        assert_eq!(refused, "resource :ResourceQuota is not permitted in project p");
        let refused = project.permits("apps", "Deployment", "a", Some("kube-system"), &here);
        assert_eq!(refused.expect_err("elsewhere"), "namespace kube-system is not permitted in project 'p'");
    }

    #[test]
    fn what_is_denied_is_denied_whatever_else_permits_it() {
        let object = json!({"metadata": {"name": "p"}, "spec": {
            "sourceRepos": ["*", "!https://git.example.com/secret"],
            "destinations": [
                {"server": "*", "namespace": "*"},
                {"server": "https://kubernetes.default.svc", "namespace": "!kube-system"},
            ],
        }});
        let project = Project::of(object.into());
        assert!(project.permits_source("https://git.example.com/a"));
        assert!(!project.permits_source("https://git.example.com/secret.git"));
        let here = Destination { server: "https://kubernetes.default.svc", name: "in-cluster" };
        assert!(project.permits_destination(&here, "a"));
        assert!(!project.permits_destination(&here, "kube-system"));
    }
}
