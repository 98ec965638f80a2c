//! G-16 (golden rule 7): one picture everywhere.

use std::collections::BTreeSet;

use super::Check;
use crate::{
    Tree,
    lint::{
        Found,
        sheet::{Sheet, is, name, split},
    },
};

/// Dashboards that every overlay has, and those that only one has.
#[derive(Default)]
pub(super) struct Dashboards {
    shared: BTreeSet<String>,
    in_overlays: Vec<(String, String, u64)>,
}

impl Check for Dashboards {
    fn sheet(&mut self, sheet: &Sheet<'_>, _found: &mut Found<'_>) {
        let is_overlay = sheet.lies_in(&["overlay", "overlays"]);
        let mut add = |dashboard: &str, line: u64| {
            if is_overlay {
                self.in_overlays.push((dashboard.to_owned(), sheet.path.to_owned(), line));
            } else {
                self.shared.insert(dashboard.to_owned());
            }
        };
        for object in sheet.objects() {
            let labelled =
                is(object, "", "ConfigMap") && !object["metadata"]["labels"]["grafana_dashboard"].is_null();
            if labelled || is(object, "grafana.integreatly.org", "GrafanaDashboard") {
                add(name(object), sheet.line(&object["metadata"]["name"]));
            }
        }
        let (_, file) = split(sheet.path);
        if file.ends_with(".json") && is_dashboard(sheet.text) {
            add(file, 1);
        }
    }

    fn end(&mut self, _tree: &Tree, found: &mut Found<'_>) {
        for (dashboard, path, line) in &self.in_overlays {
            if !self.shared.contains(dashboard) {
                found.at(path, *line, format!("dashboard `{dashboard}` is in this overlay only"));
            }
        }
    }
}

/// Grafana's own format: panels, in a version of its schema.
fn is_dashboard(text: &str) -> bool {
    serde_json::from_str::<serde_json::Value>(text)
        .is_ok_and(|json| json["panels"].is_array() && json["schemaVersion"].is_number())
}
