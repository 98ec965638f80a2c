//! The controller of Applications: when to look at one, and what to write about it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    compare::{self, Level},
    deletion,
    elsewhere::Elsewhere,
    health,
    home::{Home, addresses, is_of_type, is_part},
    memory::Memory,
    model::{
        API_VERSION, APPLICATIONS, CONTROLLER, IMITATED, PROJECTS, REFRESH, annotation, items, sources, text,
        tracked_by,
    },
    operation::{self, Next},
    render::Renderer,
    work::{Conditions, Work},
};
use crate::{
    kube::{
        object::{is_going, meta},
        store::{Change, Gone, Key},
    },
    play::{Cluster, Controller, repositories::is_commit},
};

/// Looks, syncs and compares again within one look at an Application.
const TURNS: u32 = 5;
/// How soon what has changed by itself is synced again.
const HEAL_AFTER: SignedDuration = SignedDuration::from_secs(5);

/// The controller of Applications.
pub struct Applications {
    renderer: Arc<Renderer>,
    memory: Memory,
    elsewhere: Elsewhere,
}

impl Applications {
    /// With what renders sources.
    pub fn new(renderer: Arc<Renderer>) -> Self {
        Self { renderer, memory: Memory::default(), elsewhere: Elsewhere::default() }
    }
}

impl Controller for Applications {
    fn watches(&self) -> &'static [&'static str] {
        &[APPLICATIONS, "*"]
    }

    fn concerned(&self, cluster: &Cluster, change: &Change) -> Vec<Key> {
        let object = change.latest();
        let namespace = &change.key.namespace;
        match &*change.key.kind {
            APPLICATIONS => {
                let mut all = Vec::new();
                if asks_for_a_look(change) {
                    all.push(change.key.clone());
                }
                all.extend(parent(cluster, change));
                all
            }
            PROJECTS => {
                let of_it = |it: &Arc<Value>| text(&it["spec"], "project") == change.key.name;
                applications(cluster, Some(namespace)).filter(of_it).map(|it| key_of(&it)).collect()
            }
            "apps/statefulsets" | "apps/deployments" if is_part(&change.key.name) => {
                applications(cluster, Some(namespace)).map(|it| key_of(&it)).collect()
            }
            "/secrets" if is_of_type(object, "cluster") => {
                let names =
                    [&change.before, &change.after].into_iter().flatten().flat_map(|it| addresses(it));
                let names: Vec<_> = names.collect();
                let goes_there = |it: &Arc<Value>| {
                    let destination = &it["spec"]["destination"];
                    let to = [text(destination, "name"), text(destination, "server").trim_end_matches('/')];
                    names.iter().any(|name| !name.is_empty() && to.contains(&name.as_str()))
                };
                applications(cluster, Some(namespace)).filter(goes_there).map(|it| key_of(&it)).collect()
            }
            "/configmaps" if change.key.name == "argocd-cm" => {
                applications(cluster, Some(namespace)).map(|it| key_of(&it)).collect()
            }
            _ => parent(cluster, change).collect(),
        }
    }

    fn concerned_elsewhere(&self, cluster: &Cluster) -> Result<Vec<Key>, Gone> {
        let changes = self.elsewhere.changes()?;
        Ok(changes.iter().flat_map(|change| parent(cluster, change)).collect())
    }

    fn reconcile(&self, cluster: &Cluster, key: &Key) -> Option<SignedDuration> {
        let app = cluster.get(key)?;
        let home = Home::of(cluster, &key.namespace)?;
        if let Some(wait) = self.memory.busy(key, &app, cluster.now()) {
            return Some(wait);
        }
        let target = home.target(&app["spec"]["destination"]).map(Arc::new);
        if let Ok(target) = &target {
            self.elsewhere.hear(&home, target);
        }
        let project = home.project(text(&app["spec"], "project"));
        let mut work = Work {
            home: &home,
            app: Value::clone(&app),
            target,
            project,
            renderer: &self.renderer,
            memory: &self.memory,
        };
        if !work.app["status"].is_object() {
            work.app["status"] = json!({});
        }
        if is_going(&app) && !work.operates() {
            deletion::step(&mut work);
            return None;
        }
        let again = look(&mut work);
        self.memory.looked(key, &work.app, cluster.now(), again);
        write(&work, key, &app);
        if is_going(&app) && !work.operates() {
            deletion::step(&mut work);
        }
        again
    }
}

