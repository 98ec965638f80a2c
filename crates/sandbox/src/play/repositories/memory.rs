//! Repositories that live in memory: what a simulation publishes, its Argo CD reads.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{is_commit, normalized};
use crate::play::around::{Files, Remote, Repositories};

/// Git repositories in memory: commits are named after their content, branches and tags by name.
#[derive(Default)]
pub struct Memory {
    repositories: Mutex<BTreeMap<String, Repository>>,
}

#[derive(Default)]
struct Repository {
    /// The branch that `HEAD` means: the first one that was made.
    head: String,
    names: BTreeMap<String, String>,
    commits: BTreeMap<String, Arc<Files>>,
    login: Option<(String, SecretString)>,
}

impl Memory {
    /// No repositories.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a repository with nothing in it; one that is there stays as it is.
    pub fn init(&self, url: &str) {
        self.with(url, |_| ());
    }

    /// Moves a branch (or tag) to a commit with these files, and says its id: forty hexadecimal digits that depend on
    /// the files alone. The repository and the branch are made when there are none.
    pub fn commit(&self, url: &str, branch: &str, files: Files) -> String {
        let id = id_of(&files);
        self.with(url, |repository| {
            if repository.head.is_empty() {
                branch.clone_into(&mut repository.head);
            }
            repository.commits.entry(id.clone()).or_insert_with(|| Arc::new(files));
            repository.names.insert(branch.to_owned(), id.clone());
        });
        id
    }

    /// From now on only who knows this user name and password may read a repository.
    pub fn lock(&self, url: &str, username: &str, password: SecretString) {
        self.with(url, |repository| repository.login = Some((username.to_owned(), password)));
    }

    fn with<T>(&self, url: &str, act: impl FnOnce(&mut Repository) -> T) -> T {
        let mut all = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        act(all.entry(normalized(url)).or_default())
    }

    fn read<T>(
        &self,
        remote: &Remote,
        look: impl FnOnce(&Repository) -> Result<T, String>,
    ) -> Result<T, String> {
        let all = self.repositories.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(repository) = all.get(&normalized(&remote.url)) else {
            return Err("failed to list refs: repository not found".to_owned());
        };
        if let Some((username, password)) = &repository.login {
            match (&remote.username, &remote.password) {
                (_, None) => return Err("failed to list refs: authentication required".to_owned()),
                (given, Some(word))
                    if given.as_ref().is_some_and(|given| given != username)
                        || word.expose_secret() != password.expose_secret() =>
                {
                    return Err("failed to list refs: authentication failed".to_owned());
                }
                _ => {}
            }
        }
        look(repository)
    }
}

impl Repositories for Memory {
    fn resolve(&self, remote: &Remote, revision: &str) -> Result<String, String> {
        self.read(remote, |repository| {
            if repository.names.is_empty() {
                return Err("failed to list refs: remote repository is empty".to_owned());
            }
            let name = match revision {
                "" | "HEAD" => &repository.head,
                full => full.trim_start_matches("refs/heads/").trim_start_matches("refs/tags/"),
            };
            if let Some(id) = repository.names.get(name) {
                return Ok(id.clone());
            }
            if is_commit(name) && repository.commits.contains_key(name) {
                return Ok(name.to_owned());
            }
            Err(format!("unable to resolve '{revision}' to a commit SHA"))
        })
    }

    fn files(&self, remote: &Remote, commit: &str) -> Result<Arc<Files>, String> {
        self.read(remote, |repository| {
            let found = repository.commits.get(commit).cloned();
            found.ok_or_else(|| format!("failed to checkout revision {commit}: reference not found"))
        })
    }
}

fn id_of(files: &Files) -> String {
    let mut hash = Sha256::new();
    for (path, bytes) in files {
        for part in [path.as_bytes(), bytes.as_slice()] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
    }
    hex::encode(&hash.finalize()[..20])
}
