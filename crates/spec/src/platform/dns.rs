//! `dns`: zones and domains.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Name;
use crate::secret::SecretRef;

/// Zones and domains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Dns {
    /// Zones that we write to.
    #[schemars(length(min = 1))]
    pub zones: Vec<Zone>,
    /// What `{domain}` becomes in host names, by overlay, with `default` for the rest.
    #[serde(default)]
    pub domains: BTreeMap<Name, String>,
    /// Hosts that several cells serve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_hosts: Option<SharedHosts>,
}

/// A zone that we write to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Zone {
    /// Its name, without a final dot.
    #[schemars(extend("format" = "dns-name"))]
    pub name: String,
    /// Who serves it: a name in `providers`, or `rfc2136`, `cloudflare`, `hosts-file`.
    pub provider: Name,
    /// For `rfc2136`: the primary server, `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "host-port"))]
    pub server: Option<String>,
    /// For `rfc2136`: the key that signs updates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsig: Option<Tsig>,
    /// For `cloudflare`: where the token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_ref: Option<SecretRef>,
    /// Seconds that answers may be remembered.
    #[serde(default = "minute")]
    #[schemars(range(min = 1, max = 86400))]
    pub ttl: u32,
}

/// Short, so that a failover is seen soon.
fn minute() -> u32 {
    60
}

/// The key that signs updates of a zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Tsig {
    /// Its name at the server.
    #[schemars(extend("format" = "dns-name"))]
    pub name: String,
    /// How it signs.
    #[serde(default)]
    pub algorithm: TsigAlgorithm,
    /// Where the key is, in base64.
    pub secret_ref: SecretRef,
}

/// How updates are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256.
    #[default]
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl TsigAlgorithm {
    /// The algorithm's name on the wire (RFC 8945).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }
}

impl fmt::Display for TsigAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Hosts that several cells serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SharedHosts {
    /// Which cell answers.
    pub policy: SharePolicy,
    /// Cells that may serve the same host.
    #[schemars(length(min = 2))]
    pub across: Vec<Name>,
}

/// Which cell answers for a shared host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SharePolicy {
    /// The nearest by delay.
    Latency,
    /// The one of the asker's part of the world.
    Geo,
    /// By `clusters[].traffic.weight`.
    Weighted,
}
