//! What the cloud and the clusters reach of each other.

use std::{
    net::SocketAddr,
    sync::{Arc, Weak},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{
    Inner, World,
    hosted::{Hosted, Setting},
    locked,
};
use crate::{
    cloud::{Buckets, Clusters, NewCluster, Node, ZoneKey, Zones},
    parts::chance::Chance,
    play::{
        Cluster, around,
        workloads::nodes::{NodeSpec, nodes},
    },
    s3::{
        list::{MOST, Wanted},
        objects::Conditions,
    },
    zone,
};

/// A world, as those hold it who are part of it.
pub(super) struct Plug(pub Weak<Inner>);

impl Plug {
    pub(super) fn world(&self) -> Option<World> {
        self.0.upgrade().map(|inner| World { inner })
    }
}

/// How large the machines are that pools are made of.
fn size(machine: &str) -> (&'static str, &'static str) {
    match machine {
        "small" => ("2", "4Gi"),
        "large" => ("16", "64Gi"),
        _ => ("8", "32Gi"),
    }
}

impl Clusters for Plug {
    fn create(&self, cluster: &NewCluster) {
        let Some(world) = self.world() else { return };
        if world.hosted(&cluster.id).is_none() {
            world.host(cluster, Setting { port: None, around: world.around(), more: Vec::new() });
        }
    }

    fn endpoint(&self, id: &str) -> String {
        let hosted = self.world().and_then(|world| world.hosted(id));
        hosted.map(|hosted| format!("https://{}", hosted.address)).unwrap_or_default()
    }

    fn nodes(&self, id: &str, machines: &[Node]) {
        let Some(hosted) = self.world().and_then(|world| world.hosted(id)) else { return };
        let specs: Vec<NodeSpec> = machines
            .iter()
            .map(|node| {
                let (cpu, memory) = size(&node.machine);
                NodeSpec {
                    name: node.name.clone(),
                    cpu: cpu.to_owned(),
                    memory: memory.to_owned(),
                    pods: 110,
                    zone: node.zone.clone(),
                    labels: vec![
                        ("topology.kubernetes.io/region".to_owned(), node.region.clone()),
                        ("node.kubernetes.io/instance-type".to_owned(), node.machine.clone()),
                        ("sandbox.platform.dev/pool".to_owned(), node.pool.clone()),
                    ],
                    taints: Vec::new(),
                }
            })
            .collect();
        if let Err(refused) = nodes(&hosted.cluster, &specs) {
            tracing::error!(cluster = hosted.name, %refused, "its nodes cannot be written");
        }
        if let Some(world) = self.world() {
            world.touch(id);
        }
    }

    fn remove(&self, id: &str) {
        let Some(world) = self.world() else { return };
        world.inner.forget(id);
        if let Some(hosted) = locked(&world.inner.clusters).remove(id) {
            hosted.end();
            world.inner.came_or_went.send_replace(());
        }
        locked(&world.inner.due).set(id, None);
    }

    fn kubeconfig(&self, id: &str, until: Timestamp) -> Result<SecretString, String> {
        let hosted = self.world().and_then(|world| world.hosted(id));
        hosted.ok_or_else(|| "the cluster has no API".to_owned())?.kubeconfig(until)
    }
}

/// Where buckets are, unless asked otherwise: everything is on this machine.
const REGION: &str = "local";

impl Buckets for Plug {
    fn create(&self, name: &str, versioning: bool, object_lock: bool) -> Result<Value, String> {
        let world = self.world().ok_or(OVER)?;
        let store = &world.inner.gate.store;
        let made = store.create_bucket(super::ACCOUNT, name, REGION, object_lock);
        made.map_err(|refusal| refusal.to_string())?;
        if versioning {
            store.set_versioning(name, true).map_err(|refusal| refusal.to_string())?;
        }
        let endpoint = locked(&world.inner.addresses).s3.clone();
        Ok(json!({ "endpoint": endpoint, "region": REGION }))
    }

    fn remove(&self, name: &str) -> Result<(), String> {
        let world = self.world().ok_or(OVER)?;
        let store = &world.inner.gate.store;
        if store.bucket(name).is_err() {
            return Ok(());
        }
        loop {
            let wanted = Wanted { most: MOST, ..Wanted::default() };
            let page = store.versions(name, &wanted).map_err(|refusal| refusal.to_string())?;
            if page.versions.is_empty() {
                break;
            }
            for (version, _) in page.versions {
                let gone = store.delete(name, &version.key, Some(&version.id), false, &Conditions::default());
                gone.map_err(|refusal| format!("object {}: {refusal}", version.key))?;
            }
        }
        store.delete_bucket(name).map_err(|refusal| refusal.to_string())
    }
}

impl Zones for Plug {
    fn create(&self, domain: &str) -> Result<Value, String> {
        let world = self.world().ok_or(OVER)?;
        let key = key_of(&world, domain);
        let zones = &world.inner.zones;
        let stored = zone::Key { name: key.key.clone(), algorithm: key.algorithm, secret: key.secret };
        zones.put_key(&stored).map_err(|wrong| wrong.to_string())?;
        let settings = zone::Settings {
            server: None,
            updates: vec![key.key.clone()],
            transfers: zone::Transfers::Keys(vec![key.key]),
        };
        zones.create(domain, settings, &[]).map_err(|wrong| wrong.to_string())?;
        Ok(json!({ "server": key.server }))
    }

    fn key(&self, domain: &str) -> Result<ZoneKey, String> {
        let world = self.world().ok_or(OVER)?;
        match world.inner.zones.zone(domain) {
            Some(_) => Ok(key_of(&world, domain)),
            None => Err(format!("there is no zone {domain}")),
        }
    }

    fn remove(&self, domain: &str) -> Result<(), String> {
        let world = self.world().ok_or(OVER)?;
        world.inner.zones.remove(domain);
        world.inner.zones.remove_key(&key_of(&world, domain).key);
        Ok(())
    }
}

/// The world is being taken down.
pub(super) const OVER: &str = "the sandbox is stopping";

/// The key of a zone: a function of the world and the zone, so that nothing has to be kept twice.
fn key_of(world: &World, domain: &str) -> ZoneKey {
    let secret = Chance::new(world.inner.secret).bytes(&["zone key", domain]);
    ZoneKey {
        server: locked(&world.inner.addresses).dns.clone(),
        key: format!("{domain}-key"),
        algorithm: "hmac-sha256".to_owned(),
        secret: STANDARD.encode(secret).into(),
    }
}

/// The cluster whose API answers at a URL.
fn at(world: &World, server: &str) -> Option<Arc<Hosted>> {
    if let Some(name) = world.inner.containers.reached_at(server) {
        return world.hosted(&super::beside::id_of(&name));
    }
    let address: SocketAddr = server.strip_prefix("https://")?.parse().ok()?;
    locked(&world.inner.clusters).values().find(|it| it.address == address).cloned()
}

impl around::Clusters for Plug {
    fn listen(&self, server: &str, listener: &Cluster) {
        let Some(world) = self.world() else { return };
        let Some(heard) = at(&world, server) else { return };
        let listens = |it: &&Arc<Hosted>| Arc::ptr_eq(&it.cluster.api.store, &listener.api.store);
        let listener = locked(&world.inner.clusters).values().find(listens).map(|it| it.id.clone());
        heard.listeners().extend(listener);
    }

    fn at(&self, server: &str) -> Option<Cluster> {
        let world = self.world()?;
        let hosted = at(&world, server)?;
        // Whoever reaches it may change it.
        world.touch(&hosted.id);
        Some(hosted.cluster.clone())
    }
}
