//! What there is to fetch: the list embedded in the program.

use std::{collections::BTreeSet, sync::OnceLock};

use serde::{Deserialize, Serialize};

use crate::{ArtifactError, digest};

/// One file from outside, pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// What it is, such as `argocd-install`.
    pub name: String,
    /// The version of what it belongs to, such as `3.5.7`; unique together with the name.
    pub version: String,
    /// Where its makers publish it.
    pub url: String,
    /// Its SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its size in bytes; a download that grows beyond is cut off.
    pub size: u64,
}

impl Artifact {
    /// The file's path below a mirror's base: host and path of the URL, so `https://a.example/b/c` is at `a.example/b/c`.
    pub fn mirror_path(&self) -> &str {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest)
    }

    /// Refuses bytes that are not this file. `place` is where they came from, for the error.
    ///
    /// # Errors
    /// [`ArtifactError::Digest`], naming both digests.
    pub fn check(&self, bytes: &[u8], place: &str) -> Result<(), ArtifactError> {
        let actual = digest::sha256(bytes);
        if actual == self.sha256 {
            return Ok(());
        }
        Err(ArtifactError::Digest {
            name: self.name.clone(),
            version: self.version.clone(),
            place: place.to_owned(),
            expected: self.sha256.clone(),
            actual,
        })
    }
}

/// A list of artifacts in which every (name, version) occurs once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Catalogue {
    artifacts: Vec<Artifact>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    artifact: Vec<Artifact>,
}

impl Catalogue {
    /// The list that is part of this program.
    pub fn embedded() -> &'static Self {
        static EMBEDDED: OnceLock<Catalogue> = OnceLock::new();
        EMBEDDED.get_or_init(|| {
            Self::parse(include_str!("../artifacts.toml")).expect("a test has parsed the embedded list")
        })
    }

    /// Reads a list in the form of `artifacts.toml`.
    ///
    /// # Errors
    /// [`ArtifactError::Catalogue`] when it is no such TOML, a digest is no SHA-256, a URL is not https, or a pair of
    /// name and version occurs twice.
    pub fn parse(text: &str) -> Result<Self, ArtifactError> {
        let wrong = |why: String| ArtifactError::Catalogue { why };
        let file: CatalogueFile = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let mut seen = BTreeSet::new();
        for artifact in &file.artifact {
            let Artifact { name, version, url, sha256, .. } = artifact;
            if !seen.insert((name, version)) {
                return Err(wrong(format!("{name} {version} occurs twice")));
            }
            if sha256.len() != 64 || !sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
            {
                return Err(wrong(format!(
                    "{name} {version}: sha256 must be 64 lower-case hexadecimal digits"
                )));
            }
            if !url.starts_with("https://") || url.contains(['?', '#']) || url.contains("/../") {
                return Err(wrong(format!("{name} {version}: the URL must be a plain https URL")));
            }
        }
        Ok(Self { artifacts: file.artifact })
    }

    /// Every artifact, in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Artifact> {
        self.artifacts.iter()
    }

    /// The artifact of this name and version.
    ///
    /// # Errors
    /// [`ArtifactError::Unknown`], naming the versions there are.
    pub fn find(&self, name: &str, version: &str) -> Result<&Artifact, ArtifactError> {
        self.iter().find(|a| a.name == name && a.version == version).ok_or_else(|| ArtifactError::Unknown {
            name: name.to_owned(),
            version: version.to_owned(),
            known: self.iter().filter(|a| a.name == name).map(|a| a.version.clone()).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_list_parses_and_finds() {
        let catalogue = Catalogue::embedded();
        let argocd = catalogue.find("argocd-install", "3.5.7").unwrap();
        assert_eq!(argocd.sha256, "09bfbb9041b4a8503c6e4fa22cf41c403fa62be17526de353648a4551f5beb77");
        assert_eq!(
            argocd.mirror_path(),
            "raw.githubusercontent.com/argoproj/argo-cd/v3.5.7/manifests/install.yaml"
        );
        assert_eq!(catalogue.iter().filter(|a| a.name.starts_with("velero-crd-")).count(), 13);
    }

    #[test]
    fn an_unknown_version_names_the_known_ones() {
        let error = Catalogue::embedded().find("argocd-install", "1.0.0").unwrap_err();
        assert!(matches!(error, ArtifactError::Unknown { known, .. } if known == ["3.5.7", "3.6.1"]));
    }

    #[test]
    fn a_list_that_cannot_be_trusted_is_refused() {
        let entry = |url: &str, sha: &str| {
            format!("[[artifact]]\nname='a'\nversion='1'\nurl='{url}'\nsha256='{sha}'\nsize=1\n")
        };
        let good = entry("https://a.example/b", &"0".repeat(64));
        assert!(Catalogue::parse(&good).is_ok());
        for bad in [
            entry("http://a.example/b", &"0".repeat(64)),
            entry("https://a.example/../b", &"0".repeat(64)),
            entry("https://a.example/b", &"A".repeat(64)),
            entry("https://a.example/b", "00"),
            format!("{good}{good}"),
            format!("{good}extra = 1\n"),
        ] {
            assert!(Catalogue::parse(&bad).is_err(), "accepted: {bad}");
        }
    }
}
