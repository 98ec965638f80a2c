//! Real nodes: `kind` on a container engine, with a Git server and, where there is no network, a registry that pods and nodes reach.
//!
//! | variable | what it says |
//! |---|---|
//! | `PLATFORM_E2E_NODE_IMAGE` | the nodes' image, on the engine already |
//! | `PLATFORM_E2E_ARGOCD_IMAGES` | a file of `docker save` with Argo CD's images; nodes pull from it. Unset: from the network |

mod git_image;
mod registry;

use std::{
    env,
    ffi::OsStr,
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    BoxError, Output, Started, bed::binary, components::Components, facts::GIT_USER, supervisor::git,
};
use registry::Registry;

const IMAGE: &str = "PLATFORM_E2E_NODE_IMAGE";
const ARGOCD: &str = "PLATFORM_E2E_ARGOCD_IMAGES";
/// The starter platform, as a person would write it for nodes on this machine.
const SPEC: &str = include_str!("../../fixtures/nodes/platform.yaml");
/// What is added to it for one with backups.
const BACKUPS: &str = "
  backup:
    store: {kind: s3-compatible, bucket: backups, region: eu-test}
    schedules:
      - {name: daily, cron: \"0 2 * * *\", ttl: 168h}
";
/// The object store's image, at a registry of ours.
const STORE: &str = "versity/versitygw:bed";
const PASSWORD: &str = "n0des";
/// One cluster at a time: a machine may have two processors.
static TURN: Mutex<()> = Mutex::new(());

/// One test's machine with a container engine: a folder, a Git server, a registry.
///
/// # Guarantees
/// Whatever bears the test's platform name is removed from the engine when it is dropped, and its servers end.
pub struct Nodes {
    name: String,
    dir: TempDir,
    image: String,
    registry: Option<SocketAddr>,
    /// What the object store for its backups is run from, when it has some.
    store: Option<Store>,
    /// The image of the Git server, when it is one of ours.
    git_image: Option<String>,
    /// Where Git is for this machine, which alone may send a password without TLS, and where for pods.
    git: [SocketAddr; 2],
    /// Where the sample application answers, on this machine.
    port: u16,
    mirror: PathBuf,
    path: String,
    _runtime: Runtime,
    _turn: MutexGuard<'static, ()>,
}

/// What an object store is run from.
enum Store {
    /// The image that the provider takes of its own accord, which is pulled from the network.
    Pulled,
    /// One of ours, by its name at a registry.
    Ours(String),
}

impl Nodes {
    /// As [`Nodes::new`], for a platform with backups.
    ///
    /// # Panics
    /// As [`Nodes::new`].
    pub fn with_backups(name: &str) -> Option<Self> {
        Self::begun(name, true)
    }

    /// A machine of one's own; nothing (and a line on stderr that says why) where there is no engine or no node image.
    ///
    /// # Panics
    /// When a node image is named and the rest is missing, with `CI=true`; when a server does not start.
    pub fn new(name: &str) -> Option<Self> {
        Self::begun(name, false)
    }

    /// As [`Nodes::new`], for the platform of a starter spec: with Git in a folder of this machine, which nobody else serves.
    ///
    /// # Panics
    /// As [`Nodes::new`]; when `git` has no daemon, or the program writes no starter spec.
    pub fn of_starter(name: &str) -> Option<Self> {
        let mut nodes = Self::begun(name, false)?;
        if nodes.registry.is_some() {
            let image = format!("{}-git:bed", nodes.name);
            git_image::import(&image, nodes.dir())
                .unwrap_or_else(|trouble| panic!("git of {image}: {trouble}"));
            nodes.git_image = Some(image);
        }
        let file = nodes.dir().join("platform.yaml");
        fs_err::remove_file(&file).expect("it was written");
        nodes.platform(["init", "--provider", "kind"]).ok();
        let text = fs_err::read_to_string(&file).expect("a spec");
        fs_err::write(&file, nodes.with_own_values(&text)).expect("a spec");
        Some(nodes)
    }

    /// The starter spec with what only this test has: its name, and where images come from.
    fn with_own_values(&self, text: &str) -> String {
        let mut config = json!({ "image": self.image, "registryMirrors": self.mirrors() });
        if let Some(image) = &self.git_image {
            config["gitServer"] = json!({ "image": image });
        }
        let (name, provider) = ("  name: demo  ", "      kind: kind  ");
        assert!(text.contains(name) && text.contains(provider), "another starter spec: {text}");
        text.replacen(name, &format!("  name: \"{}\"  ", self.name), 1).replacen(
            provider,
            &format!("      config: {config}\n{provider}"),
            1,
        )
    }

    fn begun(name: &str, backups: bool) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let image = match possible() {
            Ok(image) => image,
            Err(missing) if env::var("CI").is_ok_and(|ci| ci == "true") && env::var_os(IMAGE).is_some() => {
                panic!("real nodes: {missing}")
            }
            Err(missing) => {
                // past the capture of the test harness: a skipped test should be seen
                drop(writeln!(std::io::stderr(), "skipped: no real nodes: {missing}"));
                return None;
            }
        };
        Some(
            Self::made(name, image, backups, turn)
                .unwrap_or_else(|trouble| panic!("nodes for {name}: {trouble}")),
        )
    }

    fn made(
        name: &str,
        image: String,
        backups: bool,
        turn: MutexGuard<'static, ()>,
    ) -> Result<Self, BoxError> {
        let dir = tempfile::Builder::new().prefix("platform-nodes-").tempdir()?;
        for folder in ["home", "state", "tmp", "git"] {
            fs_err::create_dir_all(dir.path().join(folder))?;
        }
        let name = format!("{name}{}", std::process::id());
        let path = env::var("PATH").unwrap_or_default();
        let repository = dir.path().join("git/platform.git");
        let git_dir = repository.display().to_string();
        run(Command::new("git").args(["init", "--quiet", "--bare", "--initial-branch=main", &git_dir]))?;
        run(Command::new("git").args(["-C", &git_dir, "config", "http.receivepack", "true"]))?;

        let address = bridge()?;
        let runtime = Runtime::new()?;
        let router = git::router(dir.path().join("git"), dir.path().join("home"), path.clone(), PASSWORD);
        let git = [serve(&runtime, Ipv4Addr::LOCALHOST, router.clone())?, serve(&runtime, address, router)?];
        let components = Components::find()?;
        let mut registry = None;
        let mut store = backups.then_some(Store::Pulled);
        if let Some(file) = env::var_os(ARGOCD) {
            let mut images = images(Path::new(&file))?;
            if backups {
                of_backups(&mut images, &components, dir.path())?;
            }
            let router = images.router();
            if backups {
                // The engine takes images without TLS from this machine alone.
                let here = serve(&runtime, Ipv4Addr::LOCALHOST, router.clone())?;
                store = Some(Store::Ours(format!("{here}/{STORE}")));
            }
            registry = Some(serve(&runtime, address, router)?);
        }
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let mirror = components.mirror();
        let nodes = Self {
            name,
            dir,
            image,
            registry,
            store,
            git_image: None,
            git,
            port,
            mirror,
            path,
            _runtime: runtime,
            _turn: turn,
        };
        fs_err::write(nodes.dir().join("platform.yaml"), nodes.spec_text())?;
        Ok(nodes)
    }

    /// The platform's name, which no other test has.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name that kind knows its cluster by.
    pub fn cluster(&self) -> String {
        format!("{}-demo", self.name)
    }

    /// Its folder; the program starts in it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where the node port of the sample application is on this machine.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The nodes' image.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Where nodes pull images instead.
    fn mirrors(&self) -> Value {
        match self.registry {
            Some(registry) => json!({ "*": [format!("http://{registry}")] }),
            None => json!({}),
        }
    }

    fn spec_text(&self) -> String {
        let mirrors = self.mirrors();
        let store = match &self.store {
            Some(Store::Ours(image)) => json!({ "image": image }),
            Some(Store::Pulled) | None => json!({}),
        };
        let values = [
            ("@NAME@", self.name.clone()),
            ("@GIT_URL@", format!("http://{}", self.git[0])),
            ("@GIT_FOR_PODS@", format!("http://{}", self.git[1])),
            ("@GIT_USER@", GIT_USER.to_owned()),
            ("@IMAGE@", self.image.clone()),
            ("@MIRRORS@", mirrors.to_string()),
            ("@PORT@", self.port.to_string()),
            ("@STORE@", store.to_string()),
        ];
        let backups = if self.store.is_some() { BACKUPS } else { "" };
        values.iter().fold(format!("{SPEC}{backups}"), |text, (key, value)| text.replace(key, value))
    }

    /// The built `platform`, in an environment of its own.
    ///
    /// # Panics
    /// When it is not built.
    pub fn command<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Command {
        let below = |name: &str| self.dir().join(name);
        let mut command = Command::new(binary("platform").unwrap_or_else(|trouble| panic!("{trouble}")));
        command
            .env_clear()
            .env("PATH", &self.path)
            .env("HOME", below("home"))
            .env("TMPDIR", below("tmp"))
            .env("PLATFORM_STATE", below("state"))
            .env("PLATFORM_ARTIFACT_MIRROR", format!("file://{}", self.mirror.display()))
            .env("NODES_GIT_PASSWORD", PASSWORD)
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "0")
            .args(args)
            .args(["--output", "json"])
            .current_dir(self.dir());
        command
    }

    /// Runs the program to its end.
    pub fn platform<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        Output::of(&mut self.command(args))
    }

    /// Starts the program.
    pub fn start<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Started {
        Started::new(&mut self.command(args))
    }

    /// Runs `kubectl` as the platform's kubeconfig lets it.
    ///
    /// # Panics
    /// When there is no kubeconfig.
    #[track_caller]
    pub fn kubectl<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        let file = self.dir().join("kubeconfig");
        if !file.exists() {
            let mut command = self.command(["kubeconfig"]);
            let given = Output::of(&mut command).ok().stdout;
            let text = serde_json::from_str::<Value>(&given)
                .ok()
                .and_then(|json| json["kubeconfig"].as_str().map(str::to_owned))
                .unwrap_or(given);
            fs_err::write(&file, text).expect("a kubeconfig");
        }
        Output::of(Command::new("kubectl").arg("--kubeconfig").arg(&file).args(args))
    }

    /// Runs the container engine.
    pub fn docker<A: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = A>) -> Output {
        Output::of(Command::new("docker").args(args))
    }

    /// Everything that the engine has because of this platform, or one whose name begins with its name and a dash:
    /// containers, volumes, networks.
    pub fn left(&self) -> Vec<String> {
        let (name, beside) = (self.name.as_str(), format!("{}-", self.name));
        let mut left = Vec::new();
        for (list, kind, column, label) in [
            (&["ps", "--all"][..], "container", "Names", "platform.dev/name"),
            (&["ps", "--all"], "container", "Names", "io.x-k8s.kind.cluster"),
            (&["volume", "ls"], "volume", "Name", "platform.dev/name"),
            (&["network", "ls"], "network", "Name", "platform.dev/name"),
        ] {
            let format = format!("{{{{.Label \"{label}\"}}}} {kind} {{{{.{column}}}}}");
            let filter = format!("label={label}");
            let said = self
                .docker(list.iter().copied().chain(["--format", &format, "--filter", &filter]))
                .ok()
                .stdout;
            let lines = said.lines().filter_map(|line| line.split_once(' '));
            let ours = lines.filter(|(of, _)| *of == name || of.starts_with(&beside));
            left.extend(ours.map(|(_, what)| what.to_owned()));
        }
        left
    }

    /// Names of all volumes and networks of the engine: what has no label shows here.
    pub fn everything(&self) -> Vec<String> {
        let volumes = self.docker(["volume", "ls", "--format", "volume {{.Name}}"]).ok().stdout;
        let networks = self.docker(["network", "ls", "--format", "network {{.Name}}"]).ok().stdout;
        let mut all: Vec<String> = volumes.lines().chain(networks.lines()).map(str::to_owned).collect();
        all.sort();
        all
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        for left in self.left() {
            let Some((kind, name)) = left.split_once(' ') else { continue };
            // what cannot be removed is said by the next look at the engine
            drop(match kind {
                "container" => self.docker(["rm", "--force", "--volumes", name]),
                kind => self.docker([kind, "rm", name]),
            });
        }
        let store = match &self.store {
            Some(Store::Ours(image)) => Some(image),
            Some(Store::Pulled) | None => None,
        };
        for image in store.into_iter().chain(&self.git_image) {
            drop(self.docker(["rmi", "--force", image]));
        }
    }
}

