//! Files to publish, and the manifest by which we know our own files again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::refusal::GitError;

/// Where the manifest lies in every branch we publish to.
pub const MANIFEST: &str = ".platform/files.json";

/// Names the format of the manifest.
const SCHEMA: &str = "platform.files/v1";

/// Files by path: relative, `/` between the parts. The manifest is not among them; publishing adds it.
pub type Tree = BTreeMap<String, File>;

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its content, taken as it is: no line-ending conversion, no filters.
    pub bytes: Vec<u8>,
    /// Whether its mode is 100755 and not 100644.
    pub executable: bool,
}

impl File {
    /// An ordinary file.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self { bytes: bytes.into(), executable: false }
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { sha256: hex::encode(Sha256::digest(&self.bytes)), executable: self.executable }
    }
}

/// What the manifest remembers of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Hex SHA-256 of the content as we rendered it.
    pub sha256: String,
    /// Whether it was executable.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub executable: bool,
}

/// The files that are ours in a branch, as we last rendered them.
///
/// Deleting needs it (a file that we rendered once and no longer render is ours to remove; a person's file is not), and
/// so does noticing that somebody has edited a rendered file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The platform that publishes to the branch; empty when nobody says so.
    pub platform: String,
    /// By path.
    pub files: BTreeMap<String, Stamp>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    schema: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    platform: String,
    files: BTreeMap<String, Stamp>,
}

impl Manifest {
    /// The manifest of a tree that a platform publishes.
    pub fn of(tree: &Tree, platform: &str) -> Self {
        Self {
            platform: platform.to_owned(),
            files: tree.iter().map(|(path, file)| (path.clone(), file.stamp())).collect(),
        }
    }

    /// Its JSON: sorted by path, indented, one trailing newline, so that the same tree always gives the same bytes.
    ///
    /// # Errors
    /// None that can happen: strings and booleans always become JSON.
    pub fn to_bytes(&self) -> Result<Vec<u8>, GitError> {
        let written =
            Written { schema: SCHEMA.into(), platform: self.platform.clone(), files: self.files.clone() };
        let mut bytes = serde_json::to_vec_pretty(&written).map_err(|cause| GitError::Manifest { cause })?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads one back.
    ///
    /// # Errors
    /// [`GitError::Manifest`] when it is no JSON of this form, [`GitError::ManifestPath`] when it names what cannot be a
    /// file of ours, [`GitError::NewerManifest`] when a newer program wrote it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, GitError> {
        let written: Written = serde_json::from_slice(bytes).map_err(|cause| GitError::Manifest { cause })?;
        if written.schema != SCHEMA {
            return Err(GitError::NewerManifest { schema: written.schema });
        }
        // Whoever can write to the repository can write the manifest: its paths are not ours until they are checked.
        if let Some((path, why)) = written.files.keys().find_map(|path| Some((path, wrong_with(path)?))) {
            return Err(GitError::ManifestPath { path: path.clone(), why });
        }
        Ok(Self { platform: written.platform, files: written.files })
    }
}

/// Refuses paths that Git could not keep, or that would mean something else on another machine.
///
/// # Errors
/// [`GitError::Path`] with the path and the reason.
pub(crate) fn check_paths(tree: &Tree) -> Result<(), GitError> {
    for path in tree.keys() {
        if let Some(why) = wrong_with(path) {
            return Err(GitError::Path { path: path.clone(), why });
        }
        let mut parent = path.as_str();
        while let Some((above, _)) = parent.rsplit_once('/') {
            if tree.contains_key(above) {
                return Err(GitError::Path {
                    path: path.clone(),
                    why: "another file has the name of its folder",
                });
            }
            parent = above;
        }
    }
    Ok(())
}

fn wrong_with(path: &str) -> Option<&'static str> {
    if path == MANIFEST {
        return Some("this path is reserved for the list of our files");
    }
    if path.starts_with('"') || path.chars().any(char::is_control) || path.contains('\\') {
        return Some("quotes at its start, backslashes and control characters are not allowed");
    }
    for part in path.split('/') {
        match part {
            "" => return Some("it has an empty part"),
            "." | ".." => return Some("it has a part that is a dot or two"),
            _ if part.eq_ignore_ascii_case(".git") => return Some("a part named .git is not allowed"),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Tree {
        paths.iter().map(|path| ((*path).to_owned(), File::new(*path))).collect()
    }

    #[test]
    fn paths_that_git_could_not_keep_are_refused() {
        let wrong = [
            "",
            "/a",
            "a//b",
            "a/",
            "../a",
            "a/./b",
            ".git/config",
            "a/.GIT/x",
            "a\nb",
            "\"a",
            "a\\b",
            ".platform/files.json",
        ];
        for path in wrong {
            let error = check_paths(&tree(&[path])).expect_err(path);
            assert!(matches!(error, GitError::Path { .. }), "{path}: {error}");
        }
        check_paths(&tree(&["a", "b/c d", "b/.gitignore", ".platform/other.json", "ü/é"]))
            .expect("ordinary paths");
    }

    #[test]
    fn a_file_may_not_have_the_name_of_a_folder() {
        check_paths(&tree(&["a/b", "a/b/c/d"])).expect_err("a/b is both");
        check_paths(&tree(&["a/b", "a/b-c"])).expect("only alike");
    }

    #[test]
    fn the_manifest_is_the_same_text_each_time_and_reads_back() {
        let mut files = tree(&["z", "a/b"]);
        files.insert("run.sh".into(), File { bytes: b"#!/bin/sh\n".to_vec(), executable: true });
        let manifest = Manifest::of(&files, "demo");
        let bytes = manifest.to_bytes().expect("json");
        insta::assert_snapshot!(String::from_utf8_lossy(&bytes));
        assert_eq!(Manifest::from_bytes(&bytes).expect("reads back"), manifest);
        assert!(matches!(
            Manifest::from_bytes(br#"{"schema":"platform.files/v9","files":{}}"#),
            Err(GitError::NewerManifest { .. })
        ));
    }
}
