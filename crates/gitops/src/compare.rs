//! What stands in the branch against what should stand there. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::tree::{File, Manifest, Tree};

/// How one of our files must change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It is not there yet.
    Add,
    /// Its content or mode differs.
    Modify,
    /// We rendered it earlier and no longer do.
    Delete,
}

/// One file of ours that must change.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    /// Its path.
    pub path: String,
    /// How.
    pub kind: Kind,
}

/// What a branch holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Every path in the branch, people's files among them.
    pub paths: BTreeSet<String>,
    /// Those that are ordinary files and of interest: in our tree, or in the manifest.
    pub files: BTreeMap<String, File>,
    /// The manifest found in it; empty when there is none.
    pub manifest: Manifest,
}

/// What has to happen to a branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Changes to files of ours, by path. The manifest is not counted.
    pub changes: Vec<Change>,
    /// Paths where the change would overwrite or remove what a person has written: a rendered file edited since, or a
    /// person's own file where we want to put one. In order.
    pub by_hand: Vec<String>,
    /// People's files that have the name of a folder we need, or lie in a folder where we need a file. Never touched.
    pub in_the_way: Vec<String>,
}

/// Compares.
///
/// A file that already is as we want it is never in the way, whoever wrote it. A file that we rendered earlier and that
/// has the content we gave it is ours to change or delete. Everything else at a path of ours is somebody's work.
pub fn compare(standing: &Standing, ours: &Tree) -> Comparison {
    let mut found = Comparison::default();
    let paths: BTreeSet<&String> = ours.keys().chain(standing.manifest.files.keys()).collect();
    for path in paths {
        let (want, is) = (ours.get(path), standing.files.get(path));
        let there = standing.paths.contains(path);
        let kind = match (want, there) {
            (Some(want), true) if Some(want) == is => continue,
            (None, false) => continue,
            (Some(_), true) => Kind::Modify,
            (Some(_), false) => Kind::Add,
            (None, true) => Kind::Delete,
        };
        let as_we_left_it = match (standing.manifest.files.get(path), is) {
            (Some(left), Some(is)) => *left == is.stamp(),
            (None, _) => !there,
            (Some(_), None) => false,
        };
        if !as_we_left_it {
            found.by_hand.push(path.clone());
        }
        found.changes.push(Change { path: path.clone(), kind });
    }
    found.in_the_way = in_the_way(standing, ours);
    found
}

