//! The two calls: look at a branch, and bring it to a tree.

use std::{path::PathBuf, time::Duration};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_spec::Failure;
use serde::{Deserialize, Serialize};

use crate::{
    compare::{Change, Comparison, compare},
    program::{Environment, OLDEST, Program, version},
    refusal::{Deed, GitError},
    remote::{Remote, check_branch, redacted},
    scratch::{Head, Scratch},
    tree::{Manifest, Tree, check_paths},
};

/// How long one run of `git` may take, unless [`Git::with_limit`] says otherwise: a first push over a slow line.
const LIMIT: Duration = Duration::from_secs(120);

/// The `git` program and a folder to work in.
#[derive(Clone, Debug)]
pub struct Git {
    work: PathBuf,
    limit: Duration,
}

/// Whose a branch is, and what we remember of it from the last time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Who publishes: the platform's name, written beside the list of our files. A branch that another has published to
    /// is refused. Empty is nobody: then nothing is written and nobody refused.
    pub owner: String,
    /// Others that are gone: what they have published may be taken over.
    pub gone: Vec<String>,
    /// The last commit that we made or saw there. When it is no ancestor of what stands there now, somebody has
    /// rewritten the history, and nothing is done. `None` takes the branch as it is.
    pub known: Option<String>,
    /// Whether edits by people at our paths may be overwritten.
    pub overwrite_edits: bool,
}

/// What a commit says of itself. All of it goes into the commit's id, so take the time from the spec's revision and not
/// from a clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// The message; trailing white space is dropped.
    pub message: String,
    /// Author and committer.
    pub author: String,
    /// Their address.
    pub email: String,
    /// Author's and committer's time, in whole seconds, UTC.
    pub when: Timestamp,
}

/// What stands at a remote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum Seen {
    /// No repository.
    Missing,
    /// A repository without this branch.
    Empty,
    /// The branch holds exactly our files, beside those of people.
    Same {
        /// The branch's last commit; not always one of ours.
        commit: String,
    },
    /// Files of ours have to change.
    Differs {
        /// The branch's last commit.
        commit: String,
        /// What has to change. Empty when only the list of our files does.
        changed: Vec<Change>,
        /// Paths where that would lose something a person wrote.
        by_hand: Vec<String>,
        /// People's files that make it impossible, by their names.
        in_the_way: Vec<String>,
    },
}

/// What publishing did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The branch's last commit now.
    pub commit: String,
    /// Whether a commit was made. False when the branch already was as it should be.
    pub changed: bool,
    /// Whether the repository was made too.
    pub created: bool,
}

/// Repositories that trees are published to: by the `git` program, or in memory for a simulation.
#[async_trait]
pub trait Repositories: Send + Sync {
    /// As [`Git::observe`].
    ///
    /// # Errors
    /// As there.
    async fn observe(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
    ) -> Result<Seen, Failure>;

    /// As [`Git::publish`].
    ///
    /// # Errors
    /// As there.
    async fn publish(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
        info: &CommitInfo,
    ) -> Result<Published, Failure>;
}

#[async_trait]
impl Repositories for Git {
    async fn observe(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
    ) -> Result<Seen, Failure> {
        Git::observe(self, remote, branch, tree, history).await
    }

    async fn publish(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
        info: &CommitInfo,
    ) -> Result<Published, Failure> {
        Git::publish(self, remote, branch, tree, history, info).await
    }
}

impl Git {
    /// Finds the `git` program. `work` is a folder for scratch repositories; it is made when missing.
    ///
    /// # Errors
    /// P0301 when `git` is missing or too old, P0312 when the folder cannot be used.
    pub async fn find(work: impl Into<PathBuf>) -> Result<Self, Failure> {
        let work = work.into();
        Self::look(&work).await.map_err(|error| error.into_failure("could not use the `git` program"))?;
        Ok(Self { work, limit: LIMIT })
    }

    /// Limits how long one run of `git` may take.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Looks at a branch and compares it with `tree`. Changes nothing.
    ///
    /// # Guarantees
    /// [`Seen::Same`] is said if and only if [`Git::publish`] with the same arguments would make no commit. So a process
    /// that died between a push and its record finds `Same`, and there is no second commit.
    ///
    /// # Errors
    /// P0302 for a URL, branch or path that cannot be, P0309 when the history was rewritten, P0315 when another owner
    /// publishes there, and what the server refuses.
    pub async fn observe(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
    ) -> Result<Seen, Failure> {
        let deed = format!("could not compare branch `{branch}` of {}", redacted(&remote.url));
        let look = async {
            let (_, found) = self.compared(remote, branch, tree, history).await?;
            Ok(match found {
                Found::Missing => Seen::Missing,
                Found::Empty => Seen::Empty,
                Found::At { commit, same: true, .. } => Seen::Same { commit },
                Found::At { commit, comparison, .. } => Seen::Differs {
                    commit,
                    changed: comparison.changes,
                    by_hand: comparison.by_hand,
                    in_the_way: comparison.in_the_way,
                },
            })
        };
        look.await.map_err(|error: GitError| error.into_failure(deed))
    }

