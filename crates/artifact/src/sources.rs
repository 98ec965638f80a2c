//! Where to look for an artifact.

use std::path::PathBuf;

/// Names the bundle: a folder or `.tar` with the files by digest.
pub const BUNDLE_VARIABLE: &str = "PLATFORM_BUNDLE";
/// Names the mirror: an `https://`, `http://` or `file://` base.
pub const MIRROR_VARIABLE: &str = "PLATFORM_ARTIFACT_MIRROR";

/// The places that are searched, in this order: cache, bundle, then the mirror — or, without a mirror, this program, which
/// holds what the starter platform needs, and the URL itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Folder of files already checked, by digest. Made when it is missing.
    pub cache: PathBuf,
    /// A folder or tar made by [`crate::bundle::create`].
    pub bundle: Option<PathBuf>,
    /// A base URL; the file is at base + host + path of its own URL. When it is set nothing else is asked.
    pub mirror: Option<String>,
}

impl Sources {
    /// Only the cache, this program and the URLs themselves.
    pub fn new(cache: impl Into<PathBuf>) -> Self {
        Self { cache: cache.into(), bundle: None, mirror: None }
    }

    /// With bundle and mirror from [`BUNDLE_VARIABLE`] and [`MIRROR_VARIABLE`]; an empty variable counts as unset.
    pub fn from_env(cache: impl Into<PathBuf>) -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            cache: cache.into(),
            bundle: variable(BUNDLE_VARIABLE).map(PathBuf::from),
            mirror: variable(MIRROR_VARIABLE).map(|text| text.to_string_lossy().into_owned()),
        }
    }
}