fn in_the_way(standing: &Standing, ours: &Tree) -> Vec<String> {
    let theirs = |path: &str| {
        standing.paths.contains(path)
            && !ours.contains_key(path)
            && !standing.manifest.files.contains_key(path)
    };
    let mut found = BTreeSet::new();
    for path in ours.keys() {
        let mut parent = path.as_str();
        while let Some((above, _)) = parent.rsplit_once('/') {
            if theirs(above) {
                found.insert(above.to_owned());
            }
            parent = above;
        }
        let beneath = format!("{path}/");
        let inside = standing.paths.range(beneath.clone()..).take_while(|other| other.starts_with(&beneath));
        found.extend(inside.filter(|other| theirs(other)).cloned());
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::btree_map, prelude::*};

    use super::*;

    fn standing(files: &[(&str, &str)], manifest: &[(&str, &str)]) -> Standing {
        let files: BTreeMap<String, File> = files.iter().map(|(p, c)| ((*p).into(), File::new(*c))).collect();
        Standing {
            paths: files.keys().cloned().collect(),
            files,
            manifest: Manifest::of(&tree(manifest), ""),
        }
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|(p, c)| ((*p).into(), File::new(*c))).collect()
    }

    fn change(path: &str, kind: Kind) -> Change {
        Change { path: path.into(), kind }
    }

    #[test]
    fn a_file_no_longer_rendered_is_deleted_and_a_persons_file_is_kept() {
        let found = compare(
            &standing(&[("a", "1"), ("old", "1"), ("NOTES", "mine")], &[("a", "1"), ("old", "1")]),
            &tree(&[("a", "2"), ("b", "1")]),
        );
        assert_eq!(
            found.changes,
            [change("a", Kind::Modify), change("b", Kind::Add), change("old", Kind::Delete)]
        );
        assert!(found.by_hand.is_empty() && found.in_the_way.is_empty(), "{found:?}");
    }

    #[test]
    fn an_edited_file_is_reported_unless_the_edit_is_what_we_want() {
        let edited = standing(&[("a", "edited")], &[("a", "1")]);
        assert_eq!(compare(&edited, &tree(&[("a", "1")])).by_hand, ["a"]);
        assert_eq!(compare(&edited, &tree(&[])).by_hand, ["a"], "deleting it would lose the edit");
        assert_eq!(compare(&edited, &tree(&[("a", "edited")])), Comparison::default());
    }

    #[test]
    fn a_rendered_file_deleted_by_a_person_is_reported() {
        let gone = standing(&[], &[("a", "1")]);
        assert_eq!(compare(&gone, &tree(&[("a", "1")])).by_hand, ["a"]);
        assert_eq!(compare(&gone, &tree(&[])), Comparison::default());
    }

    #[test]
    fn a_persons_file_at_our_path_is_adopted_only_when_equal() {
        let theirs = standing(&[("README.md", "hello")], &[]);
        assert_eq!(compare(&theirs, &tree(&[("README.md", "ours")])).by_hand, ["README.md"]);
        assert_eq!(compare(&theirs, &tree(&[("README.md", "hello")])), Comparison::default());
    }

    #[test]
    fn files_and_folders_of_one_name_are_in_the_way() {
        assert_eq!(compare(&standing(&[("apps", "x")], &[]), &tree(&[("apps/a", "1")])).in_the_way, ["apps"]);
        assert_eq!(
            compare(&standing(&[("apps/x", "x")], &[]), &tree(&[("apps", "1")])).in_the_way,
            ["apps/x"]
        );
        let ours_before = standing(&[("apps", "x")], &[("apps", "x")]);
        assert!(compare(&ours_before, &tree(&[("apps/a", "1")])).in_the_way.is_empty());
    }

    #[test]
    fn a_changed_mode_is_a_change() {
        let mut want = tree(&[("a", "1")]);
        want.get_mut("a").expect("there").executable = true;
        let found = compare(&standing(&[("a", "1")], &[("a", "1")]), &want);
        assert_eq!(found.changes, [change("a", Kind::Modify)]);
        assert!(found.by_hand.is_empty());
    }

    fn some_tree() -> impl Strategy<Value = BTreeMap<String, String>> {
        btree_map("[a-c]", "[0-2]", 0..4)
    }

    proptest! {
        /// Doing what the comparison says leaves nothing to do, loses no file of a person, and keeps to our paths.
        #[test]
        fn applying_the_changes_converges(is in some_tree(), left in some_tree(), want in some_tree()) {
            let pairs = |map: &BTreeMap<String, String>| -> Tree {
                map.iter().map(|(p, c)| (p.clone(), File::new(c.as_str()))).collect()
            };
            let before = Standing {
                paths: is.keys().cloned().collect(),
                files: pairs(&is),
                manifest: Manifest::of(&pairs(&left), ""),
            };
            let want = pairs(&want);
            let found = compare(&before, &want);
            let mut files = before.files.clone();
            for change in &found.changes {
                match change.kind {
                    Kind::Add | Kind::Modify => files.insert(change.path.clone(), want[&change.path].clone()),
                    Kind::Delete => files.remove(&change.path),
                };
            }
            for (path, file) in &before.files {
                let lost = files.get(path) != Some(file);
                let as_left = before.manifest.files.get(path) == Some(&file.stamp());
                prop_assert!(!lost || as_left || found.by_hand.contains(path), "{} was lost silently", path);
            }
            let after = Standing { paths: files.keys().cloned().collect(), files, manifest: Manifest::of(&want, "") };
            prop_assert_eq!(compare(&after, &want), Comparison::default());
        }
    }
}
