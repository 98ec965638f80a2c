//! Publishing to repositories that live in memory, by the rules that hold for real ones.

use std::sync::Arc;

use async_trait::async_trait;
use platform_gitops::{
    CommitInfo, GitError, History, MANIFEST, Published, Remote, Repositories, Seen, Tree,
    compare::{Comparison, Standing, compare},
    tree::{File, Manifest},
};
use platform_sandbox::play::{
    around::{self, Files, Repositories as _},
    repositories::Memory,
};
use platform_spec::Failure;

/// Repositories in memory, as they are published to.
pub(super) struct PlayedGit(pub Arc<Memory>);

/// What stands in a branch.
struct Standings {
    commit: String,
    files: Arc<Files>,
    comparison: Comparison,
    same: bool,
}

impl PlayedGit {
    fn look(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
    ) -> Result<Option<Standings>, GitError> {
        let at = around::Remote { url: remote.url.clone(), ..around::Remote::default() };
        // In memory nothing is unreachable: what cannot be resolved is not there yet.
        let Ok(commit) = self.0.resolve(&at, branch) else { return Ok(None) };
        let Ok(files) = self.0.files(&at, &commit) else { return Ok(None) };
        let mut standing = Standing::default();
        let list = files.get(MANIFEST).cloned();
        if let Some(bytes) = &list {
            standing.manifest = Manifest::from_bytes(bytes)?;
        }
        let owner = &standing.manifest.platform;
        if !owner.is_empty() && !history.owner.is_empty() && *owner != history.owner {
            return Err(GitError::Foreign { owner: owner.clone(), ours: history.owner.clone() });
        }
        for (path, bytes) in files.iter().filter(|(path, _)| *path != MANIFEST) {
            standing.paths.insert(path.clone());
            if tree.contains_key(path) || standing.manifest.files.contains_key(path) {
                let executable = tree.get(path).is_some_and(|file| file.executable);
                standing.files.insert(path.clone(), File { bytes: bytes.clone(), executable });
            }
        }
        let comparison = compare(&standing, tree);
        let wanted = Manifest::of(tree, &history.owner).to_bytes()?;
        let same = comparison == Comparison::default() && list.as_deref() == Some(wanted.as_slice());
        Ok(Some(Standings { commit, files, comparison, same }))
    }

    fn put(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
    ) -> Result<Published, GitError> {
        let standing = self.look(remote, branch, tree, history)?;
        let created = standing.is_none();
        let (mut files, comparison) = match standing {
            Some(standing) if standing.same => {
                return Ok(Published { commit: standing.commit, changed: false, created });
            }
            Some(standing) => (Files::clone(&standing.files), standing.comparison),
            None => (Files::new(), compare(&Standing::default(), tree)),
        };
        if !comparison.in_the_way.is_empty() {
            return Err(GitError::InTheWay { paths: comparison.in_the_way });
        }
        if !comparison.by_hand.is_empty() && !history.overwrite_edits {
            return Err(GitError::ByHand { paths: comparison.by_hand });
        }
        for change in &comparison.changes {
            match tree.get(&change.path) {
                Some(file) => drop(files.insert(change.path.clone(), file.bytes.clone())),
                None => drop(files.remove(&change.path)),
            }
        }
        files.insert(MANIFEST.to_owned(), Manifest::of(tree, &history.owner).to_bytes()?);
        let commit = self.0.commit(&remote.url, branch, files);
        Ok(Published { commit, changed: true, created })
    }
}

#[async_trait]
impl Repositories for PlayedGit {
    async fn observe(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
    ) -> Result<Seen, Failure> {
        let found = self.look(remote, branch, tree, history);
        let found = found.map_err(|error| error.into_failure("could not look at the branch"))?;
        Ok(match found {
            None => Seen::Missing,
            Some(Standings { commit, same: true, .. }) => Seen::Same { commit },
            Some(Standings { commit, comparison, .. }) => Seen::Differs {
                commit,
                changed: comparison.changes,
                by_hand: comparison.by_hand,
                in_the_way: comparison.in_the_way,
            },
        })
    }

    async fn publish(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
        _info: &CommitInfo,
    ) -> Result<Published, Failure> {
        let done = self.put(remote, branch, tree, history);
        done.map_err(|error| error.into_failure("could not publish to the branch"))
    }
}
