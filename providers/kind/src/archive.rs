//! Archives of images, as `docker save`, `podman save` and `nerdctl save` write them: which images are in them.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read},
    path::Path,
};

use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::config::Archive;

/// An image of an archive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Its names, as they stand in the archive.
    pub names: Vec<String>,
    /// The digest of its configuration: what the runtime of nodes calls its id.
    pub id: String,
}

/// What was in an archive when it was loaded: the file itself need not stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Loaded {
    pub archive: Archive,
    pub held: Vec<Held>,
}

/// The images of an archive; of one that is not there any more, those that were loaded from it.
///
/// # Errors
/// As [`images`].
pub(crate) fn known(archive: &Archive, loaded: &[Loaded], deed: &str) -> Result<Vec<Held>, Failure> {
    let before = loaded.iter().find(|it| it.archive == *archive && !archive.path.exists());
    match before {
        Some(before) => Ok(before.held.clone()),
        None => images(archive, deed),
    }
}

/// Documents in an archive are larger than this only when they are something else.
const LARGEST: u64 = 4 << 20;
/// How deep indexes may lie in one another: an image for several architectures is one of two.
const DEPTH: u32 = 4;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
}

/// The images of an archive; those of an OCI layout that names none of them are without names.
///
/// # Errors
/// P1044 when it cannot be read, or is none.
pub(crate) fn images(archive: &Archive, deed: &str) -> Result<Vec<Held>, Failure> {
    let path = &archive.path;
    let wrong = |why: String| {
        Failure::new(Code::new("P1044"), Class::Config, deed)
            .because(format!("`{}`: {why}", path.display()))
            .hint("make it anew: `docker save --output FILE IMAGE…`")
    };
    let documents = documents(path).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    let held = match documents.get("manifest.json") {
        Some(saved) => {
            let saved: Vec<Saved> =
                serde_json::from_slice(saved).map_err(|error| wrong(error.to_string()))?;
            saved
                .into_iter()
                .map(|it| Held { id: id_of(&it.config), names: it.repo_tags.unwrap_or_default() })
                .collect()
        }
        None => {
            let index =
                documents.get("index.json").ok_or_else(|| wrong("it is no archive of images".to_owned()))?;
            let index: Value = serde_json::from_slice(index).map_err(|error| wrong(error.to_string()))?;
            let mut held = Vec::new();
            of_index(&index, &documents, &[], DEPTH, &mut held);
            held
        }
    };
    if held.is_empty() { Err(wrong("there is no image in it".to_owned())) } else { Ok(held) }
}

/// `blobs/sha256/abc` and `abc.json` name the same.
fn id_of(config: &str) -> String {
    let last = config.rsplit('/').next().unwrap_or(config);
    format!("sha256:{}", last.trim_end_matches(".json"))
}

fn of_index(
    index: &Value,
    documents: &BTreeMap<String, Vec<u8>>,
    names: &[String],
    depth: u32,
    held: &mut Vec<Held>,
) {
    for entry in index["manifests"].as_array().into_iter().flatten() {
        let named = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];
        let name = named.iter().find_map(|key| entry["annotations"][*key].as_str());
        let names: Vec<String> =
            name.map(str::to_owned).into_iter().chain(names.iter().cloned()).take(1).collect();
        let at = entry["digest"].as_str().unwrap_or_default().replace(':', "/");
        let document = documents.get(&format!("blobs/{at}"));
        let Some(document) = document.and_then(|it| serde_json::from_slice::<Value>(it).ok()) else {
            continue;
        };
        match document["config"]["digest"].as_str() {
            Some(id) => held.push(Held { id: id.to_owned(), names }),
            None if depth > 0 => of_index(&document, documents, &names, depth - 1, held),
            None => {}
        }
    }
}

/// The small files of an archive: layers are passed over.
fn documents(path: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in tar::Archive::new(File::open(path)?).entries_with_seek()? {
        let entry = entry?;
        let name = entry.path()?.display().to_string();
        let name = name.trim_start_matches("./").to_owned();
        let wanted = name == "manifest.json" || name == "index.json" || name.starts_with("blobs/");
        if wanted && entry.header().entry_type().is_file() && entry.size() <= LARGEST {
            let mut bytes = Vec::new();
            entry.take(LARGEST).read_to_end(&mut bytes)?;
            // A layer is no text.
            if bytes.first() == Some(&b'{') || bytes.first() == Some(&b'[') {
                found.insert(name, bytes);
            }
        }
    }
    Ok(found)
}

