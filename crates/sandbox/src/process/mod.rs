//! The sandbox as a background process: one for each folder, which holds everything it has.
//!
//! | room | what it holds |
//! |---|---|
//! | [`place`] | the folder and its files |
//! | [`control`] | how it is told what to do |
//! | `sockets` | what it serves |

pub mod control;
pub mod place;
mod sockets;

use std::{io, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

pub use control::{Control, ControlError, Status};
pub use place::{Connection, Place};

use crate::{
    cloud,
    keep::Keeper,
    parts::{faults::Script, transitions::Pace},
    play::{
        argocd::{Programs, Renderer},
        repositories::Git,
        workloads,
    },
    world::{OpenError, Settings, World},
};

/// How long one run of `git` may take.
const GIT_LIMIT: Duration = Duration::from_secs(60);

/// Why a sandbox does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another process has the folder.
    #[error("another sandbox is running in this folder")]
    Taken,
    /// Files or sockets.
    #[error("a file or socket of the sandbox cannot be used")]
    Io(#[from] io::Error),
    /// What is kept.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database.
    #[error("the database of the sandbox cannot be opened")]
    Keep(#[from] sqlx::Error),
}

/// Serves the sandbox of a folder until it is told to stop, by its control socket or by SIGTERM or SIGINT.
///
/// # Errors
/// When another process serves it, or what it needs cannot be had.
pub async fn serve(place: &Place, faults: Option<Script>) -> Result<(), ServeError> {
    let Some(_taken) = place.take()? else { return Err(ServeError::Taken) };
    let stop = CancellationToken::new();
    // Told to stop before it has begun, it stops all the same.
    let mut terminated = signal(SignalKind::terminate())?;
    let mut interrupted = signal(SignalKind::interrupt())?;
    let _hung_up = signal(SignalKind::hangup())?;

    let keeper = Keeper::open(&place.database()).await?;
    let own = Own::load(&keeper).await?;
    let settings = Settings {
        seed: own.seed,
        secret: own.secret,
        cloud: cloud::Options::new(own.key.clone()),
        pace: Pace::BRISK,
        pods: workloads::Pace::quick(),
        repositories: Arc::new(Git::new(place.fetched(), GIT_LIMIT)),
        renderer: Arc::new(Renderer::new(Programs::on(&std::env::var_os("PATH").unwrap_or_default()))),
        keeper: keeper.clone(),
        rights: true,
        owners: true,
        history: true,
    };
    let runtime = tokio::runtime::Handle::current();
    let world = World::open(settings, Arc::new(Timestamp::now), Some(runtime)).await?;
    match faults {
        Some(script) => control::set(&world, script).await,
        None => control::recall(&world).await?,
    }
    let sockets = sockets::open(&world, &own, stop.clone()).await?;
    let connection = Connection {
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        since: Timestamp::now(),
        url: sockets.cloud,
        ca: sockets.authority,
        key: own.key.expose_secret().to_owned(),
        s3: sockets.s3,
        dns: sockets.dns,
    };
    let text = serde_json::to_vec_pretty(&connection).map_err(io::Error::other)?;
    place.write(&place.connection(), &text)?;
    tokio::spawn(kubeconfigs(world.clone(), place.clone()));
    let desk = control::Desk { world: world.clone(), place: place.clone(), connection, stop: stop.clone() };
    let control = control::serve(desk)?;
    tracing::info!(folder = %place.folder().display(), "the sandbox serves");

    tokio::select! {
        () = stop.cancelled() => {}
        () = folder_gone(place) => stop.cancel(),
        _ = terminated.recv() => stop.cancel(),
        _ = interrupted.recv() => stop.cancel(),
    }
    tracing::info!("the sandbox stops");
    let _ended = control.await;
    if let Err(error) = keeper.kept().await {
        tracing::error!(%error, "not everything is kept");
    }
    for file in [place.socket(), place.connection()] {
        let _gone = std::fs::remove_file(file);
    }
    Ok(())
}

/// How often it is looked whether the folder is still there.
const STILL_THERE: Duration = Duration::from_secs(2);

/// Returns when somebody has removed the folder: there is nothing left to serve.
async fn folder_gone(place: &Place) {
    while place.folder().exists() {
        tokio::time::sleep(STILL_THERE).await;
    }
}

/// How long the credentials in a kubeconfig for people last.
const KUBECONFIG_LASTS: SignedDuration = SignedDuration::from_hours(24 * 365);

/// Keeps the kubeconfigs for people as the clusters are.
async fn kubeconfigs(world: World, place: Place) {
    let mut changes = world.watch_clusters();
    loop {
        changes.mark_unchanged();
        if let Err(error) = write_kubeconfigs(&world, &place) {
            tracing::error!(%error, "kubeconfigs cannot be written");
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn write_kubeconfigs(world: &World, place: &Place) -> io::Result<()> {
    let mut there = std::collections::BTreeSet::new();
    for hosted in world.clusters() {
        let path = place.kubeconfig(&hosted.name);
        let until = Timestamp::now().checked_add(KUBECONFIG_LASTS).unwrap_or(Timestamp::MAX);
        let text = hosted.kubeconfig(until).map_err(io::Error::other)?;
        place.write(&path, text.expose_secret().as_bytes())?;
        there.insert(path);
    }
    let Ok(folder) = std::fs::read_dir(place.folder().join("kubeconfigs")) else { return Ok(()) };
    for entry in folder {
        let path = entry?.path();
        if !there.contains(&path) {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// What a sandbox has of its own, made once.
pub(crate) struct Own {
    /// What chance goes by.
    pub seed: u64,
    /// What keys of zones are made from.
    pub secret: u64,
    /// The key to its cloud.
    pub key: SecretString,
    /// The identity of its servers.
    pub identity: SecretString,
}

impl Own {
    async fn load(keeper: &Keeper) -> Result<Self, sqlx::Error> {
        let book = keeper.book("own");
        let entries = book.load().await?;
        let found = |key: &str| {
            let entry = entries.iter().find(|(name, _)| name == key);
            entry.map(|(_, bytes)| String::from_utf8_lossy(bytes).into_owned())
        };
        let or_new = |key: &str| {
            found(key).unwrap_or_else(|| {
                let text = hex::encode(rand::random::<[u8; 32]>());
                book.put(key, text.as_bytes());
                text
            })
        };
        let number = |key: &str| u64::from_str_radix(&or_new(key)[..16], 16).unwrap_or_default();
        Ok(Self {
            seed: number("seed"),
            secret: number("secret"),
            key: or_new("key").into(),
            identity: or_new("identity").into(),
        })
    }
}
