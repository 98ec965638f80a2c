//! Paths within a repository: no slash at either end; the root is the empty one.

use crate::play::around::Files;

/// A path seen from a directory; `None` when it leaves the repository.
pub fn join(directory: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// A name in a directory.
pub fn inside(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

/// All files below a directory: their paths from there, and what they hold, in order.
pub fn below<'a>(files: &'a Files, directory: &str) -> impl Iterator<Item = (&'a str, &'a Vec<u8>)> {
    let prefix = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let length = prefix.len();
    files
        .range(prefix.clone()..)
        .take_while(move |(path, _)| path.starts_with(&prefix))
        .map(move |(path, bytes)| (&path[length..], bytes))
}

/// A file as text.
pub fn read<'a>(files: &'a Files, path: &str) -> Result<&'a str, String> {
    let bytes = files.get(path).ok_or_else(|| format!("open {path}: no such file or directory"))?;
    std::str::from_utf8(bytes).map_err(|_| format!("{path}: it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins() {
        for (directory, path, wanted) in [
            ("a/b", "../../c", Some("c")),
            ("", "./apps/", Some("apps")),
            ("a", ".", Some("a")),
            ("a", "../../x", None),
        ] {
            assert_eq!(join(directory, path).as_deref(), wanted, "{directory} {path}");
        }
    }

    #[test]
    fn below_a_directory() {
        let files: Files =
            ["a/x", "a/b/y", "ab/z", "w"].into_iter().map(|path| (path.to_owned(), Vec::new())).collect();
        let paths = |at: &str| below(&files, at).map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
        assert_eq!(paths("a"), ["b/y", "x"]);
        assert_eq!(paths("").len(), 4);
    }
}
