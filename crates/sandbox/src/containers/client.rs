//! What a program reads and writes where it is called: files that its arguments name. The rest happens in the sandbox.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::{Ask, KIND, Said};

/// A file that a program is told to read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// What it holds.
    Text(String),
    /// The images that an archive holds, by their names.
    Images(Vec<String>),
    /// Why it cannot be read, in the words of Go.
    Not(String),
}

/// What of the environment programs look at.
const LOOKED_AT: &[&str] = &[
    "KIND_CLUSTER_NAME",
    "KIND_EXPERIMENTAL_DOCKER_NETWORK",
    "KIND_EXPERIMENTAL_PODMAN_NETWORK",
    "KIND_EXPERIMENTAL_PROVIDER",
];

impl Ask {
    /// A call from here: with the files that it names, and with what it finds in an environment.
    pub fn here(
        program: &str,
        arguments: Vec<String>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let env = env.into_iter().filter(|(key, _)| LOOKED_AT.contains(&key.as_str())).collect();
        let files = named(program, &arguments).into_iter().map(|(path, how)| (path.to_owned(), how(path)));
        let files = files.collect();
        Self { program: program.to_owned(), arguments, env, files }
    }
}

/// The files that arguments name, and how each is to be read.
fn named<'a>(program: &str, arguments: &'a [String]) -> BTreeMap<&'a str, fn(&str) -> Found> {
    let mut files: BTreeMap<&str, fn(&str) -> Found> = BTreeMap::new();
    let flags: &[&str] = if program == KIND { &["--config"] } else { &["--env-file"] };
    let mut before = "";
    for word in arguments {
        let with_value = |flag: &&&str| word.strip_prefix(**flag).is_some_and(|rest| rest.starts_with('='));
        if flags.contains(&before) {
            files.insert(word, text);
        } else if let Some(flag) = flags.iter().find(with_value) {
            files.insert(&word[flag.len() + 1..], text);
        }
        before = word;
    }
    if program == KIND && arguments.get(1).is_some_and(|word| word == "image-archive") {
        let mut words = arguments[2..].iter();
        while let Some(word) = words.next() {
            match word.strip_prefix("--") {
                // Both flags of this command take a value.
                Some(flag) if !flag.contains('=') => drop(words.next()),
                Some(_) => {}
                None => drop(files.insert(word, archive)),
            }
        }
    }
    files
}

fn text(path: &str) -> Found {
    match std::fs::read_to_string(path) {
        Ok(text) => Found::Text(text),
        Err(error) => Found::Not(format!("open {path}: {}", in_go(&error))),
    }
}

fn archive(path: &str) -> Found {
    match File::open(path).and_then(|file| images(&file)) {
        Ok(names) => Found::Images(names),
        Err(error) => Found::Not(format!("stat {path}: {}", in_go(&error))),
    }
}

fn in_go(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or directory".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => error.to_string(),
    }
}

/// The names of images in an archive as `docker save` writes it: `RepoTags` of its `manifest.json`, each with the digest of its
/// configuration, if that is said: `NAME@sha256:…`.
fn images(mut file: &File) -> io::Result<Vec<String>> {
    /// A tar file is made of blocks of this size.
    const BLOCK: usize = 512;
    let mut head = [0_u8; BLOCK];
    loop {
        if file.read_exact(&mut head).is_err() || head[0] == 0 {
            return Ok(Vec::new());
        }
        let name = String::from_utf8_lossy(&head[..100]).trim_end_matches('\0').to_owned();
        let size = String::from_utf8_lossy(&head[124..136]);
        let size = u64::from_str_radix(size.trim_matches(['\0', ' ']), 8).map_err(io::Error::other)?;
        if name.trim_start_matches("./") != "manifest.json" {
            let padded = size.next_multiple_of(BLOCK as u64);
            file.seek(SeekFrom::Current(i64::try_from(padded).map_err(io::Error::other)?))?;
            continue;
        }
        let mut text = String::new();
        file.take(size).read_to_string(&mut text)?;
        let manifest: serde_json::Value = serde_json::from_str(&text)?;
        let of = |it: &serde_json::Value| {
            let config = it["Config"].as_str().and_then(|config| config.rsplit('/').next());
            let end =
                config.map(|it| format!("@sha256:{}", it.trim_end_matches(".json"))).unwrap_or_default();
            let tags = it["RepoTags"].as_array().into_iter().flatten().filter_map(|tag| tag.as_str());
            tags.map(|tag| format!("{tag}{end}")).collect::<Vec<_>>()
        };
        return Ok(manifest.as_array().into_iter().flatten().flat_map(of).collect());
    }
}

