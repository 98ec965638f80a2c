//! The program on the sandbox, with nothing around it: no bed, no other component.

use std::{
    ffi::OsStr,
    path::Path,
    process::Command,
    sync::{Condvar, Mutex, PoisonError},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Output, Started, bed::binary};

/// A home and a state folder of its own for the program, whose sandbox needs nothing else.
///
/// # Guarantees
/// Its sandbox is stopped and its folders are removed when it is dropped.
pub struct Alone {
    dir: TempDir,
    _slot: Slot,
}

/// A place among those that work at once: as many as there are processors. Whoever waits for a bed or for nodes waits in a
/// thread of the test harness, so there have to be many more of those.
struct Slot;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

impl Slot {
    fn take() -> Self {
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        let taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken =
            FREED.wait_while(taken, |taken| *taken >= all).unwrap_or_else(PoisonError::into_inner);
        *taken += 1;
        Self
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}

impl Alone {
    /// An empty one, when it is its turn.
    ///
    /// # Panics
    /// When no folder can be made.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        let slot = Slot::take();
        Self { dir: TempDir::new().unwrap_or_else(|cause| panic!("a folder: {cause}")), _slot: slot }
    }

    /// Its folder; the program starts in it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its sandbox's folder.
    pub fn sandbox(&self) -> std::path::PathBuf {
        self.dir().join("state/sandbox")
    }

    /// The built `platform`, in an environment of its own.
    ///
    /// # Panics
    /// When it is not built.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let mut command = Command::new(Self::program("platform"));
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.dir())
            .env("LANG", "C.UTF-8")
            .env("PLATFORM_STATE", self.dir().join("state"))
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "0")
            .args(args)
            .args(["--output", "json"])
            .current_dir(self.dir());
        command
    }

    /// A binary of this workspace.
    ///
    /// # Panics
    /// When it is not built.
    pub fn program(name: &str) -> std::path::PathBuf {
        binary(name).unwrap_or_else(|trouble| panic!("{trouble}"))
    }

    /// Runs the program to its end.
    pub fn platform<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        Output::of(&mut self.command(args))
    }

    /// Starts the program.
    pub fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Started {
        Started::new(&mut self.command(args))
    }

    /// The calls of the sandbox's cloud that have changed something: what was asked, and of what.
    ///
    /// # Panics
    /// When the sandbox does not run.
    #[track_caller]
    pub fn changes(&self) -> Vec<(String, String)> {
        let calls = self.platform(["sandbox", "calls"]).ok().json();
        let calls = calls["calls"].as_array().cloned().unwrap_or_default();
        let word = |call: &Value, key: &str| call[key].as_str().unwrap_or_default().to_owned();
        let changed = calls.iter().filter(|call| call["changed"] == true);
        changed.map(|call| (word(call, "operation"), word(call, "target"))).collect()
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let stopped = self.platform(["sandbox", "stop"]);
        // a panic here would hide why the test has failed
        if stopped.status != 0 && !std::thread::panicking() {
            panic!("the sandbox does not stop: {stopped:?}");
        }
    }
}
