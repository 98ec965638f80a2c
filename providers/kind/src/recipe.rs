//! Kind's own configuration, made from the wish.

use std::path::Path;

use platform_spec::{Class, Code, Failure};
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    config::{Mount, PortMapping},
    wish::Wish,
};

/// What `kind create cluster` is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recipe {
    /// The configuration file.
    pub text: String,
    /// Files for `/etc/containerd/certs.d` of the nodes, by their paths in it.
    pub mirrors: Vec<(String, String)>,
    /// Of both: what is written on the mark.
    pub digest: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cluster<'a> {
    kind: &'static str,
    api_version: &'static str,
    name: String,
    networking: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    nodes: Vec<Node<'a>>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    feature_gates: &'a std::collections::BTreeMap<String, bool>,
    #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    runtime_config: &'a std::collections::BTreeMap<String, String>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    kubeadm_config_patches: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    containerd_config_patches: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Node<'a> {
    role: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(skip_serializing_if = "Value::is_null")]
    labels: Value,
    #[serde(skip_serializing_if = "<[PortMapping]>::is_empty")]
    extra_port_mappings: &'a [PortMapping],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extra_mounts: Vec<Mount>,
}

/// Where the nodes' containerd looks for mirrors.
const CERTS: &str = "/etc/containerd/certs.d";

impl Recipe {
    /// Writes it. `mirrors` is where the files of its mirrors will be.
    ///
    /// # Errors
    /// Never for a wish that was read.
    pub fn of(wish: &Wish<'_>, mirrors: &Path) -> Result<Self, Failure> {
        let config = &wish.config;
        let files = mirror_files(wish);
        let mut mounts = config.extra_mounts.clone();
        let mut patches = config.containerd_config_patches.clone();
        if !files.is_empty() {
            mounts.push(Mount {
                host_path: mirrors.to_owned(),
                container_path: CERTS.into(),
                read_only: true,
            });
            patches.push(format!(
                "[plugins.\"io.containerd.grpc.v1.cri\".registry]\n  config_path = \"{CERTS}\"\n"
            ));
        }
        let node = |role, at: u32| {
            let ingress = role == "control-plane" && at == 0;
            Node {
                role,
                image: wish.image(),
                labels: if ingress { json!({ "ingress-ready": "true" }) } else { Value::Null },
                extra_port_mappings: if ingress { &wish.ports } else { &[] },
                extra_mounts: mounts.clone(),
            }
        };
        let mut networking = json!({});
        if let Some(port) = config.api_server_port {
            networking["apiServerPort"] = port.into();
        }
        if let Some(address) = config.api_server_address {
            networking["apiServerAddress"] = address.to_string().into();
        }
        for (key, cidr) in [("podSubnet", &wish.pod_cidr), ("serviceSubnet", &wish.service_cidr)] {
            if let Some(cidr) = cidr {
                networking[key] = cidr.as_str().into();
            }
        }
        let cluster = Cluster {
            kind: "Cluster",
            api_version: "kind.x-k8s.io/v1alpha4",
            name: wish.stem(),
            networking,
            nodes: (0..wish.control_planes)
                .map(|at| node("control-plane", at))
                .chain((0..wish.workers).map(|at| node("worker", at)))
                .collect(),
            feature_gates: &config.feature_gates,
            runtime_config: &config.runtime_config,
            kubeadm_config_patches: &config.kubeadm_config_patches,
            containerd_config_patches: patches,
        };
        let text = yaml_serde::to_string(&cluster).map_err(|error| {
            Failure::new(Code::new("P1004"), Class::Bug, "could not write kind's configuration")
                .caused_by(&error)
        })?;
        let mut digest = Sha256::new();
        // Where the files are is another matter on another machine.
        digest.update(text.replace(&mirrors.display().to_string(), ""));
        for (path, file) in &files {
            digest.update(format!("\n{path}\n{file}"));
        }
        let digest = hex::encode(&digest.finalize()[..16]);
        Ok(Self { text, mirrors: files, digest })
    }
}

/// `hosts.toml` of each registry that is pulled from elsewhere; the platform's own registry speaks plain http.
fn mirror_files(wish: &Wish<'_>) -> Vec<(String, String)> {
    let mut files: Vec<(String, String)> =
        wish.config.registry_mirrors.iter().map(|(host, mirrors)| (folder(host), hosts(mirrors))).collect();
    if let Some(registry) = &wish.config.registry {
        let name = format!("{}:{}", wish.beside("registry"), registry.port);
        files.push((folder(&name), hosts(&[format!("http://{name}")])));
    }
    files.sort();
    files
}

fn folder(host: &str) -> String {
    format!("{}/hosts.toml", if host == "*" { "_default" } else { host })
}

fn hosts(mirrors: &[String]) -> String {
    mirrors
        .iter()
        .map(|url| format!("[host.\"{url}\"]\n  capabilities = [\"pull\", \"resolve\"]\n"))
        .collect()
}

#[cfg(test)]
mod tests {
    use platform_provider::ClusterRequest;

    use super::*;

    fn recipe(change: impl FnOnce(&mut ClusterRequest)) -> Recipe {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        change(&mut request);
        let wish = Wish::read(&request).expect("a good request");
        Recipe::of(&wish, Path::new("/here/certs.d")).expect("a recipe")
    }

    #[test]
    fn everything_that_was_asked_for_is_in_it() {
        let recipe = recipe(|request| {
            request.kubernetes_version = Some("1.36.3".into());
            request.spec = json!({
                "nodes": { "controlPlane": 1, "workers": 1 }, "ports": [80],
                "kubernetes": { "podCidr": "10.1.0.0/16" },
            });
            request.config = json!({
                "registryMirrors": { "*": ["http://172.17.0.1:5000"] },
                "registry": { "image": "registry:3" },
                "featureGates": { "Wonder": true },
                "kubeadmConfigPatches": ["kind: ClusterConfiguration\n"],
            });
        });
        let want = r#"kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
name: demo-eu
networking:
  podSubnet: 10.1.0.0/16
nodes:
- role: control-plane
  image: kindest/node:v1.36.3
  labels:
    ingress-ready: 'true'
  extraPortMappings:
  - hostPort: 80
    containerPort: 80
    listenAddress: 127.0.0.1
  extraMounts:
  - hostPath: /here/certs.d
    containerPath: /etc/containerd/certs.d
    readOnly: true
- role: worker
  image: kindest/node:v1.36.3
  extraMounts:
  - hostPath: /here/certs.d
    containerPath: /etc/containerd/certs.d
    readOnly: true
featureGates:
  Wonder: true
kubeadmConfigPatches:
- |
  kind: ClusterConfiguration
containerdConfigPatches:
- |
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "/etc/containerd/certs.d"
"#;
        assert_eq!(recipe.text, want);
        let paths: Vec<&str> = recipe.mirrors.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["_default/hosts.toml", "demo-eu-registry:5000/hosts.toml"]);
        assert!(recipe.mirrors[0].1.starts_with("[host.\"http://172.17.0.1:5000\"]\n"));
    }

    #[test]
    fn the_digest_is_of_what_was_asked_for_and_of_nothing_else() {
        let plain = recipe(|_| {});
        assert_eq!(plain, recipe(|request| drop(request.tags.insert("owner".into(), "ada".into()))));
        let port = recipe(|request| request.spec = json!({ "ports": [8080] }));
        assert_ne!(plain.digest, port.digest);
        let mirror = |url: &str| {
            recipe(|request| request.config = json!({ "registryMirrors": { "docker.io": [url] } })).digest
        };
        assert_ne!(mirror("http://a"), mirror("http://b"));
    }
}
