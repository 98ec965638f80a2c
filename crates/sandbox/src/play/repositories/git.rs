//! Repositories through the `git` program: a bare cache for each URL, into which only what is asked for is fetched.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use wait_timeout::ChildExt;

use super::{is_commit, normalized};
use crate::play::around::{Files, Remote, Repositories};

/// How many commits are kept in memory with their files.
const KEPT: usize = 16;
/// What `git` may see of our environment: where programs are, proxies, certificate authorities.
const PASSED_ON: &[&str] = &[
    "PATH",
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "NO_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];

/// A repository and a commit, with its files.
type Known = ((String, String), Arc<Files>);

/// Real repositories: `https://`, `http://` and `file://`. Symbolic links and submodules are left out.
///
/// Calls block until `git` is done or the limit is over; only processes that this made are ended.
pub struct Git {
    cache: PathBuf,
    limit: Duration,
    known: Mutex<VecDeque<Known>>,
    /// One `git` at a time in each cache.
    busy: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>>,
}

impl Git {
    /// Reads through the `git` program; `cache` is a directory of ours that is made when needed, `limit` how long one
    /// run may take.
    pub fn new(cache: PathBuf, limit: Duration) -> Self {
        Self { cache, limit, known: Mutex::default(), busy: Mutex::default() }
    }

    fn ls_remote(&self, place: &Place) -> Result<Vec<(String, String)>, String> {
        std::fs::create_dir_all(&self.cache).map_err(|error| format!("failed to list refs: {error}"))?;
        let run = self.run(&self.cache, place, &["ls-remote", "--", &place.url], &[])?;
        if !run.ok {
            return Err(format!("failed to list refs: {}", in_words(&run.stderr)));
        }
        let text = String::from_utf8_lossy(&run.stdout);
        let refs = text.lines().filter_map(|line| line.split_once('\t'));
        Ok(refs.map(|(id, name)| (id.to_owned(), name.to_owned())).collect())
    }

    fn fetch(&self, place: &Place, commit: &str) -> Result<Files, String> {
        let name = hex::encode(&Sha256::digest(normalized(&place.url))[..16]);
        let folder = self.cache.join(name);
        let turn = {
            let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
            busy.entry(folder.clone()).or_default().clone()
        };
        let _mine = turn.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::create_dir_all(&folder).map_err(|error| format!("failed to initialize repo: {error}"))?;
        if !folder.join("HEAD").exists() {
            self.good(&folder, place, &["init", "--bare", "--quiet", "."], &[])?;
        }
        let object = format!("{commit}^{{commit}}");
        if !self.run(&folder, place, &["cat-file", "-e", &object], &[])?.ok {
            let shallow = ["fetch", "--quiet", "--no-tags", "--depth=1", "--", &place.url, commit];
            if !self.run(&folder, place, &shallow, &[])?.ok {
                // Not every server hands out a commit by its id; then all branches and tags are taken.
                let all = ["fetch", "--quiet", "--", &place.url, "+refs/*:refs/all/*"];
                self.good(&folder, place, &all, &[])?;
            }
        }
        self.read(&folder, place, commit)
    }

    fn read(&self, folder: &Path, place: &Place, commit: &str) -> Result<Files, String> {
        let listed = self.good(folder, place, &["ls-tree", "-r", "-z", "--full-tree", commit], &[])?;
        let text = String::from_utf8_lossy(&listed);
        let mut paths = Vec::new();
        let mut ask = String::new();
        for entry in text.split('\0').filter(|entry| !entry.is_empty()) {
            let Some((about, path)) = entry.split_once('\t') else { continue };
            let words: Vec<&str> = about.split(' ').collect();
            let [mode, "blob", id] = words.as_slice() else { continue };
            if *mode == "120000" {
                continue;
            }
            paths.push(path.to_owned());
            ask.push_str(id);
            ask.push('\n');
        }
        let contents = self.good(folder, place, &["cat-file", "--batch"], ask.as_bytes())?;
        let mut rest = contents.as_slice();
        let mut files = Files::new();
        for path in paths {
            let end = rest.iter().position(|byte| *byte == b'\n').ok_or("git ended early")?;
            let head = String::from_utf8_lossy(&rest[..end]);
            let size: usize =
                head.rsplit(' ').next().and_then(|size| size.parse().ok()).ok_or("git ended early")?;
            let body = rest.get(end + 1..end + 1 + size).ok_or("git ended early")?;
            files.insert(path, body.to_vec());
            rest = rest.get(end + 2 + size..).unwrap_or_default();
        }
        Ok(files)
    }

    fn good(&self, folder: &Path, place: &Place, args: &[&str], input: &[u8]) -> Result<Vec<u8>, String> {
        let run = self.run(folder, place, args, input)?;
        if run.ok {
            return Ok(run.stdout);
        }
        Err(format!("failed to fetch: {}", in_words(&run.stderr)))
    }

    fn run(&self, folder: &Path, place: &Place, args: &[&str], input: &[u8]) -> Result<Run, String> {
        let failed = |error: std::io::Error| format!("failed to run git: {error}");
        let mut child = place.command(folder, &self.cache, args).spawn().map_err(failed)?;
        let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let input = input.to_vec();
        let feed = thread::spawn(move || {
            // A child that stops reading says why on its standard error and by its exit code.
            stdin.as_mut().map(|pipe| pipe.write_all(&input))
        });
        let out = thread::spawn(move || all_of(stdout));
        let err = thread::spawn(move || all_of(stderr));
        let status = child.wait_timeout(self.limit).map_err(failed)?;
        if status.is_none() {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
        }
        let _fed = feed.join();
        let (stdout, stderr) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
        match status {
            None => Err(format!("`git {}` failed timeout after {:?}", args[0], self.limit)),
            Some(status) => Ok(Run {
                ok: status.success(),
                stdout,
                stderr: place.blotted(&String::from_utf8_lossy(&stderr)),
            }),
        }
    }
}

impl Repositories for Git {
    fn resolve(&self, remote: &Remote, revision: &str) -> Result<String, String> {
        let place = Place::of(remote)?;
        if is_commit(revision) {
            return Ok(revision.to_owned());
        }
        let refs = self.ls_remote(&place)?;
        if refs.is_empty() {
            return Err("failed to list refs: remote repository is empty".to_owned());
        }
        let revision = if revision.is_empty() { "HEAD" } else { revision };
        // An annotated tag is listed twice; what it points to ends in ^{}.
        let wanted = [
            format!("refs/tags/{revision}^{{}}"),
            revision.to_owned(),
            format!("refs/heads/{revision}"),
            format!("refs/tags/{revision}"),
        ];
        let found = wanted.iter().find_map(|name| refs.iter().find(|(_, it)| it == name));
        found
            .map(|(id, _)| id.clone())
            .ok_or_else(|| format!("unable to resolve '{revision}' to a commit SHA"))
    }

    fn files(&self, remote: &Remote, commit: &str) -> Result<Arc<Files>, String> {
        if !is_commit(commit) {
            return Err(format!("{commit} is not a valid commit SHA"));
        }
        let key = (normalized(&remote.url), commit.to_owned());
        let known = |known: &VecDeque<((String, String), Arc<Files>)>| {
            known.iter().find(|(it, _)| *it == key).map(|(_, files)| files.clone())
        };
        if let Some(files) = known(&self.known.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(files);
        }
        let files = Arc::new(self.fetch(&Place::of(remote)?, commit)?);
        let mut kept = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_back((key, files.clone()));
        if kept.len() > KEPT {
            kept.pop_front();
        }
        Ok(files)
    }
}

struct Run {
    ok: bool,
    stdout: Vec<u8>,
    stderr: String,
}

fn all_of(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut pipe) = pipe {
        // What came before a broken pipe is what there is.
        let _read = pipe.read_to_end(&mut bytes);
    }
    bytes
}

