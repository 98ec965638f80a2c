//! Regions, zones, limits, the key.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use secrecy::SecretString;

/// What a cloud is set up with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The key by which clients log in.
    pub key: SecretString,
    /// How long a token lasts that a login gives.
    pub token_lasts: SignedDuration,
    /// How long a page token lasts.
    pub pages_last: SignedDuration,
    /// How long a client token is remembered.
    pub client_tokens_last: SignedDuration,
    /// Where things can be. The first region is taken where a request names none.
    pub regions: Vec<Region>,
    /// How many there may be in the account: by kind (`network`, …), and `node`. What is not named has no limit.
    pub quotas: BTreeMap<String, u64>,
    /// How many nodes a zone has room for; what is not named has no limit.
    pub capacity: BTreeMap<String, u64>,
    /// Kubernetes versions, oldest first.
    pub versions: Vec<String>,
}

/// A region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its name.
    pub name: String,
    /// Names of its zones.
    pub zones: Vec<String>,
}

impl Region {
    /// A region with zones `NAME-a`, `NAME-b` and `NAME-c`.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), zones: ["a", "b", "c"].map(|zone| format!("{name}-{zone}")).to_vec() }
    }
}

impl Options {
    /// An account as a new customer gets one.
    pub fn new(key: SecretString) -> Self {
        let quotas = [
            ("network", 50),
            ("ip", 50),
            ("cluster", 50),
            ("node-pool", 200),
            ("node", 1_000),
            ("load-balancer", 100),
            ("volume", 1_000),
            ("identity", 500),
            ("bucket", 100),
            ("dns-zone", 100),
        ];
        Self {
            key,
            token_lasts: SignedDuration::from_hours(1),
            pages_last: SignedDuration::from_mins(10),
            client_tokens_last: SignedDuration::from_hours(24),
            regions: ["local", "eu-1", "us-1", "ap-1"].map(Region::named).to_vec(),
            quotas: quotas.map(|(kind, limit)| (kind.to_owned(), limit)).into(),
            capacity: BTreeMap::new(),
            versions: ["1.33", "1.34", "1.35", "1.36"].map(str::to_owned).to_vec(),
        }
    }

    /// The same without limits.
    #[must_use]
    pub fn unlimited(mut self) -> Self {
        self.quotas.clear();
        self.capacity.clear();
        self
    }

    /// Adds a region, unless it is there.
    #[must_use]
    pub fn region(mut self, name: &str) -> Self {
        if !self.regions.iter().any(|region| region.name == name) {
            self.regions.push(Region::named(name));
        }
        self
    }
}
