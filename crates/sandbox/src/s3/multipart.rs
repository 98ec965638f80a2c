//! Uploads in parts.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    objects::{Conditions, Written, admit},
    refusal::{Refusal, Result},
    store::{Meta, Store, Version},
    sums::{self, Claim, Kind, Sum},
};

/// The least that every part but the last must have.
const LEAST: usize = 5 * 1024 * 1024;

/// An upload under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub id: String,
    /// The bucket.
    pub bucket: String,
    /// The key.
    pub key: String,
    /// The account that began it.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// The kind of checksum that the object shall have.
    pub sum: Option<Kind>,
    /// Whether that is one of the parts' checksums.
    pub composite: bool,
    /// What goes with the object.
    pub meta: Meta,
    /// The parts that are there, by their number.
    pub parts: BTreeMap<u16, UploadedPart>,
}

/// A part.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UploadedPart {
    /// The entity tag, without quotes.
    pub tag: String,
    /// How many bytes.
    pub size: u64,
    /// The checksum.
    pub sum: Sum,
    /// When it was written.
    pub at: Timestamp,
    #[serde(skip)]
    content: Bytes,
}

/// A part as the one names it who puts them together.
#[derive(Clone, Debug)]
pub struct Named {
    /// Its number.
    pub number: u16,
    /// Its entity tag, without quotes.
    pub tag: String,
    /// Its checksum.
    pub sum: Option<(Kind, String)>,
}

impl Upload {
    /// Gives the parts their bytes back.
    pub(super) fn take_contents(&mut self, contents: &mut BTreeMap<String, Bytes>) {
        for (number, part) in &mut self.parts {
            part.content = contents.remove(&part_key(&self.id, *number)).unwrap_or_default();
        }
    }
}

fn part_key(id: &str, number: u16) -> String {
    format!("p/{id}/{number:05}")
}

impl Store {
    /// Begins an upload.
    ///
    /// # Errors
    /// `NoSuchBucket`, `KeyTooLongError`, `InvalidRequest`.
    pub fn begin(
        &self,
        by: &str,
        bucket: &str,
        key: &str,
        mut meta: Meta,
        sum: Option<Kind>,
        composite: Option<bool>,
    ) -> Result<Upload> {
        let mut state = self.state();
        let about = &state.bucket(bucket)?.about;
        if key.len() > 1024 {
            return Err(Refusal::of("KeyTooLongError"));
        }
        admit(about, &mut meta, self.time())?;
        let hash = matches!(sum, Some(Kind::SHA1 | Kind::SHA256));
        // Only CRCs can be joined; the 64-bit one is always of the whole object.
        let possible = match (sum, composite) {
            (Some(Kind::CRC64NVME), Some(true)) => false,
            (_, Some(false)) => !hash,
            _ => true,
        };
        if !possible {
            let why = format!(
                "The {} checksum type cannot be used with the {} checksum algorithm.",
                if composite == Some(true) { "COMPOSITE" } else { "FULL_OBJECT" },
                sum.map_or("", Kind::name).to_lowercase()
            );
            return Err(Refusal::saying("InvalidRequest", why));
        }
        let composite = composite.unwrap_or(!matches!(sum, None | Some(Kind::CRC64NVME)));
        let upload = Upload {
            id: self.ids.uid().replace('-', ""),
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            by: by.to_owned(),
            since: self.time(),
            sum,
            composite,
            meta,
            parts: BTreeMap::new(),
        };
        self.keep(&format!("u/{}", upload.id), &upload);
        state.uploads.insert(upload.id.clone(), upload.clone());
        Ok(upload)
    }

