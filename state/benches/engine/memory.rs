//! How much memory a run takes.

use std::path::Path;

use crate::{
    child,
    table::{against, fact},
    work::{self, RECORDED, carried_out, plan},
};

const STEPS: usize = 10_000;
const MIB: f64 = 1024.0;

/// Peak resident memory of a process that carries a run out with the real store, less that of one that does so with a
/// single step: what is left is the plan, the board, the journal in flight and SQLite's cache.
pub fn memory() {
    let peak = |steps: usize| {
        let dir = tempfile::tempdir().expect("a directory");
        let kib = child::ask("memory", dir.path(), steps);
        kib[0] as f64 / MIB
    };
    let (baseline, full) = (peak(1), peak(STEPS));
    against(
        &format!(
            "engine and store at {STEPS} steps with intent, output and ledger entry: peak resident memory above that of 1 step"
        ),
        &format!("{:.1} MiB", full - baseline),
        "≤ 30 MB",
        (full - baseline) * 1.048_576 <= 30.0,
    );
    fact("the whole process at that peak", &format!("{full:.1} MiB ({baseline:.1} MiB with 1 step)"));
}

/// In a process of its own: its peak, in KiB.
pub async fn child(dir: &Path, steps: usize) -> Vec<u64> {
    carried_out(dir, plan(steps, RECORDED, work::chains)).await;
    vec![peak_kib()]
}

/// `VmHWM` of proc(5): the most that was resident at a time.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .and_then(|number| number.trim().parse().ok())
        .expect("a peak in proc")
}
