//! What the cloud and the clusters reach of each other.

use std::sync::Weak;

use jiff::Timestamp;
use secrecy::SecretString;

use super::{Inner, World, hosted::Hosted, locked};
use crate::{
    cloud::{Buckets, Clusters, NewCluster, Node, Zones},
    play::{
        Cluster, around,
        workloads::nodes::{NodeSpec, nodes},
    },
};

/// A world, as those hold it who are part of it.
pub(super) struct Plug(pub Weak<Inner>);

impl Plug {
    fn world(&self) -> Option<World> {
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
        if locked(&world.inner.clusters).contains_key(&cluster.id) {
            return;
        }
        let found = locked(&world.inner.found).remove(&cluster.id);
        let book = world.inner.keeper.book(super::book_of(&cluster.id));
        let hosted = Hosted::open(&world, cluster, found, book);
        world.inner.keep(&hosted);
        locked(&world.inner.clusters).insert(cluster.id.clone(), hosted);
        world.touch(&cluster.id);
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
        }
        locked(&world.inner.due).set(id, None);
    }

    fn kubeconfig(&self, id: &str, until: Timestamp) -> Result<SecretString, String> {
        let hosted = self.world().and_then(|world| world.hosted(id));
        hosted.ok_or_else(|| "the cluster has no API".to_owned())?.kubeconfig(until)
    }
}

impl around::Clusters for Plug {
    fn at(&self, server: &str) -> Option<Cluster> {
        let world = self.world()?;
        let hosted = {
            let clusters = locked(&world.inner.clusters);
            let there = |it: &&std::sync::Arc<Hosted>| server == format!("https://{}", it.address);
            clusters.values().find(there).cloned()?
        };
        // Whoever reaches it may change it.
        world.touch(&hosted.id);
        Some(hosted.cluster.clone())
    }
}
