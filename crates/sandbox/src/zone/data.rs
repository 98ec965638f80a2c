//! The records of one zone.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, Ipv6Addr},
    ops::Bound,
    str::FromStr,
};

use hickory_proto::{
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, SRV, TXT},
    },
    serialize::binary::{BinDecodable, BinEncodable},
};

use super::zones::Wrong;

/// All records of one name and type, as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    /// The name, without the last dot.
    pub name: String,
    /// `A`, `AAAA`, `CNAME`, `MX`, `NS`, `PTR`, `SRV` or `TXT`.
    pub kind: String,
    /// Seconds.
    pub ttl: u32,
    /// Values as in a zone file; texts may stand without quotes.
    pub values: Vec<String>,
}

/// Records of one name and type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Set {
    pub ttl: u32,
    /// In the order in which they came; none twice.
    pub data: Vec<RData>,
}

/// A zone's records. It always has an SOA record.
#[derive(Clone, Debug)]
pub(super) struct Data {
    pub origin: Name,
    /// Names in the order of DNS, in which all names below one follow it; no name is without records.
    names: BTreeMap<Name, BTreeMap<u16, Set>>,
}

/// What was changed, so that it can be kept.
pub(super) type Touched = (Name, RecordType);

impl Data {
    /// A zone with nothing but what every zone has.
    pub fn new(origin: Name, server: Name, ttl: u32) -> Self {
        let mail = Name::from_str("hostmaster").and_then(|name| name.append_domain(&origin));
        // Refresh, retry, expire and the TTL of "no" are those of RFC 1912, section 2.2, but for the last: short, so
        // that a name that was just made is found soon.
        let soa =
            SOA::new(server.clone(), mail.unwrap_or_else(|_| origin.clone()), 1, 3_600, 600, 86_400, 60);
        let mut zone = Self { origin: origin.clone(), names: BTreeMap::new() };
        zone.put(origin.clone(), Set { ttl, data: vec![RData::SOA(soa)] }, RecordType::SOA);
        zone.put(origin, Set { ttl, data: vec![RData::NS(NS(server))] }, RecordType::NS);
        zone
    }

    /// A zone without records, to be filled with kept ones.
    pub fn empty(origin: Name) -> Self {
        Self { origin, names: BTreeMap::new() }
    }

    /// Whether a name lies in the zone.
    pub fn has(&self, name: &Name) -> bool {
        self.origin.zone_of(name)
    }

    pub fn at(&self, name: &Name) -> Option<&BTreeMap<u16, Set>> {
        self.names.get(name)
    }

    pub fn set(&self, name: &Name, kind: RecordType) -> Option<&Set> {
        self.names.get(name)?.get(&kind.into())
    }

    pub fn put(&mut self, name: Name, set: Set, kind: RecordType) {
        self.names.entry(name).or_default().insert(kind.into(), set);
    }

    pub fn set_mut(&mut self, name: &Name, kind: RecordType) -> &mut Set {
        let sets = self.names.entry(name.clone()).or_default();
        sets.entry(kind.into()).or_insert(Set { ttl: 0, data: Vec::new() })
    }

    /// Removes records; whether there were any.
    pub fn remove(&mut self, name: &Name, kind: RecordType) -> bool {
        let Some(sets) = self.names.get_mut(name) else { return false };
        let removed = sets.remove(&kind.into()).is_some();
        if sets.is_empty() {
            self.names.remove(name);
        }
        removed
    }

    /// Whether there are names below this one.
    pub fn has_below(&self, name: &Name) -> bool {
        let mut after = self.names.range((Bound::Excluded(name.clone()), Bound::Unbounded));
        after.next().is_some_and(|(next, _)| name.zone_of(next))
    }

    pub fn soa(&self) -> (u32, SOA) {
        let kept = self.set(&self.origin, RecordType::SOA);
        match kept.and_then(|set| Some((set.ttl, set.data.first()?))) {
            Some((ttl, RData::SOA(soa))) => (ttl, soa.clone()),
            _ => (0, SOA::new(self.origin.clone(), self.origin.clone(), 1, 3_600, 600, 86_400, 60)),
        }
    }

    /// The next serial (RFC 1982: after the highest comes the lowest, and zero is left out).
    pub fn count_up(&mut self) {
        let (ttl, mut soa) = self.soa();
        soa.serial = soa.serial.checked_add(1).unwrap_or(1);
        let set = Set { ttl, data: vec![RData::SOA(soa)] };
        self.put(self.origin.clone(), set, RecordType::SOA);
    }

    pub fn soa_record(&self) -> Record {
        let (ttl, soa) = self.soa();
        Record::from_rdata(self.origin.clone(), ttl, RData::SOA(soa))
    }

    /// Every record but the SOA, in order.
    pub fn records(&self) -> impl Iterator<Item = Record> {
        self.sets()
            .filter(|(_, kind, _)| *kind != RecordType::SOA)
            .flat_map(|(name, _, set)| records(name, set))
    }

