//! Rendered files in a folder of a person's: which of them are ours is kept in a list beside them.

use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::PermissionsExt,
    path::{Component, Path, PathBuf},
};

use platform_blueprint::{File, Tree, Trees};
use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};

/// The list, within the folder.
const LIST: &str = ".platform-rendered.json";

/// What writing did besides writing; paths within the folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Files of an earlier rendering that are not rendered any more, and are gone.
    pub removed: Vec<String>,
    /// Files of an earlier rendering that are not rendered any more, and were changed since: they stay, and are ours no
    /// more.
    pub kept: Vec<String>,
}

/// Every file that was written here, with a digest of what was written.
#[derive(Debug, Default, Serialize, Deserialize)]
struct List {
    files: BTreeMap<String, String>,
}

pub(super) fn write(trees: &Trees, out: &Path) -> Result<Written, Failure> {
    let earlier = read_list(out)?;
    let now: BTreeMap<String, &File> = trees
        .repositories
        .iter()
        .flat_map(|(name, tree)| tree.files.iter().map(move |(path, file)| (format!("{name}/{path}"), file)))
        .collect();
    let strangers: Vec<&String> = now
        .iter()
        .filter(|(path, _)| !earlier.files.contains_key(*path))
        .filter(|(path, file)| {
            let there = out.join(path);
            there.symlink_metadata().is_ok() && fs_err::read(&there).ok().as_ref() != Some(&file.bytes)
        })
        .map(|(path, _)| path)
        .collect();
    if let Some(first) = strangers.first() {
        let shown = out.join(first);
        let failure = Failure::new(
            Code::new("P0904"),
            Class::Config,
            format!("will not overwrite `{}`", shown.display()),
        );
        return Err(failure
            .because(format!("{} files there were not rendered by this program", strangers.len()))
            .hint("render into another folder with `platform render --out DIR`, or move the files away"));
    }
    // Before the first file is written: whatever happens from here on, what is ours stays known.
    let mut list = List { files: earlier.files.clone() };
    list.files.extend(now.iter().map(|(path, file)| (path.clone(), digest(path, file))));
    write_list(out, &list)?;
    for (path, file) in &now {
        let target = out.join(path);
        put(&target, &file.bytes, if file.executable { 0o755 } else { 0o644 })
            .map_err(|error| cannot("write", &target, &error))?;
    }
    let mut written = Written::default();
    for (path, was) in earlier.files.iter().filter(|(path, _)| !now.contains_key(*path)) {
        match take_away(out, path, was).map_err(|error| cannot("remove", &out.join(path), &error))? {
            Some(true) => written.removed.push(path.clone()),
            Some(false) => written.kept.push(path.clone()),
            None => {}
        }
    }
    list.files.retain(|path, _| now.contains_key(path));
    write_list(out, &list)?;
    Ok(written)
}

/// Removes a file that is as it was written, and the folders that are empty without it. Whether it was so; nothing when
/// it is not there.
fn take_away(out: &Path, path: &str, was: &str) -> io::Result<Option<bool>> {
    let target = out.join(path);
    // The list lies in a person's folder: it can say anything, and folders can have become links that lead elsewhere.
    let is_plain = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
    let Some(folder) = target.parent().filter(|_| is_plain) else { return Ok(None) };
    let is_file = target.symlink_metadata().is_ok_and(|metadata| metadata.is_file());
    if !is_file || !fs_err::canonicalize(folder)?.starts_with(fs_err::canonicalize(out)?) {
        return Ok(None);
    }
    if digest(path, &File::new(fs_err::read(&target)?)) != was {
        return Ok(Some(false));
    }
    fs_err::remove_file(&target)?;
    let mut folder = PathBuf::from(folder);
    // A folder that is not empty refuses to be removed.
    while folder != out && fs_err::remove_dir(&folder).is_ok() {
        folder.pop();
    }
    Ok(Some(true))
}

