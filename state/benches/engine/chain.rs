//! Steps of the whole engine loop, and the same work done by another durable engine on SQLite in the same minutes.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde::Deserialize;

use crate::{
    table::{against, fact, median, per_second, rate},
    work::{NOOP, RECORDED, carried_out, chain, independent, plan},
};

/// Steps of a chain, as the goal says.
const STEPS: usize = 1_000;

/// The engines take turns, so that a neighbour on the machine or the disk disturbs each of them alike.
const ROUNDS: usize = 5;

/// Where Python with the peer in it is; `just bench` installs it and says so here.
const PEER: &str = "PLATFORM_BENCH_PEER";

/// What the peer says of a chain it has carried out.
#[derive(Debug, Deserialize)]
struct Peer {
    seconds: f64,
    version: String,
    sqlite: String,
    journal: String,
    synchronous: u8,
}

pub async fn chains() {
    let places = [("disk", std::env::temp_dir()), ("memory", PathBuf::from("/dev/shm"))];
    for (name, place) in places.iter().filter(|(_, place)| place.is_dir()) {
        compared(name, place).await;
    }
}

async fn compared(name: &str, place: &Path) {
    let mut syncs = Vec::new();
    let mut ours = Vec::new();
    let mut with_effects = Vec::new();
    let mut as_shipped = Vec::new();
    let mut with_wal = Vec::new();
    for _ in 0..ROUNDS {
        syncs.push(sync_of(place));
        let dir = tempfile::tempdir_in(place).expect("a directory");
        ours.push(carried_out(dir.path(), plan(STEPS, NOOP, chain)).await);
        let dir = tempfile::tempdir_in(place).expect("a directory");
        with_effects.push(carried_out(dir.path(), plan(STEPS, RECORDED, chain)).await);
        as_shipped.extend(peer(place, "as-shipped"));
        with_wal.extend(peer(place, "wal"));
    }
    fact(
        &format!("{name}: writing 4 KiB and syncing it (`fdatasync`), for comparison"),
        &format!("{:.0} µs", median(syncs).as_secs_f64() * 1e6),
    );
    let our_rate = per_second(STEPS, median(ours.clone()));
    let what = format!("{name}: chain of {STEPS} durable no-op steps, journal_mode=wal, synchronous=2");
    let range: Vec<String> = ours.iter().map(|time| format!("{:.0}", per_second(STEPS, *time))).collect();
    let measured = format!("{our_rate:.0} steps/s (rounds: {})", range.join(", "));
    if name == "disk" {
        against(&what, &measured, "≥ 1,000 steps/s", our_rate >= 1_000.0);
    } else {
        fact(&what, &measured);
    }
    fact(
        &format!(
            "{name}: chain of {STEPS} steps whose intents are durable before they act, and their ends with a ledger entry"
        ),
        &rate(STEPS, median(with_effects.clone())),
    );
    for peers in [as_shipped, with_wal] {
        let Some(first) = peers.first() else {
            fact(
                &format!("{name}: the same on DBOS"),
                &format!("not measured: `{PEER}` names no Python with `dbos`"),
            );
            return;
        };
        let what = format!(
            "{name}: the same on DBOS {}, SQLite {}, journal_mode={}, synchronous={}",
            first.version, first.sqlite, first.journal, first.synchronous
        );
        // Each against ours of its own round: a disk that is slow for a minute is slow for both.
        let (ratio, range) = ratio(&peers, &ours);
        let (guarded, _) = self::ratio(&peers, &with_effects);
        let times = peers.iter().map(|peer| Duration::from_secs_f64(peer.seconds)).collect();
        let peer_rate = per_second(STEPS, median(times));
        let measured = format!(
            "{peer_rate:.0} steps/s; ratio {ratio:.1} (rounds: {range}); of steps with intents {guarded:.1}"
        );
        if name == "disk" {
            against(&what, &measured, "ratio ≥ 20", ratio >= 20.0);
        } else {
            fact(&what, &measured);
        }
    }
}

/// How many times longer the peer took, in the middle of the rounds, and the rounds.
fn ratio(peers: &[Peer], ours: &[Duration]) -> (f64, String) {
    let mut ratios: Vec<f64> =
        peers.iter().zip(ours).map(|(peer, ours)| peer.seconds / ours.as_secs_f64()).collect();
    let range: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.1}")).collect();
    ratios.sort_unstable_by(f64::total_cmp);
    (ratios[ratios.len() / 2], range.join(", "))
}

/// The peer's time for the same chain; `None` when it is not installed.
fn peer(place: &Path, journal: &str) -> Option<Peer> {
    let python = std::env::var_os(PEER)?;
    let dir = tempfile::tempdir_in(place).expect("a directory");
    let out = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/engine/peer.py"))
        .arg(dir.path().join("peer.sqlite"))
        .args([&STEPS.to_string(), journal])
        .output()
        .expect("the peer's Python starts");
    assert!(out.status.success(), "the peer failed: {}", String::from_utf8_lossy(&out.stderr));
    Some(serde_json::from_slice(&out.stdout).expect("the peer says what it measured"))
}

/// What this place takes for the least that is durable: one page written over and synced.
fn sync_of(place: &Path) -> Duration {
    use std::os::unix::fs::FileExt;
    const TIMES: u32 = 200;
    let file = tempfile::tempfile_in(place).expect("a file");
    let page = [7_u8; 4096];
    file.write_all_at(&page, 0).expect("room");
    file.sync_all().expect("a disk");
    let begin = Instant::now();
    for _ in 0..TIMES {
        file.write_all_at(&page, 0).expect("room");
        file.sync_data().expect("a disk");
    }
    begin.elapsed() / TIMES
}

/// Whether a step costs the same in a long plan as in a short one.
pub async fn linear() {
    let (few, many) = (1_000, 100_000);
    let timed = async |steps: usize| {
        let dir = tempfile::tempdir().expect("a directory");
        carried_out(dir.path(), plan(steps, NOOP, independent)).await
    };
    // The short ones before and after the long one, so that all see the same neighbours.
    let mut short = Vec::new();
    for _ in 0..7 {
        short.push(timed(few).await);
    }
    let long = timed(many).await;
    for _ in 0..8 {
        short.push(timed(few).await);
    }
    let short = median(short);
    fact(&format!("{few} independent no-op steps, 16 at a time"), &rate(few, short));
    fact(&format!("{many} independent no-op steps, 16 at a time"), &rate(many, long));
    let ratio = per_second(few, short) / per_second(many, long);
    against(
        "time per step of 100,000 steps against that of 1,000",
        &format!("{:+.0} %", (ratio - 1.0) * 100.0),
        "within ±20 %",
        (0.8..=1.2).contains(&ratio),
    );
}
