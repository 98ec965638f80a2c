//! The two servers, and a case's place on one of them.

use std::{
    future::Future,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::core::v1::{ConfigMap, Namespace, ServiceAccount},
    jiff::Timestamp,
};
use kube::{
    Api, Client, Config,
    api::DeleteParams,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::await_condition,
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
use platform_tests::{Bed, BoxError, World};
use serde_json::json;
use tokio::{net::UnixStream, runtime::Runtime};

/// How long a namespace may take until it can be used, on busy cores.
const PATIENCE: Duration = Duration::from_secs(60);

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
}

/// A case's place on one server: its namespace, and a folder.
#[derive(Clone)]
pub(super) struct Place {
    pub client: Client,
    pub namespace: String,
    runtime: Arc<Runtime>,
    folder: PathBuf,
    kubectl: Arc<dyn Fn() -> Command + Send + Sync>,
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
        runtime.spawn(play(cluster));
        let server = runtime.block_on(Server::start(api, "a-token-for-a-test")).expect("it starts");
        let ours = ours(world, &runtime, &server);
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
        };
        Self { real, ours, proxy, _server: server }
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

/// Plays the controllers of the sandbox's cluster, until the runtime ends.
async fn play(cluster: Cluster) {
    let mut revisions = cluster.api.store.revisions();
    let mut players = Players::new(cluster, controllers(Pace::quick()));
    loop {
        revisions.borrow_and_update();
        let due = players.settle();
        let now = players.cluster().now();
        let until = async {
            match due {
                Some(at) => {
                    tokio::time::sleep(Duration::try_from(at.duration_since(now)).unwrap_or_default()).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = revisions.changed() => if changed.is_err() { return },
            () = until => {}
        }
    }
}

fn folder(world: &World<'_>, name: &str) -> PathBuf {
    let folder = world.dir().join(name);
    fs_err::create_dir_all(&folder).expect("a folder");
    folder
}

fn ours(world: &World<'static>, runtime: &Arc<Runtime>, server: &Server) -> Side {
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
    Side { client, runtime: runtime.clone(), folder, kubectl: Arc::new(kubectl) }
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
        let (client, runtime, kubectl) = (self.client.clone(), self.runtime.clone(), self.kubectl.clone());
        Place { client, namespace, runtime, folder, kubectl }
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
    pub(super) fn leave(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        // a case may have removed it
        let _gone = self.wait(namespaces.delete(&self.namespace, &DeleteParams::default()));
    }
}