/// A URL that was looked at, and how to log in there.
struct Place {
    url: String,
    /// `https`, `http` or `file`.
    scheme: &'static str,
    /// Scheme and host with a slash; empty for files.
    origin: String,
    authorization: Option<SecretString>,
    password: Option<SecretString>,
}

impl Place {
    fn of(remote: &Remote) -> Result<Self, String> {
        let url = remote.url.as_str();
        let refused = |why: &str| Err(format!("the sandbox cannot read this repository: {why}"));
        if url.chars().any(|c| c.is_control() || c == ' ') {
            return refused("its URL holds a space or control character");
        }
        let (scheme, rest) = match url.split_once("://") {
            Some(("https", rest)) => ("https", rest),
            Some(("http", rest)) => ("http", rest),
            Some(("file", rest)) => ("file", rest),
            _ => return refused("only https://, http:// and file:// are supported"),
        };
        let host = rest.split('/').next().unwrap_or_default();
        if host.contains('@') {
            return refused("its URL holds a user name; write that into the repository Secret");
        }
        let login = remote.password.as_ref().filter(|_| scheme != "file");
        let authorization = login.map(|password| {
            let user = remote.username.as_deref().unwrap_or("git");
            let pair: SecretString = format!("{user}:{}", password.expose_secret()).into();
            format!("Authorization: Basic {}", BASE64_STANDARD.encode(pair.expose_secret())).into()
        });
        let origin = if scheme == "file" { String::new() } else { format!("{scheme}://{host}/") };
        Ok(Self { url: url.to_owned(), scheme, origin, authorization, password: login.cloned() })
    }

