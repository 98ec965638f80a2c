//! Zones, keys and records as the caller writes them.

use std::{collections::BTreeSet, net::IpAddr};

use base64::{Engine, prelude::BASE64_STANDARD};
use hickory_proto::rr::{Name, TSigner, rdata::tsig::TsigAlgorithm};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::{
    held::{Kind, Value},
    refusal::DnsError,
};

/// How far the clocks of both sides may be apart, in seconds (RFC 8945, section 10, recommends 300).
const FUDGE: u16 = 300;

/// A zone and the server that may change it.
#[derive(Clone, Debug)]
pub struct Zone {
    /// `example.com`, with or without the last dot.
    pub name: String,
    /// The primary server, `host:port`.
    pub server: String,
    /// The key that the server knows us by.
    pub tsig: Tsig,
    /// How long resolvers may keep our records, in seconds.
    pub ttl: u32,
}

/// A shared key.
#[derive(Clone, Debug)]
pub struct Tsig {
    /// The key's name as the server knows it.
    pub name: String,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    pub algorithm: String,
    /// The key in base64, as `tsig-keygen` prints it.
    pub secret: SecretString,
}

/// One name to publish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The full name, with or without the last dot; `*.apps.example.com` is allowed.
    pub host: String,
    /// What it points to.
    pub target: Target,
}

/// What a name points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Addresses: A records for version 4, AAAA records for version 6. At least one.
    Addresses(Vec<IpAddr>),
    /// Another name: one CNAME record.
    Cname(String),
}

impl Record {
    /// A name with addresses.
    pub fn addresses(host: impl Into<String>, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        Self { host: host.into(), target: Target::Addresses(addresses.into_iter().collect()) }
    }

    /// A name that stands for another.
    pub fn cname(host: impl Into<String>, target: impl Into<String>) -> Self {
        Self { host: host.into(), target: Target::Cname(target.into()) }
    }
}

/// A record that has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, in lower case.
    pub host: Name,
    /// What should stand there.
    pub values: BTreeSet<Value>,
}

impl Wanted {
    /// Which kinds of record that makes.
    pub fn kinds(&self) -> BTreeSet<Kind> {
        self.values.iter().map(Value::kind).collect()
    }
}

/// Takes a name of at most 253 characters, made of letters, digits, `-` and `_`, in any case, with or without the dot.
///
/// # Errors
/// [`DnsError::Name`].
pub(crate) fn name(text: &str) -> Result<Name, DnsError> {
    let wrong = |why| DnsError::Name { name: text.to_owned(), why };
    let bare = text.strip_suffix('.').unwrap_or(text);
    for (place, label) in bare.split('.').enumerate() {
        let plain = label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
        match label {
            "*" if place == 0 => {}
            "" => return Err(wrong("it has an empty label")),
            _ if !plain => {
                return Err(wrong(
                    "only letters, digits, `-` and `_` are allowed, and `*` as the first label",
                ));
            }
            _ if label.len() > 63 => return Err(wrong("a label is longer than 63 characters")),
            _ => {}
        }
    }
    let mut name = Name::from_ascii(bare).map_err(|_| wrong("it is too long"))?;
    name.set_fqdn(true);
    Ok(name.to_lowercase())
}

impl Zone {
    pub(crate) fn origin(&self) -> Result<Name, DnsError> {
        name(&self.name)
    }

