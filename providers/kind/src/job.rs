//! `kind create cluster`, begun and left to itself: its lock, its log, and what is known of it afterwards.

use std::{
    fs::{File, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use serde::{Deserialize, Serialize};

use crate::{archive::Loaded, recipe::Recipe};

/// What this machine keeps about the making of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    folder: PathBuf,
}

/// The lock, held. Whoever gets [`Held::log`] as its output holds it too.
pub(crate) struct Held {
    pub log: File,
}

/// What is known here of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// Kind has said that all is done.
    Finished,
    /// It was begun here, and kind has not said so.
    Unfinished,
    /// It was not begun here, or long forgotten.
    Nothing,
}

/// How often it is looked whether a killed process is gone, and how soon again: ten seconds, where the kernel needs some
/// milliseconds. One that was not killed is looked at as often.
const LOOKS: u32 = 500;
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Which file of the user has an entry of the cluster.
const MERGED: &str = "merged.json";

/// Which file has what was loaded into the nodes.
const LOADED: &str = "loaded.json";

/// A file of the user into which the entry of a cluster came.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Into {
    pub file: PathBuf,
    /// Its folder was made for it.
    pub made_folder: bool,
    pub platform: String,
    pub cluster: String,
}

/// How much of the log's end is shown.
const LAST_WORDS: usize = 6;

impl Job {
    /// The job of a cluster, by the name that kind knows it by.
    pub fn of(root: &Path, stem: &str) -> Self {
        Self { folder: root.join(stem) }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The kubeconfig that kind writes when all is done: that it is there says so.
    pub fn kubeconfig(&self) -> PathBuf {
        self.file("kubeconfig")
    }

    /// The file of the user into which the cluster's entry came, if it did.
    pub fn merged(&self) -> Option<Into> {
        serde_json::from_slice(&std::fs::read(self.file(MERGED)).ok()?).ok()
    }

    /// Remembers it.
    pub fn remember_merged(&self, into: &Into) -> io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        write(&self.file(MERGED), &serde_json::to_vec(into)?)
    }

    /// Forgets it, when the entry is gone.
    pub fn forget_merged(&self) -> io::Result<()> {
        remove(&self.file(MERGED))?;
        // It may be all that was there.
        let _more = std::fs::remove_dir(&self.folder);
        Ok(())
    }