/// The node image, where everything else is there too.
fn possible() -> Result<String, String> {
    let engine = Command::new("docker").args(["version", "--format", "{{.Server.Version}}"]).output();
    if !engine.is_ok_and(|output| output.status.success()) {
        return Err("the container engine does not answer: `docker version`".into());
    }
    if !Command::new("kind").arg("version").output().is_ok_and(|output| output.status.success()) {
        return Err("there is no `kind` on the PATH".into());
    }
    let Ok(image) = env::var(IMAGE) else {
        return Err(format!("{IMAGE} names no image: `docker pull kindest/node:v1.36.3`, and set it"));
    };
    let there = Command::new("docker").args(["image", "inspect", &image]).output();
    if !there.is_ok_and(|output| output.status.success()) {
        return Err(format!("the engine does not have {image}, which {IMAGE} names"));
    }
    Components::find().map(|_| image)
}

/// This machine's address on the engine's own bridge.
fn bridge() -> Result<Ipv4Addr, BoxError> {
    let out = Output::of(Command::new("docker").args(["network", "inspect", "bridge"])).ok();
    let config = &out.json()[0]["IPAM"]["Config"][0];
    if let Some(gateway) = config["Gateway"].as_str() {
        return Ok(gateway.parse()?);
    }
    let (first, _) = config["Subnet"].as_str().and_then(|net| net.split_once('/')).ok_or("no bridge")?;
    Ok(Ipv4Addr::from(u32::from(first.parse::<Ipv4Addr>()?) + 1))
}

