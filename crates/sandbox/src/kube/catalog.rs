//! Which resources there are: built-in ones as published, and custom ones as long as their definitions live.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::body::Bytes;
use serde_json::Value;

use super::{custom::Custom, published::Published, schema::Shape};

/// A resource in one of its versions.
#[derive(Clone, Debug)]
pub struct Resource {
    /// The group; empty for the one without a name.
    pub group: String,
    /// The version.
    pub version: String,
    /// The plural, as it stands in addresses: `deployments`.
    pub plural: String,
    /// The singular: `deployment`.
    pub singular: String,
    /// The kind: `Deployment`.
    pub kind: String,
    /// Whether its objects lie in namespaces.
    pub namespaced: bool,
    /// `deploy`.
    pub short_names: Vec<String>,
    /// `all`.
    pub categories: Vec<String>,
    /// What may be done with it.
    pub verbs: Vec<String>,
    /// What lies below its objects.
    pub subresources: Vec<Subresource>,
    /// What its objects look like.
    pub shape: Shape,
    /// What a definition says beyond that; built-in resources have none.
    pub custom: Option<Arc<Custom>>,
    /// All versions of a resource are stored together, under this: `apps/deployments`.
    pub stored_as: Arc<str>,
}

/// What lies below an object: `status`, `scale`, `log`.
#[derive(Clone, Debug)]
pub struct Subresource {
    /// Its name.
    pub name: String,
    /// Group, version and kind of what is read and written there.
    pub kind: (String, String, String),
    /// What may be done with it.
    pub verbs: Vec<String>,
}

impl Resource {
    /// `apps/v1`, or `v1` in the group without a name.
    pub fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// Whether this is how objects of it name their version.
    pub fn is_version(&self, api_version: &str) -> bool {
        match api_version.split_once('/') {
            Some((group, version)) => group == self.group && version == self.version,
            None => self.group.is_empty() && api_version == self.version,
        }
    }

    /// A subresource.
    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|it| it.name == name)
    }

    /// Whether a write to the object itself leaves its status alone.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }
}

/// `apps/v1`, or `v1` in the group without a name.
pub fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// Where objects of a resource are stored.
pub fn stored_as(group: &str, plural: &str) -> Arc<str> {
    format!("{group}/{plural}").into()
}

/// The resources of one API server.
pub struct Catalog {
    built_in: Arc<[Arc<Resource>]>,
    /// By the definition's name.
    custom: RwLock<BTreeMap<String, Vec<Arc<Resource>>>>,
    changes: AtomicU64,
    /// What discovery says, and after how many changes it was written.
    discovery: Mutex<Option<(u64, [Bytes; 2])>>,
}

impl Default for Catalog {
    fn default() -> Self {
        Self {
            built_in: built_in(),
            custom: RwLock::default(),
            changes: AtomicU64::new(0),
            discovery: Mutex::default(),
        }
    }
}

impl Catalog {
    /// Finds what an address names.
    pub fn find(&self, group: &str, version: &str, plural: &str) -> Option<Arc<Resource>> {
        self.any(|it| it.group == group && it.version == version && it.plural == plural)
    }

    /// Finds a kind.
    pub fn of_kind(&self, group: &str, version: &str, kind: &str) -> Option<Arc<Resource>> {
        self.any(|it| it.group == group && it.version == version && it.kind == kind)
    }

    /// A resource by where its objects are stored (`apps/deployments`), in the version that comes first.
    pub fn stored(&self, stored_as: &str) -> Option<Arc<Resource>> {
        self.any(|it| &*it.stored_as == stored_as)
    }

    /// Whether a version of a group is built in.
    pub fn is_built_in(&self, group: &str, version: &str) -> bool {
        self.built_in.iter().any(|it| it.group == group && it.version == version)
    }

    fn any(&self, fits: impl Fn(&Resource) -> bool) -> Option<Arc<Resource>> {
        if let Some(found) = self.built_in.iter().find(|it| fits(it)) {
            return Some(found.clone());
        }
        self.custom_now().values().flatten().find(|it| fits(it)).cloned()
    }

    /// Every resource in every version: built-in ones first, in the published order.
    pub fn all(&self) -> Vec<Arc<Resource>> {
        self.built_in.iter().chain(self.custom_now().values().flatten()).cloned().collect()
    }

    /// Whether there are resources beyond those that are built in.
    pub fn has_custom(&self) -> bool {
        !self.custom_now().is_empty()
    }

