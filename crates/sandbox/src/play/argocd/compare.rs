//! What is wanted against what is there.

mod differ;
mod load;

use std::{collections::BTreeMap, sync::Arc};

use serde_json::{Value, json};

use super::{
    health,
    home::Target,
    memory::{From, Wanted},
    model::{
        COMPARE_OPTIONS, HOOK, Id, TRACKING, WAVE, annotation, group_version, has_option, items, text,
        tracked_by,
    },
    render::Rendered,
    work::{Conditions, Work},
};
use crate::{
    kube::{catalog::Resource, object::meta},
    play::Cluster,
};

pub use differ::{address, apply, ask, ignored, remember};
pub use load::Level;

/// Kinds that only controllers make; they are looked through only when an Application has had some.
const MADE_BY_OTHERS: &[&str] = &[
    "/events",
    "/pods",
    "/endpoints",
    "/nodes",
    "apps/replicasets",
    "apps/controllerrevisions",
    "discovery.k8s.io/endpointslices",
    "coordination.k8s.io/leases",
    "events.k8s.io/events",
];

/// One object that is wanted, or there, or both.
pub struct Item {
    /// Which.
    pub id: Id,
    /// Its version.
    pub version: String,
    /// What the API knows about its kind.
    pub resource: Option<Arc<Resource>>,
    /// As it is wanted.
    pub target: Option<Arc<Value>>,
    /// As it is.
    pub live: Option<Arc<Value>>,
    /// Whether they differ.
    pub modified: bool,
    /// Whether it is a hook.
    pub hook: bool,
}

impl Item {
    /// One of the two.
    pub fn object(&self) -> &Value {
        const NOTHING: &Value = &Value::Null;
        self.target.as_deref().or(self.live.as_deref()).unwrap_or(NOTHING)
    }

    /// Looks again at what is there.
    pub fn look(&mut self, cluster: &Cluster) {
        if let Some(found) = find(cluster, self.object()) {
            self.live = live_of(cluster, &found, &self.id);
            self.resource = Some(found);
        }
    }
}

/// What a comparison found.
#[derive(Default)]
pub struct Comparison {
    /// All objects, hooks among them.
    pub items: Vec<Item>,
    /// The commits, one for each source.
    pub revisions: Vec<String>,
    /// What is wrong.
    pub conditions: Conditions,
    /// Whether the sources could not be read.
    pub failed: bool,
    /// `Directory`, `Kustomize`, `Helm`, one for each source that has objects.
    pub kinds: Vec<&'static str>,
    /// What was only imitated.
    pub imitated: Option<String>,
}

/// Compares an Application with a cluster. `revisions` are commits to compare with, if not the newest.
pub fn compare(work: &Work<'_>, target: &Target, revisions: &[String], level: Level) -> Comparison {
    let mut comparison = Comparison::default();
    let name = work.name();
    let wanted = match load::load(work, revisions, level) {
        Ok(loaded) => {
            comparison.revisions = loaded.revisions;
            comparison.kinds = loaded.kinds;
            comparison.imitated = loaded.imitated;
            wanted(work, target, loaded.rendered)
        }
        Err(error) => {
            comparison.failed = true;
            comparison.conditions.push(("ComparisonError", format!("Failed to load target state: {error}")));
            comparison.revisions = load::asked(work);
            Arc::default()
        }
    };
    for it in wanted.iter() {
        let Wanted { id, object, times, .. } = it;
        if *times > 1 {
            let message = format!("Resource {id} appeared {times} times among application resources.");
            comparison.conditions.push(("RepeatedResourceWarning", message));
        }
        let resource = find(&target.cluster, object);
        let live = resource.as_ref().and_then(|it| live_of(&target.cluster, it, id));
        if let Some(other) = live.as_deref().and_then(tracked_by).filter(|it| *it != name) {
            let message = format!(
                "{}/{} is part of applications {}/{name} and {}",
                id.kind,
                id.name,
                meta(&work.app, "namespace"),
                other.replace('_', "/")
            );
            comparison.conditions.push(("SharedResourceWarning", message));
        }
        let hook = is_hook(object);
        let modified = match (&live, &resource) {
            (Some(live), Some(resource)) if !hook => {
                differ::differs(work, &target.cluster, resource, it, live)
            }
            _ => false,
        };
        comparison.items.push(Item {
            version: group_version(object).1.to_owned(),
            id: id.clone(),
            resource,
            target: Some(object.clone()),
            live,
            modified,
            hook,
        });
    }
    add_tracked(work, target, &mut comparison);
    comparison
}

