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

/// A publish that is broken off anywhere, and then done again, makes one commit in all.
#[tokio::test]
async fn broken_off_anywhere_and_done_again_makes_one_commit() {
    let files = tree(&[("a", "1"), ("b/c", "x")]);
    let expected = Bed::new().await.publish(&files).await.commit;
    let bed = Bed::new().await;
    for moment in (0..40).map(|n| std::time::Duration::from_millis(n * 5)) {
        let history = History::default();
        let info = info();
        let publish = bed.git.publish(&bed.remote, "main", &files, &history, &info);
        if tokio::time::timeout(moment, publish).await.is_ok() {
            break;
        }
        // What was broken off may still be running, and may still finish: that is the point.
    }
    let done = loop {
        match bed.git.publish(&bed.remote, "main", &files, &History::default(), &info()).await {
            Ok(done) => break done,
            // The last one broken off is still pushing.
            Err(failure) => assert_eq!(failure.code.as_str(), "P0308", "{failure:?}"),
        }
    };
    assert_eq!(done.commit, expected);
    assert_eq!(bed.commits(), 1);
    git(&bed.repository(), &["fsck", "--strict"]);
}

/// Two who publish different things at once: the branch keeps the work of both, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn two_at_once_do_not_lose_one_anothers_work() {
    let bed = Bed::new().await;
    bed.publish(&tree(&[("a", "0")])).await;
    for round in 0..4 {
        let texts = [format!("{round} left"), format!("{round} right")];
        let (info, history) = (info(), History::default());
        let trees = texts.each_ref().map(|text| tree(&[("a", text)]));
        let [left, right] =
            trees.each_ref().map(|tree| bed.git.publish(&bed.remote, "main", tree, &history, &info));
        let before = bed.commits();
        let results = <[_; 2]>::from(tokio::join!(left, right));
        let made = results.iter().filter(|result| result.is_ok()).count();
        assert!(made >= 1, "one of them wins: {results:?}");
        assert_eq!(bed.commits(), before + made);
        for lost in results.into_iter().filter_map(Result::err) {
            assert_eq!(
                (lost.code.as_str(), lost.class.as_str()),
                ("P0308", "conflict_in_progress"),
                "{lost:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_repository_with_sha256_ids() {
    let bed = Bed::new().await;
    let repository = bed.repository();
    git("/", &["init", "--quiet", "--bare", "--object-format=sha256", "--initial-branch=main", &repository]);
    let desk = bed.home.path().join("desk");
    let desk = desk.to_str().expect("text");
    git("/", &["init", "--quiet", "--object-format=sha256", "--initial-branch=main", desk]);
    git(desk, &["commit", "--quiet", "--allow-empty", "-m", "first"]);
    git(desk, &["push", "--quiet", &repository, "main"]);
    let files = tree(&[("a", "1")]);
    let published = bed.publish(&files).await;
    assert_eq!(published.commit.len(), 64);
    assert!(!bed.publish(&files).await.changed);
}

#[tokio::test]
async fn a_work_folder_that_cannot_be_made() {
    let home = tempfile::tempdir().expect("temp folder");
    std::fs::write(home.path().join("file"), "").expect("written");
    let failure = Git::find(home.path().join("file/work")).await.expect_err("a file is no folder");
    assert_eq!((failure.code.as_str(), failure.class.as_str()), ("P0312", "config"));
}

/// A workflow engine runs the calls on other threads, behind boxed futures.
#[test]
fn the_calls_may_move_between_threads() {
    fn may_move<T: Send>(_: impl FnOnce() -> T) {}
    may_move(|| Git::find("work"));
    may_move(|| async {
        let (git, tree) = (Git::find("work").await?, Tree::new());
        git.observe(&Remote::default(), "main", &tree, &History::default()).await?;
        git.publish(&Remote::default(), "main", &tree, &History::default(), &info()).await
    });
}

#[tokio::test]
async fn a_branch_of_another_platform_is_left_alone() {
    let bed = Bed::new().await;
    let of = |owner: &str| History { owner: owner.into(), ..History::default() };
    let (one, two) = (tree(&[("a", "1")]), tree(&[("a", "2")]));
    let first = bed.git.publish(&bed.remote, "main", &one, &of("demo"), &info()).await.expect("published");
    let refused = bed.git.publish(&bed.remote, "main", &two, &of("other"), &info()).await;
    let refused = refused.expect_err("it is demo's");
    assert_eq!(refused.code.as_str(), "P0315");
    assert!(refused.causes.iter().any(|cause| cause.contains("`demo`")), "{refused:?}");
    let looked = bed.git.observe(&bed.remote, "main", &two, &of("other")).await;
    assert_eq!(looked.expect_err("looking says it too").code.as_str(), "P0315");
    assert_eq!((bed.show("a"), bed.commits()), ("1".into(), 1));
    let same = bed.git.publish(&bed.remote, "main", &one, &of("demo"), &info()).await.expect("its own");
    assert_eq!((same.changed, same.commit), (false, first.commit));
    // Of one that is gone it is taken over, with its files.
    let heir = History { gone: vec!["demo".into()], ..of("other") };
    let taken = bed.git.publish(&bed.remote, "main", &two, &heir, &info()).await.expect("nobody's");
    assert_eq!((taken.changed, bed.show("a"), bed.commits()), (true, "2".into(), 2));
    let back = bed.git.publish(&bed.remote, "main", &one, &of("demo"), &info()).await;
    assert_eq!(back.expect_err("it is other's now").code.as_str(), "P0315");
}
