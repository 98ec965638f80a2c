//! Objects: writing, reading, deleting, copying, and what keeps them from being deleted.

use std::ops::Range;

use hyper::body::Bytes;
use jiff::{Span, Timestamp, tz::TimeZone};

use super::{
    buckets::check_tags,
    refusal::{Refusal, Result},
    store::{About, Held, Meta, Mode, NULL, Retention, State, Store, Term, Version, Versioning},
    sums::{self, Claim, Sum},
};

/// What must be so for a request to be answered.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    /// The entity tag it must have, or `*`.
    pub matching: Option<String>,
    /// The entity tag it must not have, or `*`.
    pub not_matching: Option<String>,
    /// It must have changed since.
    pub modified_since: Option<Timestamp>,
    /// It must not have changed since.
    pub unmodified_since: Option<Timestamp>,
}

/// Which bytes of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// From one byte to another, both included; without an end, to the last.
    Bytes(u64, Option<u64>),
    /// That many at the end.
    Last(u64),
    /// Those of a part of a multipart upload.
    Number(u16),
}

/// What was read.
#[derive(Clone, Debug)]
pub struct Read {
    /// What the object is.
    pub version: Version,
    /// The bytes that were asked for.
    pub content: Bytes,
    /// Where they lie in the object, when only a part was asked for.
    pub range: Option<Range<u64>>,
}

/// What deleting did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deleted {
    /// The version that is gone, or the new marker's.
    pub version: Option<String>,
    /// A marker was made, or was what is gone.
    pub marker: bool,
}

impl Store {
    /// Writes an object.
    ///
    /// # Errors
    /// `NoSuchBucket`, `KeyTooLongError`, `BadDigest`, `PreconditionFailed`, `InvalidRequest`, …
    pub fn put(
        &self,
        bucket: &str,
        key: &str,
        content: Bytes,
        meta: Meta,
        claim: &Claim,
        when: &Conditions,
    ) -> Result<Version> {
        let sum = sums::check(&content, claim)?;
        let tag = sums::md5(&content);
        self.write(
            &mut self.state(),
            bucket,
            key,
            Written { content, meta, tag, sum, parts: Vec::new() },
            when,
        )
    }

    pub(super) fn write(
        &self,
        state: &mut State,
        bucket: &str,
        key: &str,
        written: Written,
        when: &Conditions,
    ) -> Result<Version> {
        let now = self.time();
        let about = &state.bucket(bucket)?.about;
        if key.len() > 1024 {
            return Err(Refusal::of("KeyTooLongError"));
        }
        let mut meta = written.meta;
        admit(about, &mut meta, now)?;
        let id = self.version_id(about);
        may_write(state.bucket(bucket)?.find(key, None).ok().map(|it| &it.version), when)?;
        let version = Version {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id,
            place: state.next_place(),
            at: now,
            marker: false,
            tag: written.tag,
            size: written.content.len() as u64,
            sum: Some(written.sum),
            parts: written.parts,
            meta,
        };
        self.add(state, Held { version: version.clone(), content: written.content })?;
        Ok(version)
    }

    fn version_id(&self, about: &About) -> String {
        match about.versioning {
            Versioning::Enabled => self.ids.uid().replace('-', ""),
            Versioning::Never | Versioning::Suspended => NULL.to_owned(),
        }
    }

    /// Reads an object, or a part of it.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, `NoSuchVersion`, `NotModified`, `PreconditionFailed`, `InvalidRange`, …
    pub fn get(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        part: Option<Part>,
        when: &Conditions,
    ) -> Result<Read> {
        let state = self.state();
        let held = state.bucket(bucket)?.find(key, version)?;
        may_read(&held.version, when)?;
        let range = part.map(|part| range(&held.version, part)).transpose()?;
        let content = match &range {
            // The length of what lies in memory fits its own address space.
            Some(range) => held.content.slice(range.start as usize..range.end as usize),
            None => held.content.clone(),
        };
        Ok(Read { version: held.version.clone(), content, range })
    }