    /// The password goes through the environment of this one child, for this one server.
    fn command(&self, folder: &Path, home: &Path, args: &[&str]) -> Command {
        let mut config: Vec<(String, SecretString)> = [
            ("protocol.allow", "never"),
            ("core.hooksPath", "/dev/null"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
            ("credential.helper", ""),
            ("http.followRedirects", "false"),
            ("http.lowSpeedLimit", "1"),
            ("http.lowSpeedTime", "30"),
            // Published by another user of this machine, or by the tests: it is only read.
            ("safe.directory", "*"),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.into()))
        .collect();
        config.push((format!("protocol.{}.allow", self.scheme), "always".into()));
        if let Some(header) = &self.authorization {
            config.push((format!("http.{}.extraHeader", self.origin), header.clone()));
        }
        let mut command = Command::new("git");
        command
            .args(args)
            .current_dir(folder)
            .env_clear()
            .envs(PASSED_ON.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))))
            .env("HOME", home)
            .env("XDG_CONFIG_HOME", home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_COUNT", config.len().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (n, (key, value)) in config.iter().enumerate() {
            command.env(format!("GIT_CONFIG_KEY_{n}"), key);
            command.env(format!("GIT_CONFIG_VALUE_{n}"), value.expose_secret());
        }
        command
    }

    fn blotted(&self, text: &str) -> String {
        let secrets = self.password.iter().chain(&self.authorization);
        secrets.fold(text.to_owned(), |text, secret| match secret.expose_secret().rsplit(' ').next() {
            Some(word) if !word.is_empty() => text.replace(word, "[redacted]"),
            _ => text,
        })
    }
}

/// What Argo CD's Git library says where the program says something else.
fn in_words(stderr: &str) -> String {
    let lower = stderr.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|it| lower.contains(it));
    if says(&["could not read username", "terminal prompts disabled", "error: 401"]) {
        return "authentication required".to_owned();
    }
    if says(&["authentication failed"]) {
        return "authentication failed".to_owned();
    }
    if says(&["not found", "does not appear to be a git repository", "no such file or directory"]) {
        return "repository not found".to_owned();
    }
    stderr.trim().replace('\n', " ")
}
