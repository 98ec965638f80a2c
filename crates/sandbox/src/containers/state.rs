//! What the engine holds: containers, images, networks, volumes; and what kind has made of containers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    keep::Book,
    parts::{chance::Chance, faults::Machine},
};

/// Labels, as everything has them.
pub(super) type Labels = BTreeMap<String, String>;

/// A container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Container {
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    /// As it was named when it was made.
    pub image: String,
    pub image_id: String,
    pub command: Vec<String>,
    pub env: Vec<String>,
    pub labels: Labels,
    /// The name of its network.
    pub network: String,
    /// Those that it was put on since.
    #[serde(default)]
    pub also_on: BTreeSet<String>,
    pub address: String,
    pub restart: String,
    pub privileged: bool,
    pub tty: bool,
    pub hostname: String,
    pub ports: Vec<Port>,
    pub mounts: Vec<Mount>,
    pub state: Being,
    /// What a node's containerd has; nothing in other containers.
    #[serde(default)]
    pub images: BTreeSet<String>,
}

/// Whether it runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Being {
    /// Made, and never started.
    Created,
    Running(Timestamp),
    Exited {
        code: i32,
        started: Timestamp,
        finished: Timestamp,
    },
}

/// A port of the host that leads to one of a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Port {
    /// Where it listens; empty for everywhere.
    pub host_ip: String,
    pub host: u16,
    pub container: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
}

/// A folder or volume in a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mount {
    /// A path of the host, or the name of a volume.
    pub source: String,
    pub target: String,
    pub read_only: bool,
    pub volume: bool,
}

/// A network.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Network {
    pub id: String,
    pub name: String,
    pub created: Timestamp,
    pub driver: String,
    pub labels: Labels,
    /// Which of the private ranges it has: `172.(17 + n).0.0/16`.
    pub range: u8,
}

/// A volume.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Volume {
    pub name: String,
    pub created: Timestamp,
    pub labels: Labels,
}

/// An image.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Image {
    pub id: String,
    pub created: Timestamp,
    /// Its names, with tag or digest.
    pub names: BTreeSet<String>,
}

/// A cluster of kind, as far as it is more than containers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cluster {
    pub name: String,
    /// The port of the host at which its API answers.
    pub port: u16,
    /// What kind wrote into the configuration of its nodes, by node: labels.
    pub labels: BTreeMap<String, Labels>,
    /// What lies in its control plane for whoever owns it: the same whenever it is asked for.
    #[serde(default)]
    pub kubeconfig: Option<String>,
}

/// Everything.
#[derive(Default)]
pub(super) struct State {
    pub containers: BTreeMap<String, Container>,
    pub networks: BTreeMap<String, Network>,
    pub volumes: BTreeMap<String, Volume>,
    pub images: BTreeMap<String, Image>,
    /// Clusters that have an API, by name.
    pub clusters: BTreeMap<String, Cluster>,
    pub meta: Meta,
    /// What is said of the machine in the call that is answered; it is of no other.
    pub machine: Machine,
    book: Book,
    chance: Option<Chance>,
}

/// What is about no single thing.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Meta {
    /// How many ids were given.
    pub serial: u64,
    /// How many things were ever made, by kind.
    pub made: BTreeMap<String, u64>,
}

/// A thing that is kept under a key of its own.
pub(super) trait Kept: Serialize + DeserializeOwned + Clone {
    /// What its keys begin with.
    const KIND: &'static str;

    /// What tells it from others of its kind.
    fn key(&self) -> &str;

    /// Where those of its kind are.
    fn of(state: &mut State) -> &mut BTreeMap<String, Self>;
}

macro_rules! kept {
    ($($kind:ident: $word:literal, $key:ident, $field:ident;)+) => {
        $(impl Kept for $kind {
            const KIND: &'static str = $word;

            fn key(&self) -> &str {
                &self.$key
            }

            fn of(state: &mut State) -> &mut BTreeMap<String, Self> {
                &mut state.$field
            }
        })+
    };
}
kept! {
    Container: "container", id, containers;
    Network: "network", name, networks;
    Volume: "volume", name, volumes;
    Image: "image", id, images;
    Cluster: "cluster", name, clusters;
}

