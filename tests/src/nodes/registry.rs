//! A registry of images that are in a file: what nodes pull from where there is no network. It only answers; nothing is
//! pushed to it.

use std::{
    collections::BTreeMap,
    io::{Read, SeekFrom},
    path::Path,
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::BoxError;

/// Where a blob is.
#[derive(Clone)]
enum Blob {
    /// A part of a file: where it begins, and how long it is.
    There(Arc<Path>, u64, u64),
    /// Made here.
    Here(Vec<u8>),
}

/// Images of a file that `docker save` wrote, and what was added to them.
pub(super) struct Registry {
    /// By digest.
    blobs: BTreeMap<String, Blob>,
    /// Digests of manifests by `NAME:TAG`, the name without its host, as a mirror is asked.
    tags: BTreeMap<String, String>,
    /// The image that others are built on: its lowest layer is a userland.
    userland: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    repo_tags: Vec<String>,
    layers: Vec<String>,
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// How much of a blob is in memory at a time.
const PIECE: usize = 1 << 20;

impl Registry {
    /// Reads where things are in a file.
    pub fn read(file: &Path) -> Result<Self, BoxError> {
        let mut there: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let mut small: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        let mut archive = tar::Archive::new(fs_err::File::open(file)?);
        for entry in archive.entries()? {
            let mut entry = entry?;
            let name = entry.path()?.display().to_string();
            there.insert(name.clone(), (entry.raw_file_position(), entry.size()));
            if Path::new(&name).extension().is_some_and(|end| end == "json") {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes)?;
                small.insert(name, bytes);
            }
        }
        let index = small.get("manifest.json").ok_or("the file of images has no manifest.json")?;
        let saved: Vec<Saved> = serde_json::from_slice(index)?;
        let mut registry = Self { blobs: BTreeMap::new(), tags: BTreeMap::new(), userland: None };
        let file: Arc<Path> = file.into();
        for image in saved {
            let config = small.get(&image.config).ok_or("an image has no configuration")?.clone();
            let diffs: Value = serde_json::from_slice(&config)?;
            let mut layers = Vec::new();
            for (at, layer) in image.layers.iter().enumerate() {
                let digest = diffs["rootfs"]["diff_ids"][at].as_str().ok_or("a layer has no digest")?;
                let (begins, size) = there.get(layer).copied().ok_or("a layer is missing")?;
                registry.blobs.insert(digest.to_owned(), Blob::There(Arc::clone(&file), begins, size));
                layers.push((digest.to_owned(), size));
            }
            registry.userland.get_or_insert_with(|| layers[0].0.clone());
            for tag in image.repo_tags {
                registry.add(without_host(&tag), config.clone(), &layers);
            }
        }
        Ok(registry)
    }

    fn put(&mut self, bytes: Vec<u8>) -> String {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&bytes)));
        self.blobs.insert(digest.clone(), Blob::Here(bytes));
        digest
    }

    fn add(&mut self, tag: &str, config: Vec<u8>, layers: &[(String, u64)]) {
        let size = config.len();
        let config = self.put(config);
        let layers: Vec<Value> = layers
            .iter()
            .map(|(digest, size)| json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": size }))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": { "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": size },
            "layers": layers,
        });
        let manifest = self.put(manifest.to_string().into_bytes());
        self.tags.insert(tag.to_owned(), manifest);
    }

    /// Adds an image of the userland with one more file, which is a program.
    pub fn add_script(&mut self, tag: &str, path: &str, script: &str, config: Value) -> Result<(), BoxError> {
        let mut layer = tar::Builder::new(Vec::new());
        for (path, text, mode) in [
            (path, script, 0o755),
            ("www/index.html", "hello\n", 0o644),
            ("www/health", "ok\n", 0o644),
            ("www/healthz", "ok\n", 0o644),
            ("www/readyz", "ok\n", 0o644),
        ] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(mode);
            header.set_cksum();
            layer.append_data(&mut header, path, text.as_bytes())?;
        }
        let layer = layer.into_inner()?;
        let length = layer.len() as u64;
        let layer = self.put(layer);
        self.on_userland(tag, (layer, length), config)
    }

    /// Adds an image of the userland with one more program, and keeps its layer in a folder.
    pub fn add_program(
        &mut self,
        tag: &str,
        program: &Path,
        path: &str,
        folder: &Path,
        config: Value,
    ) -> Result<(), BoxError> {
        let file = folder.join(format!("{}.tar", tag.replace(['/', ':'], "-")));
        let mut archive = tar::Builder::new(fs_err::File::create(&file)?);
        let mut header = tar::Header::new_gnu();
        header.set_size(fs_err::metadata(program)?.len());
        header.set_mode(0o755);
        archive.append_data(&mut header, path, fs_err::File::open(program)?)?;
        drop(archive.into_inner()?);
        let mut layer = fs_err::File::open(&file)?;
        let mut digest = Sha256::new();
        let mut piece = vec![0; PIECE];
        let mut length = 0;
        loop {
            let read = layer.read(&mut piece)?;
            if read == 0 {
                break;
            }
            digest.update(&piece[..read]);
            length += read as u64;
        }
        let digest = format!("sha256:{}", hex::encode(digest.finalize()));
        self.blobs.insert(digest.clone(), Blob::There(file.into(), 0, length));
        self.on_userland(tag, (digest, length), config)
    }

    /// Adds an image of the userland with one more layer.
    fn on_userland(&mut self, tag: &str, layer: (String, u64), config: Value) -> Result<(), BoxError> {
        let userland = self.userland.clone().ok_or("the file has no image")?;
        let size = match self.blobs.get(&userland) {
            Some(Blob::There(_, _, size)) => *size,
            _ => return Err("the userland is not in the file".into()),
        };
        let image = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "config": config,
            "rootfs": { "type": "layers", "diff_ids": [userland, layer.0] },
        });
        self.add(tag, image.to_string().into_bytes(), &[(userland, size), layer]);
        Ok(())
    }

    pub fn router(self) -> Router {
        Router::new().fallback(serve).with_state(Arc::new(self))
    }

    /// `NAME/manifests/REFERENCE` or `NAME/blobs/DIGEST`.
    fn find(&self, path: &str) -> Option<(&str, &Blob, &'static str)> {
        let path = path.strip_prefix("/v2/")?;
        if let Some((_, digest)) = path.split_once("/blobs/") {
            let (digest, blob) = self.blobs.get_key_value(digest)?;
            return Some((digest, blob, "application/octet-stream"));
        }
        let (name, reference) = path.split_once("/manifests/")?;
        let digest = match reference.strip_prefix("sha256:") {
            Some(_) => reference,
            None => self.tags.get(&format!("{name}:{reference}"))?,
        };
        let (digest, blob) = self.blobs.get_key_value(digest)?;
        Some((digest, blob, MANIFEST))
    }
}