    /// An upload under way.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchUpload`.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload> {
        let state = self.state();
        state.bucket(bucket)?;
        let found = state.uploads.get(id).filter(|it| it.bucket == bucket && it.key == key);
        found.cloned().ok_or_else(|| Refusal::of("NoSuchUpload"))
    }

    /// The uploads into a bucket that are under way, by key and then by age.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub fn uploads(&self, bucket: &str) -> Result<Vec<Upload>> {
        let state = self.state();
        state.bucket(bucket)?;
        let mut uploads: Vec<_> = state.uploads.values().filter(|it| it.bucket == bucket).cloned().collect();
        uploads.sort_by(|a, b| (&a.key, a.since, &a.id).cmp(&(&b.key, b.since, &b.id)));
        Ok(uploads)
    }

    /// Takes a part; one of the same number is replaced.
    ///
    /// # Errors
    /// `NoSuchUpload`, `BadDigest`, `InvalidArgument` for a number that cannot be.
    pub fn put_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: i32,
        content: Bytes,
        claim: &Claim,
    ) -> Result<UploadedPart> {
        let number = u16::try_from(number).ok().filter(|number| (1..=10_000).contains(number));
        let number = number.ok_or_else(|| {
            Refusal::argument("Part number must be an integer between 1 and 10000, inclusive")
        })?;
        let mut upload = self.upload(bucket, key, id)?;
        let mut claim = claim.clone();
        match (claim.sums.first(), upload.sum) {
            (Some((given, _)), Some(wanted)) if *given != wanted => {
                let why = format!(
                    "Checksum Type mismatch occurred, expected checksum Type: {}, actual checksum Type: {}",
                    wanted.name().to_lowercase(),
                    given.name().to_lowercase()
                );
                return Err(Refusal::saying("InvalidRequest", why));
            }
            (_, wanted) => claim.wanted = wanted.or(claim.wanted),
        }
        let sum = sums::check(&content, &claim)?;
        let part = UploadedPart {
            tag: sums::md5(&content),
            size: content.len() as u64,
            sum,
            at: self.time(),
            content,
        };
        self.book.put(&part_key(id, number), &part.content);
        let mut state = self.state();
        let kept = state.uploads.get_mut(id).ok_or_else(|| Refusal::of("NoSuchUpload"))?;
        kept.parts.insert(number, part.clone());
        upload.parts.clone_from(&kept.parts);
        self.keep(&format!("u/{id}"), &upload);
        Ok(part)
    }

    /// Puts the named parts together into an object.
    ///
    /// # Errors
    /// `NoSuchUpload`, `MalformedXML` for no parts, `InvalidPartOrder`, `InvalidPart`, `EntityTooSmall`,
    /// `BadDigest`, `PreconditionFailed`.
    pub fn complete(
        &self,
        (bucket, key, id): (&str, &str, &str),
        named: &[Named],
        claimed: Option<(Kind, String)>,
        when: &Conditions,
    ) -> Result<Version> {
        let upload = self.upload(bucket, key, id)?;
        if named.is_empty() {
            return Err(Refusal::of("MalformedXML"));
        }
        if named.windows(2).any(|pair| pair[0].number >= pair[1].number) {
            return Err(Refusal::of("InvalidPartOrder"));
        }
        let mut parts = Vec::new();
        for name in named {
            let part = upload.parts.get(&name.number).filter(|part| part.tag == name.tag);
            let part = part.ok_or_else(|| Refusal::of("InvalidPart"))?;
            if name.sum.as_ref().is_some_and(|(kind, sum)| *kind == part.sum.kind && *sum != part.sum.value) {
                return Err(Refusal::of("InvalidPart"));
            }
            parts.push((name.number, part));
        }
        let last = parts.len() - 1;
        if parts[..last].iter().any(|(_, part)| part.content.len() < LEAST) {
            return Err(Refusal::of("EntityTooSmall"));
        }
        let content = match parts.as_slice() {
            [(_, only)] => only.content.clone(),
            many => Bytes::from(many.iter().map(|(_, part)| &part.content[..]).collect::<Vec<_>>().concat()),
        };
        let sum = match upload.composite {
            true => {
                let kind = upload.sum.unwrap_or(Kind::CRC64NVME);
                sums::composite(kind, parts.iter().map(|(_, part)| part.sum.value.as_str()))
            }
            false => sums::check(&content, &Claim { wanted: upload.sum, ..Claim::default() })?,
        };
        if let Some((kind, value)) = claimed
            && kind == sum.kind
            && value != sum.value
        {
            let why = format!("The {} you specified did not match the calculated checksum.", kind.name());
            return Err(Refusal::saying("BadDigest", why));
        }
        let tag = sums::tag_of_parts(parts.iter().map(|(_, part)| part.tag.as_str()));
        let parts = parts.iter().map(|(number, part)| (*number, part.size)).collect();
        let mut state = self.state();
        // Somebody else may have put it together, or given it up, in the meantime.
        if !state.uploads.contains_key(id) {
            return Err(Refusal::of("NoSuchUpload"));
        }
        let written = Written { content, meta: upload.meta.clone(), tag, sum, parts };
        let version = self.write(&mut state, bucket, key, written, when)?;
        if let Some(upload) = state.uploads.remove(id) {
            self.forget_upload(&upload);
        }
        Ok(version)
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// `NoSuchUpload`.
    pub fn abort(&self, bucket: &str, key: &str, id: &str) -> Result<()> {
        self.upload(bucket, key, id)?;
        if let Some(upload) = self.state().uploads.remove(id) {
            self.forget_upload(&upload);
        }
        Ok(())
    }

    pub(super) fn forget_upload(&self, upload: &Upload) {
        self.forget(&format!("u/{}", upload.id));
        for number in upload.parts.keys() {
            self.forget(&part_key(&upload.id, *number));
        }
    }
}
