//! Names in zones: `dns.publish` and `dns.remove`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use async_trait::async_trait;
use platform_dns::{Dns, Record, Seen, Tsig, Zone};
use platform_engine::step::{Call, Observed, Progress, Step};
use platform_provider::ZoneRequest;
use platform_spec::{
    Class, Code, Failure, LedgerChange, PlatformName,
    event::LedgerEntry,
    model::{self, Model, TsigKey},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::wait_for;
use crate::doors::{Doors, input, secret};

/// A zone with the names that belong in it, as steps have it in their inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NamedZone {
    /// Its name.
    pub name: String,
    /// Who serves it.
    #[serde(flatten)]
    pub served: Served,
    /// Seconds that answers may be remembered.
    pub ttl: u32,
    /// Addresses by host.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
}

/// Who serves a zone. Both take updates by RFC 2136.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Served {
    /// A server that the spec names.
    Server {
        /// The primary server, `HOST:PORT`.
        server: String,
        /// The key that signs updates.
        tsig: TsigKey,
    },
    /// A provider, which is asked for server and key when they are needed.
    Provider {
        /// Its kind.
        provider: String,
        /// What it is asked.
        request: ZoneRequest,
    },
}

/// The zones that we write to, with their names. Zones of clouds are written by ExternalDNS in the cluster.
pub fn zones(model: &Model) -> Vec<NamedZone> {
    model
        .dns_zones
        .iter()
        .filter_map(|zone| {
            let served = match zone.kind.as_str() {
                "rfc2136" => Served::Server { server: zone.server.clone()?, tsig: zone.tsig.clone()? },
                BY_PROVIDER => served_by(model, zone)?,
                _ => return None,
            };
            let mut hosts: BTreeMap<String, Vec<IpAddr>> = BTreeMap::new();
            for record in model.dns_records.iter().filter(|record| record.zone == zone.name) {
                hosts.entry(record.name.clone()).or_default().extend(&record.addresses);
            }
            Some(NamedZone { name: zone.name.clone(), served, ttl: zone.ttl, hosts })
        })
        .collect()
}

/// The provider whose zones take our updates directly.
const BY_PROVIDER: &str = "sandbox";

fn served_by(model: &Model, zone: &model::DnsZone) -> Option<Served> {
    let name = zone.provider.as_ref()?;
    let cluster = model.clusters.iter().find(|cluster| cluster.provider.name == *name)?;
    let provider = &cluster.provider;
    let request = ZoneRequest {
        platform: PlatformName::new(&model.platform),
        provider: provider.name.clone(),
        zone: zone.name.clone(),
        config: json!(provider.config),
        credentials: provider.credentials_ref.clone(),
    };
    Some(Served::Provider { provider: crate::wish::implementation(model, &provider.kind), request })
}

/// Input of both steps.
#[derive(Serialize, Deserialize)]
struct Input {
    zone: NamedZone,
    owner: String,
}

impl Input {
    fn records(&self) -> Vec<Record> {
        let hosts = self.zone.hosts.iter();
        hosts.map(|(host, addresses)| Record::addresses(host, addresses.iter().copied())).collect()
    }

    fn key(&self, host: &str) -> String {
        format!("dns/{}/{host}", self.zone.name)
    }

    fn put(&self, stale: &[String]) -> Vec<LedgerChange> {
        let put = self.zone.hosts.iter().map(|(host, addresses)| {
            LedgerChange::Put(LedgerEntry {
                key: self.key(host),
                kind: "dns_record".into(),
                external_id: host.clone(),
                owned: true,
                detail: json!({ "addresses": addresses }),
            })
        });
        let drop = stale.iter().map(|host| LedgerChange::Drop { key: self.key(host) });
        put.chain(drop).collect()
    }