    /// What discovery says, as it was written before, or as `write` writes it when something has changed since.
    pub fn discovery(&self, write: impl FnOnce() -> [Bytes; 2]) -> [Bytes; 2] {
        let changes = self.changes();
        let known = || self.discovery.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, written)) = known().as_ref().filter(|(at, _)| *at == changes) {
            return written.clone();
        }
        let written = write();
        *known() = Some((changes, written.clone()));
        written
    }

    /// How often what there is has changed.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::SeqCst)
    }

    /// Serves what a definition defines, instead of what it defined before; an empty list serves it no more.
    pub fn define(&self, definition: &str, resources: Vec<Resource>) {
        let mut custom = self.custom.write().unwrap_or_else(PoisonError::into_inner);
        self.changes.fetch_add(1, Ordering::SeqCst);
        match resources.is_empty() {
            true => drop(custom.remove(definition)),
            false => {
                drop(custom.insert(definition.to_owned(), resources.into_iter().map(Arc::new).collect()))
            }
        }
    }

    fn custom_now(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Vec<Arc<Resource>>>> {
        self.custom.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn built_in() -> Arc<[Arc<Resource>]> {
    use std::sync::OnceLock;
    static BUILT_IN: OnceLock<Arc<[Arc<Resource>]>> = OnceLock::new();
    BUILT_IN.get_or_init(read).clone()
}

fn read() -> Arc<[Arc<Resource>]> {
    let published = Published::get();
    let mut all = Vec::new();
    let (of_pods, whole): (Vec<&Value>, Vec<&Value>) =
        published.core.iter().partition(|it| text(it, "name").contains('/'));
    for it in whole {
        let plural = text(it, "name");
        let below = of_pods.iter().filter_map(|sub| {
            let (of, name) = text(sub, "name").split_once('/')?;
            (of == plural).then(|| Subresource {
                name: name.to_owned(),
                kind: (
                    text(sub, "group").to_owned(),
                    or_v1(text(sub, "version")),
                    text(sub, "kind").to_owned(),
                ),
                verbs: texts(sub, "verbs"),
            })
        });
        let subresources = below.collect();
        all.push(resource(
            "",
            "v1",
            plural,
            text(it, "singularName"),
            text(it, "kind"),
            it["namespaced"] == true,
            it,
            subresources,
        ));
    }
    for group in &published.groups {
        let name = text(&group["metadata"], "name");
        for version in group["versions"].as_array().into_iter().flatten() {
            let number = text(version, "version");
            for it in version["resources"].as_array().into_iter().flatten() {
                let below = it["subresources"].as_array().into_iter().flatten().map(|sub| {
                    let kind = &sub["responseKind"];
                    let of = |key: &str, otherwise: &str| match text(kind, key) {
                        "" => otherwise.to_owned(),
                        given => given.to_owned(),
                    };
                    Subresource {
                        name: text(sub, "subresource").to_owned(),
                        kind: (of("group", name), of("version", number), of("kind", "")),
                        verbs: texts(sub, "verbs"),
                    }
                });
                let subresources = below.collect();
                let kind = text(&it["responseKind"], "kind");
                let namespaced = it["scope"] == "Namespaced";
                all.push(resource(
                    name,
                    number,
                    text(it, "resource"),
                    text(it, "singularResource"),
                    kind,
                    namespaced,
                    it,
                    subresources,
                ));
            }
        }
    }
    all.into_iter().map(Arc::new).collect()
}

#[expect(
    clippy::too_many_arguments,
    reason = "the two published forms of the same row, told apart by its callers"
)]
fn resource(
    group: &str,
    version: &str,
    plural: &str,
    singular: &str,
    kind: &str,
    namespaced: bool,
    row: &Value,
    subresources: Vec<Subresource>,
) -> Resource {
    Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: plural.to_owned(),
        singular: singular.to_owned(),
        kind: kind.to_owned(),
        namespaced,
        short_names: texts(row, "shortNames"),
        categories: texts(row, "categories"),
        verbs: texts(row, "verbs"),
        subresources,
        shape: Shape::built_in(group, version, kind).cloned().unwrap_or_default(),
        custom: None,
        stored_as: stored_as(group, plural),
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    value[key].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn or_v1(version: &str) -> String {
    if version.is_empty() { "v1".to_owned() } else { version.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_everybody_knows_is_there() {
        let catalog = Catalog::default();
        let pods = catalog.find("", "v1", "pods").expect("pods");
        assert_eq!((pods.kind.as_str(), pods.namespaced, &*pods.stored_as), ("Pod", true, "/pods"));
        assert_eq!(pods.short_names, ["po"]);
        assert!(pods.has_status() && pods.subresource("eviction").is_some());
        let deployments = catalog.find("apps", "v1", "deployments").expect("deployments");
        assert_eq!(deployments.api_version(), "apps/v1");
        assert_eq!(deployments.subresource("scale").expect("scale").kind.2, "Scale");
        assert!(!catalog.find("", "v1", "nodes").expect("nodes").namespaced);
        assert!(catalog.find("apps", "v1beta1", "deployments").is_none());
    }

    #[test]
    fn every_kind_that_is_stored_has_a_shape() {
        let without: Vec<String> = Catalog::default()
            .all()
            .iter()
            .filter(|it| it.verbs.iter().any(|verb| verb == "list") && matches!(it.shape, Shape::Any))
            .map(|it| it.kind.clone())
            .collect();
        assert_eq!(without, Vec::<String>::new());
    }
}
