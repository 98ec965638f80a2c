//! A whole emulated world: a cloud, the Kubernetes APIs of its clusters with their controllers, an object store, DNS zones.
//!
//! The same world lives in two ways. In **virtual time** nothing runs by itself: every request lets time do its work
//! first, in the order in which things are due, and what follows from the request is done before it is answered
//! ([`World::enter`]). In **real time** the background process serves it on sockets, and every cluster has a task that
//! settles it when something changed or is due (`process`).
//!
//! | room | what it holds |
//! |---|---|
//! | [`hosted`] | one cluster: its API, its controllers, its socket |
//! | [`time`] | what time it is in a world |
//! | `plugs` | what the cloud and the clusters reach of each other |
//! | `beside` | the container engine, and the clusters behind its nodes |

mod beside;
pub mod hosted;
mod plugs;
pub mod time;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    body::{Body, Bytes},
    http::{Request, Response},
};
use jiff::Timestamp;
use tokio::sync::watch;

use crate::{
    cloud::{self, Cloud, door::Broken},
    containers::{self, Containers},
    keep::Keeper,
    kube::{
        object::{Ids, Now},
        store::Store,
    },
    parts::{calls::CallLog, faults::Faults, transitions::Pace},
    play::{argocd::Renderer, around::Repositories, workloads},
    s3, zone,
};

pub use hosted::Hosted;
use hosted::{Found, Kept, Setting};
use time::Time;

/// What a world is made of.
pub struct Settings {
    /// What chance goes by.
    pub seed: u64,
    /// What keys are made from; in a simulation any number.
    pub secret: u64,
    /// The key by which clients log in to the cloud, and the rest of its account.
    pub cloud: cloud::Options,
    /// How fast the cloud lives.
    pub pace: Pace,
    /// How fast pods live.
    pub pods: workloads::Pace,
    /// Git repositories, as the clusters see them.
    pub repositories: Arc<dyn Repositories>,
    /// What renders their contents.
    pub renderer: Arc<Renderer>,
    /// What outlives the process.
    pub keeper: Keeper,
    /// Whether every cluster begins with the roles and bindings of a real one.
    pub rights: bool,
    /// Whether the APIs of clusters remember what has changed, for those who watch them. In virtual time nobody does.
    pub history: bool,
    /// Whether its API counts who owns which fields: see [`Api::owners`](crate::kube::Api::owners).
    pub owners: bool,
}

/// A world. Clones are the same world.
#[derive(Clone)]
pub struct World {
    inner: Arc<Inner>,
}

struct Inner {
    time: Time,
    seed: u64,
    /// What keys are made from that nobody else may know.
    secret: u64,
    pods: workloads::Pace,
    pace: Pace,
    rights: bool,
    owners: bool,
    history: bool,
    keeper: Keeper,
    faults: Faults,
    calls: CallLog,
    cloud: Cloud,
    containers: Containers,
    gate: s3::Gate,
    keys: Arc<s3::KeyTable>,
    zones: Arc<zone::Zones>,
    /// Where the object store and the zones are reached from outside.
    addresses: Mutex<Addresses>,
    repositories: Arc<dyn Repositories>,
    renderer: Arc<Renderer>,
    /// Where sockets are opened; absent in a simulation.
    sockets: Option<tokio::runtime::Handle>,
    clusters: Mutex<BTreeMap<String, Arc<Hosted>>>,
    /// Told when a cluster comes or goes.
    came_or_went: watch::Sender<()>,
    /// Clusters of an earlier life that the cloud has not yet asked for.
    found: Mutex<BTreeMap<String, Found>>,
    /// Clusters in which something changed since they were settled.
    touched: Mutex<BTreeSet<String>>,
    due: Mutex<Due>,
}

/// Where things are reached from outside; in a simulation these are names.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    /// The object store: `https://127.0.0.1:1234`.
    pub s3: String,
    /// The DNS server: `127.0.0.1:1235`.
    pub dns: String,
}

/// When clusters have something to do by themselves.
#[derive(Default)]
struct Due {
    order: BTreeSet<(Timestamp, String)>,
    of: BTreeMap<String, Timestamp>,
}

impl Due {
    fn set(&mut self, id: &str, at: Option<Timestamp>) {
        if let Some(before) = self.of.remove(id) {
            self.order.remove(&(before, id.to_owned()));
        }
        if let Some(at) = at {
            self.of.insert(id.to_owned(), at);
            self.order.insert((at, id.to_owned()));
        }
    }

    fn first(&self) -> Option<(Timestamp, String)> {
        self.order.first().cloned()
    }
}

/// The account that everything in a world belongs to.
pub const ACCOUNT: &str = "000000000001";

