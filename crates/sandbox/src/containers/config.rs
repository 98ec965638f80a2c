//! Kind's configuration, as far as it shows in what is played; every word of it is known, so that a wrong one is refused.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A cluster.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Config {
    kind: String,
    api_version: String,
    pub name: String,
    pub nodes: Vec<Node>,
    pub networking: Networking,
    feature_gates: BTreeMap<String, bool>,
    runtime_config: BTreeMap<String, String>,
    kubeadm_config_patches: Vec<String>,
    #[serde(rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_config_patches_json: Vec<Value>,
    containerd_config_patches: Vec<String>,
    #[serde(rename = "containerdConfigPatchesJSON6902")]
    containerd_config_patches_json: Vec<String>,
}

/// A node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Node {
    pub role: String,
    pub image: String,
    pub labels: BTreeMap<String, String>,
    pub extra_mounts: Vec<Mount>,
    pub extra_port_mappings: Vec<PortMapping>,
    kubeadm_config_patches: Vec<String>,
    #[serde(rename = "kubeadmConfigPatchesJSON6902")]
    kubeadm_config_patches_json: Vec<Value>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Mount {
    pub host_path: String,
    pub container_path: String,
    #[serde(alias = "readonly")]
    pub read_only: bool,
    #[serde(alias = "selinuxrelabel")]
    selinux_relabel: bool,
    propagation: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct PortMapping {
    pub container_port: u16,
    pub host_port: u16,
    pub listen_address: String,
    pub protocol: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Networking {
    ip_family: String,
    pub api_server_address: String,
    pub api_server_port: u16,
    pod_subnet: String,
    service_subnet: String,
    #[serde(rename = "disableDefaultCNI")]
    pub disable_default_cni: bool,
    kube_proxy_mode: String,
    dns_search: Vec<String>,
}

/// What nodes are run from when nobody says otherwise: that of the version of kind that is played.
const IMAGE: &str = "kindest/node:v1.36.3";

impl Config {
    /// Reads a configuration; `None` is kind's own default.
    ///
    /// # Errors
    /// In kind's words.
    pub fn read(text: Option<&str>) -> Result<Self, String> {
        let mut config = match text.filter(|text| !text.trim().is_empty()) {
            Some(text) => parse(text)?,
            None => Self::default(),
        };
        if config.nodes.is_empty() {
            config.nodes.push(Node { role: "control-plane".to_owned(), ..Node::default() });
        }
        for node in &mut config.nodes {
            if node.role.is_empty() {
                node.role = "control-plane".to_owned();
            }
            if node.image.is_empty() {
                node.image = IMAGE.to_owned();
            }
        }
        Ok(config)
    }

    /// What kind finds wrong with it.
    ///
    /// # Errors
    /// In kind's words.
    pub fn validate(&self) -> Result<(), String> {
        let mut wrong = Vec::new();
        for (at, node) in self.nodes.iter().enumerate() {
            if !matches!(node.role.as_str(), "control-plane" | "worker") {
                let role = &node.role;
                wrong.push(format!(
                    "invalid configuration for node {at}: \"{role}\" is not a valid node role"
                ));
            }
        }
        if self.control_planes() == 0 {
            wrong.push("must have at least one control-plane node".to_owned());
        }
        match wrong.as_slice() {
            [] => Ok(()),
            [one] => Err(one.clone()),
            many => Err(format!("[{}]", many.join(", "))),
        }
    }

    /// How many control planes it has.
    pub fn control_planes(&self) -> usize {
        self.nodes.iter().filter(|node| node.role == "control-plane").count()
    }
}

fn parse(text: &str) -> Result<Config, String> {
    let unread = |why: &str| format!("unable to decode config: yaml: unmarshal errors:\n  {why}");
    let document: Value = yaml_serde::from_str(text).map_err(|error| unread(&error.to_string()))?;
    match (document["apiVersion"].as_str(), document["kind"].as_str()) {
        (Some("kind.x-k8s.io/v1alpha4"), Some("Cluster")) => {}
        (version, kind) => {
            let (version, kind) = (version.unwrap_or_default(), kind.unwrap_or_default());
            return Err(format!("unknown apiVersion: {version} for kind: {kind}"));
        }
    }
    yaml_serde::from_str(text).map_err(|error| {
        let line = error.location().map_or(1, |place| place.line());
        let words = error.to_string();
        let field = words.split("unknown field `").nth(1).and_then(|rest| rest.split('`').next());
        match field {
            Some(field) => {
                // The place is that of the whole mapping; the word itself is easily found.
                let key = format!("{field}:");
                let at = text.lines().position(|it| it.trim_start_matches(['-', ' ']).starts_with(&key));
                let line = at.map_or(line, |at| at + 1);
                unread(&format!("line {line}: field {field} not found in type v1alpha4.Cluster"))
            }
            None => unread(&format!("line {line}: {words}")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "kind: Cluster\napiVersion: kind.x-k8s.io/v1alpha4\n";

    #[test]
    fn what_is_left_out_is_as_kind_has_it() {
        let config = Config::read(Some(&format!("{HEAD}nodes:\n- {{}}\n- role: worker\n"))).expect("good");
        let roles: Vec<&str> = config.nodes.iter().map(|node| node.role.as_str()).collect();
        assert_eq!(roles, ["control-plane", "worker"]);
        assert_eq!(config.nodes[1].image, IMAGE);
        assert_eq!(Config::read(None).expect("good").nodes.len(), 1);
    }

    #[test]
    fn what_is_wrong_is_said_as_kind_says_it() {
        let read = |text: &str| {
            let config = Config::read(Some(&format!("{HEAD}{text}")));
            config.and_then(|config| config.validate()).expect_err("wrong")
        };
        assert_eq!(
            read("frob: 1\n"),
            "unable to decode config: yaml: unmarshal errors:\n  line 3: field frob not found in type v1alpha4.Cluster"
        );
        assert_eq!(
            read("nodes:\n- role: foo\n"),
            "[invalid configuration for node 0: \"foo\" is not a valid node role, must have at least one control-plane node]"
        );
        assert_eq!(read("nodes:\n- role: worker\n"), "must have at least one control-plane node");
    }
}