fn serve(runtime: &Runtime, address: Ipv4Addr, router: axum::Router) -> Result<SocketAddr, BoxError> {
    let listener = runtime.block_on(tokio::net::TcpListener::bind((address, 0)))?;
    let there = listener.local_addr()?;
    runtime.spawn(async move { axum::serve(listener, router).await });
    Ok(there)
}

/// Argo CD's images, and what stands for those of the starter's applications.
fn images(file: &Path) -> Result<Registry, BoxError> {
    let mut registry = Registry::read(file)?;
    let script = |port: u16| format!("#!/bin/sh\nexec busybox httpd -f -p {port} -h /www\n");
    let echo = json!({ "Entrypoint": ["/http-echo"], "Env": ["PATH=/bin:/usr/bin"] });
    registry.add_script("hashicorp/http-echo:1.0.0", "http-echo", &script(8080), echo)?;
    let podinfo = json!({ "WorkingDir": "/", "Env": ["PATH=/bin:/usr/bin"] });
    registry.add_script("stefanprodan/podinfo:6.9.2", "podinfo", &script(9898), podinfo)?;
    Ok(registry)
}

/// Velero with its plugin, and the object store, from the bed's own binaries.
fn of_backups(images: &mut Registry, components: &Components, folder: &Path) -> Result<(), BoxError> {
    let path = json!(["PATH=/usr/local/bin:/bin:/usr/bin"]);
    let velero = components.built("velero", "velero");
    images.add_program("velero/velero:v1.18.3", &velero, "velero", folder, json!({ "Env": path }))?;
    let copy = json!({ "Env": path, "Entrypoint": ["cp", "/plugins/velero-plugin-for-aws", "/target/velero-plugin-for-aws"] });
    let (tag, plugin) = ("velero/velero-plugin-for-aws:v1.14.3", components.velero_plugin());
    images.add_program(tag, &plugin, "plugins/velero-plugin-for-aws", folder, copy)?;
    let store = components.built("versitygw", "versitygw");
    images.add_program(STORE, &store, "usr/local/bin/versitygw", folder, json!({ "Env": path }))
}

fn run(command: &mut Command) -> Result<(), BoxError> {
    let out = Output::of(command);
    match out.status {
        0 => Ok(()),
        code => Err(format!("{command:?} ended with {code}: {}", out.stderr).into()),
    }
}
