//! What a run was asked for, kept beside the state: a resumed `down` searches the places that the spec named when it
//! began, also when the file has changed or is gone.

use std::{
    io::{self, Write},
    path::PathBuf,
};

use platform_spec::{Class, Code, Failure, RunId, model::Model};

use crate::App;

/// Keeps the model of a run that is about to begin. It holds handles of secrets, and no secrets.
///
/// # Errors
/// `P0914` when the state directory cannot be written.
pub(crate) fn keep(app: &App, run: &RunId, model: &Model) -> Result<(), Failure> {
    let path = path(app, run);
    write(&path, model).map_err(|error| {
        Failure::new(Code::new("P0914"), Class::Config, format!("could not write `{}`", path.display()))
            .caused_by(&error)
            .hint("free space there or make it writable, or choose another place with `--state PATH`")
    })
}

/// The model of a run.
///
/// # Errors
/// `P0914` when it is not there any more.
pub(crate) fn recall(app: &App, run: &RunId) -> Result<Model, Failure> {
    let path = path(app, run);
    let read = fs_err::read(&path).and_then(|json| Ok(serde_json::from_slice(&json)?));
    read.map_err(|error| {
        Failure::new(
            Code::new("P0914"),
            Class::Config,
            format!("could not read what run `{run}` was asked for"),
        )
        .caused_by(&error)
        .hint("run `platform down` again: it searches what the spec file names")
    })
}

fn path(app: &App, run: &RunId) -> PathBuf {
    app.dir.join("wishes").join(format!("{run}.json"))
}

/// Whole or not at all, and on the disk before the run is.
fn write(path: &std::path::Path, model: &Model) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    fs_err::create_dir_all(folder)?;
    let half = path.with_extension("half");
    let mut file = fs_err::File::create(&half)?;
    file.write_all(&serde_json::to_vec(model)?)?;
    file.sync_all()?;
    fs_err::rename(&half, path)?;
    fs_err::File::open(folder)?.sync_all()
}
