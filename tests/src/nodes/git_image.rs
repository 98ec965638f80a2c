//! An image of this machine's own `git`, for a Git server where there is no network.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{BoxError, Output};

/// Makes the image on the engine: `git`, its daemon, and the libraries that they are linked with.
pub(super) fn import(name: &str, folder: &Path) -> Result<(), BoxError> {
    let said = |program: &str, args: &[&str]| Output::of(Command::new(program).args(args)).ok().stdout;
    let git = PathBuf::from(said("sh", &["-c", "command -v git"]).trim());
    let daemon = Path::new(said("git", &["--exec-path"]).trim()).join("git-daemon");
    if !daemon.exists() {
        return Err(format!("there is no {}", daemon.display()).into());
    }
    let linked = said("ldd", &[&git.display().to_string(), &daemon.display().to_string()]);
    let libraries = linked.split_whitespace().filter(|word| word.starts_with('/') && !word.ends_with(':'));
    let files: BTreeSet<PathBuf> = libraries.map(PathBuf::from).chain([daemon]).collect();

    let file = folder.join("git-image.tar");
    let mut archive = tar::Builder::new(fs_err::File::create(&file)?);
    archive.append_path_with_name(fs_err::canonicalize(git)?, "usr/bin/git")?;
    for path in files {
        archive.append_path_with_name(fs_err::canonicalize(&path)?, path.strip_prefix("/")?)?;
    }
    drop(archive.into_inner()?);
    let made = Output::of(Command::new("docker").arg("import").arg(&file).arg(name));
    match made.status {
        0 => Ok(()),
        _ => Err(made.stderr.into()),
    }
}
