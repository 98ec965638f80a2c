//! Reading a file from a mirror or from its own URL.

use std::{io, sync::OnceLock, time::Duration};

use reqwest::{StatusCode, Url};
use tracing::debug;

use crate::{Artifact, ArtifactError, error::Tried};

/// How often one place is asked before it counts as not having the file. Three, since a hiccup seldom outlives the second
/// pause, and a person waits meanwhile.
const ATTEMPTS: u32 = 3;
/// The first pause between attempts; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// How long a place may take to answer at all. Short, because a closed network often swallows packets silently.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a transfer may stand still.
const SILENCE: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(crate) struct Downloader {
    mirror: Option<Url>,
    // Made at the first use: a run that finds everything in the cache needs no TLS roots.
    client: OnceLock<Result<reqwest::Client, String>>,
}

impl Downloader {
    pub(crate) fn new(mirror: Option<&str>) -> Result<Self, ArtifactError> {
        let mirror = mirror.map(base).transpose()?;
        Ok(Self { mirror, client: OnceLock::new() })
    }

    /// The URLs to ask for an artifact, in order.
    pub(crate) fn places(&self, artifact: &Artifact) -> Vec<Url> {
        let mirrored = self.mirror.iter().filter_map(|base| base.join(artifact.mirror_path()).ok());
        mirrored.chain(Url::parse(&artifact.url).ok()).collect()
    }

    /// Reads one place to its end, at most `limit` bytes.
    pub(crate) async fn fetch(&self, place: &Url, limit: u64) -> Result<Vec<u8>, Tried> {
        if place.scheme() == "file" {
            return local(place, limit);
        }
        let mut pause = PAUSE;
        for attempt in 1.. {
            match self.once(place, limit).await {
                Err(refusal) if refusal.transient && attempt < ATTEMPTS => {
                    debug!(%refusal, attempt, "will ask again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answer => return answer,
            }
        }
        unreachable!("the loop ends by returning")
    }

    async fn once(&self, place: &Url, limit: u64) -> Result<Vec<u8>, Tried> {
        let refused = |transient: bool, why: String| Tried { place: shown(place), why, transient };
        let client = self
            .client
            .get_or_init(|| {
                reqwest::Client::builder()
                    .connect_timeout(CONNECT)
                    .read_timeout(SILENCE)
                    .build()
                    .map_err(|error| chain(&error))
            })
            .as_ref()
            .map_err(|why| refused(false, why.clone()))?;

        let broken = |error: reqwest::Error| refused(true, chain(&error.without_url()));
        let mut answer = client.get(place.clone()).send().await.map_err(broken)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(refused(may_pass(status), format!("HTTP {status}")));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(broken)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(refused(false, too_large(limit)));
            }
        }
        Ok(bytes)
    }
}

/// A base URL with a slash at its end, so that joining adds to it.
fn base(text: &str) -> Result<Url, ArtifactError> {
    let refused = || ArtifactError::Mirror {
        base: Url::parse(text).map_or_else(|_| "(not a URL)".to_owned(), |url| shown(&url)),
    };
    let mut url = Url::parse(text).map_err(|_| refused())?;
    if !matches!(url.scheme(), "https" | "http" | "file") || url.query().is_some() || url.fragment().is_some()
    {
        return Err(refused());
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn local(place: &Url, limit: u64) -> Result<Vec<u8>, Tried> {
    let refused = |why: String| Tried { place: shown(place), why, transient: false };
    let path = place.to_file_path().map_err(|()| refused("no path of this machine".to_owned()))?;
    match fs_err::read(&path) {
        Ok(bytes) if bytes.len() as u64 > limit => Err(refused(too_large(limit))),
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(refused("not there".to_owned())),
        Err(error) => Err(refused(error.to_string())),
    }
}

fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

fn too_large(limit: u64) -> String {
    format!("larger than the {limit} bytes it must have")
}

/// The URL without user and password: a mirror's base may carry them.
pub(crate) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
