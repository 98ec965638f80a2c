//! What is asked of the container engine, and how its answers are read.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use platform_provider::SecretString;
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    programs::{Door, Ended, Who},
    refusal::Refusal,
};

/// By which kind marks the nodes of a cluster.
pub(crate) const KIND_LABEL: &str = "io.x-k8s.kind.cluster";
/// What a node is to its cluster.
const ROLE_LABEL: &str = "io.x-k8s.kind.role";

/// The engine, asked through the door.
pub(crate) struct Engine<'a> {
    pub door: &'a Door,
}

/// A container.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Container {
    pub id: String,
    name: String,
    #[serde(default, deserialize_with = "time")]
    pub created: Option<Timestamp>,
    state: State,
    config: ContainerConfig,
    #[serde(default)]
    network_settings: NetworkSettings,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    #[serde(default)]
    networks: Option<BTreeMap<String, Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    running: bool,
    #[serde(default)]
    restarting: bool,
    #[serde(default)]
    status: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerConfig {
    #[serde(default)]
    image: String,
    #[serde(default, deserialize_with = "labels")]
    labels: BTreeMap<String, String>,
}

/// A volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Volume {
    pub name: String,
    #[serde(default, rename = "CreatedAt", deserialize_with = "time")]
    pub created: Option<Timestamp>,
    #[serde(default, deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
}

/// A network. Podman writes its keys in lower case.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Network {
    #[serde(alias = "id")]
    pub id: String,
    #[serde(alias = "name")]
    pub name: String,
    #[serde(default, alias = "created", deserialize_with = "time")]
    pub created: Option<Timestamp>,
    #[serde(default, alias = "labels", deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    #[serde(default, alias = "containers", deserialize_with = "attached")]
    pub containers: Vec<String>,
}

/// Engines write what is empty as `null`, or leave it out.
fn labels<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A time that cannot be read is no reason to see nothing.
fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(from)?.and_then(|text| text.parse().ok()))
}

/// The names of containers on a network.
fn attached<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    let by_id: Option<BTreeMap<String, Value>> = Option::deserialize(from)?;
    let name =
        |it: &Value| it.get("Name").or_else(|| it.get("name")).and_then(Value::as_str).map(str::to_owned);
    let mut names: Vec<String> = by_id.unwrap_or_default().values().filter_map(name).collect();
    names.sort();
    Ok(names)
}

impl Container {
    /// Its name; Docker writes a slash before it.
    pub fn name(&self) -> &str {
        self.name.trim_start_matches('/')
    }

    /// The labels that it was made with.
    pub fn labels(&self) -> &BTreeMap<String, String> {
        &self.config.labels
    }

    /// The image that it was made from, as that was named.
    pub fn image(&self) -> &str {
        &self.config.image
    }

    /// Whether its processes run; one that was stopped is still there.
    pub fn is_running(&self) -> bool {
        self.state.running
    }

    /// Whether its process ended by itself and is to be started again.
    pub fn is_restarting(&self) -> bool {
        self.state.restarting
    }

    /// Whether its process was never started: whoever made it did not get so far. Engines have different words for it.
    pub fn was_never_started(&self) -> bool {
        matches!(self.state.status.as_str(), "created" | "configured" | "initialized")
    }

    /// Whether it is on a network, or will be when it runs.
    pub fn is_on(&self, network: &str) -> bool {
        self.network_settings.networks.as_ref().is_some_and(|all| all.contains_key(network))
    }

    /// Whether it runs a control plane of its cluster.
    pub fn is_control_plane(&self) -> bool {
        self.config.labels.get(ROLE_LABEL).is_some_and(|role| role == "control-plane")
    }

    /// Whether it is a machine of the cluster, not what only distributes load between them.
    pub fn is_node(&self) -> bool {
        self.config.labels.get(ROLE_LABEL).is_some_and(|role| role != "external-load-balancer")
    }
}

/// For what takes longer than asking: an image may have to be pulled first.
const LONG: Duration = Duration::from_secs(280);

