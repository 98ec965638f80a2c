//! Deleting, and what follows from it: finalizers, namespaces with their contents, definitions with their objects, and
//! what was owned by what is gone.
//!
//! What the real garbage collector and namespace controller do after a while is done here at once, one change after the
//! other: watchers see the same changes, and nobody has to wait.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    admission,
    api::{Answer, Api, Ask, Subject},
    body,
    catalog::Resource,
    custom, follow,
    object::{finalizers, is_going, later, meta, metadata, time},
    options,
    read::{Form, named, shown},
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
            _ if options["orphanDependents"] == true => Propagation::Orphan,
            "" | "Background" => Propagation::Background,
            "Foreground" => Propagation::Foreground,
            "Orphan" => Propagation::Orphan,
            other => {
                let known = "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"";
                let why = format!("Unsupported value: {other:?}: {known}");
                return Err(Refusal::options("DeleteOptions", "propagationPolicy", why));
            }
        };
        let policy = text("propagationPolicy");
        if !policy.is_empty() && !options["orphanDependents"].is_null() {
            let why = "orphanDependents and deletionPropagation cannot be both set";
            return Err(Refusal::options(
                "DeleteOptions",
                "propagationPolicy",
                format!("Invalid value: {policy:?}: {why}"),
            ));
        }
        options::check_write("DeleteOptions", &ask.query, false)?;
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
        let kind = object["kind"].as_str().unwrap_or_default();
        for (word, wanted, key, why) in [
            ("UID", &self.uid, "uid", "The object might have been deleted and then recreated"),
            ("ResourceVersion", &self.version, "resourceVersion", "The object might have been modified"),
        ] {
            let is = meta(object, key);
            if let Some(wanted) = wanted
                && wanted != is
            {
                // Here the real server names the kind where it names the resource elsewhere.
                let about = About { resource: kind, ..about };
                let words = format!("the {word} in the precondition ({wanted}) does not match");
                return Err(Refusal::conflict(about, &format!("{words} the {word} in record ({is}). {why}")));
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

/// Kinds whose deletion is answered with what was deleted, not with a word of success.
const RETURNED: &[&str] = &[
    "/persistentvolumeclaims",
    "/persistentvolumes",
    "/pods",
    "/podtemplates",
    "/resourcequotas",
    "/serviceaccounts",
    "/services",
    "resource.k8s.io/deviceclasses",
    "resource.k8s.io/resourceclaims",
    "resource.k8s.io/resourceclaimtemplates",
    "resource.k8s.io/resourceslices",
    "storage.k8s.io/csidrivers",
    "storage.k8s.io/csinodes",
    "storage.k8s.io/storageclasses",
    "storage.k8s.io/volumeattachments",
    "storage.k8s.io/volumeattributesclasses",
];

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
    if stays.is_null() && RETURNED.contains(&&*resource.stored_as) {
        if &*resource.stored_as == "/pods" {
            metadata(&mut last).insert("deletionTimestamp".into(), time((api.now)()).into());
            metadata(&mut last).insert("deletionGracePeriodSeconds".into(), 0.into());
        }
        return Ok(named(resource, last));
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
    Ok(named(resource, now))
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
    let is_definition = &*resource.stored_as == "apiextensions.k8s.io/customresourcedefinitions";
    if is_definition && !holds.iter().any(|it| it == CUSTOM_CLEANUP) && !is_going(old) {
        holds.push(CUSTOM_CLEANUP.into());
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
        || object["spec"]["finalizers"].as_array().is_none_or(Vec::is_empty)
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
                () if holds.contains(&"orphan") => {
                    orphan_owned(api, meta(object, "uid"));
                    drop_finalizer(api, resource, &change.key, "orphan");
                }
                () if holds.contains(&"foregroundDeletion") => {
                    release_owned(api, meta(object, "uid"));
                    finish_foreground(api, resource, &change.key);
                }
                () if holds.contains(&CUSTOM_CLEANUP) => clean_definition(api, &change.key),
                () if resource.plural == "namespaces" => empty_namespace(api, &change.key.name),
                () => {}
            }
        }
        Some(object) => collect(api, resource, &change.key, object),
    }
    follow::after(api, resource, change);
}

/// Deletes what belongs to something that is not there, as the garbage collector does.
fn collect(api: &Api, resource: &Resource, key: &Key, object: &Value) {
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
fn finish_foreground(api: &Api, resource: &Resource, key: &Key) {
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

/// Goes on with what an earlier life was told to delete and did not come to an end with.
pub(super) fn take_up(api: &Api) {
    for resource in stored_once(api) {
        let listed = api.store.list(&resource.stored_as, None);
        for (key, object) in listed.objects.into_iter().filter(|(_, object)| is_going(object)) {
            let change = Change { revision: listed.revision, key, before: None, after: Some(object) };
            after(api, &resource, &change);
        }
    }
}

/// Objects that are owned by one with this id.
fn owned(api: &Api, uid: &str) -> Vec<(Resource, Key)> {
    let keys = api.store.owned_by(uid).into_iter();
    keys.filter_map(|key| Some((Resource::clone(&*api.catalog.stored(&key.kind)?), key))).collect()
}

/// Lets those owners of something that is gone go too, who were told to go after all they own.
fn settle_owners(api: &Api, gone: &Value, namespace: &str) {
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

/// The resource that an owner is of.
fn kind_of(api: &Api, owner: &Value) -> Option<std::sync::Arc<Resource>> {
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
    // The store may not be looked at while it is changed.
    let told = (!left.is_empty()).then(|| remaining(api, &left, &time((api.now)())));
    edit(api, &resource, &key, |object| match told {
        None => {
            if let Value::Array(holds) = &mut object["spec"]["finalizers"] {
                holds.retain(|it| it != "kubernetes");
            }
        }
        Some(told) => object["status"]["conditions"] = told,
    });
}

/// What a namespace says of what is left in it.
fn remaining(api: &Api, left: &[(Resource, Key, bool)], now: &str) -> Value {
    let (mut kinds, mut holds) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    for (resource, key, _) in left {
        *kinds.entry(format!("{}.{}", resource.plural, resource.group)).or_default() += 1;
        for hold in api.store.get(key).iter().flat_map(|it| finalizers(it)) {
            *holds.entry(hold.to_owned()).or_default() += 1;
        }
    }
    let condition = |kind: &str, status: bool, reason: &str, message: String| {
        json!({
            "type": kind, "status": if status { "True" } else { "False" }, "lastTransitionTime": now,
            "reason": reason, "message": message,
        })
    };
    let kinds: Vec<String> =
        kinds.iter().map(|(kind, count)| format!("{kind} has {count} resource instances")).collect();
    let kinds = format!("Some resources are remaining: {}", kinds.join(", "));
    let held: Vec<String> =
        holds.iter().map(|(hold, count)| format!("{hold} in {count} resource instances")).collect();
    let held = match held.is_empty() {
        true => ("ContentHasNoFinalizers", "All content-preserving finalizers finished".to_owned()),
        false => {
            let head = "Some content in the namespace has finalizers remaining";
            ("SomeFinalizersRemain", format!("{head}: {}", held.join(", ")))
        }
    };
    let done = |kind, reason, message: &str| condition(kind, false, reason, message.to_owned());
    json!([
        done(
            "NamespaceDeletionDiscoveryFailure",
            "ResourcesDiscovered",
            "All resources successfully discovered"
        ),
        done(
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed"
        ),
        done(
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization"
        ),
        condition("NamespaceContentRemaining", true, "SomeResourcesRemain", kinds),
        condition("NamespaceFinalizersRemaining", !holds.is_empty(), held.0, held.1),
    ])
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
