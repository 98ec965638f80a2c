//! `kill -9` before and after every write of `up` and of `down`: what resumes ends where an undisturbed run ends, and
//! everything was made once.

mod stage;

use std::{collections::BTreeMap, time::Duration};

use platform_engine::decide::Ending;
use platform_engine::memory::Kill;
use platform_spec::event::LedgerEntry;
use stage::{Flow, Stage};

/// What is there in the end, and how often each thing was made.
#[derive(Debug, PartialEq)]
struct End {
    cloud: Vec<(String, String)>,
    made_in_cloud: BTreeMap<String, u64>,
    world: Vec<String>,
    made_in_world: BTreeMap<String, u32>,
    ledger: Vec<LedgerEntry>,
}

fn end(stage: &Stage) -> End {
    let name = |object: platform_testkit::memory::Object| (object.name, format!("{:?}", object.phase));
    End {
        cloud: stage.cloud.objects().into_iter().map(name).collect(),
        made_in_cloud: stage.cloud.made(),
        world: stage.world.things(),
        made_in_world: stage.world.made(),
        ledger: stage.store.ledger(&stage.platform()).into_iter().map(without_number).collect(),
    }
}

/// Which of two independent objects was made first, and so has the lower number in its id, is chance.
fn without_number(mut entry: LedgerEntry) -> LedgerEntry {
    if entry.kind == "resource" {
        let kind = entry.external_id.rsplit_once('-').map(|(kind, _)| kind.to_owned());
        entry.external_id = kind.unwrap_or_default();
    }
    entry
}

async fn whole(stage: &Stage, flow: Flow) {
    let ended = stage.live(flow).await.unwrap_or_else(|failure| panic!("{flow:?}: {failure:?}"));
    let failed: Vec<_> = ended.board.slots().iter().filter_map(|slot| slot.failure.as_ref()).collect();
    assert_eq!(ended.ending, Ending::Succeeded, "{flow:?}: {failed:#?}");
}

/// Kills at every write of `flow` in a world that `before` has made, and compares with no kill.
async fn matrix(before: &[Flow], flow: Flow) -> u64 {
    let prepared = async || {
        let stage = Stage::new().await;
        for flow in before {
            whole(&stage, *flow).await;
        }
        stage.store.kill(None);
        stage
    };
    let undisturbed = prepared().await;
    whole(&undisturbed, flow).await;
    let (writes, wanted) = (undisturbed.store.writes(), end(&undisturbed));
    assert!(wanted.made_in_world.values().all(|times| *times == 1), "{wanted:#?}");

    for write in 1..=writes {
        for kill in [Kill::BeforeWrite(write), Kill::AfterWrite(write)] {
            let stage = prepared().await;
            stage.store.kill(Some(kill));
            stage.live(flow).await.expect_err("killed");
            stage.store.kill(None);
            if kill != Kill::AfterWrite(writes) {
                whole(&stage, flow).await;
            }
            assert_eq!(stage.store.resumable(), None, "{kill:?} of {writes}");
            assert_eq!(end(&stage), wanted, "{kill:?} of {writes}");
        }
    }
    writes
}

#[tokio::test(start_paused = true)]
async fn up_killed_at_every_write_makes_everything_once() {
    let writes = matrix(&[], Flow::Up).await;
    assert!(writes > 30, "only {writes} writes: the matrix has become small");
}

#[tokio::test(start_paused = true)]
async fn down_killed_at_every_write_leaves_nothing() {
    let writes = matrix(&[Flow::Up], Flow::Down).await;
    assert!(writes > 15, "only {writes} writes: the matrix has become small");
}

#[tokio::test(start_paused = true)]
async fn a_second_up_killed_at_every_write_changes_nothing() {
    matrix(&[Flow::Up], Flow::Up).await;
}

#[tokio::test(start_paused = true)]
async fn after_down_nothing_is_there_and_the_ledger_is_empty() {
    let stage = Stage::new().await;
    whole(&stage, Flow::Up).await;
    assert_eq!(stage.cloud.objects().len(), 3, "network, control plane, pool");
    let changes = stage.cloud.changes();
    whole(&stage, Flow::Up).await;
    assert_eq!(stage.cloud.changes(), changes, "a second up changes nothing in the cloud");
    whole(&stage, Flow::Down).await;
    let end = end(&stage);
    assert_eq!((end.cloud, end.ledger), (Vec::new(), Vec::new()));
    assert_eq!(end.world, ["repository/platform"], "what is in Git stays");
}

/// The process dies again and again. In one life the first write says that the run is resumed, the second what is in
/// doubt and begun again, the third what is about to be done: three more, and a minute until somebody starts it again,
/// and it gets there however often it dies.
#[tokio::test(start_paused = true)]
async fn a_process_that_dies_at_every_sixth_write_still_gets_there() {
    let stage = Stage::new().await;
    for flow in [Flow::Up, Flow::Down] {
        let mut lives = 0;
        loop {
            lives += 1;
            assert!(lives < 200, "{flow:?} does not get there");
            stage.store.kill(Some(Kill::AfterWrite(6)));
            let alive = stage.live(flow).await.is_ok();
            stage.store.kill(None);
            if alive || stage.store.resumable().is_none() {
                break;
            }
            tokio::time::advance(Duration::from_secs(60)).await;
        }
        assert!(lives > 3, "{flow:?} took only {lives} lives");
        assert!(stage.world.made().values().all(|times| *times == 1), "{flow:?} after {lives} lives");
    }
    assert_eq!(end(&stage).ledger, Vec::new());
}