    /// What was loaded into the nodes from archives.
    pub fn loaded(&self) -> Vec<Loaded> {
        let text = std::fs::read(self.file(LOADED)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Remembers it, as long as the nodes live.
    pub fn remember_loaded(&self, loaded: &[Loaded]) -> io::Result<()> {
        write(&self.file(LOADED), &serde_json::to_vec(loaded)?)
    }

    /// Every job of a folder.
    pub fn all(root: &Path) -> Vec<Self> {
        let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
        let mut all: Vec<Self> = entries.map(|entry| Self { folder: entry.path() }).collect();
        all.sort_by(|a, b| a.folder.cmp(&b.folder));
        all
    }

    /// The configuration that kind is given.
    pub fn config(&self) -> PathBuf {
        self.file("config.yaml")
    }

    /// The folder that nodes mount for their registries.
    pub fn mirrors(&self) -> PathBuf {
        self.file("certs.d")
    }

    /// What kind says while it is at work; the lock lies on this file.
    pub fn log(&self) -> PathBuf {
        self.file("log")
    }

    /// Takes the lock; `None` when kind, or somebody who is about to start it, holds it.
    pub fn lock(&self) -> io::Result<Option<Held>> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        loop {
            let log = File::options().create(true).append(true).read(true).mode(0o600).open(self.log())?;
            match log.try_lock() {
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
                Ok(()) => {}
            }
            // The file may have been removed by who held it before us; then this lock is nobody's business.
            let there = std::fs::metadata(self.log()).map(|metadata| metadata.ino()).ok();
            if there == Some(log.metadata()?.ino()) {
                return Ok(Some(Held { log }));
            }
        }
    }

    /// Whether kind is at work.
    pub fn is_running(&self) -> io::Result<bool> {
        match File::open(self.log()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            Ok(log) => match log.try_lock_shared() {
                Err(TryLockError::WouldBlock) => Ok(true),
                Err(TryLockError::Error(error)) => Err(error),
                Ok(()) => Ok(false),
            },
        }
    }

    /// Waits for kind's end, but not for long; whether it is at work still. Looking at a lock costs next to nothing.
    pub async fn is_running_after(&self, patience: Duration) -> io::Result<bool> {
        let until = tokio::time::Instant::now() + patience;
        while self.is_running()? {
            if tokio::time::Instant::now() >= until {
                return Ok(true);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(false)
    }

    /// The attempt that was begun here last.
    pub fn attempt(&self) -> Option<String> {
        std::fs::read_to_string(self.file("attempt")).ok()
    }

    /// What is known here of an attempt.
    pub fn knows(&self, attempt: &str) -> Known {
        if self.attempt().as_deref() != Some(attempt) {
            return Known::Nothing;
        }
        if self.kubeconfig().exists() { Known::Finished } else { Known::Unfinished }
    }

    /// Writes down what an attempt begins with. Its own name comes first: from then on the rest is of no other.
    pub fn prepare(&self, held: &Held, attempt: &str, recipe: &Recipe) -> io::Result<()> {
        held.log.set_len(0)?;
        for stale in [self.file("attempt"), self.file("pid"), self.file(LOADED), self.kubeconfig()] {
            remove(&stale)?;
        }
        write(&self.file("attempt"), attempt.as_bytes())?;
        write(&self.config(), recipe.text.as_bytes())?;
        for (path, text) in &recipe.mirrors {
            let file = self.mirrors().join(path);
            if let Some(folder) = file.parent() {
                std::fs::create_dir_all(folder)?;
            }
            std::fs::write(file, text)?;
        }
        Ok(())
    }

    /// Remembers whom to stop.
    pub fn started(&self, pid: u32) -> io::Result<()> {
        write(&self.file("pid"), pid.to_string().as_bytes())
    }

    /// Takes the lock, from kind if need be: its end is not waited for long, for it is killed. `None` when it is not known
    /// who holds it.
    pub async fn end(&self) -> io::Result<Option<Held>> {
        for _ in 0..LOOKS {
            if let Some(held) = self.lock()? {
                return Ok(Some(held));
            }
            self.stop();
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Ok(None)
    }

    /// Kills kind, if it is known who it is. Only for whoever has seen that the lock is held: the number is that of its
    /// holder.
    fn stop(&self) {
        let pid = std::fs::read_to_string(self.file("pid")).ok().and_then(|text| text.trim().parse().ok());
        if let Some(pid) = pid.filter(|pid: &i32| *pid > 1) {
            // It may have ended in this moment.
            let _gone = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }

    /// Forgets everything, by whoever holds the lock; but not an entry that could not be taken out of the user's file.
    pub fn forget(&self, _held: Held) -> io::Result<()> {
        let merged = self.merged();
        let forgotten = std::fs::remove_dir_all(&self.folder);
        if let Some(into) = merged {
            self.remember_merged(&into)?;
        }
        match forgotten {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// What kind said at last.
    pub fn last_words(&self) -> Vec<String> {
        let mut text = String::new();
        // Without a log there are no words.
        let _read = File::open(self.log()).and_then(|mut log| log.read_to_string(&mut text));
        last_words(&text)
    }
}

/// The lines from the last complaint on, or else the last ones; escape sequences left out.
fn last_words(text: &str) -> Vec<String> {
    let lines: Vec<String> = text.lines().map(plain).filter(|line| !line.is_empty()).collect();
    let from = lines
        .iter()
        .rposition(|line| line.starts_with("ERROR:"))
        .unwrap_or(lines.len().saturating_sub(LAST_WORDS));
    lines.into_iter().skip(from).take(LAST_WORDS).collect()
}

fn plain(line: &str) -> String {
    let mut plain = String::new();
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => drop(characters.by_ref().find(char::is_ascii_alphabetic)),
            '\r' => plain.clear(),
            other => plain.push(other),
        }
    }
    plain.trim().to_owned()
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;
    use crate::programs::Programs;

    fn recipe() -> Recipe {
        let mirrors = vec![("docker.io/hosts.toml".to_owned(), "x".to_owned())];
        Recipe { text: "kind: Cluster\n".into(), mirrors, digest: "d".into() }
    }

    #[tokio::test]
    async fn the_lock_lives_as_long_as_the_program_that_has_it_as_its_output() {
        let root = tempfile::tempdir().expect("a directory");
        let job = Job::of(root.path(), "demo");
        assert!(!job.is_running().expect("looked"));
        let held = job.lock().expect("a lock").expect("it was free");
        job.prepare(&held, "one", &recipe()).expect("prepared");
        assert_eq!((job.knows("one"), job.knows("two")), (Known::Unfinished, Known::Nothing));
        let kind = ["sh", "-c", "echo hello; exec sleep 600", "kind"].map(OsString::from).to_vec();
        let door = Programs { kind, ..Programs::default() }.open(None);
        let pid = door.leave(&["x"], None, &held.log).expect("started");
        job.started(pid).expect("written");
        drop(held);
        assert!(job.is_running().expect("looked") && job.lock().expect("tried").is_none());
        let (begun, patience) = (std::time::Instant::now(), Duration::from_millis(50));
        assert!(job.is_running_after(patience).await.expect("looked") && begun.elapsed() >= patience);
        let held = job.end().await.expect("a lock").expect("it was killed");
        assert!(job.is_running_after(patience).await.expect("looked"), "now we have the lock");
        job.forget(held).expect("forgotten");
        assert_eq!(job.knows("one"), Known::Nothing);
    }

    #[test]
    fn an_attempt_is_finished_when_kind_has_written_its_last_file() {
        let root = tempfile::tempdir().expect("a directory");
        let job = Job::of(root.path(), "demo");
        let held = job.lock().expect("a lock").expect("it was free");
        job.prepare(&held, "one", &recipe()).expect("prepared");
        std::fs::write(job.kubeconfig(), "x").expect("written");
        assert_eq!(job.knows("one"), Known::Finished);
        job.prepare(&held, "two", &recipe()).expect("prepared");
        assert_eq!((job.knows("one"), job.knows("two")), (Known::Nothing, Known::Unfinished));
        assert!(job.mirrors().join("docker.io/hosts.toml").exists());
    }

    #[test]
    fn the_last_words_are_the_complaint() {
        let text = " \u{1b}[32m✓\u{1b}[0m Preparing nodes\nERROR: failed to create cluster: port\nCommand Output: x\n";
        assert_eq!(last_words(text), ["ERROR: failed to create cluster: port", "Command Output: x"]);
        assert_eq!(last_words("\u{1b}[?25la\r b\n"), ["b"]);
        assert!(last_words("").is_empty());
    }
}
