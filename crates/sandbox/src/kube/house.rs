//! Deleting, and what follows from it, in here and in the rooms beside: `contents`, of namespaces and definitions, and
//! `owners`, what was owned by what is gone.
//!
//! What the real garbage collector and namespace controller do after a while is done here at once, one change after the
//! other: watchers see the same changes, and nobody has to wait.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    admission,
    api::{Answer, Api, Ask, Subject},
    bind, body,
    catalog::Resource,
    contents, custom, follow,
    object::{finalizers, is_going, later, meta, metadata, time},
    options, owners,
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
    fn read(ask: &Ask, given: Option<Value>) -> Result<Self, Refusal> {
        let options = body::options(ask, given)?;
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

pub(super) fn delete(
    api: &Api,
    subject: &Subject<'_>,
    ask: &Ask,
    given: Option<Value>,
) -> Result<Answer, Refusal> {
    let name = subject.place.name.as_deref().unwrap_or_default();
    let wish = Wish::read(ask, given)?;
    admission::may_delete(subject.resource, name)?;
    delete_one(api, subject, name, &wish).map(Answer::ok)
}

pub(super) fn delete_collection(
    api: &Api,
    subject: &Subject<'_>,
    ask: &Ask,
    given: Option<Value>,
) -> Result<Answer, Refusal> {
    let wish = Wish::read(ask, given)?;
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
fn delete_one(api: &Api, subject: &Subject<'_>, name: &str, wish: &Wish) -> Result<Arc<Value>, Refusal> {
    let resource = subject.resource;
    let about = subject.about(name);
    let key = subject.key(name);
    // What would have become of it, in a dry run.
    let mut would = None;
    let change = api.store.change(&key, |old| {
        let old = old.ok_or_else(|| Refusal::not_found(about))?;
        wish.check(about, old)?;
        let after = going(api, resource, old, wish);
        if wish.dry_run {
            would = Some((old.clone(), after));
            // A refusal without a code says that nothing shall be kept.
            return Err(Refusal::new(0, "", ""));
        }
        Ok(after)
    });
    let change = match change {
        Err(refusal) if refusal.code == 0 => None,
        other => other?,
    };
    if let Some(change) = &change {
        after(api, resource, change);
    }
    let (last, stays) = match (would, change) {
        (Some((old, after)), _) => (Some(old.into()), after.map(Arc::new)),
        (None, Some(change)) => (change.before, change.after),
        // It was going already.
        (None, None) => (None, api.store.get(&key)),
    };
    if let Some(stays) = stays {
        return Ok(named(resource, stays));
    }
    let last = last.unwrap_or_default();
    if RETURNED.contains(&&*resource.stored_as) {
        let mut last = Arc::unwrap_or_clone(last);
        if &*resource.stored_as == "/pods" {
            metadata(&mut last).insert("deletionTimestamp".into(), time((api.now)()).into());
            metadata(&mut last).insert("deletionGracePeriodSeconds".into(), 0.into());
        }
        return Ok(named(resource, last.into()));
    }
    let mut details = json!({ "name": name, "kind": resource.plural, "uid": meta(&last, "uid") });
    if !resource.group.is_empty() {
        details["group"] = resource.group.as_str().into();
    }
    Ok(Arc::new(json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details,
    })))
}

/// What a deletion makes of an object: `None` when it is gone at once.
fn going(api: &Api, resource: &Resource, old: &Value, wish: &Wish) -> Option<Value> {
    let mut holds = old["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
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
    let mut new = old.clone();
    let meta = metadata(&mut new);
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
            owners::release(api, meta(before, "uid"));
            owners::settle(api, before, &change.key.namespace);
            if resource.namespaced {
                contents::empty_namespace(api, &change.key.namespace);
            }
            contents::settle_definition(api, resource);
        }
        Some(object) if is_going(object) => {
            let holds = finalizers(object);
            match () {
                () if holds.contains(&"orphan") => {
                    owners::orphan(api, meta(object, "uid"));
                    drop_finalizer(api, resource, &change.key, "orphan");
                }
                () if holds.contains(&"foregroundDeletion") => {
                    owners::release(api, meta(object, "uid"));
                    owners::finish_foreground(api, resource, &change.key);
                }
                () if holds.contains(&CUSTOM_CLEANUP) => contents::clean_definition(api, &change.key),
                () if resource.plural == "namespaces" => contents::empty_namespace(api, &change.key.name),
                () => {}
            }
        }
        Some(object) => owners::collect(api, resource, &change.key, object),
    }
    follow::after(api, resource, change);
}

/// Goes on with what an earlier life was told to delete and did not come to an end with.
pub(super) fn take_up(api: &Api) {
    for resource in contents::stored_once(api) {
        let listed = api.store.list(&resource.stored_as, None);
        for (key, object) in listed.objects.into_iter().filter(|(_, object)| is_going(object)) {
            let change = Change { revision: listed.revision, key, before: None, after: Some(object) };
            after(api, &resource, &change);
        }
    }
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
                body: json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success" })
                    .into(),
                warnings: Vec::new(),
            })
        }
        ("/pods", "binding") => bind_pod(api, subject, body),
        ("/serviceaccounts", "token") => super::auth::request(api, subject, body),
        _ => Err(Refusal::new(
            501,
            "NotImplemented",
            format!("the sandbox does not play {}/{subresource}", subject.resource.plural),
        )),
    }
}

/// A scheduler gives a pod its node: below the pod, or as an object of the name of the pod.
pub(super) fn bind_pod(api: &Api, subject: &Subject<'_>, body: &Value) -> Result<Answer, Refusal> {
    let name = subject.place.name.as_deref().unwrap_or_else(|| meta(body, "name"));
    let about = About { group: "", resource: "pods", name };
    let key = Key { kind: "/pods".into(), ..subject.key(name) };
    let pod = api.store.get(&key).ok_or_else(|| Refusal::not_found(about))?;
    let node = body["target"]["name"].as_str().unwrap_or_default();
    if !bind::bind(api, &key, node) {
        let why = match pod["spec"]["nodeName"].as_str() {
            Some(taken) => format!("pod {name} is already assigned to node {taken:?}"),
            None => format!("pod {name} is being deleted, cannot be assigned to a host"),
        };
        return Err(Refusal::conflict(About { resource: "pods/binding", ..about }, &why));
    }
    let body =
        json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201 });
    Ok(Answer::Json { code: 201, body: body.into(), warnings: Vec::new() })
}
