//! The two servers, and a case's place on one of them.

use std::{
    future::Future,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, ServiceAccount},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Config, ResourceExt,
    api::{DeleteParams, ListParams},
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::{conditions::is_deleted, wait::await_condition},
};
use platform_sandbox::{
    kube::{Api as Sandbox, serve::Server},
    play::{
        Cluster, Players,
        around::Around,
        workloads::{
            Pace, controllers,
            nodes::{NodeSpec, nodes},
        },
    },
};
use platform_tests::{Bed, BoxError, Output, World, facts::ETCD};
use serde_json::json;
use tokio::{net::UnixStream, runtime::Runtime};

/// How long a namespace may take until it can be used, on busy cores.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long the next of all namespaces that are left may take until it is gone.
const EMPTYING: Duration = Duration::from_secs(180);

/// Both servers.
pub(super) struct Sides {
    pub real: Side,
    pub ours: Side,
    proxy: Child,
    _server: Server,
}

/// One server.
pub(super) struct Side {
    client: Client,
    runtime: Arc<Runtime>,
    /// Everything of a case on this side lies below this folder.
    folder: PathBuf,
    kubectl: Arc<dyn Fn() -> Command + Send + Sync>,
    compact: Arc<dyn Fn(u64) + Send + Sync>,
}

/// A case's place on one server: its namespace, and a folder.
#[derive(Clone)]
pub(super) struct Place {
    pub client: Client,
    pub namespace: String,
    runtime: Arc<Runtime>,
    folder: PathBuf,
    kubectl: Arc<dyn Fn() -> Command + Send + Sync>,
    compact: Arc<dyn Fn(u64) + Send + Sync>,
}

impl Drop for Sides {
    fn drop(&mut self) {
        drop(self.proxy.kill());
        drop(self.proxy.wait());
    }
}

