//! The files of a blueprint, from this program or from a folder.

use std::{collections::BTreeMap, io, path::Path};

use include_dir::{Dir, include_dir};

use crate::BlueprintError;

static BLUEPRINTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../blueprints");

/// Files by path within the blueprint. `golden/` is left out: it belongs to tests.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;

/// The folder beside the blueprints whose files any blueprint may include.
pub(crate) const SHARED: &str = "shared";

/// Names of the blueprints in this program, sorted.
pub(crate) fn embedded_names() -> Vec<String> {
    let dirs = BLUEPRINTS.dirs().filter(|dir| dir.path() != Path::new(SHARED));
    let mut names: Vec<String> = dirs.map(|dir| dir.path().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The files of a blueprint of this program.
pub(crate) fn embedded(name: &str) -> Result<Files, BlueprintError> {
    let dir = BLUEPRINTS
        .dirs()
        .find(|dir| dir.path() == Path::new(name) && name != SHARED)
        .ok_or_else(|| BlueprintError::Unknown { name: name.to_owned(), known: embedded_names() })?;
    let mut files = Files::new();
    collect_embedded(dir, dir.path(), &mut files);
    Ok(files)
}

/// The partials of this program, by the path under which templates include them: `shared/…`.
pub(crate) fn shared() -> Files {
    let mut files = Files::new();
    if let Some(dir) = BLUEPRINTS.get_dir(SHARED) {
        collect_embedded(dir, Path::new(""), &mut files);
    }
    files
}

fn collect_embedded(dir: &Dir<'_>, root: &Path, files: &mut Files) {
    for file in dir.files() {
        add(files, file.path().strip_prefix(root).unwrap_or(file.path()), file.contents().to_vec());
    }
    dir.dirs().for_each(|dir| collect_embedded(dir, root, files));
}

/// The files of a blueprint in a folder of the user's. Symbolic links are refused: what they lead to may differ
/// between machines.
pub(crate) fn from_dir(root: &Path) -> Result<Files, BlueprintError> {
    let mut files = Files::new();
    collect(root, root, &mut files)
        .map_err(|cause| BlueprintError::Read { path: root.display().to_string(), cause })?;
    Ok(files)
}

fn collect(dir: &Path, root: &Path, files: &mut Files) -> io::Result<()> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_symlink() {
            return Err(io::Error::other(format!("{} is a symbolic link", path.display())));
        } else if kind.is_dir() {
            collect(&path, root, files)?;
        } else {
            add(files, path.strip_prefix(root).unwrap_or(&path), fs_err::read(&path)?);
        }
    }
    Ok(())
}

fn add(files: &mut Files, path: &Path, bytes: Vec<u8>) {
    let segments: Vec<_> = path.components().map(|c| c.as_os_str().to_string_lossy()).collect();
    if segments.first().is_some_and(|first| first != "golden") {
        files.insert(segments.join("/"), bytes);
    }
}
