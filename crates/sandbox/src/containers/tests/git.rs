//! A Git server beside the nodes of a cluster.

use std::{collections::BTreeMap, sync::Arc};

use super::{run, world_with};
use crate::{
    keep::Keeper,
    parts::transitions::Pace,
    play::{around::Remote, repositories::Memory},
    world::World,
};

const SERVER: &str = "docker create --name git --restart unless-stopped --user 0:0 --read-only --cap-drop ALL --security-opt no-new-privileges --mount type=bind,\"source=/srv/repos\",target=/git,readonly --entrypoint git";

/// What pods of a cluster learn of a branch.
fn resolve(world: &World, cluster: &str) -> Result<String, String> {
    let hosted = world.hosted(&format!("kind/{cluster}")).expect("a cluster");
    let repositories = hosted.cluster.around.repositories.clone().expect("some");
    let remote = Remote { url: "git://git/platform.git".to_owned(), ..Remote::default() };
    let commit = repositories.resolve(&remote, "main")?;
    repositories.files(&remote, &commit).map(|_| commit)
}

#[tokio::test(start_paused = true)]
async fn pods_pull_from_it_as_long_as_it_runs_on_their_network() {
    let repositories = Arc::new(Memory::new());
    let files = BTreeMap::from([("a".to_owned(), b"b".to_vec())]);
    let commit = repositories.commit("file:///srv/repos/platform.git", "main", files);
    let world = world_with(repositories, Keeper::memory(), Pace::CLOUD).await;
    run(&world, "kind create cluster --name demo").await.ok();
    let nobody = Err("failed to list refs: dial tcp: lookup git on 10.96.0.10:53: no such host".to_owned());
    assert_eq!(resolve(&world, "demo"), nobody);

    run(&world, &format!("{SERVER} --network kind img daemon --base-path=/git /git")).await.ok();
    assert_eq!(resolve(&world, "demo"), nobody, "it was not started");
    run(&world, "docker start git").await.ok();
    assert_eq!(resolve(&world, "demo").as_ref(), Ok(&commit));
    let asked = "docker exec git git ls-remote git://127.0.0.1/nobodys";
    run(&world, asked).await.fails(128, "fatal: remote error: ");
    run(&world, "docker stop git").await.ok();
    assert_eq!(resolve(&world, "demo"), nobody);
    run(&world, "docker rm git").await.ok();

    // One that serves something else, and one that is elsewhere.
    run(&world, &format!("{SERVER} --network kind img version")).await.ok();
    run(&world, "docker start git").await.ok();
    assert_eq!(resolve(&world, "demo"), nobody);
    run(&world, asked).await.fails(127, "executable file not found");
    run(&world, "docker rm -f git").await.ok();
    run(&world, &format!("{SERVER} --network bridge img daemon --base-path=/git /git")).await.ok();
    run(&world, "docker start git").await.ok();
    assert_eq!(resolve(&world, "demo"), nobody);
}
