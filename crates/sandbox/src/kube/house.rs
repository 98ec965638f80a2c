//! Deleting, and what follows from it: finalizers, namespaces with their contents, definitions with their objects, and
//! what was owned by what is gone.
//!
//! What the real garbage collector and namespace controller do after a while is done here at once, one change after the
//! other: watchers see the same changes, and nobody has to wait.

use serde_json::{Value, json};

use super::{
    admission,
    api::{Answer, Api, Ask, Subject},
    body,
    catalog::Resource,
    custom, follow,
    object::{finalizers, is_going, later, meta, metadata, time},
    read::{Form, shown},
    refusal::{About, Refusal},
    rules::CUSTOM_CLEANUP,
    select::Selector,
    store::{Change, Key},
};

/// What a deletion asks for.
#[derive(Clone, Debug, Default)]
struct Wish {
    dry_run: bool,
    grace: Option<u64>,
    propagation: Propagation,
    uid: Option<String>,
    version: Option<String>,
}

/// What becomes of what the object owns.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Propagation {
    /// It is deleted afterwards.
    #[default]
    Background,
    /// It is deleted first.
    Foreground,
    /// It stays.
    Orphan,
}

impl Wish {
    fn read(ask: &Ask) -> Result<Self, Refusal> {
        let options = body::options(ask)?;
        let text = |key: &str| match ask.query.text(key) {
            "" => options[key].as_str().unwrap_or_default().to_owned(),
            text => text.to_owned(),
        };
        let propagation = match text("propagationPolicy").as_str() {
            "" | "Background" => Propagation::Background,
            "Foreground" => Propagation::Foreground,
            "Orphan" => Propagation::Orphan,
            other => {
                return Err(Refusal::new(
                    422,
                    "Invalid",
                    format!(
                        "DeleteOptions.meta.k8s.io \"\" is invalid: propagationPolicy: Unsupported value: {other:?}: supported values: \"Background\", \"Foreground\", \"Orphan\""
                    ),
                ));
            }
        };
        let before = &options["preconditions"];
        let precondition = |key: &str| before[key].as_str().map(str::to_owned);
        Ok(Self {
            dry_run: ask.query.dry_run()? || options["dryRun"] == json!(["All"]),
            grace: ask.query.number("gracePeriodSeconds")?.or_else(|| options["gracePeriodSeconds"].as_u64()),
            propagation,
            uid: precondition("uid"),
            version: precondition("resourceVersion"),
        })
    }

    fn check(&self, about: About<'_>, object: &Value) -> Result<(), Refusal> {
        for (word, wanted, key) in
            [("UID", &self.uid, "uid"), ("ResourceVersion", &self.version, "resourceVersion")]
        {
            let is = meta(object, key);
            if let Some(wanted) = wanted
                && wanted != is
            {
                return Err(Refusal::conflict(
                    about,
                    &format!(
                        "Precondition failed: {word} in precondition: {wanted}, {word} in object meta: {is}"
                    ),
                ));
            }
        }
        Ok(())
    }
}

pub(super) fn delete(api: &Api, subject: &Subject<'_>, ask: &Ask) -> Result<Answer, Refusal> {
    let name = subject.place.name.as_deref().unwrap_or_default();
    let wish = Wish::read(ask)?;
    admission::may_delete(subject.resource, name)?;
    delete_one(api, subject, name, &wish).map(Answer::ok)
}

pub(super) fn delete_collection(api: &Api, subject: &Subject<'_>, ask: &Ask) -> Result<Answer, Refusal> {
    let wish = Wish::read(ask)?;
    let selector = Selector::parse(ask.query.text("labelSelector"), ask.query.text("fieldSelector"))?;
    let listed = api.store.list(&subject.resource.stored_as, subject.place.namespace.as_deref());
    let mut items = Vec::new();
    for (key, object) in listed.objects.iter().filter(|(_, object)| selector.matches(object)) {
        let mut place = subject.place.clone();
        place.namespace = subject.resource.namespaced.then(|| key.namespace.clone());
        match delete_one(api, &Subject { resource: subject.resource, place: &place }, &key.name, &wish) {
            Ok(_) => items.push(shown(subject.resource, object, Form::Whole)),
            Err(refusal) if refusal.code == 404 => {}
            Err(refusal) => return Err(refusal),
        }
    }
    Ok(Answer::ok(json!({
        "kind": format!("{}List", subject.resource.kind),
        "apiVersion": subject.resource.api_version(),
        "metadata": { "resourceVersion": listed.revision.to_string() },
        "items": items,
    })))
}

