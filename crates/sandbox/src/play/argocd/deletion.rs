//! The end of an Application, which takes its resources along when a finalizer says so.

use serde_json::{Value, json};

use super::{
    compare::tracked,
    model::{APPLICATIONS, CONTROLLER, Id, SYNC_OPTIONS, has_option, items, text},
    work::Work,
};
use crate::{
    kube::object::{finalizers, is_going, meta},
    play::Cluster,
};

const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";
const FOREGROUND: &str = "resources-finalizer.argocd.argoproj.io/foreground";
const BACKGROUND: &str = "resources-finalizer.argocd.argoproj.io/background";

/// Takes a deletion a step further. Resources go in waves, the last one first; each waits until the one before is gone.
pub fn step(work: &mut Work<'_>) {
    let cascades = finalizers(&work.app).iter().any(|it| [CASCADE, FOREGROUND, BACKGROUND].contains(it));
    if !cascades {
        return;
    }
    // While an operation runs, nothing is deleted.
    if work.app["status"]["operationState"]["phase"] == "Running" && work.operates() {
        return;
    }
    if work.project.is_none() {
        let project = work.project_name().to_owned();
        let message = format!("appproject.argoproj.io \"{project}\" not found");
        return write(work, vec![("DeletionError", message)]);
    }
    let Ok(target) = work.target.clone() else {
        // Its cluster is gone, and its resources with it.
        return release(work);
    };
    let had: Vec<(String, String)> = items(&work.app["status"]["resources"])
        .map(|it| (text(it, "group").to_owned(), text(it, "kind").to_owned()))
        .collect();
    let options = &work.app["spec"]["syncPolicy"]["syncOptions"];
    let kept = items(options).any(|it| it == "Delete=false");
    let goes = |object: &Value| {
        let own = object["kind"] == "CustomResourceDefinition"
            || has_option(object, SYNC_OPTIONS, "Delete=false")
            || kept && !has_option(object, SYNC_OPTIONS, "Delete=true");
        let itself = object["kind"] == "Application"
            && meta(object, "name") == work.name()
            && meta(object, "namespace") == meta(&work.app, "namespace");
        !own && !itself
    };
    let mut left = Vec::new();
    for (resource, live) in tracked(&target.cluster, work.name(), &had) {
        let id = Id::of(&live);
        let namespace = resource.namespaced.then_some(id.namespace.as_str());
        let permitted = work.project.as_ref().is_some_and(|it| {
            it.permits(&id.group, &id.kind, &id.name, namespace, &target.destination()).is_ok()
        });
        if permitted && goes(&live) {
            left.push((resource, live));
        }
    }
    if left.is_empty() {
        return release(work);
    }
    if left.iter().any(|(_, it)| is_going(it)) {
        return;
    }
    // The highest wave goes first.
    let last = left.iter().map(|(_, it)| super::compare::wave(it)).max().unwrap_or(0);
    let background = finalizers(&work.app).contains(&BACKGROUND);
    let options = json!({ "propagationPolicy": if background { "Background" } else { "Foreground" } });
    let mut errors = Vec::new();
    for (resource, live) in left.into_iter().filter(|(_, it)| super::compare::wave(it) == last) {
        let key = Cluster::key(&resource.stored_as, meta(&live, "namespace"), meta(&live, "name"));
        if let Err(error) = target.cluster.delete_with(CONTROLLER, &key, &options) {
            errors.push(("DeletionError", error.message));
        }
    }
    write(work, errors);
}

fn key(work: &Work<'_>) -> crate::kube::store::Key {
    Cluster::key(APPLICATIONS, meta(&work.app, "namespace"), work.name())
}

fn release(work: &Work<'_>) {
    // Refused only when it is gone.
    let _released = work.home.cluster.change(CONTROLLER, &key(work), |app| {
        if let Some(all) = app["metadata"]["finalizers"].as_array_mut() {
            all.retain(|it| !it.as_str().is_some_and(|it| [CASCADE, FOREGROUND, BACKGROUND].contains(&it)));
        }
    });
}

fn write(work: &mut Work<'_>, errors: Vec<(&'static str, String)>) {
    if !work.app["status"].is_object() {
        work.app["status"] = json!({});
    }
    work.set_conditions(errors, &["DeletionError"]);
    let conditions = work.app["status"]["conditions"].clone();
    let _written = work.home.cluster.change(CONTROLLER, &key(work), |app| {
        if conditions.is_null() {
            if let Some(status) = app["status"].as_object_mut() {
                status.shift_remove("conditions");
            }
        } else {
            app["status"]["conditions"] = conditions.clone();
        }
    });
}
