//! What can go wrong with an artifact, and how it reads at the crate's border.

use std::{fmt, io, path::PathBuf};

use platform_spec::{Class, Code, Failure};

/// A file that could not be had, or must not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArtifactError {
    /// `artifacts.toml` is wrong.
    #[error("the list of artifacts is not valid: {why}")]
    Catalogue {
        /// What is wrong with it.
        why: String,
    },
    /// No such artifact.
    #[error("artifact `{name}` {version} is not in the list of this program")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The version asked for.
        version: String,
        /// The versions there are of that name.
        known: Vec<String>,
    },
    /// The bytes are not the file we know.
    #[error("artifact `{name}` {version} from {place} has another digest than it must have")]
    Digest {
        /// Whose.
        name: String,
        /// Which version.
        version: String,
        /// Where the bytes came from.
        place: String,
        /// The pinned SHA-256.
        expected: String,
        /// The SHA-256 of what was found.
        actual: String,
    },
    /// No place had it.
    #[error("artifact `{name}` {version} could not be had from any place")]
    Nowhere {
        /// Whose.
        name: String,
        /// Which version.
        version: String,
        /// Every place that was tried, in order.
        tried: Vec<Tried>,
    },
    /// The cache or a bundle could not be read or written.
    #[error("could not {deed} `{}`", path.display())]
    Files {
        /// What was being done.
        deed: &'static str,
        /// To what.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: io::Error,
    },
    /// A bundle that lacks files or holds damaged ones.
    #[error("bundle `{}` is not complete", path.display())]
    Bundle {
        /// Which bundle.
        path: PathBuf,
        /// One sentence for each thing wrong.
        problems: Vec<String>,
    },
    /// The mirror is no base URL we can use.
    #[error("mirror `{base}` is no https://, http:// or file:// base URL")]
    Mirror {
        /// What was given, without user or password.
        base: String,
    },
    /// A version of Argo CD that we do not install.
    #[error("Argo CD {version} is not supported")]
    ArgocdVersion {
        /// What was asked for.
        version: String,
    },
}

/// One place that was asked and did not have the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// A path or a URL.
    pub place: String,
    /// Why not, in the words found there.
    pub why: String,
    /// Whether asking again may help.
    pub transient: bool,
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.why)
    }
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Self {
        let message = error.to_string();
        match error {
            ArtifactError::Catalogue { .. } => Self::new(Code::new("P0610"), Class::Bug, message),
            ArtifactError::Unknown { name, known, .. } => {
                let failure = Self::new(Code::new("P0610"), Class::Config, message);
                if known.is_empty() {
                    failure.because(format!("there is no artifact `{name}`"))
                } else {
                    failure.because(format!("known versions: {}", known.join(", ")))
                }
            }
            ArtifactError::Digest { expected, actual, place, .. } => {
                Self::new(Code::new("P0611"), Class::Config, message)
                    .because(format!("expected sha256 {expected}"))
                    .because(format!("found    sha256 {actual}"))
                    .hint(format!("the file at {place} is damaged or was exchanged; nothing of it was used"))
            }
            ArtifactError::Nowhere { tried, .. } => {
                let class =
                    if tried.iter().any(|t| t.transient) { Class::Retryable } else { Class::NotFound };
                let failure = Self::new(Code::new("P0612"), class, message)
                    .hint("without internet here: copy `~/.cache/platform/artifacts` of a machine where it was had to `bundle`, then `export PLATFORM_BUNDLE=$PWD/bundle`")
                    .hint("or point at a mirror: `export PLATFORM_ARTIFACT_MIRROR=https://mirror.example/base` (its files lie at base/host/path of the URL)");
                tried.iter().fold(failure, |failure, tried| failure.because(tried))
            }
            ArtifactError::Files { ref cause, .. } => {
                Self::new(Code::new("P0613"), Class::Config, message).because(cause)
            }
            ArtifactError::Bundle { path, problems } => problems
                .into_iter()
                .fold(Self::new(Code::new("P0614"), Class::Config, message), |failure, problem| {
                    failure.because(problem)
                })
                .hint(format!(
                    "make `{}` anew from the `~/.cache/platform/artifacts` of a machine with internet",
                    path.display()
                )),
            ArtifactError::Mirror { .. } => Self::new(Code::new("P0616"), Class::Config, message)
                .hint("for example `export PLATFORM_ARTIFACT_MIRROR=https://mirror.example/base`"),
            ArtifactError::ArgocdVersion { .. } => crate::support::argocd_versions()
                .iter()
                .fold(Self::new(Code::new("P0615"), Class::Config, message), |failure, supported| {
                    failure.because(format!("supported: {supported}"))
                })
                .hint(format!(
                    "write `argocd: {{version: {}}}` in the spec, or leave the version out",
                    crate::support::DEFAULT_ARGOCD
                )),
        }
    }
}
