use std::{path::Path, process::Command, time::Duration};

use secrecy::SecretString;

use super::*;
use crate::play::around::{Files, Remote, Repositories};

fn files(text: &str) -> Files {
    Files::from([("a/b.yaml".to_owned(), text.as_bytes().to_vec())])
}

fn remote(url: &str) -> Remote {
    Remote { url: url.to_owned(), ..Remote::default() }
}

#[test]
fn commits_in_memory_are_named_after_what_they_hold() {
    let memory = Memory::new();
    let url = "https://git.example.com/a.git";
    let one = memory.commit(url, "main", files("one"));
    let two = memory.commit(url, "main", files("two"));
    assert_ne!(one, two);
    assert_eq!(Memory::new().commit("https://elsewhere/b", "x", files("one")), one);
    let at = remote("https://git.example.com/b");
    assert!(memory.resolve(&at, "main").expect_err("another path").contains("repository not found"));
    let at = remote("https://GIT.example.com/A/");
    for revision in ["main", "HEAD", "", "refs/heads/main", two.as_str()] {
        assert_eq!(memory.resolve(&at, revision).expect("there"), two, "{revision}");
    }
    assert_eq!(memory.resolve(&at, &one).expect("old ones stay"), one);
    assert_eq!(memory.files(&at, &one).expect("there")["a/b.yaml"], b"one");
    assert!(
        memory
            .resolve(&at, "nope")
            .expect_err("no branch")
            .contains("unable to resolve 'nope' to a commit SHA")
    );
}

#[test]
fn a_locked_repository_wants_the_password() {
    let memory = Memory::new();
    let url = "https://git.example.com/a.git";
    let commit = memory.commit(url, "main", files("one"));
    memory.lock(url, "me", SecretString::from("pw"));
    let with = |username: Option<&str>, password: Option<&str>| {
        let login = Remote {
            url: url.to_owned(),
            username: username.map(str::to_owned),
            password: password.map(SecretString::from),
        };
        memory.resolve(&login, "main")
    };
    assert!(with(None, None).expect_err("nobody").contains("authentication required"));
    assert!(with(Some("me"), Some("no")).expect_err("wrong").contains("authentication failed"));
    assert_eq!(with(Some("me"), Some("pw")).expect("right"), commit);
}

fn git(folder: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("HOME", folder)
        .output()
        .expect("git runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn real_repositories_are_read_at_each_commit() {
    let scratch = tempfile::tempdir().expect("a directory");
    let work = scratch.path().join("work");
    std::fs::create_dir(&work).expect("made");
    git(&work, &["init", "--quiet", "--initial-branch=main", "."]);
    let commit = |text: &str| {
        std::fs::create_dir_all(work.join("a")).expect("made");
        std::fs::write(work.join("a/b.yaml"), text).expect("written");
        git(&work, &["add", "."]);
        git(&work, &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "--quiet", "-m", "x"]);
        git(&work, &["rev-parse", "HEAD"])
    };
    let one = commit("one");
    git(&work, &["tag", "v1"]);
    let two = commit("two\n\n");
    let repositories = Git::new(scratch.path().join("cache"), Duration::from_secs(60));
    let at = remote(&format!("file://{}", work.display()));
    assert_eq!(repositories.resolve(&at, "main").expect("a branch"), two);
    assert_eq!(repositories.resolve(&at, "HEAD").expect("the head"), two);
    assert_eq!(repositories.resolve(&at, "v1").expect("a tag"), one);
    assert!(repositories.resolve(&at, "nope").expect_err("none").contains("unable to resolve 'nope'"));
    for (id, text) in [(&one, "one"), (&two, "two\n\n"), (&one, "one")] {
        let files = repositories.files(&at, id).expect("there");
        assert_eq!(String::from_utf8_lossy(&files["a/b.yaml"]), text);
        assert_eq!(files.len(), 1);
    }
    let nowhere = remote(&format!("file://{}/nowhere", scratch.path().display()));
    assert!(repositories.resolve(&nowhere, "main").expect_err("none").contains("repository not found"));
    let ssh = remote("git@github.com:a/b.git");
    assert!(repositories.resolve(&ssh, "main").expect_err("refused").contains("only https://"));
}
