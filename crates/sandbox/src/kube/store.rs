//! Objects, their versions, and what has changed: the part of etcd that an API server needs.
//!
//! One revision counts every change of every object, as in etcd; an object's `resourceVersion` is the revision of its last
//! change. Changes are kept for watchers until [`KEPT`] newer ones came; who asks for older ones is told 410 Expired.

use std::{
    any::{Any, TypeId},
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;

use crate::keep::{Book, NotKept};

/// How many changes are kept for watchers.
const KEPT: usize = 10_000;

/// Where an object lies. The order is the order of lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Group and plural: `apps/deployments`, `/pods`. All versions of a kind share it.
    pub kind: Arc<str>,
    /// The namespace; empty for what lies in none.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// Where the real server stores it, as its messages say.
    pub fn path(&self) -> String {
        // Groups of the project's own stand in no key, others do.
        let kind = match self.kind.split_once('/') {
            Some((group, plural)) if !group.contains('.') || group.ends_with(".k8s.io") => plural,
            _ => &*self.kind,
        };
        match self.namespace.as_str() {
            "" => format!("/registry/{kind}/{}", self.name),
            namespace => format!("/registry/{kind}/{namespace}/{}", self.name),
        }
    }
}

/// What happened to an object.
#[derive(Clone, Debug)]
pub struct Change {
    /// When, as a revision.
    pub revision: u64,
    /// To which.
    pub key: Key,
    /// The object before; absent when it was made.
    pub before: Option<Arc<Value>>,
    /// The object after; of a removed one absent.
    pub after: Option<Arc<Value>>,
}

impl Change {
    /// The object as it is, of a removed one as it last was.
    pub fn latest(&self) -> &Value {
        self.after.as_deref().or(self.before.as_deref()).unwrap_or(&Value::Null)
    }

    /// The object as a watcher is shown it: of a removed one its last state, with the revision of its removal.
    pub fn object(&self) -> Arc<Value> {
        match (&self.after, &self.before) {
            (Some(after), _) => after.clone(),
            (None, Some(before)) => {
                let mut last = Value::clone(before);
                last["metadata"]["resourceVersion"] = self.revision.to_string().into();
                Arc::new(last)
            }
            (None, None) => Arc::new(Value::Null),
        }
    }
}

/// All objects of one API server.
pub struct Store {
    inner: Mutex<Inner>,
    revision: watch::Sender<u64>,
    book: Book,
}

/// The entry of the book that holds the latest revision. No object's entry is called so: those have two line ends.
const REVISION: &str = "revision";

impl Key {
    /// The name of its entry in a book.
    fn entry(&self) -> String {
        format!("{}\n{}\n{}", self.kind, self.namespace, self.name)
    }

    fn of_entry(entry: &str) -> Option<Self> {
        let mut parts = entry.split('\n');
        let kind = parts.next()?.into();
        Some(Self { kind, namespace: parts.next()?.to_owned(), name: parts.next()?.to_owned() })
    }
}

#[derive(Default)]
struct Inner {
    revision: u64,
    objects: BTreeMap<Key, Arc<Value>>,
    changes: VecDeque<Change>,
    /// Objects by the ids of their owners.
    owned: BTreeMap<String, BTreeSet<Key>>,
    /// What was worked out from the objects of a kind in a namespace.
    derived: HashMap<(TypeId, String, String), Arc<dyn Any + Send + Sync>>,
}

impl Inner {
    fn oldest(&self) -> u64 {
        self.changes.front().map_or(self.revision, |first| first.revision - 1)
    }

    /// Objects of a kind, of one namespace or of all, whose names begin so.
    fn of_kind<'a>(
        &'a self,
        kind: &'a str,
        namespace: Option<&'a str>,
        begins: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Arc<Value>)> {
        let begins = if namespace.is_some() { begins } else { "" };
        let namespace_or_none = namespace.unwrap_or_default().to_owned();
        let first = Key { kind: kind.into(), namespace: namespace_or_none, name: begins.to_owned() };
        self.objects.range(first..).take_while(move |(key, _)| {
            &*key.kind == kind
                && namespace.is_none_or(|it| key.namespace == it)
                && key.name.starts_with(begins)
        })
    }

    fn own(&mut self, key: &Key, before: Option<&Value>, after: Option<&Value>) {
        for uid in before.into_iter().flat_map(owners) {
            if let Some(keys) = self.owned.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.owned.remove(uid);
                }
            }
        }
        for uid in after.into_iter().flat_map(owners) {
            self.owned.entry(uid.to_owned()).or_default().insert(key.clone());
        }
    }
}

/// Ids of the owners of an object.
fn owners(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten().filter_map(|it| it["uid"].as_str())
}

