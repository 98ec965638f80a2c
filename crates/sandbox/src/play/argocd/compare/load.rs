//! The objects that an Application's sources hold.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;

use super::super::{
    model::{sources, text},
    render::{Ask, Rendered},
    work::Work,
};
use crate::play::{around::Files, repositories::is_commit};

/// How much is read anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The commits that were compared with last.
    Recent,
    /// What the revisions mean now.
    Latest,
    /// That, and nothing that was rendered before.
    Hard,
}

/// What was loaded.
pub struct Loaded {
    pub rendered: Vec<Arc<Rendered>>,
    pub revisions: Vec<String>,
    pub kinds: Vec<&'static str>,
    pub imitated: Option<String>,
}

/// The revisions as the Application asks for them.
pub fn asked(work: &Work<'_>) -> Vec<String> {
    sources(&work.app["spec"]).0.into_iter().map(|it| text(it, "targetRevision").to_owned()).collect()
}

/// Reads and renders all sources.
pub fn load(work: &Work<'_>, revisions: &[String], level: Level) -> Result<Loaded, String> {
    let (all, _) = sources(&work.app["spec"]);
    let count = all.len();
    let mut loaded =
        Loaded { rendered: Vec::new(), revisions: Vec::new(), kinds: Vec::new(), imitated: None };
    let mut commits = Vec::new();
    let mut refs = BTreeMap::new();
    for (number, source) in all.iter().enumerate() {
        let failed = |error: String| {
            let place = number + 1;
            format!(
                "failed to generate manifest for source {place} of {count}: rpc error: code = Unknown desc = {error}"
            )
        };
        let commit = commit(work, source, revisions.get(number), level).map_err(failed)?;
        let name = text(source, "ref");
        if !name.is_empty() && text(source, "chart").is_empty() {
            let files = files(work, source, &commit).map_err(failed)?;
            refs.insert(name.to_owned(), (commit.clone(), files));
        }
        commits.push(commit);
    }
    let namespace = text(&work.app["spec"]["destination"], "namespace");
    for (number, (source, commit)) in all.into_iter().zip(commits).enumerate() {
        loaded.revisions.push(commit.clone());
        let chart = !text(source, "chart").is_empty();
        if !chart && text(source, "path").is_empty() {
            continue;
        }
        let place = format!("failed to generate manifest for source {} of {count}: ", number + 1);
        let failed = |error: String| format!("{place}rpc error: code = Unknown desc = {error}");
        let files = if chart { Arc::default() } else { files(work, source, &commit).map_err(failed)? };
        let ask = Ask { source, commit: &commit, files: &files, name: work.name(), namespace, refs: &refs };
        let rendered =
            work.renderer.render(&ask, level == Level::Hard).map_err(|error| format!("{place}{error}"))?;
        loaded.kinds.push(rendered.kind);
        if let Some(imitated) = &rendered.imitated {
            loaded.imitated = Some(imitated.clone());
        }
        loaded.rendered.push(rendered);
    }
    Ok(loaded)
}

fn commit(work: &Work<'_>, source: &Value, known: Option<&String>, level: Level) -> Result<String, String> {
    if !text(source, "chart").is_empty() {
        return Ok(text(source, "targetRevision").to_owned());
    }
    if let Some(known) = known.filter(|it| level == Level::Recent && is_commit(it)) {
        return Ok(known.clone());
    }
    let remote = work.home.remote(text(source, "repoURL"));
    let wanted = known.map_or(text(source, "targetRevision"), String::as_str);
    repositories(work)?.resolve(&remote, wanted)
}

fn files(work: &Work<'_>, source: &Value, commit: &str) -> Result<Arc<Files>, String> {
    let remote = work.home.remote(text(source, "repoURL"));
    repositories(work)?.files(&remote, commit)
}

fn repositories<'a>(work: &'a Work<'_>) -> Result<&'a dyn crate::play::around::Repositories, String> {
    work.home.cluster.around.repositories.as_deref().ok_or_else(|| "the sandbox has no Git here".to_owned())
}
