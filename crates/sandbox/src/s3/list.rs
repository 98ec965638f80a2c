//! Lists: of keys and of versions, by prefix, with common prefixes, in pages.

use super::{
    refusal::Result,
    store::{Store, Version},
};

/// The most that one page has.
pub const MOST: usize = 1000;

/// What to list.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Keys that begin so.
    pub prefix: String,
    /// Keys that share all up to this after the prefix are one entry.
    pub delimiter: String,
    /// Keys after this one. A common prefix stands for all keys in it.
    pub after: String,
    /// Of the key `after` only versions after (that is, older than) this one, and then the keys after it.
    pub after_version: Option<String>,
    /// The most entries; [`MOST`] at most.
    pub most: usize,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Objects or versions, in order; with whether each is the newest of its key.
    pub versions: Vec<(Version, bool)>,
    /// Common prefixes, in order.
    pub prefixes: Vec<String>,
    /// Where the next page starts, if there is one: the last key or prefix of this one, and its version.
    pub next: Option<(String, Option<String>)>,
}

impl Store {
    /// Objects as they are now.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub fn list(&self, bucket: &str, wanted: &Wanted) -> Result<Page> {
        self.page(bucket, wanted, false)
    }

    /// All versions and delete markers, of each key the newest first.
    ///
    /// # Errors
    /// `NoSuchBucket`.
    pub fn versions(&self, bucket: &str, wanted: &Wanted) -> Result<Page> {
        self.page(bucket, wanted, true)
    }

    fn page(&self, bucket: &str, wanted: &Wanted, all: bool) -> Result<Page> {
        let state = self.state();
        let bucket = state.bucket(bucket)?;
        let most = wanted.most.min(MOST);
        let mut page = Page::default();
        let mut last: Option<(String, Option<String>)> = None;
        if most == 0 {
            return Ok(page);
        }
        let from = wanted.prefix.as_str().max(wanted.after.as_str()).to_owned();
        for (key, versions) in bucket.objects.range(from..) {
            if !key.starts_with(&wanted.prefix) {
                break;
            }
            let within = *key == wanted.after && wanted.after_version.is_some();
            if *key <= wanted.after && !within && !wanted.after.is_empty() {
                continue;
            }
            let newest = versions.len() - 1;
            if !all && versions[newest].version.marker {
                continue;
            }
            if let Some(common) = common(key, &wanted.prefix, &wanted.delimiter) {
                if page.prefixes.last() == Some(&common) || common == wanted.after {
                    continue;
                }
                if page.versions.len() + page.prefixes.len() == most {
                    page.next = last;
                    return Ok(page);
                }
                page.prefixes.push(common.clone());
                last = Some((common, None));
                continue;
            }
            let mut skipping = within;
            for (at, held) in versions.iter().enumerate().rev() {
                if !all && at != newest {
                    break;
                }
                if skipping {
                    skipping = wanted.after_version.as_deref() != Some(&held.version.id);
                    continue;
                }
                if page.versions.len() + page.prefixes.len() == most {
                    page.next = last;
                    return Ok(page);
                }
                page.versions.push((held.version.clone(), at == newest));
                last = Some((key.clone(), Some(held.version.id.clone())));
            }
        }
        Ok(page)
    }
}

/// The common prefix that a key belongs to.
fn common(key: &str, prefix: &str, delimiter: &str) -> Option<String> {
    if delimiter.is_empty() {
        return None;
    }
    let rest = key.strip_prefix(prefix)?;
    rest.find(delimiter).map(|at| key[..prefix.len() + at + delimiter.len()].to_owned())
}
