//! One synchronisation: tasks in phases and waves, hooks among them.
//!
//! It is a step function, as in Argo CD: each step looks at what is there and at what earlier steps have written down, does
//! what can be done, and says whether it is done or what it waits for. Between steps nothing is kept but the results.

mod act;
mod order;
mod step;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    compare::{Comparison, Item, is_hook, is_skipped, wave},
    home::Target,
    model::{
        HOOK, HOOK_DELETE, Id, SYNC_OPTIONS, annotation, group_version, has_option, items, listed, text,
    },
    work::Work,
};
use crate::kube::{catalog::Resource, object::meta};

/// Phases in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Before.
    PreSync,
    /// Itself.
    Sync,
    /// When all is healthy.
    PostSync,
    /// When it went wrong.
    SyncFail,
}

impl Phase {
    /// As Argo CD writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
        }
    }
}

/// One thing to do.
pub struct Task {
    phase: Phase,
    wave: i64,
    target: Option<Arc<Value>>,
    live: Option<Arc<Value>>,
    resource: Option<Arc<Resource>>,
    modified: bool,
    /// `Synced`, `SyncFailed`, `Pruned`, `PruneSkipped`; empty before.
    status: String,
    /// `Running`, `Succeeded`, `Failed`, `Error`; empty: pending.
    state: String,
    message: String,
}

impl Task {
    fn object(&self) -> &Value {
        const NOTHING: &Value = &Value::Null;
        self.target.as_deref().or(self.live.as_deref()).unwrap_or(NOTHING)
    }

    fn id(&self) -> Id {
        Id::of(self.object())
    }

    fn kind(&self) -> &str {
        text(self.object(), "kind")
    }

    fn is_prune(&self) -> bool {
        self.target.is_none()
    }

    fn is_hook(&self) -> bool {
        is_hook(self.object())
    }

    fn is_pending(&self) -> bool {
        self.state.is_empty()
    }

    fn is_running(&self) -> bool {
        self.state == "Running"
    }

    fn is_completed(&self) -> bool {
        matches!(self.state.as_str(), "Succeeded" | "Failed" | "Error")
    }

    fn deletes(&self, policy: &str) -> bool {
        self.is_hook() && self.live.is_some() && delete_policies(self.object()).iter().any(|it| it == policy)
    }

    fn shown(&self) -> String {
        let object = self.object();
        format!("{}/{}/{}", group_version(object).0, self.kind(), meta(object, "name"))
    }
}

/// When a hook is deleted.
fn delete_policies(object: &Value) -> Vec<String> {
    let mut all: Vec<String> =
        listed(annotation(object, HOOK_DELETE).unwrap_or_default()).map(str::to_owned).collect();
    for policy in listed(annotation(object, "helm.sh/hook-delete-policy").unwrap_or_default()) {
        all.extend(match policy {
            "before-hook-creation" => Some("BeforeHookCreation".to_owned()),
            "hook-succeeded" => Some("HookSucceeded".to_owned()),
            "hook-failed" => Some("HookFailed".to_owned()),
            _ => None,
        });
    }
    if all.is_empty() {
        all.push("BeforeHookCreation".to_owned());
    }
    all
}

/// The phases of an object: those of its hook, or the one of all others.
fn phases(object: &Value) -> Vec<Phase> {
    if !is_hook(object) {
        return vec![Phase::Sync];
    }
    let mut all: Vec<Phase> = listed(annotation(object, HOOK).unwrap_or_default())
        .filter_map(|it| match it {
            "PreSync" => Some(Phase::PreSync),
            "Sync" => Some(Phase::Sync),
            "PostSync" => Some(Phase::PostSync),
            "SyncFail" => Some(Phase::SyncFail),
            _ => None,
        })
        .collect();
    if annotation(object, HOOK).is_none() {
        all.extend(listed(annotation(object, "helm.sh/hook").unwrap_or_default()).filter_map(
            |it| match it {
                "pre-install" | "pre-upgrade" => Some(Phase::PreSync),
                "post-install" | "post-upgrade" => Some(Phase::PostSync),
                _ => None,
            },
        ));
    }
    all.sort_unstable();
    all.dedup();
    all
}

