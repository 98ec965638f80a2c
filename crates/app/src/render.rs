//! The blueprint's files: made, written, and compared with what is in Git.

mod folder;

use std::path::Path;

pub use folder::Written;
use platform_blueprint::{Tree, Trees};
use platform_flows::wish;
pub use platform_gitops::compare::{Change, Kind};
use platform_gitops::{History, Seen};
use platform_spec::Failure;
use serde::Serialize;

use crate::{App, doors, specs::Wanted};

/// One repository as it was rendered.
#[derive(Clone, Debug, Serialize)]
pub struct Rendered {
    /// Its name.
    pub repository: String,
    /// `sha256:…` over paths, flags and contents.
    pub digest: String,
    /// Its files' paths, in order.
    pub files: Vec<String>,
}

/// How a repository in Git differs from what was rendered.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// Its name.
    pub repository: String,
    /// What is different as a whole, when it is not single files: `there is no such repository`.
    pub why: Option<String>,
    /// Files that would be added, modified or deleted.
    pub changes: Vec<Change>,
}

/// Everything that the spec's blueprint makes, by repository.
#[derive(Clone, Debug)]
pub struct Rendering {
    trees: Trees,
}

/// Renders every repository.
///
/// # Errors
/// An unknown blueprint, parameters that do not fit, an artifact that cannot be had.
pub async fn render(app: &App, wanted: &Wanted) -> Result<Rendering, Failure> {
    let doors = doors::open(app).await?;
    let model = wish::settled(&doors, wanted.model.clone()).await?;
    Ok(Rendering { trees: wish::render(&doors, &model).await?.trees })
}

impl Rendering {
    /// What was rendered, by repository.
    pub fn repositories(&self) -> Vec<Rendered> {
        let of = |(name, tree): (&String, &Tree)| Rendered {
            repository: name.clone(),
            digest: tree.digest(),
            files: tree.files.keys().cloned().collect(),
        };
        self.trees.repositories.iter().map(of).collect()
    }

    /// Writes each repository's files into a folder of its name below `out`, and removes what an earlier rendering wrote
    /// there that is not rendered any more. Files of people stay as they are.
    ///
    /// # Errors
    /// `P0904` before anything is written, when another's file stands where one should; `P0906` for the first file that
    /// cannot be written.
    pub fn write(&self, out: &Path) -> Result<Written, Failure> {
        folder::write(&self.trees, out)
    }

    /// Compares with what is in Git; empty when everything is as rendered. Changes nothing.
    ///
    /// # Errors
    /// A repository that cannot be reached or read.
    pub async fn compare(&self, app: &App, wanted: &Wanted) -> Result<Vec<Difference>, Failure> {
        let doors = doors::open(app).await?;
        let mut differences = Vec::new();
        for repository in wish::repositories(&wanted.model) {
            let Some(tree) = self.trees.get(&repository.name) else { continue };
            let remote = doors.remote(&repository).await?;
            let tree = wish::git_tree(tree);
            let history = History { owner: wanted.model.platform.clone(), ..History::default() };
            let seen = doors.git.observe(&remote, &repository.branch, &tree, &history).await?;
            let (why, changes) = match seen {
                Seen::Same { .. } => continue,
                Seen::Missing => (Some("there is no such repository".to_owned()), Vec::new()),
                Seen::Empty => (Some(format!("there is no branch `{}`", repository.branch)), Vec::new()),
                Seen::Differs { changed, .. } => (None, changed),
            };
            differences.push(Difference { repository: repository.name, why, changes });
        }
        Ok(differences)
    }
}
