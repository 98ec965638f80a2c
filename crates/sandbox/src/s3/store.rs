//! What is stored: buckets, versions of objects, uploads under way; and how it outlives the process.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hyper::body::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    multipart::Upload,
    refusal::{Refusal, Result},
    sums::Sum,
};
use crate::{
    keep::{Book, NotKept},
    kube::object::{Ids, Now},
};

/// An object store. Everything is held in memory, and written to the [`Book`] as it changes.
///
/// Its methods ask nobody for permission: that is [`super::gate::Gate`]'s part.
pub struct Store {
    state: Mutex<State>,
    pub(super) book: Book,
    pub(super) now: Now,
    pub(super) ids: Arc<Ids>,
}

/// Everything there is.
#[derive(Default)]
pub(super) struct State {
    pub buckets: BTreeMap<String, Bucket>,
    pub uploads: BTreeMap<String, Upload>,
    /// Counts versions, so that each has a place of its own in the book.
    pub count: u64,
}

/// A bucket with what lies in it.
pub(super) struct Bucket {
    pub about: About,
    /// Versions by key, the newest last. No list is empty.
    pub objects: BTreeMap<String, Vec<Held>>,
}

/// A version with its bytes.
#[derive(Clone)]
pub(super) struct Held {
    pub version: Version,
    pub content: Bytes,
}

/// A bucket's own properties.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct About {
    /// Its name.
    pub name: String,
    /// The account that owns it.
    pub owner: String,
    /// Where it lies.
    pub region: String,
    /// Since when it exists.
    pub made: Timestamp,
    /// Whether it keeps versions.
    pub versioning: Versioning,
    /// Whether objects can be locked.
    pub lock: bool,
    /// How new objects are locked when they do not say.
    pub default_lock: Option<DefaultLock>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Documents that are kept for the bucket, by their kind (`policy`, `lifecycle`, …).
    pub settings: BTreeMap<String, String>,
}

/// Whether a bucket keeps versions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Versioning {
    /// It never did.
    #[default]
    Never,
    /// It does.
    Enabled,
    /// It did.
    Suspended,
}

/// How a retention may be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// By those who may bypass it.
    Governance,
    /// By nobody.
    Compliance,
}

/// How long a version is kept at least.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// How it may be undone.
    pub mode: Mode,
    /// Until when.
    pub until: Timestamp,
}

/// How new objects are locked when they do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultLock {
    /// How it may be undone.
    pub mode: Mode,
    /// For how long.
    pub term: Term,
}

/// A span of days or years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Term {
    /// Days.
    Days(i32),
    /// Years.
    Years(i32),
}

/// What goes with an object's bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    /// `Content-Type`, `Cache-Control`, …: headers that are given back as they came, by their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// What the writer noted (`x-amz-meta-…`).
    pub user: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it is kept until somebody says otherwise.
    pub hold: bool,
    /// How long it is kept at least.
    pub retention: Option<Retention>,
    /// Storage class, when it is not the usual one.
    pub class: Option<String>,
}

/// One version of an object, without its bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Version {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// `null` where no versions are kept.
    pub id: String,
    /// Where it lies in the book; later versions have higher ones.
    pub(super) place: u64,
    /// When it was written.
    pub at: Timestamp,
    /// It says that the object is deleted.
    pub marker: bool,
    /// The entity tag, without quotes.
    pub tag: String,
    /// How many bytes.
    pub size: u64,
    /// The checksum; delete markers have none.
    pub sum: Option<Sum>,
    /// Sizes of the parts it was put together from, with their numbers.
    pub parts: Vec<(u16, u64)>,
    /// What goes with it.
    pub meta: Meta,
}

impl Store {
    /// A store that keeps nothing.
    pub fn new(now: Now, ids: Arc<Ids>) -> Self {
        Self { state: Mutex::default(), book: Book::default(), now, ids }
    }

    /// A store with what the book holds.
    ///
    /// # Errors
    /// When the book cannot be read.
    pub async fn open(book: Book, now: Now, ids: Arc<Ids>) -> Result<Self, sqlx::Error> {
        let mut state = State::default();
        let mut contents = BTreeMap::new();
        let mut versions: Vec<Version> = Vec::new();
        for (key, bytes) in book.load().await? {
            match key.split_once('/') {
                Some(("b", _)) => {
                    if let Some(about) = read::<About>(&bytes) {
                        state.buckets.insert(about.name.clone(), Bucket { about, objects: BTreeMap::new() });
                    }
                }
                Some(("v", _)) => versions.extend(read::<Version>(&bytes)),
                Some(("u", _)) => {
                    if let Some(upload) = read::<Upload>(&bytes) {
                        state.uploads.insert(upload.id.clone(), upload);
                    }
                }
                _ => drop(contents.insert(key, Bytes::from(bytes))),
            }
        }
        versions.sort_by_key(|version| version.place);
        for version in versions {
            state.count = state.count.max(version.place);
            let content = match version.marker {
                true => Bytes::new(),
                // Bytes are written before what describes them, so they are there.
                false => contents.remove(&content_key(version.place)).unwrap_or_default(),
            };
            if let Some(bucket) = state.buckets.get_mut(&version.bucket) {
                bucket.objects.entry(version.key.clone()).or_default().push(Held { version, content });
            }
        }
        for upload in state.uploads.values_mut() {
            upload.take_contents(&mut contents);
        }
        // What nothing describes was being written when the process ended.
        for orphan in contents.keys() {
            book.remove(orphan);
        }
        Ok(Self { state: Mutex::new(state), book, now, ids })
    }

