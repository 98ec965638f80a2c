//! The TXT record beside each name that we publish.
//!
//! The text is shaped like ExternalDNS's (`heritage=…,external-dns/owner=…`), so that people who know one can read the
//! other; the two never take one another's records for their own.

use std::collections::BTreeSet;

use hickory_proto::rr::{Name, rdata::TXT};

use crate::{held::Kind, refusal::DnsError};

const LABEL: &str = "_platform-owner";
const WILDCARD_LABEL: &str = "_platform-owner-wildcard";

/// What the record says: whose the name is, and which kinds of record at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The owner's id.
    pub owner: String,
    /// Kinds of record that we put there. Anything else at the name is somebody else's.
    pub kinds: BTreeSet<Kind>,
}

impl Ownership {
    /// The text, in one string of at most 255 bytes.
    pub fn to_text(&self) -> String {
        let kinds: Vec<_> = self.kinds.iter().map(|kind| kind.as_str()).collect();
        format!("heritage=platform,platform/owner={},platform/resource={}", self.owner, kinds.join("+"))
    }

    /// Reads one; `None` when it is somebody else's text.
    pub fn from_txt(txt: &TXT) -> Option<Self> {
        let [text] = &*txt.txt_data else { return None };
        let text = std::str::from_utf8(text).ok()?;
        let mut fields = text.split(',').map(|field| field.split_once('='));
        if fields.next()? != Some(("heritage", "platform")) {
            return None;
        }
        let (mut owner, mut kinds) = (None, None);
        for field in fields {
            match field? {
                ("platform/owner", value) => owner = Some(value.to_owned()),
                ("platform/resource", value) => {
                    kinds = value.split('+').map(Kind::parse).collect::<Option<_>>()
                }
                // A later version may say more.
                _ => {}
            }
        }
        Some(Self { owner: owner?, kinds: kinds? })
    }
}

/// Checks an owner's id: letters, digits, `.`, `_`, `/`, `:` and `-`, at most 128.
///
/// # Errors
/// [`DnsError::Owner`].
pub(crate) fn check_owner(owner: &str) -> Result<(), DnsError> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | ':' | '-');
    if (1..=128).contains(&owner.len()) && owner.chars().all(good) {
        Ok(())
    } else {
        Err(DnsError::Owner { owner: owner.to_owned() })
    }
}

/// Where the record of a name stands: `_platform-owner.www.example.com` for `www.example.com`.
///
/// Below the name and not at it, because an alias tolerates nothing beside itself; and not below a wildcard, because a
/// `*` in the middle of a name confuses people and some servers.
///
/// # Errors
/// [`DnsError::Name`] when the name is too long for it.
pub(crate) fn place(host: &Name) -> Result<Name, DnsError> {
    let below = if host.is_wildcard() { host.base_name() } else { host.clone() };
    let label = if host.is_wildcard() { WILDCARD_LABEL } else { LABEL };
    below.prepend_label(label).map_err(|_| DnsError::Name {
        name: host.to_string(),
        why: "it is too long for its ownership record",
    })
}

/// The name that an ownership record at `place` speaks of; `None` when no such record can be there.
pub(crate) fn host_of(place: &Name) -> Option<Name> {
    match place.iter().next()? {
        label if label == LABEL.as_bytes() => Some(place.base_name()),
        label if label == WILDCARD_LABEL.as_bytes() => place.base_name().prepend_label("*").ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::name;

    #[test]
    fn the_text_reads_back_and_others_texts_are_others() {
        let ours = Ownership { owner: "demo/eu".into(), kinds: [Kind::Aaaa, Kind::A].into() };
        assert_eq!(ours.to_text(), "heritage=platform,platform/owner=demo/eu,platform/resource=A+AAAA");
        assert_eq!(Ownership::from_txt(&TXT::new(vec![ours.to_text()])), Some(ours));
        for text in [
            "heritage=external-dns,external-dns/owner=demo,external-dns/resource=ingress/web",
            "v=spf1 -all",
            "heritage=platform,platform/owner=demo",
            "heritage=platform,platform/owner=demo,platform/resource=MX",
            "",
        ] {
            assert_eq!(Ownership::from_txt(&TXT::new(vec![text.into()])), None, "{text}");
        }
    }

    #[test]
    fn every_name_has_one_place_and_finds_back() {
        for (host, place_of) in [
            ("www.example.test", "_platform-owner.www.example.test."),
            ("example.test", "_platform-owner.example.test."),
            ("*.apps.example.test", "_platform-owner-wildcard.apps.example.test."),
        ] {
            let host = name(host).expect("a name");
            let place = place(&host).expect("a place");
            assert_eq!(place.to_string(), place_of);
            assert_eq!(host_of(&place), Some(host));
        }
        assert_eq!(host_of(&name("www.example.test").expect("a name")), None);
    }

    #[test]
    fn an_owner_that_would_break_the_text_is_refused() {
        check_owner("demo/eu-1").expect("good");
        for bad in ["", "a,b", "a=b", "a b", "ü", &"x".repeat(129)] {
            check_owner(bad).expect_err(bad);
        }
    }
}