    /// An object without its bytes.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn head(&self, bucket: &str, key: &str, version: Option<&str>) -> Result<Version> {
        self.get(bucket, key, version, None, &Conditions::default()).map(|read| read.version)
    }

    /// Deletes an object: where versions are kept by a marker, unless the version is named.
    ///
    /// # Errors
    /// `NoSuchBucket`, `AccessDenied` for what is locked, `PreconditionFailed`.
    pub fn delete(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        bypass: bool,
        when: &Conditions,
    ) -> Result<Deleted> {
        let now = self.time();
        let mut state = self.state();
        let held = state.bucket_mut(bucket)?;
        let newest = held.find(key, version).ok().map(|it| &it.version);
        if let (Some(wanted), Some(there)) = (&when.matching, newest)
            && wanted != "*"
            && *wanted != there.tag
        {
            return Err(Refusal::of("PreconditionFailed"));
        }
        if let Some(id) = version {
            let Some(versions) = held.objects.get_mut(key) else {
                return Ok(Deleted { version: Some(id.to_owned()), marker: false });
            };
            let Some(at) = versions.iter().position(|it| it.version.id == id) else {
                return Ok(Deleted { version: Some(id.to_owned()), marker: false });
            };
            may_go(&versions[at].version, now, bypass)?;
            let gone = versions.remove(at).version;
            if versions.is_empty() {
                held.objects.remove(key);
            }
            self.drop_version(&gone);
            return Ok(Deleted { version: Some(gone.id), marker: gone.marker });
        }
        if held.about.versioning == Versioning::Never {
            for gone in held.objects.remove(key).into_iter().flatten() {
                self.drop_version(&gone.version);
            }
            return Ok(Deleted::default());
        }
        let id = self.version_id(&held.about);
        let marker = Version {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id: id.clone(),
            place: state.next_place(),
            at: now,
            marker: true,
            tag: String::new(),
            size: 0,
            sum: None,
            parts: Vec::new(),
            meta: Meta::default(),
        };
        self.add(&mut state, Held { version: marker, content: Bytes::new() })?;
        Ok(Deleted { version: Some(id), marker: true })
    }

    /// Copies an object; with `meta` in place of its own, and with `tags` in place of its own.
    ///
    /// # Errors
    /// As [`Self::get`] and [`Self::put`]; `InvalidRequest` for a copy onto itself that changes nothing.
    pub fn copy(&self, from: &Source, bucket: &str, key: &str, copy: Copy) -> Result<Version> {
        let mut state = self.state();
        let source = state.bucket(&from.bucket)?.find(&from.key, from.version.as_deref())?;
        // A copy has no answer "not modified".
        may_read(&source.version, &from.when).map_err(|_| Refusal::of("PreconditionFailed"))?;
        let itself = from.bucket == bucket && from.key == key && from.version.is_none();
        if itself && copy.meta.is_none() {
            return Err(Refusal::saying(
                "InvalidRequest",
                "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
            ));
        }
        let own = &source.version.meta;
        let fresh = copy.meta.unwrap_or_else(|| Meta { hold: false, retention: None, ..own.clone() });
        let meta = Meta { tags: copy.tags.unwrap_or_else(|| own.tags.clone()), ..fresh };
        let content = source.content.clone();
        let kind = copy.sum.or(source.version.sum.as_ref().map(|sum| sum.kind));
        let sum = sums::check(&content, &Claim { wanted: kind, ..Claim::default() })?;
        let tag = sums::md5(&content);
        let written = Written { content, meta, tag, sum, parts: Vec::new() };
        self.write(&mut state, bucket, key, written, &Conditions::default())
    }

    /// Sets all tags of an object; none removes them.
    ///
    /// # Errors
    /// As [`Self::get`]; `InvalidTag`.
    pub fn tag(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        tags: std::collections::BTreeMap<String, String>,
    ) -> Result<Version> {
        check_tags(&tags, 10)?;
        self.change(bucket, key, version, |version| {
            version.meta.tags = tags;
            Ok(())
        })
    }

    /// Keeps a version, or lets it go.
    ///
    /// # Errors
    /// As [`Self::get`]; `InvalidRequest` where nothing can be locked.
    pub fn hold(&self, bucket: &str, key: &str, version: Option<&str>, hold: bool) -> Result<Version> {
        self.lockable(bucket)?;
        self.change(bucket, key, version, |version| {
            version.meta.hold = hold;
            Ok(())
        })
    }

    /// Says until when a version is kept at least. Shortening needs a bypass, and under compliance is refused.
    ///
    /// # Errors
    /// As [`Self::get`]; `InvalidRequest` where nothing can be locked, `AccessDenied`, `InvalidArgument`.
    pub fn retain(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        retention: Option<Retention>,
        bypass: bool,
    ) -> Result<Version> {
        self.lockable(bucket)?;
        let now = self.time();
        if retention.as_ref().is_some_and(|it| it.until <= now) {
            return Err(Refusal::argument("The retain until date must be in the future!"));
        }
        self.change(bucket, key, version, |version| {
            if let Some(old) = version.meta.retention.as_ref().filter(|old| old.until > now) {
                let stronger = retention.as_ref().is_some_and(|new| {
                    new.until >= old.until && (new.mode == Mode::Compliance || old.mode == Mode::Governance)
                });
                if !stronger && (old.mode == Mode::Compliance || !bypass) {
                    return Err(locked());
                }
            }
            version.meta.retention = retention;
            Ok(())
        })
    }

    fn lockable(&self, bucket: &str) -> Result<()> {
        match self.bucket(bucket)?.lock {
            true => Ok(()),
            false => Err(no_lock()),
        }
    }

    fn change(
        &self,
        bucket: &str,
        key: &str,
        version: Option<&str>,
        change: impl FnOnce(&mut Version) -> Result<()>,
    ) -> Result<Version> {
        let mut state = self.state();
        let held = state.bucket_mut(bucket)?.find_mut(key, version)?;
        change(&mut held.version)?;
        self.keep_version(&held.version);
        Ok(held.version.clone())
    }
}

