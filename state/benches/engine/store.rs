//! The store alone, in the shapes that the engine gives it.

use std::time::{Duration, Instant};

use platform_engine::{journal::verify, store::Store};
use platform_spec::Event;

use crate::{
    common::{Trial, intended, open, put, started, succeeded},
    table::{fact, ms, rate},
};

pub async fn store() {
    chain(1_000).await;
    chain_with_intents(1_000).await;
    batches(100_000, 256).await;
    reading(10_000).await;
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
    let dir = tempfile::tempdir().expect("a directory");
    let mut trial = Trial::begin(dir.path(), steps).await;
    let begin = Instant::now();
    trial.append([started(0)]).await;
    for number in 1..steps {
        trial.append([succeeded(number - 1, vec![]), started(number)]).await;
    }
    trial.append([succeeded(steps - 1, vec![]), Event::RunSucceeded]).await;
    fact(&format!("store: chain of {steps} steps, one transaction each"), &rate(steps, begin.elapsed()));
}

/// Steps with an intent before and a ledger entry after.
async fn chain_with_intents(steps: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut trial = Trial::begin(dir.path(), steps).await;
    let begin = Instant::now();
    for number in 0..steps {
        trial.append([started(number), intended(number)]).await;
        trial.append([succeeded(number, vec![put(&format!("thing/{number}"), "id")])]).await;
    }
    fact(
        &format!("store: chain of {steps} steps with intent and ledger, two transactions each"),
        &rate(steps, begin.elapsed()),
    );
}

async fn batches(steps: usize, size: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let begin = Instant::now();
    let mut trial = Trial::begin(dir.path(), steps).await;
    fact(&format!("store: create a run of {steps} steps"), &ms(begin.elapsed()));
    let begin = Instant::now();
    let numbers: Vec<usize> = (0..steps).collect();
    for some in numbers.chunks(size) {
        trial.append(some.iter().flat_map(|&number| [started(number), succeeded(number, vec![])])).await;
    }
    fact(&format!("store: {steps} steps in transactions of {size}"), &rate(steps, begin.elapsed()));
}

/// A run that has done everything but end.
async fn reading(steps: usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut trial = Trial::begin(dir.path(), steps).await;
    let numbers: Vec<usize> = (0..steps).collect();
    for some in numbers.chunks(512) {
        let events =
            some.iter().flat_map(|&number| [started(number), intended(number), succeeded(number, vec![])]);
        trial.append(events).await;
    }
    let events = trial.head.seq;
    let took = best(5, async || {
        trial.store.load(&trial.run).await.expect("a run that can be read");
    })
    .await;
    fact(&format!("store: load a run of {steps} steps, {events} events"), &ms(took));
    let stored = trial.store.load(&trial.run).await.expect("a run that can be read");
    let took = best(5, async || verify(&stored.plan, &stored.events).expect("a chain that holds")).await;
    fact("engine: verify its chain", &ms(took));
    trial.store.close().await;
    let took = best(5, async || {
        open(dir.path()).await.close().await;
    })
    .await;
    fact("store: open and close the state", &ms(took));
}
