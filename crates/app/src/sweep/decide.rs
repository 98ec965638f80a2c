//! What is to be swept: decisions without I/O.

use std::{collections::BTreeMap, time::Duration};

use jiff::{SignedDuration, Timestamp};
use platform_provider::{
    Claim, Owned,
    life::{BEAT, GRACE},
};
use serde::Serialize;

/// What a look at a claim says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its time is not over, or somebody works with it.
    Alive,
    /// It bears no time: it stays until a person names it.
    Permanent,
    /// Its time is over.
    Expired,
    /// A person has named its platform.
    Named,
}

impl Verdict {
    /// Whether it is to be removed.
    pub fn is_doomed(self) -> bool {
        matches!(self, Self::Expired | Self::Named)
    }

    /// In words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Permanent => "permanent",
            Self::Expired => "expired",
            Self::Named => "named",
        }
    }
}

/// For how long a time that has just run out is watched: who beats has moved it by then, also when its clock is behind
/// ours.
pub(crate) const WATCHED: Duration = Duration::from_secs(2 * BEAT.as_secs() + 2);

/// How long after its time something is over.
const MOMENT: Duration = Duration::from_millis(10);

/// A time that ran out so long ago is believed at the first look.
const CERTAIN: SignedDuration = SignedDuration::from_secs(10 * GRACE.as_secs().cast_signed());

/// Watches claims from look to look.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    /// The time that each bore when it was first seen, and when that was.
    first: BTreeMap<(String, Option<String>), (Option<Timestamp>, Timestamp)>,
}

/// What one look decides.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Looked {
    /// It is decided.
    Is(Verdict),
    /// It may be over, and is looked at again: it is decided in so long, unless it moves.
    Again(Duration),
}

impl Watch {
    /// Looks at a claim. One whose time runs out within `soon` is waited for, and one whose time has moved since it was
    /// first seen is alive whatever our clock says.
    pub fn look(&mut self, claim: &Claim, named: Option<&str>, now: Timestamp, soon: Duration) -> Looked {
        if let Some(name) = named {
            let fits = claim.platform.as_str() == name;
            return Looked::Is(match (fits, claim.alive_until) {
                (true, _) => Verdict::Named,
                (false, None) => Verdict::Permanent,
                (false, Some(_)) => Verdict::Alive,
            });
        }
        let Some(until) = claim.alive_until else { return Looked::Is(Verdict::Permanent) };
        let key = (claim.platform.as_str().to_owned(), claim.cluster.clone());
        let (first, since) = *self.first.entry(key).or_insert((Some(until), now));
        if first < Some(until) {
            return Looked::Is(Verdict::Alive);
        }
        let over_for = now.duration_since(until);
        if over_for >= CERTAIN {
            return Looked::Is(Verdict::Expired);
        }
        if until > now.checked_add(soon).unwrap_or(now) {
            return Looked::Is(Verdict::Alive);
        }
        let watched = now.duration_since(since);
        let left = SignedDuration::try_from(WATCHED).unwrap_or_default() - watched;
        match left.max(-over_for) {
            left if left.is_positive() || over_for.is_zero() => Looked::Again(left.unsigned_abs() + MOMENT),
            _ => Looked::Is(Verdict::Expired),
        }
    }
}

/// The things of a claim that nothing stands on: what is removed next.
pub(crate) fn free(claim: &Claim) -> Vec<&Owned> {
    claim.things.iter().filter(|thing| thing.blocked_by.is_empty()).collect()
}

/// Whether a claim has come back to life since it was condemned: a heartbeat moved its time forward. What is removed of
/// it may take times along, so a time that has moved back says nothing.
pub(crate) fn is_revived(condemned_at: Option<Timestamp>, now_says: Option<Timestamp>) -> bool {
    condemned_at.is_some() && now_says > condemned_at
}

#[cfg(test)]
mod tests {
    use platform_spec::PlatformName;

    use super::*;