/// An image's name without the registry it is from: `quay.io/a/b:c` is `a/b:c`.
fn without_host(tag: &str) -> &str {
    match tag.split_once('/') {
        Some((host, rest)) if host.contains(['.', ':']) => rest,
        _ => tag,
    }
}

async fn serve(State(registry): State<Arc<Registry>>, request: Request) -> Response {
    let path = request.uri().path();
    if path == "/v2/" || path == "/v2" {
        return StatusCode::OK.into_response();
    }
    let Some((digest, blob, kind)) = registry.find(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let size = match blob {
        Blob::There(_, _, size) => *size,
        Blob::Here(bytes) => bytes.len() as u64,
    };
    let body = match (request.method(), blob) {
        (&Method::HEAD, _) => Body::empty(),
        (_, Blob::Here(bytes)) => Body::from(bytes.clone()),
        (_, Blob::There(file, begins, size)) => match part(file, *begins, *size).await {
            Ok(body) => body,
            Err(trouble) => return (StatusCode::INTERNAL_SERVER_ERROR, trouble.to_string()).into_response(),
        },
    };
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::HeaderName::from_static("docker-content-digest"), digest.to_owned()),
    ];
    (headers, body).into_response()
}

/// A part of a file, piece by piece.
async fn part(file: &Path, begins: u64, size: u64) -> Result<Body, BoxError> {
    let mut file = tokio::fs::File::open(file).await?;
    file.seek(SeekFrom::Start(begins)).await?;
    let pieces = futures::stream::try_unfold(file.take(size), |mut rest| async move {
        let mut piece = vec![0; PIECE];
        let read = rest.read(&mut piece).await?;
        piece.truncate(read);
        Ok::<_, std::io::Error>((read > 0).then_some((piece, rest)))
    });
    Ok(Body::from_stream(pieces))
}