    /// Brings a branch to `tree`: one commit on top of what stands there, pushed fast-forward. An empty tree takes
    /// everything of ours out again.
    ///
    /// A `file:` repository that does not exist is made; on a server it has to exist. Files of people are kept.
    ///
    /// # Guarantees
    /// Never forces. An unchanged tree makes no commit. The same parent, tree and `info` give the same commit id
    /// anywhere, so two who publish the same thing do not collide.
    ///
    /// # Errors
    /// As [`Git::observe`]; also P0310 for files edited by hand (unless `history.overwrite_edits`) or in the way, P0308
    /// when somebody pushed in between, P0311 when the server's rules decline the push.
    pub async fn publish(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
        info: &CommitInfo,
    ) -> Result<Published, Failure> {
        let deed = format!("could not publish to branch `{branch}` of {}", redacted(&remote.url));
        self.published(remote, branch, tree, history, info).await.map_err(|error| error.into_failure(deed))
    }

    async fn published(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
        info: &CommitInfo,
    ) -> Result<Published, GitError> {
        let (scratch, found) = self.compared(remote, branch, tree, history).await?;
        let created = matches!(found, Found::Missing);
        let (parent, comparison) = match found {
            Found::At { commit, same: true, .. } => {
                return Ok(Published { commit, changed: false, created });
            }
            Found::At { commit, comparison, .. } => (Some(commit), comparison),
            Found::Missing | Found::Empty => {
                scratch.begin(None).await?;
                (None, compare(&Default::default(), tree))
            }
        };
        if !comparison.in_the_way.is_empty() {
            return Err(GitError::InTheWay { paths: comparison.in_the_way });
        }
        if !comparison.by_hand.is_empty() && !history.overwrite_edits {
            return Err(GitError::ByHand { paths: comparison.by_hand });
        }
        let manifest = Manifest::of(tree, &history.owner);
        let commit = scratch.commit(parent.as_deref(), &comparison.changes, tree, &manifest, info).await?;
        if created {
            scratch.create_remote(branch).await?;
        }
        scratch.push(branch, &commit).await?;
        tracing::info!(%commit, branch, files = comparison.changes.len(), "published");
        Ok(Published { commit, changed: true, created })
    }

    async fn compared(
        &self,
        remote: &Remote,
        branch: &str,
        tree: &Tree,
        history: &History,
    ) -> Result<(Scratch, Found), GitError> {
        check_branch(branch)?;
        check_paths(tree)?;
        let scratch = Scratch::new(&self.work, remote, self.limit)?;
        let tip = match scratch.head(branch).await? {
            Head::Missing => return Ok((scratch, Found::Missing)),
            Head::Empty => return Ok((scratch, Found::Empty)),
            Head::At(tip) => tip,
        };
        scratch.begin(Some(&tip)).await?;
        let commit = scratch.fetch(branch).await?;
        if let Some(known) = &history.known
            && !scratch.descends(branch, &commit, known).await?
        {
            return Err(GitError::Rewritten { known: known.clone(), tip: commit });
        }
        let standing = scratch.standing(&commit, tree).await?;
        let owner = &standing.manifest.platform;
        let is_ours = *owner == history.owner || history.gone.contains(owner);
        if !owner.is_empty() && !history.owner.is_empty() && !is_ours {
            return Err(GitError::Foreign { owner: owner.clone(), ours: history.owner.clone() });
        }
        let comparison = compare(&standing, tree);
        let manifest =
            if tree.is_empty() { None } else { Some(Manifest::of(tree, &history.owner).to_bytes()?) };
        let same = comparison == Comparison::default() && scratch.manifest(&commit).await? == manifest;
        Ok((scratch, Found::At { commit, comparison, same }))
    }

    async fn look(work: &PathBuf) -> Result<(), GitError> {
        fs_err::create_dir_all(work).map_err(|cause| GitError::Work { folder: work.clone(), cause })?;
        let program = Program {
            environment: Environment::local(work),
            folder: work.clone(),
            limit: Duration::from_secs(20),
            needles: Vec::new(),
        };
        let output = program.run(&["version"], Vec::new()).await?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        match version(&said) {
            Some(found) if found >= OLDEST => Ok(()),
            Some(_) => Err(GitError::TooOld { said }),
            None => Err(GitError::classify(Deed::Local, &format!("{said}{}", output.stderr))),
        }
    }
}

enum Found {
    Missing,
    Empty,
    At { commit: String, comparison: Comparison, same: bool },
}
