//! Looking for an artifact, checking it, keeping it.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use tracing::{debug, warn};

use crate::{
    Artifact, ArtifactError, Catalogue, Sources,
    bundle::Bundle,
    digest,
    download::{Downloader, shown},
    embedded,
    error::Tried,
};

/// The artifacts of a catalogue, from the places that [`Sources`] names.
#[derive(Debug)]
pub struct Artifacts {
    catalogue: Catalogue,
    sources: Sources,
    downloader: Downloader,
}

impl Artifacts {
    /// The program's own artifacts. Touches nothing yet.
    ///
    /// # Errors
    /// [`ArtifactError::Mirror`] when the mirror is no base URL.
    pub fn new(sources: Sources) -> Result<Self, ArtifactError> {
        Self::of(Catalogue::embedded().clone(), sources)
    }

    /// The artifacts of another catalogue.
    ///
    /// # Errors
    /// As [`Artifacts::new`].
    pub fn of(catalogue: Catalogue, sources: Sources) -> Result<Self, ArtifactError> {
        let downloader = Downloader::new(sources.mirror.as_deref())?;
        Ok(Self { catalogue, sources, downloader })
    }

    /// What there is.
    pub fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The bytes of one artifact.
    ///
    /// # Guarantees
    /// The bytes have the pinned digest. After the first success the cache has them, and no other place is asked again.
    /// Two processes may do this at once: a file appears in the cache whole or not at all.
    ///
    /// # Errors
    /// [`ArtifactError::Unknown`] for what the catalogue lacks; [`ArtifactError::Digest`] when bundle, mirror or URL
    /// hold something else (a damaged file in the *cache* is replaced instead: it is a copy of ours);
    /// [`ArtifactError::Nowhere`] with every place tried; [`ArtifactError::Files`] when the cache cannot be written.
    pub async fn get(&self, name: &str, version: &str) -> Result<Vec<u8>, ArtifactError> {
        let artifact = self.catalogue.find(name, version)?;
        let mut tried = Vec::new();

        let cached = self.sources.cache.join(digest::place(&artifact.sha256));
        if let Some(bytes) = note(&mut tried, &cached.display(), read(&cached)) {
            match artifact.check(&bytes, &cached.display().to_string()) {
                Ok(()) => return Ok(bytes),
                Err(damaged) => {
                    warn!(%damaged, "the copy in the cache is damaged and will be replaced");
                    tried.push(tried_in_vain(&cached.display(), "damaged"));
                }
            }
        }

        let bytes = self.outside(artifact, &mut tried).await?;
        keep(&cached, &bytes)?;
        Ok(bytes)
    }

    async fn outside(&self, artifact: &Artifact, tried: &mut Vec<Tried>) -> Result<Vec<u8>, ArtifactError> {
        if let Some(path) = &self.sources.bundle {
            let found = Bundle::open(path).and_then(|bundle| bundle.read(&artifact.sha256));
            if let Some(bytes) = note(tried, &format!("bundle {}", path.display()), found) {
                artifact.check(&bytes, &format!("bundle {}", path.display()))?;
                return Ok(bytes);
            }
        }
        if self.sources.mirror.is_none()
            && let Some(bytes) = note(tried, &"this program", embedded::read(artifact))
        {
            artifact.check(&bytes, "this program")?;
            return Ok(bytes);
        }
        for place in self.downloader.places(artifact) {
            match self.downloader.fetch(&place, artifact.size).await {
                Ok(bytes) => {
                    artifact.check(&bytes, &shown(&place))?;
                    debug!(
                        name = artifact.name,
                        version = artifact.version,
                        "fetched from {}",
                        shown(&place)
                    );
                    return Ok(bytes);
                }
                Err(refusal) => tried.push(refusal),
            }
        }
        Err(ArtifactError::Nowhere {
            name: artifact.name.clone(),
            version: artifact.version.clone(),
            tried: std::mem::take(tried),
        })
    }
}

/// Reads a whole file; one that is not there is no error.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn tried_in_vain(place: &impl ToString, why: &str) -> Tried {
    Tried { place: place.to_string(), why: why.to_owned(), transient: false }
}

/// Writes down a place that had nothing, and why.
fn note(
    tried: &mut Vec<Tried>,
    place: &impl ToString,
    found: io::Result<Option<Vec<u8>>>,
) -> Option<Vec<u8>> {
    let why = match found {
        Ok(Some(bytes)) => return Some(bytes),
        Ok(None) => "not there".to_owned(),
        Err(error) => error.to_string(),
    };
    tried.push(tried_in_vain(place, &why));
    None
}

/// Puts bytes at a path, whole or not at all, readable by everyone (0644).
pub(crate) fn keep(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let files = |deed, at: &Path| {
        let path: PathBuf = at.to_owned();
        move |cause| ArtifactError::Files { deed, path, cause }
    };
    let folder = path.parent().unwrap_or(Path::new("."));
    fs_err::create_dir_all(folder).map_err(files("make the folder", folder))?;
    write_beside(folder, path, bytes).map_err(files("write", path))
}

fn write_beside(folder: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    readable_by_all(file.as_file())?;
    // Without it a power cut could leave an empty file under the final name.
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(unix)]
fn readable_by_all(file: &std::fs::File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable_by_all(_: &std::fs::File) -> io::Result<()> {
    Ok(())
}