/// A synchronisation.
pub struct Sync<'a> {
    work: &'a Work<'a>,
    target: &'a Target,
    items: Vec<Item>,
    namespace: String,
    options: Vec<String>,
    prune: bool,
    force: bool,
    dry_run: bool,
    skip_hooks: bool,
    /// What an operation is narrowed to.
    only: Vec<Value>,
    confirmed: bool,
    started: String,
    revision: String,
    /// What has been done so far, as the status holds it.
    pub results: Vec<Value>,
    /// `Running`, `Succeeded`, `Failed`, `Error`.
    pub phase: &'static str,
    /// In words.
    pub message: String,
}

impl<'a> Sync<'a> {
    /// From an operation's state and a fresh comparison.
    pub fn new(work: &'a Work<'a>, target: &'a Target, state: &Value, comparison: Comparison) -> Self {
        let operation = &state["operation"]["sync"];
        let only: Vec<Value> = items(&operation["resources"]).cloned().collect();
        let started = text(state, "startedAt").to_owned();
        let approved = annotation(&work.app, "argocd.argoproj.io/deletion-approved");
        let confirmed =
            approved.is_some_and(|at| match (at.parse::<Timestamp>(), started.parse::<Timestamp>()) {
                (Ok(at), Ok(started)) => at > started,
                _ => false,
            });
        let strategy = &operation["syncStrategy"];
        Self {
            namespace: text(&work.app["spec"]["destination"], "namespace").to_owned(),
            options: work.options(&state["operation"]),
            prune: operation["prune"] == true,
            force: strategy["apply"]["force"] == true || strategy["hook"]["force"] == true,
            dry_run: operation["dryRun"] == true,
            skip_hooks: strategy["apply"].is_object() || !only.is_empty(),
            only,
            confirmed,
            started,
            revision: comparison.revisions.first().cloned().unwrap_or_default(),
            results: items(&state["syncResult"]["resources"]).cloned().collect(),
            items: comparison.items,
            phase: "Running",
            message: text(state, "message").to_owned(),
            work,
            target,
        }
    }

    fn option(&self, option: &str) -> bool {
        self.options.iter().any(|it| it == option)
    }

    fn object_option(&self, object: &Value, option: &str) -> bool {
        self.option(option) || has_option(object, SYNC_OPTIONS, option)
    }

    /// Looks again at what is there.
    pub fn look(&mut self) {
        let cluster = &self.target.cluster;
        self.items.iter_mut().for_each(|it| it.look(cluster));
    }

    fn end(&mut self, phase: &'static str, message: impl Into<String>) {
        self.phase = phase;
        self.message = message.into();
    }

    fn result(&mut self, task: &mut Task, status: &str, state: &str, message: &str) {
        status.clone_into(&mut task.status);
        state.clone_into(&mut task.state);
        if !message.is_empty() {
            message.clone_into(&mut task.message);
        }
        let id = task.id();
        let same = |it: &&mut Value| is_of(it, &id, task.phase);
        if let Some(entry) = self.results.iter_mut().find(same) {
            entry["status"] = task.status.clone().into();
            entry["hookPhase"] = task.state.clone().into();
            entry["message"] = task.message.clone().into();
            return;
        }
        let mut entry = json!({
            "group": id.group, "version": group_version(task.object()).1, "kind": id.kind,
            "namespace": id.namespace, "name": id.name,
            "status": task.status, "message": task.message, "hookPhase": task.state, "syncPhase": task.phase.name(),
        });
        if task.is_hook() {
            entry["hookType"] = task.phase.name().into();
        }
        let mut images = Vec::new();
        super::compare::collect_images(task.object(), &mut images);
        if !images.is_empty() {
            entry["images"] = images.into();
        }
        self.results.push(entry);
    }
}

fn is_of(entry: &Value, id: &Id, phase: Phase) -> bool {
    text(entry, "group") == id.group
        && text(entry, "kind") == id.kind
        && text(entry, "namespace") == id.namespace
        && text(entry, "name") == id.name
        && entry["syncPhase"] == phase.name()
}
