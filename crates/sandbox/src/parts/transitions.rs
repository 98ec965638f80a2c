//! Things that take time.
//!
//! A transition knows when it ends; whoever looks, compares that with the time it is. Nothing has to run in between, so a
//! transition ends in virtual time as in real time, and while the process is not there.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{chance::Chance, faults::Struck};

/// How long something takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Takes {
    /// Usually.
    pub typical: SignedDuration,
    /// How far it may differ from that, as a share of it: 0.2 is from 80 % to 120 %.
    pub spread: f64,
}

impl Takes {
    /// So many seconds, give or take a fifth.
    pub const fn seconds(typical: i64) -> Self {
        Self { typical: SignedDuration::from_secs(typical), spread: 0.2 }
    }
}

/// How fast an emulated world lives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pace(f64);

impl Pace {
    /// As real clouds do. For virtual clocks.
    pub const CLOUD: Self = Self(1.0);
    /// A thousand times faster: five minutes are 300 ms. For people who wait.
    pub const BRISK: Self = Self(0.001);
    /// Everything at once.
    pub const INSTANT: Self = Self(0.0);

    /// A factor on all times; what is no number, or below 0, is 0.
    pub fn new(factor: f64) -> Self {
        Self(if factor > 0.0 && factor.is_finite() { factor } else { 0.0 })
    }

    /// How long something takes at this pace; `name` is what chance goes by.
    pub fn time(self, takes: Takes, chance: Chance, name: &[&str]) -> SignedDuration {
        let swing = 1.0 + takes.spread * (2.0 * chance.fraction(name) - 1.0);
        self.of(takes.typical).mul(swing)
    }

    /// A time at this pace.
    pub fn of(self, time: SignedDuration) -> SignedDuration {
        time.mul(self.0)
    }
}

/// Multiplying without a panic at the end of time.
trait Mul {
    fn mul(self, factor: f64) -> Self;
}

impl Mul for SignedDuration {
    fn mul(self, factor: f64) -> Self {
        Self::try_from_secs_f64(self.as_secs_f64() * factor).unwrap_or(Self::MAX)
    }
}

/// Something that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The id by which it may be asked for.
    pub operation: String,
    /// When it was begun.
    pub begun: Timestamp,
    /// When it ends; `None` means never.
    pub until: Option<Timestamp>,
    /// Why it ends in failure, when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails: Option<String>,
}

/// Where a transition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands<'a> {
    /// Not over; how long it has still to go, as far as is known.
    Running(Option<SignedDuration>),
    /// Over, and well.
    Done,
    /// Over, and not well.
    Failed(&'a str),
}

impl Transition {
    /// Begins now; what goes wrong at the call that begins it is heeded. Delays of a fault are not subject to the pace.
    pub fn begin(operation: String, now: Timestamp, time: SignedDuration, struck: &Struck) -> Self {
        let end = now.checked_add(time.saturating_add(struck.slower())).unwrap_or(Timestamp::MAX);
        Self {
            operation,
            begun: now,
            until: (!struck.sticks()).then_some(end),
            fails: struck.fails().map(ToOwned::to_owned),
        }
    }

    /// Where it stands.
    pub fn stands(&self, now: Timestamp) -> Stands<'_> {
        match (self.until, &self.fails) {
            (None, _) => Stands::Running(None),
            (Some(until), _) if now < until => Stands::Running(Some(until.duration_since(now))),
            (Some(_), Some(why)) => Stands::Failed(why),
            (Some(_), None) => Stands::Done,
        }
    }

    /// How much of its time has gone, in per cent; 99 at most while it runs.
    pub fn percent(&self, now: Timestamp) -> u8 {
        let Some(until) = self.until else { return 0 };
        let whole = until.duration_since(self.begun).as_millis();
        let gone = now.duration_since(self.begun).as_millis();
        if now >= until {
            return 100;
        }
        u8::try_from((gone * 100).checked_div(whole).unwrap_or(0).clamp(0, 99)).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::faults::{Fault, Faults, Point, Rule};
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn struck(faults: &[Fault]) -> Struck {
        let all = Faults::new(1, std::sync::Arc::new(|| Timestamp::UNIX_EPOCH));
        for fault in faults {
            all.add(Rule::at("*", "*", "*").fault(fault.clone()));
        }
        all.next(&Point { service: "cloud", operation: "x", target: "y" })
    }

    #[test]
    fn it_ends_when_its_time_has_come_and_not_before() {
        let forty = SignedDuration::from_secs(40);
        let well = Transition::begin("op".into(), at(100), forty, &struck(&[]));
        assert_eq!(well.stands(at(139)), Stands::Running(Some(SignedDuration::from_secs(1))));
        assert_eq!((well.percent(at(120)), well.percent(at(139)), well.percent(at(140))), (50, 97, 100));
        assert_eq!(well.stands(at(140)), Stands::Done);
    }

    #[test]
    fn faults_make_it_slow_or_stuck_or_end_badly() {
        let begin = |faults: &[Fault]| {
            Transition::begin("op".into(), at(0), SignedDuration::from_secs(10), &struck(faults))
        };
        let slow = begin(&[Fault::Slow(SignedDuration::from_secs(5))]);
        assert_eq!(
            (slow.stands(at(14)), slow.stands(at(15))),
            (Stands::Running(Some(SignedDuration::from_secs(1))), Stands::Done)
        );
        let stuck = begin(&[Fault::Stuck]);
        assert_eq!((stuck.stands(at(1_000_000)), stuck.percent(at(1_000_000))), (Stands::Running(None), 0));
        let bad = begin(&[Fault::Fail("no route".into())]);
        assert_eq!(bad.stands(at(10)), Stands::Failed("no route"));
    }

    #[test]
    fn the_pace_shortens_and_the_spread_stays_in_its_bounds() {
        let chance = Chance::new(3);
        let takes = Takes::seconds(300);
        for n in 0..100 {
            let name = n.to_string();
            let cloud = Pace::CLOUD.time(takes, chance, &[&name]).as_secs_f64();
            assert!((240.0..=360.0).contains(&cloud), "{cloud}");
            let brisk = Pace::BRISK.time(takes, chance, &[&name]);
            assert!(brisk < SignedDuration::from_millis(361), "{brisk}");
        }
        assert_eq!(Pace::INSTANT.time(takes, chance, &["x"]), SignedDuration::ZERO);
        assert_eq!(Pace::new(f64::NAN), Pace::INSTANT);
    }
}
