//! Buckets.

use std::collections::BTreeMap;

use super::{
    policy::Policy,
    refusal::{Refusal, Result},
    store::{About, Bucket, DefaultLock, Store, Term, Versioning},
};

/// Documents that a bucket may have: their kind, and the code that says there is none.
///
/// Policies are obeyed ([`super::gate`]); the others are kept and given back.
pub const SETTINGS: &[(&str, &str)] = &[
    ("policy", "NoSuchBucketPolicy"),
    ("lifecycle", "NoSuchLifecycleConfiguration"),
    ("encryption", "ServerSideEncryptionConfigurationNotFoundError"),
    ("public-access-block", "NoSuchPublicAccessBlockConfiguration"),
    ("ownership", "OwnershipControlsNotFoundError"),
    ("cors", "NoSuchCORSConfiguration"),
];

impl Store {
    /// Makes a bucket.
    ///
    /// # Errors
    /// `InvalidBucketName`, `BucketAlreadyOwnedByYou`, `BucketAlreadyExists`.
    pub fn create_bucket(&self, owner: &str, name: &str, region: &str, lock: bool) -> Result<()> {
        if !is_bucket_name(name) {
            return Err(Refusal::of("InvalidBucketName"));
        }
        let mut state = self.state();
        if let Some(there) = state.buckets.get(name) {
            let ours = there.about.owner == owner;
            return Err(Refusal::of(if ours { "BucketAlreadyOwnedByYou" } else { "BucketAlreadyExists" }));
        }
        let about = About {
            name: name.to_owned(),
            owner: owner.to_owned(),
            region: region.to_owned(),
            made: self.time(),
            // Locks are of versions: a bucket that has them keeps versions from the start.
            versioning: if lock { Versioning::Enabled } else { Versioning::Never },
            lock,
            default_lock: None,
            tags: BTreeMap::new(),
            settings: BTreeMap::new(),
        };
        self.keep_bucket(&about);
        state.buckets.insert(name.to_owned(), Bucket { about, objects: BTreeMap::new() });
        Ok(())
    }

