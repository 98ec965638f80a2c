//! `kind create cluster`: half a minute in steps, each of which may be the last.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use super::{
    Ask, CLUSTER_LABEL, Containers, KIND, ROLE_LABEL, Said, Say,
    behind::standard_objects,
    client::Found,
    config::{Config, Node},
    docker,
    reply::Reply,
    state::{Being, Cluster, Labels, Network},
    words::Line,
};
use crate::parts::faults::Struck;

/// What distributes the load between control planes.
const BALANCER: &str = "docker.io/kindest/haproxy:v20230606-42a2262b";

/// A creation on its way.
struct Creation<'a, 'b> {
    of: &'a Containers,
    say: Say<'b>,
    name: String,
    network: String,
    config: Config,
    /// The port of the host at which the API will answer.
    port: u16,
    /// The names of its nodes, in the order of the configuration.
    nodes: Vec<(String, Node)>,
    changed: bool,
}

impl Containers {
    pub(super) async fn create(&self, line: &Line, ask: &Ask, struck: &Struck, say: Say<'_>) -> Reply {
        let failed = |why: &str| Reply::of_kind("failed to create cluster", why);
        let text = match line.one("config").map(|path| (path, ask.files.get(path))) {
            None => None,
            Some((_, Some(Found::Text(text)))) => Some(text.as_str()),
            Some((_, Some(Found::Not(why)))) => return failed(&format!("error reading file: {why}")),
            Some((path, _)) => {
                return failed(&format!("error reading file: open {path}: no such file or directory"));
            }
        };
        let mut config = match Config::read(text) {
            Ok(config) => config,
            Err(why) => return failed(&why),
        };
        if let Some(image) = line.one("image") {
            config.nodes.iter_mut().for_each(|node| node.image = image.to_owned());
        }
        let given = ask.env.get("KIND_CLUSTER_NAME").cloned();
        let name = line.one("name").map(str::to_owned).or(given).or(Some(config.name.clone()));
        let name = name.filter(|name| !name.is_empty()).unwrap_or_else(|| KIND.to_owned());
        if !self.state().nodes(&name).is_empty() {
            return failed(&format!("node(s) already exist for a cluster with the name \"{name}\""));
        }
        if let Err(why) = config.validate() {
            return failed(&why);
        }
        let network = ["KIND_EXPERIMENTAL_DOCKER_NETWORK", "KIND_EXPERIMENTAL_PODMAN_NETWORK"];
        let network = network.iter().find_map(|key| ask.env.get(*key)).filter(|it| !it.is_empty());
        let nodes = named(&name, &config);
        let asked = config.networking.api_server_port;
        let port = if asked == 0 { self.behind().map_or(0, |behind| behind.port()) } else { asked };
        let mut creation = Creation {
            of: self,
            say,
            network: network.cloned().unwrap_or_else(|| KIND.to_owned()),
            name: name.clone(),
            config,
            port,
            nodes,
            changed: false,
        };
        let made = creation.run(struck, line.one("kubeconfig")).await;
        let changed = creation.changed;
        match made {
            Ok(()) => Reply::changed(""),
            Err(why) => {
                if !line.has("retain") {
                    self.delete_nodes(&name);
                }
                Reply { changed, ..failed(&why) }
            }
        }
    }
}

/// What kind calls its nodes: `NAME-ROLE`, `NAME-ROLE2`, …
fn named(name: &str, config: &Config) -> Vec<(String, Node)> {
    let mut count: BTreeMap<&str, u32> = BTreeMap::new();
    let one = |node: &Node, nth: u32| {
        let nth = if nth == 1 { String::new() } else { nth.to_string() };
        format!("{name}-{}{nth}", node.role)
    };
    let mut nodes = Vec::new();
    for node in &config.nodes {
        let nth = count.entry(&node.role).or_default();
        *nth += 1;
        nodes.push((one(node, *nth), node.clone()));
    }
    nodes
}