fn digest(path: &str, file: &File) -> String {
    Tree { files: BTreeMap::from([(path.to_owned(), file.clone())]) }.digest()
}

fn read_list(out: &Path) -> Result<List, Failure> {
    let path = out.join(LIST);
    match fs_err::read(&path).and_then(|json| Ok(serde_json::from_slice(&json)?)) {
        Ok(list) => Ok(list),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(List::default())
        }
        Err(error) => Err(cannot("read", &path, &error)),
    }
}

fn write_list(out: &Path, list: &List) -> Result<(), Failure> {
    let path = out.join(LIST);
    let half = out.join(format!("{LIST}.half"));
    let json = serde_json::to_vec_pretty(list).map_err(io::Error::from);
    json.and_then(|json| put(&half, &json, 0o644))
        .and_then(|()| fs_err::rename(&half, &path))
        .map_err(|error| cannot("write", &path, &error))
}

fn put(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs_err::create_dir_all(folder)?;
    }
    fs_err::write(path, bytes)?;
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode))
}

fn cannot(deed: &str, path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::new("P0906"), Class::Config, format!("could not {deed} `{}`", path.display()))
        .caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trees(files: &[(&str, &str)]) -> Trees {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), File::new(*text))).collect();
        Trees { repositories: BTreeMap::from([("git".to_owned(), Tree { files })]) }
    }

    #[test]
    fn what_is_not_rendered_any_more_goes_and_files_of_people_stay() {
        let out = tempfile::tempdir().expect("a folder");
        let here = |path: &str| out.path().join(path);
        write(&trees(&[("a", "1"), ("old/deep/b", "2"), ("old/edited", "3")]), out.path()).expect("written");
        fs_err::write(here("git/old/edited"), "mine").expect("writable");
        fs_err::write(here("git/note"), "mine").expect("writable");

        let written = write(&trees(&[("a", "other")]), out.path()).expect("written");
        assert_eq!(written.removed, ["git/old/deep/b"]);
        assert_eq!(written.kept, ["git/old/edited"]);
        assert!(!here("git/old/deep").exists(), "an empty folder stays");
        assert_eq!(fs_err::read_to_string(here("git/a")).expect("there"), "other");
        assert_eq!(fs_err::read_to_string(here("git/old/edited")).expect("there"), "mine");
        assert_eq!(fs_err::read_to_string(here("git/note")).expect("there"), "mine");
        // What was kept is a person's from now on.
        assert_eq!(write(&trees(&[("a", "other")]), out.path()).expect("written"), Written::default());
    }

    #[test]
    fn a_file_that_is_not_ours_is_not_overwritten_and_nothing_is_begun() {
        let out = tempfile::tempdir().expect("a folder");
        fs_err::create_dir(out.path().join("git")).expect("writable");
        fs_err::write(out.path().join("git/b"), "mine").expect("writable");
        let failure = write(&trees(&[("a", "1"), ("b", "2")]), out.path()).expect_err("it is not ours");
        assert_eq!(failure.code.as_str(), "P0904");
        assert!(!out.path().join("git/a").exists());
        // The same bytes: rendered before there were lists, or by a copy of this program.
        write(&trees(&[("b", "mine")]), out.path()).expect("nothing is lost");
    }

    #[test]
    fn a_list_that_leads_elsewhere_removes_nothing() {
        let (out, elsewhere) =
            (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let file = elsewhere.path().join("precious");
        fs_err::write(&file, "1").expect("writable");
        std::os::unix::fs::symlink(elsewhere.path(), out.path().join("link")).expect("writable");
        let outside =
            format!("../{}/precious", elsewhere.path().file_name().expect("a name").to_string_lossy());
        let files = [outside, file.to_string_lossy().into_owned(), "link/precious".to_owned()];
        let files = files.into_iter().map(|path| (path.clone(), digest(&path, &File::new("1")))).collect();
        write_list(out.path(), &List { files }).expect("writable");
        write(&trees(&[]), out.path()).expect("written");
        assert!(file.exists());
    }
}
