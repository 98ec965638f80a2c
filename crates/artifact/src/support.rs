//! Which versions of Argo CD we install.

use std::fmt;

use crate::ArtifactError;

/// The version used when the spec names none: the one that our end-to-end bed proves.
pub const DEFAULT_ARGOCD: &str = "3.5.7";

/// A version of Argo CD that we install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgocdVersion {
    /// Exact version, without a leading `v`.
    pub version: &'static str,
    /// Whether our end-to-end tests run against this very version.
    pub proven: bool,
}

impl fmt::Display for ArgocdVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.proven { "proven by our tests" } else { "not proven by our tests" };
        write!(f, "{} ({word})", self.version)
    }
}

const ARGOCD: &[ArgocdVersion] = &[
    ArgocdVersion { version: DEFAULT_ARGOCD, proven: true },
    // Its modules cannot be built from the Go proxy (a nested module is missing there), so the bed cannot run it.
    ArgocdVersion { version: "3.6.1", proven: false },
];

/// The support table, the default first. Each has an artifact `argocd-install`.
pub fn argocd_versions() -> &'static [ArgocdVersion] {
    ARGOCD
}

/// Looks a version up; a leading `v` is allowed.
///
/// # Errors
/// [`ArtifactError::ArgocdVersion`] for anything that is not in the table. `stable` and `latest` are never in it: what
/// they mean changes, and with it what a spec makes.
pub fn argocd(version: &str) -> Result<ArgocdVersion, ArtifactError> {
    let exact = version.strip_prefix('v').unwrap_or(version);
    ARGOCD
        .iter()
        .find(|known| known.version == exact)
        .copied()
        .ok_or_else(|| ArtifactError::ArgocdVersion { version: version.to_owned() })
}

#[cfg(test)]
mod tests {
    use platform_spec::Failure;

    use super::*;
    use crate::Catalogue;

    #[test]
    fn every_supported_version_can_be_fetched() {
        for known in argocd_versions() {
            Catalogue::embedded().find("argocd-install", known.version).unwrap();
        }
        let known: Vec<_> = argocd_versions().iter().map(|known| known.version).collect();
        assert_eq!(known, platform_spec::ARGOCD_VERSIONS, "what a spec may ask for");
        assert!(argocd(DEFAULT_ARGOCD).unwrap().proven);
        assert_eq!(argocd("v3.6.1").unwrap().version, "3.6.1");
    }

    #[test]
    fn a_moving_or_unknown_version_is_refused_with_the_list() {
        for asked in ["stable", "latest", "3.5", "2.14.0", ""] {
            let failure = Failure::from(argocd(asked).unwrap_err());
            assert_eq!(failure.code.as_str(), "P0615");
            assert_eq!(
                failure.causes,
                ["supported: 3.5.7 (proven by our tests)", "supported: 3.6.1 (not proven by our tests)"]
            );
        }
    }
}