impl Creation<'_, '_> {
    async fn run(&mut self, struck: &Struck, kubeconfig: Option<&str>) -> Result<(), String> {
        self.tell(&format!("Creating cluster \"{}\" ...", self.name));
        let images: Vec<String> = self.nodes.iter().map(|(_, node)| node.image.clone()).collect();
        self.images(&images).await?;
        let icons = "📦 ".repeat(self.nodes.len());
        let stage = self.begin(format!("Preparing nodes {icons} "));
        let done = self.prepare().await;
        self.ended(&stage, done)?;
        if self.config.control_planes() > 1 {
            self.short("Configuring the external load balancer ⚖️").await?;
        }
        self.short("Writing configuration 📜").await?;
        let stage = self.begin("Starting control-plane 🕹️".to_owned());
        let done = self.initialize(struck).await;
        self.ended(&stage, done)?;
        let network = !self.config.networking.disable_default_cni;
        if network {
            self.short("Installing CNI 🔌").await?;
        }
        self.short("Installing StorageClass 💾").await?;
        self.equip(network)?;
        let control_planes = self.config.control_planes();
        if control_planes > 1 {
            let stage = self.begin("Joining more control-plane nodes 🎮".to_owned());
            let done =
                self.enlarge("control-plane", 8 * i64::try_from(control_planes - 1).unwrap_or(1)).await;
            self.ended(&stage, done)?;
        }
        if self.nodes.len() > control_planes {
            let stage = self.begin("Joining worker nodes 🚜".to_owned());
            let done = self.enlarge("worker", 5).await;
            self.ended(&stage, done)?;
        }
        let text = self
            .of
            .kubeconfig_of(&self.name, false)
            .map_err(|refused| refused.stderr.trim_start_matches("ERROR: ").trim_end().to_owned())?;
        let mut command = format!("kubectl cluster-info --context kind-{}", self.name);
        if let Some(path) = kubeconfig {
            (self.say)(Said::File { path: path.to_owned(), text });
            command += &format!(" --kubeconfig {path}");
        }
        self.tell(&format!("Set kubectl context to \"kind-{}\"", self.name));
        self.tell(&format!("You can now use your cluster with:\n\n{command}\n\nHave a nice day! 👋"));
        Ok(())
    }

    fn tell(&mut self, line: &str) {
        (self.say)(Said::Err(format!("{line}\n")));
    }

    fn begin(&mut self, title: String) -> String {
        self.tell(&format!(" • {title}  ..."));
        title
    }

    fn ended(&mut self, title: &str, done: Result<(), String>) -> Result<(), String> {
        self.tell(&format!(" {} {title}", if done.is_ok() { '✓' } else { '✗' }));
        done
    }

    /// A step of which nothing shows but the time that it takes.
    async fn short(&mut self, title: &str) -> Result<(), String> {
        let stage = self.begin(title.to_owned());
        let done = self.wait(1, SignedDuration::ZERO).await;
        self.ended(&stage, done)
    }

