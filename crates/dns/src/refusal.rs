//! What went wrong, classified once from response codes.

use std::{io, time::Duration};

use hickory_proto::{op::ResponseCode, rr::Name};
use platform_spec::{Class, Code, Failure};

/// Why something could not be done with a zone.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// No name that can be published.
    #[error("`{name}` is no name that can be published: {why}")]
    Name {
        /// The name.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A name of another zone.
    #[error("`{name}` is not in zone {zone}")]
    Outside {
        /// The name.
        name: String,
        /// The zone.
        zone: String,
    },
    /// No id for an owner.
    #[error("`{owner}` is no id for an owner: letters, digits, `.`, `_`, `/`, `:` and `-`, at most 128")]
    Owner {
        /// The id.
        owner: String,
    },
    /// A key that is no base64. The text is not repeated.
    #[error("the secret of key `{key}` is not base64")]
    Secret {
        /// The key's name.
        key: String,
    },
    /// Too weak, or unknown.
    #[error("the algorithm `{algorithm}` is not supported: use hmac-sha256, hmac-sha384 or hmac-sha512")]
    Algorithm {
        /// The algorithm.
        algorithm: String,
    },
    /// The connection failed.
    #[error("could not talk to {server}")]
    Io {
        /// The server.
        server: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// No answer.
    #[error("{server} did not answer within {limit:?}")]
    Silent {
        /// The server.
        server: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The server does not share our key.
    #[error("the server refused key `{key}`: {said}")]
    Key {
        /// The key's name.
        key: String,
        /// BADKEY: it does not know the name or algorithm. BADSIG: it has another secret.
        said: &'static str,
    },
    /// The clocks differ.
    #[error("the server refused the signature's time: BADTIME, our clock says {ours}, the server's {}", .theirs.map_or("nothing".into(), |t| t.to_string()))]
    Clock {
        /// Our time, in seconds since 1970.
        ours: u64,
        /// The server's.
        theirs: Option<u64>,
    },
    /// The answer should be signed and is not.
    #[error("the answer is not signed with key `{key}`")]
    Unsigned {
        /// The key's name.
        key: String,
    },
    /// The answer's signature is wrong.
    #[error("the answer's signature with key `{key}` is wrong: {cause}")]
    Signature {
        /// The key's name.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
    /// Not allowed.
    #[error("the server answers REFUSED for zone {zone}")]
    Refused {
        /// The zone.
        zone: String,
    },
    /// Not allowed to list the zone.
    #[error("the server refuses to transfer zone {zone}")]
    TransferRefused {
        /// The zone.
        zone: String,
    },
    /// Not its zone.
    #[error("the server is not the authority for zone {zone}: {said}")]
    NotTheAuthority {
        /// The zone.
        zone: String,
        /// Its response code.
        said: String,
    },
    /// The server has trouble of its own.
    #[error("the server answers SERVFAIL for zone {zone}")]
    Trouble {
        /// The zone.
        zone: String,
    },
    /// Somebody was faster.
    #[error("the zone was changed by someone else between our look and our update: {said}")]
    Raced {
        /// The response code.
        said: String,
    },
    /// Not ours.
    #[error("these names are not ours: {}", .found.join("; "))]
    Foreign {
        /// The names.
        names: Vec<String>,
        /// The names with what is there.
        found: Vec<String>,
    },
    /// The update was taken, and yet the names are not as they should be.
    #[error("the server took the update, and these names are still not as wanted: {}", .names.join(", "))]
    NotTaken {
        /// The names.
        names: Vec<String>,
    },
    /// An answer that should not exist.
    #[error("the server answered unexpectedly: {what}")]
    Strange {
        /// What.
        what: String,
    },
}

impl DnsError {
    /// The error that a response code other than NOERROR means (RFC 2136, section 2.2).
    pub(crate) fn of_code(code: ResponseCode, zone: &Name) -> Self {
        let zone = zone.to_string();
        match code {
            ResponseCode::Refused => Self::Refused { zone },
            ResponseCode::ServFail => Self::Trouble { zone },
            ResponseCode::NotAuth => Self::NotTheAuthority { zone, said: "NOTAUTH".into() },
            ResponseCode::NotZone => Self::NotTheAuthority { zone, said: "NOTZONE".into() },
            ResponseCode::YXDomain => Self::Raced { said: "YXDOMAIN".into() },
            ResponseCode::NXDomain => Self::Raced { said: "NXDOMAIN".into() },
            ResponseCode::YXRRSet => Self::Raced { said: "YXRRSET".into() },
            ResponseCode::NXRRSet => Self::Raced { said: "NXRRSET".into() },
            other => Self::Strange { what: format!("response code {} ({other})", u16::from(other)) },
        }
    }

    fn class(&self) -> (Code, Class) {
        match self {
            Self::Name { .. } | Self::Outside { .. } | Self::Owner { .. } | Self::Algorithm { .. } => {
                (Code::new("P0501"), Class::Config)
            }
            Self::Secret { .. } => (Code::new("P0511"), Class::Config),
            Self::Io { .. } | Self::Silent { .. } | Self::Trouble { .. } => {
                (Code::new("P0502"), Class::Retryable)
            }
            Self::Key { .. } | Self::Unsigned { .. } | Self::Signature { .. } => {
                (Code::new("P0503"), Class::AuthExpired)
            }
            Self::Clock { .. } => (Code::new("P0504"), Class::Config),
            Self::Refused { .. } => (Code::new("P0505"), Class::Forbidden),
            Self::Foreign { .. } => (Code::new("P0506"), Class::Config),
            Self::Raced { .. } | Self::NotTaken { .. } => (Code::new("P0507"), Class::ConflictInProgress),
            Self::TransferRefused { .. } => (Code::new("P0508"), Class::Forbidden),
            Self::NotTheAuthority { .. } => (Code::new("P0509"), Class::Config),
            Self::Strange { .. } => (Code::new("P0510"), Class::Bug),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Name { .. } | Self::Outside { .. } | Self::Owner { .. } | Self::Algorithm { .. } => {
                "correct it in the spec (a key and its secret are made with `tsig-keygen -a hmac-sha256 NAME`), then \
                 `platform validate platform.yaml`"
                    .into()
            }
            Self::Secret { .. } => {
                "give the secret as the server's configuration has it (`tsig-keygen -a hmac-sha256 NAME` makes one)".into()
            }
            Self::Io { .. } | Self::Silent { .. } | Self::Trouble { .. } => {
                "check that the server answers (`dig @SERVER ZONE SOA`), then `platform resume`".into()
            }
            Self::Key { .. } | Self::Unsigned { .. } | Self::Signature { .. } => {
                "compare the key's name, algorithm and secret with the server's configuration, then `platform resume`".into()
            }
            Self::Clock { .. } => {
                "set both clocks (`timedatectl set-ntp true`); they may be 300 s apart; then `platform resume`".into()
            }
            Self::Refused { .. } => {
                "allow the key to read and update the zone (BIND: `update-policy { grant KEY zonesub ANY; };`), then \
                 `platform resume`"
                    .into()
            }
            Self::Foreign { .. } => "nothing was changed; choose other names in the spec, or remove these records by hand \
                                     if nobody needs them, then `platform resume`"
                .into(),
            Self::Raced { .. } | Self::NotTaken { .. } => {
                "nothing of others was overwritten; `platform resume` looks again".into()
            }
            Self::TransferRefused { .. } => {
                "allow the key to transfer the zone (BIND: `allow-transfer { key KEY; };`), then run the command again".into()
            }
            Self::NotTheAuthority { .. } => {
                "name the zone's primary server in the spec (`dig ZONE SOA` shows it), then `platform resume`".into()
            }
            Self::Strange { .. } => {
                "run the command again with `-vvv`; if the server is sound, this is our mistake: please report it".into()
            }
        }
    }

    /// The failure a person sees: `deed` says what was being done, to which thing.
    pub fn into_failure(self, deed: impl Into<String>) -> Failure {
        let (code, class) = self.class();
        let failure = Failure::new(code, class, deed).caused_by(&self).hint(self.hint());
        match self {
            Self::Foreign { names, .. } | Self::NotTaken { names } => failure.blocked_by(names),
            _ => failure,
        }
    }
}
