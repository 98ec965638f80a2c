//! Publishing to `file:` repositories with the real `git`.

mod support;

use std::path::Path;

use platform_gitops::{
    File, Git, History, MANIFEST, Remote, Seen, Tree,
    compare::{Change, Kind},
};
use support::{git, info, person_pushes, tree};

struct Bed {
    home: tempfile::TempDir,
    git: Git,
    remote: Remote,
}

impl Bed {
    async fn new() -> Self {
        let home = tempfile::tempdir().expect("temp folder");
        let git = Git::find(home.path().join("work")).await.expect("git is there");
        let remote = Remote::new(format!("file://{}", home.path().join("deep/er/platform.git").display()));
        Self { home, git, remote }
    }

    fn repository(&self) -> String {
        self.remote.url.trim_start_matches("file://").to_owned()
    }

    async fn observe(&self, tree: &Tree) -> Seen {
        self.git.observe(&self.remote, "main", tree, &History::default()).await.expect("observed")
    }

    async fn publish(&self, tree: &Tree) -> platform_gitops::Published {
        self.git.publish(&self.remote, "main", tree, &History::default(), &info()).await.expect("published")
    }

    fn commits(&self) -> usize {
        git(&self.repository(), &["rev-list", "--count", "main"]).trim().parse().expect("a number")
    }

    fn show(&self, path: &str) -> String {
        git(&self.repository(), &["show", &format!("main:{path}")])
    }
}

#[tokio::test]
async fn makes_the_repository_and_a_second_time_changes_nothing() {
    let bed = Bed::new().await;
    let mut files = tree(&[
        ("README.md", "# hello\n"),
        ("apps/web/kustomization.yaml", "resources: []\n"),
        ("empty", ""),
    ]);
    files.insert("bin/run".into(), File { bytes: b"#!/bin/sh\0\xff\n".to_vec(), executable: true });

    assert_eq!(bed.observe(&files).await, Seen::Missing);
    let first = bed.publish(&files).await;
    assert!(first.changed && first.created);
    assert_eq!(bed.show("README.md"), "# hello\n");
    let listing = git(&bed.repository(), &["ls-tree", "-r", "--format=%(objectmode) %(path)", "main"]);
    insta::assert_snapshot!(listing);
    git(&bed.repository(), &["fsck", "--strict"]);

    assert_eq!(bed.observe(&files).await, Seen::Same { commit: first.commit.clone() });
    let second = bed.publish(&files).await;
    assert!(!second.changed && !second.created, "X-04: an unchanged render makes no commit");
    assert_eq!((second.commit, bed.commits()), (first.commit, 1));
    assert_eq!(support::leftovers(&bed.home.path().join("work")), Vec::<String>::new());
}

#[tokio::test]
async fn the_same_tree_gives_the_same_commit_in_two_places() {
    let (one, two) = (Bed::new().await, Bed::new().await);
    for step in ["1", "2"] {
        let files = tree(&[("a", step), ("b/c", "x")]);
        assert_eq!(one.publish(&files).await.commit, two.publish(&files).await.commit);
    }
    assert_eq!(
        git(&one.repository(), &["log", "-1", "--format=%an <%ae> %at %cn %ct %s%n%b", "main"]).trim(),
        "platform <platform@example.com> 1750000000 platform 1750000000 render platform demo\nrevision 7"
    );
}

#[tokio::test]
async fn files_of_people_stay_and_files_we_no_longer_render_go() {
    let bed = Bed::new().await;
    bed.publish(&tree(&[("a", "1"), ("old/x", "1")])).await;
    person_pushes(&bed.remote.url, &[("NOTES.md", Some("mine")), ("old/mine", Some("mine"))]);
    let next = tree(&[("a", "2")]);
    let Seen::Differs { changed, by_hand, in_the_way, .. } = bed.observe(&next).await else {
        panic!("differs")
    };
    assert_eq!(
        changed,
        [
            Change { path: "a".into(), kind: Kind::Modify },
            Change { path: "old/x".into(), kind: Kind::Delete }
        ]
    );
    assert_eq!((by_hand, in_the_way), (vec![], vec![]));
    bed.publish(&next).await;
    assert_eq!(
        (bed.show("a"), bed.show("NOTES.md"), bed.show("old/mine")),
        ("2".into(), "mine".into(), "mine".into())
    );
    assert_eq!(bed.commits(), 3);

    let empty = bed.publish(&Tree::new()).await;
    assert!(empty.changed);
    assert_eq!(git(&bed.repository(), &["ls-tree", "-r", "--name-only", "main"]), "NOTES.md\nold/mine\n");
    assert!(!bed.publish(&Tree::new()).await.changed);
}

#[tokio::test]
async fn an_edit_by_hand_is_reported_and_overwritten_only_when_asked() {
    let bed = Bed::new().await;
    let files = tree(&[("a", "1"), ("b", "1")]);
    bed.publish(&files).await;
    person_pushes(&bed.remote.url, &[("a", Some("edited"))]);
    let Seen::Differs { by_hand, .. } = bed.observe(&files).await else { panic!("differs") };
    assert_eq!(by_hand, ["a"]);

    let refused = bed.git.publish(&bed.remote, "main", &files, &History::default(), &info()).await;
    let refused = refused.expect_err("an edit is not lost");
    assert_eq!((refused.code.as_str(), refused.blockers.clone()), ("P0310", vec!["a".to_owned()]));
    assert_eq!((bed.show("a"), bed.commits()), ("edited".into(), 2));

    let asked = History { overwrite_edits: true, ..History::default() };
    bed.git.publish(&bed.remote, "main", &files, &asked, &info()).await.expect("asked for");
    assert_eq!(bed.show("a"), "1");
}

