//! Publishing over smart HTTP with a password, against `git http-backend`.

mod support;

use std::{path::Path, time::Duration};

use platform_gitops::{Git, History, Published, Remote, Seen, Tree};
use platform_spec::Failure;
use support::{
    git, info, person_pushes,
    server::{Mood, Server},
    tree,
};

const PASSWORD: &str = "c4nary-pässwörd:/@%";

struct Bed {
    home: tempfile::TempDir,
    server: Server,
    git: Git,
    remote: Remote,
}

impl Bed {
    async fn new() -> Self {
        let home = tempfile::tempdir().expect("temp folder");
        let bare = home.path().join("srv/demo.git");
        git("/", &["init", "--quiet", "--bare", "--initial-branch=main", bare.to_str().expect("text")]);
        git(bare.to_str().expect("text"), &["config", "http.receivepack", "true"]);
        let server = Server::start(&home.path().join("srv"), "platform", PASSWORD).await;
        let git = Git::find(home.path().join("work")).await.expect("git is there");
        let remote = Remote::with_password(server.url("demo.git"), "platform", PASSWORD.into());
        Self { home, server, git, remote }
    }

    fn bare(&self) -> String {
        self.home.path().join("srv/demo.git").display().to_string()
    }

    async fn publish(&self, tree: &Tree) -> Result<Published, Failure> {
        self.git.publish(&self.remote, "main", tree, &History::default(), &info()).await
    }
}

/// Nothing of the password, in any spelling, is in a text.
fn clean(text: &str) {
    for needle in ["c4nary", "cGxhdGZvcm06"] {
        assert!(!text.contains(needle), "`{needle}` is in: {text}");
    }
}

fn refused_as(result: Result<Published, Failure>, code: &str, class: &str) -> Failure {
    let failure = result.expect_err("refused");
    assert_eq!((failure.code.as_str(), failure.class.as_str()), (code, class), "{failure:?}");
    clean(&format!("{failure:?}"));
    failure
}

#[tokio::test]
async fn publishes_with_a_password_and_a_second_time_changes_nothing() {
    let bed = Bed::new().await;
    // More than git's http.postBuffer (1 MiB), so that the chunked way is taken as well.
    let noise: String =
        (0..160_000).map(|n: u32| format!("{:08x}\n", n.wrapping_mul(2_654_435_761))).collect();
    let files = tree(&[("a", "1"), ("noise", &noise)]);
    let seen = bed.git.observe(&bed.remote, "main", &files, &History::default()).await.expect("observed");
    assert_eq!(seen, Seen::Empty);
    let first = bed.publish(&files).await.expect("published");
    assert!(first.changed && !first.created);
    assert!(!bed.publish(&files).await.expect("published").changed);
    assert_eq!(git(&bed.bare(), &["rev-parse", "main"]).trim(), first.commit);
    let history = History { known: Some(first.commit.clone()), ..History::default() };
    let next = tree(&[("a", "2")]);
    let second = bed.git.publish(&bed.remote, "main", &next, &history, &info()).await.expect("published");
    assert_eq!(git(&bed.bare(), &["rev-parse", "main^"]).trim(), first.commit);
    let seen = bed.git.observe(&bed.remote, "main", &next, &history).await.expect("the first is an ancestor");
    assert_eq!(seen, Seen::Same { commit: second.commit });
}

#[tokio::test]
async fn a_wrong_password_a_missing_one_and_a_missing_repository() {
    let mut bed = Bed::new().await;
    let files = tree(&[("a", "1")]);
    bed.remote.password = Some("c4nary-wrong".into());
    let failure = refused_as(bed.publish(&files).await, "P0303", "auth_expired");
    assert!(failure.message.contains("/demo.git"), "{failure:?}");
    bed.remote.password = None;
    refused_as(bed.publish(&files).await, "P0303", "auth_expired");
    bed.remote = Remote::with_password(bed.server.url("other.git"), "platform", PASSWORD.into());
    let seen = bed.git.observe(&bed.remote, "main", &files, &History::default()).await.expect("observed");
    assert_eq!(seen, Seen::Missing);
    refused_as(bed.publish(&files).await, "P0305", "not_found");
}

#[tokio::test]
async fn what_a_server_says_in_trouble() {
    let bed = Bed::new().await;
    let files = tree(&[("a", "1")]);
    for (status, code, class) in [
        (403, "P0304", "forbidden"),
        (429, "P0306", "throttled"),
        (500, "P0306", "retryable"),
        (503, "P0306", "retryable"),
    ] {
        bed.server.set(Mood::Status(status));
        refused_as(bed.publish(&files).await, code, class);
    }
    bed.server.set(Mood::Serving);
    git(&bed.bare(), &["config", "http.receivepack", "false"]);
    refused_as(bed.publish(&files).await, "P0304", "forbidden");
}

