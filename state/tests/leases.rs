//! one process changes a platform; whoever lost the right cannot write.

mod common;

use std::time::Duration;

use common::{Trial, at, code, demo, holder, never_dead, open, started};
use platform_engine::store::{Store, StoreError};
use platform_spec::PlatformName;

#[tokio::test]
async fn of_many_that_race_one_wins_and_the_others_learn_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let stores = [open(dir.path()).await, open(dir.path()).await, open(dir.path()).await];
    for round in 0..20 {
        let platform = PlatformName::new(format!("p{round}"));
        let tries = stores.iter().enumerate().map(|(number, store)| {
            let (store, platform, who) = (store.clone(), platform.clone(), holder(&format!("h{number}")));
            tokio::spawn(async move { store.acquire(&platform, &who, common::TTL, at(0), &|_| false).await })
        });
        let mut winner = None;
        let mut refused = Vec::new();
        for attempt in tries.collect::<Vec<_>>() {
            match attempt.await.unwrap() {
                Ok(lease) => assert!(winner.replace(lease).is_none(), "two leases in round {round}"),
                Err(StoreError::Locked(held)) => refused.push(*held),
                Err(other) => panic!("{other}"),
            }
        }
        let winner = winner.expect("one of them wins");
        assert_eq!(refused.len(), 2);
        for held in refused {
            assert_eq!((held.holder, held.epoch, held.since), (winner.holder.clone(), 1, at(0)));
        }
    }
}

#[tokio::test]
async fn the_refusal_names_user_host_pid_and_since() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    never_dead(&store, "one", at(0)).await.unwrap();
    let failure = never_dead(&store, "two", at(1)).await.unwrap_err().into_failure();
    assert_eq!(failure.code.as_str(), "P0101");
    assert_eq!(failure.message, "platform `demo` is locked by ada@loft (pid 42) since 2026-05-28 20:26:40Z");
}

#[tokio::test]
async fn the_same_holder_gets_its_lease_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let first = never_dead(&store, "one", at(0)).await.unwrap();
    let again = never_dead(&store, "one", at(5)).await.unwrap();
    assert_eq!((again.epoch, again.expires), (first.epoch, at(35)));
}

#[tokio::test]
async fn an_expired_lease_is_taken_over_and_its_old_holder_writes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = Trial::begin(dir.path(), 2).await;
    let other = open(dir.path()).await;
    assert_eq!(
        code(never_dead(&other, "two", at(29)).await),
        "P0101",
        "still held one second before its end"
    );
    let new = never_dead(&other, "two", at(30)).await.unwrap();
    assert_eq!(new.epoch, old.lease.epoch + 1);

    let batch = old.seal([started(0)]);
    let before = old.store.load(&old.run).await.unwrap().events;
    assert_eq!(code(old.store.append(&old.lease, &old.run, &batch).await), "P0102");
    assert_eq!(code(old.store.append(&old.lease, &old.run, &[]).await), "P0102");
    assert_eq!(code(old.store.renew(&old.lease, common::TTL, at(31)).await), "P0102");
    assert_eq!(old.store.load(&old.run).await.unwrap().events, before);

    old.store.release(&old.lease).await.unwrap();
    assert_eq!(other.leases().await.unwrap()[0].holder.id, "two", "giving back a lost lease frees nothing");
    other.append(&new, &old.run, &batch).await.expect("the new holder goes on where the old one stopped");
}

#[tokio::test]
async fn a_holder_that_is_gone_is_followed_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let gone = never_dead(&store, "one", at(0)).await.unwrap();
    let next = store
        .acquire(&demo(), &holder("two"), common::TTL, at(1), &|holder| holder.id == "one")
        .await
        .unwrap();
    assert_eq!(next.epoch, gone.epoch + 1);
    assert_eq!(store.leases().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lease_given_back_is_free_and_its_epoch_never_returns() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let first = never_dead(&store, "one", at(0)).await.unwrap();
    store.release(&first).await.unwrap();
    assert!(store.leases().await.unwrap().is_empty());
    assert_eq!(code(store.renew(&first, common::TTL, at(1)).await), "P0102");
    let again = never_dead(&store, "one", at(1)).await.unwrap();
    assert_eq!(again.epoch, 2);
    assert_eq!(code(store.append(&first, &platform_spec::RunId::new("01X"), &[]).await), "P0102");
}

#[tokio::test]
async fn a_clock_set_back_one_hour_hands_out_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let hour = 3600;
    let lease = never_dead(&store, "one", at(hour)).await.unwrap();
    assert_eq!(code(never_dead(&store, "two", at(0)).await), "P0101", "another one, with the clock set back");
    let renewed = store.renew(&lease, common::TTL, at(1)).await.unwrap();
    assert_eq!(renewed.expires, lease.expires, "a lease is never shortened");
    assert_eq!(
        code(never_dead(&store, "two", at(hour + 29)).await),
        "P0101",
        "with the clock set right again"
    );
    assert_eq!(never_dead(&store, "two", at(hour + 30)).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn a_lock_is_released_only_from_the_holder_that_was_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    assert_eq!(store.release_lock(&demo(), "one").await.unwrap(), None);
    let lease = never_dead(&store, "one", at(0)).await.unwrap();
    assert_eq!(code(store.release_lock(&demo(), "two").await), "P0101");
    let freed = store.release_lock(&demo(), "one").await.unwrap().expect("it was held");
    assert_eq!(freed.holder.id, "one");
    assert_eq!(code(store.renew(&lease, Duration::from_secs(1), at(1)).await), "P0102");
}

/// Looking makes nothing; where there is no state, there is nothing to see.
#[tokio::test]
async fn looking_makes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    assert!(platform_state::Sqlite::look(&nowhere).await.unwrap().platforms().await.unwrap().is_empty());
    assert!(!nowhere.exists());

    let store = open(dir.path()).await;
    never_dead(&store, "one", at(0)).await.unwrap();
    let seen = platform_state::Sqlite::look(dir.path()).await.unwrap();
    assert_eq!(seen.leases().await.unwrap().len(), 1);
}
