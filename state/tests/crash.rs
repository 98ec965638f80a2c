//! what was acknowledged survives; what was not is there in full or not at all.

#![expect(clippy::print_stdout, reason = "a child speaks to its parent, and a skipped test says so")]

mod common;

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use common::{TTL, Trial, at, code, demo, holder, intended, open, put, started, succeeded};
use platform_engine::{
    board::Board,
    graph::Graph,
    journal::{Head, verify},
    store::Store,
};
use platform_spec::RunId;
use platform_state::Sqlite;

const PLACE: &str = "PLATFORM_STATE_TEST_CHILD";
const STEPS: usize = 5000;

/// Not a test of its own: the process that the next one kills. It appends for as long as it lives.
#[tokio::test]
async fn child_that_appends() {
    let Some(place) = std::env::var_os(PLACE) else { return };
    let mut trial = Trial::begin(Path::new(&place), STEPS).await;
    for number in 0..STEPS {
        trial.append([started(number), intended(number)]).await;
        let key = format!("thing/{number}");
        trial.append([succeeded(number, vec![put(&key, "id")])]).await;
        println!("acknowledged {}", trial.head.seq);
    }
}

/// Starts the child, lets it acknowledge `lines` times, and kills it with SIGKILL. Returns the last acknowledged `seq`.
fn killed_after(place: &Path, lines: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_that_appends", "--nocapture"])
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let acknowledged = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .filter_map(|line| line.unwrap().split_once("acknowledged ").map(|(_, seq)| seq.parse().unwrap()))
        .nth(lines)
        .expect("the child lives long enough");
    child.kill().unwrap();
    child.wait().unwrap();
    acknowledged
}

#[tokio::test]
async fn a_process_killed_at_any_moment_leaves_a_state_to_go_on_from() {
    for lines in [0, 1, 7, 40, 150] {
        let dir = tempfile::tempdir().unwrap();
        let acknowledged = killed_after(dir.path(), lines);
        let store = open(dir.path()).await;
        let run = RunId::new("01RUN0000000000000000000AA");
        let stored = store.load(&run).await.unwrap();
        let head = Head::after(&stored.events);
        assert!(head.seq >= acknowledged, "{} of {acknowledged} acknowledged events", head.seq);
        verify(&stored.plan, &stored.events).unwrap();
        store.check().await.unwrap();
        agrees_with_replay(&store, &run).await;

        let ledger = store.ledger(&demo()).await.unwrap().len() as u64;
        assert!(ledger == (head.seq - 1) / 3, "X-06: {ledger} entries after {} events", head.seq);
        let lease = store.acquire(&demo(), &holder("two"), TTL, at(1), &|_| true).await.unwrap();
        assert_eq!(lease.epoch, 2);
        let mut trial = Trial { store, lease, run, plan: stored.plan, head, seconds: 1_000_000 };
        trial.append([platform_spec::Event::RunResumed { actor: "ada@loft".into() }]).await;
    }
}

/// The rows say what the events say.
async fn agrees_with_replay(store: &Sqlite, run: &RunId) {
    let stored = store.load(run).await.unwrap();
    let graph = Graph::of(stored.plan).unwrap();
    let board = Board::replay(&graph, &stored.events).unwrap();
    for (slot, row) in board.slots().iter().zip(store.steps(run).await.unwrap()) {
        assert_eq!(slot.status.state(), row.state, "{}", row.id);
    }
}

/// A file system of one megabyte below `place`, where this machine lets us make one.
struct Small<'a>(&'a Path);

impl<'a> Small<'a> {
    fn mount(place: &'a Path) -> Option<Self> {
        let args = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        let done = Command::new("mount").args(args).arg(place).stderr(Stdio::null()).status();
        done.is_ok_and(|status| status.success()).then_some(Self(place))
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let status = Command::new("umount").arg("-l").arg(self.0).status().expect("umount");
        assert!(status.success(), "{} is still mounted", self.0.display());
    }
}

#[tokio::test]
async fn a_full_disk_costs_nothing_that_was_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let Some(small) = Small::mount(dir.path()) else {
        println!(
            "skipped: a tmpfs can only be mounted by root; `a_full_database…` in src/store.rs covers the rest"
        );
        return;
    };
    let ballast = dir.path().join("ballast");
    let mut trial = Trial::begin(&dir.path().join("state"), 50).await;
    trial.append([started(0), intended(0)]).await;
    let kept = trial.store.load(&trial.run).await.unwrap().events;

    let mut size = 1 << 20;
    while size > 0 {
        // Whatever is still free, to the last page.
        let more = vec![b'x'; size];
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&ballast).unwrap();
        if std::io::Write::write_all(&mut file, &more).is_err() {
            size /= 2;
        }
    }
    let head = trial.head.clone();
    let big = "x".repeat(100_000);
    let batch = trial.seal([succeeded(0, vec![put("thing/0", &big)])]);
    assert_eq!(code(trial.store.append(&trial.lease, &trial.run, &batch).await), "P0108");
    assert_eq!(trial.store.load(&trial.run).await.unwrap().events, kept);
    let new = Sqlite::open(dir.path().join("other")).await.expect_err("no room for another");
    assert_eq!(new.code.as_str(), "P0108", "{new:?}");

    std::fs::remove_file(&ballast).unwrap();
    trial.store.append(&trial.lease, &trial.run, &batch).await.expect("with room again it goes on");
    assert!(trial.store.load(&trial.run).await.unwrap().events.len() as u64 > head.seq);
    trial.store.close().await;
    drop(small);
}
