//! The real steps of `up` and `down` in virtual time, on the sandbox's cloud and clusters in this process: killed before and
//! after writes, and in random schedules.

use std::{collections::BTreeMap, path::Path};

use platform_app::{
    carry::Flow,
    simulate::{Played, Shared, schedule, virtually},
};
use platform_engine::{
    decide::Ending,
    journal,
    local::Options,
    memory::Kill,
    store::{Holder, Store, StoreError},
};
use platform_spec::{Model, RunId, derive, event::LedgerEntry, parse, starter::starter};

fn model() -> Model {
    let text = starter("sandbox", Path::new("/simulated")).expect("there is one");
    derive(&parse("platform.yaml", &text).expect("a starter has no errors").platform)
}

/// The same with production on a cluster of its own, which the Argo CD of the first one serves.
fn two_clusters() -> Model {
    let text = starter("sandbox", Path::new("/simulated")).expect("there is one");
    let own = "environments: [dev, prod]";
    assert!(text.contains(own), "the starter has changed");
    let edge = "    - name: edge\n      provider: here\n      environments: [prod]\n";
    let text = text.replace(own, "environments: [dev]").replace("\n  argocd:", &format!("{edge}\n  argocd:"));
    derive(&parse("platform.yaml", &text).expect("it has no errors").platform)
}

/// What is there in the end, and how often each kind of thing was made.
#[derive(Debug, PartialEq)]
struct End {
    things: Vec<(String, String, String)>,
    made: BTreeMap<String, u64>,
    objects: Vec<String>,
    ledger: Vec<LedgerEntry>,
}

fn end(played: &Played) -> End {
    let cloud = played.world.cloud();
    let things = cloud.things();
    let objects = played.world.clusters().into_iter().flat_map(|hosted| {
        let store = hosted.cluster.api.store.clone();
        let kinds = ["apps/deployments", "argoproj.io/applications", "velero.io/schedules", "/namespaces"];
        kinds.into_iter().flat_map(move |kind| {
            store.list(&kind.into(), None).objects.into_iter().map(move |(key, object)| {
                let state = &object["status"]["sync"]["status"];
                format!("{kind} {}/{} {state}", key.namespace, key.name)
            })
        })
    });
    let mut things: Vec<_> = things
        .into_iter()
        .map(|thing| (thing.kind.word().to_owned(), thing.name.clone(), thing.phase.word().to_owned()))
        .collect();
    things.sort();
    End {
        things,
        made: cloud.made().into_iter().map(|(kind, count)| (kind.word().to_owned(), count)).collect(),
        objects: objects.collect(),
        ledger: played.store.ledger(&played.platform()).into_iter().map(without_id).collect(),
    }
}

/// Ids of a cloud depend on what was made before, and commits and uids on them.
fn without_id(entry: LedgerEntry) -> LedgerEntry {
    LedgerEntry { external_id: String::new(), detail: serde_json::Value::Null, ..entry }
}

async fn whole(played: &Played, flow: Flow) {
    let ended = played.live(flow, Options::default()).await;
    let ended = ended.unwrap_or_else(|failure| panic!("{flow:?}: {failure:#?}"));
    let failed: Vec<_> = ended.board.slots().iter().filter_map(|slot| slot.failure.as_ref()).collect();
    assert_eq!(ended.ending, Ending::Succeeded, "{flow:?}: {failed:#?}");
}

async fn prepared(before: &[Flow], shared: &Shared) -> Played {
    let played = Played::new(7, shared).await.expect("a world");
    for flow in before {
        whole(&played, *flow).await;
    }
    played.store.kill(None);
    played
}

/// Kills at every write of `flow` in a world that `before` has made, and compares with no kill. Before the write of an
/// intent, after it, after the effect and before its commit, after that: every write is one of these.
fn matrix(before: &[Flow], flow: Flow) -> u64 {
    let shared = Shared::new(model()).expect("a folder");
    let (writes, wanted) = virtually(async || {
        let played = prepared(before, &shared).await;
        whole(&played, flow).await;
        (played.store.writes(), end(&played))
    })
    .expect("a runtime");
    for write in 1..=writes {
        for kill in [Kill::BeforeWrite(write), Kill::AfterWrite(write)] {
            virtually(async || {
                let played = prepared(before, &shared).await;
                played.store.kill(Some(kill));
                played.live(flow, Options::default()).await.expect_err("killed");
                played.store.kill(None);
                if kill != Kill::AfterWrite(writes) {
                    whole(&played, flow).await;
                }
                assert_eq!(played.store.resumable(), None, "{kill:?} of {writes}");
                assert_eq!(end(&played), wanted, "{kill:?} of {writes}");
                for nth in 1..=played.store.runs() {
                    let run = played.store.load(&RunId::new(format!("run-{nth}"))).await.expect("there");
                    journal::verify(&run.plan, &run.events).expect("the chain holds");
                }
                if flow == Flow::Down {
                    assert_eq!(played.left().await.expect("everything can be looked at"), []);
                }
            })
            .expect("a runtime");
        }
    }
    writes
}

#[test]
fn up_killed_at_every_write() {
    assert!(matrix(&[], Flow::Up) > 20);
}

#[test]
fn down_killed_at_every_write() {
    assert!(matrix(&[Flow::Up], Flow::Down) > 20);
}