#[tokio::test]
async fn a_file_in_the_way_of_a_folder_is_never_replaced() {
    let bed = Bed::new().await;
    bed.publish(&tree(&[("a", "1")])).await;
    person_pushes(&bed.remote.url, &[("apps", Some("a note"))]);
    let asked = History { overwrite_edits: true, ..History::default() };
    let files = tree(&[("apps/web", "1")]);
    let refused =
        bed.git.publish(&bed.remote, "main", &files, &asked, &info()).await.expect_err("in the way");
    assert_eq!((refused.code.as_str(), refused.blockers.clone()), ("P0310", vec!["apps".to_owned()]));
    assert_eq!(bed.show("apps"), "a note");
}

#[tokio::test]
async fn rewritten_history_is_refused_and_progress_is_not() {
    let bed = Bed::new().await;
    let files = tree(&[("a", "1")]);
    let first = bed.publish(&files).await.commit;
    let second = bed.publish(&tree(&[("a", "2")])).await.commit;
    let knows = |known: &str| History { known: Some(known.into()), ..History::default() };

    for known in [&first, &second] {
        let seen = bed.git.observe(&bed.remote, "main", &tree(&[("a", "2")]), &knows(known)).await;
        assert_eq!(seen.expect("our commit is still in the branch"), Seen::Same { commit: second.clone() });
    }
    git(&bed.repository(), &["update-ref", "refs/heads/main", &first]);
    person_pushes(&bed.remote.url, &[("x", Some("1"))]);
    let refused = bed.git.publish(&bed.remote, "main", &files, &knows(&second), &info()).await;
    let refused = refused.expect_err("rewritten");
    assert_eq!(refused.code.as_str(), "P0309");
    assert!(refused.causes[0].contains(&second), "{refused:?}");
}

#[tokio::test]
async fn an_existing_repository_is_adopted_and_a_folder_that_is_none_is_refused() {
    let bed = Bed::new().await;
    git("/", &["init", "--quiet", "--bare", "--initial-branch=trunk", &bed.repository()]);
    let files = tree(&[("README.md", "hello")]);
    assert_eq!(bed.observe(&files).await, Seen::Empty);
    let published = bed.publish(&files).await;
    assert!(published.changed && !published.created);

    let other = bed.home.path().join("not-git");
    std::fs::create_dir(&other).expect("made");
    std::fs::write(other.join("thesis.txt"), "years of work").expect("written");
    let remote = Remote::new(format!("file://{}", other.display()));
    let refused =
        bed.git.publish(&remote, "main", &files, &History::default(), &info()).await.expect_err("not git");
    assert_eq!(refused.code.as_str(), "P0305", "{refused:?}");
    assert!(other.join("thesis.txt").exists());
}

#[tokio::test]
async fn a_damaged_manifest_and_one_that_reaches_out_are_refused() {
    let bed = Bed::new().await;
    bed.publish(&tree(&[("a", "1")])).await;
    person_pushes(&bed.remote.url, &[(MANIFEST, Some("{"))]);
    let look = async || bed.git.observe(&bed.remote, "main", &tree(&[("a", "1")]), &History::default()).await;
    assert_eq!(look().await.expect_err("damaged").code.as_str(), "P0313");
    let reaching = r#"{"schema":"platform.files/v1","files":{"a\nM 100644 inline b":{"sha256":""}}}"#;
    person_pushes(&bed.remote.url, &[(MANIFEST, Some(reaching))]);
    assert_eq!(look().await.expect_err("reaches out").code.as_str(), "P0313");
}

#[tokio::test]
async fn what_a_killed_process_left_is_swept_and_what_a_living_one_uses_is_not() {
    let bed = Bed::new().await;
    let work = bed.home.path().join("work");
    for name in ["git-dead", "git-alive"] {
        std::fs::create_dir(work.join(name)).expect("made");
        std::fs::write(work.join(name).join("lock"), "").expect("written");
    }
    let alive = std::fs::File::open(work.join("git-alive/lock")).expect("there");
    alive.lock().expect("locked");
    bed.publish(&tree(&[("a", "1")])).await;
    assert_eq!(support::leftovers(&work), ["git-alive"]);
}

#[tokio::test]
async fn a_hook_that_declines_and_a_repository_that_cannot_be_written() {
    let bed = Bed::new().await;
    bed.publish(&tree(&[("a", "1")])).await;
    let hook = Path::new(&bed.repository()).join("hooks/pre-receive");
    std::fs::create_dir_all(hook.parent().expect("a folder")).expect("made");
    std::fs::write(&hook, "#!/bin/sh\necho 'change needs two approvals' >&2\nexit 1\n").expect("written");
    std::fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("executable");
    let files = tree(&[("a", "2")]);
    let refused = bed
        .git
        .publish(&bed.remote, "main", &files, &History::default(), &info())
        .await
        .expect_err("declined");
    assert_eq!((refused.code.as_str(), refused.class.as_str()), ("P0311", "forbidden"));
    assert!(refused.causes.iter().any(|cause| cause.contains("change needs two approvals")), "{refused:?}");
    assert_eq!(bed.show("a"), "1");
}