/// Deletes an object, or tells it to go; gives what the client is answered.
fn delete_one(api: &Api, subject: &Subject<'_>, name: &str, wish: &Wish) -> Result<Value, Refusal> {
    let resource = subject.resource;
    let about = subject.about(name);
    let mut last = Value::Null;
    let mut stays = Value::Null;
    let change = api.store.change(&subject.key(name), |old| {
        let old = old.ok_or_else(|| Refusal::not_found(about))?;
        wish.check(about, old)?;
        last = old.clone();
        let after = going(api, resource, old, wish);
        stays = after.clone().unwrap_or_default();
        // A refusal without a code says that nothing shall be kept.
        if wish.dry_run { Err(Refusal::new(0, "", "")) } else { Ok(after) }
    });
    let change = match change {
        Err(refusal) if refusal.code == 0 => None,
        other => other?,
    };
    if let Some(change) = &change {
        after(api, resource, change);
    }
    if stays.is_null() {
        let mut details = json!({ "name": name, "kind": resource.plural, "uid": meta(&last, "uid") });
        if !resource.group.is_empty() {
            details["group"] = resource.group.as_str().into();
        }
        return Ok(json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
        }));
    }
    let now = change.as_ref().map_or(stays, |change| Value::clone(&change.object()));
    Ok(shown(resource, &now, Form::Whole))
}

/// What a deletion makes of an object: `None` when it is gone at once.
fn going(api: &Api, resource: &Resource, old: &Value, wish: &Wish) -> Option<Value> {
    let mut new = old.clone();
    let meta = metadata(&mut new);
    let mut holds: Vec<Value> = meta.get("finalizers").and_then(Value::as_array).cloned().unwrap_or_default();
    holds.retain(|it| it != "orphan" && it != "foregroundDeletion");
    match wish.propagation {
        Propagation::Background => {}
        Propagation::Foreground => holds.push("foregroundDeletion".into()),
        Propagation::Orphan => holds.push("orphan".into()),
    }
    let grace = grace(resource, old, wish);
    let waits = !holds.is_empty() || grace > 0 || !(grace == 0 && is_pod(resource) || may_go(resource, old));
    if !waits {
        return None;
    }
    if !holds.is_empty() {
        meta.insert("finalizers".into(), holds.into());
    }
    if !meta.contains_key("deletionTimestamp") {
        meta.insert("deletionTimestamp".into(), time(later((api.now)(), grace)).into());
        meta.insert("deletionGracePeriodSeconds".into(), grace.into());
        if let Some(generation) = meta.get("generation").and_then(Value::as_u64) {
            meta.insert("generation".into(), (generation + 1).into());
        }
    } else if is_pod(resource) && meta.get("deletionGracePeriodSeconds").and_then(Value::as_u64) > Some(grace)
    {
        // Less patience than before; more is not given.
        meta.insert("deletionTimestamp".into(), time(later((api.now)(), grace)).into());
        meta.insert("deletionGracePeriodSeconds".into(), grace.into());
    }
    if resource.plural == "namespaces" {
        meta.remove("deletionGracePeriodSeconds");
        new["status"]["phase"] = "Terminating".into();
    }
    Some(new)
}