/// The objects that are wanted, in the order of the sources.
fn wanted(work: &Work<'_>, target: &Target, rendered: Vec<Arc<Rendered>>) -> Arc<[Wanted]> {
    let spec = &work.app["spec"];
    let (name, namespace) = (&work.app["metadata"]["name"], &spec["destination"]["namespace"]);
    let catalog = &target.cluster.api.catalog;
    let from = From {
        said: [name, namespace, &spec["ignoreDifferences"]].map(Value::clone),
        rendered,
        kinds: (catalog.clone(), catalog.changes()),
    };
    work.memory.wanted(from, |from| {
        let mut places: BTreeMap<Id, usize> = BTreeMap::new();
        let mut all: Vec<Wanted> = Vec::new();
        for object in from.rendered.iter().flat_map(|it| &it.objects) {
            let namespace = namespace.as_str().unwrap_or_default();
            let object = prepared(&target.cluster, object.clone(), work.name(), namespace);
            let id = Id::of(&object);
            match places.get(&id) {
                Some(place) => {
                    all[*place] = Wanted::new(id, object, all[*place].times + 1);
                }
                None => {
                    places.insert(id.clone(), all.len());
                    all.push(Wanted::new(id, object, 1));
                }
            }
        }
        all
    })
}

/// An object with its namespace and with the annotation that says where it came from. Definitions are not tracked.
fn prepared(cluster: &Cluster, mut object: Value, app: &str, namespace: &str) -> Value {
    let mut id = Id::of(&object);
    if id.namespace.is_empty() {
        namespace.clone_into(&mut id.namespace);
    }
    if id.kind != "CustomResourceDefinition" {
        if !object["metadata"]["annotations"].is_object() {
            object["metadata"]["annotations"] = json!({});
        }
        object["metadata"]["annotations"][TRACKING] = id.tracking(app).into();
    }
    let namespaced = find(cluster, &object).is_none_or(|it| it.namespaced);
    match object["metadata"].as_object_mut() {
        Some(metadata) if namespaced => drop(metadata.insert("namespace".to_owned(), id.namespace.into())),
        Some(metadata) => drop(metadata.shift_remove("namespace")),
        None => {}
    }
    object
}

fn find(cluster: &Cluster, object: &Value) -> Option<Arc<Resource>> {
    let (group, version) = group_version(object);
    cluster.api.catalog.of_kind(group, version, text(object, "kind"))
}

fn live_of(cluster: &Cluster, resource: &Resource, id: &Id) -> Option<Arc<Value>> {
    let namespace = if resource.namespaced { id.namespace.as_str() } else { "" };
    cluster.get(&Cluster::key(&resource.stored_as, namespace, &id.name))
}

/// What is there, tracks this Application, and is not wanted (any more).
fn add_tracked(work: &Work<'_>, target: &Target, comparison: &mut Comparison) {
    let had: Vec<(String, String)> = items(&work.app["status"]["resources"])
        .map(|it| (text(it, "group").to_owned(), text(it, "kind").to_owned()))
        .collect();
    for (resource, live) in tracked(&target.cluster, work.name(), &had) {
        let id = Id::of(&live);
        let same = |it: &Item| {
            it.id.kind == id.kind
                && it.id.group == id.group
                && it.id.name == id.name
                && (it.id.namespace == id.namespace || id.namespace.is_empty())
        };
        if comparison.items.iter().any(same) {
            continue;
        }
        let permitted = work.project.as_ref().is_none_or(|project| {
            let namespace = resource.namespaced.then_some(id.namespace.as_str());
            project.permits(&id.group, &id.kind, &id.name, namespace, &target.destination()).is_ok()
        });
        if permitted {
            comparison.items.push(Item {
                id,
                version: group_version(&live).1.to_owned(),
                resource: Some(resource),
                target: None,
                hook: is_hook(&live),
                live: Some(live),
                modified: false,
            });
        }
    }
}

