//! One cluster of a world: its API, its controllers, and its socket when it has one.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{World, locked};
use crate::{
    cloud::NewCluster,
    keep::Book,
    kube::{
        Api,
        auth::{Credential, Identity, User},
        serve::Server,
        store::Store,
    },
    play::{
        Cluster, Controller, Players,
        around::{Around, Objects},
    },
    s3::Asker,
};

/// One cluster of a world.
pub struct Hosted {
    /// The cloud's id of it.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its API and what lies around it.
    pub cluster: Cluster,
    /// Where its API answers; nowhere in a simulation, where the address only names it.
    pub address: SocketAddr,
    players: Mutex<Players>,
    /// Clusters that are woken when something has changed in this one, by their ids.
    listeners: Mutex<BTreeSet<String>>,
    /// Up to which revision they know of that.
    told: AtomicU64,
    server: Mutex<Option<Server>>,
    stop: CancellationToken,
    /// Whether the machine that it runs on is off.
    asleep: AtomicBool,
    woken: Notify,
}

/// What is kept of a cluster beside its objects.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its name.
    pub name: String,
    /// The port on which clients know it.
    pub port: u16,
    /// Who it is; a secret, in the state of the emulated server that owns it.
    pub identity: String,
}

/// A cluster as it is found in the books of an earlier life.
pub(super) struct Found {
    pub kept: Kept,
    pub store: Store,
}

/// The first port of clusters in a simulation: there are no sockets, and the address is a name.
pub(super) const FIRST_PORT: u16 = 6_443;

/// What surrounds a cluster beside the world that all share.
pub(super) struct Setting {
    /// The port at which it is to be reached, if that matters.
    pub port: Option<u16>,
    /// What its controllers reach.
    pub around: Around,
    /// Controllers that only clusters of its kind have.
    pub more: Vec<Box<dyn Controller>>,
}

impl Hosted {
    /// Makes the API of a cluster, as the books of an earlier life have it or anew. With sockets it answers at once.
    pub(super) fn open(
        world: &World,
        wanted: &NewCluster,
        found: Option<Found>,
        book: Book,
        setting: Setting,
    ) -> Arc<Self> {
        let inner = &world.inner;
        let nth = u64::try_from(locked(&inner.clusters).len()).unwrap_or(0);
        let seed = inner.seed ^ seed_of(&wanted.id);
        let (store, identity, port) = match found {
            Some(found) => {
                let identity = Identity::kept(&SecretString::from(found.kept.identity));
                (found.store, identity.ok(), Some(found.kept.port))
            }
            None => (Store::kept_in(book), None, setting.port),
        };
        let identity = identity.unwrap_or_else(|| match inner.sockets {
            Some(_) => Identity::new(rand::random()),
            None => Identity::seeded(seed),
        });
        let (listener, address) = match &inner.sockets {
            Some(_) => listen(port),
            None => {
                let port = FIRST_PORT.saturating_add(u16::try_from(nth).unwrap_or(u16::MAX));
                let port = setting.port.unwrap_or(port);
                (None, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
            }
        };
        let mut api = Api::new(inner.time.inside(), seed).with_identity(identity);
        api.store = Arc::new(store);
        api.faults = Some(inner.faults.clone());
        api.owners = inner.owners;
        api.take_up();
        api.begin(address.port());
        if inner.rights {
            api.begin_rights();
        }
        let cluster = Cluster { name: wanted.name.as_str().into(), api, around: setting.around };
        let mut controllers = controllers(world);
        controllers.extend(setting.more);
        let hosted = Arc::new(Self {
            id: wanted.id.clone(),
            name: wanted.name.clone(),
            cluster: cluster.clone(),
            address,
            players: Mutex::new(Players::new(cluster, controllers)),
            listeners: Mutex::default(),
            told: AtomicU64::new(0),
            server: Mutex::new(None),
            stop: CancellationToken::new(),
            asleep: AtomicBool::new(false),
            woken: Notify::new(),
        });
        if let Some(runtime) = &inner.sockets {
            hosted.serve(runtime, listener);
            let _inside = runtime.enter();
            runtime.spawn(live(world.clone(), hosted.clone()));
        }
        hosted
    }

    /// Does what is due; when there will be more.
    pub(super) fn settle(&self) -> Option<Timestamp> {
        if self.is_asleep() {
            return None;
        }
        locked(&self.players).settle()
    }

    /// Who listens to it.
    pub(super) fn listeners(&self) -> MutexGuard<'_, BTreeSet<String>> {
        locked(&self.listeners)
    }

    /// Wakes who listens to it, when something has changed since they were woken last.
    pub(super) fn tell(&self, world: &World) {
        let revision = self.cluster.api.store.revision();
        if self.told.swap(revision, Ordering::SeqCst) == revision {
            return;
        }
        for id in self.listeners().clone() {
            world.touch(&id);
            if let Some(listener) = world.hosted(&id) {
                listener.woken.notify_one();
            }
        }
    }

