//! `platform.lock`: by which versions and digests a repository came about, in one place to read and compare.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};
use yaml_serde::Value as Yaml;

use crate::{Blueprint, Tree, yaml};

pub(crate) const FILE: &str = "platform.lock";

const HEAD: &str = "\
# By which versions and digests this repository was rendered. `platform` writes this file anew with every change of the spec.
# Where there is no `digest`, none is known: whoever serves that name decides what it is.
";

/// Where pods' images stand, beside their names.
const LISTS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// The text of the file: the blueprint, the artifacts, the add-ons with the catalogue's versions, and all charts and images that the
/// rendered files name.
pub(crate) fn of(
    blueprint: &Blueprint,
    model: &Value,
    artifacts: &[(&str, String, &[u8])],
    tree: &Tree,
) -> String {
    let manifest = blueprint.manifest();
    let mut out = HEAD.to_owned();
    let mut entry = |table: &str, fields: &[(&str, &str)]| {
        out.push_str(&format!("\n{table}\n"));
        for (key, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            // A TOML string: quotes, backslashes and control characters as in Rust.
            out.push_str(&format!("{key} = {}\n", toml::Value::String((*value).to_owned())));
        }
    };
    let digest = blueprint.digest();
    entry("[blueprint]", &[("name", &manifest.name), ("version", &manifest.version), ("digest", digest)]);
    for addon in model["addons"].as_array().into_iter().flatten() {
        let text = |key: &str| addon[key].as_str().unwrap_or_default();
        let fields = [("name", text("name")), ("version", text("version")), ("source", text("source"))];
        entry("[[addon]]", &fields);
    }
    for (name, version, bytes) in artifacts {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(bytes)));
        entry("[[artifact]]", &[("name", name), ("version", version), ("digest", &digest)]);
    }
    let named = Named::of(tree, artifacts);
    for ((repository, chart), versions) in &named.charts {
        for version in versions {
            entry("[[chart]]", &[("name", chart), ("repository", repository), ("version", version)]);
        }
    }
    for image in &named.images {
        let (name, digest) = image.split_once('@').unwrap_or((image, ""));
        entry("[[image]]", &[("name", name), ("digest", digest)]);
    }
    out
}

/// What rendered files name that comes from elsewhere.
#[derive(Default)]
struct Named {
    charts: BTreeMap<(String, String), BTreeSet<String>>,
    images: BTreeSet<String>,
}

impl Named {
    fn of(tree: &Tree, artifacts: &[(&str, String, &[u8])]) -> Self {
        let mut named = Self::default();
        for (path, file) in &tree.files {
            // An artifact has a digest of its own, and with it all that it names.
            let pinned = artifacts.iter().any(|(_, _, bytes)| *bytes == file.bytes);
            if pinned || !yaml::is_yaml(path) || tree.is_helm_template(path) {
                continue;
            }
            // What is no YAML is refused by the check of the whole tree.
            for document in file.text().and_then(|text| yaml::documents(text).ok()).unwrap_or_default() {
                named.look(&document);
            }
        }
        named
    }

    fn look(&mut self, value: &Yaml) {
        match value {
            Yaml::Mapping(map) => {
                let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
                if let (Some(chart), false) = (value["chart"].as_str(), text("repoURL").is_empty()) {
                    let key = (text("repoURL"), chart.to_owned());
                    self.charts.entry(key).or_default().insert(text("targetRevision"));
                }
                for list in LISTS {
                    for container in value[list].as_sequence().into_iter().flatten() {
                        self.images.extend(container["image"].as_str().map(str::to_owned));
                    }
                }
                map.values().for_each(|value| self.look(value));
            }
            Yaml::Sequence(list) => list.iter().for_each(|value| self.look(value)),
            _ => {}
        }
    }
}