/// A pod on a node is given time to end; one that nobody runs needs none.
fn grace(resource: &Resource, object: &Value, wish: &Wish) -> u64 {
    let runs = &*resource.stored_as == "/pods"
        && object["spec"]["nodeName"].is_string()
        && !matches!(object["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    match (runs, wish.grace) {
        (false, _) => 0,
        (true, Some(grace)) => grace,
        (true, None) => object["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or(30),
    }
}

fn is_pod(resource: &Resource) -> bool {
    &*resource.stored_as == "/pods"
}

/// Whether something that has no finalizers may go: a namespace has finalizers of its own, in its spec.
pub(super) fn may_go(resource: &Resource, object: &Value) -> bool {
    let running = object["metadata"]["deletionGracePeriodSeconds"].as_u64().is_some_and(|grace| grace > 0);
    resource.plural != "namespaces" && !(running && &*resource.stored_as == "/pods")
        || object["spec"]["finalizers"].as_array().is_some_and(Vec::is_empty)
}

/// Does what follows from a change.
pub(super) fn after(api: &Api, resource: &Resource, change: &Change) {
    if &*resource.stored_as == "apiextensions.k8s.io/customresourcedefinitions" {
        let resources = change.after.as_deref().map(custom::resources).unwrap_or_default();
        api.catalog.define(&change.key.name, resources);
    }
    match &change.after {
        None => {
            let before = change.before.as_deref().unwrap_or(&Value::Null);
            release_owned(api, meta(before, "uid"));
            settle_owners(api, before, &change.key.namespace);
            if resource.namespaced {
                empty_namespace(api, &change.key.namespace);
            }
            settle_definition(api, resource);
        }
        Some(object) if is_going(object) => {
            let holds = finalizers(object);
            match () {
                () if resource.plural == "namespaces" => empty_namespace(api, &change.key.name),
                () if holds.contains(&"orphan") => {
                    orphan_owned(api, meta(object, "uid"));
                    drop_finalizer(api, resource, &change.key, "orphan");
                }
                () if holds.contains(&"foregroundDeletion") => {
                    release_owned(api, meta(object, "uid"));
                    if owned(api, meta(object, "uid")).is_empty() {
                        drop_finalizer(api, resource, &change.key, "foregroundDeletion");
                    }
                }
                () if holds.contains(&CUSTOM_CLEANUP) => clean_definition(api, &change.key),
                () => {}
            }
        }
        Some(_) => {}
    }
    follow::after(api, resource, change);
}

/// Objects that are owned by one with this id.
fn owned(api: &Api, uid: &str) -> Vec<(Resource, Key)> {
    let keys = api.store.owned_by(uid).into_iter();
    keys.filter_map(|key| Some((Resource::clone(&*api.catalog.stored(&key.kind)?), key))).collect()
}

/// Lets those owners of something that is gone go too, who were told to go after all they own.
fn settle_owners(api: &Api, gone: &Value, namespace: &str) {
    for owner in gone["metadata"]["ownerReferences"].as_array().into_iter().flatten() {
        let (group, version) = group_version(owner);
        let kind = owner["kind"].as_str().unwrap_or_default();
        let Some(resource) = api.catalog.of_kind(group, version, kind) else { continue };
        let key = Key {
            kind: resource.stored_as.clone(),
            namespace: if resource.namespaced { namespace.to_owned() } else { String::new() },
            name: owner["name"].as_str().unwrap_or_default().to_owned(),
        };
        let waits = api.store.get(&key).is_some_and(|it| {
            it["metadata"]["uid"] == owner["uid"]
                && is_going(&it)
                && finalizers(&it).contains(&"foregroundDeletion")
        });
        if waits && api.store.owned_by(owner["uid"].as_str().unwrap_or_default()).is_empty() {
            drop_finalizer(api, &resource, &key, "foregroundDeletion");
        }
    }
}

fn group_version(owner: &Value) -> (&str, &str) {
    let version = owner["apiVersion"].as_str().unwrap_or_default();
    version.split_once('/').unwrap_or(("", version))
}

/// Every resource that stores objects, in one of its versions.
fn stored_once(api: &Api) -> Vec<Resource> {
    let mut seen = std::collections::BTreeSet::new();
    let all = api.catalog.all();
    let stored = all.iter().filter(|it| it.verbs.iter().any(|verb| verb == "list"));
    stored.filter(|it| seen.insert(it.stored_as.clone())).map(|it| Resource::clone(it)).collect()
}

/// Deletes what was owned by something that is gone, unless somebody else owns it too.
fn release_owned(api: &Api, uid: &str) {
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

fn orphan_owned(api: &Api, uid: &str) {
    for (resource, key) in owned(api, uid) {
        disown(api, &resource, &key, uid);
    }
}

fn is_there(api: &Api, owner: &Value, namespace: &str) -> bool {
    let (group, version) = group_version(owner);
    let Some(resource) = api.catalog.of_kind(group, version, owner["kind"].as_str().unwrap_or_default())
    else {
        return false;
    };
    let namespace = if resource.namespaced { namespace.to_owned() } else { String::new() };
    let name = owner["name"].as_str().unwrap_or_default().to_owned();
    let found = api.store.get(&Key { kind: resource.stored_as.clone(), namespace, name });
    found.is_some_and(|found| found["metadata"]["uid"] == owner["uid"])
}

fn disown(api: &Api, resource: &Resource, key: &Key, uid: &str) {
    edit(api, resource, key, |object| {
        if let Some(Value::Array(owners)) = metadata(object).get_mut("ownerReferences") {
            owners.retain(|owner| owner["uid"] != uid);
        }
    });
}

pub(super) fn drop_finalizer(api: &Api, resource: &Resource, key: &Key, name: &str) {
    edit(api, resource, key, |object| {
        if let Some(Value::Array(holds)) = metadata(object).get_mut("finalizers") {
            holds.retain(|it| it != name);
        }
    });
}

/// Changes an object as the server itself; one that is going and held by nothing is then gone.
pub(super) fn edit(api: &Api, resource: &Resource, key: &Key, act: impl FnOnce(&mut Value)) {
    let change = api.store.change(key, |old| {
        let Some(old) = old else { return Err(()) };
        let mut new = old.clone();
        act(&mut new);
        super::object::tidy(&mut new);
        let finished = is_going(&new) && finalizers(&new).is_empty() && may_go(resource, &new);
        Ok((!finished).then_some(new))
    });
    if let Ok(Some(change)) = change {
        after(api, resource, &change);
    }
}

/// Deletes an object as the server itself, in the background.
pub(super) fn remove(api: &Api, resource: &Resource, key: &Key) {
    let place = super::request::Place {
        group: resource.group.clone(),
        version: resource.version.clone(),
        namespace: resource.namespaced.then(|| key.namespace.clone()),
        plural: resource.plural.clone(),
        name: Some(key.name.clone()),
        subresource: None,
    };
    // What is gone by now, or told to go before, is what was wanted.
    let _gone = delete_one(api, &Subject { resource, place: &place }, &key.name, &Wish::default());
}

/// Deletes what lies in a namespace that is going, and then the namespace.
fn empty_namespace(api: &Api, name: &str) {
    let namespaces = "/namespaces".into();
    let key = Key { kind: namespaces, namespace: String::new(), name: name.to_owned() };
    let terminating = |api: &Api| api.store.get(&key).is_some_and(|it| is_going(&it));
    if !terminating(api) {
        return;
    }
    let contents = |api: &Api| -> Vec<(Resource, Key, bool)> {
        let resources = stored_once(api).into_iter().filter(|it| it.namespaced);
        let inside = resources.flat_map(|resource| {
            let listed = api.store.list(&resource.stored_as, Some(name)).objects;
            listed
                .into_iter()
                .map(move |(key, object)| (resource.clone(), key, is_going(&object)))
                .collect::<Vec<_>>()
        });
        inside.collect()
    };
    for (resource, key, _) in contents(api).into_iter().filter(|(_, _, going)| !going) {
        remove(api, &resource, &key);
    }
    let left = contents(api);
    let Some(resource) = api.catalog.find("", "v1", "namespaces") else { return };
    let now = time((api.now)());
    edit(api, &resource, &key, |object| match left.first() {
        None => object["spec"]["finalizers"] = json!([]),
        Some((held, _, _)) => {
            object["status"]["conditions"] = json!([{
                "type": "NamespaceContentRemaining", "status": "True", "reason": "SomeResourcesRemain",
                "message": format!("Some resources are remaining: {}.{} has {} resource instances", held.plural, held.group, left.len()),
                "lastTransitionTime": now,
            }]);
        }
    });
}

/// Deletes the objects of a definition that is going, and then the definition.
fn clean_definition(api: &Api, definition: &Key) {
    let of_it = |it: &Resource| format!("{}.{}", it.plural, it.group) == definition.name;
    let objects = |api: &Api| -> Vec<(Resource, Key)> {
        let resources = stored_once(api).into_iter().filter(of_it);
        let of = |resource: Resource| {
            let listed = api.store.list(&resource.stored_as, None).objects;
            listed.into_iter().map(move |(key, _)| (resource.clone(), key)).collect::<Vec<_>>()
        };
        resources.flat_map(of).collect()
    };
    for (resource, key) in objects(api) {
        if api.store.get(&key).is_some_and(|it| !is_going(&it)) {
            remove(api, &resource, &key);
        }
    }
    if objects(api).is_empty()
        && let Some(resource) = api.catalog.find("apiextensions.k8s.io", "v1", "customresourcedefinitions")
    {
        drop_finalizer(api, &resource, definition, CUSTOM_CLEANUP);
    }
}

/// The last object of a definition that is going may have gone.
fn settle_definition(api: &Api, resource: &Resource) {
    if resource.custom.is_none() {
        return;
    }
    let key = Key {
        kind: "apiextensions.k8s.io/customresourcedefinitions".into(),
        namespace: String::new(),
        name: format!("{}.{}", resource.plural, resource.group),
    };
    if api.store.get(&key).is_some_and(|it| is_going(&it)) {
        clean_definition(api, &key);
    }
}

/// What is created below an object: an eviction deletes its pod.
pub(super) fn create_below(
    api: &Api,
    subject: &Subject<'_>,
    subresource: &str,
    body: &Value,
) -> Result<Answer, Refusal> {
    let name = subject.place.name.as_deref().unwrap_or_default();
    match (&*subject.resource.stored_as, subresource) {
        ("/pods", "eviction") => {
            let options = &body["deleteOptions"];
            let wish = Wish {
                dry_run: options["dryRun"] == json!(["All"]),
                grace: options["gracePeriodSeconds"].as_u64(),
                uid: options["preconditions"]["uid"].as_str().map(str::to_owned),
                ..Wish::default()
            };
            admission::evict(api, subject, name)?;
            delete_one(api, subject, name, &wish)?;
            Ok(Answer::Json {
                code: 201,
                body: json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" }),
                warnings: Vec::new(),
            })
        }
        ("/serviceaccounts", "token") => super::auth::request(api, subject, body),
        _ => Err(Refusal::new(
            501,
            "NotImplemented",
            format!("the sandbox does not play {}/{subresource}", subject.resource.plural),
        )),
    }
}