    /// Names of ours that the spec does not ask for any more. A server that refuses transfers cannot tell; then only
    /// `down` with the spec that still had them removes them.
    async fn stale(&self, dns: &Dns) -> Result<Vec<String>, Failure> {
        match dns.list_owned().await {
            Ok(owned) => Ok(owned
                .into_iter()
                .map(|owned| owned.host)
                .filter(|host| !self.zone.hosts.contains_key(host))
                .collect()),
            Err(failure) if failure.code.as_str() == NO_TRANSFER => Ok(Vec::new()),
            Err(failure) => Err(self.zone.name_the_secret(failure)),
        }
    }
}

/// The server refuses zone transfers to our key.
const NO_TRANSFER: &str = "P0508";

/// Connects to a zone on behalf of an owner; reads its key, or asks its provider for it.
///
/// # Errors
/// A handle that leads nowhere, a zone or key that cannot be, what the provider refuses.
pub(crate) async fn open(doors: &Doors, zone: &NamedZone, owner: &str) -> Result<Dns, Failure> {
    let dns = match &zone.served {
        Served::Server { server, tsig } => at_server(zone, server, tsig, owner).await?,
        Served::Provider { provider, request } => {
            let access = doors.provider(provider)?.zone(request).await?;
            let tsig = Tsig { name: access.key, algorithm: access.algorithm, secret: access.secret };
            Dns::new(zone.at(access.server, tsig), owner)?
        }
    };
    Ok(doors.roads.zone(dns))
}

/// As [`open`]; `None` when its provider says that it is gone, and with it every name in it.
///
/// # Errors
/// As [`open`].
pub(crate) async fn open_if_there(
    doors: &Doors,
    zone: &NamedZone,
    owner: &str,
) -> Result<Option<Dns>, Failure> {
    let by_provider = matches!(zone.served, Served::Provider { .. });
    match open(doors, zone, owner).await {
        Err(failure) if by_provider && failure.class == Class::NotFound => Ok(None),
        opened => opened.map(Some),
    }
}

/// Connects to a zone at a server that the spec names.
///
/// # Errors
/// As [`open`].
pub(crate) async fn at_server(
    zone: &NamedZone,
    server: &str,
    tsig: &TsigKey,
    owner: &str,
) -> Result<Dns, Failure> {
    let secret = secret(Some(&tsig.secret_ref)).await?.unwrap_or_default();
    let key = Tsig { name: tsig.name.clone(), algorithm: tsig.algorithm.as_str().to_owned(), secret };
    Dns::new(zone.at(server.to_owned(), key), owner).map_err(|failure| zone.name_the_secret(failure))
}

/// The secret of the key is no base64; the server does not accept what it signs.
const WRONG_SECRET: [&str; 2] = ["P0511", "P0503"];

impl NamedZone {
    fn at(&self, server: String, tsig: Tsig) -> Zone {
        Zone { name: self.name.clone(), server, tsig, ttl: self.ttl }
    }

    /// Says where the secret is, when it is the secret that is wrong: the zone's own errors do not know handles.
    fn name_the_secret(&self, failure: Failure) -> Failure {
        let Served::Server { tsig, .. } = &self.served else { return failure };
        if !WRONG_SECRET.contains(&failure.code.as_str()) {
            return failure;
        }
        let hint = format!(
            "the secret of key `{}` is read from `{}`: mend it there, then `platform resume`",
            tsig.name, tsig.secret_ref
        );
        Failure { hints: [vec![hint], failure.hints.clone()].concat(), ..failure }
    }
}

/// Publishes names, each with a record that says whose it is, and takes out those of ours that are not wanted any more.
pub(crate) struct Publish(pub Arc<Doors>);

