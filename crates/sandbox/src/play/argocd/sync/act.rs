//! What tasks do: apply, create, replace, delete.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{Sync, Task, step::Run};
use crate::{
    kube::{
        object::{finalizers, is_going, meta},
        request::Query,
    },
    play::{
        Cluster,
        argocd::{
            compare::{address, apply, ask, ignored, remember},
            model::{CONTROLLER, HOOK_FINALIZER, Id, group_version, text},
        },
    },
};

impl Sync<'_> {
    /// Runs the tasks of one wave.
    pub(super) fn run(&mut self, tasks: &mut [Task]) -> Run {
        if self.dry_run {
            return self.rehearse(tasks);
        }
        for task in tasks.iter_mut().filter(|it| it.is_hook() && it.is_pending()) {
            self.release_hook(task);
        }
        if !self.confirmed && tasks.iter().any(|it| it.is_prune() && self.asks(it)) {
            return Run::Pending;
        }
        let mut state = Run::Successful;
        for task in tasks.iter_mut().filter(|it| it.is_prune()) {
            if !self.prune(task) {
                state = Run::Failed;
            }
        }
        if state != Run::Successful {
            return state;
        }
        for task in tasks.iter_mut().filter(|it| it.is_pending() && it.deletes("BeforeHookCreation")) {
            self.delete_task(task);
            if task.live.is_some() {
                state = Run::Pending;
            }
        }
        if state != Run::Successful {
            return state;
        }
        for task in tasks.iter_mut().filter(|it| !it.is_prune()) {
            match self.bring(task) {
                Ok(message) => self.result(task, "Synced", "Running", &message),
                Err(error) => {
                    self.result(task, "SyncFailed", "Failed", &error);
                    state = Run::Failed;
                }
            }
        }
        state
    }

    /// What would come out, without anything coming out.
    fn rehearse(&mut self, tasks: &mut [Task]) -> Run {
        let mut state = Run::Successful;
        for task in tasks {
            let tried = match (&task.target, &task.resource) {
                (Some(target), Some(resource)) => {
                    apply(&self.target.cluster, resource, target, true).map(|_| "Synced")
                }
                (Some(_), None) => Ok("Synced"),
                (None, _) => Ok("Pruned"),
            };
            match tried {
                Ok(status) => self.result(task, status, "Succeeded", "(dry run)"),
                Err(error) => {
                    self.result(task, "SyncFailed", "Failed", &error);
                    state = Run::Failed;
                }
            }
        }
        state
    }

    /// Whether somebody has to agree before an object is pruned.
    pub(super) fn asks(&self, task: &Task) -> bool {
        self.object_option(task.object(), "Prune=confirm")
    }

    fn prune(&mut self, task: &mut Task) -> bool {
        let object = task.object();
        if !self.prune {
            self.result(task, "PruneSkipped", "Succeeded", "ignored (requires pruning)");
        } else if self.object_option(object, "Prune=false") {
            self.result(task, "PruneSkipped", "Succeeded", "ignored (no prune)");
        } else {
            let going = task.live.as_deref().is_some_and(is_going);
            if !going && let Err(error) = self.delete(task) {
                self.result(task, "SyncFailed", "Failed", &error);
                return false;
            }
            self.result(task, "Pruned", "Succeeded", "pruned");
        }
        true
    }

    fn propagation(&self) -> &'static str {
        ["background", "foreground", "orphan"]
            .into_iter()
            .find(|it| self.option(&format!("PrunePropagationPolicy={it}")))
            .map_or("Foreground", |it| match it {
                "background" => "Background",
                "orphan" => "Orphan",
                _ => "Foreground",
            })
    }

    fn delete(&self, task: &Task) -> Result<(), String> {
        let Some(resource) = &task.resource else { return Ok(()) };
        let object = task.object();
        let namespace = if resource.namespaced { meta(object, "namespace") } else { "" };
        let key = Cluster::key(&resource.stored_as, namespace, meta(object, "name"));
        let options = json!({ "propagationPolicy": self.propagation() });
        self.target.cluster.delete_with(CONTROLLER, &key, &options).map_err(|error| error.message)
    }

    /// Deletes a hook, and looks whether it is gone.
    pub(super) fn delete_task(&mut self, task: &mut Task) {
        if let Err(error) = self.delete(task) {
            let status = task.status.clone();
            self.result(task, &status, "Error", &format!("failed to delete resource: {error}"));
        }
        self.look_at(task);
    }

    fn look_at(&self, task: &mut Task) {
        let Some(resource) = &task.resource else { return };
        let object = task.object();
        let namespace = if resource.namespaced { meta(object, "namespace") } else { "" };
        let key = Cluster::key(&resource.stored_as, namespace, meta(object, "name"));
        task.live = self.target.cluster.get(&key);
    }

    /// Takes our finalizer from a hook.
    pub(super) fn release_hook(&mut self, task: &mut Task) {
        let (Some(resource), Some(live)) = (&task.resource, &task.live) else { return };
        if !finalizers(live).contains(&HOOK_FINALIZER) {
            return;
        }
        let key = Cluster::key(&resource.stored_as, meta(live, "namespace"), meta(live, "name"));
        let released = self.target.cluster.change(CONTROLLER, &key, |object| {
            if let Some(all) = object["metadata"]["finalizers"].as_array_mut() {
                all.retain(|it| it != HOOK_FINALIZER);
            }
        });
        if let Err(error) = released {
            let status = task.status.clone();
            self.result(task, &status, "Error", &format!("Failed to remove hook finalizer: {error}"));
        }
        self.look_at(task);
    }

    /// Hooks that are done need not be kept any more.
    pub(super) fn finish_hooks(&mut self, tasks: &mut [Task]) {
        for task in tasks.iter_mut().filter(|it| it.is_hook() && it.is_completed()) {
            self.release_hook(task);
        }
    }

    /// Deletes the hooks whose policy says so.
    pub(super) fn delete_hooks(&mut self, tasks: &mut [Task], policy: &str) {
        for task in tasks.iter_mut().filter(|it| !it.is_running() && it.deletes(policy)) {
            self.delete_task(task);
        }
    }

    /// Applies, replaces or creates one object; what there is to say about it.
    fn bring(&self, task: &mut Task) -> Result<String, String> {
        let cluster = &self.target.cluster;
        let Some(target) = task.target.clone() else { return Ok(String::new()) };
        let (group, version) = group_version(task.object());
        let (group, version) = (group.to_owned(), version.to_owned());
        // Perhaps it was defined a moment ago.
        let found = cluster.api.catalog.of_kind(&group, &version, task.kind());
        let resource = found.ok_or_else(|| {
            format!("no matches for kind \"{}\" in version \"{}\"", task.kind(), text(&target, "apiVersion"))
        })?;
        let target = self.with_ignored(Arc::unwrap_or_clone(target), task);
        let name = meta(&target, "name").to_owned();
        let shown = match group.as_str() {
            "" => format!("{}/{name}", resource.singular),
            group => format!("{}.{group}/{name}", resource.singular),
        };
        let replace = self.object_option(&target, "Replace=true");
        let force = self.force || self.object_option(&target, "Force=true");
        task.resource = Some(resource.clone());
        let message = match (&task.live, replace) {
            (Some(live), true) if !force => {
                let mut new = target.clone();
                new["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
                let path = address(&resource, &new);
                ask(cluster, "PUT", path, Query::default(), "application/json", &new)?;
                format!("{shown} replaced")
            }
            (Some(_), _) if force => {
                self.delete(task)?;
                self.look_at(task);
                apply(cluster, &resource, &target, false)?;
                format!("{shown} replaced")
            }
            (None, true) => {
                apply(cluster, &resource, &target, false)?;
                format!("{shown} created")
            }
            _ => {
                let before = task.live.as_ref().map(|it| it["metadata"]["resourceVersion"].clone());
                let made = apply(cluster, &resource, &target, false)?;
                let changed = before.as_ref() != Some(&made["metadata"]["resourceVersion"]);
                if let Some(original) = task.target.as_deref() {
                    remember(self.work, original, &made);
                }
                let server = self.object_option(&target, "ServerSideApply=true");
                match before {
                    _ if server => format!("{shown} serverside-applied"),
                    None => format!("{shown} created"),
                    Some(_) if changed => format!("{shown} configured"),
                    Some(_) => format!("{shown} unchanged"),
                }
            }
        };
        self.look_at(task);
        Ok(message)
    }

    /// With `RespectIgnoreDifferences`, ignored fields are applied as they are.
    fn with_ignored(&self, mut target: Value, task: &Task) -> Value {
        let (true, Some(live)) = (self.option("RespectIgnoreDifferences=true"), &task.live) else {
            return target;
        };
        for path in ignored(&self.work.app["spec"]["ignoreDifferences"], &Id::of(&target)) {
            copy(&mut target, live, &path);
        }
        target
    }
}

fn copy(target: &mut Value, live: &Value, path: &[Option<String>]) {
    match path {
        [Some(key)] => match (live.get(key), target.as_object_mut()) {
            (Some(value), Some(fields)) => drop(fields.insert(key.clone(), value.clone())),
            (None, Some(fields)) => drop(fields.shift_remove(key)),
            (_, None) => {}
        },
        [Some(key), rest @ ..] => {
            if let (Some(next), Some(live)) = (target.get_mut(key), live.get(key)) {
                copy(next, live, rest);
            }
        }
        [None, rest @ ..] => {
            if let (Some(all), Some(live)) = (target.as_array_mut(), live.as_array()) {
                all.iter_mut().zip(live).for_each(|(target, live)| copy(target, live, rest));
            }
        }
        [] => {}
    }
}
