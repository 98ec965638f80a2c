//! What differs from kind to kind: what may be asked for, what it stands on, what may be changed.

use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::{
    Cloud, Region,
    plug::Node,
    refusal::Refusal,
    state::State,
    thing::{Kind, Phase, Thing},
};
use crate::parts::tags::Tags;

/// Something that is to be made.
pub(super) struct Wanted<'a> {
    pub kind: Kind,
    pub name: &'a str,
    pub region: &'a Region,
    pub spec: &'a Value,
    pub serial: u64,
}

/// What a new thing gets.
pub(super) struct Prepared {
    pub spec: Value,
    pub outputs: Value,
    pub stands_on: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkSpec {
    #[serde(default = "default_cidr")]
    cidr: String,
}

fn default_cidr() -> String {
    "10.0.0.0/16".to_owned()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClusterSpec {
    network: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pod_cidr: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_cidr: Option<String>,
    /// Tags of what the cluster's controllers make.
    #[serde(default)]
    controller_tags: Tags,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolSpec {
    cluster: String,
    zone: String,
    size: u32,
    #[serde(default = "default_machine")]
    machine: String,
}

fn default_machine() -> String {
    "standard-2".to_owned()
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BalancerSpec {
    network: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct VolumeSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    zone: Option<String>,
    bytes: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentitySpec {
    cluster: String,
    /// What programs with it may do.
    may: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct BucketSpec {
    versioning: bool,
    object_lock: bool,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct NothingSpec {}

/// What an identity may be allowed.
const MAY: &[&str] = &["load-balancers", "volumes", "dns-zones", "buckets"];

/// The largest node pool.
const LARGEST_POOL: u32 = 100;

fn spec<T: DeserializeOwned + Serialize>(kind: Kind, value: &Value) -> Result<T, Refusal> {
    let given = if value.is_null() { json!({}) } else { value.clone() };
    serde_json::from_value(given).map_err(|error| Refusal::invalid(format!("{} spec: {error}", kind.word())))
}

fn cidr(key: &str, text: &str) -> Result<IpNet, Refusal> {
    IpNet::from_str(text).map_err(|_| Refusal::invalid(format!("{key} `{text}` is no network")))
}

/// Refuses a name that a kind cannot have.
pub(super) fn check_name(kind: Kind, name: &str) -> Result<(), Refusal> {
    let label = |text: &str| {
        (1..=63).contains(&text.len())
            && !text.starts_with('-')
            && !text.ends_with('-')
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let (fine, form) = match kind {
        Kind::DnsZone => (name.contains('.') && name.split('.').all(label), "a domain"),
        Kind::Bucket => ((3..=63).contains(&name.len()) && name.split('.').all(label), "a name of a bucket"),
        _ => (label(name), "lower-case letters, digits and `-`, at most 63"),
    };
    if fine { Ok(()) } else { Err(Refusal::invalid(format!("`{name}` is not {form}"))) }
}

/// The nodes of a pool, when it has some already.
pub(super) fn nodes_of(pool: &Thing) -> Vec<Node> {
    let Ok(spec) = PoolSpec::deserialize(&pool.spec) else { return Vec::new() };
    if matches!(pool.phase, Phase::Creating(_)) {
        return Vec::new();
    }
    let node = |number| Node {
        name: format!("{}-{number}", pool.name),
        pool: pool.name.clone(),
        region: pool.region.clone(),
        zone: spec.zone.clone(),
        machine: spec.machine.clone(),
    };
    (1..=spec.size).map(node).collect()
}

impl Cloud {
    /// Checks what is asked for, and works out what the thing gets.
    pub(super) fn prepare(&self, state: &State, wanted: &Wanted<'_>) -> Result<Prepared, Refusal> {
        let Wanted { kind, name, region, serial, .. } = *wanted;
        let unique = |inside: Option<&str>| {
            let taken = state
                .named(kind, name)
                .find(|thing| inside.is_none_or(|ground| thing.stands_on.iter().any(|it| it == ground)));
            taken.map_or(Ok(()), |thing| {
                Err(Refusal {
                    existing: Some(thing.id.clone()),
                    ..Refusal::new(409, "name_taken", format!("there is a {} {name} already", kind.word()))
                })
            })
        };
        let made = |spec: Result<Value, serde_json::Error>, outputs, stands_on| {
            let spec = spec.map_err(|error| Refusal::new(500, "internal", error.to_string()))?;
            Ok(Prepared { spec, outputs, stands_on })
        };
        match kind {
            Kind::Network => {
                let spec: NetworkSpec = spec(kind, wanted.spec)?;
                let outputs = json!({ "cidr": cidr("cidr", &spec.cidr)?.to_string() });
                made(serde_json::to_value(spec), outputs, vec![])
            }
            Kind::Ip => {
                let spec: NothingSpec = spec(kind, wanted.spec)?;
                made(serde_json::to_value(spec), json!({ "address": address(serial) }), vec![])
            }
            Kind::Cluster => {
                let mut spec: ClusterSpec = spec(kind, wanted.spec)?;
                unique(None)?;
                let network = ground(state, Kind::Network, &spec.network, region)?;
                let version = self.version(spec.version.as_deref())?;
                let around = network.spec["cidr"].as_str().unwrap_or_default();
                let cidrs = [
                    ("the network's cidr", Some(around)),
                    ("pod_cidr", spec.pod_cidr.as_deref()),
                    ("service_cidr", spec.service_cidr.as_deref()),
                ];
                apart(&cidrs)?;
                let outputs = json!({ "version": version });
                let stands_on = vec![network.id.clone()];
                spec.version = Some(version);
                made(serde_json::to_value(spec), outputs, stands_on)
            }
            Kind::NodePool => {
                let spec: PoolSpec = spec(kind, wanted.spec)?;
                unique(Some(&spec.cluster))?;
                let cluster = ground(state, Kind::Cluster, &spec.cluster, region)?;
                if !region.zones.contains(&spec.zone) {
                    return Err(Refusal::invalid(format!(
                        "region {} has no zone {}",
                        region.name, spec.zone
                    )));
                }
                self.room_for_nodes(state, &spec, 0)?;
                let stands_on = vec![cluster.id.clone()];
                made(serde_json::to_value(spec), json!({}), stands_on)
            }
            Kind::LoadBalancer => {
                let spec: BalancerSpec = spec(kind, wanted.spec)?;
                let network = ground(state, Kind::Network, &spec.network, region)?;
                let stands_on = vec![network.id.clone()];
                made(serde_json::to_value(spec), json!({ "addresses": [address(serial)] }), stands_on)
            }
            Kind::Volume => {
                let spec: VolumeSpec = spec(kind, wanted.spec)?;
                made(serde_json::to_value(spec), json!({}), vec![])
            }
            Kind::Identity => {
                let spec: IdentitySpec = spec(kind, wanted.spec)?;
                let cluster = ground(state, Kind::Cluster, &spec.cluster, region)?;
                if let Some(what) = spec.may.iter().find(|may| !MAY.contains(&may.as_str())) {
                    return Err(Refusal::invalid(format!(
                        "`{what}` cannot be allowed; {} can",
                        MAY.join(", ")
                    )));
                }
                let outputs = json!({ "subject": format!("sandbox:{}:{name}", cluster.name) });
                let stands_on = vec![cluster.id.clone()];
                made(serde_json::to_value(spec), outputs, stands_on)
            }
            Kind::Bucket => {
                let spec: BucketSpec = spec(kind, wanted.spec)?;
                unique(None)?;
                let outputs = match self.inner.buckets.get() {
                    Some(buckets) => buckets
                        .create(name, spec.versioning, spec.object_lock)
                        .map_err(|why| Refusal::new(409, "name_taken", why))?,
                    None => json!({}),
                };
                made(serde_json::to_value(spec), outputs, vec![])
            }
            Kind::DnsZone => {
                let spec: NothingSpec = spec(kind, wanted.spec)?;
                unique(None)?;
                let outputs = match self.inner.zones.get() {
                    Some(zones) => zones.create(name).map_err(|why| Refusal::new(409, "name_taken", why))?,
                    None => json!({}),
                };
                made(serde_json::to_value(spec), outputs, vec![])
            }
        }
    }

    /// The spec that a thing has after a change of some of its keys.
    pub(super) fn changed(&self, state: &State, thing: &Thing, change: &Value) -> Result<Value, Refusal> {
        let mut spec = thing.spec.clone();
        let changes = match change {
            Value::Null => return Ok(spec),
            Value::Object(changes) => changes,
            _ => return Err(Refusal::invalid("spec must be an object")),
        };
        for (key, value) in changes {
            if spec.get(key) == Some(value) {
                continue;
            }
            let free: &[&str] = match thing.kind {
                Kind::Cluster => &["version", "controller_tags"],
                Kind::NodePool => &["size"],
                Kind::Identity => &["may"],
                Kind::Bucket => &["versioning"],
                _ => &[],
            };
            if !free.contains(&key.as_str()) {
                return Err(Refusal::new(
                    400,
                    "immutable",
                    format!("`{key}` of a {} cannot be changed; make another one", thing.kind.word()),
                ));
            }
            spec[key] = value.clone();
        }
        let bad = |error: serde_json::Error| Refusal::invalid(format!("{} spec: {error}", thing.kind.word()));
        match thing.kind {
            Kind::Cluster => {
                let wanted = ClusterSpec::deserialize(&spec).map_err(bad)?.version;
                self.upgrade(thing.spec["version"].as_str().unwrap_or_default(), wanted.as_deref())?;
            }
            Kind::NodePool => {
                let wanted = PoolSpec::deserialize(&spec).map_err(bad)?;
                let has = thing.spec["size"].as_u64().unwrap_or(0);
                self.room_for_nodes(state, &wanted, has)?;
            }
            Kind::Identity => {
                IdentitySpec::deserialize(&spec).map_err(bad)?;
            }
            Kind::Bucket => {
                BucketSpec::deserialize(&spec).map_err(bad)?;
            }
            _ => {}
        }
        Ok(spec)
    }

    /// Lets go of what lies outside, before a thing is removed.
    pub(super) fn release(&self, thing: &Thing) -> Result<(), Refusal> {
        let released = match thing.kind {
            Kind::Bucket => self.inner.buckets.get().map(|buckets| buckets.remove(&thing.name)),
            Kind::DnsZone => self.inner.zones.get().map(|zones| zones.remove(&thing.name)),
            _ => None,
        };
        released.unwrap_or(Ok(())).map_err(|why| Refusal {
            blockers: vec![format!("content of {}", thing.named())],
            ..Refusal::new(409, "dependency_violation", why)
        })
    }

    fn version(&self, wanted: Option<&str>) -> Result<String, Refusal> {
        let versions = &self.inner.options.versions;
        let newest = versions.last().cloned().unwrap_or_default();
        let Some(wanted) = wanted else { return Ok(newest) };
        let fits = |known: &&String| wanted == known.as_str() || wanted.starts_with(&format!("{known}."));
        match versions.iter().find(fits) {
            Some(_) => Ok(wanted.to_owned()),
            None => Err(Refusal::invalid(format!(
                "there is no Kubernetes version {wanted}; there are {}",
                versions.join(", ")
            ))),
        }
    }

    /// Up, and one minor version at a time, as managed control planes have it.
    fn upgrade(&self, from: &str, to: Option<&str>) -> Result<(), Refusal> {
        let to = self.version(to)?;
        let minor = |version: &str| version.split('.').nth(1).and_then(|minor| minor.parse::<u32>().ok());
        match (minor(from), minor(&to)) {
            (Some(from), Some(to)) if to == from || to == from + 1 => Ok(()),
            _ => Err(Refusal::invalid(format!(
                "a control plane goes up one minor version at a time: {from} cannot become {to}"
            ))),
        }
    }

    fn room_for_nodes(&self, state: &State, wanted: &PoolSpec, has: u64) -> Result<(), Refusal> {
        if wanted.size > LARGEST_POOL {
            return Err(Refusal::invalid(format!("a node pool has at most {LARGEST_POOL} nodes")));
        }
        let more = u64::from(wanted.size).saturating_sub(has);
        let (quota, room) = (state.meta.quotas.get("node"), state.meta.capacity.get(&wanted.zone));
        if more == 0 || (quota.is_none() && room.is_none()) {
            return Ok(());
        }
        let pools = || state.of_kind(Kind::NodePool);
        let size = |pool: &Thing| pool.spec["size"].as_u64().unwrap_or(0);
        let used: u64 = pools().map(size).sum();
        if let Some(limit) = quota.filter(|limit| used + more > **limit) {
            return Err(Refusal::quota("node", used, *limit));
        }
        let here: u64 = pools().filter(|pool| pool.spec["zone"] == wanted.zone).map(size).sum();
        match room.filter(|room| here + more > **room) {
            Some(_) => Err(Refusal::capacity(&wanted.zone)),
            None => Ok(()),
        }
    }
}

/// What a thing stands on: it must be there, ready, and in the same region.
fn ground<'a>(state: &'a State, kind: Kind, id: &str, region: &Region) -> Result<&'a Thing, Refusal> {
    let thing = state.get(id).filter(|thing| thing.kind == kind);
    let thing = thing.ok_or_else(|| Refusal::invalid(format!("there is no {} {id}", kind.word())))?;
    if thing.region != region.name {
        return Err(Refusal::invalid(format!("{} is in region {}", thing.named(), thing.region)));
    }
    match &thing.phase {
        Phase::Active => Ok(thing),
        Phase::Updating(_) if kind == Kind::Network => Ok(thing),
        Phase::Failed(why) => {
            Err(Refusal::new(409, "not_ready", format!("{} has failed: {why}", thing.named())))
        }
        phase => Err(Refusal::busy(&thing.named(), phase.word())),
    }
}

/// Refuses networks that overlap.
fn apart(cidrs: &[(&str, Option<&str>)]) -> Result<(), Refusal> {
    let mut seen: Vec<(&str, IpNet)> = Vec::new();
    for (key, text) in cidrs {
        let Some(text) = text else { continue };
        let net = cidr(key, text)?;
        if let Some((other, _)) =
            seen.iter().find(|(_, it)| it.contains(&net.network()) || net.contains(&it.network()))
        {
            return Err(Refusal::new(400, "cidr_overlap", format!("{key} {net} overlaps {other}")));
        }
        seen.push((key, net));
    }
    Ok(())
}

/// An address of the network that is set aside for benchmarks (RFC 2544): it belongs to nobody.
fn address(serial: u64) -> String {
    let host = u32::try_from(serial % (1 << 17)).unwrap_or(0);
    std::net::Ipv4Addr::from(u32::from(std::net::Ipv4Addr::new(198, 18, 0, 0)) + host).to_string()
}
