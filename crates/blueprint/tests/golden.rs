//! Every blueprint of this program, rendered from its example spec, is the tree that was read in review: `golden/` beside it.

#[expect(dead_code, reason = "of what tests share, this one needs a part")]
mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use common::{artifacts, folder, lay_out, model_of};
use platform_blueprint::Blueprint;
use serde_json::Value;

/// The example of a blueprint: `golden/platform.yaml`, or the spec that this program brings along for it.
fn example(blueprint: &str) -> Value {
    let file = folder(&format!("blueprints/{blueprint}/golden/platform.yaml"));
    let text = std::fs::read_to_string(file).ok().or_else(|| {
        let starter = platform_spec::starter::starter("existing", Path::new("/var/lib/platform"))?;
        starter.contains(&format!("name: {blueprint},")).then_some(starter)
    });
    model_of(&text.unwrap_or_else(|| panic!("blueprint `{blueprint}` has no golden/platform.yaml")))
}

fn read(root: &Path, dir: &Path, into: &mut BTreeMap<String, Vec<u8>>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            read(root, &path, into);
        } else {
            let name = path.strip_prefix(root).expect("below root").to_string_lossy().replace('\\', "/");
            into.insert(name, std::fs::read(&path).expect("readable"));
        }
    }
}

/// `UPDATE_GOLDEN=1 cargo test --workspace --test golden` writes the trees anew; read the difference in Git.
#[test]
fn every_blueprint_renders_its_golden_trees() {
    let mut differing = Vec::new();
    for name in Blueprint::names() {
        let blueprint = Blueprint::embedded(&name).expect("it is part of the program");
        let model = example(&name);
        let trees = blueprint
            .render(&model, &model["blueprint"]["params"], &artifacts(&blueprint, &model))
            .unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        for (repository, tree) in &trees.repositories {
            let root = folder(&format!("blueprints/{name}/golden/{repository}"));
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                let _ = std::fs::remove_dir_all(&root);
                lay_out(tree, &root);
            }
            let mut kept = BTreeMap::new();
            read(&root, &root, &mut kept);
            let rendered: BTreeMap<_, _> =
                tree.files.iter().map(|(path, file)| (path.clone(), file.bytes.clone())).collect();
            let all: BTreeSet<_> = kept.keys().chain(rendered.keys()).collect();
            let other = all.into_iter().filter(|path| kept.get(*path) != rendered.get(*path));
            differing.extend(other.map(|path| format!("blueprints/{name}/golden/{repository}/{path}")));
        }
    }
    assert!(differing.is_empty(), "these are rendered otherwise now: {differing:#?}");
}
