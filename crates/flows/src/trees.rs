//! Rendered trees on disk, by digest.
//!
//! A plan names a tree by its digest. The tree itself is put here before the plan is stored, so that a resumed run
//! publishes exactly what was planned, also when the spec file or the program has changed since.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use platform_gitops::tree::{File, Tree};
use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A folder of trees.
#[derive(Clone, Debug)]
pub struct TreeStore {
    folder: PathBuf,
}

/// A file as it is written down: text where it is text, so that a person can read it.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<Vec<u8>>,
    #[serde(default)]
    executable: bool,
}

impl TreeStore {
    /// A store in a folder, which is made when the first tree is put there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Puts a tree there and gives its digest (hex SHA-256). Once this returns, the tree survives a crash.
    ///
    /// # Errors
    /// `P0715` when the folder cannot be written.
    pub fn put(&self, tree: &Tree) -> Result<String, Failure> {
        let stored: BTreeMap<&String, Stored> =
            tree.iter().map(|(path, file)| (path, Stored::of(file))).collect();
        let json = serde_json::to_vec(&stored).map_err(|error| self.refused(&io::Error::other(error)))?;
        let digest = hex::encode(Sha256::digest(&json));
        let path = self.path(&digest);
        if !path.exists() {
            self.write(&path, &json).map_err(|error| self.refused(&error))?;
        }
        Ok(digest)
    }

    /// Reads a tree back.
    ///
    /// # Errors
    /// `P0716` when it is not there any more, or not what its digest says.
    pub fn get(&self, digest: &str) -> Result<Tree, Failure> {
        let path = self.path(digest);
        let gone = |why: String| {
            Failure::new(Code::new("P0716"), Class::Config, "could not read the rendered files of this run")
                .because(why)
                .hint("give the run up with `platform run abandon RUN --because …` and start it anew")
        };
        let json = fs_err::read(&path).map_err(|error| gone(error.to_string()))?;
        if hex::encode(Sha256::digest(&json)) != digest {
            return Err(gone(format!("{} was changed", path.display())));
        }
        let stored: BTreeMap<String, Stored> =
            serde_json::from_slice(&json).map_err(|error| gone(error.to_string()))?;
        Ok(stored.into_iter().map(|(path, file)| (path, file.into_file())).collect())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}.json"))
    }

    fn write(&self, path: &Path, json: &[u8]) -> io::Result<()> {
        use io::Write as _;
        fs_err::create_dir_all(&self.folder)?;
        // Of its own name, and gone when this fails: others may be writing the same tree.
        let mut half = tempfile::Builder::new().prefix(".half-").tempfile_in(&self.folder)?;
        half.write_all(json)?;
        half.as_file().sync_all()?;
        half.persist(path).map_err(|error| error.error)?;
        fs_err::File::open(&self.folder)?.sync_all()
    }

    fn refused(&self, error: &io::Error) -> Failure {
        let class = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::Capacity,
            _ => Class::Config,
        };
        Failure::new(Code::new("P0715"), class, "could not keep the rendered files of this run")
            .because(error)
            .hint(format!(
                "make room (`df -h {}`) or choose another place with `--state PATH`, then `platform up` again",
                self.folder.display()
            ))
    }
}

impl Stored {
    fn of(file: &File) -> Self {
        match std::str::from_utf8(&file.bytes) {
            Ok(text) => Self { text: Some(text.to_owned()), bytes: None, executable: file.executable },
            Err(_) => Self { text: None, bytes: Some(file.bytes.clone()), executable: file.executable },
        }
    }

    fn into_file(self) -> File {
        let bytes = self.text.map(String::into_bytes).or(self.bytes).unwrap_or_default();
        File { bytes, executable: self.executable }
    }
}
