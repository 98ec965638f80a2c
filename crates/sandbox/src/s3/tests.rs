//! The store without sockets.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use hyper::body::Bytes;
use jiff::Timestamp;
use proptest::prelude::*;

use super::{
    gate::Gate,
    keys::{Asker, Key, KeyTable},
    list::Wanted,
    multipart::Named,
    objects::{Conditions, Copy, Part, Source},
    policy::Policy,
    store::{DefaultLock, Meta, Mode, Retention, Store, Term, Version},
    sums::{Claim, Kind},
};
use crate::{keep::Keeper, kube::object::Ids};

/// A clock that a test turns.
#[derive(Clone, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    fn now(&self) -> crate::kube::object::Now {
        let clock = self.clone();
        Arc::new(move || {
            Timestamp::from_second(1_800_000_000 + clock.0.load(Ordering::Relaxed)).expect("a time")
        })
    }
}

fn store() -> (Store, Clock) {
    let clock = Clock::default();
    (Store::new(clock.now(), Arc::new(Ids::new(1))), clock)
}

fn put(store: &Store, key: &str, content: &str) -> Version {
    let content = Bytes::copy_from_slice(content.as_bytes());
    store
        .put("bucket", key, content, Meta::default(), &Claim::default(), &Conditions::default())
        .expect("written")
}

fn read(store: &Store, key: &str, version: Option<&str>) -> Result<String, &'static str> {
    let read = store.get("bucket", key, version, None, &Conditions::default());
    read.map(|it| String::from_utf8(it.content.to_vec()).expect("text")).map_err(|refusal| refusal.code)
}

#[test]
fn versions_are_kept_and_markers_hide_them() {
    let (store, _) = store();
    store.create_bucket("1", "bucket", "us-east-1", false).expect("made");
    assert_eq!(put(&store, "a", "zero").id, "null");
    store.set_versioning("bucket", true).expect("enabled");
    let one = put(&store, "a", "one");
    let two = put(&store, "a", "two");
    assert_eq!(read(&store, "a", None).as_deref(), Ok("two"));
    assert_eq!(read(&store, "a", Some(&one.id)).as_deref(), Ok("one"));
    assert_eq!(read(&store, "a", Some("null")).as_deref(), Ok("zero"));
    let marker = store.delete("bucket", "a", None, false, &Conditions::default()).expect("hidden");
    let id = marker.version.expect("an id");
    assert!(marker.marker);
    assert_eq!(read(&store, "a", None), Err("NoSuchKey"));
    assert_eq!(read(&store, "a", Some(&id)), Err("MethodNotAllowed"));
    assert_eq!(store.delete_bucket("bucket").expect_err("full").code, "BucketNotEmpty");
    store.delete("bucket", "a", Some(&id), false, &Conditions::default()).expect("shown again");
    assert_eq!(read(&store, "a", None).as_deref(), Ok("two"));
    // Suspended: new writes replace the version without an id, and nothing else.
    store.set_versioning("bucket", false).expect("suspended");
    put(&store, "a", "three");
    assert_eq!(read(&store, "a", Some("null")).as_deref(), Ok("three"));
    for version in ["null", &one.id, &two.id] {
        store.delete("bucket", "a", Some(version), false, &Conditions::default()).expect("gone");
    }
    store.delete_bucket("bucket").expect("empty");
    assert_eq!(read(&store, "a", None), Err("NoSuchBucket"));
}

#[test]
fn locked_versions_stay_until_their_time() {
    let (store, clock) = store();
    store.create_bucket("1", "bucket", "us-east-1", true).expect("made");
    assert_eq!(store.set_versioning("bucket", false).expect_err("locked").code, "InvalidBucketState");
    let default = DefaultLock { mode: Mode::Governance, term: Term::Days(1) };
    store.set_lock("bucket", Some(default)).expect("set");
    let one = put(&store, "a", "one");
    let delete = |id: &str, bypass| {
        store.delete("bucket", "a", Some(id), bypass, &Conditions::default()).map(drop).map_err(|it| it.code)
    };
    assert_eq!(delete(&one.id, false), Err("AccessDenied"));
    // A marker is no deletion.
    assert!(store.delete("bucket", "a", None, false, &Conditions::default()).expect("hidden").marker);
    assert_eq!(delete(&one.id, true), Ok(()));

    let two = put(&store, "a", "two");
    let until = |mode, seconds: i64| {
        Some(Retention { mode, until: Timestamp::from_second(1_800_000_000 + seconds).expect("a time") })
    };
    let retain = |wish, bypass| {
        store.retain("bucket", "a", Some(&two.id), wish, bypass).map(drop).map_err(|refusal| refusal.code)
    };
    assert_eq!(retain(None, false), Err("AccessDenied"));
    assert_eq!(retain(until(Mode::Compliance, 200_000), false), Ok(()), "stronger is always welcome");
    assert_eq!(retain(until(Mode::Compliance, 100_000), true), Err("AccessDenied"));
    assert_eq!(retain(until(Mode::Governance, 300_000), true), Err("AccessDenied"));
    assert_eq!(delete(&two.id, true), Err("AccessDenied"));
    clock.pass(200_001);
    store.hold("bucket", "a", Some(&two.id), true).expect("held");
    assert_eq!(delete(&two.id, true), Err("AccessDenied"));
    store.hold("bucket", "a", Some(&two.id), false).expect("let go");
    assert_eq!(delete(&two.id, false), Ok(()));
}