fn applications(cluster: &Cluster, namespace: Option<&str>) -> impl Iterator<Item = Arc<Value>> {
    cluster.list(APPLICATIONS, namespace).into_iter()
}

fn key_of(app: &Value) -> Key {
    Cluster::key(APPLICATIONS, meta(app, "namespace"), meta(app, "name"))
}

/// Whether a change of an Application is more than what this controller writes itself.
fn asks_for_a_look(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return true };
    let began = after["operation"].is_object() && before["operation"] != after["operation"];
    let ended = after["status"]["operationState"]["phase"] == "Terminating";
    began
        || ended
        || wishes(before) != wishes(after)
        || (is_going(after) && before["operation"] != after["operation"])
}

/// What others write about an Application.
fn wishes(app: &Value) -> [&Value; 4] {
    let metadata = &app["metadata"];
    [&app["spec"], &metadata["finalizers"], &metadata["deletionTimestamp"], &metadata["annotations"]]
}

/// The Application that an object came from, when the change is one that it has to know of.
fn parent(cluster: &Cluster, change: &Change) -> impl Iterator<Item = Key> {
    let names =
        [&change.before, &change.after].map(|it| it.as_deref().and_then(tracked_by).map(str::to_owned));
    let matters = names.iter().any(Option::is_some) && matters(change);
    let wanted = names.into_iter().flatten().filter(move |_| matters);
    let mut keys: Vec<Key> = wanted.flat_map(|name| cluster.api.store.named(APPLICATIONS, &name)).collect();
    keys.dedup();
    keys.into_iter()
}

/// What an object asks for.
fn fields(object: &Value) -> Vec<(&String, &Value)> {
    let all = object.as_object().into_iter().flatten();
    all.filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status" | "operation")).collect()
}

/// What it is known by.
fn own(object: &Value) -> [&Value; 5] {
    let metadata = &object["metadata"];
    ["labels", "annotations", "finalizers", "ownerReferences", "deletionTimestamp"].map(|it| &metadata[it])
}

/// What only tells how an object is matters as far as its health changes.
fn matters(change: &Change) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return true };
    own(before) != own(after)
        || fields(before) != fields(after)
        || health::of(before, true) != health::of(after, true)
}

/// Looks at an Application until there is nothing more to do now; after how long to look again.
fn look(work: &mut Work<'_>) -> Option<SignedDuration> {
    let mut again: Option<SignedDuration> = None;
    let mut level = level(work);
    let mut sooner = |by: SignedDuration| again = Some(again.map_or(by, |it| it.min(by)));
    for _ in 0..TURNS {
        if work.operates() {
            let invalid = check(work);
            if invalid {
                work.app["status"]["health"] = json!({"status": "Unknown"});
            }
            match operation::run(work) {
                Next::Done => level = level.max(after_operation(work)),
                Next::Change => {}
                Next::After(wait) => sooner(wait),
            }
        }
        if is_going(&work.app) {
            return again;
        }
        let compared = refresh(work, level);
        level = Level::Recent;
        if !compared {
            break;
        }
        if work.operates() {
            break;
        }
        match auto_sync(work) {
            Auto::Nothing => break,
            Auto::Wait(wait) => {
                sooner(wait);
                break;
            }
            Auto::Begun => {}
        }
    }
    if let Some(poll) = work.home.poll() {
        let looked: Option<Timestamp> = text(&work.app["status"], "reconciledAt").parse().ok();
        let passed = looked.map_or(SignedDuration::ZERO, |it| work.home.cluster.now().duration_since(it));
        sooner((poll - passed).max(SignedDuration::from_secs(1)));
    }
    again
}

/// Commits are looked up again after an operation that a person asked for.
fn after_operation(work: &Work<'_>) -> Level {
    let automated = work.app["status"]["operationState"]["operation"]["initiatedBy"]["automated"] == true;
    if automated { Level::Recent } else { Level::Latest }
}