    /// Whether the machine that it runs on is off: nobody answers, and nothing is done.
    pub fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// Switches the machine off that it runs on.
    pub(super) fn sleep(&self) {
        self.asleep.store(true, Ordering::SeqCst);
        drop(locked(&self.server).take());
    }

    /// Switches it on again.
    pub(super) fn wake(&self, world: &World) {
        if !self.asleep.swap(false, Ordering::SeqCst) {
            return;
        }
        if let Some(runtime) = &world.inner.sockets {
            let (listener, address) = listen(Some(self.address.port()));
            if address != self.address {
                tracing::error!(cluster = self.name, "somebody else listens at its port now");
            }
            self.serve(runtime, listener);
        }
        self.woken.notify_one();
    }

    fn serve(&self, runtime: &tokio::runtime::Handle, listener: Option<std::net::TcpListener>) {
        let Some(listener) = listener else { return };
        let _inside = runtime.enter();
        let served = tokio::net::TcpListener::from_std(listener)
            .and_then(|listener| Server::on(listener, self.cluster.api.clone(), &[]));
        match served {
            Ok(server) => *locked(&self.server) = Some(server),
            Err(error) => tracing::error!(cluster = self.name, %error, "the API cannot be served"),
        }
    }

    /// What is kept of it.
    pub(super) fn keep(&self) -> Kept {
        Kept {
            name: self.name.clone(),
            port: self.address.port(),
            identity: self.cluster.api.identity.keep().expose_secret().to_owned(),
        }
    }

    /// Ends it, and forgets its objects.
    pub(super) fn end(&self) {
        self.stop.cancel();
        drop(locked(&self.server).take());
        self.cluster.api.store.forget();
    }

    /// A kubeconfig whose credentials, the owner's, end at some time.
    ///
    /// # Errors
    /// When a certificate cannot be written.
    pub fn kubeconfig(&self, until: Timestamp) -> Result<SecretString, String> {
        let identity = &self.cluster.api.identity;
        let user = User::new("platform-admin", ["system:masters"]);
        let credential = Credential::Certificate { user: &user, from: self.cluster.now(), until };
        identity.kubeconfig(&self.name, self.address, &credential).map_err(|error| error.to_string())
    }
}

/// Every cluster has chance of its own.
fn seed_of(id: &str) -> u64 {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(id.as_bytes());
    digest.iter().take(8).fold(0, |seed, byte| seed << 8 | u64::from(*byte))
}

/// Opens a socket, on the port that clients know if it is free.
fn listen(port: Option<u16>) -> (Option<std::net::TcpListener>, SocketAddr) {
    let bind = |port: u16| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let bound = port.map(bind).and_then(Result::ok).map_or_else(|| bind(0), Ok);
    let opened = bound.and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    match opened {
        Ok((listener, address)) => (Some(listener), address),
        Err(error) => {
            tracing::error!(%error, "no socket can be opened");
            (None, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        }
    }
}

/// All controllers of a cluster.
fn controllers(world: &World) -> Vec<Box<dyn Controller>> {
    let inner = &world.inner;
    let mut all = crate::play::workloads::controllers(inner.pods.clone());
    all.extend(crate::play::argocd::controllers(inner.renderer.clone()));
    all.push(Box::new(crate::play::velero::Velero));
    all.push(Box::new(crate::play::externaldns::ExternalDns));
    all.push(Box::new(crate::play::certmanager::CertManager));
    all
}

/// Settles a cluster in real time, whenever something changed or is due, until it ends.
async fn live(world: World, hosted: Arc<Hosted>) {
    let mut revisions = hosted.cluster.api.store.revisions();
    loop {
        let at_work = hosted.clone();
        // Controllers read Git and start programs: nothing that may hold up a request.
        let Ok(next) = tokio::task::spawn_blocking(move || at_work.settle()).await else {
            tracing::error!(cluster = hosted.name, "a controller has panicked; the cluster stands still");
            return;
        };
        hosted.tell(&world);
        let wait = next.map(|at| at.duration_since(world.inner.time.outside()));
        let due = async {
            match wait {
                Some(wait) => tokio::time::sleep(wait.try_into().unwrap_or_default()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hosted.stop.cancelled() => return,
            () = hosted.woken.notified() => {}
            changed = revisions.changed() => if changed.is_err() { return },
            () = due => {}
        }
    }
}

impl World {
    /// What lies around a cluster of this world.
    pub(super) fn around(&self) -> Around {
        let plug = Arc::new(super::plugs::Plug(Arc::downgrade(&self.inner)));
        Around {
            cloud: Some(Arc::new(self.inner.cloud.clone())),
            repositories: Some(self.inner.repositories.clone()),
            clusters: Some(plug),
            objects: Some(Objects { gate: self.inner.gate.clone(), own: Some(Asker::root(super::ACCOUNT)) }),
            zones: Some(self.inner.zones.clone()),
        }
    }
}
