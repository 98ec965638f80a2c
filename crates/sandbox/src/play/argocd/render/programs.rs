//! The real `helm` and `kustomize`.

use std::{
    ffi::OsStr,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use serde_json::Value;
use wait_timeout::ChildExt;

use super::{Ask, directory, helm::values, kustomize, paths};
use crate::play::around::Files;

/// How long one run may take: Argo CD's own limit.
const LIMIT: Duration = Duration::from_secs(90);

/// Which programs may be used. What is deterministic uses none.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// `helm`.
    pub helm: Option<PathBuf>,
    /// `kustomize`.
    pub kustomize: Option<PathBuf>,
}

impl Programs {
    /// Those that lie in the directories of a `PATH`.
    pub fn on(path: &OsStr) -> Self {
        let find = |name: &str| std::env::split_paths(path).map(|it| it.join(name)).find(|it| it.is_file());
        Self { helm: find("helm"), kustomize: find("kustomize") }
    }
}

/// `kustomize build`.
pub fn kustomize(program: &Path, ask: &Ask<'_>, at: &str) -> Result<Vec<Value>, String> {
    let mut files = ask.files.clone();
    // What the Application adds, real Argo CD writes with `kustomize edit`.
    if let Some((path, text)) = kustomize::edited(ask, at)? {
        files.insert(path, text.into_bytes());
    }
    let scratch = unpack(&files)?;
    let out = run(program, &["build", "."], &scratch.path().join(at)).map_err(|error| {
        format!("`kustomize build <path to cached source>/{at}` failed exit status 1: {error}")
    })?;
    directory::documents(&out)
}

/// `helm template`.
pub fn helm(program: &Path, ask: &Ask<'_>, at: &str) -> Result<Vec<Value>, String> {
    let scratch = unpack(ask.files)?;
    let layers = values::layers(ask, at)?;
    let mut args: Vec<String> =
        ["template", ".", "--name-template", values::release(ask), "--namespace"].map(str::to_owned).to_vec();
    args.push(values::namespace(ask).to_owned());
    if ask.source["helm"]["skipCrds"] != true {
        args.push("--include-crds".to_owned());
    }
    for (number, layer) in layers.iter().enumerate() {
        let name = format!(".values-of-the-application-{number}.yaml");
        let text = layer.to_string();
        std::fs::write(scratch.path().join(at).join(&name), text).map_err(|error| error.to_string())?;
        args.extend(["--values".to_owned(), name]);
    }
    for (name, value, as_text) in values::parameters(ask) {
        args.extend([if as_text { "--set-string" } else { "--set" }.to_owned(), format!("{name}={value}")]);
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let out = run(program, &args, &scratch.path().join(at))
        .map_err(|error| format!("`helm template . <api versions removed>` failed exit status 1: {error}"))?;
    let objects = directory::documents(&out)?;
    objects.into_iter().map(directory::with_kind).collect()
}

fn unpack(files: &Files) -> Result<tempfile::TempDir, String> {
    let failed = |error: std::io::Error| format!("failed to write the source: {error}");
    let scratch = tempfile::tempdir().map_err(failed)?;
    for (path, bytes) in files {
        let Some(path) = paths::join("", path) else { continue };
        let path = scratch.path().join(path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(failed)?;
        }
        std::fs::write(path, bytes).map_err(failed)?;
    }
    Ok(scratch)
}

fn run(program: &Path, args: &[&str], folder: &Path) -> Result<String, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut child = Command::new(program)
        .args(args)
        .current_dir(folder)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let out = thread::spawn(move || {
        let mut text = String::new();
        stdout.as_mut().map(|pipe| pipe.read_to_string(&mut text));
        text
    });
    let err = thread::spawn(move || {
        let mut text = String::new();
        stderr.as_mut().map(|pipe| pipe.read_to_string(&mut text));
        text
    });
    let status = child.wait_timeout(LIMIT).map_err(failed)?;
    if status.is_none() {
        child.kill().map_err(failed)?;
        child.wait().map_err(failed)?;
    }
    let (out, err) = (out.join().unwrap_or_default(), err.join().unwrap_or_default());
    match status {
        Some(status) if status.success() => Ok(out),
        Some(_) => Err(err.trim().to_owned()),
        None => Err(format!("timeout after {LIMIT:?}")),
    }
}
