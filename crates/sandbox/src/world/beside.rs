//! The container engine of a world, and the clusters behind its nodes.

use std::{net::TcpListener, sync::Arc};

use jiff::SignedDuration;
use secrecy::SecretString;

use super::{
    World,
    hosted::{FIRST_PORT, Setting},
    locked,
    plugs::{OVER, Plug},
};
use crate::{
    cloud::{Clusters, NewCluster},
    containers::{Ask, Behind, Joining, Said},
    kube::store::Key,
    play::{
        Cluster,
        around::{Around, CloudController, Files, Remote, Repositories},
    },
};

/// How long the credentials of a cluster's owner last: kind's own last a year.
const OWNERS_LAST: SignedDuration = SignedDuration::from_hours(24 * 365);

/// The id of the cluster behind nodes; no cloud gives such a one.
pub(super) fn id_of(name: &str) -> String {
    format!("kind/{name}")
}

impl World {
    /// Plays a program in virtual time; its exit code. Whoever drops the future has killed it.
    pub async fn ask_program(&self, ask: &Ask, say: &mut (dyn FnMut(Said) + Send)) -> i32 {
        self.advance();
        let code = self.inner.containers.play(ask, say).await;
        self.advance();
        code
    }
}

impl Behind for Plug {
    fn settle(&self) {
        // With sockets everything lives by itself.
        if let Some(world) = self.world().filter(|world| world.inner.sockets.is_none()) {
            world.calm();
            world.advance();
        }
    }

    fn port(&self) -> u16 {
        let Some(world) = self.world() else { return 0 };
        if world.inner.sockets.is_none() {
            let taken: Vec<u16> =
                locked(&world.inner.clusters).values().map(|it| it.address.port()).collect();
            return (FIRST_PORT..).find(|port| !taken.contains(port)).unwrap_or(0);
        }
        // Somebody else may take it until it is wanted; then the cluster takes another.
        let free = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        free.map_or(0, |address| address.port())
    }

    fn create(&self, name: &str, port: u16) {
        let Some(world) = self.world() else { return };
        let cluster = NewCluster {
            id: id_of(name),
            name: format!("kind-{name}"),
            region: "local".to_owned(),
            version: "1.36".to_owned(),
            pod_cidr: None,
            service_cidr: None,
        };
        if world.hosted(&cluster.id).is_some() {
            return;
        }
        let repositories: Arc<dyn Repositories> =
            Arc::new(Near { cluster: name.to_owned(), plug: Plug(self.0.clone()) });
        let (cloud, repositories) = (Some(Arc::new(Local) as _), Some(repositories));
        let around = Around { cloud, repositories, ..world.around() };
        let more = vec![Box::new(Joining::new(world.inner.pace)) as _];
        world.host(&cluster, Setting { port: Some(port), around, more });
    }

    fn awake(&self, name: &str, awake: bool) {
        let Some(world) = self.world() else { return };
        let Some(hosted) = world.hosted(&id_of(name)) else { return };
        match awake {
            true => hosted.wake(&world),
            false => hosted.sleep(),
        }
        world.touch(&hosted.id);
    }

    fn remove(&self, name: &str) {
        Clusters::remove(self, &id_of(name));
    }

    fn kubeconfig(&self, name: &str) -> Result<SecretString, String> {
        let world = self.world().ok_or(OVER)?;
        let until = world.clock()().checked_add(OWNERS_LAST).map_err(|error| error.to_string())?;
        Clusters::kubeconfig(self, &id_of(name), until)
    }

    fn cluster(&self, name: &str) -> Option<Cluster> {
        let world = self.world()?;
        let hosted = world.hosted(&id_of(name))?;
        world.touch(&hosted.id);
        Some(hosted.cluster.clone())
    }
}

/// Git as pods of a cluster of kind reach it: also by servers that stand beside the nodes.
struct Near {
    cluster: String,
    plug: Plug,
}

impl Near {
    /// Where a repository is for those who are not in the cluster.
    fn there(&self, remote: &Remote) -> Result<(Arc<dyn Repositories>, Remote), String> {
        let world = self.plug.world().ok_or(OVER)?;
        let mut remote = remote.clone();
        if remote.url.starts_with("git://") {
            remote.url = world.inner.containers.pulled_at(&remote.url, &self.cluster)?;
        }
        Ok((world.inner.repositories.clone(), remote))
    }
}

impl Repositories for Near {
    fn resolve(&self, remote: &Remote, revision: &str) -> Result<String, String> {
        let (repositories, remote) = self.there(remote)?;
        repositories.resolve(&remote, revision)
    }

    fn files(&self, remote: &Remote, commit: &str) -> Result<Arc<Files>, String> {
        let (repositories, remote) = self.there(remote)?;
        repositories.files(&remote, commit)
    }
}

/// What there is where no cloud is: folders of the nodes, and no load balancers.
struct Local;

impl CloudController for Local {
    fn ensure_load_balancer(
        &self,
        _cluster: &str,
        _service: &Key,
        _uid: &str,
    ) -> Result<Vec<String>, String> {
        // Nobody ever answers; a Service waits for its address for ever, as on real nodes of kind.
        Ok(Vec::new())
    }

    fn remove_load_balancer(&self, _cluster: &str, _uid: &str) -> Result<bool, String> {
        Ok(true)
    }

    fn ensure_volume(
        &self,
        _cluster: &str,
        claim: &Key,
        uid: &str,
        _bytes: u64,
    ) -> Result<Option<String>, String> {
        Ok(Some(format!("/var/local-path-provisioner/pvc-{uid}_{}_{}", claim.namespace, claim.name)))
    }

    fn remove_volume(&self, _cluster: &str, _handle: &str) -> Result<bool, String> {
        Ok(true)
    }
}