/// What a range of objects looked like at one revision.
pub struct Listed {
    /// The objects, in order.
    pub objects: Vec<(Key, Arc<Value>)>,
    /// The revision.
    pub revision: u64,
}

/// History before some revision is gone; `oldest` is the first that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The oldest revision from which changes are known.
    pub oldest: u64,
}

impl Default for Store {
    fn default() -> Self {
        // Clients take 0 for "any version", so the first real one is 1.
        let inner = Inner { revision: 1, ..Inner::default() };
        Self { inner: Mutex::new(inner), revision: watch::Sender::new(1), book: Book::default() }
    }
}

impl Store {
    /// What a book holds, written on in it. Changes before are forgotten: who watched from there lists anew.
    ///
    /// # Errors
    /// A book that cannot be read.
    pub async fn open(book: Book) -> Result<Self, sqlx::Error> {
        let (mut revision, mut objects) = (1, BTreeMap::new());
        for (entry, bytes) in book.load().await? {
            let value: Value =
                serde_json::from_slice(&bytes).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
            match Key::of_entry(&entry) {
                Some(key) => drop(objects.insert(key, Arc::new(value))),
                None => revision = value.as_u64().unwrap_or(revision),
            }
        }
        let mut inner = Inner { revision, objects, ..Inner::default() };
        for (key, object) in inner.objects.clone() {
            inner.own(&key, None, Some(&object));
        }
        Ok(Self { inner: Mutex::new(inner), revision: watch::Sender::new(revision), book })
    }

    /// An empty one that is kept in a book.
    pub fn kept_in(book: Book) -> Self {
        Self { book, ..Self::default() }
    }

    /// Takes every object out of the book: there will be no other life. What is in memory stays.
    pub fn forget(&self) {
        self.read(|inner| inner.objects.keys().for_each(|key| self.book.remove(&key.entry())));
        self.book.remove(REVISION);
    }

