//! What a zone holds at one name.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use hickory_proto::rr::{Name, RData, RecordType, rdata};

use crate::ownership::Ownership;

/// The kinds of record that we publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An address of version 4.
    A,
    /// An address of version 6.
    Aaaa,
    /// An alias.
    Cname,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::A, Self::Aaaa, Self::Cname];

    /// The word used in zone files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
        }
    }

    /// Reads that word.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    pub(crate) fn wire(self) -> RecordType {
        match self {
            Self::A => RecordType::A,
            Self::Aaaa => RecordType::AAAA,
            Self::Cname => RecordType::CNAME,
        }
    }
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Value {
    /// An address of version 4.
    A(Ipv4Addr),
    /// An address of version 6.
    Aaaa(Ipv6Addr),
    /// An alias for this name, in lower case.
    Cname(Name),
}

impl Value {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::A(_) => Kind::A,
            Self::Aaaa(_) => Kind::Aaaa,
            Self::Cname(_) => Kind::Cname,
        }
    }

    pub(crate) fn wire(&self) -> RData {
        match self {
            Self::A(address) => RData::A(rdata::A(*address)),
            Self::Aaaa(address) => RData::AAAA(rdata::AAAA(*address)),
            Self::Cname(name) => RData::CNAME(rdata::CNAME(name.clone())),
        }
    }

    pub(crate) fn read(data: &RData) -> Option<Self> {
        match data {
            RData::A(address) => Some(Self::A(address.0)),
            RData::AAAA(address) => Some(Self::Aaaa(address.0)),
            RData::CNAME(name) => Some(Self::Cname(name.0.to_lowercase())),
            _ => None,
        }
    }
}

impl From<IpAddr> for Value {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::A(address),
            IpAddr::V6(address) => Self::Aaaa(address),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => address.fmt(f),
            Self::Aaaa(address) => address.fmt(f),
            Self::Cname(name) => name.fmt(f),
        }
    }
}

/// What a zone holds at one name and at the place of its ownership record. Only kinds that we publish; mail records and
/// the like at the same name are nobody's business here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Records by value, with their time to live.
    pub values: BTreeMap<Value, u32>,
    /// TXT records at the place of the ownership record, as they are.
    pub txt: Vec<rdata::TXT>,
}

impl Held {
    /// What the ownership record says, if there is exactly one and it is one of ours.
    pub fn ownership(&self) -> Option<Ownership> {
        match self.txt.as_slice() {
            [one] => Ownership::from_txt(one),
            _ => None,
        }
    }

    /// Values of some kinds.
    pub fn of(&self, kinds: &BTreeSet<Kind>) -> BTreeSet<Value> {
        self.values.keys().filter(|value| kinds.contains(&value.kind())).cloned().collect()
    }

    /// For people: `A 192.0.2.1, CNAME b.example.com.`
    pub fn in_words(&self) -> Vec<String> {
        self.values.keys().map(|value| format!("{} {value}", value.kind().as_str())).collect()
    }
}