const META: &str = "meta";

impl State {
    /// Empty, with the networks that every engine has.
    pub fn new(chance: Chance, book: Book, now: Timestamp) -> Self {
        let mut state = Self { book, chance: Some(chance), ..Self::default() };
        for (range, (name, driver)) in
            [("bridge", "bridge"), ("host", "host"), ("none", "null")].into_iter().enumerate()
        {
            let id = state.id();
            let range = u8::try_from(range).unwrap_or(0);
            let network = Network {
                id,
                name: name.into(),
                created: now,
                driver: driver.into(),
                labels: Labels::new(),
                range,
            };
            state.networks.insert(name.to_owned(), network);
        }
        state
    }

    /// As a book has it.
    ///
    /// # Errors
    /// An entry that cannot be understood, by its key.
    pub fn load(&mut self, entries: Vec<(String, Vec<u8>)>) -> Result<(), (String, serde_json::Error)> {
        fn take<T: Kept>(state: &mut State, bytes: &[u8]) -> Result<(), serde_json::Error> {
            let thing: T = serde_json::from_slice(bytes)?;
            T::of(state).insert(thing.key().to_owned(), thing);
            Ok(())
        }
        for (key, bytes) in entries {
            let taken = match key.split('/').next().unwrap_or_default() {
                META => serde_json::from_slice(&bytes).map(|meta| self.meta = meta),
                Container::KIND => take::<Container>(self, &bytes),
                Network::KIND => take::<Network>(self, &bytes),
                Volume::KIND => take::<Volume>(self, &bytes),
                Image::KIND => take::<Image>(self, &bytes),
                _ => take::<Cluster>(self, &bytes),
            };
            taken.map_err(|error| (key, error))?;
        }
        Ok(())
    }

    /// An id of 64 digits, as engines give them.
    pub fn id(&mut self) -> String {
        self.meta.serial += 1;
        let serial = self.meta.serial.to_string();
        self.chance.map_or_else(String::new, |chance| hex::encode(chance.bytes(&["container", &serial])))
    }

    /// Writes a thing; a new one is counted.
    pub fn put<T: Kept>(&mut self, thing: T) {
        if let Ok(bytes) = serde_json::to_vec(&thing) {
            self.book.put(&format!("{}/{}", T::KIND, thing.key()), &bytes);
        }
        let key = thing.key().to_owned();
        if T::of(self).insert(key, thing).is_none() {
            *self.meta.made.entry(T::KIND.to_owned()).or_default() += 1;
            if let Ok(bytes) = serde_json::to_vec(&self.meta) {
                self.book.put(META, &bytes);
            }
        }
    }

    /// Takes a thing away.
    pub fn take<T: Kept>(&mut self, key: &str) -> Option<T> {
        self.book.remove(&format!("{}/{key}", T::KIND));
        T::of(self).remove(key)
    }

    /// A container by its name, its id or the beginning of it.
    pub fn container(&self, what: &str) -> Option<&Container> {
        let name = what.trim_start_matches('/');
        let by_name = self.containers.values().find(|it| it.name == name);
        by_name.or_else(|| by_id(&self.containers, what).filter(|_| !what.is_empty()))
    }

    /// A network by its name, its id or the beginning of it.
    pub fn network(&self, what: &str) -> Option<&Network> {
        let by_id = || self.networks.values().find(|it| !what.is_empty() && it.id.starts_with(what));
        self.networks.get(what).or_else(by_id)
    }

    /// An image by one of its names, or its id.
    pub fn image(&self, what: &str) -> Option<&Image> {
        let name = with_tag(what);
        let id = what.strip_prefix("sha256:").unwrap_or(what);
        let is = |it: &&Image| {
            it.names.iter().any(|known| *known == name || known.starts_with(&format!("{name}@")))
                || (id.len() >= 4 && it.id.starts_with(id))
        };
        self.images.values().find(is)
    }

