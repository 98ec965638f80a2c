//! What steps reach the world through, put together for this process.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use platform_artifact::{Artifacts, Sources};
use platform_flows::{Doors, doors::Network, trees::TreeStore, wish::EMULATED};
use platform_gitops::Git;
use platform_provider::Provider;
use platform_provider_kind::{Kind, Programs};
use platform_provider_sandbox::{Connect, Connection, Place};
use platform_spec::Failure;

use crate::{App, place, sandbox::Sandbox};

/// The providers that this program has. `state` is where the sandbox is that they reach.
pub(crate) fn providers(state: &Path) -> Vec<Arc<dyn Provider>> {
    vec![
        Arc::new(platform_provider_sandbox::Sandbox::new(Arc::new(Started(state.to_owned())))),
        Arc::new(platform_provider_existing::Existing),
        // Not below the state: whoever else works with the same engine for this user has to know of `kind` at work.
        Arc::new(Kind::new(Programs::default(), place::cache_dir(state).join("kind"))),
    ]
}

/// The providers that have an emulated cloud of their own in the sandbox of a state directory; by kind.
pub(crate) fn emulated(state: &Path) -> Vec<(&'static str, Arc<dyn Provider>)> {
    let program = std::env::current_exe().unwrap_or_else(|_| "platform".into());
    let play = |name: &str| -> Vec<OsString> {
        let words = ["sandbox".into(), "play".into(), "--state".into(), state.as_os_str().to_owned()];
        std::iter::once(program.clone().into()).chain(words).chain([name.into(), "--".into()]).collect()
    };
    let programs =
        Programs { kind: play("kind"), engine: play("docker"), elsewhere: true, ..Programs::default() };
    vec![("kind", Arc::new(Kind::new(programs, state.join("sandbox").join("kind"))))]
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
    for provider in providers(&app.sandbox) {
        kinds.insert(provider.describe().await?.kind, provider);
    }
    for (kind, provider) in emulated(&app.sandbox) {
        kinds.insert(format!("{kind}{EMULATED}"), provider);
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
