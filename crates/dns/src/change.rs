//! From what is held and what is wanted to one update message. No I/O.

use std::collections::BTreeSet;

use hickory_proto::{
    op::{Message, MessageType, OpCode, Query, UpdateMessage},
    rr::{DNSClass, Name, RData, Record as WireRecord, RecordType, rdata::TXT},
};
use serde::{Deserialize, Serialize};

use crate::{
    held::{Held, Kind},
    ownership::{Ownership, place},
    record::Wanted,
    refusal::DnsError,
};

/// How one name stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seen", rename_all = "snake_case")]
pub enum Seen {
    /// Nothing there.
    Absent,
    /// Ours, and as wanted.
    Matches,
    /// Ours, and not as wanted.
    Differs {
        /// What is there instead: `A 192.0.2.1`.
        found: Vec<String>,
    },
    /// Somebody else's: records without our ownership record beside them.
    Foreign {
        /// What is there.
        found: Vec<String>,
        /// Whose, when another `platform` says so.
        owner: Option<String>,
    },
}

/// Judges how a name stands, for one owner.
///
/// An ownership record of ours without any record is a leftover of ours ([`Seen::Differs`]). A record of a kind that our
/// ownership record does not name was added by somebody else; it makes the name foreign, since publishing ours beside it
/// would mix the two.
pub fn judge(held: &Held, wanted: &Wanted, ttl: u32, owner: &str) -> Seen {
    let found = held.in_words();
    let ownership = held.ownership();
    let ours = match &ownership {
        Some(said) if said.owner == owner => &said.kinds,
        Some(other) => return Seen::Foreign { found, owner: Some(other.owner.clone()) },
        None if held.values.is_empty() && held.txt.is_empty() => return Seen::Absent,
        None => return Seen::Foreign { found, owner: None },
    };
    if held.values.keys().any(|value| !ours.contains(&value.kind())) {
        return Seen::Foreign { found, owner: None };
    }
    let there: BTreeSet<_> = held.values.keys().cloned().collect();
    let fresh = held.values.values().all(|found| *found == ttl);
    if there == wanted.values && fresh && *ours == wanted.kinds() {
        Seen::Matches
    } else {
        Seen::Differs { found }
    }
}

/// An update message for one zone, not yet signed.
pub(crate) fn update(zone: &Name) -> Message {
    let mut message = Message::new(Message::query().id, MessageType::Query, OpCode::Update);
    let mut section = Query::new();
    section.set_name(zone.clone()).set_query_class(DNSClass::IN).set_query_type(RecordType::SOA);
    message.add_zone(section);
    message
}

/// Demands that a name holds exactly what was seen (RFC 2136, sections 2.4.2 to 2.4.5).
///
/// # Errors
/// A name too long for its ownership record.
pub(crate) fn demand(message: &mut Message, host: &Name, seen: &Held) -> Result<(), DnsError> {
    for kind in Kind::ALL {
        if seen.values.keys().any(|value| value.kind() == kind) {
            for value in seen.values.keys().filter(|value| value.kind() == kind) {
                message.add_pre_requisite(WireRecord::from_rdata(host.clone(), 0, value.wire()));
            }
        } else {
            message.add_pre_requisite(nothing(host, kind.wire(), DNSClass::NONE));
        }
    }
    let beside = place(host)?;
    if seen.txt.is_empty() {
        message.add_pre_requisite(nothing(&beside, RecordType::TXT, DNSClass::NONE));
    }
    for txt in &seen.txt {
        message.add_pre_requisite(WireRecord::from_rdata(beside.clone(), 0, RData::TXT(txt.clone())));
    }
    Ok(())
}

/// Adds to a message: this name becomes what is wanted, provided that it still is what was seen.
///
/// Only for names that [`judge`] calls absent or ours.
///
/// # Errors
/// A name too long for its ownership record.
pub(crate) fn put(
    message: &mut Message,
    seen: &Held,
    wanted: &Wanted,
    ttl: u32,
    owner: &str,
) -> Result<(), DnsError> {
    let host = &wanted.host;
    demand(message, host, seen)?;
    if wanted.kinds().contains(&Kind::Cname) && seen.values.is_empty() {
        // A server drops an alias silently where the name has anything else (RFC 2136, 3.4.2.2): make it say so.
        message.add_pre_requisite(nothing(host, RecordType::ANY, DNSClass::NONE));
    }
    for kind in seen.values.keys().map(|value| value.kind()).collect::<BTreeSet<_>>() {
        message.add_update(nothing(host, kind.wire(), DNSClass::ANY));
    }
    for value in &wanted.values {
        message.add_update(WireRecord::from_rdata(host.clone(), ttl, value.wire()));
    }
    let beside = place(host)?;
    if !seen.txt.is_empty() {
        message.add_update(nothing(&beside, RecordType::TXT, DNSClass::ANY));
    }
    let text = Ownership { owner: owner.to_owned(), kinds: wanted.kinds() }.to_text();
    message.add_update(WireRecord::from_rdata(beside, ttl, RData::TXT(TXT::new(vec![text]))));
    Ok(())
}

