//! What steps reach the world through, put together for this process.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use platform_artifact::{Artifacts, Sources};
use platform_flows::{Doors, doors::Network, trees::TreeStore};
use platform_gitops::Git;
use platform_provider::Provider;
use platform_provider_sandbox::{Connect, Connection, Place};
use platform_spec::Failure;

use crate::{App, place, sandbox::Sandbox};

/// The providers that this program has. `state` is where the sandbox is that they reach.
pub(crate) fn providers(state: &Path) -> Vec<Arc<dyn Provider>> {
    vec![
        Arc::new(platform_provider_sandbox::Sandbox::new(Arc::new(Started(state.to_owned())))),
        Arc::new(platform_provider_existing::Existing),
    ]
}

/// The sandbox of a state directory, started when it is needed.
struct Started(PathBuf);

#[async_trait]
impl Connect for Started {
    async fn connect(&self) -> Result<Connection, Failure> {
        let sandbox = Sandbox::of(&self.0)?;
        sandbox.start(None).await?;
        Place::read(&sandbox.place().connection())?.connect().await
    }
}

/// Opens the doors.
///
/// # Errors
/// `P0301` without a usable `git`; a wrong mirror.
pub(crate) async fn open(app: &App) -> Result<Arc<Doors>, Failure> {
    let mut kinds = BTreeMap::new();
    for provider in providers(&app.dir) {
        kinds.insert(provider.describe().await?.kind, provider);
    }
    let artifacts = Artifacts::new(Sources::from_env(place::cache_dir(&app.dir).join("artifacts")))?;
    let git = Git::find(app.dir.join("git")).await?;
    Ok(Arc::new(Doors::new(
        kinds,
        artifacts,
        Arc::new(git),
        TreeStore::new(app.dir.join("trees")),
        Arc::new(Network),
    )))
}