    /// The nodes of a cluster of kind, by name.
    pub fn nodes(&self, cluster: &str) -> Vec<&Container> {
        let is = |it: &&Container| it.labels.get(super::CLUSTER_LABEL).is_some_and(|name| name == cluster);
        let mut nodes: Vec<_> = self.containers.values().filter(is).collect();
        nodes.sort_by(|one, other| one.name.cmp(&other.name));
        nodes
    }

    /// The cluster whose API pods of other clusters reach by the name of its container: one that runs, and shares a network with
    /// nodes that are not its own.
    pub fn reached_as(&self, host: &str) -> Option<&str> {
        let one = self.containers.values().find(|it| it.name == host)?;
        let cluster = one.labels.get(super::CLUSTER_LABEL)?;
        let serves = one.labels.get(super::ROLE_LABEL).is_some_and(|role| role != "worker");
        let near = |it: &&Container| {
            let of = it.labels.get(super::CLUSTER_LABEL);
            of.is_some_and(|of| of != cluster) && it.networks().any(|network| one.is_on(network))
        };
        let reached =
            serves && matches!(one.state, Being::Running(_)) && self.containers.values().any(|it| near(&it));
        reached.then_some(cluster.as_str())
    }

    /// The folder that pods of a cluster reach by a name as a Git server: that of a container on a network of theirs.
    pub fn served_as(&self, host: &str, cluster: &str) -> Option<&str> {
        let one = self.containers.values().find(|it| it.name == host)?;
        let near = |node: &&Container| node.networks().any(|network| one.is_on(network));
        one.served().filter(|_| self.nodes(cluster).iter().any(near))
    }

    /// Who listens at a port of the host already.
    pub fn listener(&self, port: &Port, but: &str) -> Option<&Container> {
        let everywhere = |ip: &str| ip.is_empty() || ip == "0.0.0.0" || ip == "::";
        let meets = |other: &Port| {
            other.host == port.host
                && other.protocol == port.protocol
                && (everywhere(&other.host_ip) || everywhere(&port.host_ip) || other.host_ip == port.host_ip)
        };
        self.containers
            .values()
            .filter(|it| it.id != but && matches!(it.state, Being::Running(_)))
            .find(|it| it.ports.iter().any(meets))
    }

    /// An address in a network that nobody has.
    pub fn address(&self, network: &Network) -> String {
        let taken: BTreeSet<&str> = self.containers.values().map(|it| it.address.as_str()).collect();
        let place = |n: u32| format!("172.{}.{}.{}", 17 + u32::from(network.range), n / 256, n % 256);
        (2..65_000).map(place).find(|it| !taken.contains(it.as_str())).unwrap_or_default()
    }
}

impl Container {
    /// The folder of the host that it serves, when what runs in it is `git daemon`.
    pub fn served(&self) -> Option<&str> {
        let base = self.command.iter().find_map(|word| word.strip_prefix("--base-path="))?;
        let daemon = self.command.first().is_some_and(|word| word == "daemon");
        let folder = self.mounts.iter().find(|mount| daemon && !mount.volume && mount.target == base)?;
        matches!(self.state, Being::Running(_)).then_some(folder.source.as_str())
    }

    /// The names of its networks.
    pub fn networks(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.network).chain(&self.also_on)
    }

    pub fn is_on(&self, network: &str) -> bool {
        self.networks().any(|it| it == network)
    }
}

fn by_id<'a, T>(things: &'a BTreeMap<String, T>, what: &str) -> Option<&'a T> {
    things.iter().find(|(id, _)| id.starts_with(what)).map(|(_, thing)| thing)
}

/// An image's name in full: `latest` when neither tag nor digest is named.
pub(super) fn with_tag(name: &str) -> String {
    let last = name.rsplit('/').next().unwrap_or(name);
    if last.contains([':', '@']) { name.to_owned() } else { format!("{name}:latest") }
}
