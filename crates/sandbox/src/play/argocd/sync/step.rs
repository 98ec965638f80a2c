//! One step.

use super::{Phase, Sync, Task};
use crate::play::argocd::health;

/// How running went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Run {
    /// Everything was done.
    Successful,
    /// Something has to go first.
    Pending,
    /// Something was refused.
    Failed,
}

impl Sync<'_> {
    /// Does what can be done now.
    pub fn step(&mut self) {
        let (mut tasks, valid) = self.tasks();
        if !valid {
            let mut words: Vec<String> = tasks
                .iter()
                .filter(|it| it.status == "SyncFailed" && !it.message.is_empty())
                .map(|it| it.message.clone())
                .collect();
            words.sort();
            words.dedup();
            let words = if words.is_empty() { String::new() } else { format!(": {}", words.join("; ")) };
            self.explain();
            return self.end("Failed", format!("one or more synchronization tasks are not valid{words}"));
        }
        self.update_running(&mut tasks);
        if self.wait(&mut tasks) {
            return;
        }
        self.finish_hooks(&mut tasks);
        let (mut on_failure, mut tasks): (Vec<Task>, Vec<Task>) =
            tasks.into_iter().partition(|it| it.phase == Phase::SyncFail);
        if tasks.iter().any(|it| it.is_completed() && it.state != "Succeeded") {
            self.delete_hooks(&mut tasks, "HookFailed");
            let words = failed_words(&tasks);
            self.fail(&mut on_failure, &words, "one or more synchronization tasks completed unsuccessfully");
            return;
        }
        let only_changed = self.option("ApplyOutOfSyncOnly=true");
        let (mut pending, mut done): (Vec<Task>, Vec<Task>) = tasks.into_iter().partition(|it| {
            it.is_pending()
                && (!only_changed || it.is_hook() || it.modified || it.live.is_none() || it.is_prune())
        });
        if pending.is_empty() {
            self.delete_hooks(&mut done, "HookSucceeded");
            return self.end("Succeeded", "successfully synced (no more tasks)");
        }
        let (phase, wave) = (pending[0].phase, pending[0].wave);
        let count = pending.iter().take_while(|it| it.phase == phase && it.wave == wave).count();
        let later = pending.split_off(count);
        self.end("Running", "one or more tasks are running");
        match self.run(&mut pending) {
            Run::Failed => {
                let words = failed_words(&pending);
                let running: Vec<&Task> =
                    pending.iter().filter(|it| it.is_running() && it.is_hook()).collect();
                if running.is_empty() {
                    if self.fail(&mut on_failure, &words, "one or more objects failed to apply") {
                        self.delete_hooks(&mut done, "HookFailed");
                    }
                } else {
                    self.wait_for(&running, false);
                }
            }
            Run::Successful if later.is_empty() && !pending.iter().any(Task::is_hook) => {
                self.delete_hooks(&mut done, "HookSucceeded");
                self.end("Succeeded", "successfully synced (all tasks run)");
            }
            Run::Successful => self.wait_for(&pending.iter().collect::<Vec<_>>(), false),
            Run::Pending => {
                let first: Vec<&Task> = pending
                    .iter()
                    .filter(|it| {
                        it.is_prune() && it.is_pending()
                            || it.is_pending() && it.deletes("BeforeHookCreation")
                    })
                    .collect();
                self.wait_for(&first, true);
            }
        }
    }

    /// Ends it: hooks that run are deleted.
    pub fn terminate(&mut self) {
        let (tasks, _) = self.tasks();
        for mut task in tasks.into_iter().filter(|it| it.is_hook()) {
            self.release_hook(&mut task);
            if task.is_running() {
                self.delete_task(&mut task);
                let status = task.status.clone();
                self.result(&mut task, &status, "Failed", "Terminated");
            }
        }
        self.end("Failed", "Operation terminated");
    }

    /// What runs may have ended.
    fn update_running(&mut self, tasks: &mut [Task]) {
        let of_applications = self.work.home.health_of_applications();
        for task in tasks.iter_mut().filter(|it| it.is_running()) {
            let Some(live) = task.live.clone() else { continue };
            let health = health::of(&live, of_applications);
            let status = task.status.clone();
            let (state, message) = match health {
                None => (
                    "Succeeded",
                    if task.is_hook() { format!("{} created", task.id().name) } else { String::new() },
                ),
                Some(it) => match it.status {
                    "Healthy" => ("Succeeded", it.message),
                    "Degraded" => ("Failed", it.message),
                    _ if task.is_hook() => ("Running", it.message),
                    _ => continue,
                },
            };
            self.result(task, &status, state, &message);
        }
    }

    /// Whether something is still under way; says what.
    fn wait(&mut self, tasks: &mut [Task]) -> bool {
        let several = tasks
            .first()
            .zip(tasks.last())
            .is_some_and(|(first, last)| first.wave != last.wave || first.phase != last.phase);
        let waits = |it: &Task| (several || it.is_hook()) && it.is_running();
        if tasks.iter().any(waits) {
            for task in tasks.iter_mut().filter(|it| waits(it) && it.live.is_none()) {
                let message = format!("Resource {} is missing, it might have been deleted", task.shown());
                self.result(task, "SyncFailed", "Error", &message);
            }
            let running: Vec<&Task> = tasks.iter().filter(|it| waits(it)).collect();
            if !running.is_empty() {
                self.wait_for(&running, false);
                return true;
            }
        }
        let going: Vec<&Task> = tasks
            .iter()
            .filter(|it| {
                it.status == "Pruned" && it.live.as_deref().is_some_and(crate::kube::object::is_going)
            })
            .collect();
        if !going.is_empty() {
            self.wait_for(&going, true);
            return true;
        }
        false
    }

    fn wait_for(&mut self, tasks: &[&Task], going: bool) {
        let (hooks, others): (Vec<&Task>, Vec<&Task>) = tasks.iter().partition(|it| it.is_hook());
        let Some(first) = hooks.first().or(others.first()) else { return self.end("Running", "") };
        let mut reason = if hooks.is_empty() { "healthy state of" } else { "completion of hook" };
        if going {
            reason = if hooks.is_empty() { "deletion of" } else { "deletion of hook" };
        }
        let mut message = format!("waiting for {reason} {}", first.shown());
        if !self.confirmed {
            let asks: Vec<&&Task> = tasks.iter().filter(|it| it.is_prune() && self.asks(it)).collect();
            if let Some(first) = asks.first() {
                message = format!("waiting for pruning confirmation of {}", first.shown());
            }
        }
        if tasks.len() > 1 {
            let what = if others.is_empty() { "hooks" } else { "resources" };
            message += &format!(" and {} more {what}", tasks.len() - 1);
        }
        self.end("Running", message);
    }

    /// Runs the hooks for failures; whether all of them are done.
    fn fail(&mut self, hooks: &mut [Task], words: &[String], message: &str) -> bool {
        let reason = |words: &[String], message: &str| {
            if words.is_empty() {
                message.to_owned()
            } else {
                format!("{message}, reason: {}", words.join(","))
            }
        };
        let mut message = reason(words, message);
        if hooks.iter().all(Task::is_completed) {
            let failed = failed_words(hooks);
            if !failed.is_empty() {
                message += &format!("\n{}", reason(&failed, "one or more SyncFail hooks failed"));
            }
            self.end("Failed", message);
            return true;
        }
        for hook in hooks.iter_mut().filter(|it| it.is_pending()) {
            self.run(std::slice::from_mut(hook));
        }
        let waiting: Vec<&Task> = hooks.iter().filter(|it| !it.is_completed()).collect();
        self.wait_for(&waiting, false);
        false
    }

    /// Puts the words for people over those of the API.
    fn explain(&mut self) {
        for entry in &mut self.results {
            let message = entry["message"].as_str().unwrap_or_default();
            if message == "the server could not find the requested resource"
                || message.ends_with("\"\" not found")
            {
                let part = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
                let (group, kind, name) = (part("group"), part("kind"), part("name"));
                entry["message"] = format!(
                    "The Kubernetes API could not find {group}/{kind} for requested resource {}/{name}. Make sure the \
                     \"{kind}\" CRD is installed on the destination cluster.",
                    part("namespace")
                )
                .into();
            }
        }
    }
}

fn failed_words(tasks: &[Task]) -> Vec<String> {
    let mut words: Vec<String> =
        tasks.iter().filter(|it| it.status == "SyncFailed").map(|it| it.message.clone()).collect();
    words.sort();
    words.dedup();
    words
}
