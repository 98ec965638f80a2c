//! Hosts, zones and records.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use super::{Application, Cell, Cluster};
use crate::{
    platform::{
        Spec,
        cluster::Overlay,
        dns::{SharePolicy, TsigAlgorithm},
    },
    secret::SecretRef,
};

/// A host name of applications.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// The name, without a final dot.
    pub name: String,
    /// The zone that contains it, when we write to one.
    pub zone: Option<String>,
    /// The cells behind it.
    pub cells: Vec<String>,
    /// The applications behind it.
    pub applications: Vec<String>,
    /// Which cell answers, when there are several.
    pub policy: Option<SharePolicy>,
}

/// A zone that we write to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsZone {
    /// Its name, without a final dot.
    pub name: String,
    /// `rfc2136`, `cloudflare`, `hosts-file`, or the kind of the provider that serves it (`eks`, `aks`, …).
    pub kind: String,
    /// The provider's name, when a provider serves it.
    pub provider: Option<String>,
    /// The primary server, `HOST:PORT`, for `rfc2136`.
    pub server: Option<String>,
    /// The key that signs updates, for `rfc2136`.
    pub tsig: Option<TsigKey>,
    /// Where the token is, for `cloudflare`.
    pub auth_ref: Option<SecretRef>,
    /// Seconds that answers may be remembered.
    pub ttl: u32,
}

/// The key that signs updates of a zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TsigKey {
    /// Its name at the server.
    pub name: String,
    /// How it signs.
    pub algorithm: TsigAlgorithm,
    /// Where the key is, in base64.
    pub secret_ref: SecretRef,
}

/// A set of records with one name and type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DnsRecord {
    /// The name, without a final dot.
    pub name: String,
    /// The zone it is in.
    pub zone: String,
    /// `A` or `AAAA`.
    pub kind: String,
    /// The addresses, sorted.
    pub addresses: Vec<IpAddr>,
    /// Seconds that answers may be remembered.
    pub ttl: u32,
    /// The cells behind it.
    pub cells: Vec<String>,
    /// Tells record sets of the same name apart, where several cells serve it and the zone's provider chooses among them.
    pub set_identifier: Option<String>,
    /// How the zone's provider chooses.
    pub policy: Option<SharePolicy>,
    /// Weight in percent, for the policy `weighted`.
    pub weight: Option<u8>,
}

/// What `{domain}` is on clusters with this overlay: as said, else the first zone.
pub(super) fn domain(spec: &Spec, overlay: Overlay) -> Option<String> {
    let dns = spec.dns.as_ref()?;
    let of =
        |wanted: &str| dns.domains.iter().find(|(name, _)| name.as_str() == wanted).map(|(_, domain)| domain);
    let domain = of(overlay.as_str()).or_else(|| of("default"));
    domain.cloned().or_else(|| Some(dns.zones.first()?.name.clone()))
}

/// The smallest of the names that contains a host.
pub(crate) fn zone_of<'a>(host: &str, zones: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let contains =
        |zone: &&str| host == *zone || host.strip_suffix(*zone).is_some_and(|rest| rest.ends_with('.'));
    zones.filter(contains).max_by_key(|zone| zone.len())
}

pub(super) fn hosts(spec: &Spec, applications: &[Application]) -> Vec<Host> {
    let dns = spec.dns.as_ref();
    let mut out: BTreeMap<&str, Host> = BTreeMap::new();
    for application in applications {
        let Some(name) = application.host.as_deref() else { continue };
        let host = out.entry(name).or_insert_with(|| Host {
            name: name.to_owned(),
            zone: zone_of(name, dns.iter().flat_map(|dns| &dns.zones).map(|zone| zone.name.as_str()))
                .map(str::to_owned),
            cells: Vec::new(),
            applications: Vec::new(),
            policy: None,
        });
        if !host.cells.contains(&application.cell) {
            host.cells.push(application.cell.clone());
        }
        host.applications.push(application.name.clone());
        if host.cells.len() > 1 {
            host.policy = dns.and_then(|dns| dns.shared_hosts.as_ref()).map(|shared| shared.policy);
        }
    }
    out.into_values().collect()
}

pub(super) fn zones(spec: &Spec) -> Vec<DnsZone> {
    let zones = spec.dns.iter().flat_map(|dns| &dns.zones);
    zones
        .map(|zone| {
            let provider = spec.providers.iter().find(|provider| provider.name == zone.provider);
            DnsZone {
                name: zone.name.clone(),
                kind: provider
                    .map_or_else(|| zone.provider.to_string(), |provider| provider.kind.to_string()),
                provider: provider.map(|provider| provider.name.to_string()),
                server: zone.server.clone(),
                tsig: zone.tsig.as_ref().map(|tsig| TsigKey {
                    name: tsig.name.clone(),
                    algorithm: tsig.algorithm,
                    secret_ref: tsig.secret_ref.clone(),
                }),
                auth_ref: zone.auth_ref.clone(),
                ttl: zone.ttl,
            }
        })
        .collect()
}

/// Records of hosts in our zones. A cloud that can choose among cells gets a set for each cell; anywhere else the
/// addresses of all cells stand side by side.
pub(super) fn records(
    hosts: &[Host],
    zones: &[DnsZone],
    cells: &[Cell],
    clusters: &[Cluster],
) -> Vec<DnsRecord> {
    let mut out = Vec::new();
    for host in hosts {
        let Some(zone) = zones.iter().find(|zone| Some(&zone.name) == host.zone.as_ref()) else { continue };
        let choosing = host.policy.filter(|_| zone.provider.is_some());
        let groups: Vec<&[String]> = match choosing {
            Some(_) => host.cells.chunks(1).collect(),
            None => vec![&host.cells],
        };
        for group in groups {
            let behind: Vec<&Cluster> = cells
                .iter()
                .filter(|cell| group.contains(&cell.name))
                .filter_map(|cell| clusters.iter().find(|cluster| cluster.name == cell.cluster))
                .collect();
            let mut addresses: Vec<IpAddr> =
                behind.iter().flat_map(|cluster| cluster.addresses.iter().copied()).collect();
            addresses.sort_unstable();
            addresses.dedup();
            let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
            for (kind, addresses) in [("A", v4), ("AAAA", v6)] {
                if addresses.is_empty() {
                    continue;
                }
                out.push(DnsRecord {
                    name: host.name.clone(),
                    zone: zone.name.clone(),
                    kind: kind.to_owned(),
                    addresses,
                    ttl: zone.ttl,
                    cells: group.to_vec(),
                    set_identifier: choosing.map(|_| group.join("+")),
                    policy: choosing,
                    weight: choosing.and_then(|_| behind.first()?.traffic_weight),
                });
            }
        }
    }
    out
}