#[test]
fn parts_become_one_object() {
    let (store, _) = store();
    store.create_bucket("1", "bucket", "us-east-1", false).expect("made");
    let upload = store.begin("1", "bucket", "big", Meta::default(), Some(Kind::CRC32), None).expect("begun");
    let part = |number, bytes: Vec<u8>| {
        store.put_part("bucket", "big", &upload.id, number, bytes.into(), &Claim::default()).expect("taken")
    };
    let (one, two) = (part(1, vec![b'a'; 5 << 20]), part(7, b"end".to_vec()));
    let named = |parts: &[(u16, &str)]| -> Vec<Named> {
        parts
            .iter()
            .map(|(number, tag)| Named { number: *number, tag: (*tag).to_owned(), sum: None })
            .collect()
    };
    let complete = |parts: &[(u16, &str)]| {
        store
            .complete(("bucket", "big", &upload.id), &named(parts), None, &Conditions::default())
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(complete(&[(7, &two.tag), (1, &one.tag)]).expect_err("order"), "InvalidPartOrder");
    assert_eq!(complete(&[(1, "wrong"), (7, &two.tag)]).expect_err("tag"), "InvalidPart");
    assert_eq!(complete(&[(2, &one.tag)]).expect_err("number"), "InvalidPart");
    part(8, b"x".to_vec());
    let version = complete(&[(1, &one.tag), (7, &two.tag)]).expect("put together");
    assert!(version.tag.ends_with("-2"), "{version:?}");
    assert!(
        version.sum.as_ref().is_some_and(|sum| sum.composite && sum.value.ends_with("-2")),
        "{version:?}"
    );
    let tail = |part| {
        let read = store.get("bucket", "big", None, Some(part), &Conditions::default()).expect("read");
        (String::from_utf8(read.content.to_vec()).expect("text"), read.range.expect("a range").start)
    };
    assert_eq!(tail(Part::Number(2)), ("end".to_owned(), 5 << 20));
    assert_eq!(tail(Part::Last(4)), ("aend".to_owned(), (5 << 20) - 1));
    assert_eq!(complete(&[(1, &one.tag)]).expect_err("done"), "NoSuchUpload");

    let small = store.begin("1", "bucket", "small", Meta::default(), None, None).expect("begun");
    for number in [1, 2] {
        store
            .put_part("bucket", "small", &small.id, number, Bytes::from_static(b"x"), &Claim::default())
            .expect("taken");
    }
    let tag = super::sums::md5(b"x");
    let refusal = store
        .complete(
            ("bucket", "small", &small.id),
            &named(&[(1, &tag), (2, &tag)]),
            None,
            &Conditions::default(),
        )
        .expect_err("too small");
    assert_eq!(refusal.code, "EntityTooSmall");
    store.abort("bucket", "small", &small.id).expect("given up");
    assert!(store.uploads("bucket").expect("listed").is_empty());
}

#[test]
fn conditions_hold() {
    let (store, clock) = store();
    store.create_bucket("1", "bucket", "us-east-1", false).expect("made");
    let version = put(&store, "a", "one");
    let when = |matching: Option<&str>, not: Option<&str>, modified: i64| Conditions {
        matching: matching.map(str::to_owned),
        not_matching: not.map(str::to_owned),
        modified_since: (modified != 0)
            .then(|| Timestamp::from_second(1_800_000_000 + modified).expect("a time")),
        unmodified_since: None,
    };
    let get = |when: Conditions| store.get("bucket", "a", None, None, &when).map(drop).map_err(|it| it.code);
    assert_eq!(get(when(Some(&version.tag), None, 0)), Ok(()));
    assert_eq!(get(when(Some("other"), None, 0)), Err("PreconditionFailed"));
    assert_eq!(get(when(None, Some(&version.tag), 0)), Err("NotModified"));
    assert_eq!(get(when(None, None, 5)), Err("NotModified"));
    assert_eq!(get(when(None, Some("other"), 5)), Ok(()), "a tag is more exact than a time");
    clock.pass(10);
    let put = |key: &str, when| {
        store
            .put("bucket", key, Bytes::new(), Meta::default(), &Claim::default(), &when)
            .map(drop)
            .map_err(|refusal| refusal.code)
    };
    assert_eq!(put("a", when(None, Some("*"), 0)), Err("PreconditionFailed"));
    assert_eq!(put("b", when(None, Some("*"), 0)), Ok(()));
    assert_eq!(put("c", when(Some("x"), None, 0)), Err("NoSuchKey"));
    assert_eq!(put("a", when(Some("x"), None, 0)), Err("PreconditionFailed"));
    assert_eq!(put("a", when(Some(&version.tag), None, 0)), Ok(()));
}

#[test]
fn copies_take_what_they_shall() {
    let (store, _) = store();
    store.create_bucket("1", "bucket", "us-east-1", false).expect("made");
    let meta = Meta {
        user: BTreeMap::from([("k".into(), "v".into())]),
        tags: BTreeMap::from([("t".into(), "1".into())]),
        ..Meta::default()
    };
    store
        .put("bucket", "a", Bytes::from_static(b"x"), meta, &Claim::default(), &Conditions::default())
        .expect("written");
    let from = Source { bucket: "bucket".into(), key: "a".into(), ..Source::default() };
    let copy = store.copy(&from, "bucket", "b", Copy::default()).expect("copied");
    assert_eq!((copy.meta.user["k"].as_str(), copy.meta.tags["t"].as_str()), ("v", "1"));
    let fresh = Copy { meta: Some(Meta::default()), ..Copy::default() };
    let copy = store.copy(&from, "bucket", "a", fresh).expect("copied onto itself");
    assert!(copy.meta.user.is_empty() && !copy.meta.tags.is_empty());
    assert_eq!(
        store.copy(&from, "bucket", "a", Copy::default()).expect_err("nothing").code,
        "InvalidRequest"
    );
}

#[test]
fn who_may_what() {
    let clock = Clock::default();
    let store = Arc::new(Store::new(clock.now(), Arc::new(Ids::new(1))));
    let keys = Arc::new(KeyTable::default());
    let limited = Policy::parse(r#"{"Statement":{"Effect":"Allow","Action":"s3:Get*","Resource":"*"}}"#);
    let key =
        |id: &str, asker| Key { id: id.into(), secret: "s3cret".into(), token: None, expires: None, asker };
    let reader = Asker { policy: Some(Arc::new(limited.expect("good"))), ..Asker::root("1") };
    keys.put(key("OWNER", Asker::root("1")));
    keys.put(key("READER", reader.clone()));
    keys.put(Key {
        token: Some("tok".into()),
        expires: Some((clock.now())() + jiff::SignedDuration::from_secs(60)),
        ..key("TEMPORARY", Asker::root("2"))
    });
    let gate = Gate { store, keys };
    let sign_in = |id: &str, secret: &str, token| {
        gate.sign_in(id, &secret.into(), token).map(|it| it.account).map_err(|refusal| refusal.code)
    };
    assert_eq!(sign_in("OWNER", "s3cret", None).as_deref(), Ok("1"));
    assert_eq!(sign_in("OWNER", "wrong", None), Err("SignatureDoesNotMatch"));
    assert_eq!(sign_in("NOBODY", "s3cret", None), Err("InvalidAccessKeyId"));
    assert_eq!(sign_in("TEMPORARY", "s3cret", Some("other")), Err("InvalidToken"));
    assert_eq!(sign_in("TEMPORARY", "s3cret", Some("tok")).as_deref(), Ok("2"));
    clock.pass(60);
    assert_eq!(sign_in("TEMPORARY", "s3cret", Some("tok")), Err("ExpiredToken"));

    gate.store.create_bucket("1", "bucket", "us-east-1", false).expect("made");
    let may = |asker: Option<&Asker>, action: &str| {
        gate.admit(asker, action, Some("bucket"), Some("k")).map_err(|refusal| refusal.code)
    };
    let (owner, stranger) = (Asker::root("1"), Asker::root("2"));
    assert_eq!(may(Some(&owner), "s3:PutObject"), Ok(()));
    assert_eq!(may(Some(&reader), "s3:PutObject"), Err("AccessDenied"));
    assert_eq!(may(Some(&reader), "s3:GetObject"), Ok(()));
    assert_eq!(may(Some(&stranger), "s3:GetObject"), Err("AccessDenied"));
    assert_eq!(may(None, "s3:GetObject"), Err("AccessDenied"));
    let policy = r#"{"Statement":[
        {"Effect":"Allow","Principal":{"AWS":"2"},"Action":"s3:GetObject","Resource":"arn:aws:s3:::bucket/*"},
        {"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject","Resource":"arn:aws:s3:::bucket/*"}]}"#;
    gate.store.set("bucket", "policy", Some(policy.into())).expect("kept");
    assert_eq!(may(Some(&stranger), "s3:GetObject"), Ok(()));
    assert_eq!(may(Some(&stranger), "s3:PutObject"), Err("AccessDenied"));
    assert_eq!(may(Some(&owner), "s3:DeleteObject"), Err("AccessDenied"));
}