#[test]
fn a_second_up_changes_nothing() {
    let shared = Shared::new(model()).expect("a folder");
    virtually(async || {
        let played = prepared(&[Flow::Up], &shared).await;
        let (before, changes) = (end(&played), played.world.calls().changes());
        whole(&played, Flow::Up).await;
        assert_eq!(end(&played), before);
        assert_eq!(played.world.calls().changes(), changes, "no call to the cloud changed anything");
    })
    .expect("a runtime");
}

#[test]
fn one_argocd_serves_two_clusters_and_nothing_is_left_of_either() {
    let shared = Shared::new(two_clusters()).expect("a folder");
    virtually(async || {
        let played = prepared(&[Flow::Up], &shared).await;
        let clusters = played.world.clusters();
        let of = |name: &str, kind: &str| -> Vec<String> {
            let hosted = clusters.iter().find(|it| it.name == format!("demo-{name}")).expect("it was made");
            let found = hosted.cluster.api.store.list(&kind.into(), None).objects;
            found.into_iter().map(|(key, _)| format!("{}/{}", key.namespace, key.name)).collect()
        };
        let runs = |name: &str, what: &str| of(name, "apps/deployments").iter().any(|it| it == what);
        assert!(runs("demo", "hello-dev/hello") && !runs("demo", "hello-prod/hello"));
        assert!(runs("edge", "hello-prod/hello") && !runs("edge", "hello-dev/hello"));
        assert!(of("demo", "/secrets").contains(&"argocd/cluster-edge".to_owned()));
        assert_eq!(of("edge", "argoproj.io/applications"), [] as [&str; 0]);

        let (before, changes) = (end(&played), played.world.calls().changes());
        whole(&played, Flow::Up).await;
        assert_eq!((end(&played), played.world.calls().changes()), (before, changes), "a second up");

        whole(&played, Flow::Down).await;
        assert_eq!(end(&played).things, []);
        assert_eq!(end(&played).ledger, []);
        assert_eq!(played.left().await.expect("everything can be looked at"), []);
    })
    .expect("a runtime");
}

/// Everything that happened in a world, and everything that is in it.
async fn story(played: &Played) -> Vec<String> {
    let mut story = Vec::new();
    for nth in 1..=played.store.runs() {
        let run = played.store.load(&RunId::new(format!("run-{nth}"))).await.expect("there");
        story.extend(run.events.iter().map(|event| serde_json::to_string(event).expect("plain")));
    }
    story
        .extend(played.world.calls().after(0).iter().map(|call| serde_json::to_string(call).expect("plain")));
    for hosted in played.world.clusters() {
        let store = &hosted.cluster.api.store;
        let changes = store.changes_after(store.oldest()).expect("kept");
        story.extend(changes.into_iter().map(|change| {
            let after = change.after.map(|object| object.to_string());
            format!("{} {} {}", hosted.name, change.key.path(), after.as_deref().unwrap_or("removed"))
        }));
    }
    story
}

#[test]
fn the_same_seed_tells_the_same_story() {
    let told = |seed| {
        // Nothing shared: what one has rendered must not matter to the other either.
        let shared = Shared::new(model()).expect("a folder").with_history();
        let tell = async || {
            // Once in peace, where the clusters' own stories are still there in the end, and once in a storm.
            let peaceful = Played::new(seed, &shared).await.expect("a world");
            whole(&peaceful, Flow::Up).await;
            let stormy = Played::new(seed, &shared).await.expect("a world");
            schedule::play_in(&stormy, seed).await.unwrap_or_else(|flaw| panic!("{flaw:?}"));
            [story(&peaceful).await, story(&stormy).await].concat()
        };
        virtually(tell).expect("a runtime")
    };
    for seed in [3, 4] {
        let (once, again) = (told(seed), told(seed));
        assert!(once.len() > 500, "{} things happened", once.len());
        if let Some(at) = (0..once.len()).find(|at| once.get(*at) != again.get(*at)) {
            panic!("seed {seed}, thing {at}:\n{}\n{:?}", once[at], again.get(at));
        }
        assert_eq!(once.len(), again.len(), "seed {seed}");
    }
}

#[test]
fn random_schedules_end_as_they_should() {
    let shared = Shared::new(model()).expect("a folder");
    let mut tally = schedule::Tally::default();
    for seed in 0..16 {
        match virtually(async || schedule::play(seed, &shared).await).expect("a runtime") {
            Ok(played) => tally = tally.and(played),
            Err(flaw) => {
                panic!("{}\nplay it again: platform simulate --storm 1 --seed {}", flaw.what, flaw.seed)
            }
        }
    }
    assert!(tally.killed > 3 && tally.struck > 3, "the schedules did nothing: {tally:?}");
}

#[test]
fn of_two_at_once_one_wins_and_an_old_epoch_writes_nothing() {
    let shared = Shared::new(model()).expect("a folder");
    virtually(async || {
        let played = prepared(&[], &shared).await;
        let holder = |id: &str| Holder {
            id: id.to_owned(),
            user: "u".to_owned(),
            host: "h".to_owned(),
            pid: 1,
            process_start: "0".to_owned(),
        };
        let lasts = std::time::Duration::from_secs(60);
        let take = async |id: &str| {
            played.store.acquire(&played.platform(), &holder(id), lasts, played.now(), &|_| false).await
        };
        let first = take("first").await.expect("nobody else");
        assert!(matches!(take("second").await, Err(StoreError::Locked(_))), "one winner");
        tokio::time::advance(lasts * 2).await;
        let second = take("second").await.expect("the first one's time is over");
        assert!(second.epoch > first.epoch);
        let late = played.store.append(&first, &RunId::new("run-1"), &[]).await;
        assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
    })
    .expect("a runtime");
}
