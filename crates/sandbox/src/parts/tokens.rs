//! Client tokens: the same request twice makes one thing.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// What requests with client tokens have made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientTokens {
    used: BTreeMap<String, Used>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Used {
    digest: String,
    made: String,
    at: Timestamp,
}

/// What a token says about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nobody has used it: make the thing, then [`ClientTokens::used`].
    New,
    /// The same request has made this.
    Same(String),
    /// Another request has used it, and has made this: refuse.
    Other(String),
}

impl ClientTokens {
    /// Looks a token up. `parameters` is everything that makes requests differ.
    pub fn look(&self, token: &str, parameters: &str) -> Seen {
        match self.used.get(token) {
            None => Seen::New,
            Some(used) if used.digest == digest(parameters) => Seen::Same(used.made.clone()),
            Some(used) => Seen::Other(used.made.clone()),
        }
    }

    /// Remembers what a request has made; forgets tokens that are older than `remembered`.
    pub fn used(
        &mut self,
        token: &str,
        parameters: &str,
        made: &str,
        now: Timestamp,
        remembered: SignedDuration,
    ) {
        self.used.retain(|_, used| now.duration_since(used.at) <= remembered);
        let used = Used { digest: digest(parameters), made: made.to_owned(), at: now };
        self.used.insert(token.to_owned(), used);
    }

    /// Forgets a token: what it has made is gone, and may be made again with it.
    pub fn forget(&mut self, made: &str) {
        self.used.retain(|_, used| used.made != made);
    }
}

fn digest(parameters: &str) -> String {
    hex::encode(Sha256::digest(parameters))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: SignedDuration = SignedDuration::from_hours(24);

    #[test]
    fn a_token_stands_for_one_request() {
        let mut tokens = ClientTokens::default();
        assert_eq!(tokens.look("t", "a"), Seen::New);
        tokens.used("t", "a", "net-1", Timestamp::UNIX_EPOCH, DAY);
        assert_eq!(tokens.look("t", "a"), Seen::Same("net-1".into()));
        assert_eq!(tokens.look("t", "b"), Seen::Other("net-1".into()));
        tokens.forget("net-1");
        assert_eq!(tokens.look("t", "b"), Seen::New);
    }

    #[test]
    fn tokens_are_forgotten_in_time() {
        let mut tokens = ClientTokens::default();
        let day = |n: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * n);
        tokens.used("old", "", "net-1", day(0), DAY);
        tokens.used("day", "", "net-2", day(1), DAY);
        assert_eq!(tokens.look("old", ""), Seen::Same("net-1".into()), "a day is not over");
        tokens.used("new", "", "net-3", day(2), DAY);
        assert_eq!((tokens.look("old", ""), tokens.look("day", "")), (Seen::New, Seen::Same("net-2".into())));
    }
}
