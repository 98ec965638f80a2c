//! The undisturbed life.

use platform_tests::Bed;

use super::{
    ZONE_CHANGES_OF_DOWN, ZONE_CHANGES_OF_UP, assert_gone, assert_up, commits, down, made, moved, up,
};

#[test]
fn up_brings_everything_a_second_up_changes_nothing_and_down_leaves_nothing() {
    let Some(world) = Bed::world("whole") else { return };
    let (mark, serial) = (world.bed().audit_mark(), world.zone_serial(&world.zone()));
    let first = world.platform(up(&world)).ok().json();
    assert_eq!(
        (first["schema"].as_str(), first["status"].as_str()),
        (Some("platform.run/v1"), Some("succeeded"))
    );
    assert_up(&world);
    assert_eq!(world.zone_serial(&world.zone()), serial + ZONE_CHANGES_OF_UP);
    let made = made(&world.bed().writes_since(mark));
    assert!(made.len() > 50 && made.values().all(|times| *times == 1), "{made:#?}");

    // a healthy platform is left alone.
    let (mark, serial) = (world.bed().audit_mark(), world.zone_serial(&world.zone()));
    let again = world.platform(up(&world)).ok().json();
    assert_eq!(again["counts"]["changed"], 0, "{again:#}");
    let writes: Vec<String> = world
        .bed()
        .writes_since(mark)
        .iter()
        .filter(|write| write.is_ours())
        .map(|write| format!("{} {}", write.verb, write.object()))
        .collect();
    assert_eq!(writes, Vec::<String>::new(), "no write by us");
    assert_eq!((commits(&world), world.zone_serial(&world.zone())), (1, serial));

    moved::edits_of_people_are_kept_and_never_overwritten(&world);
    moved::a_rewritten_history_is_left_alone(&world);

    let serial = world.zone_serial(&world.zone());
    let gone = world.platform(down(&world)).ok().json();
    assert_eq!(
        (gone["status"].as_str(), gone["orphans"].as_array().map(Vec::len)),
        (Some("succeeded"), Some(0))
    );
    assert_eq!(world.zone_serial(&world.zone()), serial + ZONE_CHANGES_OF_DOWN);
    assert_gone(&world);
}