    /// Waits, and looks whether the nodes are still there: somebody else may have removed them.
    async fn wait(&mut self, seconds: i64, longer: SignedDuration) -> Result<(), String> {
        let serial = self.of.state().meta.serial.to_string();
        self.of.takes(seconds, &["kind", &self.name, &serial], longer).await;
        self.of.settle();
        let state = self.of.state();
        let gone = self
            .nodes
            .iter()
            .find(|(name, _)| state.container(name).is_none_or(|it| !matches!(it.state, Being::Running(_))));
        match gone {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "command \"docker exec --privileged {name} true\" failed with error: exit status 1\n\nCommand Output: Error response from daemon: No such container: {name}"
            )),
        }
    }

    async fn images(&mut self, wanted: &[String]) -> Result<(), String> {
        let mut wanted: Vec<&String> = wanted.iter().collect();
        wanted.sort();
        wanted.dedup();
        for image in wanted {
            let shown = image.split('@').next().unwrap_or(image).to_owned();
            let is_there = self.of.state().image(image).is_some();
            let stage = self.begin(format!("Ensuring node image ({shown}) 🖼️"));
            if !is_there {
                self.of.takes(8, &["pull", image], SignedDuration::ZERO).await;
                let now = (self.of.inner.now)();
                docker::pull(&mut self.of.state(), image, now);
                self.changed = true;
            }
            self.ended(&stage, Ok(()))?;
        }
        Ok(())
    }

    /// Makes the network and the containers.
    async fn prepare(&mut self) -> Result<(), String> {
        {
            let mut state = self.of.state();
            if !state.networks.contains_key(&self.network) {
                let taken: Vec<u8> = state.networks.values().map(|it| it.range).collect();
                let network = Network {
                    id: state.id(),
                    name: self.network.clone(),
                    created: (self.of.inner.now)(),
                    driver: "bridge".to_owned(),
                    labels: Labels::new(),
                    range: (0..=14).find(|range| !taken.contains(range)).unwrap_or(14),
                };
                state.put(network);
            }
        }
        let balanced = self.config.control_planes() > 1;
        let mut machines: Vec<(String, Vec<String>, String)> = Vec::new();
        let address = Some(self.config.networking.api_server_address.clone()).filter(|it| !it.is_empty());
        let api = |address: &str, port: u16| format!("--publish={address}:{port}:6443/tcp");
        let address = address.unwrap_or_else(|| "127.0.0.1".to_owned());
        for (name, node) in &self.nodes {
            let mut words = vec![
                "--privileged".to_owned(),
                "--volume".to_owned(),
                "/lib/modules:/lib/modules:ro".to_owned(),
            ];
            for mount in &node.extra_mounts {
                let end = if mount.read_only { ":ro" } else { "" };
                words.push(format!("--volume={}:{}{end}", mount.host_path, mount.container_path));
            }
            for port in &node.extra_port_mappings {
                let listen = if port.listen_address.is_empty() { "0.0.0.0" } else { &port.listen_address };
                let protocol = if port.protocol.is_empty() { "TCP" } else { &port.protocol };
                words.push(format!(
                    "--publish={listen}:{}:{}/{protocol}",
                    port.host_port, port.container_port
                ));
            }
            if node.role == "control-plane" {
                words.push(if balanced { api("127.0.0.1", 0) } else { api(&address, self.port) });
            }
            words.extend(["--label".to_owned(), format!("{ROLE_LABEL}={}", node.role)]);
            machines.push((name.clone(), words, node.image.clone()));
        }
        if balanced {
            let role = "external-load-balancer";
            let words = vec![api(&address, self.port), "--label".to_owned(), format!("{ROLE_LABEL}={role}")];
            machines.push((format!("{}-{role}", self.name), words, BALANCER.to_owned()));
        }
        for (name, words, image) in machines {
            self.of.takes(2, &["node", &name], SignedDuration::ZERO).await;
            self.machine(&name, words, &image)?;
        }
        // Until systemd is up in all of them.
        self.wait(1, SignedDuration::ZERO).await
    }

    fn machine(&mut self, name: &str, words: Vec<String>, image: &str) -> Result<(), String> {
        let cluster = format!("{CLUSTER_LABEL}={}", self.name);
        let mut all: Vec<String> =
            ["run", "--name", name, "--hostname", name, "--detach", "--tty", "--label", &cluster]
                .into_iter()
                .chain([
                    "--net",
                    self.network.as_str(),
                    "--restart=on-failure:1",
                    "--init=false",
                    "--cgroupns=private",
                ])
                .map(str::to_owned)
                .collect();
        all.extend(words);
        all.push(image.to_owned());
        let now = (self.of.inner.now)();
        let reply = docker::answer(&mut self.of.state(), &all, now);
        self.changed |= reply.changed;
        match reply.code {
            0 => Ok(()),
            code => Err(format!(
                "command \"docker {}\" failed with error: exit status {code}\n\nCommand Output: {}{}",
                all.join(" "),
                reply.stdout,
                reply.stderr.trim_end()
            )),
        }
    }

    /// `kubeadm init`: from here on there is an API.
    async fn initialize(&mut self, struck: &Struck) -> Result<(), String> {
        if struck.sticks() {
            return std::future::pending().await;
        }
        self.wait(11, struck.slower()).await?;
        let first = self.nodes.iter().find(|(_, node)| node.role == "control-plane");
        let Some((first, labels)) = first.map(|(name, node)| (name.clone(), node.labels.clone())) else {
            return Ok(());
        };
        if let Some(why) = struck.fails() {
            return Err(format!(
                "failed to init node with kubeadm: command \"docker exec --privileged {first} kubeadm init --config=/kind/kubeadm.conf --skip-token-print --v=6\" failed with error: exit status 1\n\nCommand Output: {why}"
            ));
        }
        let labels = [(first, labels)].into();
        let cluster = Cluster { name: self.name.clone(), port: self.port, labels, kubeconfig: None };
        self.of.state().put(cluster);
        if let Some(behind) = self.of.behind() {
            behind.create(&self.name, self.port);
        }
        self.of.join(&self.name);
        Ok(())
    }

    /// What kind puts into every cluster.
    fn equip(&mut self, network: bool) -> Result<(), String> {
        let cluster = self.of.behind().and_then(|behind| behind.cluster(&self.name));
        let made = cluster.map_or(Ok(()), |cluster| standard_objects(&cluster, network));
        self.of.settle();
        made.map_err(|refused| format!("failed to add default storage class: {refused}"))
    }

    /// More machines of a role join.
    async fn enlarge(&mut self, role: &str, seconds: i64) -> Result<(), String> {
        self.wait(seconds, SignedDuration::ZERO).await?;
        let kept = self.of.state().clusters.get(&self.name).cloned();
        if let Some(mut kept) = kept {
            for (name, node) in self.nodes.iter().filter(|(_, node)| node.role == role) {
                kept.labels.insert(name.clone(), node.labels.clone());
            }
            self.of.state().put(kept);
        }
        self.of.join(&self.name);
        Ok(())
    }
}