/// What is about to become a version.
pub(super) struct Written {
    pub content: Bytes,
    pub meta: Meta,
    pub tag: String,
    pub sum: Sum,
    pub parts: Vec<(u16, u64)>,
}

/// What is copied.
#[derive(Clone, Debug, Default)]
pub struct Source {
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The version; without one the newest.
    pub version: Option<String>,
    /// What must be so.
    pub when: Conditions,
}

/// What a copy has that its source has not.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    /// Metadata in place of the source's.
    pub meta: Option<Meta>,
    /// Tags in place of the source's.
    pub tags: Option<std::collections::BTreeMap<String, String>>,
    /// Another kind of checksum.
    pub sum: Option<sums::Kind>,
}

fn locked() -> Refusal {
    Refusal::saying("AccessDenied", "Access Denied because object protected by object lock.")
}

fn no_lock() -> Refusal {
    Refusal::saying("InvalidRequest", "Bucket is missing Object Lock Configuration")
}

/// Whether what goes with a new object may be, and the bucket's default lock for one that says none.
pub(super) fn admit(about: &About, meta: &mut Meta, now: Timestamp) -> Result<()> {
    check_tags(&meta.tags, 10)?;
    if !about.lock && (meta.hold || meta.retention.is_some()) {
        return Err(no_lock());
    }
    if meta.retention.as_ref().is_some_and(|it| it.until <= now) {
        return Err(Refusal::argument("The retain until date must be in the future!"));
    }
    if let (None, Some(default)) = (&meta.retention, about.default_lock) {
        let span = match default.term {
            Term::Days(days) => Span::new().days(days),
            Term::Years(years) => Span::new().years(years),
        };
        let until = now.to_zoned(TimeZone::UTC).checked_add(span).map_or(Timestamp::MAX, |it| it.timestamp());
        meta.retention = Some(Retention { mode: default.mode, until });
    }
    Ok(())
}

fn may_go(version: &Version, now: Timestamp, bypass: bool) -> Result<()> {
    let kept = version.meta.retention.as_ref().filter(|it| it.until > now);
    let retained = kept.is_some_and(|it| it.mode == Mode::Compliance || !bypass);
    if version.meta.hold || retained { Err(locked()) } else { Ok(()) }
}

fn is_tag(wanted: &str, version: &Version) -> bool {
    wanted == "*" || wanted == version.tag
}

/// What RFC 9110, section 13.2.2 says of reading.
fn may_read(version: &Version, when: &Conditions) -> Result<()> {
    // Conditions know whole seconds.
    let at = version.at.as_second();
    match (&when.matching, when.unmodified_since) {
        (Some(wanted), _) if !is_tag(wanted, version) => return Err(Refusal::of("PreconditionFailed")),
        (None, Some(since)) if at > since.as_second() => return Err(Refusal::of("PreconditionFailed")),
        _ => {}
    }
    match (&when.not_matching, when.modified_since) {
        (Some(unwanted), _) if is_tag(unwanted, version) => Err(Refusal::of("NotModified")),
        (None, Some(since)) if at <= since.as_second() => Err(Refusal::of("NotModified")),
        _ => Ok(()),
    }
}

pub(super) fn may_write(there: Option<&Version>, when: &Conditions) -> Result<()> {
    if let (Some(unwanted), Some(there)) = (&when.not_matching, there)
        && is_tag(unwanted, there)
    {
        return Err(Refusal::of("PreconditionFailed"));
    }
    match (&when.matching, there) {
        (Some(_), None) => Err(Refusal::of("NoSuchKey")),
        (Some(wanted), Some(there)) if !is_tag(wanted, there) => Err(Refusal::of("PreconditionFailed")),
        _ => Ok(()),
    }
}

fn range(version: &Version, part: Part) -> Result<Range<u64>> {
    let unsatisfiable = || Refusal::of("InvalidRange");
    match part {
        Part::Bytes(first, _) if first >= version.size => Err(unsatisfiable()),
        Part::Bytes(first, Some(last)) if last < first => Err(unsatisfiable()),
        Part::Bytes(first, last) => {
            Ok(first..last.map_or(version.size, |last| last.saturating_add(1).min(version.size)))
        }
        Part::Last(0) => Err(unsatisfiable()),
        Part::Last(_) if version.size == 0 => Err(unsatisfiable()),
        Part::Last(length) => Ok(version.size.saturating_sub(length)..version.size),
        Part::Number(1) if version.parts.is_empty() => Ok(0..version.size),
        Part::Number(number) => {
            let mut start = 0;
            for (position, (_, size)) in version.parts.iter().enumerate() {
                // Parts are counted from one as they lie in the object, whatever numbers they were uploaded under.
                if position + 1 == usize::from(number) {
                    return Ok(start..start + size);
                }
                start += size;
            }
            Err(Refusal {
                status: 416,
                ..Refusal::saying("InvalidPartNumber", "The requested partnumber is not satisfiable")
            })
        }
    }
}
