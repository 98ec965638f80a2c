//! What the Kubernetes project publishes about its API, embedded: groups, kinds, OpenAPI documents.
//!
//! `data/make` says where it comes from. It is unpacked at the first use and kept; a document is parsed when it is asked
//! for.

use std::{collections::BTreeMap, sync::OnceLock};

use serde::Deserialize;
use serde_json::{Value, value::RawValue};

/// Compressed to a fortieth; 6.5 MB when unpacked.
const PACKED: &[u8] = include_bytes!("../../data/kubernetes-1.36.json.zst");

/// The publication.
#[derive(Deserialize)]
pub struct Published {
    /// The version that `/version` names: `v1.36.3`.
    pub version: String,
    /// `APIGroupDiscovery` objects, as aggregated discovery lists them.
    pub groups: Vec<Value>,
    /// `APIResource` objects of the group without a name, version v1.
    pub core: Vec<Value>,
    /// Fields of messages that are written only when somebody has set them, by message: `core.v1.PodSpec`.
    pub pointers: BTreeMap<String, Vec<String>>,
    /// What the heads of tables say of their columns, by kind.
    pub columns: BTreeMap<String, BTreeMap<String, String>>,
    /// OpenAPI 3 documents by path: `api/v1`, `apis/apps/v1`.
    openapi: BTreeMap<String, Box<RawValue>>,
}

impl Published {
    /// The publication that this program was built with.
    ///
    /// # Panics
    /// Never: the data is part of the program, and a test reads it.
    pub fn get() -> &'static Self {
        static PUBLISHED: OnceLock<Published> = OnceLock::new();
        PUBLISHED.get_or_init(|| {
            let text = zstd::decode_all(PACKED).expect("the embedded data is whole");
            serde_json::from_slice(&text).expect("the embedded data is what data/make wrote")
        })
    }

    /// The paths of all OpenAPI documents, sorted.
    pub fn openapi_paths(&self) -> impl Iterator<Item = &str> {
        self.openapi.keys().map(String::as_str)
    }

    /// One OpenAPI document as text.
    pub fn openapi(&self, path: &str) -> Option<&str> {
        self.openapi.get(path).map(|document| document.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_group_version_has_its_document() {
        let published = Published::get();
        assert_eq!(published.version, "v1.36.3");
        assert!(published.core.iter().any(|resource| resource["name"] == "pods"));
        for group in &published.groups {
            let name = group["metadata"]["name"].as_str().expect("a name");
            for version in group["versions"].as_array().expect("versions") {
                let path = format!("apis/{name}/{}", version["version"].as_str().expect("a version"));
                assert!(published.openapi(&path).is_some(), "{path}");
            }
        }
    }
}