/// The book in which it is kept which clusters there are.
const CLUSTERS: &str = "clusters";

/// The book of a cluster's objects.
fn book_of(cluster: &str) -> String {
    format!("kube/{cluster}")
}

/// Why a world could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// What is kept cannot be read.
    #[error("the state of the sandbox cannot be read")]
    Book(#[from] sqlx::Error),
    /// What is kept of a cluster cannot be understood.
    #[error("what is kept of cluster `{0}` cannot be understood")]
    Cluster(String, #[source] serde_json::Error),
    /// What is kept of the cloud cannot be understood.
    #[error("what is kept of the cloud cannot be understood")]
    Cloud(#[from] cloud::LoadError),
    /// What is kept of the containers cannot be understood.
    #[error("what is kept of the containers cannot be understood")]
    Containers(#[from] containers::LoadError),
}

impl World {
    /// A world as it is kept, or a new one. With a runtime everything is served on sockets, in real time.
    ///
    /// # Errors
    /// When what is kept cannot be read.
    pub async fn open(
        settings: Settings,
        now: Now,
        sockets: Option<tokio::runtime::Handle>,
    ) -> Result<Self, OpenError> {
        let time = Time::of(now);
        let keeper = settings.keeper;
        let faults = Faults::new(settings.seed, time.inside());
        let calls = CallLog::new(10_000);
        let mut found = BTreeMap::new();
        for (id, bytes) in keeper.book(CLUSTERS).load().await? {
            let kept: Kept =
                serde_json::from_slice(&bytes).map_err(|error| OpenError::Cluster(id.clone(), error))?;
            let store = Store::open(keeper.book(book_of(&id))).await?;
            found.insert(id, Found { kept, store });
        }
        let cloud = Cloud::load(cloud::Parts {
            options: settings.cloud,
            seed: settings.seed,
            pace: settings.pace,
            now: time.inside(),
            faults: faults.clone(),
            calls: calls.clone(),
            book: keeper.book("cloud"),
        })
        .await?;
        let containers = Containers::load(containers::Parts {
            seed: settings.seed,
            pace: settings.pace,
            now: time.inside(),
            faults: faults.clone(),
            calls: calls.clone(),
            book: keeper.book("containers"),
        })
        .await?;
        let buckets = s3::Store::open(
            keeper.book("s3"),
            time.inside(),
            Arc::new(Ids::new(settings.seed.wrapping_add(1))),
        )
        .await?;
        let zones = zone::Zones::open(keeper.book("dns"), time.inside()).await?;
        let keys = Arc::new(s3::KeyTable::default());
        let gate = s3::Gate { store: Arc::new(buckets), keys: keys.clone() };
        let inner = Arc::new(Inner {
            gate,
            keys,
            zones: Arc::new(zones),
            addresses: Mutex::new(Addresses {
                s3: "https://s3.sandbox.internal".into(),
                dns: "sandbox:53".into(),
            }),
            time,
            seed: settings.seed,
            secret: settings.secret,
            pods: settings.pods,
            pace: settings.pace,
            rights: settings.rights,
            owners: settings.owners,
            history: settings.history,
            keeper,
            faults,
            calls,
            cloud,
            containers,
            repositories: settings.repositories,
            renderer: settings.renderer,
            sockets,
            clusters: Mutex::default(),
            came_or_went: watch::Sender::new(()),
            found: Mutex::new(found),
            touched: Mutex::default(),
            due: Mutex::default(),
        });
        let plug = Arc::new(plugs::Plug(Arc::downgrade(&inner)));
        // Clusters come last: what is done in them reaches for the others.
        inner.cloud.plug_buckets(plug.clone());
        inner.cloud.plug_zones(plug.clone());
        inner.cloud.plug_clusters(plug.clone());
        inner.containers.plug(plug);
        Ok(Self { inner })
    }

    /// The cloud.
    pub fn cloud(&self) -> &Cloud {
        &self.inner.cloud
    }

    /// The container engine and kind.
    pub fn containers(&self) -> &Containers {
        &self.inner.containers
    }

    /// The object store, with who may use it.
    pub fn gate(&self) -> &s3::Gate {
        &self.inner.gate
    }

    /// The keys to the object store.
    pub fn keys(&self) -> &s3::KeyTable {
        &self.inner.keys
    }

    /// The DNS zones.
    pub fn zones(&self) -> &Arc<zone::Zones> {
        &self.inner.zones
    }

    /// Says where things are reached from outside.
    pub fn reached_at(&self, addresses: Addresses) {
        *locked(&self.inner.addresses) = addresses;
    }

    /// What time it is in it.
    pub fn clock(&self) -> Now {
        self.inner.time.inside()
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.inner.faults
    }

    /// What was called.
    pub fn calls(&self) -> &CallLog {
        &self.inner.calls
    }

    /// What outlives the process.
    pub fn keeper(&self) -> &Keeper {
        &self.inner.keeper
    }

    /// The clusters, by the cloud's id.
    pub fn clusters(&self) -> Vec<Arc<Hosted>> {
        locked(&self.inner.clusters).values().cloned().collect()
    }

    /// Is told when a cluster comes or goes.
    pub fn watch_clusters(&self) -> watch::Receiver<()> {
        self.inner.came_or_went.subscribe()
    }

    /// A cluster by the cloud's id.
    pub fn hosted(&self, id: &str) -> Option<Arc<Hosted>> {
        locked(&self.inner.clusters).get(id).cloned()
    }

    /// Answers a request to a cluster's API in virtual time, from a client that may do everything.
    ///
    /// # Errors
    /// When a fault asks for no answer, or there is no such cluster any more.
    pub async fn ask_cluster<B>(&self, id: &str, request: Request<B>) -> Result<Response<Body>, Broken>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.advance();
        let hosted = self.hosted(id).filter(|hosted| !hosted.is_asleep()).ok_or(Broken::Reset)?;
        let answered = hosted.cluster.api.respond(request).await;
        self.touch(id);
        self.calm();
        Broken::or(answered).await
    }

    /// Answers a request to the cloud's API in virtual time.
    ///
    /// # Errors
    /// When a fault asks for no answer.
    pub async fn ask_cloud<B>(&self, request: Request<B>) -> Result<Response<Body>, Broken>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.advance();
        let answered = self.inner.cloud.respond(request).await;
        self.calm();
        match answered {
            Err(broken) => broken.end().await,
            answered => answered,
        }
    }

    /// Answers a DNS message in virtual time.
    pub fn ask_zone(&self, message: &[u8]) -> Vec<Vec<u8>> {
        self.advance();
        self.inner.zones.exchange(message, zone::Over::Tcp)
    }

    /// Makes the API of a cluster.
    fn host(&self, cluster: &cloud::NewCluster, setting: Setting) {
        let found = locked(&self.inner.found).remove(&cluster.id);
        let book = self.inner.keeper.book(book_of(&cluster.id));
        let hosted = Hosted::open(self, cluster, found, book, setting);
        self.inner.keep(&hosted);
        locked(&self.inner.clusters).insert(cluster.id.clone(), hosted);
        self.inner.came_or_went.send_replace(());
        self.touch(&cluster.id);
    }

    /// Says that something may have changed in a cluster.
    pub fn touch(&self, id: &str) {
        locked(&self.inner.touched).insert(id.to_owned());
    }

    /// Does everything that is due by now, in the order in which it is due.
    fn advance(&self) {
        let now = self.inner.time.outside();
        loop {
            let cluster = locked(&self.inner.due).first();
            let cloud = self.inner.cloud.next_change();
            let first = [cluster.as_ref().map(|(at, _)| *at), cloud].into_iter().flatten().min();
            let Some(at) = first.filter(|at| *at <= now) else { break };
            self.inner.time.at(at, || {
                if cloud.is_some_and(|cloud| cloud <= at) {
                    self.inner.cloud.settle();
                }
                if let Some((_, id)) = cluster.filter(|(due, _)| *due <= at) {
                    self.settle(&id);
                }
                self.calm();
            });
        }
    }

    /// Settles clusters until nothing follows any more.
    fn calm(&self) {
        let mut settled = BTreeSet::new();
        while let Some(id) = { locked(&self.inner.touched).pop_first() } {
            self.settle(&id);
            settled.insert(id);
        }
        if self.inner.history {
            return;
        }
        // Everybody has heard by now.
        for hosted in settled.iter().filter_map(|id| self.hosted(id)) {
            let store = &hosted.cluster.api.store;
            store.compact(store.revision());
        }
    }

    fn settle(&self, id: &str) {
        let hosted = self.hosted(id);
        let next = hosted.as_ref().and_then(|hosted| hosted.settle());
        locked(&self.inner.due).set(id, next);
        if let Some(hosted) = hosted {
            hosted.tell(self);
        }
    }
}

impl Inner {
    fn keep(&self, hosted: &Hosted) {
        let kept = serde_json::to_vec(&hosted.keep()).unwrap_or_default();
        self.keeper.book(CLUSTERS).put(&hosted.id, &kept);
    }

    fn forget(&self, id: &str) {
        self.keeper.book(CLUSTERS).remove(id);
    }
}

/// A panic in between leaves maps that are whole.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
