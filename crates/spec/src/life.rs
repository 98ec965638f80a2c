//! How long something is to live.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whose a cluster is that is to end by itself, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Who asked for it, in words: `ci@runner-7`.
    pub owner: String,
    /// Until when it is alive, unless somebody prolongs it.
    pub until: Timestamp,
}

impl Life {
    /// A time as a tag says it: RFC 3339, UTC, whole seconds.
    pub fn tag(until: Timestamp) -> String {
        Timestamp::from_second(until.as_second()).unwrap_or(until).to_string()
    }

    /// Reads what a tag says; `None` for what is no time.
    pub fn read_tag(tag: &str) -> Option<Timestamp> {
        tag.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_comes_back_from_its_tag_without_its_fraction() {
        let until: Timestamp = "2026-11-21T22:30:00.75Z".parse().expect("a time");
        assert_eq!(Life::tag(until), "2026-11-21T22:30:00Z");
        assert_eq!(Life::read_tag(&Life::tag(until)).map(Timestamp::as_second), Some(until.as_second()));
        assert_eq!(Life::read_tag("soon"), None);
    }
}
