//! The controller of ApplicationSets: parameters, a template, and the Applications that come out.
//!
//! Known generators: list, git (directories and files), clusters, matrix, merge. Any other is refused by its name. All
//! Applications are made at once: the strategy `RollingSync` is not played.

mod combine;
mod generators;
mod params;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{
    home::{Home, is_of_type, is_part},
    model::{API_VERSION, APPLICATIONS, items, text},
};
use crate::{
    kube::{
        object::{finalizers, is_going, meta},
        store::{Change, Key},
    },
    play::{Cluster, Controller},
};

/// Where sets are stored.
const SETS: &str = "argoproj.io/applicationsets";
/// The name under which the controller writes.
const BY: &str = "argocd-applicationset-controller";
/// How soon what went wrong is tried again, and Git looked at again unless the generator says.
const AGAIN: SignedDuration = SignedDuration::from_mins(3);
const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";

/// The controller of ApplicationSets.
pub struct Sets;

/// What went wrong: the reason and the words of the condition.
type Wrong = (&'static str, String);

impl Controller for Sets {
    fn watches(&self) -> &'static [&'static str] {
        &[SETS, APPLICATIONS, "/secrets", "apps/statefulsets", "apps/deployments"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        let object = change.latest();
        match &*change.key.kind {
            SETS => match (&change.before, &change.after) {
                // What this controller writes itself.
                (Some(before), Some(after))
                    if before["spec"] == after["spec"]
                        && before["metadata"]["annotations"] == after["metadata"]["annotations"]
                        && before["metadata"]["deletionTimestamp"]
                            == after["metadata"]["deletionTimestamp"] =>
                {
                    Vec::new()
                }
                _ => vec![change.key.clone()],
            },
            APPLICATIONS => {
                let same = |key: &str| match (&change.before, &change.after) {
                    (Some(before), Some(after)) => before[key] == after[key],
                    _ => false,
                };
                let told = same("spec") && same("status") && same("metadata");
                let owner = Cluster::controller_of(object, "ApplicationSet", SETS);
                owner.into_iter().filter(|_| !told).collect()
            }
            "/secrets" if !is_of_type(object, "cluster") => Vec::new(),
            "apps/statefulsets" | "apps/deployments" if !is_part(&change.key.name) => Vec::new(),
            _ => {
                let all = cluster.list(SETS, Some(&change.key.namespace));
                all.iter().map(|it| Cluster::key(SETS, meta(it, "namespace"), meta(it, "name"))).collect()
            }
        }
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let set = cluster.get(key)?;
        let home = Home::of(cluster, &key.namespace)?;
        if is_going(&set) {
            end(cluster, key, &set);
            return None;
        }
        let (again, wrong) = match bring(&home, &set) {
            Ok(()) => (polls(&set), None),
            Err(wrong) => (Some(AGAIN), Some(wrong)),
        };
        report(&home, key, &set, wrong);
        again
    }
}

/// How soon Git is looked at again.
fn polls(set: &Value) -> Option<SignedDuration> {
    fn of(generator: &Value) -> Option<SignedDuration> {
        let own = generator["git"].is_object().then(|| {
            let said = generator["git"]["requeueAfterSeconds"].as_i64();
            said.map_or(AGAIN, SignedDuration::from_secs)
        });
        let nested =
            ["matrix", "merge"].into_iter().flat_map(|it| items(&generator[it]["generators"])).filter_map(of);
        own.into_iter().chain(nested).min()
    }
    items(&set["spec"]["generators"]).filter_map(of).filter(|it| it.is_positive()).min()
}

fn policy(set: &Value, of: &str) -> bool {
    let said = text(&set["spec"]["syncPolicy"], "applicationsSync");
    match of {
        "update" => matches!(said, "" | "sync" | "create-update"),
        _ => matches!(said, "" | "sync" | "create-delete"),
    }
}

/// A set that goes: its Applications go with it, unless its policy keeps them.
fn end(cluster: &Cluster, key: &Key, set: &Value) {
    if !policy(set, "delete") {
        for app in owned(cluster, set) {
            let own = Cluster::key(APPLICATIONS, meta(&app, "namespace"), meta(&app, "name"));
            let _let_go = cluster.change(BY, &own, |app| {
                if let Some(metadata) = app["metadata"].as_object_mut() {
                    metadata.shift_remove("ownerReferences");
                }
            });
        }
    }
    if finalizers(set).contains(&CASCADE) {
        let _released = cluster.change(BY, key, |set| {
            if let Some(all) = set["metadata"]["finalizers"].as_array_mut() {
                all.retain(|it| it != CASCADE);
            }
        });
    }
}

/// The Applications that a set has made.
fn owned(cluster: &Cluster, set: &Value) -> Vec<Arc<Value>> {
    let all = cluster.list(APPLICATIONS, Some(meta(set, "namespace")));
    let uid = &set["metadata"]["uid"];
    all.into_iter()
        .filter(|it| items(&it["metadata"]["ownerReferences"]).any(|it| it["uid"] == *uid))
        .collect()
}

/// Makes, changes and removes Applications until they are as the set says.
fn bring(home: &Home<'_>, set: &Value) -> Result<(), Wrong> {
    let mut wanted = generated(home, set)?;
    let invalid = check(home, set, &wanted);
    wanted.sort_by(|a, b| meta(a, "name").cmp(meta(b, "name")));
    let cluster = home.cluster;
    let may_update = policy(set, "update");
    let refused = if may_update { "UpdateApplicationError" } else { "CreateApplicationError" };
    let valid = wanted.iter().filter(|app| !invalid.contains_key(meta(app, "name")));
    // One that is refused does not hold up the others.
    let written = valid.map(|app| put(cluster, set, app, may_update)).fold(Ok(()), Result::and);
    written.map_err(|error| (refused, error))?;
    if policy(set, "delete") {
        let names: BTreeSet<&str> = wanted.iter().map(|it| meta(it, "name")).collect();
        for app in owned(cluster, set).iter().filter(|it| !names.contains(meta(it, "name"))) {
            let key = Cluster::key(APPLICATIONS, meta(app, "namespace"), meta(app, "name"));
            cluster.delete(BY, &key).map_err(|error| ("DeleteApplicationError", error.message))?;
        }
    }
    match (invalid.last_key_value(), invalid.len()) {
        (None, _) => Ok(()),
        (Some((_, message)), 1) => Err(("ApplicationValidationError", message.clone())),
        (Some((_, message)), count) => {
            Err(("ApplicationValidationError", format!("{message} (and {} more)", count - 1)))
        }
    }
}

/// Makes or changes an Application.
fn put(cluster: &Cluster, set: &Value, app: &Value, may_update: bool) -> Result<(), String> {
    let key = Cluster::key(APPLICATIONS, meta(set, "namespace"), meta(app, "name"));
    let Some(there) = cluster.get(&key) else {
        return cluster.create(BY, APPLICATIONS, app).map(drop).map_err(|error| error.message);
    };
    let owner = &there["metadata"]["ownerReferences"];
    let uid = &set["metadata"]["uid"];
    if let Some(other) = items(owner).find(|it| it["controller"] == true && it["uid"] != *uid) {
        return Err(format!(
            "Object {}/{} is already owned by another {} controller {}",
            key.namespace,
            key.name,
            text(other, "kind"),
            text(other, "name")
        ));
    }
    if !may_update {
        return Ok(());
    }
    cluster.change(BY, &key, |live| overlay(live, app, set)).map(drop).map_err(|error| error.message)
}

/// Writes spec, labels, annotations and finalizers of a wanted Application over the live one; what people ask for by
/// annotation stays.
fn overlay(live: &mut Value, app: &Value, set: &Value) {
    live["spec"] = app["spec"].clone();
    let preserved = &set["spec"]["preservedFields"];
    for key in ["labels", "annotations"] {
        let mut new = app["metadata"][key].as_object().cloned().unwrap_or_default();
        for (name, value) in live["metadata"][key].as_object().into_iter().flatten() {
            let kept = items(&preserved[key]).any(|it| it == name.as_str());
            let asked = key == "annotations"
                && (name == super::model::REFRESH
                    || name == super::model::IMITATED
                    || name == super::model::TRACKING
                    || name.starts_with("notified.notifications.argoproj.io"));
            if kept || asked {
                new.insert(name.clone(), value.clone());
            }
        }
        let Some(metadata) = live["metadata"].as_object_mut() else { return };
        if new.is_empty() {
            metadata.shift_remove(key);
        } else {
            metadata.insert(key.to_owned(), Value::Object(new));
        }
    }
    if let Some(metadata) = live["metadata"].as_object_mut() {
        match &app["metadata"]["finalizers"] {
            Value::Null => drop(metadata.shift_remove("finalizers")),
            all => drop(metadata.insert("finalizers".to_owned(), all.clone())),
        }
    }
    live["metadata"]["ownerReferences"] = app["metadata"]["ownerReferences"].clone();
}

/// The Applications that the generators and the template give.
fn generated(home: &Home<'_>, set: &Value) -> Result<Vec<Value>, Wrong> {
    let spec = &set["spec"];
    let style = params::Style::of(spec);
    let mut all = Vec::new();
    for generator in items(&spec["generators"]) {
        let found = generators::run(home, set, generator, &style, &json!({}), true)
            .map_err(|error| ("ApplicationGenerationFromParamsError", error))?;
        for (params, own) in found {
            let mut template = spec["template"].clone();
            if own.is_object() {
                combine::lay(&mut template, own);
            }
            let render = |error: String| ("RenderTemplateParamsError", error);
            let mut app = style.render(&template, &params).map_err(render)?;
            let patch = text(spec, "templatePatch");
            if !patch.is_empty() {
                let patch = style.text(patch, &params).map_err(render)?;
                let patch: Value = yaml_serde::from_str(&patch).map_err(|error| render(error.to_string()))?;
                if !patch.is_null() {
                    app = crate::kube::merge::merge_patch(&app, &patch)
                        .map_err(|error| render(error.to_string()))?;
                }
            }
            all.push(finished(set, app));
        }
    }
    Ok(all)
}

/// An Application with what every one gets: kind, namespace, owner, finalizer.
fn finished(set: &Value, mut app: Value) -> Value {
    app["apiVersion"] = API_VERSION.into();
    app["kind"] = "Application".into();
    if let Some(Value::String(project)) = app["spec"].get("project")
        && project.is_empty()
    {
        app["spec"]["project"] = "default".into();
    }
    let metadata = &mut app["metadata"];
    metadata["namespace"] = meta(set, "namespace").into();
    metadata["ownerReferences"] = json!([{
        "apiVersion": API_VERSION, "kind": "ApplicationSet", "name": meta(set, "name"),
        "uid": set["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
    }]);
    let keeps = set["spec"]["syncPolicy"]["preserveResourcesOnDeletion"] == true;
    if items(&metadata["finalizers"]).next().is_none() {
        match metadata.as_object_mut() {
            Some(fields) if keeps => drop(fields.shift_remove("finalizers")),
            Some(fields) => drop(fields.insert("finalizers".to_owned(), json!([CASCADE]))),
            None => {}
        }
    }
    app
}

/// What is wrong with which, by its name.
fn check(home: &Home<'_>, set: &Value, all: &[Value]) -> BTreeMap<String, String> {
    let mut seen = BTreeSet::new();
    let mut check = |app: &Value| {
        let name = meta(app, "name");
        if !seen.insert(name.to_owned()) {
            return Some(format!(
                "ApplicationSet {} contains applications with duplicate name: {name}",
                meta(set, "name")
            ));
        }
        let project = text(&app["spec"], "project");
        if home.project(project).is_none() {
            return Some(format!("application references project {project} which does not exist"));
        }
        home.destination(&app["spec"]["destination"])
            .err()
            .map(|error| format!("application destination spec is invalid: {error}"))
    };
    all.iter().filter_map(|app| Some((meta(app, "name").to_owned(), check(app)?))).collect()
}

/// Conditions and the states of the Applications.
fn report(home: &Home<'_>, key: &Key, set: &Value, wrong: Option<Wrong>) {
    let up_to_date = "All applications have been generated successfully";
    let all = match &wrong {
        None => vec![
            ("ErrorOccurred", "False", "ApplicationSetUpToDate", up_to_date.to_owned()),
            (
                "ParametersGenerated",
                "True",
                "ParametersGenerated",
                "Successfully generated parameters for all Applications".to_owned(),
            ),
            ("ResourcesUpToDate", "True", "ApplicationSetUpToDate", up_to_date.to_owned()),
        ],
        Some((reason, message)) => {
            let generated =
                !matches!(*reason, "ApplicationGenerationFromParamsError" | "RenderTemplateParamsError");
            vec![
                ("ErrorOccurred", "True", *reason, message.clone()),
                if generated {
                    (
                        "ParametersGenerated",
                        "True",
                        "ParametersGenerated",
                        "Successfully generated parameters for all Applications".to_owned(),
                    )
                } else {
                    ("ParametersGenerated", "False", "ErrorOccurred", message.clone())
                },
                ("ResourcesUpToDate", "False", "ErrorOccurred", message.clone()),
            ]
        }
    };
    let now = home.cluster.time();
    let resources: Vec<Value> = owned(home.cluster, set)
        .iter()
        .map(|app| {
            let mut entry = json!({
                "group": "argoproj.io", "version": "v1alpha1", "kind": "Application", "name": meta(app, "name"),
                "namespace": meta(app, "namespace"),
            });
            if let Some(status) = app["status"]["sync"]["status"].as_str() {
                entry["status"] = status.into();
            }
            if app["status"]["health"].is_object() {
                entry["health"] = app["status"]["health"].clone();
            }
            entry
        })
        .collect();
    let _written = home.cluster.change_status(BY, key, |set| {
        let old: Vec<Value> = items(&set["status"]["conditions"]).cloned().collect();
        let conditions: Vec<Value> = all
            .iter()
            .map(|(kind, status, reason, message)| {
                let same = old.iter().find(|it| {
                    it["type"] == *kind && it["status"] == *status && it["reason"] == *reason && it["message"] == message.as_str()
                });
                same.cloned().unwrap_or_else(|| {
                    json!({"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": now})
                })
            })
            .collect();
        set["status"]["conditions"] = conditions.into();
        set["status"]["resources"] = resources.clone().into();
        set["status"]["resourcesCount"] = resources.len().into();
    });
    if set["metadata"]["annotations"].get("argocd.argoproj.io/application-set-refresh").is_some() {
        let _seen = home.cluster.change(BY, key, |set| {
            if let Some(all) = set["metadata"]["annotations"].as_object_mut() {
                all.shift_remove("argocd.argoproj.io/application-set-refresh");
            }
        });
    }
}
