//! A file that belongs to the user and that other programs write too: locked, read, and replaced in one moment.

use std::{
    fs::{File, Permissions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
    time::Duration,
};

/// How often it is tried to lock, and how soon again: five seconds, where `kubectl` holds its lock for some milliseconds.
const TRIES: u32 = 100;
const TRY_AGAIN: Duration = Duration::from_millis(50);

/// What our locks begin with; those of `kubectl` are empty.
const OURS: &str = "platform ";

/// A file, locked as `kubectl` does: by a file beside it that whoever comes first has made.
///
/// # Guarantees
/// The lock goes with this value. One that a killed process of ours has left is known by the kernel's lock that went with the process,
/// and is taken away; one that somebody else has left never is.
pub(crate) struct Locked {
    /// Where it really is.
    path: PathBuf,
    lock: PathBuf,
    /// The folder was made for it.
    made_folder: bool,
    _held: File,
}

/// What a lock's file turned out to be.
enum Stale {
    Gone,
    Held,
}

impl Locked {
    /// Locks a file that may not be there; `None` when somebody else does not let go of it.
    pub async fn new(path: &Path) -> io::Result<Option<Self>> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let made_folder = !folder.exists();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let lock = lock_of(path);
        for _ in 0..TRIES {
            match take(&lock)? {
                Some(_held) => {
                    let locked = Self { path: real(path), lock, made_folder, _held };
                    // What a killed process had not finished.
                    remove(&locked.new_file())?;
                    return Ok(Some(locked));
                }
                None => match stale(&lock)? {
                    Stale::Gone => {}
                    Stale::Held => tokio::time::sleep(TRY_AGAIN).await,
                },
            }
        }
        Ok(None)
    }

    /// Whether the folder was not there before the lock.
    pub fn made_folder(&self) -> bool {
        self.made_folder
    }

    /// What is in it; `None` when it is not there.
    pub fn read(&self) -> io::Result<Option<String>> {
        read(&self.path)
    }

    /// Replaces it in one moment: whoever reads it sees what it was or what it is to be. Its mode and owner stay.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let new = self.new_file();
        let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        let written = (|| {
            file.write_all(text.as_bytes())?;
            if let Ok(old) = std::fs::metadata(&self.path) {
                // Only root may give files away; the mode that others have for it comes after.
                let _given = fchown(&file, Some(old.uid()), Some(old.gid()));
                file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
            }
            file.sync_all()?;
            std::fs::rename(&new, &self.path)
        })();
        if written.is_err() {
            let _removed = remove(&new);
        }
        written?;
        self.sync_folder()
    }

    /// Removes it, and its folder too if that was made for it and is empty but for our lock.
    pub fn remove(self, with_folder: bool) -> io::Result<()> {
        remove(&self.path)?;
        self.sync_folder()?;
        let folder = self.path.parent().map(Path::to_owned);
        drop(self);
        if with_folder && let Some(folder) = folder {
            // Somebody else may keep something in it.
            let _kept = std::fs::remove_dir(folder);
        }
        Ok(())
    }

    fn new_file(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.platform"))
    }

    fn sync_folder(&self) -> io::Result<()> {
        self.path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _removed = remove(&self.lock);
    }
}

/// What is in a file; `None` when it is not there.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    let mut text = String::new();
    match File::open(path).and_then(|mut file| file.read_to_string(&mut text)) {
        Ok(_) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// By which file `kubectl` locks one.
pub(crate) fn lock_of(path: &Path) -> PathBuf {
    let mut lock = path.as_os_str().to_owned();
    lock.push(".lock");
    lock.into()
}

/// Where a link leads, also when nothing is there.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    match std::fs::read_link(path) {
        Ok(to) => path.parent().unwrap_or(Path::new(".")).join(to),
        Err(_) => path.to_owned(),
    }
}

fn take(lock: &Path) -> io::Result<Option<File>> {
    match File::options().write(true).create_new(true).mode(0o600).open(lock) {
        Ok(mut file) => {
            // In this order: who reads that it is ours may believe that the kernel knows whether we live.
            file.lock()?;
            file.write_all(format!("{OURS}{}\n", std::process::id()).as_bytes())?;
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

/// Takes away what a killed process of ours has left.
fn stale(lock: &Path) -> io::Result<Stale> {
    let mut file = match File::open(lock) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Stale::Gone),
        // Of `kubectl`: nobody may read it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(Stale::Held),
        opened => opened?,
    };
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(Stale::Held),
        Err(TryLockError::Error(error)) => return Err(error),
        Ok(()) => {}
    }
    let mut whose = String::new();
    let ours = file.read_to_string(&mut whose).is_ok() && whose.starts_with(OURS);
    let same =
        std::fs::metadata(lock).is_ok_and(|there| file.metadata().is_ok_and(|it| it.ino() == there.ino()));
    match (ours, same) {
        (true, true) => remove(lock).map(|()| Stale::Gone),
        (_, false) => Ok(Stale::Gone),
        (false, true) => Ok(Stale::Held),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("it is there").mode() & 0o777
    }

    #[tokio::test]
    async fn it_is_replaced_with_its_mode_and_through_links() {
        let folder = tempfile::tempdir().expect("a directory");
        let (file, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&file, "old").expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("set");
        std::os::unix::fs::symlink("real", &link).expect("a link");
        let locked = Locked::new(&link).await.expect("locked").expect("free");
        assert!(lock_of(&link).exists());
        assert_eq!(locked.read().expect("read").as_deref(), Some("old"));
        locked.write("new").expect("written");
        drop(locked);
        assert_eq!(std::fs::read_to_string(&file).expect("read"), "new");
        assert_eq!(mode(&file), 0o640);
        assert!(link.is_symlink() && !lock_of(&link).exists());
        assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 2, "nothing else is left");
    }

    #[tokio::test]
    async fn one_that_is_made_is_for_its_user_alone_and_goes_with_its_folder() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join(".kube/config");
        let locked = Locked::new(&file).await.expect("locked").expect("free");
        assert!(locked.made_folder() && locked.read().expect("read").is_none());
        locked.write("new").expect("written");
        assert_eq!((mode(&file), mode(&folder.path().join(".kube"))), (0o600, 0o700));
        locked.remove(true).expect("removed");
        assert!(!folder.path().join(".kube").exists());
    }

    #[tokio::test]
    async fn a_lock_is_respected_and_one_of_ours_that_was_killed_is_not() {
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join("config");
        let held = Locked::new(&file).await.expect("locked").expect("free");
        assert!(take(&lock_of(&file)).expect("tried").is_none());
        assert!(matches!(stale(&lock_of(&file)), Ok(Stale::Held)), "it is held by somebody alive");
        // Killed: the kernel lets go, the file stays, and so does half of what was written.
        std::fs::write(held.new_file(), "half").expect("written");
        let Locked { path, lock, _held, .. } = &held;
        _held.unlock().expect("unlocked");
        assert!(path.parent().is_some() && lock.exists());
        let again = Locked::new(&file).await.expect("locked").expect("taken over");
        assert!(!again.new_file().exists());
        drop(again);
        // Of `kubectl`.
        std::fs::write(lock_of(&file), "").expect("written");
        assert!(matches!(stale(&lock_of(&file)), Ok(Stale::Held)));
        std::fs::remove_file(lock_of(&file)).expect("removed");
    }
}
