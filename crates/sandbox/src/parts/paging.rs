//! Lists in pages: tokens that say where to go on, belong to one query, and do not last.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::chance::Chance;

/// Makes page tokens and reads them.
#[derive(Clone, Debug)]
pub struct Pager {
    secret: [u8; 32],
    lasts: SignedDuration,
}

/// Why a page token does not lead on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is none of ours.
    #[error("the page token is not valid")]
    Garbled,
    /// It is of another query.
    #[error("the page token belongs to another query")]
    OtherQuery,
    /// It is too old.
    #[error("the page token has expired")]
    Expired,
}

#[derive(Serialize, Deserialize)]
struct Inside {
    after: String,
    query: String,
    until: Timestamp,
}

impl Pager {
    /// Tokens that last for some time. With the same chance, tokens outlive the process.
    pub fn new(chance: Chance, lasts: SignedDuration) -> Self {
        Self { secret: chance.bytes(&["pager"]), lasts }
    }

    /// A token that leads on behind `after` in a query.
    pub fn token(&self, query: &str, after: &str, now: Timestamp) -> String {
        let until = now.checked_add(self.lasts).unwrap_or(Timestamp::MAX);
        let inside = Inside { after: after.to_owned(), query: query.to_owned(), until };
        let json = serde_json::to_vec(&inside).unwrap_or_default();
        let mut bytes = self.seal(&json).to_vec();
        bytes.extend(json);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Behind what a token leads on.
    ///
    /// # Errors
    /// When it is garbled, of another query, or too old.
    pub fn after(&self, token: &str, query: &str, now: Timestamp) -> Result<String, BadToken> {
        let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| BadToken::Garbled)?;
        let (seal, json) = bytes.split_at_checked(16).ok_or(BadToken::Garbled)?;
        if seal != self.seal(json) {
            return Err(BadToken::Garbled);
        }
        let inside: Inside = serde_json::from_slice(json).map_err(|_| BadToken::Garbled)?;
        if inside.query != query {
            return Err(BadToken::OtherQuery);
        }
        if now >= inside.until {
            return Err(BadToken::Expired);
        }
        Ok(inside.after)
    }

    /// Keeps clients from making tokens up; guards an emulator, so a plain hash is enough.
    fn seal(&self, json: &[u8]) -> [u8; 16] {
        let mut hash = Sha256::new();
        hash.update(self.secret);
        hash.update(json);
        let all = hash.finalize();
        std::array::from_fn(|at| all[at])
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items.
    pub items: Vec<T>,
    /// The key of its last item, when there are more behind it.
    pub more: Option<String>,
}

/// Cuts a page out of items that are in the order of their keys: at most `limit` behind the key `after`.
pub fn cut<T>(items: impl IntoIterator<Item = (String, T)>, after: Option<&str>, limit: usize) -> Page<T> {
    let mut rest =
        items.into_iter().filter(|(key, _)| after.is_none_or(|after| key.as_str() > after)).peekable();
    let mut page = Page { items: Vec::new(), more: None };
    while page.items.len() < limit.max(1) {
        let Some((key, item)) = rest.next() else { return page };
        page.items.push(item);
        if page.items.len() == limit.max(1) && rest.peek().is_some() {
            page.more = Some(key);
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn pager() -> Pager {
        Pager::new(Chance::new(1), SignedDuration::from_mins(5))
    }

    #[test]
    fn tokens_lead_on_in_their_query_and_for_their_time() {
        let token = pager().token("networks", "net-1", NOW);
        assert_eq!(pager().after(&token, "networks", NOW).as_deref(), Ok("net-1"));
        assert_eq!(pager().after(&token, "clusters", NOW), Err(BadToken::OtherQuery));
        assert_eq!(
            pager().after(&token, "networks", NOW + SignedDuration::from_mins(5)),
            Err(BadToken::Expired)
        );
        assert_eq!(pager().after("bmV0LTE", "networks", NOW), Err(BadToken::Garbled));
        let others = Pager::new(Chance::new(2), SignedDuration::from_mins(5)).token("networks", "net-1", NOW);
        assert_eq!(pager().after(&others, "networks", NOW), Err(BadToken::Garbled));
    }

    proptest! {
        #[test]
        fn pages_together_are_the_list(keys in proptest::collection::btree_set("[a-c]{1,3}", 0..20), limit in 1usize..6) {
            let mut seen = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let items = keys.iter().map(|key| (key.clone(), key.clone()));
                let page = cut(items, after.as_deref(), limit);
                prop_assert!(page.items.len() <= limit);
                seen.extend(page.items);
                after = page.more;
                if after.is_none() {
                    break;
                }
            }
            prop_assert_eq!(seen, keys.into_iter().collect::<Vec<_>>());
        }
    }
}
