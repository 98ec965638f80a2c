//! Every artifact in one folder or `.tar`, for sites without internet.
//!
//! ```text
//! bundle.json        what is inside, for people (`platform.bundle/v1`); the program trusts digests only
//! sha256/<digest>    the files
//! ```

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{Artifact, ArtifactError, Artifacts, Catalogue, digest, store};

/// The value of `schema` in `bundle.json`.
pub const BUNDLE_SCHEMA: &str = "platform.bundle/v1";

const LIST: &str = "bundle.json";

#[derive(Serialize)]
struct Contents<'a> {
    schema: &'static str,
    artifacts: Vec<&'a Artifact>,
}

/// Writes every artifact of the catalogue into a bundle: a tar when `path` ends in `.tar`, otherwise a folder, which is
/// made when missing and completed when there.
///
/// # Guarantees
/// Equal catalogues give equal bundles, byte for byte. A tar appears whole or not at all.
///
/// # Errors
/// Those of [`Artifacts::get`], and [`ArtifactError::Files`].
pub async fn create(artifacts: &Artifacts, path: &Path) -> Result<(), ArtifactError> {
    let listed: Vec<&Artifact> = artifacts.catalogue().iter().collect();
    let mut files = Vec::with_capacity(listed.len() + 1);
    for artifact in &listed {
        files
            .push((digest::place(&artifact.sha256), artifacts.get(&artifact.name, &artifact.version).await?));
    }
    let mut list = serde_json::to_vec_pretty(&Contents { schema: BUNDLE_SCHEMA, artifacts: listed })
        .expect("strings and numbers become JSON");
    list.push(b'\n');
    files.push((LIST.to_owned(), list));

    if is_tar(path) {
        let packed = pack(&files).map_err(|cause| ArtifactError::Files {
            deed: "pack",
            path: path.to_owned(),
            cause,
        })?;
        return store::keep(path, &packed);
    }
    files.iter().try_for_each(|(name, bytes)| store::keep(&path.join(name), bytes))
}

/// Checks that a bundle holds every artifact of the catalogue, undamaged.
///
/// # Errors
/// [`ArtifactError::Bundle`] with one sentence per missing or damaged file; [`ArtifactError::Files`] when the bundle
/// cannot be read at all.
pub fn verify(catalogue: &Catalogue, path: &Path) -> Result<(), ArtifactError> {
    let files = |cause| ArtifactError::Files { deed: "read the bundle", path: path.to_owned(), cause };
    let bundle = Bundle::open(path).map_err(files)?;
    let mut problems = Vec::new();
    for artifact in catalogue.iter() {
        let what = format!("{} {}", artifact.name, artifact.version);
        match bundle.read(&artifact.sha256).map_err(files)? {
            None => problems.push(format!("{what} is missing")),
            Some(bytes) => {
                let actual = digest::sha256(&bytes);
                if actual != artifact.sha256 {
                    problems.push(format!("{what} is damaged: expected {}, found {actual}", artifact.sha256));
                }
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    Err(ArtifactError::Bundle { path: path.to_owned(), problems })
}

/// A bundle that is there.
pub(crate) enum Bundle {
    Folder(PathBuf),
    Tar(PathBuf),
}

impl Bundle {
    /// Fails when there is nothing at the path.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let found = fs_err::metadata(path)?;
        Ok(if found.is_dir() { Self::Folder(path.to_owned()) } else { Self::Tar(path.to_owned()) })
    }

    /// The file with this digest, not yet checked; `None` when the bundle lacks it.
    pub(crate) fn read(&self, sha256: &str) -> io::Result<Option<Vec<u8>>> {
        let wanted = digest::place(sha256);
        match self {
            Self::Folder(root) => match fs_err::read(root.join(wanted)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                answer => answer.map(Some),
            },
            Self::Tar(path) => {
                let mut archive = tar::Archive::new(fs_err::File::open(path)?);
                for entry in archive.entries_with_seek()? {
                    let mut entry = entry?;
                    if entry.path()? == Path::new(&wanted) {
                        let mut bytes = Vec::new();
                        entry.read_to_end(&mut bytes)?;
                        return Ok(Some(bytes));
                    }
                }
                Ok(None)
            }
        }
    }
}

fn is_tar(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "tar")
}

/// A tar without owner and time, so that it depends on its content alone.
fn pack(files: &[(String, Vec<u8>)]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        archive.append_data(&mut header, name, bytes.as_slice())?;
    }
    archive.into_inner()
}
