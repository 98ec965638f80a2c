//! Operations: asked for by people or by the sync policy, run in steps, tried again when they fail.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    compare::{Comparison, Level, compare},
    home::Target,
    model::{duration, sources, text},
    sync::Sync,
    work::Work,
};
use crate::kube::object::time;

/// Steps within one look; more are taken at the next.
const STEPS: u32 = 100;

/// What an operation wants next.
pub enum Next {
    /// A look when something changes.
    Change,
    /// A look after a while.
    After(SignedDuration),
    /// It is done: a fresh comparison.
    Done,
}

/// Takes an operation as far as it goes now.
pub fn run(work: &mut Work<'_>) -> Next {
    let now = work.home.cluster.now();
    let mut state = match begin(work, now) {
        Ok(state) => state,
        Err(next) => return next,
    };
    let terminating = state["phase"] == "Terminating";
    let (phase, message) = match ready(work, &state) {
        Ok(target) => sync(work, &target, &mut state),
        Err(message) => ("Error", message),
    };
    state["phase"] = phase.into();
    state["message"] = message.into();
    let next = if phase == "Running" { Next::Change } else { finish(work, &mut state, now, terminating) };
    work.app["status"]["operationState"] = state;
    if matches!(next, Next::Done)
        && let Some(app) = work.app.as_object_mut()
    {
        app.shift_remove("operation");
    }
    next
}

/// The state that it goes on from; `Err`: it is not time yet.
fn begin(work: &mut Work<'_>, now: Timestamp) -> Result<Value, Next> {
    let mut state = work.app["status"]["operationState"].clone();
    let operation = &work.app["operation"];
    let in_progress = matches!(text(&state, "phase"), "Running" | "Terminating") && state.is_object();
    if !in_progress {
        return Ok(json!({
            "operation": operation, "phase": "Running", "startedAt": time(now),
        }));
    }
    if let (true, Some(finished)) = (state["phase"] == "Running", state["finishedAt"].as_str()) {
        let count = state["retryCount"].as_u64().unwrap_or(0);
        let since = finished.parse::<Timestamp>().unwrap_or(now);
        let wait = backoff(&state["operation"]["retry"], count.saturating_sub(1));
        let left = since.checked_add(wait).unwrap_or(now).duration_since(now);
        if left.is_positive() {
            return Err(Next::After(left));
        }
        let refresh = state["operation"]["retry"]["refresh"] == true;
        let extra = if refresh { " with latest revisions" } else { "" };
        state["message"] = format!("Retrying operation{extra}. Attempt #{count}").into();
        if refresh && let Some(asked) = state["operation"]["sync"].as_object_mut() {
            asked.shift_remove("revision");
            asked.shift_remove("revisions");
        }
        if let Some(fields) = state.as_object_mut() {
            fields.shift_remove("finishedAt");
            fields.shift_remove("syncResult");
        }
    }
    Ok(state)
}

/// How long to wait before a try: five seconds, doubled each time, three minutes at most, unless the policy says.
fn backoff(retry: &Value, count: u64) -> SignedDuration {
    let said = &retry["backoff"];
    let first = duration(text(said, "duration")).unwrap_or(SignedDuration::from_secs(5));
    let most = duration(text(said, "maxDuration")).unwrap_or(SignedDuration::from_mins(3));
    let factor = said["factor"].as_f64().unwrap_or(2.0);
    let seconds = first.as_secs_f64() * factor.powi(count.min(64) as i32);
    SignedDuration::try_from_secs_f64(seconds).unwrap_or(most).min(most)
}

/// Whether it can be done at all.
fn ready(work: &Work<'_>, state: &Value) -> Result<Arc<Target>, String> {
    if !state["operation"]["sync"].is_object() {
        return Err("Invalid operation request: no operation specified".to_owned());
    }
    if work.project.is_none() {
        let project = work.project_name();
        return Err(format!(
            "Failed to load application project: appproject.argoproj.io \"{project}\" not found"
        ));
    }
    work.target.clone().map_err(|error| format!("Failed to get destination cluster: {error}"))
}

fn sync(work: &mut Work<'_>, target: &Target, state: &mut Value) -> (&'static str, String) {
    let operation = state["operation"]["sync"].clone();
    let known = match state["syncResult"].is_object() {
        true => &state["syncResult"],
        false => &operation,
    };
    let comparison = compare_for(work, target, &operation, known);
    let errors: Vec<String> = comparison
        .conditions
        .iter()
        .filter(|(kind, _)| *kind == "ComparisonError")
        .map(|(kind, message)| format!("{kind}: {message}"))
        .chain(Some(work.told(&["InvalidSpecError"])).filter(|it| !it.is_empty()))
        .collect();
    state["syncResult"] = result_of(work, &comparison.revisions, &state["syncResult"]);
    if !errors.is_empty() && state["phase"] != "Terminating" {
        return ("Error", errors.join(";"));
    }
    let shared = comparison.conditions.iter().find(|(kind, _)| *kind == "SharedResourceWarning");
    let options = work.options(&state["operation"]);
    if let Some((_, message)) = shared.filter(|_| options.iter().any(|it| it == "FailOnSharedResource=true"))
    {
        return ("Failed", format!("Shared resource found: {message}"));
    }
    let mut sync = Sync::new(work, target, state, comparison);
    if state["phase"] == "Terminating" {
        sync.terminate();
    } else {
        for _ in 0..STEPS {
            let before = (sync.results.clone(), sync.message.clone());
            sync.step();
            if sync.phase != "Running" || before == (sync.results.clone(), sync.message.clone()) {
                break;
            }
            sync.look();
        }
    }
    let (phase, message, results) = (sync.phase, sync.message, sync.results);
    state["syncResult"]["resources"] = results.into();
    let whole = operation["dryRun"] != true && operation["resources"].as_array().is_none_or(Vec::is_empty);
    if phase == "Succeeded" && whole {
        remember(work, state);
    }
    (phase, message)
}

