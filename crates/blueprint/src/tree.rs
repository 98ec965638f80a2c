//! What rendering makes: files by path, by repository.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// One file of a repository.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its content.
    pub bytes: Vec<u8>,
    /// Whether Git records it as executable: so when it begins with `#!`.
    pub executable: bool,
}

impl File {
    /// A file with this content.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = bytes.into();
        Self { executable: bytes.starts_with(b"#!"), bytes }
    }

    /// The content as text, when it is UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok()
    }
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "File({} bytes{})", self.bytes.len(), if self.executable { ", executable" } else { "" })
    }
}

/// The whole content of one repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// Files by path: relative, `/` between segments, never `.` or `..`.
    pub files: BTreeMap<String, File>,
}

impl Tree {
    /// The file at a path.
    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }

    /// `sha256:…` over paths, flags and contents; equal trees have equal digests in every version of this program.
    pub fn digest(&self) -> String {
        let mut sum = Sha256::new();
        for (path, file) in &self.files {
            feed(&mut sum, path.as_bytes());
            sum.update([u8::from(file.executable)]);
            feed(&mut sum, &file.bytes);
        }
        finish(sum)
    }

    /// Whether a file is a template of a Helm chart: below `templates/` beside a `Chart.yaml`. Such a file is no YAML.
    pub(crate) fn is_helm_template(&self, path: &str) -> bool {
        path.match_indices("templates/").any(|(at, _)| {
            (at == 0 || path[..at].ends_with('/'))
                && self.files.contains_key(&format!("{}Chart.yaml", &path[..at]))
        })
    }
}

/// What a blueprint made: one tree for each repository, by the repository's name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trees {
    /// Trees by repository name.
    pub repositories: BTreeMap<String, Tree>,
}

impl Trees {
    /// The tree of one repository.
    pub fn get(&self, repository: &str) -> Option<&Tree> {
        self.repositories.get(repository)
    }

    /// `sha256:…` over all repositories.
    pub fn digest(&self) -> String {
        let mut sum = Sha256::new();
        for (name, tree) in &self.repositories {
            feed(&mut sum, name.as_bytes());
            feed(&mut sum, tree.digest().as_bytes());
        }
        finish(sum)
    }
}

/// With its length in front, so that no two different sequences feed the same bytes.
pub(crate) fn feed(sum: &mut Sha256, bytes: &[u8]) {
    sum.update((bytes.len() as u64).to_be_bytes());
    sum.update(bytes);
}

pub(crate) fn finish(sum: Sha256) -> String {
    format!("sha256:{}", hex::encode(sum.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| ((*path).to_owned(), File::new(*text))).collect() }
    }

    #[test]
    fn a_digest_tells_contents_paths_and_borders_apart() {
        let one = tree(&[("a", "xy"), ("b", "z")]);
        assert_eq!(one.digest(), tree(&[("b", "z"), ("a", "xy")]).digest());
        for other in
            [tree(&[("a", "x"), ("b", "yz")]), tree(&[("a", "xy"), ("c", "z")]), tree(&[("a", "xy")])]
        {
            assert_ne!(one.digest(), other.digest());
        }
        assert!(File::new("#!/bin/sh\n").executable && !File::new("a").executable);
    }

    #[test]
    fn a_helm_template_is_one_beside_a_chart() {
        let tree = tree(&[
            ("charts/web/Chart.yaml", ""),
            ("charts/web/templates/a.yaml", ""),
            ("apps/templates/a.yaml", ""),
        ]);
        assert!(tree.is_helm_template("charts/web/templates/a.yaml"));
        assert!(!tree.is_helm_template("apps/templates/a.yaml"));
        assert!(!tree.is_helm_template("charts/web/Chart.yaml"));
    }
}
