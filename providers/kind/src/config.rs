//! The provider's section of the spec.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The provider's section of the spec.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Config {
    pub engine: Option<Engine>,
    pub image: Option<String>,
    pub network: Option<String>,
    pub listen_address: Option<IpAddr>,
    pub api_server_port: Option<u16>,
    pub api_server_address: Option<IpAddr>,
    pub port_mappings: Vec<PortMapping>,
    pub extra_mounts: Vec<Mount>,
    pub registry_mirrors: BTreeMap<String, Vec<String>>,
    pub containerd_config_patches: Vec<String>,
    pub kubeadm_config_patches: Vec<String>,
    pub feature_gates: BTreeMap<String, bool>,
    pub runtime_config: BTreeMap<String, String>,
    pub registry: Option<Registry>,
    pub object_store: ObjectStore,
    pub git_server: GitServer,
    pub images: Images,
    pub merge_kubeconfig: Option<Merge>,
}

/// Whether the cluster's entry comes into the user's kubeconfig, and into which.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Merge {
    /// Into that which `kubectl` uses.
    Whether(bool),
    /// Into this one.
    Into(PathBuf),
}

/// A container engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Engine {
    Docker,
    Podman,
    Nerdctl,
}

impl Engine {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
        }
    }
}

/// A port of this machine that leads to one of the node on which ingress runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct PortMapping {
    pub host_port: u16,
    pub container_port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen_address: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Protocol>,
}

/// What goes through a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(crate) enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// A folder of the engine's machine that every node sees.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Mount {
    pub host_path: PathBuf,
    pub container_path: PathBuf,
    #[serde(default)]
    pub read_only: bool,
}

/// A registry beside the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Registry {
    /// What it is run from.
    pub image: String,
    /// Where it listens, in its container.
    #[serde(default = "registry_port")]
    pub port: u16,
    /// Where people push to, on this machine. Absent: only the cluster reaches it.
    #[serde(default)]
    pub host_port: Option<u16>,
}

fn registry_port() -> u16 {
    5000
}

/// What the object store beside a cluster is run from, when its backups need one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct ObjectStore {
    /// An image with `versitygw`, `sh` and `wget`.
    pub image: String,
    /// Where it listens, in its container.
    pub port: u16,
}

impl Default for ObjectStore {
    fn default() -> Self {
        Self { image: "ghcr.io/versity/versitygw:v1.8.0".to_owned(), port: 7070 }
    }
}

/// What the Git server beside a cluster is run from, when Argo CD pulls from a folder of this machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct GitServer {
    /// An image with `git` and its `git daemon`. Absent: Argo CD's own, which the nodes run anyway.
    pub image: Option<String>,
}

/// What the nodes are to have without pulling it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(crate) struct Images {
    /// Images of the engine, by name.
    pub names: Vec<String>,
    /// Archives of images.
    pub archives: Vec<Archive>,
}

/// A file with images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Archive {
    pub path: PathBuf,
    /// What it must be: `sha256:…` of the file.
    #[serde(default)]
    pub digest: Option<String>,
}

impl Merge {
    fn is_absolute(&self) -> bool {
        !matches!(self, Self::Into(path) if !path.is_absolute())
    }
}

