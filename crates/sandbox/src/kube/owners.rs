//! Owners: what they own goes with them, before them, or stays without them.

use std::sync::Arc;

use serde_json::Value;

use super::{
    api::Api,
    catalog::Resource,
    house::{drop_finalizer, edit, remove},
    object::{finalizers, is_going, meta, metadata},
    store::Key,
};

/// Deletes what belongs to something that is not there, as the garbage collector does.
pub(super) fn collect(api: &Api, resource: &Resource, key: &Key, object: &Value) {
    let owners = object["metadata"]["ownerReferences"].as_array().map(Vec::as_slice).unwrap_or_default();
    if !owners.is_empty() && !owners.iter().any(|owner| may_be_there(api, owner, &key.namespace)) {
        remove(api, resource, key);
    }
}

/// Whether an owner is there. One of a kind that is not known may be: nobody can tell.
fn may_be_there(api: &Api, owner: &Value, namespace: &str) -> bool {
    kind_of(api, owner).is_none() || is_there(api, owner, namespace)
}

/// Lets go what waited in the foreground for the last of what it owned.
pub(super) fn finish_foreground(api: &Api, resource: &Resource, key: &Key) {
    let Some(object) = api.store.get(key) else { return };
    let uid = meta(&object, "uid");
    let blocks = |(_, key): &(Resource, Key)| {
        let found = api.store.get(key);
        let owners = found.as_ref().and_then(|it| it["metadata"]["ownerReferences"].as_array());
        owners.into_iter().flatten().any(|it| it["uid"] == uid && it["blockOwnerDeletion"] == true)
    };
    if !owned(api, uid).iter().any(blocks) {
        drop_finalizer(api, resource, key, "foregroundDeletion");
    }
}

/// Objects that are owned by one with this id.
fn owned(api: &Api, uid: &str) -> Vec<(Resource, Key)> {
    let keys = api.store.owned_by(uid).into_iter();
    keys.filter_map(|key| Some((Resource::clone(&*api.catalog.stored(&key.kind)?), key))).collect()
}

/// Lets those owners of something that is gone go too, who were told to go after all they own.
pub(super) fn settle(api: &Api, gone: &Value, namespace: &str) {
    for owner in gone["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
        let Some(resource) = kind_of(api, owner) else { continue };
        let key = owner_key(&resource, owner, namespace);
        let waits = api.store.get(&key).is_some_and(|it| {
            it["metadata"]["uid"] == owner["uid"]
                && is_going(&it)
                && finalizers(&it).contains(&"foregroundDeletion")
        });
        if waits {
            finish_foreground(api, &resource, &key);
        }
    }
}

fn group_version(owner: &Value) -> (&str, &str) {
    let version = owner["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').unwrap_or(("", version))
}

/// Deletes what was owned by something that is gone, unless somebody else owns it too.
pub(super) fn release(api: &Api, uid: &str) {
    for (resource, key) in owned(api, uid) {
        let Some(object) = api.store.get(&key) else { continue };
        let owners = object["metadata"]["ownerReferences"].as_array().cloned().unwrap_or_default();
        let others =
            owners.iter().filter(|owner| owner["uid"] != uid && is_there(api, owner, &key.namespace)).count();
        if others == 0 {
            remove(api, &resource, &key);
        } else {
            disown(api, &resource, &key, uid);
        }
    }
}

pub(super) fn orphan(api: &Api, uid: &str) {
    for (resource, key) in owned(api, uid) {
        disown(api, &resource, &key, uid);
    }
}

/// The resource that an owner is of.
fn kind_of(api: &Api, owner: &Value) -> Option<Arc<Resource>> {
    let (group, version) = group_version(owner);
    api.catalog.of_kind(group, version, owner["kind"].as_str().unwrap_or_default())
}

/// Where an owner lies, of something in a namespace.
fn owner_key(resource: &Resource, owner: &Value, namespace: &str) -> Key {
    let namespace = if resource.namespaced { namespace.to_owned() } else { String::new() };
    let name = owner["name"].as_str().unwrap_or_default().to_owned();
    Key { kind: resource.stored_as.clone(), namespace, name }
}

fn is_there(api: &Api, owner: &Value, namespace: &str) -> bool {
    let Some(resource) = kind_of(api, owner) else { return false };
    let found = api.store.get(&owner_key(&resource, owner, namespace));
    found.is_some_and(|found| found["metadata"]["uid"] == owner["uid"])
}

fn disown(api: &Api, resource: &Resource, key: &Key, uid: &str) {
    edit(api, resource, key, |object| {
        if let Some(Value::Array(owners)) = metadata(object).get_mut("ownerReferences") {
            owners.retain(|owner| owner["uid"] != uid);
        }
    });
}
