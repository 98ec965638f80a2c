//! Questions and their answers.

use hickory_proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};

use super::data::{Data, Set, records};

/// How many aliases are followed. Two that point at each other would be followed for ever.
const ALIASES: usize = 16;

/// Answers a question about a name of the zone.
pub(super) fn answer(zone: &Data, query: &Query, to: &mut Message) {
    let mut wanted = query.name().clone();
    let kind = query.query_type();
    to.metadata.authoritative = true;
    for step in 0..ALIASES {
        if !zone.has(&wanted) {
            // The alias leads out of the zone: what stands there is for others to say.
            return;
        }
        if let Some((cut, set)) = delegation(zone, &wanted, kind) {
            if step == 0 {
                to.metadata.authoritative = false;
            }
            to.add_authorities(records(cut, set));
            glue(zone, to, set);
            return;
        }
        let Some((sets, name)) = found(zone, &wanted) else {
            if !exists(zone, &wanted) {
                to.metadata.response_code = ResponseCode::NXDomain;
            }
            to.add_authority(negative(zone));
            return;
        };
        let sets = || sets.iter().map(|(kind, set)| (RecordType::from(*kind), set));
        if kind == RecordType::ANY {
            for (_, set) in sets() {
                to.add_answers(records(name, set));
            }
            return;
        }
        if let Some((_, set)) = sets().find(|(it, _)| *it == kind) {
            to.add_answers(records(name, set));
            glue(zone, to, set);
            return;
        }
        let alias = sets().find(|(it, _)| *it == RecordType::CNAME).map(|(_, set)| set);
        let Some((alias, RData::CNAME(target))) = alias.and_then(|set| Some((set, set.data.first()?))) else {
            to.add_authority(negative(zone));
            return;
        };
        to.add_answers(records(name, alias));
        wanted = target.0.clone();
    }
}

/// Where another server has the authority over a name, with its name servers.
fn delegation<'a>(zone: &'a Data, wanted: &Name, kind: RecordType) -> Option<(&'a Name, &'a Set)> {
    let cuts = zone.sets().filter(|(name, it, _)| {
        *it == RecordType::NS
            && **name != zone.origin
            && name.zone_of(wanted)
            // What stands above the cut is asked of the server above it.
            && !(*name == wanted && kind == RecordType::DS)
    });
    cuts.map(|(name, _, set)| (name, set)).min_by_key(|(name, _)| name.num_labels())
}

type Sets = std::collections::BTreeMap<u16, Set>;

/// The records of a name, or those that a wildcard makes for it; and the name that they are to have.
fn found<'a>(zone: &'a Data, wanted: &'a Name) -> Option<(&'a Sets, &'a Name)> {
    if let Some(sets) = zone.at(wanted) {
        return Some((sets, wanted));
    }
    if exists(zone, wanted) {
        return None;
    }
    // The closest encloser: the longest name above that exists. Only a wildcard right below it counts (RFC 4592).
    let mut above = wanted.base_name();
    while zone.has(&above) {
        if exists(zone, &above) {
            let wildcard = above.prepend_label("*").ok()?;
            return zone.at(&wildcard).map(|sets| (sets, wanted));
        }
        above = above.base_name();
    }
    None
}

/// Whether a name exists: it has records, or names below it have.
fn exists(zone: &Data, name: &Name) -> bool {
    zone.at(name).is_some() || zone.has_below(name)
}

/// The SOA record of an answer that says no: it may be remembered as long as the zone's minimum says (RFC 2308).
fn negative(zone: &Data) -> Record {
    let (ttl, soa) = zone.soa();
    let ttl = ttl.min(soa.minimum);
    Record::from_rdata(zone.origin.clone(), ttl, RData::SOA(soa))
}

/// Adds the addresses of names that a set speaks of.
fn glue(zone: &Data, to: &mut Message, set: &Set) {
    for data in &set.data {
        let target = match data {
            RData::NS(ns) => &ns.0,
            RData::MX(mx) => &mx.exchange,
            RData::SRV(srv) => &srv.target,
            _ => continue,
        };
        for kind in [RecordType::A, RecordType::AAAA] {
            if let Some(addresses) = zone.set(target, kind) {
                to.add_additionals(records(target, addresses));
            }
        }
    }
}