/// Everything that tracks an Application; `had` are group and kind of what it had before.
pub fn tracked(cluster: &Cluster, app: &str, had: &[(String, String)]) -> Vec<(Arc<Resource>, Arc<Value>)> {
    let had = |resource: &Resource| {
        had.iter().any(|(group, kind)| *group == resource.group && *kind == resource.kind)
    };
    let ours = cluster.api.store.find(|_, it| tracked_by(it) == Some(app));
    ours.into_iter()
        .filter_map(|(key, it)| Some((cluster.api.catalog.stored(&key.kind)?, it)))
        .filter(|(resource, _)| had(resource) || !MADE_BY_OTHERS.contains(&&*resource.stored_as))
        .collect()
}

/// Whether an object is a hook; one with nothing but `Skip` is not applied at all.
pub fn is_hook(object: &Value) -> bool {
    annotation(object, HOOK).is_some_and(|it| !it.is_empty() && it != "Skip")
        || annotation(object, "helm.sh/hook").is_some_and(|it| !it.is_empty() && !it.contains("crd-install"))
}

/// Whether an object is never applied.
pub fn is_skipped(object: &Value) -> bool {
    annotation(object, HOOK) == Some("Skip")
}

/// The wave of an object.
pub fn wave(object: &Value) -> i64 {
    let said = annotation(object, WAVE).or_else(|| annotation(object, "helm.sh/hook-weight"));
    said.and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// Writes what a comparison found into the status: sync, health, resources, summary, conditions.
pub fn report(work: &mut Work<'_>, comparison: &Comparison) {
    let mut resources = Vec::new();
    let mut code = "Synced";
    let mut overall = "Healthy";
    let mut causes: Vec<String> = Vec::new();
    let (mut any, mut any_live) = (false, false);
    let of_applications = work.home.health_of_applications();
    let project = work.project.clone();
    for item in &comparison.items {
        let object = item.live.as_deref().unwrap_or(item.object());
        let mut entry = json!({});
        let mut put = |key: &str, value: &str| {
            if !value.is_empty() {
                entry[key] = value.into();
            }
        };
        put("group", &item.id.group);
        put("version", &item.version);
        put("kind", &item.id.kind);
        let namespaced = item.resource.as_ref().is_none_or(|it| it.namespaced);
        put("namespace", if namespaced { &item.id.namespace } else { "" });
        put("name", &item.id.name);
        let skipped = item.target.as_deref().is_some_and(is_skipped);
        let permitted = project
            .as_ref()
            .is_none_or(|it| it.permits_kind(&item.id.group, &item.id.kind, &item.id.name, namespaced));
        if item.hook {
            entry["hook"] = true.into();
        } else if !skipped {
            let out = item.modified || item.target.is_none() || item.live.is_none();
            if out && !(item.target.is_none() && has_option(object, COMPARE_OPTIONS, "IgnoreExtraneous")) {
                code = "OutOfSync";
            }
            put("status", if out { "OutOfSync" } else { "Synced" });
            if item.target.is_none() {
                entry["requiresPruning"] = true.into();
            }
        }
        if !permitted || comparison.failed {
            entry["status"] = "Unknown".into();
        }
        match item.target.as_deref().map(wave) {
            Some(wave) if wave != 0 => entry["syncWave"] = wave.into(),
            _ => {}
        }
        let ignored = annotation(object, "argocd.argoproj.io/ignore-healthcheck") == Some("true");
        if !item.hook && !skipped {
            any = true;
            any_live |= item.live.is_some();
            let found = item.live.as_deref().map(|live| health::of(live, of_applications));
            let itself = item.id.kind == "Application" && item.id.name == work.name();
            match found {
                _ if ignored || itself => {}
                None => entry["health"] = json!({"status": "Missing"}),
                Some(None) => {}
                Some(Some(health)) => {
                    entry["health"] = health.value();
                    let child = item.id.group == "argoproj.io" && item.id.kind == "Application";
                    let counts = !(child && matches!(health.status, "Missing" | "Unknown"));
                    let place = format!("{}:{}", kind_name(&item.id), place_name(&item.id, namespaced));
                    if counts && health::is_worse(overall, health.status) {
                        overall = health.status;
                        causes = vec![place];
                    } else if counts && overall == health.status && overall != "Healthy" {
                        causes.push(place);
                    }
                }
            }
        }
        resources.push(entry);
    }
    if any && !any_live && health::is_worse(overall, "Missing") {
        overall = "Missing";
        causes.clear();
    }
    if comparison.failed {
        code = "Unknown";
    }
    resources.sort_by_key(|it| ["group", "kind", "namespace", "name"].map(|key| text(it, key).to_owned()));
    write(work, comparison, code, overall, &causes, resources);
}

fn kind_name(id: &Id) -> String {
    if id.group.is_empty() { id.kind.clone() } else { format!("{}/{}", id.group, id.kind) }
}

fn place_name(id: &Id, namespaced: bool) -> String {
    if namespaced { format!("{}/{}", id.namespace, id.name) } else { id.name.clone() }
}

fn write(
    work: &mut Work<'_>,
    comparison: &Comparison,
    code: &str,
    overall: &str,
    causes: &[String],
    resources: Vec<Value>,
) {
    let now = work.now();
    let mut images: Vec<String> = Vec::new();
    for item in &comparison.items {
        collect_images(item.live.as_deref().unwrap_or(item.object()), &mut images);
    }
    images.sort();
    images.dedup();
    let several = work.app["spec"]["sources"].as_array().is_some_and(|it| !it.is_empty());
    let mut sync = json!({ "status": code, "comparedTo": work.compared_to() });
    if several {
        sync["revisions"] = comparison.revisions.clone().into();
    } else if let Some(revision) = comparison.revisions.first() {
        sync["revision"] = revision.clone().into();
    }
    let changed = work.app["status"]["health"]["status"] != overall;
    let since = match work.app["status"]["health"]["lastTransitionTime"].as_str() {
        Some(since) if !changed => since.to_owned(),
        _ => now,
    };
    let mut health = json!({ "status": overall, "lastTransitionTime": since });
    if !causes.is_empty() {
        let more = causes.len().saturating_sub(3);
        let shown = causes[..causes.len() - more].join(", ");
        health["message"] = if more > 0 {
            format!("Caused by {shown} and {more} more")
        } else {
            format!("Caused by {shown}")
        }
        .into();
    }
    let mut summary = json!({});
    if !images.is_empty() {
        summary["images"] = images.into();
    }
    if comparison.items.iter().any(|it| it.id.group == "argoproj.io" && it.id.kind == "Application") {
        summary["isAppOfApps"] = true.into();
    }
    let namespace = work.home.namespace.to_owned();
    let status = &mut work.app["status"];
    status["sync"] = sync;
    status["health"] = health;
    status["resources"] = resources.into();
    status["summary"] = summary;
    status["controllerNamespace"] = namespace.into();
    status["resourceHealthSource"] = "inline".into();
    if several {
        status["sourceTypes"] = comparison.kinds.iter().map(|it| Value::from(*it)).collect();
    } else if let Some(kind) = comparison.kinds.first() {
        status["sourceType"] = (*kind).into();
    }
}

/// Images of an object's containers.
pub fn collect_images(object: &Value, images: &mut Vec<String>) {
    let spec = &object["spec"];
    for pod in [&spec["template"]["spec"], &spec["jobTemplate"]["spec"]["template"]["spec"], spec] {
        for key in ["initContainers", "containers"] {
            images.extend(items(&pod[key]).filter_map(|it| it["image"].as_str()).map(str::to_owned));
        }
    }
}