    /// A bucket's properties.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub fn bucket(&self, name: &str) -> Result<About> {
        self.state().bucket(name).map(|bucket| bucket.about.clone())
    }

    /// The buckets of an account, or with `None` all of them, by name.
    pub fn buckets(&self, owner: Option<&str>) -> Vec<About> {
        let state = self.state();
        let all = state.buckets.values().map(|bucket| &bucket.about);
        all.filter(|about| owner.is_none_or(|owner| about.owner == owner)).cloned().collect()
    }

    /// Removes an empty bucket, and the uploads into it that are under way.
    ///
    /// # Errors
    /// `NoSuchBucket`, `BucketNotEmpty`.
    pub fn delete_bucket(&self, name: &str) -> Result<()> {
        let mut state = self.state();
        let bucket = state.bucket(name)?;
        if !bucket.objects.is_empty() {
            return Err(match bucket.about.versioning {
                Versioning::Never => Refusal::of("BucketNotEmpty"),
                _ => Refusal::saying(
                    "BucketNotEmpty",
                    "The bucket you tried to delete is not empty. You must delete all versions in the bucket.",
                ),
            });
        }
        let uploads: Vec<String> =
            state.uploads.values().filter(|upload| upload.bucket == name).map(|it| it.id.clone()).collect();
        for id in uploads {
            if let Some(upload) = state.uploads.remove(&id) {
                self.forget_upload(&upload);
            }
        }
        state.buckets.remove(name);
        self.forget(&format!("b/{name}"));
        Ok(())
    }

    fn change_bucket(&self, name: &str, change: impl FnOnce(&mut About) -> Result<()>) -> Result<()> {
        let mut state = self.state();
        let bucket = state.bucket_mut(name)?;
        let mut about = bucket.about.clone();
        change(&mut about)?;
        self.keep_bucket(&about);
        bucket.about = about;
        Ok(())
    }

    /// Turns the keeping of versions on or off.
    ///
    /// # Errors
    /// `NoSuchBucket`; `InvalidBucketState` for one that locks objects.
    pub fn set_versioning(&self, bucket: &str, enabled: bool) -> Result<()> {
        self.change_bucket(bucket, |about| {
            if about.lock && !enabled {
                return Err(Refusal::of("InvalidBucketState"));
            }
            about.versioning = if enabled { Versioning::Enabled } else { Versioning::Suspended };
            Ok(())
        })
    }

    /// Lets objects be locked from now on, and says how new ones are when they do not say.
    ///
    /// # Errors
    /// `NoSuchBucket`; `InvalidBucketState` where no versions are kept; `InvalidArgument` for no time at all.
    pub fn set_lock(&self, bucket: &str, default: Option<DefaultLock>) -> Result<()> {
        self.change_bucket(bucket, |about| {
            if about.versioning != Versioning::Enabled {
                let why = "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration";
                return Err(Refusal::saying("InvalidBucketState", why));
            }
            if let Some(DefaultLock { term: Term::Days(..=0) | Term::Years(..=0), .. }) = default {
                return Err(Refusal::argument("Default retention period must be a positive integer value."));
            }
            about.lock = true;
            about.default_lock = default;
            Ok(())
        })
    }

    /// Sets or (with `None`) removes a document of one of the [`SETTINGS`].
    ///
    /// # Errors
    /// `NoSuchBucket`; `MalformedPolicy`.
    pub fn set(&self, bucket: &str, kind: &str, document: Option<String>) -> Result<()> {
        if let ("policy", Some(text)) = (kind, &document) {
            Policy::parse(text)?;
        }
        self.change_bucket(bucket, |about| {
            match document {
                Some(text) => drop(about.settings.insert(kind.to_owned(), text)),
                None => drop(about.settings.remove(kind)),
            }
            Ok(())
        })
    }

    /// A document of one of the [`SETTINGS`].
    ///
    /// # Errors
    /// `NoSuchBucket`, and a code of its own when there is none.
    pub fn setting(&self, bucket: &str, kind: &str) -> Result<String> {
        let none =
            SETTINGS.iter().find(|(known, _)| *known == kind).map_or("InvalidRequest", |(_, code)| code);
        self.bucket(bucket)?.settings.get(kind).cloned().ok_or_else(|| Refusal::of(none))
    }

    /// Sets all tags of a bucket; none removes them.
    ///
    /// # Errors
    /// `NoSuchBucket`, `InvalidTag`.
    pub fn tag_bucket(&self, bucket: &str, tags: BTreeMap<String, String>) -> Result<()> {
        check_tags(&tags, 50)?;
        self.change_bucket(bucket, |about| {
            about.tags = tags;
            Ok(())
        })
    }
}

/// Refuses tags that S3 does not take.
pub(super) fn check_tags(tags: &BTreeMap<String, String>, most: usize) -> Result<()> {
    if tags.len() > most {
        return Err(Refusal::saying("BadRequest", format!("Object tags cannot be greater than {most}")));
    }
    for (key, value) in tags {
        if key.is_empty() || key.chars().count() > 128 {
            return Err(Refusal::saying("InvalidTag", "The TagKey you have provided is invalid"));
        }
        if value.chars().count() > 256 {
            return Err(Refusal::saying("InvalidTag", "The TagValue you have provided is invalid"));
        }
    }
    Ok(())
}

/// The rules for names of general purpose buckets.
fn is_bucket_name(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|it| it.is_ascii_lowercase() || it.is_ascii_digit());
    let inner = |it: u8| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-' || it == b'.';
    (3..=63).contains(&name.len())
        && name.bytes().all(inner)
        && edge(name.bytes().next())
        && edge(name.bytes().last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
        && !name.starts_with("xn--")
        && !name.ends_with("-s3alias")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_buckets() {
        for (name, good) in [
            ("abc", true),
            ("a.b-c9", true),
            ("ab", false),
            ("Abc", false),
            ("-bc", false),
            ("a..b", false),
            ("192.168.5.4", false),
            ("under_score", false),
        ] {
            assert_eq!(is_bucket_name(name), good, "{name}");
        }
    }
}
