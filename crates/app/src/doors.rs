//! What steps reach the world through, put together for this process.

use std::{collections::BTreeMap, sync::Arc};

use platform_artifact::{Artifacts, Sources};
use platform_flows::{Doors, doors::Network, trees::TreeStore};
use platform_gitops::Git;
use platform_provider::Provider;
use platform_spec::Failure;

use crate::{App, place};

/// The providers that this program has.
pub(crate) fn providers() -> Vec<Arc<dyn Provider>> {
    vec![Arc::new(platform_provider_existing::Existing)]
}

/// Opens the doors.
///
/// # Errors
/// `P0301` without a usable `git`; a wrong mirror.
pub(crate) async fn open(app: &App) -> Result<Arc<Doors>, Failure> {
    let mut kinds = BTreeMap::new();
    for provider in providers() {
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