/// What an operation is about: its own sources and revisions, or those of the Application.
fn compare_for(work: &mut Work<'_>, target: &Target, operation: &Value, known: &Value) -> Comparison {
    let revisions: Vec<String> = match known["revisions"].as_array().filter(|all| !all.is_empty()) {
        Some(all) => all.iter().map(|it| it.as_str().unwrap_or_default().to_owned()).collect(),
        None => {
            Some(text(known, "revision")).filter(|it| !it.is_empty()).map(str::to_owned).into_iter().collect()
        }
    };
    let spec = work.app["spec"].clone();
    for key in ["source", "sources"] {
        if operation[key].is_object() || operation[key].as_array().is_some_and(|all| !all.is_empty()) {
            work.app["spec"][key] = operation[key].clone();
        }
    }
    let comparison = compare(work, target, &revisions, Level::Recent);
    work.app["spec"] = spec;
    comparison
}

fn result_of(work: &Work<'_>, revisions: &[String], before: &Value) -> Value {
    let mut result = if before.is_object() { before.clone() } else { json!({}) };
    let (all, several) = sources(&work.app["spec"]);
    result["revision"] =
        if several { "".into() } else { revisions.first().cloned().unwrap_or_default().into() };
    if several {
        result["revisions"] = revisions.to_vec().into();
        result["sources"] = all.into_iter().cloned().collect();
    } else if let Some(source) = all.first() {
        result["source"] = (*source).clone();
    }
    let managed = &work.app["spec"]["syncPolicy"]["managedNamespaceMetadata"];
    if managed.is_object() {
        result["managedNamespaceMetadata"] = managed.clone();
    }
    result
}

/// Adds an entry to the history, which keeps ten unless the Application says.
fn remember(work: &mut Work<'_>, state: &Value) {
    let now = work.now();
    let keep = work.app["spec"]["revisionHistoryLimit"].as_u64().unwrap_or(10);
    let mut history = work.app["status"]["history"].as_array().cloned().unwrap_or_default();
    let id = history.last().and_then(|it| it["id"].as_u64()).map_or(0, |id| id + 1);
    let result = &state["syncResult"];
    let mut entry = json!({
        "id": id, "deployedAt": now, "deployStartedAt": state["startedAt"], "revision": result["revision"],
    });
    for key in ["source", "sources", "revisions"] {
        if !result[key].is_null() {
            entry[key] = result[key].clone();
        }
    }
    let by = &state["operation"]["initiatedBy"];
    entry["initiatedBy"] = if by.is_object() { by.clone() } else { json!({}) };
    history.push(entry);
    let keep = usize::try_from(keep).unwrap_or(10);
    let first = history.len().saturating_sub(keep);
    work.app["status"]["history"] = history.split_off(first).into();
}

/// Whether it is tried again, and its last words if not.
fn finish(work: &Work<'_>, state: &mut Value, now: Timestamp, terminating: bool) -> Next {
    let phase = text(state, "phase").to_owned();
    let count = state["retryCount"].as_u64().unwrap_or(0);
    let limit = state["operation"]["retry"]["limit"].as_i64().unwrap_or(0);
    let message = text(state, "message").to_owned();
    if matches!(phase.as_str(), "Failed" | "Error") {
        let more = limit < 0 || count < u64::try_from(limit).unwrap_or(0);
        if more && !terminating {
            let wait = backoff(&state["operation"]["retry"], count);
            let at = now.checked_add(wait).unwrap_or(now);
            let count = count + 1;
            state["phase"] = "Running".into();
            state["finishedAt"] = time(now).into();
            state["retryCount"] = count.into();
            state["message"] = format!("{message}. Retrying attempt #{count} at {}.", time(at)).into();
            return Next::After(wait);
        }
        if count > 0 && !terminating {
            state["message"] = format!("{message} (retried {count} times).").into();
        }
    }
    state["finishedAt"] = time(now).into();
    let words = format!(
        "Sync operation to {} {}",
        text(&state["syncResult"], "revision"),
        match phase.as_str() {
            "Succeeded" => "succeeded".to_owned(),
            _ => format!("failed: {}", text(state, "message")),
        }
    );
    work.home.tell(&work.app, "OperationCompleted", &words);
    Next::Done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_a_limit() {
        let retry = json!({"backoff": {"duration": "5s", "factor": 2, "maxDuration": "1m"}});
        let waits: Vec<i64> = (0..6).map(|count| backoff(&retry, count).as_secs()).collect();
        assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
        assert_eq!(backoff(&json!({}), 10).as_secs(), 180);
    }
}
