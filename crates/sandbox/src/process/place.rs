//! The folder of a sandbox, and what lies in it.

use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The folder of a sandbox. All of it is the owner's alone: 0700, files 0600.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place(PathBuf);

/// Where a running sandbox is, as it writes it down for clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The process.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// Since when it runs.
    pub since: Timestamp,
    /// The cloud's API: `https://127.0.0.1:1234`.
    pub url: String,
    /// The certificate of the authority that its servers show, PEM.
    pub ca: String,
    /// The key by which clients log in to the cloud.
    pub key: String,
    /// The object store: `https://127.0.0.1:1235`.
    pub s3: String,
    /// The DNS server: `127.0.0.1:1236`.
    pub dns: String,
}

impl Place {
    /// A folder; made when it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn open(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o700))?;
        Ok(Self(folder.canonicalize()?))
    }

    /// The folder itself.
    pub fn folder(&self) -> &Path {
        &self.0
    }

    /// The socket by which it is told what to do.
    pub fn socket(&self) -> PathBuf {
        self.0.join("control.sock")
    }

    /// Everything that outlives the process.
    pub fn database(&self) -> PathBuf {
        self.0.join("sandbox.db")
    }

    /// What it says while it runs.
    pub fn log(&self) -> PathBuf {
        self.0.join("sandbox.log")
    }

    /// What it has fetched of other repositories.
    pub fn fetched(&self) -> PathBuf {
        self.0.join("fetched")
    }

    /// Kubeconfigs of its clusters, for people.
    pub fn kubeconfig(&self, cluster: &str) -> PathBuf {
        self.0.join("kubeconfigs").join(format!("{cluster}.yaml"))
    }

    /// Where the running sandbox is.
    pub fn connection(&self) -> PathBuf {
        self.0.join("connection.json")
    }

    /// Reads where the running sandbox is; `None` when none has written it down.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn connected(&self) -> io::Result<Option<Connection>> {
        match std::fs::read(self.connection()) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).map_err(io::Error::other)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes the folder for this process, for as long as the file lives. `None`: another process has it.
    ///
    /// # Errors
    /// When the lock's file cannot be opened.
    pub fn take(&self) -> io::Result<Option<File>> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(self.0.join("sandbox.lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Writes a file that only its owner may read, whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        use io::Write;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let half = path.with_extension(format!("half-{}", std::process::id()));
        let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(&half)?;
        file.write_all(bytes)?;
        std::fs::rename(&half, path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_a_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = Place::open(dir.path().join("sandbox")).expect("made");
        let taken = place.take().expect("a file");
        assert!(taken.is_some());
        // Locks of flock(2) are of the open file, so the same process stands for another one.
        assert!(place.take().expect("a file").is_none());
        drop(taken);
        assert!(place.take().expect("a file").is_some());
    }

    #[test]
    fn what_is_written_is_the_owners_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = Place::open(dir.path().join("sandbox")).expect("made");
        assert_eq!(place.connected().expect("nothing"), None);
        let path = place.kubeconfig("demo");
        place.write(&path, b"x").expect("written");
        let mode = |path: &Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(place.folder())), (0o600, 0o700));
    }
}
