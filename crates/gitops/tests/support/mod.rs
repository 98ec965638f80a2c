//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses its own part of it")]

pub mod server;

use std::{path::Path, process::Command};

use platform_gitops::{CommitInfo, File, Tree};

/// A tree of ordinary files.
pub fn tree(files: &[(&str, &str)]) -> Tree {
    files.iter().map(|(path, text)| ((*path).to_owned(), File::new(*text))).collect()
}

/// The same commit each time.
pub fn info() -> CommitInfo {
    CommitInfo {
        message: "render platform demo\n\nrevision 7\n".into(),
        author: "platform".into(),
        email: "platform@example.com".into(),
        when: "2025-06-15T15:06:40Z".parse().expect("a time"),
    }
}

/// Runs `git` as a person would, and gives back what it says.
pub fn git(folder: &str, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .envs([
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ])
        .envs([("GIT_AUTHOR_NAME", "Ada"), ("GIT_AUTHOR_EMAIL", "ada@example.com")])
        .envs([("GIT_COMMITTER_NAME", "Ada"), ("GIT_COMMITTER_EMAIL", "ada@example.com")])
        .output()
        .expect("git runs");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A person clones, writes (or with `None` removes) files, commits and pushes to `main`.
pub fn person_pushes(url: &str, files: &[(&str, Option<&str>)]) {
    let desk = tempfile::tempdir().expect("temp folder");
    let clone = desk.path().join("clone");
    let clone = clone.to_str().expect("text");
    git("/", &["clone", "--quiet", "--branch", "main", url, clone]);
    for (path, text) in files {
        let file = Path::new(clone).join(path);
        match text {
            Some(text) => {
                std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
                std::fs::write(file, text).expect("written");
            }
            None => std::fs::remove_file(file).expect("removed"),
        }
    }
    git(clone, &["add", "--all"]);
    git(clone, &["commit", "--quiet", "-m", "by hand"]);
    git(clone, &["push", "--quiet", "origin", "HEAD:main"]);
}

/// Scratch folders in a work folder.
pub fn leftovers(work: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(work).expect("a folder").flatten();
    entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .filter(|name| name != ".lock")
        .collect()
}
