//! `kill -9` at random moments.

use std::time::Duration;

use platform_tests::{Bed, World};

use super::{ZONE_CHANGES_OF_DOWN, ZONE_CHANGES_OF_UP, assert_gone, assert_up, commits, down, made, up};

/// Lives of a platform: one in every test run, all five when there is time.
fn lives() -> u32 {
    if std::env::var_os("PLATFORM_E2E_LONG").is_some() { 5 } else { 1 }
}

/// Kills in each `up` and in each `down`.
const KILLS: (u32, u32) = (4, 1);
/// How long each takes when nobody disturbs it, about.
const TAKES: (Duration, Duration) = (Duration::from_secs(35), Duration::from_secs(8));
/// Replays the moments of an earlier run, which says its seed when it fails.
const SEED: &str = "PLATFORM_E2E_SEED";

/// Moments to be killed at.
pub(crate) struct Die(u64);

impl Die {
    pub(crate) fn new() -> Self {
        let given = std::env::var(SEED).ok().map(|seed| seed.parse().expect("PLATFORM_E2E_SEED is a number"));
        let seed = given.unwrap_or_else(|| {
            let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock after 1970");
            u64::from(since.subsec_nanos())
        });
        // shown by the test harness when the test fails
        #[expect(clippy::print_stdout, reason = "what a person needs to replay a failed test")]
        {
            println!("{SEED}={seed}");
        }
        Self(seed)
    }

    /// Between zero and twice a share of `whole`, so that `parts` moments one after another fill it on average.
    pub(crate) fn moment(&mut self, whole: Duration, parts: u32) -> Duration {
        // A linear congruential generator is random enough for moments, and a seed replays it.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let most = u64::try_from((whole * 2 / (parts + 1)).as_millis()).expect("it is short");
        Duration::from_millis(100 + (self.0 >> 33) % most)
    }
}

/// Carries a flow out and kills it on the way; says how often.
fn with_kills(world: &World, flow: &str, args: &[String], kills: u32, takes: Duration, die: &mut Die) -> u32 {
    let mut next = args.to_vec();
    for killed in 0..kills {
        if !world.start(&next).kill_after(die.moment(takes, kills)) {
            return killed;
        }
        // Killed before the run was stored, there is nothing to resume, and nothing has happened.
        let last = world.platform(["runs"]).ok().json()["runs"][0].clone();
        let (of, status) = (last["flow"].as_str(), last["status"].as_str());
        next = match (of == Some(flow), status) {
            (true, Some("interrupted")) => vec!["resume".into(), "--yes".into()],
            // The run had ended, and its report was not written any more.
            (true, Some("succeeded")) => return killed + 1,
            _ => args.to_vec(),
        };
    }
    world.platform(&next).ok();
    kills
}

#[test]
fn killed_at_random_moments_everything_is_made_once_and_nothing_is_left() {
    let mut die = Die::new();
    let mut killed = (0, 0);
    for life in 0..lives() {
        let Some(world) = Bed::world("killed") else { return };
        let (mark, zone) = (world.bed().audit_mark(), world.zone());
        let serial = world.zone_serial(&zone);
        killed.0 += with_kills(&world, "up", &up(&world), KILLS.0, TAKES.0, &mut die);
        assert_up(&world);
        let twice: Vec<_> =
            made(&world.bed().writes_since(mark)).into_iter().filter(|(_, times)| *times > 1).collect();
        assert_eq!(twice, Vec::new(), "made more than once in life {life} after {killed:?} kills");
        let told = (commits(&world), world.zone_serial(&zone) - serial);
        assert_eq!(told, (1, ZONE_CHANGES_OF_UP), "commits and changes of the zone in life {life}");

        let again = world.platform(up(&world)).ok().json();
        assert_eq!(again["counts"]["changed"], 0, "the same end state: {again:#}");

        let serial = world.zone_serial(&zone);
        killed.1 += with_kills(&world, "down", &down(&world), KILLS.1, TAKES.1, &mut die);
        assert_eq!(world.zone_serial(&zone) - serial, ZONE_CHANGES_OF_DOWN, "names are removed once");
        assert_gone(&world);
    }
    assert!(killed.0 > 0, "no kill met an `up` alive");
    #[expect(clippy::print_stdout, reason = "the figure that a long run is made for")]
    {
        println!("killed {} times in up and {} times in down", killed.0, killed.1);
    }
}
