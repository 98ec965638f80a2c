//! Changes (RFC 2136): all of one message, or nothing.

use std::collections::BTreeMap;

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
};

use super::data::{Data, Set, Touched};

/// Questions, not kinds of records (RFC 1035, section 3.2.3, and RFC 2136, section 1.3).
const META: [u16; 5] = [249, 250, 251, 253, 254];

fn is_meta(kind: RecordType) -> bool {
    META.contains(&kind.into()) || kind == RecordType::AXFR
}

fn is_empty(record: &Record) -> bool {
    matches!(record.data, RData::Update0(_))
}

/// Changes the zone as the message says; what was changed. The serial counts up when anything did.
///
/// # Errors
/// The response code; then nothing has changed.
pub(super) fn apply(zone: &mut Data, message: &Message) -> Result<Vec<Touched>, ResponseCode> {
    // In an update the sections of a message are: zone, prerequisites, updates, additional data.
    prerequisites(zone, &message.answers)?;
    scan(zone, &message.authorities)?;
    let before = zone.soa().1.serial;
    let mut changed = zone.clone();
    let mut touched = Vec::new();
    for record in &message.authorities {
        one(&mut changed, record, &mut touched);
    }
    touched.retain(|(name, kind)| zone.set(name, *kind) != changed.set(name, *kind));
    touched.sort_by(|a, b| a.0.cmp(&b.0).then(u16::from(a.1).cmp(&u16::from(b.1))));
    touched.dedup();
    if touched.is_empty() {
        return Ok(touched);
    }
    if changed.soa().1.serial == before {
        changed.count_up();
        touched.push((changed.origin.clone(), RecordType::SOA));
    }
    *zone = changed;
    Ok(touched)
}

/// Section 3.2.
fn prerequisites(zone: &Data, wanted: &[Record]) -> Result<(), ResponseCode> {
    let mut exactly: BTreeMap<(Name, u16), Vec<&RData>> = BTreeMap::new();
    for record in wanted {
        if record.ttl != 0 {
            return Err(ResponseCode::FormErr);
        }
        if !zone.has(&record.name) {
            return Err(ResponseCode::NotZone);
        }
        let (name, kind) = (&record.name, record.record_type());
        match (record.dns_class, kind) {
            (DNSClass::ANY | DNSClass::NONE, _) if !is_empty(record) => return Err(ResponseCode::FormErr),
            (DNSClass::ANY, RecordType::ANY) if zone.at(name).is_none() => {
                return Err(ResponseCode::NXDomain);
            }
            (DNSClass::NONE, RecordType::ANY) if zone.at(name).is_some() => {
                return Err(ResponseCode::YXDomain);
            }
            (DNSClass::ANY | DNSClass::NONE, RecordType::ANY) => {}
            (DNSClass::ANY, kind) if zone.set(name, kind).is_none() => return Err(ResponseCode::NXRRSet),
            (DNSClass::NONE, kind) if zone.set(name, kind).is_some() => return Err(ResponseCode::YXRRSet),
            (DNSClass::ANY | DNSClass::NONE, _) => {}
            (DNSClass::IN, kind) => {
                let wanted = exactly.entry((name.clone(), kind.into())).or_default();
                if !wanted.contains(&&record.data) {
                    wanted.push(&record.data);
                }
            }
            _ => return Err(ResponseCode::FormErr),
        }
    }
    for ((name, kind), wanted) in exactly {
        let there = zone.set(&name, kind.into());
        let same = |there: &Set| {
            there.data.len() == wanted.len() && there.data.iter().all(|data| wanted.contains(&data))
        };
        if !there.is_some_and(same) {
            return Err(ResponseCode::NXRRSet);
        }
    }
    Ok(())
}

/// Section 3.4.1.
fn scan(zone: &Data, updates: &[Record]) -> Result<(), ResponseCode> {
    for record in updates {
        if !zone.has(&record.name) {
            return Err(ResponseCode::NotZone);
        }
        let kind = record.record_type();
        let good = match record.dns_class {
            DNSClass::IN => kind != RecordType::ANY && !is_meta(kind) && !is_empty(record),
            DNSClass::ANY => record.ttl == 0 && is_empty(record) && !is_meta(kind),
            DNSClass::NONE => record.ttl == 0 && kind != RecordType::ANY && !is_meta(kind),
            _ => false,
        };
        if !good {
            return Err(ResponseCode::FormErr);
        }
    }
    Ok(())
}

/// Section 3.4.2.
fn one(zone: &mut Data, record: &Record, touched: &mut Vec<Touched>) {
    let (name, kind) = (&record.name, record.record_type());
    let apex = *name == zone.origin;
    let vital = apex && matches!(kind, RecordType::SOA | RecordType::NS);
    match record.dns_class {
        DNSClass::IN => add(zone, record, touched),
        DNSClass::ANY if kind == RecordType::ANY => {
            let kinds: Vec<RecordType> =
                zone.at(name).into_iter().flatten().map(|(kind, _)| RecordType::from(*kind)).collect();
            for kind in kinds {
                if !(apex && matches!(kind, RecordType::SOA | RecordType::NS)) {
                    zone.remove(name, kind);
                    touched.push((name.clone(), kind));
                }
            }
        }
        DNSClass::ANY if !vital && zone.remove(name, kind) => touched.push((name.clone(), kind)),
        DNSClass::NONE if kind != RecordType::SOA => {
            let Some(set) = zone.set(name, kind) else { return };
            let left: Vec<RData> = set.data.iter().filter(|data| **data != record.data).cloned().collect();
            // The last name server of a zone stays.
            if left.len() == set.data.len() || (vital && left.is_empty()) {
                return;
            }
            let set = Set { ttl: set.ttl, data: left };
            match set.data.is_empty() {
                true => drop(zone.remove(name, kind)),
                false => zone.put(name.clone(), set, kind),
            }
            touched.push((name.clone(), kind));
        }
        _ => {}
    }
}

fn add(zone: &mut Data, record: &Record, touched: &mut Vec<Touched>) {
    let (name, kind) = (&record.name, record.record_type());
    if let RData::SOA(new) = &record.data {
        // Serials are compared in a circle (RFC 1982).
        let ahead = new.serial.wrapping_sub(zone.soa().1.serial);
        if *name != zone.origin || ahead == 0 || ahead > 1 << 31 {
            return;
        }
    }
    // An alias stands alone; what comes later than the other is left out.
    let others = zone.at(name).is_some_and(|sets| sets.keys().any(|it| *it != u16::from(RecordType::CNAME)));
    let alias = zone.set(name, RecordType::CNAME).is_some();
    if (kind == RecordType::CNAME && others) || (kind != RecordType::CNAME && alias) {
        return;
    }
    let set = zone.set_mut(name, kind);
    set.ttl = record.ttl;
    if matches!(kind, RecordType::SOA | RecordType::CNAME) {
        set.data = vec![record.data.clone()];
    } else if !set.data.contains(&record.data) {
        set.data.push(record.data.clone());
    }
    touched.push((name.clone(), kind));
}