/// Adds to a message: what the ownership record says is ours goes, and the record with it, provided that nothing has
/// changed since it was seen.
///
/// # Errors
/// A name too long for its ownership record.
pub(crate) fn take(
    message: &mut Message,
    host: &Name,
    seen: &Held,
    said: &Ownership,
) -> Result<(), DnsError> {
    demand(message, host, seen)?;
    for kind in &said.kinds {
        message.add_update(nothing(host, kind.wire(), DNSClass::ANY));
    }
    message.add_update(nothing(&place(host)?, RecordType::TXT, DNSClass::ANY));
    Ok(())
}

/// A record without data: as a prerequisite "no such records" (class NONE), as an update "delete them" (class ANY).
fn nothing(name: &Name, kind: RecordType, class: DNSClass) -> WireRecord {
    let mut record = WireRecord::update0(name.clone(), 0, kind);
    record.dns_class = class;
    record
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use hickory_proto::rr::RecordData as _;

    use super::*;
    use crate::{held::Value, record::name};

    fn value(text: &str) -> Value {
        match text.parse::<std::net::IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => Value::Cname(name(text).expect("a name")),
        }
    }

    fn held(values: &[&str], txt: &[&str]) -> Held {
        Held {
            values: values.iter().map(|text| (value(text), 60)).collect(),
            txt: txt.iter().map(|text| TXT::new(vec![(*text).into()])).collect(),
        }
    }

    fn wanted(values: &[&str]) -> Wanted {
        let host = name("www.example.test").expect("a name");
        Wanted { host, values: values.iter().map(|text| value(text)).collect() }
    }

    const OURS: &str = "heritage=platform,platform/owner=demo,platform/resource=A";

    #[test]
    fn names_are_judged() {
        let want = wanted(&["192.0.2.1"]);
        let judged = |values: &[&str], txt: &[&str]| judge(&held(values, txt), &want, 60, "demo");
        let words = |values: &[&str]| values.iter().map(|v| format!("A {v}")).collect::<Vec<_>>();
        assert_eq!(judged(&[], &[]), Seen::Absent);
        assert_eq!(judged(&["192.0.2.1"], &[OURS]), Seen::Matches);
        assert_eq!(judged(&["192.0.2.9"], &[OURS]), Seen::Differs { found: words(&["192.0.2.9"]) });
        assert_eq!(judged(&[], &[OURS]), Seen::Differs { found: vec![] });
        assert_eq!(judged(&["192.0.2.1"], &[]), Seen::Foreign { found: words(&["192.0.2.1"]), owner: None });
        assert!(matches!(judged(&[], &["hello"]), Seen::Foreign { .. }), "a text of somebody at our place");
        assert!(
            matches!(judged(&["192.0.2.1", "2001:db8::1"], &[OURS]), Seen::Foreign { .. }),
            "AAAA is not ours"
        );
        let theirs = OURS.replace("demo", "other");
        assert_eq!(
            judged(&["192.0.2.1"], &[&theirs]),
            Seen::Foreign { found: words(&["192.0.2.1"]), owner: Some("other".into()) }
        );
        assert!(
            matches!(judge(&held(&["192.0.2.1"], &[OURS]), &want, 61, "demo"), Seen::Differs { .. }),
            "time to live"
        );
    }

    /// The message as `nsupdate` would show it.
    fn shown(message: &Message) -> String {
        let mut text = String::new();
        for (title, records) in [("prerequisites", &message.answers), ("updates", &message.authorities)] {
            let _ = writeln!(text, "{title}");
            for record in records {
                let data = if record.data.is_update() { String::new() } else { format!(" {}", record.data) };
                let _ = writeln!(
                    text,
                    "  {} {} {} {}{data}",
                    record.name,
                    record.ttl,
                    record.dns_class,
                    record.record_type()
                );
            }
        }
        text
    }

    fn written(seen: &Held, want: &Wanted) -> String {
        let mut message = update(&name("example.test").expect("a name"));
        put(&mut message, seen, want, 60, "demo").expect("short names");
        shown(&message)
    }

    #[test]
    fn messages_demand_what_was_seen() {
        insta::assert_snapshot!("absent", written(&held(&[], &[]), &wanted(&["192.0.2.1", "2001:db8::1"])));
        insta::assert_snapshot!(
            "differs",
            written(&held(&["192.0.2.9"], &[OURS]), &wanted(&["b.example.test"]))
        );
        insta::assert_snapshot!("alias", written(&held(&[], &[]), &wanted(&["b.example.test"])));
        let mut message = update(&name("example.test").expect("a name"));
        let seen = held(&["192.0.2.9"], &[OURS]);
        let said = seen.ownership().expect("ours");
        take(&mut message, &wanted(&[]).host, &seen, &said).expect("short names");
        insta::assert_snapshot!("taken", shown(&message));
    }
}
