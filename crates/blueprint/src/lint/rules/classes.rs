//! G-12 (golden rule 1, S2-17): the names that applications rely on are the same everywhere.
//!
//! The names that the base has are the promise. A kind that no base has is not judged: nothing says which name would be right.

use std::collections::{BTreeMap, BTreeSet};

use yaml_serde::Value;

use super::Check;
use crate::{
    Tree,
    lint::{
        Found,
        sheet::{Part, Sheet, is, items},
    },
    yaml,
};

/// Objects by whose names applications ask: group and kind.
const KINDS: [(&str, &str); 3] = [
    ("storage.k8s.io", "StorageClass"),
    ("networking.k8s.io", "IngressClass"),
    ("cert-manager.io", "ClusterIssuer"),
];

/// Names that a base has, and those that overlays have, by kind.
#[derive(Default)]
pub(super) struct Classes {
    promised: BTreeMap<&'static str, BTreeSet<String>>,
    other: Vec<(&'static str, String, String, u64)>,
}

impl Check for Classes {
    fn sheet(&mut self, sheet: &Sheet<'_>, found: &mut Found<'_>) {
        let is_base = sheet.lies_in(&["base", "bases"]);
        let is_overlay = sheet.lies_in(&["overlay", "overlays"]);
        for object in sheet.objects() {
            let Some((_, kind)) = KINDS.iter().find(|(group, kind)| is(object, group, kind)) else {
                continue;
            };
            let Some(name) = object["metadata"]["name"].as_str() else { continue };
            if is_base {
                self.promised.entry(kind).or_default().insert(name.to_owned());
            } else if is_overlay {
                let line = sheet.line(&object["metadata"]["name"]);
                self.other.push((kind, name.to_owned(), sheet.path.to_owned(), line));
            }
        }
        if sheet.part == Part::Kustomization && is_overlay {
            sheet.documents.iter().for_each(|document| renames(sheet, document, found));
        }
    }

    fn end(&mut self, _tree: &Tree, found: &mut Found<'_>) {
        for (kind, name, path, line) in &self.other {
            let Some(promised) = self.promised.get(kind).filter(|names| !names.contains(name)) else {
                continue;
            };
            let names: Vec<_> = promised.iter().map(String::as_str).collect();
            let message = format!("{kind} `{name}` is not what the base calls it: {}", names.join(", "));
            found.at(path, *line, message);
        }
    }
}

/// JSON patches that give one of the kinds another name.
fn renames(sheet: &Sheet<'_>, kustomization: &Value, found: &mut Found<'_>) {
    let patches = items(&kustomization["patches"]).chain(items(&kustomization["patchesJson6902"]));
    for patch in patches {
        let kind = patch["target"]["kind"].as_str().unwrap_or_default();
        let written = patch["patch"].as_str().unwrap_or_default();
        if !KINDS.iter().any(|(_, known)| *known == kind) {
            continue;
        }
        let operations = yaml::documents(written).unwrap_or_default();
        for operation in operations.iter().flat_map(items) {
            if operation["path"].as_str() == Some("/metadata/name")
                && operation["op"].as_str() != Some("test")
            {
                found.value(sheet, &patch["patch"], format!("a patch gives {kind} another name"));
            }
        }
    }
}
