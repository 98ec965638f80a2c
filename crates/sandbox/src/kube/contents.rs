//! What goes with all it holds: namespaces with their objects, definitions with theirs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use super::{
    api::Api,
    catalog::Resource,
    house::{drop_finalizer, edit, remove},
    object::{finalizers, is_going, time},
    rules::CUSTOM_CLEANUP,
    store::Key,
};

/// What is being emptied, and whether it is to be looked at once more.
///
/// Every object that goes asks for the rest of its namespace to go: answered by recursion, that would be as deep as the
/// namespace is full.
#[derive(Default)]
pub struct Emptying(Mutex<BTreeMap<Key, bool>>);

impl Emptying {
    fn all(&self) -> MutexGuard<'_, BTreeMap<Key, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acts until nobody has asked for it in between. Who asks while somebody is at it leaves it to them.
    fn until_calm(&self, what: &Key, act: impl Fn()) {
        let mut all = self.all();
        if let Some(again) = all.get_mut(what) {
            *again = true;
            return;
        }
        all.insert(what.clone(), false);
        loop {
            drop(all);
            act();
            all = self.all();
            match all.get_mut(what) {
                Some(again) if *again => *again = false,
                _ => {
                    all.remove(what);
                    return;
                }
            }
        }
    }
}

/// Every resource that stores objects, in one of its versions.
pub(super) fn stored_once(api: &Api) -> Vec<Arc<Resource>> {
    let mut seen = BTreeSet::new();
    let all = api.catalog.all().into_iter();
    let stored = all.filter(|it| it.verbs.iter().any(|verb| verb == "list"));
    stored.filter(|it| seen.insert(it.stored_as.clone())).collect()
}

/// Deletes what lies in a namespace that is going, and then the namespace.
pub(super) fn empty_namespace(api: &Api, name: &str) {
    let namespaces = "/namespaces".into();
    let key = Key { kind: namespaces, namespace: String::new(), name: name.to_owned() };
    if api.store.get(&key).is_some_and(|it| is_going(&it)) {
        api.emptying.until_calm(&key, || empty(api, &key));
    }
}

fn empty(api: &Api, namespace: &Key) {
    let contents = |api: &Api| -> Vec<(Arc<Resource>, Key, bool)> {
        let resources = stored_once(api).into_iter().filter(|it| it.namespaced);
        let inside = resources.flat_map(|resource| {
            let listed = api.store.list(&resource.stored_as, Some(&namespace.name)).objects;
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
    edit(api, &resource, namespace, |object| match told {
        None => {
            if let Value::Array(holds) = &mut object["spec"]["finalizers"] {
                holds.retain(|it| it != "kubernetes");
            }
        }
        Some(told) => object["status"]["conditions"] = told,
    });
}

/// What a namespace says of what is left in it.
fn remaining(api: &Api, left: &[(Arc<Resource>, Key, bool)], now: &str) -> Value {
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
pub(super) fn clean_definition(api: &Api, definition: &Key) {
    api.emptying.until_calm(definition, || clean(api, definition));
}

fn clean(api: &Api, definition: &Key) {
    let of_it = |it: &Arc<Resource>| format!("{}.{}", it.plural, it.group) == definition.name;
    let objects = |api: &Api| -> Vec<(Arc<Resource>, Key)> {
        let resources = stored_once(api).into_iter().filter(of_it);
        let of = |resource: Arc<Resource>| {
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
pub(super) fn settle_definition(api: &Api, resource: &Resource) {
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