#[tokio::test]
async fn nobody_there_and_one_who_never_answers() {
    let bed = Bed::new().await;
    let files = tree(&[("a", "1")]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    let remote = Remote::with_password(format!("http://{address}/a.git"), "platform", PASSWORD.into());
    let hasty = bed.git.clone().with_limit(Duration::from_millis(500));
    let silent = hasty.publish(&remote, "main", &files, &History::default(), &info()).await;
    refused_as(silent, "P0306", "retryable");
    drop(listener);
    let gone = bed.git.publish(&remote, "main", &files, &History::default(), &info()).await;
    refused_as(gone, "P0306", "retryable");
}

#[tokio::test]
async fn a_redirect_is_not_followed_with_the_password_in_hand() {
    let bed = Bed::new().await;
    let other = Server::start(Path::new("/nonexistent"), "x", "y").await;
    bed.server.set(Mood::Redirect(other.address));
    refused_as(bed.publish(&tree(&[("a", "1")])).await, "P0305", "config");
    assert_eq!(other.seen(), [], "nobody else was asked");
}

#[tokio::test]
async fn a_push_in_between_is_a_conflict_and_nothing_is_overwritten() {
    let bed = Bed::new().await;
    bed.publish(&tree(&[("a", "1")])).await.expect("published");
    // The server moves the branch on when the push arrives: after our look, before our push is taken.
    let hook = "#!/bin/sh\nunset GIT_QUARANTINE_PATH\n\
                git update-ref refs/heads/main $(git commit-tree -p main -m race 'main^{tree}')\n";
    let hooks = Path::new(&bed.bare()).join("hooks");
    std::fs::create_dir_all(&hooks).expect("made");
    std::fs::write(hooks.join("pre-receive"), hook).expect("written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(hooks.join("pre-receive"), executable).expect("executable");
    for key in ["user.name", "user.email"] {
        git(&bed.bare(), &["config", key, "rival"]);
    }
    let failure = refused_as(bed.publish(&tree(&[("a", "2")])).await, "P0308", "conflict_in_progress");
    assert!(failure.causes[0].starts_with("history was moved by someone else"), "{failure:?}");
    assert_eq!(git(&bed.bare(), &["log", "-1", "--format=%s", "main"]).trim(), "race");
    std::fs::remove_file(hooks.join("pre-receive")).expect("removed");
    assert!(bed.publish(&tree(&[("a", "2")])).await.expect("on top of it").changed);
    assert_eq!(git(&bed.bare(), &["log", "-2", "--format=%s", "main"]), "render platform demo\nrace\n");
}

/// X-07: the password is in no file that is left, and in no command line while `git` runs.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_is_nowhere_to_be_found() {
    let bed = Bed::new().await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let watching = stop.clone();
    let watcher = std::thread::spawn(move || {
        let mut lines = std::collections::BTreeSet::new();
        while !watching.load(std::sync::atomic::Ordering::Relaxed) {
            let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
            for process in processes {
                if let Ok(line) = std::fs::read(process.path().join("cmdline")) {
                    lines.insert(String::from_utf8_lossy(&line).replace('\0', " "));
                }
            }
        }
        lines
    });
    for n in 0..3 {
        bed.publish(&tree(&[("a", &n.to_string())])).await.expect("published");
        bed.git.observe(&bed.remote, "main", &tree(&[]), &History::default()).await.expect("observed");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let lines = watcher.join().expect("watched");
    let port = bed.server.address.port().to_string();
    let ours: Vec<_> = lines.iter().filter(|line| line.contains(&port)).collect();
    assert!(ours.iter().any(|line| line.contains("remote-http")), "the watcher saw git at work: {ours:?}");
    ours.iter().for_each(|line| clean(line));
    let output = std::process::Command::new("grep")
        .args(["-r", "-l", "-e", "c4nary", "-e", "cGxhdGZvcm06"])
        .arg(bed.home.path())
        .output()
        .expect("grep runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
}

/// A person's edit and a publish of ours through the same server.
#[tokio::test]
async fn a_persons_commit_is_kept() {
    let bed = Bed::new().await;
    bed.publish(&tree(&[("a", "1")])).await.expect("published");
    person_pushes(&format!("file://{}", bed.bare()), &[("NOTES.md", Some("mine"))]);
    bed.publish(&tree(&[("a", "2")])).await.expect("published");
    assert_eq!(
        git(&bed.bare(), &["ls-tree", "-r", "--name-only", "main"]),
        ".platform/files.json\nNOTES.md\na\n"
    );
}