#[tokio::test]
async fn what_was_stored_is_there_in_the_next_life() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("sandbox.db");
    let clock = Clock::default();
    let open = async || {
        let keeper = Keeper::open(&file).await.expect("opened");
        Store::open(keeper.book("s3"), clock.now(), Arc::new(Ids::new(1))).await.expect("read")
    };
    let store = open().await;
    store.create_bucket("1", "bucket", "us-east-1", true).expect("made");
    let one = put(&store, "a", "one");
    put(&store, "a", "two");
    put(&store, "b", "three");
    store.delete("bucket", "b", None, false, &Conditions::default()).expect("hidden");
    let upload = store.begin("1", "bucket", "c", Meta::default(), None, None).expect("begun");
    let part = store
        .put_part("bucket", "c", &upload.id, 1, Bytes::from_static(b"part"), &Claim::default())
        .expect("taken");
    store.kept().await.expect("kept");

    let again = open().await;
    assert_eq!(read(&again, "a", None).as_deref(), Ok("two"));
    assert_eq!(read(&again, "a", Some(&one.id)).as_deref(), Ok("one"));
    assert_eq!(read(&again, "b", None), Err("NoSuchKey"));
    assert!(again.bucket("bucket").expect("there").lock);
    let named = [Named { number: 1, tag: part.tag, sum: None }];
    again.complete(("bucket", "c", &upload.id), &named, None, &Conditions::default()).expect("put together");
    assert_eq!(read(&again, "c", None).as_deref(), Ok("part"));
    assert!(put(&again, "a", "four").place > one.place + 3, "places are never given twice");
}