/// How much of Git has to be read.
fn level(work: &Work<'_>) -> Level {
    let status = &work.app["status"];
    match annotation(&work.app, REFRESH) {
        Some("hard") => return Level::Hard,
        Some(_) => return Level::Latest,
        None => {}
    }
    let compared = &status["sync"]["comparedTo"];
    let now_compared = work.compared_to();
    let same = ["source", "sources"].iter().all(|key| compared[*key] == now_compared[*key]);
    let looked: Option<Timestamp> = text(status, "reconciledAt").parse().ok();
    let expired = looked.is_none_or(|looked| {
        work.home.poll().is_some_and(|poll| work.home.cluster.now().duration_since(looked) >= poll)
    });
    let (_, several) = sources(&work.app["spec"]);
    let known = !recorded(&status["sync"], several).is_empty();
    if !same || expired || !known { Level::Latest } else { Level::Recent }
}

/// The commits that were compared with.
fn recorded(sync: &Value, several: bool) -> Vec<String> {
    if several {
        return items(&sync["revisions"]).filter_map(Value::as_str).map(str::to_owned).collect();
    }
    Some(text(sync, "revision")).filter(|it| !it.is_empty()).map(str::to_owned).into_iter().collect()
}

/// What is wrong with the Application itself; whether something is.
fn check(work: &mut Work<'_>) -> bool {
    let found = invalid(work);
    let any = !found.is_empty();
    work.set_conditions(found, &["InvalidSpecError", "UnknownError"]);
    any
}

fn invalid(work: &Work<'_>) -> Conditions {
    let one = |message: String| vec![("InvalidSpecError", message)];
    let Some(project) = &work.project else {
        let name = work.project_name();
        return one(format!("Application referencing project {name} which does not exist"));
    };
    let spec = &work.app["spec"];
    let (all, several) = sources(spec);
    if all.is_empty() {
        return one(
            "spec.source.repoURL and either spec.source.path or spec.source.chart are required".to_owned()
        );
    }
    let mut found = Conditions::new();
    for source in all {
        let (url, chart) = (text(source, "repoURL"), text(source, "chart"));
        let nothing = text(source, "path").is_empty() && chart.is_empty();
        if url.is_empty() || (nothing && (!several || text(source, "ref").is_empty())) {
            return one(if several {
                format!(
                    "spec.source.repoURL and either source.path, source.chart, or source.ref are required for source {source}"
                )
            } else {
                "spec.source.repoURL and either spec.source.path or spec.source.chart are required".to_owned()
            });
        }
        if !chart.is_empty() && text(source, "targetRevision").is_empty() {
            return one(
                "spec.source.targetRevision is required if the manifest source is a helm chart".to_owned()
            );
        }
        if !project.permits_source(url) {
            let message = format!("application repo {url} is not permitted in project '{}'", project.name());
            found.push(("InvalidSpecError", message));
        }
    }
    let destination = &spec["destination"];
    match &work.target {
        Err(error) => found.push(("InvalidSpecError", error.clone())),
        Ok(target) => {
            let namespace = text(destination, "namespace");
            if !project.permits_destination(&target.destination(), namespace) {
                let server = if text(destination, "name").is_empty() { &target.server } else { &target.name };
                found.push((
                    "InvalidSpecError",
                    format!(
                        "application destination server '{server}' and namespace '{namespace}' do not match any of the \
                         allowed destinations in project '{}'",
                        project.name()
                    ),
                ));
            }
        }
    }
    found
}

/// Compares and writes down what was found; whether there was something to compare with.
fn refresh(work: &mut Work<'_>, level: Level) -> bool {
    let now = work.now();
    if check(work) {
        let status = &mut work.app["status"];
        status["health"] = json!({"status": "Unknown", "lastTransitionTime": now});
        status["sync"] = json!({"status": "Unknown"});
        let compared = work.compared_to();
        work.app["status"]["sync"]["comparedTo"] = compared;
        work.app["status"]["reconciledAt"] = now.into();
        return false;
    }
    let Ok(target) = work.target.clone() else { return false };
    // What failed is tried again when it is time, or somebody asks; not at every change of something else.
    let failed = items(&work.app["status"]["conditions"]).any(|it| {
        it["type"] == "ComparisonError" && text(it, "message").starts_with("Failed to load target state")
    });
    if failed && level == Level::Recent {
        return false;
    }
    let (_, several) = sources(&work.app["spec"]);
    let revisions = match level {
        Level::Recent => recorded(&work.app["status"]["sync"], several),
        _ => Vec::new(),
    };
    let chart = |it: &&Value| !text(it, "chart").is_empty();
    let all_known = sources(&work.app["spec"]).0.iter().filter(|it| !chart(it)).count()
        <= revisions.iter().filter(|it| is_commit(it)).count();
    let level = if all_known { level } else { level.max(Level::Latest) };
    let mut comparison = compare::compare(work, &target, if all_known { &revisions } else { &[] }, level);
    compare::report(work, &comparison);
    let mut conditions = std::mem::take(&mut comparison.conditions);
    conditions.extend(orphans(work, &target.cluster));
    work.set_conditions(
        conditions,
        &["ComparisonError", "RepeatedResourceWarning", "SharedResourceWarning", "OrphanedResourceWarning"],
    );
    imitate(work, comparison.imitated);
    if level > Level::Recent || work.app["status"]["reconciledAt"].is_null() {
        work.app["status"]["reconciledAt"] = now.into();
    }
    !comparison.failed
}

