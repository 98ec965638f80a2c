//! Git repositories: `repository.publish` and `repository.release`.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use platform_engine::step::{Call, Observed, Progress, Step};
use platform_gitops::publish::{CommitInfo, History, Seen};
use platform_spec::{Failure, LedgerChange, event::LedgerEntry};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::doors::{Doors, Repository, input};

/// Author and committer of what we publish.
const AUTHOR: (&str, &str) = ("platform", "platform@platform.dev");

/// Input of `repository.publish`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Publish {
    /// Where to.
    pub repository: Repository,
    /// Whose branch it is: the platform.
    #[serde(default)]
    pub owner: String,
    /// Platforms that are gone and may have published there before.
    #[serde(default)]
    pub gone: Vec<String>,
    /// What: a digest in the tree store.
    pub tree: String,
    /// What the commit says.
    pub message: String,
    /// The time it bears: that of the spec's revision.
    pub when: Timestamp,
    /// The last commit we know of.
    #[serde(default)]
    pub known: Option<String>,
    /// Whether edits by people at our paths may be overwritten.
    #[serde(default)]
    pub overwrite_edits: bool,
}

impl Publish {
    fn history(&self) -> History {
        History {
            owner: self.owner.clone(),
            gone: self.gone.clone(),
            known: self.known.clone(),
            overwrite_edits: self.overwrite_edits,
        }
    }

    fn done(&self, commit: &str) -> (Value, Vec<LedgerChange>) {
        let entry = LedgerEntry {
            key: key(&self.repository),
            kind: "repository".into(),
            external_id: self.repository.push_url.clone(),
            owned: false,
            detail: json!({ "commit": commit, "branch": self.repository.branch }),
        };
        (json!({ "commit": commit }), vec![LedgerChange::Put(entry)])
    }
}

/// The ledger's key of a repository.
pub(crate) fn key(repository: &Repository) -> String {
    format!("repository/{}", repository.name)
}

/// Brings a branch to a rendered tree.
pub(crate) struct PublishRepository(pub Arc<Doors>);

#[async_trait]
impl Step for PublishRepository {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: Publish = input(call)?;
        let tree = self.0.trees.get(&input.tree)?;
        let remote = self.0.remote(&input.repository).await?;
        let seen = self.0.git.observe(&remote, &input.repository.branch, &tree, &input.history()).await?;
        Ok(match seen {
            Seen::Same { commit } => {
                let (output, ledger) = input.done(&commit);
                Observed::Matches { output, ledger }
            }
            Seen::Missing | Seen::Empty => Observed::Absent,
            Seen::Differs { changed, .. } => {
                Observed::Differs { how: format!("{} files change", changed.len()) }
            }
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "publish": call.input["tree"], "to": call.input["repository"]["push_url"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: Publish = input(call)?;
        let tree = self.0.trees.get(&input.tree)?;
        let remote = self.0.remote(&input.repository).await?;
        let info = CommitInfo {
            message: input.message.clone(),
            author: AUTHOR.0.into(),
            email: AUTHOR.1.into(),
            when: input.when,
        };
        let published =
            self.0.git.publish(&remote, &input.repository.branch, &tree, &input.history(), &info).await?;
        let (output, ledger) = input.done(&published.commit);
        Ok(Progress::Done { output, ledger })
    }
}

/// Input of `repository.release`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Release {
    /// Which.
    pub repository: Repository,
}

/// Lets a repository go: what is in Git stays there, as the record of what was.
pub(crate) struct ReleaseRepository;

#[async_trait]
impl Step for ReleaseRepository {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: Release = input(call)?;
        Ok(Observed::Matches {
            output: json!({ "kept": input.repository.push_url }),
            ledger: vec![LedgerChange::Drop { key: key(&input.repository) }],
        })
    }

    fn intent(&self, _call: &Call) -> Option<Value> {
        None
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        Err(super::cluster::only_looks(call))
    }
}