#[async_trait]
impl Step for Publish {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: Input = input(call)?;
        let dns = open(&self.0, &input.zone, &input.owner).await?;
        let records = input.records();
        let seen = dns.observe(&records).await.map_err(|failure| input.zone.name_the_secret(failure))?;
        let foreign: Vec<String> = seen
            .iter()
            .zip(&records)
            .filter_map(|(seen, record)| match seen {
                Seen::Foreign { found, .. } => Some(format!("{} ({})", record.host, found.join(", "))),
                _ => None,
            })
            .collect();
        if !foreign.is_empty() {
            return Err(Failure::new(
                Code::new("P0506"),
                Class::Forbidden,
                format!("names in zone `{}` belong to somebody else", input.zone.name),
            )
            .hint("choose other hosts in the spec, or remove those records where they are kept")
            .blocked_by(foreign));
        }
        let stale = input.stale(&dns).await?;
        let wrong = seen.iter().filter(|seen| !matches!(seen, Seen::Matches)).count();
        if wrong == 0 && stale.is_empty() {
            let answers = dns.verify(&records).await?;
            if let Some(answer) = answers.iter().find(|answer| !answer.ok) {
                let found = answer.found.join(", ");
                let words = format!("{} in `{}` (its server answers {found})", answer.host, input.zone.name);
                return Ok(Observed::InProgress(wait_for(words)));
            }
            let output = json!({ "hosts": input.zone.hosts.keys().collect::<Vec<_>>() });
            return Ok(Observed::Matches { output, ledger: input.put(&[]) });
        }
        if seen.iter().all(|seen| matches!(seen, Seen::Absent)) && stale.is_empty() {
            return Ok(Observed::Absent);
        }
        Ok(Observed::Differs { how: format!("{wrong} names to write, {} to take out", stale.len()) })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "publish": call.input["zone"]["hosts"], "zone": call.input["zone"]["name"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: Input = input(call)?;
        let dns = open(&self.0, &input.zone, &input.owner).await?;
        dns.ensure(&input.records()).await.map_err(|failure| input.zone.name_the_secret(failure))?;
        let stale = input.stale(&dns).await?;
        dns.remove(&stale).await?;
        let output = json!({ "hosts": input.zone.hosts.keys().collect::<Vec<_>>() });
        Ok(Progress::Done { output, ledger: input.put(&stale) })
    }
}

/// Takes our names out of a zone.
pub(crate) struct Remove(pub Arc<Doors>);

impl Remove {
    /// Names that the zone says are ours; where it cannot list them, those that the spec names.
    async fn ours(input: &Input, dns: &Dns) -> Result<BTreeSet<String>, Failure> {
        match dns.list_owned().await {
            Ok(owned) => Ok(owned.into_iter().map(|owned| owned.host).collect()),
            Err(failure) if failure.code.as_str() == NO_TRANSFER => {
                let records = input.records();
                let seen =
                    dns.observe(&records).await.map_err(|failure| input.zone.name_the_secret(failure))?;
                let ours = seen
                    .iter()
                    .zip(records)
                    .filter(|(seen, _)| !matches!(seen, Seen::Absent | Seen::Foreign { .. }));
                Ok(ours.map(|(_, record)| record.host).collect())
            }
            Err(failure) => Err(input.zone.name_the_secret(failure)),
        }
    }

    fn drop(input: &Input, ours: &BTreeSet<String>) -> Vec<LedgerChange> {
        let hosts: BTreeSet<&String> = input.zone.hosts.keys().chain(ours).collect();
        hosts.into_iter().map(|host| LedgerChange::Drop { key: input.key(host) }).collect()
    }
}

#[async_trait]
impl Step for Remove {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: Input = input(call)?;
        let ours = match open_if_there(&self.0, &input.zone, &input.owner).await? {
            Some(dns) => Self::ours(&input, &dns).await?,
            None => BTreeSet::new(),
        };
        Ok(if ours.is_empty() {
            Observed::Matches { output: json!({ "gone": true }), ledger: Self::drop(&input, &ours) }
        } else {
            Observed::Differs { how: format!("{} names are ours", ours.len()) }
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "remove": "names", "zone": call.input["zone"]["name"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: Input = input(call)?;
        let mut ours = BTreeSet::new();
        if let Some(dns) = open_if_there(&self.0, &input.zone, &input.owner).await? {
            ours = Self::ours(&input, &dns).await?;
            let hosts: Vec<&String> = ours.iter().collect();
            dns.remove(&hosts).await?;
        }
        let ledger = Self::drop(&input, &ours);
        Ok(Progress::Done { output: json!({ "gone": true }), ledger })
    }
}