    /// Every set of records, in order.
    pub fn sets(&self) -> impl Iterator<Item = (&Name, RecordType, &Set)> {
        let of = |(name, sets)| {
            let sets: &BTreeMap<u16, Set> = sets;
            sets.iter().map(move |(kind, set)| (name, RecordType::from(*kind), set))
        };
        self.names.iter().flat_map(of)
    }
}

/// The records of a set.
pub(super) fn records(name: &Name, set: &Set) -> Vec<Record> {
    set.data.iter().map(|data| Record::from_rdata(name.clone(), set.ttl, data.clone())).collect()
}

/// A set as bytes, to be kept.
pub(super) fn to_bytes(name: &Name, set: &Set) -> Vec<u8> {
    let mut bytes = Vec::new();
    for record in records(name, set) {
        let record = record.to_bytes().unwrap_or_default();
        // A record is shorter than a message, and that than 2^16.
        bytes.extend(u16::try_from(record.len()).unwrap_or(0).to_be_bytes());
        bytes.extend(record);
    }
    bytes
}

/// The records of kept bytes.
pub(super) fn from_bytes(mut bytes: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some((length, rest)) = bytes.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let Some((record, rest)) = rest.split_at_checked(length) else { break };
        records.extend(Record::from_bytes(record));
        bytes = rest;
    }
    records
}

/// A name with its last dot.
pub(super) fn name(text: &str) -> Result<Name, Wrong> {
    let mut name = Name::from_str_relaxed(text).map_err(|cause| Wrong(format!("{text}: {cause}")))?;
    name.set_fqdn(true);
    Ok(name)
}

/// A name without its last dot.
pub(super) fn bare(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}

/// A kind of record that may be written as text.
pub(super) fn kind(text: &str) -> Result<RecordType, Wrong> {
    let known = ["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"].contains(&text);
    let kind = RecordType::from_str(text).ok().filter(|_| known);
    kind.ok_or_else(|| Wrong(format!("records of type {text} cannot be written here")))
}

/// A value from its text.
pub(super) fn value(kind: RecordType, text: &str) -> Result<RData, Wrong> {
    let wrong = || Wrong(format!("{text} is no value of a record of type {kind}"));
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |word: &str| word.parse::<u16>().map_err(|_| wrong());
    match (kind, words.as_slice()) {
        (RecordType::A, [it]) => Ipv4Addr::from_str(it).map(|it| RData::A(A(it))).map_err(|_| wrong()),
        (RecordType::AAAA, [it]) => {
            Ipv6Addr::from_str(it).map(|it| RData::AAAA(AAAA(it))).map_err(|_| wrong())
        }
        (RecordType::CNAME, [it]) => Ok(RData::CNAME(CNAME(name(it)?))),
        (RecordType::NS, [it]) => Ok(RData::NS(NS(name(it)?))),
        (RecordType::PTR, [it]) => Ok(RData::PTR(PTR(name(it)?))),
        (RecordType::MX, [preference, it]) => Ok(RData::MX(MX::new(number(preference)?, name(it)?))),
        (RecordType::SRV, [priority, weight, port, it]) => {
            Ok(RData::SRV(SRV::new(number(priority)?, number(weight)?, number(port)?, name(it)?)))
        }
        (RecordType::TXT, _) => Ok(RData::TXT(TXT::new(strings(text)))),
        _ => Err(wrong()),
    }
}

/// The strings of a TXT record: quoted ones, or all of the text as one.
fn strings(text: &str) -> Vec<String> {
    if !text.starts_with('"') {
        return vec![text.to_owned()];
    }
    let mut strings = Vec::new();
    let mut letters = text.chars();
    while letters.by_ref().any(|letter| letter == '"') {
        let mut string = String::new();
        while let Some(letter) = letters.next() {
            match letter {
                '"' => break,
                '\\' => string.extend(letters.next()),
                letter => string.push(letter),
            }
        }
        strings.push(string);
    }
    strings
}

/// A value as text.
pub(super) fn text(data: &RData) -> String {
    let RData::TXT(txt) = data else { return data.to_string() };
    let quoted = txt.txt_data.iter().map(|string| {
        let string = String::from_utf8_lossy(string).replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{string}\"")
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        for (of, written) in [
            ("A", "192.0.2.1"),
            ("AAAA", "2001:db8::1"),
            ("CNAME", "a.example."),
            ("MX", "10 mail.example."),
            ("SRV", "1 2 443 a.example."),
            ("TXT", r#""one \"two\"" "three""#),
        ] {
            assert_eq!(text(&value(kind(of).expect("known"), written).expect("good")), written);
        }
        assert_eq!(text(&value(RecordType::TXT, "bare words").expect("good")), r#""bare words""#);
        assert!(value(RecordType::A, "nonsense").is_err() && kind("SOA").is_err());
    }

    #[test]
    fn sets_are_kept_as_they_are() {
        let name = name("www.example").expect("good");
        let data = ["192.0.2.1", "192.0.2.2"].map(|it| value(RecordType::A, it).expect("good"));
        let set = Set { ttl: 60, data: data.to_vec() };
        assert_eq!(from_bytes(&to_bytes(&name, &set)), records(&name, &set));
    }
}