    /// Checks the key. The secret is never repeated in an error.
    pub(crate) fn signer(&self) -> Result<TSigner, DnsError> {
        let algorithm = match self.tsig.algorithm.to_ascii_lowercase().as_str() {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            other => return Err(DnsError::Algorithm { algorithm: other.to_owned() }),
        };
        let key = BASE64_STANDARD.decode(self.tsig.secret.expose_secret().trim());
        // The decoder's own error names the wrong byte, which is part of the secret.
        let key = key.ok().filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| DnsError::Secret { key: self.tsig.name.clone() })?;
        TSigner::new(key, algorithm, name(&self.tsig.name)?, FUDGE)
            .map_err(|_| DnsError::Algorithm { algorithm: self.tsig.algorithm.clone() })
    }

    /// Checks records: names within the zone, none twice, something to point to.
    pub(crate) fn wanted(&self, records: &[Record]) -> Result<Vec<Wanted>, DnsError> {
        let origin = self.origin()?;
        let mut seen = BTreeSet::new();
        let mut wanted = Vec::with_capacity(records.len());
        for record in records {
            let host = host(&origin, &record.host)?;
            let wrong = |why| Err(DnsError::Name { name: record.host.clone(), why });
            if !seen.insert(host.clone()) {
                return wrong("it is asked for twice");
            }
            let values: BTreeSet<Value> = match &record.target {
                Target::Addresses(addresses) => addresses.iter().copied().map(Value::from).collect(),
                Target::Cname(_) if host == origin => return wrong("the name of a zone cannot be an alias"),
                Target::Cname(target) => [Value::Cname(name(target)?)].into(),
            };
            if values.is_empty() {
                return wrong("it has no address");
            }
            wanted.push(Wanted { host, values });
        }
        Ok(wanted)
    }
}

/// A name within a zone.
pub(crate) fn host(origin: &Name, text: &str) -> Result<Name, DnsError> {
    let host = name(text)?;
    if origin.zone_of(&host) {
        Ok(host)
    } else {
        Err(DnsError::Outside { name: text.to_owned(), zone: origin.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone() -> Zone {
        Zone {
            name: "Example.test".into(),
            server: "127.0.0.1:53".into(),
            tsig: Tsig {
                name: "platform-key".into(),
                algorithm: "hmac-sha256".into(),
                secret: "YzRuYXJ5".into(),
            },
            ttl: 60,
        }
    }

    #[test]
    fn names_are_lowered_and_checked() {
        assert_eq!(name("WWW.Example.test").expect("good").to_string(), "www.example.test.");
        assert_eq!(name("*.apps.example.test.").expect("good").to_string(), "*.apps.example.test.");
        for bad in
            ["", ".", "a..b", "a b.test", "a.*.test", "w*.test", "ü.test", &"a".repeat(64), &"a.".repeat(130)]
        {
            name(bad).expect_err(bad);
        }
    }

    #[test]
    fn records_outside_the_zone_twice_or_empty_are_refused() {
        let address: IpAddr = "192.0.2.1".parse().expect("address");
        for bad in [
            vec![Record::addresses("www.example.com", [address])],
            vec![Record::addresses("notexample.test", [address])],
            vec![Record::addresses("www.example.test", [])],
            vec![
                Record::addresses("a.example.test", [address]),
                Record::cname("A.example.test.", "b.example.test"),
            ],
            vec![Record::cname("example.test", "b.example.test")],
        ] {
            zone().wanted(&bad).expect_err("refused");
        }
        zone()
            .wanted(&[Record::addresses("example.test", [address])])
            .expect("the name of the zone has addresses");
    }

    #[test]
    fn a_bad_key_is_refused_without_repeating_it() {
        let with = |algorithm: &str, secret: &str| {
            let tsig = Tsig { name: "k".into(), algorithm: algorithm.into(), secret: secret.into() };
            Zone { tsig, ..zone() }.signer()
        };
        with("HMAC-SHA512", "YzRuYXJ5\n").expect("good");
        for (algorithm, secret) in [("hmac-sha256", "c4nary!"), ("hmac-sha256", ""), ("hmac-md5", "YzRuYXJ5")]
        {
            let error = with(algorithm, secret).err().expect("refused").into_failure("could not sign");
            let text = format!("{error:?}");
            assert!(!text.contains("c4nary") && !text.contains("YzRuYXJ5"), "{text}");
        }
        assert!(!format!("{:?}", zone()).contains("YzRuYXJ5"));
    }
}
