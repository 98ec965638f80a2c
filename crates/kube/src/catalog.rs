//! What an API server serves: kinds, their paths and scopes, read by aggregated discovery (two requests).

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use kube::client::{APIGroupDiscoveryList, APIResourceDiscovery};
use sha2::{Digest as _, Sha256};

/// One kind in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Resource {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    /// Whether this is the version the server prefers: an inventory lists each object once.
    pub preferred: bool,
}

impl Resource {
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// Path of the collection.
    pub fn path(&self, namespace: Option<&str>) -> String {
        let root = if self.group.is_empty() {
            format!("/api/{}", self.version)
        } else {
            format!("/apis/{}/{}", self.group, self.version)
        };
        match namespace {
            Some(namespace) => format!("{root}/namespaces/{namespace}/{}", self.plural),
            None => format!("{root}/{}", self.plural),
        }
    }

    /// Path of one object. A namespace is used only where the kind has one.
    pub fn object_path(&self, namespace: Option<&str>, name: &str) -> String {
        format!("{}/{name}", self.path(namespace.filter(|_| self.namespaced)))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    by_kind: HashMap<(String, String), Resource>,
}

/// Catalogues by the digest of what they were read from: most clusters serve the same, and to read it takes a millisecond.
static KNOWN: Mutex<BTreeMap<[u8; 32], Weak<Catalog>>> = Mutex::new(BTreeMap::new());

impl Catalog {
    /// Reads two documents of discovery: of the group without a name, and of all others.
    pub fn read(documents: [&[u8]; 2]) -> serde_json::Result<Arc<Self>> {
        let mut digest = Sha256::new();
        for document in documents {
            digest.update(document.len().to_be_bytes());
            digest.update(document);
        }
        let digest: [u8; 32] = digest.finalize().into();
        let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(catalog) = known().get(&digest).and_then(Weak::upgrade) {
            return Ok(catalog);
        }
        let [core, groups] = documents.map(serde_json::from_slice);
        let catalog = Arc::new(Self::of([core?, groups?]));
        let mut known = known();
        known.retain(|_, catalog| catalog.strong_count() > 0);
        known.insert(digest, Arc::downgrade(&catalog));
        Ok(catalog)
    }

    fn of(lists: [APIGroupDiscoveryList; 2]) -> Self {
        let mut by_kind = HashMap::new();
        for group in lists.into_iter().flat_map(|list| list.items) {
            let name = group.metadata.and_then(|metadata| metadata.name).unwrap_or_default();
            let mut seen = std::collections::HashSet::new();
            for version in group.versions {
                let Some(number) = version.version else { continue };
                for found in version.resources {
                    let Some(mut resource) = resource(&name, &number, found) else { continue };
                    // Versions come in order of preference; a kind is preferred in the first that serves it.
                    resource.preferred = seen.insert(resource.plural.clone());
                    by_kind.insert((resource.api_version(), resource.kind.clone()), resource);
                }
            }
        }
        Self { by_kind }
    }

    pub fn find(&self, api_version: &str, kind: &str) -> Option<&Resource> {
        self.by_kind.get(&(api_version.to_owned(), kind.to_owned()))
    }

    /// Everything that can be listed, each once, in a stable order. Events are left out: they name nothing that stays.
    pub fn listable(&self) -> Vec<Resource> {
        let mut all: Vec<Resource> = self
            .by_kind
            .values()
            .filter(|resource| resource.preferred && resource.can("list") && resource.kind != "Event")
            .cloned()
            .collect();
        all.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
        all
    }
}

fn resource(group: &str, version: &str, found: APIResourceDiscovery) -> Option<Resource> {
    Some(Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: found.response_kind?.kind?,
        plural: found.resource?,
        namespaced: found.scope.as_deref() == Some("Namespaced"),
        verbs: found.verbs,
        preferred: false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn catalog() -> Catalog {
        let resource = |plural: &str, kind: &str, scope: &str| json!({"resource": plural, "responseKind": {"kind": kind}, "scope": scope, "verbs": ["get", "list"]});
        let core = json!({"items": [{"versions": [{"version": "v1", "resources": [
            resource("namespaces", "Namespace", "Cluster"), resource("events", "Event", "Namespaced")]}]}]});
        let apps = json!({"items": [{"metadata": {"name": "apps"}, "versions": [
            {"version": "v1", "resources": [resource("deployments", "Deployment", "Namespaced")]},
            {"version": "v1beta1", "resources": [resource("deployments", "Deployment", "Namespaced")]}]}]});
        Catalog::of([core, apps].map(|list| serde_json::from_value(list).expect("a list")))
    }

    #[test]
    fn what_says_the_same_is_one_catalogue() {
        let (core, groups) = (br#"{"items": []}"#, br#"{"items": [ ]}"#);
        let first = Catalog::read([core, core]).expect("read");
        assert!(Arc::ptr_eq(&first, &Catalog::read([core, core]).expect("read")));
        assert!(!Arc::ptr_eq(&first, &Catalog::read([core, groups]).expect("read")));
        assert!(Catalog::read([core, b"{"]).is_err());
    }

    #[test]
    fn paths_follow_group_and_scope() {
        let catalog = catalog();
        let namespace = catalog.find("v1", "Namespace").expect("served");
        assert_eq!(namespace.object_path(Some("ignored"), "x"), "/api/v1/namespaces/x");
        let deployment = catalog.find("apps/v1", "Deployment").expect("served");
        assert_eq!(deployment.object_path(Some("n"), "x"), "/apis/apps/v1/namespaces/n/deployments/x");
        assert!(catalog.find("apps/v2", "Deployment").is_none());
    }

    #[test]
    fn an_inventory_lists_each_kind_once_and_no_events() {
        let kinds: Vec<_> = catalog().listable().into_iter().map(|r| (r.kind, r.version)).collect();
        assert_eq!(kinds, [("Namespace".into(), "v1".into()), ("Deployment".into(), "v1".to_owned())]);
    }
}