/// The words of a call with what files hold in place of their paths: the engine's own flags read them so.
pub(super) fn with_files(ask: &Ask) -> Vec<String> {
    let mut before = "";
    let mut words = Vec::with_capacity(ask.arguments.len());
    for word in &ask.arguments {
        let held = match ask.files.get(word) {
            Some(Found::Text(text)) if before == "--env-file" => text.clone(),
            _ => word.clone(),
        };
        words.push(held);
        before = word;
    }
    words
}

/// Does where the program was called what it does to files there.
///
/// # Errors
/// When a file cannot be written, or holds what must not be lost.
pub fn perform(said: &Said) -> io::Result<()> {
    let Said::File { path, text } = said else { return Ok(()) };
    let path = Path::new(path);
    if let Ok(there) = std::fs::read_to_string(path)
        && !there.trim().is_empty()
        && !is_of(&there, text)
    {
        return Err(io::Error::other(format!(
            "{} holds other clusters, and the sandbox merges no kubeconfigs",
            path.display()
        )));
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    use std::{io::Write, os::unix::fs::OpenOptionsExt};
    let mut file = File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

/// Whether a kubeconfig is about the same cluster as another and nothing else.
fn is_of(there: &str, new: &str) -> bool {
    let names = |text: &str| -> Option<Vec<String>> {
        let document: serde_json::Value = yaml_serde::from_str(text).ok()?;
        let contexts = document["contexts"].as_array()?;
        Some(contexts.iter().filter_map(|it| it["name"].as_str().map(str::to_owned)).collect())
    };
    names(there).is_some_and(|there| names(new).is_some_and(|new| there.iter().all(|it| new.contains(it))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn files_that_are_named_go_along() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("config.yaml").display().to_string();
        std::fs::write(&file, "kind: Cluster\n").expect("written");
        let ask = Ask::here(
            "kind",
            words(&format!("create cluster --config {file} --kubeconfig /k")),
            [("KIND_CLUSTER_NAME".to_owned(), "x".to_owned()), ("HOME".to_owned(), "/root".to_owned())],
        );
        assert_eq!(ask.files, [(file, Found::Text("kind: Cluster\n".into()))].into());
        assert_eq!(ask.env.len(), 1, "nothing of the environment but what kind looks at");
        let missing = Ask::here("kind", words("create cluster --config=/nowhere"), []);
        let why = Found::Not("open /nowhere: no such file or directory".into());
        assert_eq!(missing.files, [("/nowhere".to_owned(), why)].into());
    }

    #[test]
    fn the_names_of_images_are_read_from_an_archive() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("images.tar");
        let entry = |name: &str, text: &str| {
            let mut block = vec![0_u8; 512];
            block[..name.len()].copy_from_slice(name.as_bytes());
            let size = format!("{:011o}", text.len());
            block[124..135].copy_from_slice(size.as_bytes());
            block.extend(text.as_bytes());
            block.resize(block.len().next_multiple_of(512), 0);
            block
        };
        let manifest = r#"[{"RepoTags":["a:1","b:2"]},{"RepoTags":null}]"#;
        let tar = [entry("layer.tar", "something"), entry("manifest.json", manifest), vec![0; 1024]].concat();
        std::fs::write(&file, tar).expect("written");
        let path = file.display().to_string();
        let ask = Ask::here("kind", words(&format!("load image-archive --name x {path}")), []);
        assert_eq!(ask.files, [(path, Found::Images(vec!["a:1".into(), "b:2".into()]))].into());
    }

    #[test]
    fn a_file_with_other_clusters_is_not_lost() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("kubeconfig").display().to_string();
        let config = |name: &str| format!("contexts: [{{name: {name}}}]\n");
        let write = |name: &str| perform(&Said::File { path: path.clone(), text: config(name) });
        write("kind-a").expect("a new file");
        write("kind-a").expect("the same cluster");
        let refused = write("kind-b").expect_err("another cluster");
        assert!(refused.to_string().contains("merges no kubeconfigs"), "{refused}");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), config("kind-a"));
    }
}