impl Config {
    /// Reads the section.
    ///
    /// # Errors
    /// P1004 when it has words that are not known.
    pub fn read(config: &Value) -> Result<Self, Failure> {
        let read = match config {
            Value::Null => Self::default(),
            given => Self::deserialize(given).map_err(wrong)?,
        };
        for path in read.extra_mounts.iter().flat_map(|mount| [&mount.host_path, &mount.container_path]) {
            if !path.is_absolute() {
                return Err(wrong(format!(
                    "`extraMounts` has `{}`, which is no absolute path",
                    path.display()
                )));
            }
        }
        if let Some(Merge::Into(path)) = read.merge_kubeconfig.as_ref().filter(|merge| !merge.is_absolute()) {
            return Err(wrong(format!(
                "`mergeKubeconfig` is `{}`, which is no absolute path",
                path.display()
            )));
        }
        for Archive { path, digest } in &read.images.archives {
            if !path.is_absolute() {
                return Err(wrong(format!("`images` has `{}`, which is no absolute path", path.display())));
            }
            let hex =
                |text: &str| text.len() == 64 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
            if let Some(digest) = digest.as_ref().filter(|it| !it.strip_prefix("sha256:").is_some_and(hex)) {
                return Err(wrong(format!(
                    "`images` has the digest `{digest}`, which is not `sha256:` and 64 digits"
                )));
            }
        }
        for host in read.registry_mirrors.keys() {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':');
            if host.is_empty() || !(host == "*" || host.chars().all(plain)) {
                return Err(wrong(format!("`registryMirrors` has `{host}`, which is no registry's name")));
            }
        }
        if let Some(url) = read.registry_mirrors.values().flatten().find(|url| !is_url(url)) {
            return Err(wrong(format!(
                "`registryMirrors` has `{url}`, which is neither http://… nor https://…"
            )));
        }
        Ok(read)
    }

    /// What it may hold, as JSON Schema.
    pub fn schema() -> Value {
        let text = |why: &str| json!({ "type": "string", "description": why });
        let texts = |why: &str| json!({ "type": "array", "items": { "type": "string" }, "description": why });
        let path = |why: &str| json!({ "type": "string", "pattern": "^/", "x-hint": "write an absolute path", "description": why });
        let address = |why: &str| json!({ "type": "string", "format": "ip", "description": why });
        let port =
            |why: &str| json!({ "type": "integer", "minimum": 1, "maximum": 65535, "description": why });
        let url = json!({ "type": "string", "pattern": "^https?://[^\" \\n]+$", "x-hint": "write http://… or https://…" });
        let closed = |required: &[&str], properties: Value| json!({ "type": "object", "additionalProperties": false, "required": required, "properties": properties });
        let with = |mut schema: Value, why: &str| {
            schema["description"] = why.into();
            schema
        };
        let list = |items: Value, why: &str| json!({ "type": "array", "items": items, "description": why });
        let by_name = |values: Value, why: &str| json!({ "type": "object", "additionalProperties": values, "description": why });
        let mapping = closed(
            &["hostPort", "containerPort"],
            json!({
                "hostPort": port("Of this machine."),
                "containerPort": port("Of the node on which ingress runs."),
                "listenAddress": address("Where it listens. Absent: as the other ports."),
                "protocol": { "type": "string", "enum": ["TCP", "UDP", "SCTP"], "description": "Absent: TCP." },
            }),
        );
        let mount = closed(
            &["hostPath", "containerPath"],
            json!({
                "hostPath": path("On the engine's machine."),
                "containerPath": path("In the nodes."),
                "readOnly": { "type": "boolean", "description": "Whether nodes may only read. Absent: no." },
            }),
        );
        let registry = closed(
            &["image"],
            json!({
                "image": text("What it is run from."),
                "port": port("Where it listens, in its container. Absent: 5000."),
                "hostPort": port("Where people push to, on this machine. Absent: only the cluster reaches it."),
            }),
        );
        let store = closed(
            &[],
            json!({
                "image": text("Of versitygw, with `sh` and `wget`. Absent: that of its makers."),
                "port": port("Where it listens, in its container. Absent: 7070."),
            }),
        );
        let git = closed(
            &[],
            json!({ "image": text("With `git` and its `git daemon`. Absent: Argo CD's own, which the nodes run anyway.") }),
        );
        let digest = json!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$", "x-hint": "write `sha256:` and 64 digits, as `sha256sum` says them", "description": "What the file must be: `sha256:…`." });
        let archive = closed(&["path"], json!({ "path": path("Where the file is."), "digest": digest }));
        let images = closed(
            &[],
            json!({ "names": texts("Images that the engine has."), "archives": list(archive, "Files of `docker save`.") }),
        );
        let merge = json!({ "anyOf": [{ "type": "boolean" }, { "type": "string", "pattern": "^/", "x-hint": "write `true`, or an absolute path" }] });
        closed(
            &[],
            json!({
                "engine": { "type": "string", "enum": ["docker", "podman", "nerdctl"], "description": "Whose containers the nodes are. Absent: the first that is there." },
                "image": text("The nodes' image, best with its digest: `kindest/node:v1.36.3@sha256:…`. Absent: by the Kubernetes version, or else kind's own."),
                "network": text("A network of the engine that is there already. Absent: one is made for the cluster, and removed with it."),
                "listenAddress": address("Where the ports of this machine listen. Absent: 127.0.0.1."),
                "apiServerPort": port("On which port of the engine's machine the API listens. Absent: a free one."),
                "apiServerAddress": address("Where the API listens on the engine's machine, and is reached. Absent: 127.0.0.1; an engine on another machine needs an address of that."),
                "portMappings": list(mapping, "Ports besides the cluster's `ports`."),
                "extraMounts": list(mount, "Folders of this machine that every node sees."),
                "registryMirrors": by_name(json!({ "type": "array", "items": url }), "By a registry's name (or `*`), where its images are pulled instead."),
                "containerdConfigPatches": texts("As in kind's own configuration."),
                "kubeadmConfigPatches": texts("As in kind's own configuration, for every node."),
                "featureGates": by_name(json!({ "type": "boolean" }), "As in kind's own configuration."),
                "runtimeConfig": by_name(json!({ "type": "string" }), "As in kind's own configuration."),
                "registry": with(registry, "A registry beside the cluster, mirror of nothing, reached by its nodes as `PLATFORM-CLUSTER-registry:PORT`."),
                "objectStore": with(store, "The object store beside a cluster, made when `backup.store` is `s3-compatible` and names no `endpoint`."),
                "gitServer": with(git, "The Git server beside a cluster, made when `git.server` is `local`, a `file:` URL, and names no `inClusterUrl`."),
                "mergeKubeconfig": with(merge, "Whether the cluster comes into your own kubeconfig, as `kind-PLATFORM-CLUSTER`, until it is removed: `true` for that which kubectl uses, or an absolute path. Absent: it stays apart."),
                "images": with(images, "What the nodes are to have without pulling it."),
            }),
        )
    }
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.contains(['"', '\n', ' ']))
}

