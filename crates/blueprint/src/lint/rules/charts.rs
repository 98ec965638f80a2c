//! G-18 (golden rule 9): a chart is one version of it.

use yaml_serde::Value;

use crate::lint::{
    Found,
    sheet::{Part, Sheet, is, items, sources, split},
};

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    for object in sheet.objects() {
        for source in sources(object) {
            judge(sheet, source, &source["chart"], &source["targetRevision"], found);
        }
        if is(object, "helm.toolkit.fluxcd.io", "HelmRelease") {
            let chart = &object["spec"]["chart"]["spec"];
            // A chart from Git is a path there, and its version is the commit's.
            let from_git = chart["sourceRef"]["kind"].as_str() != Some("HelmRepository");
            if !from_git {
                judge(sheet, chart, &chart["chart"], &chart["version"], found);
            }
        }
    }
    match sheet.part {
        Part::Kustomization => {
            for chart in sheet.documents.iter().flat_map(|document| items(&document["helmCharts"])) {
                judge(sheet, chart, &chart["name"], &chart["version"], found);
            }
        }
        Part::HelmChart if !is_locked(sheet) => {
            for needed in sheet.documents.iter().flat_map(|document| items(&document["dependencies"])) {
                // A chart of the same repository is what the commit says.
                if !needed["repository"].as_str().unwrap_or_default().starts_with("file:") {
                    judge(sheet, needed, &needed["name"], &needed["version"], found);
                }
            }
        }
        _ => {}
    }
}

fn is_locked(sheet: &Sheet<'_>) -> bool {
    let (folder, _) = split(sheet.path);
    ["Chart.lock", "requirements.lock"].iter().any(|lock| {
        let file = if folder.is_empty() { (*lock).to_owned() } else { format!("{folder}/{lock}") };
        sheet.tree.get(&file).is_some()
    })
}

fn judge(sheet: &Sheet<'_>, whole: &Value, chart: &Value, version: &Value, found: &mut Found<'_>) {
    let Some(chart) = chart.as_str().filter(|chart| !chart.is_empty()) else { return };
    match version.as_str() {
        Some(version) if version.contains("{{") || version.contains('$') => {}
        Some(text) if is_exact(text) => {}
        Some(text) => found.value(sheet, version, format!("chart `{chart}` has no single version: `{text}`")),
        None => found.value(sheet, whole, format!("chart `{chart}` has no version")),
    }
}

/// `1.2.3`, with or without `v`, pre-release and build; or a digest.
fn is_exact(version: &str) -> bool {
    if version.starts_with("sha256:") {
        return true;
    }
    let version = version.strip_prefix('v').unwrap_or(version);
    let core = version.split(['-', '+']).next().unwrap_or(version);
    let numbers: Vec<&str> = core.split('.').collect();
    let whole = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // A space is part of a range: `1.2.3 - 2.0.0`.
    numbers.len() == 3 && numbers.iter().all(whole) && !version.contains(' ')
}