impl Sides {
    /// Starts a sandbox, and a way to the bed's server.
    pub(super) fn start(world: &World<'static>) -> Self {
        let runtime =
            Arc::new(tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime"));
        let api = Sandbox::new(Arc::new(Timestamp::now), 1);
        api.begin(6443);
        api.begin_rights();
        let cluster = Cluster { name: "sandbox".into(), api: api.clone(), around: Around::default() };
        nodes(&cluster, &machines()).expect("nodes are made");
        runtime.spawn(Players::new(cluster, controllers(Pace::quick())).live());
        let store = api.store.clone();
        let server = runtime.block_on(Server::start(api, "a-token-for-a-test")).expect("it starts");
        let ours = ours(world, &runtime, &server, Arc::new(move |version| store.compact(version)));
        let (proxy, socket) = proxy(world);
        let bed: &'static Bed = world.bed();
        let real = Side {
            client: runtime.block_on(async { through(socket) }),
            runtime,
            folder: folder(world, "real"),
            kubectl: Arc::new(move || {
                let mut command = bed.command("kubectl");
                command.env("KUBECONFIG", bed.facts().own_kubeconfig());
                command
            }),
            compact: Arc::new(move |version| compact(bed, version)),
        };
        Self { real, ours, proxy, _server: server }
    }
}

impl Sides {
    /// Waits until the bed has removed every namespace that a case has left.
    pub(super) fn settle(&self) {
        let namespaces: Api<Namespace> = Api::all(self.real.client.clone());
        self.real.runtime.block_on(async {
            let there = namespaces.list(&ListParams::default()).await.expect("namespaces");
            for going in there.items.iter().filter(|it| it.metadata.deletion_timestamp.is_some()) {
                let (name, uid) = (going.name_any(), going.uid().unwrap_or_default());
                let gone = await_condition(namespaces.clone(), &name, is_deleted(&uid));
                tokio::time::timeout(EMPTYING, gone).await.expect("it goes").expect("it is watched");
            }
        });
    }
}

/// The same nodes as the bed has.
fn machines() -> Vec<NodeSpec> {
    let node = |number| NodeSpec {
        name: format!("node-{number}"),
        cpu: "32".into(),
        memory: "64Gi".into(),
        pods: 110,
        zone: format!("zone-{number}"),
        ..NodeSpec::default()
    };
    (0..3).map(node).collect()
}

fn folder(world: &World<'_>, name: &str) -> PathBuf {
    let folder = world.dir().join(name);
    fs_err::create_dir_all(&folder).expect("a folder");
    folder
}

fn ours(
    world: &World<'static>,
    runtime: &Arc<Runtime>,
    server: &Server,
    compact: Arc<dyn Fn(u64) + Send + Sync>,
) -> Side {
    let folder = folder(world, "ours");
    let kubeconfig = folder.join("kubeconfig");
    fs_err::write(&kubeconfig, &server.kubeconfig).expect("written");
    let read = Kubeconfig::from_yaml(&server.kubeconfig).expect("a kubeconfig");
    let client = runtime.block_on(async {
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        Client::try_from(config.expect("a configuration")).expect("a client")
    });
    let path = world.bed().components().path();
    let kubectl = move || {
        let mut command = Command::new("kubectl");
        command.env_clear().env("PATH", &path).env("LANG", "C.UTF-8").env("KUBECONFIG", &kubeconfig);
        command
    };
    Side { client, runtime: runtime.clone(), folder, kubectl: Arc::new(kubectl), compact }
}

/// Lets the bed's etcd forget what was before a version.
fn compact(bed: &Bed, version: u64) {
    let key = |file: &str| bed.facts().dir.join("pki").join(file);
    let mut command = bed.command("curl");
    command.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(key("etcd/ca.crt"));
    command.arg("--cert").arg(key("apiserver-etcd-client.crt"));
    command.arg("--key").arg(key("apiserver-etcd-client.key"));
    command.args(["--data", &json!({"revision": version}).to_string()]);
    Output::of(command.arg(format!("https://{ETCD}/v3/kv/compaction"))).ok();
}

/// The bed's server cannot be reached from outside its network, but a socket in the file system can.
fn proxy(world: &World<'_>) -> (Child, PathBuf) {
    let socket = world.dir().join("api.sock");
    let mut proxy = world
        .bed()
        .command("kubectl")
        .args(["proxy", "--reject-paths=^$", "--unix-socket"])
        .arg(&socket)
        .env("KUBECONFIG", world.bed().facts().own_kubeconfig())
        .stdout(Stdio::piped())
        .spawn()
        .expect("kubectl proxy starts");
    let mut said = String::new();
    let out = proxy.stdout.take().expect("it is piped");
    BufReader::new(out).read_line(&mut said).expect("it says where it serves");
    assert!(said.contains("api.sock"), "{said}");
    (proxy, socket)
}

/// A client through a socket: one connection for each request, which is simple and quick enough.
fn through(socket: PathBuf) -> Client {
    let service = tower::service_fn(move |mut request: axum::http::Request<Body>| {
        let socket = socket.clone();
        async move {
            let stream = TokioIo::new(UnixStream::connect(socket).await?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
            tokio::spawn(connection);
            request.headers_mut().insert("host", axum::http::HeaderValue::from_static("localhost"));
            Ok::<_, BoxError>(sender.send_request(request).await?)
        }
    });
    Client::new(service, "default")
}

impl Side {
    /// Makes the place of a case.
    pub(super) fn place(&self, name: &str) -> Place {
        let folder = self.folder.join(name);
        fs_err::create_dir_all(&folder).expect("a folder");
        let namespace = name.to_owned();
        let made = self.runtime.block_on(open(&self.client, &namespace));
        made.unwrap_or_else(|error| panic!("namespace {namespace}: {error}"));
        let (client, runtime) = (self.client.clone(), self.runtime.clone());
        let (kubectl, compact) = (self.kubectl.clone(), self.compact.clone());
        Place { client, namespace, runtime, folder, kubectl, compact }
    }
}

/// Makes a namespace, and waits until it has what controllers put into each.
async fn open(client: &Client, name: &str) -> Result<(), BoxError> {
    let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
    Api::all(client.clone()).create(&super::ask::post(), &namespace).await?;
    let (accounts, maps) = (Api::namespaced(client.clone(), name), Api::namespaced(client.clone(), name));
    let account = await_condition(accounts, "default", |it: Option<&ServiceAccount>| it.is_some());
    let map = await_condition(maps, "kube-root-ca.crt", |it: Option<&ConfigMap>| it.is_some());
    tokio::time::timeout(PATIENCE, futures::future::try_join(account, map)).await??;
    Ok(())
}

impl Place {
    /// Waits for something.
    pub(super) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// Lets the server forget what was before a version.
    pub(super) fn compact(&self, version: u64) {
        (self.compact)(version);
    }

    /// Its folder; files that commands name lie in it.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// `kubectl`, as an administrator, in the namespace and in the folder.
    pub(super) fn kubectl(&self) -> Command {
        let mut command = (self.kubectl)();
        let home = self.folder.parent().unwrap_or(&self.folder);
        command.env("HOME", home).env("TZ", "UTC").current_dir(&self.folder);
        command.arg(format!("--namespace={}", self.namespace));
        command
    }

    /// Tells the namespace to go; nobody waits for it here.
    fn leave(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        // a case may have removed it
        let _gone = self.wait(namespaces.delete(&self.namespace, &DeleteParams::default()));
    }
}

/// Places that cases have left. Their namespaces stay until no case waits any more for one of its own to be removed: the
/// real controller takes them in turn, each with requests for every kind, and the queue would be longer than patience.
pub(super) struct Leaving {
    waiting: AtomicUsize,
    left: Mutex<Vec<Place>>,
}

impl Leaving {
    /// Until so many cases are over.
    pub(super) fn until(waiting: usize) -> Self {
        Self { waiting: AtomicUsize::new(waiting), left: Mutex::default() }
    }

    /// A case that waits for namespaces is over.
    pub(super) fn one_is_over(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.go();
    }

    /// A case has left its place.
    pub(super) fn leave(&self, place: Place) {
        self.left.lock().expect("nobody panics with it").push(place);
        self.go();
    }

    fn go(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            let left = std::mem::take(&mut *self.left.lock().expect("nobody panics with it"));
            left.into_iter().for_each(Place::leave);
        }
    }
}
