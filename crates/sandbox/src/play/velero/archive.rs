//! The tarball of a backup, in Velero's layout of version 1.1.0.

use std::io::{Read, Write};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use serde_json::Value;

/// The format's version.
pub(super) const FORMAT: &str = "1.1.0";

/// An object with its place in the tarball.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Item {
    /// `deployments.apps`, `pods`.
    pub resource: String,
    /// Empty for what lies in none.
    pub namespace: String,
    pub name: String,
    /// The version that it is written in.
    pub version: String,
    pub object: Value,
}

/// Bytes packed by gzip; the same bytes always in the same way.
pub(super) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    // Memory takes everything.
    let written = packed.write_all(bytes).and_then(|()| packed.finish());
    written.unwrap_or_default()
}

/// The tarball of some items.
pub(super) fn write(items: &[Item]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |path: String, bytes: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o755);
        let _memory = tar.append_data(&mut header, path, bytes);
    };
    add("metadata/version".into(), FORMAT.as_bytes());
    for item in items {
        let Item { resource, namespace, name, version, object } = item;
        let below = match namespace.as_str() {
            "" => format!("cluster/{name}.json"),
            namespace => format!("namespaces/{namespace}/{name}.json"),
        };
        // Not through `Display`, which asks for every word whether it is wanted.
        let bytes = serde_json::to_vec(object).unwrap_or_default();
        add(format!("resources/{resource}/{below}"), &bytes);
        add(format!("resources/{resource}/{version}-preferredversion/{below}"), &bytes);
    }
    pack(&tar.into_inner().unwrap_or_default())
}

/// The items of a tarball.
///
/// # Errors
/// When it is none.
pub(super) fn read(bytes: &[u8]) -> std::io::Result<Vec<Item>> {
    let mut items = Vec::new();
    for entry in tar::Archive::new(GzDecoder::new(bytes)).entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let parts: Vec<&str> = path.split('/').collect();
        // Each object is there twice; the second place names the version, which the object says itself.
        let (resource, namespace, file) = match parts[..] {
            ["resources", resource, "cluster", file] => (resource, "", file),
            ["resources", resource, "namespaces", namespace, file] => (resource, namespace, file),
            _ => continue,
        };
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        let object: Value = serde_json::from_str(&text)?;
        let version = object["apiVersion"].as_str().unwrap_or_default();
        items.push(Item {
            resource: resource.to_owned(),
            namespace: namespace.to_owned(),
            name: file.trim_end_matches(".json").to_owned(),
            version: version.rsplit('/').next().unwrap_or_default().to_owned(),
            object,
        });
    }
    Ok(items)
}
