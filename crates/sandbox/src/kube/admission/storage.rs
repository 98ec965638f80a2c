//! Claims and volumes: which class a claim gets, who may make one larger, and that none goes while it is in use.

use std::sync::Arc;

use serde_json::{Value, json};

use super::forbidden;
use crate::kube::{
    api::Api,
    catalog::Resource,
    house,
    object::{finalizers, is_going, meta, metadata},
    quantity::Quantity,
    refusal::Refusal,
    store::{Change, Key},
};

/// Holds a claim as long as a pod uses it.
pub(super) const CLAIM: &str = "kubernetes.io/pvc-protection";
/// Holds a volume as long as a claim is bound to it.
pub(super) const VOLUME: &str = "kubernetes.io/pv-protection";

/// Adds a finalizer.
pub(super) fn protect(object: &mut Value, finalizer: &str) {
    let holds = metadata(object).entry("finalizers").or_insert_with(|| json!([]));
    if let Value::Array(holds) = holds
        && !holds.iter().any(|it| it == finalizer)
    {
        holds.push(json!(finalizer));
    }
}

/// Gives a claim that names no class the default one; of several the newest.
pub(super) fn choose_class(classes: &[Arc<Value>], claim: &mut Value) {
    let annotated = &claim["metadata"]["annotations"]["volume.beta.kubernetes.io/storage-class"];
    if claim["spec"]["storageClassName"].is_string() || annotated.is_string() {
        return;
    }
    let is_default = |class: &&Arc<Value>| {
        let marks = &class["metadata"]["annotations"];
        ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"]
            .iter()
            .any(|key| marks[*key] == "true")
    };
    let newest = classes.iter().filter(is_default).min_by(|a, b| {
        let made = |it: &Value| meta(it, "creationTimestamp").to_owned();
        made(b).cmp(&made(a)).then_with(|| meta(a, "name").cmp(meta(b, "name")))
    });
    if let Some(class) = newest {
        claim["spec"]["storageClassName"] = json!(meta(class, "name"));
    }
}

/// Refuses to make a claim larger whose class cannot.
pub(super) fn may_grow(
    classes: &[Arc<Value>],
    resource: &Resource,
    old: &Value,
    new: &Value,
) -> Result<(), Refusal> {
    let size =
        |it: &Value| Quantity::of(&it["spec"]["resources"]["requests"]["storage"]).unwrap_or(Quantity::ZERO);
    if size(new) <= size(old) {
        return Ok(());
    }
    if old["status"]["phase"] != "Bound" {
        return Err(forbidden(resource, new, "Only bound persistent volume claims can be expanded"));
    }
    let named = old["spec"]["storageClassName"].as_str().unwrap_or_default();
    let class = classes.iter().find(|it| meta(it, "name") == named);
    match class {
        Some(class) if class["allowVolumeExpansion"] == true => Ok(()),
        _ => Err(forbidden(
            resource,
            new,
            "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize",
        )),
    }
}

/// Lets go what is told to go and not in use any more.
pub(super) fn release(api: &Api, resource: &Resource, change: &Change) {
    match &*resource.stored_as {
        "/persistentvolumeclaims" => {
            if let Some(claim) = change.after.as_deref() {
                release_claim(api, resource, &change.key, claim);
            }
        }
        "/persistentvolumes" => {
            let Some(volume) = change.after.as_deref() else { return };
            let held = is_going(volume) && finalizers(volume).contains(&VOLUME);
            if held && volume["status"]["phase"] != "Bound" {
                house::drop_finalizer(api, resource, &change.key, VOLUME);
            }
        }
        "/pods" if change.before.is_some() => {
            let ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
            if change.after.as_deref().is_some_and(|pod| !ended(pod)) {
                return;
            }
            let Some(claims) = api.catalog.find("", "v1", "persistentvolumeclaims") else { return };
            for (key, claim) in api.store.list(&claims.stored_as, Some(&change.key.namespace)).objects {
                release_claim(api, &claims, &key, &claim);
            }
        }
        _ => {}
    }
}

fn release_claim(api: &Api, resource: &Resource, key: &Key, claim: &Value) {
    if !is_going(claim) || !finalizers(claim).contains(&CLAIM) {
        return;
    }
    let uses = |pod: &Value| {
        let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        let mut volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
        !ended && volumes.any(|it| it["persistentVolumeClaim"]["claimName"] == key.name.as_str())
    };
    let pods = api.store.list(&"/pods".into(), Some(&key.namespace)).objects;
    if !pods.iter().any(|(_, pod)| uses(pod)) {
        house::drop_finalizer(api, resource, key, CLAIM);
    }
}