/// Whether an archive is the one that was meant.
///
/// # Errors
/// P1044 when it cannot be read, P1045 when it is another.
pub(crate) fn check(archive: &Archive, deed: &str) -> Result<(), Failure> {
    let Some(wanted) = &archive.digest else { return Ok(()) };
    let path = archive.path.display();
    let digest = digest(&archive.path).map_err(|error| {
        Failure::new(Code::new("P1044"), Class::Config, deed)
            .because(format!("`{path}` cannot be read"))
            .caused_by(&error)
    })?;
    if digest == *wanted {
        return Ok(());
    }
    Err(Failure::new(Code::new("P1045"), Class::Config, deed)
        .because(format!("`{path}` has the digest {digest}, and {wanted} was asked for"))
        .hint(format!("get the right one; or, if this is the right one, write `digest: {digest}`")))
}

fn digest(path: &Path) -> io::Result<String> {
    let (mut file, mut digest) = (File::open(path)?, Sha256::new());
    let mut block = vec![0; 1 << 20];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(format!("sha256:{}", hex::encode(digest.finalize()))),
            read => digest.update(&block[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> (tempfile::TempDir, Archive) {
        let folder = tempfile::tempdir().expect("a directory");
        let path = folder.path().join("images.tar");
        let mut tar = tar::Builder::new(File::create(&path).expect("a file"));
        for (name, text) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, name, text.as_bytes()).expect("appended");
        }
        tar.finish().expect("finished");
        (folder, Archive { path, digest: None })
    }

    fn held(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let (_folder, archive) = archive(files);
        let held = images(&archive, "could not look").expect("images");
        held.into_iter().map(|it| (it.names.join(" "), it.id)).collect()
    }

    #[test]
    fn both_forms_of_docker_save_are_read() {
        let old = r#"[{"Config":"abc.json","RepoTags":["a:1","b:2"],"Layers":["x/layer.tar"]},{"Config":"def.json","RepoTags":null}]"#;
        assert_eq!(
            held(&[("x/layer.tar", "binary"), ("manifest.json", old)]),
            [("a:1 b:2".to_owned(), "sha256:abc".to_owned()), (String::new(), "sha256:def".to_owned())]
        );
        let new = r#"[{"Config":"blobs/sha256/abc","RepoTags":["a:1"]}]"#;
        assert_eq!(held(&[("./manifest.json", new), ("index.json", "{}")])[0].1, "sha256:abc");
    }

    #[test]
    fn a_plain_layout_is_read_through_its_indexes() {
        let index = r#"{"manifests":[{"digest":"sha256:1","annotations":{"io.containerd.image.name":"docker.io/library/a:1"}}]}"#;
        let inner = r#"{"manifests":[{"digest":"sha256:2","platform":{"architecture":"amd64"}},{"digest":"sha256:gone"}]}"#;
        let manifest = r#"{"config":{"digest":"sha256:abc"},"layers":[]}"#;
        let files = [("index.json", index), ("blobs/sha256/1", inner), ("blobs/sha256/2", manifest)];
        assert_eq!(held(&files), [("docker.io/library/a:1".to_owned(), "sha256:abc".to_owned())]);
    }

    #[test]
    fn what_is_no_archive_of_images_is_said() {
        for files in [&[("hello", "x")] as &[_], &[("manifest.json", "nonsense")], &[("index.json", "{}")]] {
            let (_folder, archive) = archive(files);
            assert_eq!(images(&archive, "could not look").expect_err("none").code.as_str(), "P1044");
        }
        let nowhere = Archive { path: "/nowhere".into(), digest: None };
        assert_eq!(images(&nowhere, "could not look").expect_err("none").code.as_str(), "P1044");
    }

    #[test]
    fn an_archive_is_the_one_that_was_meant() {
        let (_folder, mut archive) = archive(&[("hello", "x")]);
        check(&archive, "could not look").expect("none was named");
        archive.digest = Some(digest(&archive.path).expect("read"));
        check(&archive, "could not look").expect("the right one");
        archive.digest = Some("sha256:0".into());
        let failure = check(&archive, "could not look").expect_err("another");
        assert_eq!(failure.code.as_str(), "P1045");
        assert!(failure.hints[0].contains("digest: sha256:"), "{failure:?}");
    }
}