    /// Returns when everything that was done so far outlives the process.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn kept(&self) -> Result<(), NotKept> {
        self.book.keeper().kept().await
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn time(&self) -> Timestamp {
        (self.now)()
    }

    pub(super) fn keep(&self, key: &str, value: &impl Serialize) {
        self.book.put(key, &serde_json::to_vec(value).unwrap_or_default());
    }

    pub(super) fn forget(&self, key: &str) {
        self.book.remove(key);
    }

    pub(super) fn keep_bucket(&self, about: &About) {
        self.keep(&format!("b/{}", about.name), about);
    }

    pub(super) fn keep_version(&self, version: &Version) {
        self.keep(&format!("v/{:016x}", version.place), version);
    }

    /// Puts a version where its bucket has it, and what it replaces away.
    pub(super) fn add(&self, state: &mut State, held: Held) -> Result<()> {
        let bucket =
            state.buckets.get_mut(&held.version.bucket).ok_or_else(|| Refusal::of("NoSuchBucket"))?;
        if !held.version.marker {
            self.book.put(&content_key(held.version.place), &held.content);
        }
        self.keep_version(&held.version);
        let versions = bucket.objects.entry(held.version.key.clone()).or_default();
        if held.version.id == NULL
            && let Some(at) = versions.iter().position(|it| it.version.id == NULL)
        {
            self.drop_version(&versions.remove(at).version);
        }
        versions.push(held);
        Ok(())
    }

    /// Forgets a version in the book.
    pub(super) fn drop_version(&self, version: &Version) {
        self.forget(&format!("v/{:016x}", version.place));
        self.forget(&content_key(version.place));
    }
}

/// The id of versions in buckets that keep none.
pub(super) const NULL: &str = "null";

fn content_key(place: u64) -> String {
    format!("c/{place:016x}")
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

impl State {
    pub(super) fn bucket(&self, name: &str) -> Result<&Bucket> {
        self.buckets.get(name).ok_or_else(|| Refusal::of("NoSuchBucket"))
    }

    pub(super) fn bucket_mut(&mut self, name: &str) -> Result<&mut Bucket> {
        self.buckets.get_mut(name).ok_or_else(|| Refusal::of("NoSuchBucket"))
    }

    /// A number that no version had.
    pub(super) fn next_place(&mut self) -> u64 {
        self.count += 1;
        self.count
    }
}

impl Bucket {
    /// A version: the newest, or the one of that id.
    ///
    /// # Errors
    /// `NoSuchKey`, `NoSuchVersion`; `MethodNotAllowed` for a delete marker that is named.
    pub(super) fn find(&self, key: &str, id: Option<&str>) -> Result<&Held> {
        let found =
            self.objects.get(key).and_then(|versions| at(versions, id)).map(|at| &self.objects[key][at]);
        let Some(found) = found else { return Err(missing(id)) };
        standing(found, id)?;
        Ok(found)
    }

    pub(super) fn find_mut(&mut self, key: &str, id: Option<&str>) -> Result<&mut Held> {
        let versions = self.objects.get_mut(key).ok_or_else(|| missing(id))?;
        let at = at(versions, id).ok_or_else(|| missing(id))?;
        let found = &mut versions[at];
        standing(found, id)?;
        Ok(found)
    }
}

fn at(versions: &[Held], id: Option<&str>) -> Option<usize> {
    match id {
        Some(id) => versions.iter().position(|it| it.version.id == id),
        None => versions.len().checked_sub(1),
    }
}

fn missing(id: Option<&str>) -> Refusal {
    Refusal::of(if id.is_some() { "NoSuchVersion" } else { "NoSuchKey" })
}

/// Refuses delete markers.
fn standing(found: &Held, id: Option<&str>) -> Result<()> {
    if !found.version.marker {
        return Ok(());
    }
    let code = if id.is_some() { "MethodNotAllowed" } else { "NoSuchKey" };
    Err(Refusal { marker: Some(found.version.id.clone()), ..Refusal::of(code) })
}
