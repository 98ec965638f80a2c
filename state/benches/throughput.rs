//! How fast the store is, in the shapes that the engine gives it: `cargo bench -p platform-state`.
//!
//! A table on stdout; durable means WAL with `synchronous=FULL` in the temporary directory (`TMPDIR`).

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Trial, demo, intended, open, put, started, succeeded};
use platform_engine::{journal::verify, store::Store};
use platform_spec::Event;

#[tokio::main]
async fn main() {
    println!("| what | time | each |\n|---|---|---|");
    chain(1_000).await;
    chain_with_intents(1_000).await;
    batches(1_000, 256).await;
    batches(100_000, 256).await;
    reading(10_000).await;
    screens(50).await;
    screens(10_000).await;
}

fn row(what: &str, took: Duration, count: usize, unit: &str) {
    let per_second = count as f64 / took.as_secs_f64();
    println!("| {what} | {:.1} ms | {per_second:.0} {unit}/s |", took.as_secs_f64() * 1e3);
}

/// The shortest of some tries.
async fn best(tries: usize, mut work: impl AsyncFnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..tries {
        let begin = Instant::now();
        work().await;
        best = best.min(begin.elapsed());
    }
    best
}

/// Steps without effects outside: one transaction for the end of one and the start of the next.
async fn chain(steps: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), steps).await;
    let begin = Instant::now();
    trial.append([started(0)]).await;
    for number in 1..steps {
        trial.append([succeeded(number - 1, vec![]), started(number)]).await;
    }
    trial.append([succeeded(steps - 1, vec![]), Event::RunSucceeded]).await;
    row(&format!("chain of {steps} steps, one transaction each"), begin.elapsed(), steps, "steps");
}

/// Steps with an intent before and a ledger entry after.
async fn chain_with_intents(steps: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut trial = Trial::begin(dir.path(), steps).await;
    let begin = Instant::now();
    for number in 0..steps {
        trial.append([started(number), intended(number)]).await;
        trial.append([succeeded(number, vec![put(&format!("thing/{number}"), "id")])]).await;
    }
    row(
        &format!("chain of {steps} steps with intent and ledger, two transactions each"),
        begin.elapsed(),
        steps,
        "steps",
    );
}

async fn batches(steps: usize, size: usize) {
    let dir = tempfile::tempdir().unwrap();
    let begin = Instant::now();
    let mut trial = Trial::begin(dir.path(), steps).await;
    row(&format!("create a run of {steps} steps"), begin.elapsed(), steps, "steps");
    let begin = Instant::now();
    let numbers: Vec<usize> = (0..steps).collect();
    for some in numbers.chunks(size) {
        trial.append(some.iter().flat_map(|&number| [started(number), succeeded(number, vec![])])).await;
    }
    row(&format!("{steps} steps in transactions of {size}"), begin.elapsed(), steps, "steps");
}

/// A run that has done everything but end, as `resume` and `status` meet it.
async fn done(dir: &std::path::Path, steps: usize) -> Trial {
    let mut trial = Trial::begin(dir, steps).await;
    let numbers: Vec<usize> = (0..steps).collect();
    for some in numbers.chunks(512) {
        let events =
            some.iter().flat_map(|&number| [started(number), intended(number), succeeded(number, vec![])]);
        trial.append(events).await;
    }
    trial
}

async fn reading(steps: usize) {
    let dir = tempfile::tempdir().unwrap();
    let trial = done(dir.path(), steps).await;
    let events = trial.head.seq as usize;
    let took = best(5, async || {
        trial.store.load(&trial.run).await.unwrap();
    })
    .await;
    row(&format!("load a run of {steps} steps, {events} events"), took, events, "events");
    let stored = trial.store.load(&trial.run).await.unwrap();
    let begin = Instant::now();
    verify(&stored.plan, &stored.events).unwrap();
    row("verify its chain (the engine's part)", begin.elapsed(), events, "events");
    trial.store.close().await;
    let took = best(5, async || {
        open(dir.path()).await.close().await;
    })
    .await;
    row("open and close the state", took, 1, "opens");
}

async fn screens(steps: usize) {
    let dir = tempfile::tempdir().unwrap();
    let trial = done(dir.path(), steps).await;
    let took = best(20, async || {
        trial.store.latest_run(&demo()).await.unwrap();
    })
    .await;
    row(&format!("latest run with its counts, {steps} steps"), took, 1, "calls");
    let took = best(20, async || {
        trial.store.steps(&trial.run).await.unwrap();
    })
    .await;
    row(&format!("all step rows, {steps} steps"), took, 1, "calls");
}