    /// Returns when everything that was changed so far outlives the process.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn kept(&self) -> Result<(), NotKept> {
        self.book.keeper().kept().await
    }

    /// An object.
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.read(|inner| inner.objects.get(key).cloned())
    }

    /// Objects that name an owner of this id, in order.
    pub fn owned_by(&self, uid: &str) -> Vec<Key> {
        self.read(|inner| inner.owned.get(uid).into_iter().flatten().cloned().collect())
    }

    /// The latest revision.
    pub fn revision(&self) -> u64 {
        self.read(|inner| inner.revision)
    }

    /// The objects of all kinds that fit, in order.
    pub fn find(&self, fits: impl Fn(&Key, &Value) -> bool) -> Vec<(Key, Arc<Value>)> {
        self.read(|inner| {
            let fits = |(key, object): &(&Key, &Arc<Value>)| fits(key, object);
            let found = inner.objects.iter().filter(fits);
            found.map(|(key, object)| (key.clone(), object.clone())).collect()
        })
    }

    /// Where objects of a kind lie that have this name, in whatever namespace.
    pub fn named(&self, kind: &str, name: &str) -> Vec<Key> {
        self.read(|inner| {
            let mut found = Vec::new();
            let mut at = Key { kind: kind.into(), namespace: String::new(), name: name.to_owned() };
            // From namespace to namespace: what else lies in each is skipped.
            while let Some((key, _)) = inner.objects.range(&at..).next().filter(|(key, _)| *key.kind == *kind)
            {
                if key.namespace != at.namespace {
                    at.namespace.clone_from(&key.namespace);
                    continue;
                }
                if key.name == name {
                    found.push(key.clone());
                }
                at.namespace.push('\0');
            }
            found
        })
    }

    /// Objects of a kind: of all namespaces, or of one those whose names begin so.
    pub fn objects(&self, kind: &str, namespace: Option<&str>, begins: &str) -> Vec<Arc<Value>> {
        self.read(|inner| inner.of_kind(kind, namespace, begins).map(|(_, object)| object.clone()).collect())
    }

    /// What follows from the objects of a kind in a namespace; worked out anew only when one of that kind has changed.
    pub fn derived<T: Any + Send + Sync>(
        &self,
        kind: &str,
        namespace: &str,
        work: impl FnOnce(&[Arc<Value>]) -> T,
    ) -> Arc<T> {
        let at = (TypeId::of::<T>(), kind.to_owned(), namespace.to_owned());
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = inner.derived.get(&at).and_then(|it| it.clone().downcast().ok()) {
            return known;
        }
        let objects = inner.of_kind(kind, Some(namespace), "").map(|(_, object)| object.clone());
        let objects: Vec<_> = objects.collect();
        let derived = Arc::new(work(&objects));
        inner.derived.insert(at, derived.clone());
        derived
    }

    /// All objects of a kind, of one namespace or (with `None`) of all.
    pub fn list(&self, kind: &Arc<str>, namespace: Option<&str>) -> Listed {
        self.list_after(kind, namespace, None)
    }

    /// As [`Self::list`], of what comes after a namespace and name.
    pub fn list_after(
        &self,
        kind: &Arc<str>,
        namespace: Option<&str>,
        after: Option<(&str, &str)>,
    ) -> Listed {
        let key = |namespace: &str, name: &str| Key {
            kind: kind.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let from = match after {
            Some((namespace, name)) => Bound::Excluded(key(namespace, name)),
            None => Bound::Included(key(namespace.unwrap_or_default(), "")),
        };
        self.read(|inner| {
            let objects = inner
                .objects
                .range((from, Bound::Unbounded))
                .take_while(|(key, _)| {
                    key.kind == *kind && namespace.is_none_or(|wanted| key.namespace == wanted)
                })
                .map(|(key, object)| (key.clone(), object.clone()))
                .collect();
            Listed { objects, revision: inner.revision }
        })
    }

    /// As [`Self::list`], at a revision that may be over.
    ///
    /// # Errors
    /// [`Gone`] when what has changed since then is forgotten.
    pub fn list_at(&self, kind: &Arc<str>, namespace: Option<&str>, revision: u64) -> Result<Listed, Gone> {
        let since = self.changes_after(revision)?;
        let mut then: BTreeMap<Key, Arc<Value>> = self.list(kind, namespace).objects.into_iter().collect();
        let fits = |key: &Key| key.kind == *kind && namespace.is_none_or(|wanted| key.namespace == wanted);
        for change in since.into_iter().rev().filter(|change| fits(&change.key)) {
            match change.before {
                Some(before) => drop(then.insert(change.key, before)),
                None => drop(then.remove(&change.key)),
            }
        }
        Ok(Listed { objects: then.into_iter().collect(), revision })
    }

    /// Changes one object, seen and written as one act: `change` is given the object as it is (`None`: there is none) and
    /// the revision that a change would have, and says what it shall be (`None`: removed). A change to the same is none.
    ///
    /// The new object's `resourceVersion` is written here.
    ///
    /// # Errors
    /// What `change` refuses; then nothing has changed.
    pub fn change<E>(
        &self,
        key: &Key,
        change: impl FnOnce(Option<&Value>) -> Result<Option<Value>, E>,
    ) -> Result<Option<Change>, E> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.objects.get(key).cloned();
        let after = change(before.as_deref())?;
        if before.as_deref() == after.as_ref() {
            return Ok(None);
        }
        inner.revision += 1;
        let revision = inner.revision;
        let after = after.map(|mut object| {
            object["metadata"]["resourceVersion"] = revision.to_string().into();
            Arc::new(object)
        });
        match &after {
            Some(object) => drop(inner.objects.insert(key.clone(), object.clone())),
            None => drop(inner.objects.remove(key)),
        }
        if self.book.is_kept() {
            match &after {
                Some(object) => self.book.put(&key.entry(), object.to_string().as_bytes()),
                None => self.book.remove(&key.entry()),
            }
            self.book.put(REVISION, revision.to_string().as_bytes());
        }
        inner.own(key, before.as_deref(), after.as_deref());
        inner.derived.retain(|(_, kind, _), _| **kind != *key.kind);
        let change = Change { revision, key: key.clone(), before, after };
        inner.changes.push_back(change.clone());
        if inner.changes.len() > KEPT {
            inner.changes.pop_front();
        }
        drop(inner);
        self.revision.send_replace(revision);
        Ok(Some(change))
    }

    /// Every change after a revision.
    ///
    /// # Errors
    /// [`Gone`] when some of them are forgotten.
    pub fn changes_after(&self, revision: u64) -> Result<Vec<Change>, Gone> {
        self.read(|inner| {
            let oldest = inner.oldest();
            if revision < oldest {
                return Err(Gone { oldest });
            }
            let first = inner.changes.partition_point(|change| change.revision <= revision);
            Ok(inner.changes.range(first..).cloned().collect())
        })
    }

    /// The first revision from which all changes are known.
    pub fn oldest(&self) -> u64 {
        self.read(Inner::oldest)
    }

    /// Forgets every change up to a revision, as etcd does when it is compacted: who asks for less is told [`Gone`].
    pub fn compact(&self, revision: u64) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.changes.retain(|change| change.revision > revision);
    }

    /// Is told of every new revision.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    fn read<T>(&self, look: impl FnOnce(&Inner) -> T) -> T {
        look(&self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use serde_json::json;

    use super::*;

    fn key(namespace: &str, name: &str) -> Key {
        Key { kind: "/configmaps".into(), namespace: namespace.into(), name: name.into() }
    }

    fn put(store: &Store, namespace: &str, name: &str, value: u32) -> Option<Change> {
        let object = json!({"metadata": {"name": name}, "value": value});
        let change = |before: Option<&Value>| {
            let mut object = object;
            if let Some(before) = before {
                object["metadata"]["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
            }
            Ok::<_, Infallible>(Some(object))
        };
        store.change(&key(namespace, name), change).expect("infallible")
    }

    #[tokio::test]
    async fn what_was_kept_is_there_in_the_next_life_with_its_revision() {
        let dir = tempfile::tempdir().expect("a folder");
        let keeper = crate::keep::Keeper::open(&dir.path().join("s.db")).await.expect("opened");
        let store = Store::open(keeper.book("kube/one")).await.expect("empty");
        put(&store, "a", "x", 1);
        put(&store, "a", "y", 2);
        let gone = store.change(&key("a", "x"), |_| Ok::<_, Infallible>(None)).expect("infallible");
        assert!(gone.is_some());
        store.kept().await.expect("written");
        let again = Store::open(keeper.book("kube/one")).await.expect("read");
        assert_eq!(again.revision(), store.revision());
        assert_eq!(again.get(&key("a", "x")), None);
        assert_eq!(again.get(&key("a", "y")), store.get(&key("a", "y")));
        assert_eq!(again.changes_after(2).expect_err("history is not kept").oldest, again.revision());
    }

    #[test]
    fn versions_grow_and_what_does_not_change_has_no_new_one() {
        let store = Store::default();
        assert_eq!(put(&store, "a", "x", 1).expect("made").revision, 2);
        assert!(put(&store, "a", "x", 1).is_none());
        assert_eq!(put(&store, "a", "x", 2).expect("changed").revision, 3);
        assert_eq!(store.get(&key("a", "x")).expect("there")["metadata"]["resourceVersion"], "3");
    }

    #[test]
    fn lists_are_of_one_kind_and_namespace_and_in_order() {
        let store = Store::default();
        for (namespace, name) in [("b", "y"), ("a", "z"), ("a", "x")] {
            put(&store, namespace, name, 1);
        }
        let names =
            |listed: Listed| -> Vec<String> { listed.objects.into_iter().map(|(key, _)| key.name).collect() };
        let kind: Arc<str> = "/configmaps".into();
        assert_eq!(names(store.list(&kind, None)), ["x", "z", "y"]);
        assert_eq!(names(store.list(&kind, Some("a"))), ["x", "z"]);
        assert_eq!(names(store.list_after(&kind, None, Some(("a", "x")))), ["z", "y"]);
        assert!(names(store.list(&"/secrets".into(), None)).is_empty());
    }

    #[test]
    fn what_follows_is_worked_out_again_when_one_of_the_kind_has_changed() {
        let store = Store::default();
        put(&store, "a", "x", 1);
        let count = |namespace: &str| *store.derived("/configmaps", namespace, <[Arc<Value>]>::len);
        assert_eq!((count("a"), count("b")), (1, 0));
        let again = store.derived("/configmaps", "a", |_| -> usize { panic!("nothing has changed") });
        assert_eq!(*again, 1);
        put(&store, "a", "y", 1);
        assert_eq!((count("a"), count("b")), (2, 0));
        assert_eq!(store.named("/configmaps", "y"), [key("a", "y")]);
    }

    #[test]
    fn a_watcher_that_comes_too_late_is_told_so() {
        let store = Store::default();
        for value in 0..=u32::try_from(KEPT).expect("small") {
            put(&store, "a", "x", value);
        }
        assert_eq!(store.changes_after(1).expect_err("forgotten"), Gone { oldest: 2 });
        assert_eq!(store.changes_after(2).expect("kept").len(), KEPT);
        assert!(store.changes_after(store.revision()).expect("nothing yet").is_empty());
    }

    #[test]
    fn what_is_compacted_is_forgotten_and_nothing_newer() {
        let store = Store::default();
        let made = [1, 2, 3].map(|value| put(&store, "a", "x", value).expect("changed").revision);
        store.compact(made[1]);
        assert_eq!(store.changes_after(made[0]).expect_err("forgotten"), Gone { oldest: made[1] });
        assert_eq!(store.changes_after(made[1]).expect("kept").len(), 1);
        store.compact(made[2]);
        assert_eq!(store.changes_after(made[1]).expect_err("forgotten"), Gone { oldest: made[2] });
        assert_eq!(put(&store, "a", "x", 4).expect("changed").revision, made[2] + 1);
        assert_eq!(store.changes_after(made[2]).expect("kept").len(), 1);
    }
}