proptest! {
    /// Whatever is asked for in pages is what is there, once and in order.
    #[test]
    fn pages_have_everything_once(
        keys in prop::collection::btree_set("[ab/]{1,4}", 0..30),
        prefix in "[ab/]{0,2}",
        slashed in any::<bool>(),
        most in 1_usize..5,
    ) {
        let (store, _) = store();
        store.create_bucket("1", "bucket", "us-east-1", false).expect("made");
        for key in &keys {
            put(&store, key, "");
        }
        let delimiter = if slashed { "/" } else { "" };
        let mut expected = Vec::new();
        for key in keys.iter().filter(|key| key.starts_with(&prefix)) {
            let end = key[prefix.len()..].find('/').filter(|_| slashed).map(|at| prefix.len() + at + 1);
            let entry = key[..end.unwrap_or(key.len())].to_owned();
            if expected.last() != Some(&entry) {
                expected.push(entry);
            }
        }
        let mut seen = Vec::new();
        let mut wanted = Wanted { prefix, delimiter: delimiter.into(), most, ..Wanted::default() };
        loop {
            let page = store.list("bucket", &wanted).expect("listed");
            let mut entries: Vec<String> = page.versions.into_iter().map(|(version, _)| version.key).collect();
            entries.extend(page.prefixes);
            entries.sort();
            prop_assert!(entries.len() <= most);
            seen.extend(entries);
            match page.next {
                Some((key, _)) => wanted.after = key,
                None => break,
            }
        }
        prop_assert_eq!(seen, expected);
    }
}