/// A configuration that cannot be carried out.
pub(crate) fn wrong(why: impl std::fmt::Display) -> Failure {
    Failure::new(
        Code::new("P1004"),
        Class::Config,
        "could not use the configuration of a provider of kind `kind`",
    )
    .because(why)
    .hint("`platform explain P1004` lists what it may hold")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Something that fits a schema, with every key.
    fn whole(schema: &Value) -> Value {
        if let Some(option) = schema["anyOf"].as_array().and_then(|options| options.last()) {
            return whole(option);
        }
        if let Some(word) = schema["enum"].get(0) {
            return word.clone();
        }
        let text = || match (schema["format"].as_str(), schema["pattern"].as_str()) {
            (Some("ip"), _) => "127.0.0.1".to_owned(),
            (_, Some(pattern)) if pattern.contains("sha256") => format!("sha256:{}", "a".repeat(64)),
            (_, Some(pattern)) if pattern.contains("http") => "https://a.example".to_owned(),
            _ => "/a".to_owned(),
        };
        match schema["type"].as_str() {
            Some("array") => json!([whole(&schema["items"])]),
            Some("integer") => schema["minimum"].clone(),
            Some("boolean") => json!(true),
            Some("object") => match schema["properties"].as_object() {
                Some(properties) => properties.iter().map(|(key, of)| (key.clone(), whole(of))).collect(),
                None => json!({ "a.example": whole(&schema["additionalProperties"]) }),
            },
            _ => text().into(),
        }
    }

    #[test]
    fn what_the_schema_allows_is_read() {
        let all = whole(&Config::schema());
        assert_eq!(all.as_object().map(serde_json::Map::len), Some(FIELDS), "{all:#}");
        let read = Config::read(&all).unwrap_or_else(|failure| panic!("{failure:?}: {all:#}"));
        assert!(read.engine.is_some() && read.network.is_some() && read.merge_kubeconfig.is_some());
        assert_eq!(read.images.archives.len(), 1);
    }

    /// How many keys there are, by the words of a refusal: it lists what is known.
    const FIELDS: usize = 18;

    #[test]
    fn what_is_read_is_in_the_schema() {
        let refused = Config::deserialize(json!({ "frob": 1 })).expect_err("it is not known").to_string();
        let (_, known) = refused.split_once("expected one of ").expect("what is known");
        let known: Vec<&str> = known.split(", ").map(|it| it.trim_matches('`')).collect();
        let schema = Config::schema();
        assert_eq!(known.len(), FIELDS);
        for key in known {
            assert!(schema["properties"][key].is_object(), "`{key}` is not in the schema");
        }
    }
}
