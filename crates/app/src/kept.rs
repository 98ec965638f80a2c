//! What a run keeps beside its journal: small files in `runs/RUN/` of the state directory, whole or not there at all.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use platform_spec::{Class, Code, Failure, RunId};
use serde::{Serialize, de::DeserializeOwned};

use crate::App;

/// The files.
#[derive(Clone, Copy)]
pub(crate) enum Kept {
    /// The model that the run was asked for, written before the run exists: a resumed `down` searches the places that
    /// the spec named when it began, also when the file has changed or is gone. Holds handles of secrets, no secrets.
    Wish,
    /// What was found before anything was done.
    Findings,
    /// What the search after `down` found.
    Inventory,
}

impl Kept {
    fn name(self) -> &'static str {
        match self {
            Self::Wish => "wish.json",
            Self::Findings => "findings.json",
            Self::Inventory => "inventory.json",
        }
    }
}

/// Writes a file; once this returns, it survives a crash.
///
/// # Errors
/// `P0914` when the state directory cannot be written.
pub(crate) fn keep(app: &App, run: &RunId, kept: Kept, content: &impl Serialize) -> Result<(), Failure> {
    let path = path(app, run, kept);
    write(&path, content).map_err(|error| {
        let class = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Class::Capacity,
            _ => Class::Config,
        };
        Failure::new(Code::new("P0914"), class, format!("could not write `{}`", path.display()))
            .caused_by(&error)
            .hint(
                "free space there (`df -h`) or make it writable, or choose another place with `--state PATH`",
            )
    })
}

/// Reads a file, if it was written.
///
/// # Errors
/// `P0914` when it cannot be read.
pub(crate) fn recall<T: DeserializeOwned>(app: &App, run: &RunId, kept: Kept) -> Result<Option<T>, Failure> {
    let path = path(app, run, kept);
    match fs_err::read(&path).and_then(|json| Ok(serde_json::from_slice(&json)?)) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::new(
            Code::new("P0914"),
            Class::Config,
            format!("could not read `{}`", path.display()),
        )
        .caused_by(&error)
        .hint("make it readable, or remove it: `platform down` searches again for what is left")),
    }
}

fn path(app: &App, run: &RunId, kept: Kept) -> PathBuf {
    app.dir.join("runs").join(run.as_str()).join(kept.name())
}

fn write(path: &Path, content: &impl Serialize) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    fs_err::create_dir_all(folder)?;
    let half = path.with_extension("half");
    let mut file = fs_err::File::create(&half)?;
    file.write_all(&serde_json::to_vec(content)?)?;
    file.sync_all()?;
    fs_err::rename(&half, path)?;
    fs_err::File::open(folder)?.sync_all()
}
