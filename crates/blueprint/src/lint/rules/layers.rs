//! G-10 (S2-14): Terraform ⟂ add-ons ⟂ applications.

use std::sync::LazyLock;

use regex::Regex;

use crate::lint::{
    Found,
    sheet::{Part, Sheet},
};

static RESOURCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r#"^\s*resource\s+"((?:kubernetes|kubectl)_\w+|helm_release)"\s+"([^"]*)""#)
        .expect("a test has compiled the pattern")
});

/// What Argo CD itself may need before it can bring anything: a namespace, and a Secret that must not be in Git.
const BEGINNINGS: [&str; 2] = ["kubernetes_namespace", "kubernetes_secret"];

/// Belong to clusters.
const OF_CLUSTERS: [&str; 2] = ["StorageClass", "ClusterIssuer"];

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    match sheet.part {
        Part::Terraform => terraform(sheet, found),
        Part::HelmTemplate => {
            for (line, text) in sheet.lines() {
                let kind =
                    text.trim().strip_prefix("kind:").map(|kind| kind.trim().trim_matches(['"', '\'']));
                if let Some(kind) = kind.filter(|kind| OF_CLUSTERS.contains(kind)) {
                    found.at(
                        sheet.path,
                        line,
                        format!("a chart brings a {kind}, which belongs to the cluster"),
                    );
                }
            }
        }
        _ => {}
    }
}

fn terraform(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    let lines: Vec<&str> = sheet.text.lines().collect();
    for (line, text) in sheet.lines() {
        let Some(resource) = RESOURCE.captures(text) else { continue };
        let kind = resource[1].trim_end_matches("_v1");
        let block = || lines[line as usize..].iter().take_while(|line| !line.starts_with('}'));
        // Something has to bring Argo CD, and the first Application.
        let brings_argo = || {
            block().any(|line| {
                let words: String = line.split_whitespace().collect();
                words == r#"chart="argo-cd""# || words.contains("argoproj.io/")
            })
        };
        if !BEGINNINGS.contains(&kind) && !brings_argo() {
            found.at(
                sheet.path,
                line,
                format!("Terraform makes `{}.{}`, which runs in a cluster", &resource[1], &resource[2]),
            );
        }
    }
}