    fn claim(platform: &str, until: Option<i64>) -> Claim {
        Claim {
            platform: PlatformName::new(platform),
            cluster: Some("eu".to_owned()),
            owner: None,
            alive_until: until.map(at),
            things: Vec::new(),
        }
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_900_000_000 + second).expect("a time")
    }

    const NO: Duration = Duration::ZERO;

    fn again(seconds: u64) -> Looked {
        Looked::Again(Duration::from_secs(seconds) + MOMENT)
    }

    #[test]
    fn permanent_and_living_claims_are_spared() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(&claim("a", None), None, at(0), NO), Looked::Is(Verdict::Permanent));
        assert_eq!(watch.look(&claim("b", Some(1)), None, at(0), NO), Looked::Is(Verdict::Alive));
    }

    #[test]
    fn what_was_over_long_ago_is_expired_at_once() {
        let looked = Watch::default().look(&claim("a", Some(-3600)), None, at(0), NO);
        assert_eq!(looked, Looked::Is(Verdict::Expired));
    }

    #[test]
    fn what_is_just_over_is_watched_before_it_is_believed() {
        let mut watch = Watch::default();
        let it = claim("a", Some(-1));
        assert_eq!(watch.look(&it, None, at(0), NO), again(12));
        assert_eq!(watch.look(&it, None, at(5), NO), again(7));
        assert_eq!(watch.look(&it, None, at(12), NO), Looked::Is(Verdict::Expired));
    }

    #[test]
    fn a_heartbeat_spares_also_when_its_clock_is_behind() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(&claim("a", Some(-20)), None, at(0), NO), again(12));
        // Still over by our clock, but it has moved.
        assert_eq!(watch.look(&claim("a", Some(-15)), None, at(5), NO), Looked::Is(Verdict::Alive));
    }

    #[test]
    fn who_was_killed_is_waited_for_within_a_minute() {
        let mut watch = Watch::default();
        let it = claim("a", Some(28));
        assert_eq!(watch.look(&it, None, at(0), GRACE), again(28));
        assert_eq!(watch.look(&it, None, at(25), GRACE), again(3), "not a whole beat later");
        assert_eq!(watch.look(&it, None, at(28), GRACE), again(0), "a moment after its time");
        assert_eq!(watch.look(&it, None, at(29), GRACE), Looked::Is(Verdict::Expired));
        // One that has an hour left is nobody's leftover.
        assert_eq!(watch.look(&claim("b", Some(3600)), None, at(0), GRACE), Looked::Is(Verdict::Alive));
    }

    #[test]
    fn a_name_dooms_its_platform_and_no_other() {
        let mut watch = Watch::default();
        let mut look = |claim: Claim| watch.look(&claim, Some("a"), at(0), NO);
        assert_eq!(look(claim("a", None)), Looked::Is(Verdict::Named));
        assert_eq!(look(claim("a", Some(99))), Looked::Is(Verdict::Named));
        assert_eq!(look(claim("b", Some(-9999))), Looked::Is(Verdict::Alive));
        assert_eq!(look(claim("c", None)), Looked::Is(Verdict::Permanent));
    }

    #[test]
    fn only_a_time_that_moves_forward_revives() {
        assert!(is_revived(Some(at(0)), Some(at(1))));
        assert!(!is_revived(Some(at(0)), Some(at(0))));
        assert!(!is_revived(Some(at(0)), None), "what bore the time is gone");
        assert!(!is_revived(None, Some(at(1))), "it was named, not expired");
    }

    #[test]
    fn users_go_before_what_they_stand_on() {
        let thing = |name: &str, on: &[&str]| Owned {
            kind: "thing".to_owned(),
            id: name.to_owned(),
            name: name.to_owned(),
            cluster: None,
            age_ms: None,
            blocked_by: on.iter().map(|by| format!("thing {by}")).collect(),
        };
        let things = vec![thing("network", &["cluster"]), thing("cluster", &[]), thing("bucket", &[])];
        let it = Claim { things, ..claim("a", None) };
        let names: Vec<&str> = free(&it).iter().map(|thing| thing.name.as_str()).collect();
        assert_eq!(names, ["cluster", "bucket"]);
    }
}