impl Engine<'_> {
    async fn ask(&self, arguments: &[String]) -> Result<String, Refusal> {
        let ended = self.door.run(Who::Engine, arguments).await;
        let ended = ended.map_err(|no_answer| Refusal::silent(self.door, Who::Engine, no_answer))?;
        match ended.code {
            Some(0) => Ok(ended.stdout),
            _ => Err(Refusal::of(self.door, Who::Engine, &ended)),
        }
    }

    /// As [`Engine::ask`]; what is not there is no refusal.
    async fn ask_if_there(&self, arguments: &[String]) -> Result<Option<String>, Refusal> {
        match self.ask(arguments).await {
            Ok(answer) => Ok(Some(answer)),
            Err(refusal) if refusal.is_not_there() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// What things are, of those that are still there.
    async fn inspect<T: DeserializeOwned>(&self, how: &[&str], names: &[String]) -> Result<Vec<T>, Refusal> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let arguments: Vec<String> =
            how.iter().map(|&word| word.to_owned()).chain(names.iter().cloned()).collect();
        let ended = self.door.run(Who::Engine, &arguments).await;
        let Ended { code, stdout, stderr } =
            ended.map_err(|no_answer| Refusal::silent(self.door, Who::Engine, no_answer))?;
        let refusal = Refusal::read(&self.door.engine, &stderr);
        if code != Some(0) && !refusal.is_not_there() {
            return Err(refusal);
        }
        if stdout.trim().is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_str(&stdout).map_err(|error| Refusal::unreadable(self.door, error))
    }

    /// Containers that bear all of some labels.
    pub async fn containers(&self, labels: &[String]) -> Result<Vec<Container>, Refusal> {
        let ids = self.ids(labels).await?;
        let mut found: Vec<Container> = self.inspect(&["inspect", "--type", "container"], &ids).await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The nodes of a cluster, by the name that kind knows it by.
    pub async fn nodes(&self, kind_name: &str) -> Result<Vec<Container>, Refusal> {
        self.containers(&[format!("{KIND_LABEL}={kind_name}")]).await
    }

    /// The ids of a cluster's containers, also of those that the engine is still making: it lists them before it knows them
    /// by name, so they can neither be inspected nor removed yet.
    pub async fn node_ids(&self, kind_name: &str) -> Result<Vec<String>, Refusal> {
        self.ids(&[format!("{KIND_LABEL}={kind_name}")]).await
    }

    /// The ids of containers that bear all of some labels.
    async fn ids(&self, labels: &[String]) -> Result<Vec<String>, Refusal> {
        let ids = self.ask(&filtered(&["ps", "--all", "--quiet", "--no-trunc"], labels)).await?;
        Ok(lines(&ids))
    }

    /// Volumes that bear all of some labels.
    pub async fn volumes(&self, labels: &[String]) -> Result<Vec<Volume>, Refusal> {
        let names = self.ask(&filtered(&["volume", "ls", "--quiet"], labels)).await?;
        let mut found: Vec<Volume> = self.inspect(&["volume", "inspect"], &lines(&names)).await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// A volume by its name.
    pub async fn volume(&self, name: &str) -> Result<Option<Volume>, Refusal> {
        Ok(self.inspect(&["volume", "inspect"], &[name.to_owned()]).await?.pop())
    }

    /// Networks that bear all of some labels.
    pub async fn networks(&self, labels: &[String]) -> Result<Vec<Network>, Refusal> {
        let ids = self.ask(&filtered(&["network", "ls", "--quiet", "--no-trunc"], labels)).await?;
        let mut found: Vec<Network> = self.inspect(&["network", "inspect"], &lines(&ids)).await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// A network by its name.
    pub async fn network(&self, name: &str) -> Result<Option<Network>, Refusal> {
        Ok(self.inspect(&["network", "inspect"], &[name.to_owned()]).await?.pop())
    }

    /// A container by its name.
    pub async fn container(&self, name: &str) -> Result<Option<Container>, Refusal> {
        Ok(self.inspect(&["inspect", "--type", "container"], &[name.to_owned()]).await?.pop())
    }

    pub async fn make_network(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let mut arguments = words(&["network", "create", "--driver", "bridge"]);
        arguments.extend(labelled(labels));
        arguments.push(name.to_owned());
        self.ask(&arguments).await.map(drop)
    }

    /// Makes a volume. One of that name that is there stays as it is.
    pub async fn make_volume(&self, name: &str, labels: &BTreeMap<String, String>) -> Result<(), Refusal> {
        let mut arguments = words(&["volume", "create"]);
        arguments.extend(labelled(labels));
        arguments.push(name.to_owned());
        match self.ask(&arguments).await {
            // Docker says nothing of it, others do.
            Err(refusal) if refusal.words.to_lowercase().contains("already exists") => Ok(()),
            made => made.map(drop),
        }
    }

    /// Runs a container beside the cluster.
    pub async fn run(
        &self,
        name: &str,
        network: &str,
        labels: &BTreeMap<String, String>,
        publish: Option<String>,
        image: &str,
    ) -> Result<(), Refusal> {
        let mut arguments =
            words(&["run", "--detach", "--name", name, "--network", network, "--restart", "unless-stopped"]);
        arguments.extend(labelled(labels));
        if let Some(publish) = publish {
            arguments.extend(["--publish".to_owned(), publish]);
        }
        arguments.push(image.to_owned());
        let ended = self.door.run_within(Who::Engine, &arguments, LONG).await;
        let ended = ended.map_err(|no_answer| Refusal::silent(self.door, Who::Engine, no_answer))?;
        match ended.code {
            Some(0) => Ok(()),
            _ => Err(Refusal::of(self.door, Who::Engine, &ended)),
        }
    }

    /// Makes a container that does not run yet; its id. The arguments are those behind `create`.
    pub async fn create(&self, arguments: &[String]) -> Result<String, Refusal> {
        let arguments = with(&["create"], arguments);
        let ended = self.door.run_within(Who::Engine, &arguments, LONG).await;
        let ended = ended.map_err(|no_answer| Refusal::silent(self.door, Who::Engine, no_answer))?;
        match ended.code {
            Some(0) => Ok(ended.stdout.trim().to_owned()),
            _ => Err(Refusal::of(self.door, Who::Engine, &ended)),
        }
    }

    pub async fn start(&self, ids: &[String]) -> Result<(), Refusal> {
        self.ask(&with(&["start"], ids)).await.map(drop)
    }

    /// Removes containers with the volumes that have no name.
    pub async fn remove_containers(&self, ids: &[String]) -> Result<(), Refusal> {
        if ids.is_empty() {
            return Ok(());
        }
        self.ask_if_there(&with(&["rm", "--force", "--volumes"], ids)).await.map(drop)
    }

    pub async fn remove_volumes(&self, names: &[String]) -> Result<(), Refusal> {
        if names.is_empty() {
            return Ok(());
        }
        self.ask_if_there(&with(&["volume", "rm"], names)).await.map(drop)
    }

    /// Puts a container on a network too.
    pub async fn connect(&self, network: &str, container: &str) -> Result<(), Refusal> {
        self.ask(&words(&["network", "connect", network, container])).await.map(drop)
    }

    /// Takes a container from a network, if it is on it.
    pub async fn disconnect(&self, network: &str, container: &str) -> Result<(), Refusal> {
        self.ask_if_there(&words(&["network", "disconnect", "--force", network, container])).await.map(drop)
    }

    pub async fn remove_network(&self, id: &str) -> Result<(), Refusal> {
        self.ask_if_there(&words(&["network", "rm", id])).await.map(drop)
    }

    /// Runs a program in a container.
    pub async fn exec(&self, container: &str, arguments: &[&str]) -> Result<String, Refusal> {
        let mut all = words(&["exec", container]);
        all.extend(words(arguments));
        self.ask(&all).await
    }

    /// Unpacks an archive at the root of a container. It may be secret: it goes through a pipe.
    pub async fn unpack(&self, container: &str, archive: &SecretString) -> Result<(), Refusal> {
        let arguments = words(&["cp", "-", &format!("{container}:/")]);
        let ended = self.door.feed(Who::Engine, &arguments, archive).await;
        let ended = ended.map_err(|no_answer| Refusal::silent(self.door, Who::Engine, no_answer))?;
        match ended.code {
            Some(0) => Ok(()),
            _ => Err(Refusal::of(self.door, Who::Engine, &ended)),
        }
    }

    /// What the engine says about itself, as it says it.
    pub async fn about(&self, verb: &str) -> Result<Value, Refusal> {
        let answer = self.ask(&words(&[verb, "--format", "{{json .}}"])).await?;
        serde_json::from_str(&answer).map_err(|error| Refusal::unreadable(self.door, error))
    }

    /// Where Docker's engine is; other engines are always here.
    pub async fn place(&self) -> Result<Option<String>, Refusal> {
        if self.door.engine != "docker" {
            return Ok(None);
        }
        let answer =
            self.ask(&words(&["context", "inspect", "--format", "{{json .Endpoints.docker.Host}}"])).await?;
        serde_json::from_str(&answer).map_err(|error| Refusal::unreadable(self.door, error))
    }
}

pub(crate) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn with(first: &[&str], rest: &[String]) -> Vec<String> {
    first.iter().map(|&word| word.to_owned()).chain(rest.iter().cloned()).collect()
}

fn filtered(first: &[&str], labels: &[String]) -> Vec<String> {
    let filters = labels.iter().flat_map(|label| ["--filter".to_owned(), format!("label={label}")]);
    first.iter().map(|&word| word.to_owned()).chain(filters).collect()
}

pub(crate) fn labelled(labels: &BTreeMap<String, String>) -> impl Iterator<Item = String> {
    labels.iter().flat_map(|(key, value)| ["--label".to_owned(), format!("{key}={value}")])
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> =
        text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn docker_and_podman_are_read_alike() {
        let docker: Network = serde_json::from_value(json!({
            "Name": "demo-eu", "Id": "47f3", "Created": "2026-11-21T22:25:42.223037467Z", "Labels": {"a": "b"},
            "Containers": {"1": {"Name": "z"}, "2": {"Name": "a"}},
        }))
        .expect("a network");
        assert_eq!((docker.containers.join(" ").as_str(), docker.labels["a"].as_str()), ("a z", "b"));
        assert!(docker.created.is_some());
        let podman: Network = serde_json::from_value(json!({
            "name": "demo-eu", "id": "47f3", "created": "2026-11-21T23:25:42.2+01:00", "labels": null,
            "containers": {"1": {"name": "a"}},
        }))
        .expect("a network");
        assert_eq!((podman.name.as_str(), podman.containers.len()), ("demo-eu", 1));
        assert!(podman.created.is_some() && podman.labels.is_empty());
    }

    #[test]
    fn a_container_says_what_it_is() {
        let node: Container = serde_json::from_value(json!({
            "Id": "1f", "Name": "/demo-control-plane", "Created": "soon", "State": {"Running": true, "Status": "running"},
            "Config": {"Image": "kindest/node", "Labels": {"io.x-k8s.kind.role": "control-plane"}},
        }))
        .expect("a container");
        assert_eq!((node.name(), node.created), ("demo-control-plane", None));
        assert!(node.is_node() && node.is_control_plane() && node.is_running());
    }
}
