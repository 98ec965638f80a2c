//! G-13 (golden rule 4): all changes go through Git.
//!
//! Pipelines are judged, scripts of people are not: who may run those is a matter of access. A pipeline that makes its own
//! cluster to try something may do there what it likes.

use std::sync::LazyLock;

use regex::Regex;

use crate::lint::{
    Found,
    sheet::{Part, Sheet, is_comment, name},
};

/// A command that changes what is in a cluster, with its flags in front.
static CHANGES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?:^|[\s`'\x22(])(?:kubectl(?:\s+-{1,2}[\w-]+(?:[= ]\S+)?)*\s+(?:apply|create|replace|patch|edit|delete|scale|set|autoscale|drain|cordon)|helm(?:\s+-{1,2}[\w-]+(?:[= ]\S+)?)*\s+(?:install|upgrade|uninstall|rollback))\b",
    )
    .expect("a test has compiled the pattern")
});

/// What makes a cluster that is thrown away again.
const THROWAWAY: [&str; 6] = [
    "kind create cluster",
    "kind-action",
    "k3d cluster create",
    "setup-k3d",
    "minikube start",
    "setup-minikube",
];

/// What `kubectl apply` leaves on live objects.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(super) fn look(sheet: &Sheet<'_>, found: &mut Found<'_>) {
    for object in sheet.objects() {
        let annotation = &object["metadata"]["annotations"][LAST_APPLIED];
        let owners = &object["metadata"]["managedFields"];
        if let Some(leftover) = [annotation, owners].into_iter().find(|leftover| !leftover.is_null()) {
            let message =
                format!("`{}` was copied from a live object that was applied by hand", name(object));
            found.value(sheet, leftover, message);
        }
    }
    if sheet.part != Part::Pipeline || THROWAWAY.iter().any(|made| sheet.text.contains(made)) {
        return;
    }
    for (line, command) in commands(sheet.text) {
        let parts = command.split(['|', ';']).flat_map(|part| part.split("&&"));
        if parts.filter(|part| !part.contains("--dry-run")).any(|part| CHANGES.is_match(part)) {
            found.at(sheet.path, line, "a pipeline changes a cluster instead of Git");
        }
    }
}

/// Lines that are no comments, joined where one ends with a backslash, with the number of the first.
fn commands(text: &str) -> Vec<(u64, String)> {
    let mut commands: Vec<(u64, String)> = Vec::new();
    let mut goes_on = false;
    for (number, line) in (1..).zip(text.lines()) {
        if is_comment(line) {
            continue;
        }
        let part = line.trim_end().trim_end_matches('\\');
        match commands.last_mut() {
            Some((_, command)) if goes_on => command.push_str(part),
            _ => commands.push((number, part.to_owned())),
        }
        goes_on = line.trim_end().ends_with('\\');
    }
    commands
}