/// Says, or says no more, that something was only imitated.
fn imitate(work: &mut Work<'_>, imitated: Option<String>) {
    match imitated {
        Some(what) => {
            if !work.app["metadata"]["annotations"].is_object() {
                work.app["metadata"]["annotations"] = json!({});
            }
            work.app["metadata"]["annotations"][IMITATED] = what.into();
        }
        None => {
            if let Some(all) = work.app["metadata"]["annotations"].as_object_mut() {
                all.shift_remove(IMITATED);
            }
        }
    }
}

/// Objects in its namespace that no Application brought, when the project wants to know.
fn orphans(work: &Work<'_>, cluster: &Cluster) -> Conditions {
    let Some(said) = work.project.as_ref().map(|it| &it.spec()["orphanedResources"]) else {
        return Vec::new();
    };
    if !said.is_object() || said["warn"] == false {
        return Vec::new();
    }
    let namespace = text(&work.app["spec"]["destination"], "namespace");
    let ignored = |object: &Value| {
        let name = meta(object, "name");
        let made = matches!(
            (text(object, "kind"), name),
            ("ServiceAccount", "default") | ("ConfigMap", "kube-root-ca.crt") | ("Service", "kubernetes")
        );
        made || items(&said["ignore"]).any(|it| {
            let fits = |key: &str, have: &str| {
                text(it, key).is_empty() || super::model::glob(text(it, key), have, false)
            };
            let group = super::model::group_version(object).0;
            fits("group", group) && fits("kind", text(object, "kind")) && fits("name", name)
        })
    };
    let mut seen = std::collections::HashSet::new();
    let mut count = 0;
    for resource in cluster.api.catalog.all().into_iter().filter(|it| it.namespaced) {
        if resource.stored_as.contains("events") || !seen.insert(resource.stored_as.clone()) {
            continue;
        }
        let all = cluster.list(&resource.stored_as, Some(namespace));
        let alone = |it: &&Arc<Value>| {
            annotation(it, super::model::TRACKING).is_none()
                && items(&it["metadata"]["ownerReferences"]).next().is_none()
                && !ignored(it)
        };
        count += all.iter().filter(alone).count();
    }
    if count == 0 {
        Vec::new()
    } else {
        vec![("OrphanedResourceWarning", format!("Application has {count} orphaned resources"))]
    }
}

/// What the sync policy makes of a comparison.
enum Auto {
    Nothing,
    Wait(SignedDuration),
    Begun,
}

