//! The real Argo CD controllers and the real Velero server on the sandbox's API server and object store, as they run on the
//! bed's real ones. The sandbox's own Argo CD and Velero do not play here.
//!
//! | room | what it shows |
//! |---|---|
//! | `healing` | what somebody changes by hand comes back |
//! | `sets` | ApplicationSets; the sandbox's own player makes the same Applications of them |
//! | `backups` | a namespace goes and comes back |

mod backups;
mod healing;
mod sets;

use platform_tests::{Bed, World};

use crate::platform::{assert_gone, assert_up, down, up};

#[test]
fn a_platform_lives_on_it_under_the_real_controllers() {
    let Some(world) = Bed::world_on_sandbox("sandbox-real") else { return };
    world.platform(up(&world)).ok();
    assert_up(&world);
    let again = world.platform(up(&world)).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");

    healing::changes_by_hand_do_not_last(&world);
    sets::both_make_the_same_of_every_set(&world);
    backups::a_namespace_comes_back(&world);

    assert_up(&world);
    let gone = world.platform(down(&world)).ok().json();
    assert_eq!(gone["orphans"].as_array().map(Vec::len), Some(0), "{gone:#}");
    assert_gone(&world);
}

/// `kubectl wait`, with what the object and the programs say when it is in vain.
#[track_caller]
fn wait(world: &World, namespace: &str, object: &str, condition: &str) {
    let bed = world.bed();
    let condition = format!("--for={condition}");
    let waited = bed.kubectl(["wait", "--namespace", namespace, object, &condition, "--timeout=120s"]);
    if waited.status != 0 {
        let state = bed.kubectl(["get", "--namespace", namespace, object, "--output=yaml"]).stdout;
        panic!("{object}: {condition}\n{}\n{state}", waited.stderr);
    }
}

/// `kubectl create` with a document.
#[track_caller]
fn create(world: &World, object: &serde_json::Value) {
    let file = world.dir().join("create.json");
    fs_err::write(&file, object.to_string()).expect("a file");
    world.bed().kubectl(["create", "--filename", &file.display().to_string()]).ok();
}
