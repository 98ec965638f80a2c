//! The repository of one call: bare, in a folder of its own, gone afterwards.
//!
//! A lasting cache would save little (one shallow fetch) and would have to survive being killed: stale lock files, half
//! packs, two processes at once. A folder per call has none of these. What a killed process leaves is swept by the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs::TryLockError,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use tempfile::TempDir;

use crate::{
    compare::{Change, Kind, Standing},
    program::{Environment, Output, Program},
    publish::CommitInfo,
    refusal::{Deed, GitError},
    remote::{Place, Remote},
    tree::{File, MANIFEST, Manifest, Tree},
};

const PREFIX: &str = "git-";
const SEEN: &str = "refs/platform/seen";
const NEXT: &str = "refs/platform/next";

/// Where the remote's branch points.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// There is no repository.
    Missing,
    /// There is one, without this branch.
    Empty,
    /// The branch's commit.
    At(String),
}

/// A scratch repository for one remote.
#[derive(Debug)]
pub(crate) struct Scratch {
    program: Program,
    remote: Program,
    place: Place,
    /// Held as long as the folder is in use: a sweeper cannot take it. Before `_folder`, so that it is let go first.
    _lock: std::fs::File,
    _folder: TempDir,
}

impl Scratch {
    /// Makes one below `work`, and sweeps what killed processes left there.
    ///
    /// # Errors
    /// A bad URL, or a folder that cannot be made.
    pub(crate) fn new(work: &Path, remote: &Remote, limit: Duration) -> Result<Self, GitError> {
        let place = remote.place()?;
        let folder_error = |cause| GitError::Work { folder: work.to_owned(), cause };
        fs_err::create_dir_all(work).map_err(folder_error)?;
        let gate = std::fs::File::create(work.join(".lock")).map_err(folder_error)?;
        gate.lock().map_err(folder_error)?;
        sweep(work);
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(work).map_err(folder_error)?;
        let lock = std::fs::File::create(folder.path().join("lock")).map_err(folder_error)?;
        lock.lock().map_err(folder_error)?;
        drop(gate);
        let (home, repository) = (folder.path().join("home"), folder.path().join("repo"));
        let known_hosts = folder.path().join("known_hosts");
        fs_err::create_dir(&home).map_err(folder_error)?;
        fs_err::create_dir(&repository).map_err(folder_error)?;
        if let Some(lines) = &remote.known_hosts {
            fs_err::write(&known_hosts, lines).map_err(folder_error)?;
        }
        let environment = Environment::local(&home);
        let program = Program {
            environment: environment.clone(),
            folder: repository,
            limit,
            needles: remote.needles(),
        };
        let remote =
            Program { environment: environment.reaching(remote, &place, &known_hosts), ..program.clone() };
        Ok(Self { program, remote, place, _lock: lock, _folder: folder })
    }