fn auto_sync(work: &mut Work<'_>) -> Auto {
    let policy = work.app["spec"]["syncPolicy"].clone();
    let automated = &policy["automated"];
    if !automated.is_object()
        || automated["enabled"] == false
        || work.app["status"]["sync"]["status"] != "OutOfSync"
    {
        work.set_conditions(Vec::new(), &["SyncError"]);
        return Auto::Nothing;
    }
    let resources = work.app["status"]["resources"].clone();
    let prune = automated["prune"] == true;
    let mut only_prune = true;
    let mut all_prune = true;
    for it in items(&resources) {
        only_prune &= it["status"] == "Synced" || it["requiresPruning"] == true;
        all_prune &= it["requiresPruning"] == true;
    }
    if !prune && only_prune {
        return Auto::Nothing;
    }
    let (_, several) = sources(&work.app["spec"]);
    let wanted = recorded(&work.app["status"]["sync"], several);
    let shown = format!("[{}]", wanted.join(" "));
    let mut sync = json!({ "revision": wanted.first().cloned().filter(|_| !several).unwrap_or_default() });
    if several {
        sync["revisions"] = wanted.clone().into();
        sync["sources"] = work.app["spec"]["sources"].clone();
    } else {
        sync["source"] = work.app["spec"]["source"].clone();
    }
    if prune {
        sync["prune"] = true.into();
    }
    if policy["syncOptions"].is_array() {
        sync["syncOptions"] = policy["syncOptions"].clone();
    }
    let state = &work.app["status"]["operationState"];
    if attempted(work, &wanted, several) {
        if state["phase"] != "Succeeded" {
            let message = format!("Failed last sync attempt to {shown}: {}", text(state, "message"));
            work.set_conditions(vec![("SyncError", message)], &["SyncError"]);
            return Auto::Nothing;
        }
        if automated["selfHeal"] != true {
            return Auto::Nothing;
        }
        let finished: Option<Timestamp> = text(state, "finishedAt").parse().ok();
        let left = finished.map(|at| HEAL_AFTER - work.home.cluster.now().duration_since(at));
        if let Some(left) = left.filter(|it| it.is_positive()) {
            return Auto::Wait(left);
        }
        let attempts = state["operation"]["sync"]["autoHealAttemptsCount"].as_u64().unwrap_or(0);
        sync["autoHealAttemptsCount"] = (attempts + 1).into();
        let out = items(&resources).filter(|it| it["status"] != "Synced" && it["hook"] != true);
        let out: Vec<Value> = out
            .map(|it| json!({"group": text(it, "group"), "kind": it["kind"], "name": it["name"]}))
            .collect();
        sync["resources"] = out.into();
    }
    if prune && automated["allowEmpty"] != true && all_prune {
        let message = format!("Skipping sync attempt to {shown}: auto-sync will wipe out all resources");
        work.set_conditions(vec![("SyncError", message)], &["SyncError"]);
        return Auto::Nothing;
    }
    let retry = if policy["retry"].is_object() { policy["retry"].clone() } else { json!({"limit": 5}) };
    work.app["operation"] = json!({"sync": sync, "initiatedBy": {"automated": true}, "retry": retry});
    work.set_conditions(Vec::new(), &["SyncError"]);
    work.home.tell(
        &work.app,
        "OperationStarted",
        &format!("Initiated automated sync to '{}'", wanted.join(", ")),
    );
    Auto::Begun
}

/// Whether the last operation was for these commits and sources.
fn attempted(work: &Work<'_>, wanted: &[String], several: bool) -> bool {
    let state = &work.app["status"]["operationState"];
    let result = &state["syncResult"];
    if !state["operation"]["sync"].is_object() || !result.is_object() {
        return false;
    }
    let (key, own) = if several { ("sources", "sources") } else { ("source", "source") };
    recorded(result, several) == wanted && result[key] == work.app["spec"][own]
}

/// Writes what has changed; what others have written meanwhile stays.
fn write(work: &Work<'_>, key: &Key, before: &Value) {
    let asked = annotation(before, REFRESH).is_some();
    let (new, old) = (&work.app, before);
    // Gone, or written by somebody else: then it is looked at again.
    let _written = work.home.cluster.change(CONTROLLER, key, |app| {
        app["status"] = new["status"].clone();
        if app["operation"] == old["operation"] {
            match (&new["operation"], app.as_object_mut()) {
                (Value::Null, Some(fields)) => drop(fields.shift_remove("operation")),
                (operation, Some(fields)) => drop(fields.insert("operation".to_owned(), operation.clone())),
                (_, None) => {}
            }
        }
        let imitated = new["metadata"]["annotations"].get(IMITATED).cloned();
        if imitated.is_some() && !app["metadata"]["annotations"].is_object() {
            app["metadata"]["annotations"] = json!({});
        }
        if let Some(all) = app["metadata"]["annotations"].as_object_mut() {
            if asked {
                all.shift_remove(REFRESH);
            }
            match imitated {
                Some(what) => drop(all.insert(IMITATED.to_owned(), what)),
                None => drop(all.shift_remove(IMITATED)),
            }
        }
        app["apiVersion"] = API_VERSION.into();
    });
}
