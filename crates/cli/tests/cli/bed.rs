//! A home of its own for each test: empty environment, no colours, fixed width.

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use serde_json::Value;
use tempfile::TempDir;

/// A directory with nothing in it, and the program in it.
pub struct Bed {
    dir: TempDir,
}

/// What one command said; paths of the bed are shown as `[BED]`.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Bed {
    pub fn new() -> Self {
        Self { dir: TempDir::new().expect("a temporary directory") }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs_err::write(&path, text).expect("the bed is writable");
        path
    }

    /// The program, in this bed and in no other environment.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::cargo_bin("platform").expect("cargo has built the binary");
        command
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .env("NO_COLOR", "1")
            .env("COLUMNS", "100")
            .current_dir(self.path())
            .args(words);
        command
    }

    pub fn run(&self, words: &[&str]) -> Said {
        self.said(self.command(words).output().expect("the program starts"))
    }

    pub fn said(&self, output: std::process::Output) -> Said {
        let text = |bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).expect("the program speaks UTF-8");
            text.replace(&*self.path().to_string_lossy(), "[BED]")
        };
        Said {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Said {
    /// stdout as the one JSON document it must be.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }

    /// Everything, for a snapshot.
    pub fn story(&self) -> String {
        let mut story = format!("exit {}\n", self.code);
        for (channel, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                story.push_str(&format!("--- {channel}\n{text}"));
            }
        }
        story
    }
}