    /// Asks the remote where a branch points.
    pub(crate) async fn head(&self, branch: &str) -> Result<Head, GitError> {
        if let Place::File { path, .. } = &self.place
            && is_nothing(path)
        {
            return Ok(Head::Missing);
        }
        let name = format!("refs/heads/{branch}");
        let output = self.remote.run(&["ls-remote", "--", self.place.url(), &name], Vec::new()).await?;
        if !output.ok {
            return match self.refused(Deed::Look, output) {
                // On a server it may still be made by somebody; a folder full of other things is not ours to replace.
                GitError::NoRepository { .. } if !matches!(self.place, Place::File { .. }) => {
                    Ok(Head::Missing)
                }
                error => Err(error),
            };
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let found = text.lines().filter_map(|line| line.split_once('\t')).find(|(_, at)| *at == name);
        Ok(found.map_or(Head::Empty, |(commit, _)| Head::At(commit.to_owned())))
    }

    /// Makes a bare repository at a `file:` remote, whole or not at all.
    ///
    /// # Errors
    /// Any other kind of remote: a server's repositories are made on the server.
    pub(crate) async fn create_remote(&self, branch: &str) -> Result<(), GitError> {
        let Place::File { path, .. } = &self.place else {
            return Err(GitError::NoRepository { said: "nothing answers to this address".into() });
        };
        let folder_error = |cause| GitError::Work { folder: path.clone(), cause };
        let parent = path.parent().unwrap_or(path);
        fs_err::create_dir_all(parent).map_err(folder_error)?;
        let made = tempfile::Builder::new().prefix(".new-").tempdir_in(parent).map_err(folder_error)?;
        let new = made.path().join("repo");
        self.init(&new, branch, "sha1").await?;
        // Onto nothing or an empty folder; anything else makes the rename fail, and is not ours to replace.
        fs_err::rename(&new, path).map_err(folder_error)
    }

    async fn init(&self, at: &Path, branch: &str, format: &str) -> Result<(), GitError> {
        let (branch, format) = (format!("--initial-branch={branch}"), format!("--object-format={format}"));
        let at = at.display().to_string();
        let args = ["init", "--quiet", "--bare", "--template=", &branch, &format, "--", &at];
        self.local(&args, Vec::new()).await.map(drop)
    }

    /// Makes the scratch repository itself, for a remote whose commits look like `like`.
    pub(crate) async fn begin(&self, like: Option<&str>) -> Result<(), GitError> {
        // A SHA-256 repository has commits of 64 digits.
        let format = if like.is_some_and(|commit| commit.len() == 64) { "sha256" } else { "sha1" };
        self.init(&self.program.folder, "scratch", format).await
    }

    /// Fetches the branch's last commit with its files.
    pub(crate) async fn fetch(&self, branch: &str) -> Result<String, GitError> {
        let refs = format!("refs/heads/{branch}:{SEEN}");
        self.fetching(&["--depth=1", "--", self.place.url(), &refs]).await?;
        let output = self.local(&["rev-parse", "--verify", SEEN], Vec::new()).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Whether `known` is `tip` or one of its ancestors, as the remote tells it.
    pub(crate) async fn descends(&self, branch: &str, tip: &str, known: &str) -> Result<bool, GitError> {
        if tip == known {
            return Ok(true);
        }
        let refs = format!("refs/heads/{branch}:{SEEN}");
        self.fetching(&["--unshallow", "--", self.place.url(), &refs]).await?;
        let known = format!("{known}^{{commit}}");
        let there = self.program.run(&["cat-file", "-e", &known], Vec::new()).await?;
        if !there.ok {
            return Ok(false);
        }
        Ok(self.program.run(&["merge-base", "--is-ancestor", &known, tip], Vec::new()).await?.ok)
    }

    async fn fetching(&self, args: &[&str]) -> Result<(), GitError> {
        let mut all = vec!["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--update-shallow"];
        all.extend(args);
        let output = self.remote.run(&all, Vec::new()).await?;
        if output.ok { Ok(()) } else { Err(self.refused(Deed::Read, output)) }
    }

    /// Reads what a commit holds: all paths, and the content of those that `ours` or its manifest name.
    pub(crate) async fn standing(&self, commit: &str, ours: &Tree) -> Result<Standing, GitError> {
        let output = self.local(&["ls-tree", "-r", "-z", "--full-tree", commit], Vec::new()).await?;
        let mut standing = Standing::default();
        let mut blobs = BTreeMap::new();
        for line in output.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty()) {
            let line = String::from_utf8_lossy(line);
            let Some((meta, path)) = line.split_once('\t') else { continue };
            let mut words = meta.split(' ');
            let (mode, _, object) = (words.next(), words.next(), words.next());
            standing.paths.insert(path.to_owned());
            if let (Some(mode @ ("100644" | "100755")), Some(object)) = (mode, object) {
                blobs.insert(path.to_owned(), (mode == "100755", object.to_owned()));
            }
        }
        if let Some((_, object)) = blobs.get(MANIFEST) {
            let bytes = self.contents(&[object.as_str()]).await?.pop().unwrap_or_default();
            standing.manifest = Manifest::from_bytes(&bytes)?;
        }
        let wanted: BTreeSet<&String> = ours.keys().chain(standing.manifest.files.keys()).collect();
        blobs.retain(|path, _| wanted.contains(path));
        let objects: Vec<&str> = blobs.values().map(|(_, object)| object.as_str()).collect();
        let contents = self.contents(&objects).await?;
        let files = blobs.iter().zip(contents);
        standing.files = files
            .map(|((path, (executable, _)), bytes)| (path.clone(), File { bytes, executable: *executable }))
            .collect();
        standing.paths.remove(MANIFEST);
        Ok(standing)
    }

    /// The bytes of the manifest in a commit, if there is one.
    pub(crate) async fn manifest(&self, commit: &str) -> Result<Option<Vec<u8>>, GitError> {
        let name = format!("{commit}:{MANIFEST}");
        let output = self.program.run(&["cat-file", "blob", &name], Vec::new()).await?;
        Ok(output.ok.then_some(output.stdout))
    }

    /// Contents of blobs, in the same order.
    async fn contents(&self, objects: &[&str]) -> Result<Vec<Vec<u8>>, GitError> {
        if objects.is_empty() {
            return Ok(Vec::new());
        }
        let input = objects.iter().flat_map(|object| [object.as_bytes(), b"\n"].concat()).collect();
        let output = self.local(&["cat-file", "--batch"], input).await?;
        let mut rest = output.stdout.as_slice();
        let mut found = Vec::with_capacity(objects.len());
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let header = String::from_utf8_lossy(&rest[..end]);
            let size: Option<usize> = header.rsplit(' ').next().and_then(|size| size.parse().ok());
            let body =
                size.and_then(|size| Some((rest.get(end + 1..end + 1 + size)?, rest.get(end + 2 + size..)?)));
            let Some((bytes, after)) = body else {
                return Err(GitError::Strange { what: "cat-file --batch", said: header.into_owned() });
            };
            found.push(bytes.to_vec());
            rest = after;
        }
        if found.len() == objects.len() {
            Ok(found)
        } else {
            Err(GitError::Strange {
                what: "cat-file --batch",
                said: format!("{} of {} objects", found.len(), objects.len()),
            })
        }
    }

