//! The opened state, and who opened it.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use platform_engine::{
    clock::{Clock, SystemClock},
    store::Holder,
};
use platform_spec::Failure;
use platform_state::Sqlite;

use crate::{holder, place};

/// What every call but those on files alone needs: the state, this process, and the time.
#[derive(Clone)]
pub struct App {
    pub(crate) dir: PathBuf,
    /// Whose sandbox: the state directory that it is below. Another one's where several states share a world.
    pub(crate) sandbox: PathBuf,
    pub(crate) state: Sqlite,
    pub(crate) holder: Holder,
    pub(crate) clock: Arc<dyn Clock>,
}

impl App {
    /// Opens the state in the directory asked for, or in the usual one; makes what is missing.
    ///
    /// Must be called within a tokio runtime.
    ///
    /// # Errors
    /// `P0902` when there is no usual place; what the state says of its file (`P01…`).
    pub async fn open(asked: Option<&Path>) -> Result<Self, Failure> {
        let dir = place::state_dir(asked)?;
        tracing::debug!(dir = %dir.display(), "opening the state");
        Ok(Self::with(Sqlite::open(&dir).await?, dir))
    }

    /// As [`App::open`], for calls that only look: where there is no state none is made, and there is nothing to see.
    ///
    /// # Errors
    /// As [`App::open`].
    pub async fn look(asked: Option<&Path>) -> Result<Self, Failure> {
        let dir = place::state_dir(asked)?;
        tracing::debug!(dir = %dir.display(), "looking at the state");
        Ok(Self::with(Sqlite::look(&dir).await?, dir))
    }

    fn with(state: Sqlite, dir: PathBuf) -> Self {
        let sandbox = place::sandbox_home(&dir);
        Self { dir, sandbox, state, holder: holder::this_process(), clock: Arc::new(SystemClock::start()) }
    }

    /// A state of its own in another directory, in the same world.
    ///
    /// # Errors
    /// As [`App::open`].
    pub(crate) async fn beside(&self, dir: &Path) -> Result<Self, Failure> {
        Ok(Self { sandbox: self.sandbox.clone(), ..Self::open(Some(dir)).await? })
    }
}