    /// Makes a commit with these changes on top of `parent`. The same arguments give the same commit id anywhere.
    pub(crate) async fn commit(
        &self,
        parent: Option<&str>,
        changes: &[Change],
        ours: &Tree,
        manifest: &Manifest,
        info: &CommitInfo,
    ) -> Result<String, GitError> {
        let input = fast_import(parent, changes, ours, manifest, info)?;
        self.local(&["fast-import", "--quiet", "--done", "--date-format=raw"], input).await?;
        let output = self.local(&["rev-parse", "--verify", NEXT], Vec::new()).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Moves the remote's branch forward to a commit. Never forces.
    pub(crate) async fn push(&self, branch: &str, commit: &str) -> Result<(), GitError> {
        let refs = format!("{commit}:refs/heads/{branch}");
        let args = ["push", "--porcelain", "--no-verify", "--no-follow-tags", "--", self.place.url(), &refs];
        let output = self.remote.run(&args, Vec::new()).await?;
        if output.ok {
            return Ok(());
        }
        // With --porcelain the reason stands on standard output.
        let said = format!("{}{}", output.stderr, String::from_utf8_lossy(&output.stdout));
        Err(self.refused(Deed::Push, Output { stderr: said, ..output }))
    }

    fn refused(&self, deed: Deed, output: Output) -> GitError {
        GitError::classify(deed, &output.stderr)
    }

    async fn local(&self, args: &[&str], input: Vec<u8>) -> Result<Output, GitError> {
        let output = self.program.run(args, input).await?;
        if output.ok { Ok(output) } else { Err(self.refused(Deed::Local, output)) }
    }
}

/// Removes scratch folders whose owner is gone. Called with the gate held, so none is half made.
fn sweep(work: &Path) {
    let Ok(entries) = fs_err::read_dir(work) else { return };
    let folders = entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX));
    for path in folders.map(|entry| entry.path()) {
        let free = match std::fs::File::open(path.join("lock")) {
            Ok(lock) => !matches!(lock.try_lock(), Err(TryLockError::WouldBlock)),
            Err(_) => true,
        };
        if free && let Err(cause) = fs_err::remove_dir_all(&path) {
            tracing::debug!(%cause, "an old scratch folder stays");
        }
    }
}

/// No such path, or an empty folder.
fn is_nothing(path: &PathBuf) -> bool {
    match fs_err::read_dir(path) {
        Ok(mut entries) => entries.next().is_none(),
        Err(cause) => cause.kind() == std::io::ErrorKind::NotFound,
    }
}

/// The stream for `git fast-import` (its manual's "Input Format"): one commit, files inline.
fn fast_import(
    parent: Option<&str>,
    changes: &[Change],
    ours: &Tree,
    manifest: &Manifest,
    info: &CommitInfo,
) -> Result<Vec<u8>, GitError> {
    let mut text = String::from("feature done\n");
    let message = info.message.trim_end();
    let who = format!("{} <{}> {} +0000", clean(&info.author), clean(&info.email), seconds(info.when));
    let _ = write!(
        text,
        "commit {NEXT}\nauthor {who}\ncommitter {who}\ndata {}\n{message}\n\n",
        message.len() + 1
    );
    if let Some(parent) = parent {
        let _ = writeln!(text, "from {parent}");
    }
    if ours.is_empty() {
        // Nothing of ours is left, so the list of our files goes as well.
        let _ = writeln!(text, "D {MANIFEST}");
    }
    for change in changes.iter().filter(|change| change.kind == Kind::Delete) {
        let _ = writeln!(text, "D {}", change.path);
    }
    let mut stream = text.into_bytes();
    let mut put = |path: &str, file: &File| {
        let mode = if file.executable { "100755" } else { "100644" };
        stream.extend(format!("M {mode} inline {path}\ndata {}\n", file.bytes.len()).into_bytes());
        stream.extend(&file.bytes);
        stream.push(b'\n');
    };
    if !ours.is_empty() {
        put(MANIFEST, &File::new(manifest.to_bytes()?));
    }
    for change in changes {
        if let (Kind::Add | Kind::Modify, Some(file)) = (change.kind, ours.get(&change.path)) {
            put(&change.path, file);
        }
    }
    stream.extend(b"\ndone\n");
    Ok(stream)
}

fn seconds(when: Timestamp) -> i64 {
    when.as_second().max(0)
}

/// What a name in a commit may not hold.
fn clean(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '<' | '>') && !c.is_control()).collect::<String>().trim().to_owned()
}
