//! How the Applications are: one row each, read from what Argo CD's controllers wrote.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{API_VERSION, AppRef};
use crate::{client::Cluster, wait::Verdict};

const REFRESH: &str = "argocd.argoproj.io/refresh";
/// How long an operation for an older commit may go on before it is ended.
const LONG: SignedDuration = SignedDuration::from_secs(60);

/// Where a repository should stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct At {
    /// URL of the repository as the Applications name it.
    pub repo: String,
    /// Full commit id.
    pub commit: String,
}

/// One Application.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppStatus {
    /// Which.
    pub app: AppRef,
    /// Whether it exists at all.
    pub exists: bool,
    /// `Synced`, `OutOfSync`, `Unknown`; empty before the first comparison.
    pub sync: String,
    /// `Healthy`, `Progressing`, `Degraded`, `Missing`, `Suspended`, `Unknown`; empty before the first look.
    pub health: String,
    /// `Running`, `Succeeded`, `Failed`, `Error`, `Terminating`; `None` when nothing had to be synced so far.
    pub operation: Option<String>,
    /// What the operation says.
    pub message: String,
    /// How often the operation has been tried again.
    pub retries: u64,
    /// When the operation began.
    pub operation_since: String,
    /// The commits compared with, one for each source.
    pub revisions: Vec<String>,
    /// Whether every source out of our repositories is compared at our commit, and as the Application is written now.
    pub at_commit: bool,
    /// Whether the last operation is (or was) for our commit.
    pub tried_commit: bool,
    /// Error conditions in Argo CD's words: `ComparisonError: …`.
    pub errors: Vec<String>,
    /// An error among them that waiting does not mend.
    #[serde(default)]
    pub refused: Option<Refused>,
    /// When Argo CD last compared it with Git.
    pub reconciled_at: String,
    /// Whether somebody must sync it: Argo CD does not by itself.
    #[serde(default)]
    pub manual: bool,
    /// Whether it was ever synced.
    #[serde(default)]
    pub deployed: bool,
}

/// An error that waiting does not mend: the repository refuses us, or has not what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What kind of refusal.
    pub class: Class,
    /// Since when Argo CD says the same; empty when it does not say.
    pub since: String,
}

/// What Git servers, Argo CD's repository server and the libraries between them say, in lower case, when asking again
/// does not help.
const REFUSALS: &[(&str, Class)] = &[
    ("authentication required", Class::AuthExpired),
    ("authentication failed", Class::AuthExpired),
    ("unable to authenticate", Class::AuthExpired),
    ("invalid credentials", Class::AuthExpired),
    ("could not read username", Class::AuthExpired),
    ("permission denied (publickey", Class::AuthExpired),
    ("authorization failed", Class::Forbidden),
    ("repository not found", Class::NotFound),
    ("remote repository is empty", Class::NotFound),
    ("couldn't find remote ref", Class::NotFound),
    ("to a commit sha", Class::NotFound),
    ("app path does not exist", Class::NotFound),
];

/// How old a comparison may be before a health that is still Progressing is doubted. Longer than a rollout's next event
/// takes to reach Argo CD, much shorter than its own two minutes.
const LINGERS: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

impl AppStatus {
    /// Synced, Healthy, its operation succeeded, at our commit. One that Argo CD does not sync by itself needs to have been synced
    /// once: when it follows Git again is for people to say.
    pub fn is_settled(&self) -> bool {
        let operation_done = self.operation.as_deref().is_none_or(|phase| phase == "Succeeded");
        let left_to_people = self.manual && self.deployed && self.sync == "OutOfSync";
        (self.sync == "Synced" || left_to_people)
            && self.health == "Healthy"
            && operation_done
            && self.at_commit
            && self.errors.is_empty()
    }

    /// Whether it is synced at our commit and its health has not been looked at for a while. Argo CD notices some changes
    /// of health (a CRD that becomes Established) only when it compares again, minutes later.
    fn lingers(&self, now: Timestamp) -> bool {
        let looked: Option<Timestamp> = self.reconciled_at.parse().ok();
        self.at_commit
            && self.sync == "Synced"
            && self.health == "Progressing"
            && looked.is_some_and(|looked| now.duration_since(looked) > LINGERS)
    }

    /// What is lacking, in words.
    fn lacks(&self) -> String {
        let app = &self.app;
        if !self.exists {
            return format!("{app}: not there yet");
        }
        if let Some(error) = self.errors.first() {
            return format!("{app}: {error}");
        }
        if !self.at_commit {
            let seen = self.revisions.iter().map(|r| r.get(..7).unwrap_or(r)).collect::<Vec<_>>().join(", ");
            return match seen.as_str() {
                "" => format!("{app}: not compared with Git yet"),
                seen => format!("{app}: still at {seen}"),
            };
        }
        let blank = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
        let operation = self.operation.as_deref().unwrap_or("none");
        let said = if self.is_retrying() { format!(": {}", self.message) } else { String::new() };
        format!("{app}: {}, {}, operation {operation}{said}", blank(&self.sync), blank(&self.health))
    }

    /// Whether it has been refused for at least so long.
    fn is_refused_for(&self, now: Timestamp, patience: SignedDuration) -> bool {
        // An Argo CD that does not say since when leaves the waiting to the caller.
        let long = |refused: &Refused| {
            refused.since.parse::<Timestamp>().map_or(true, |since| now.duration_since(since) >= patience)
        };
        self.refused.as_ref().is_some_and(long)
    }

    fn has_failed(&self) -> bool {
        matches!(self.operation.as_deref(), Some("Failed" | "Error"))
    }

    /// Whether it has never been synced, and never will be by itself.
    fn awaits_its_first_sync(&self) -> bool {
        self.manual
            && !self.deployed
            && self.at_commit
            && self.sync == "OutOfSync"
            && self.operation.is_none()
            && self.errors.is_empty()
    }

    /// Whether the failure of an older commit would stand for ever: Argo CD does not sync what is synced.
    fn is_left_failed(&self) -> bool {
        self.has_failed() && !self.tried_commit && self.at_commit && self.sync == "Synced"
    }

    fn is_retrying(&self) -> bool {
        self.retries > 0 && self.operation.as_deref() == Some("Running")
    }

    /// Whether an operation for another commit is in the way of ours: it is being retried, or has been going for long,
    /// as one does whose sync wave waits for something that only the newer commit mends.
    fn is_outdated(&self, now: Timestamp) -> bool {
        let since = self.operation_since.parse::<Timestamp>();
        let long = since.is_ok_and(|since| now.duration_since(since) > LONG);
        self.operation.as_deref() == Some("Running") && !self.tried_commit && (self.retries > 0 || long)
    }

    fn read(app: &AppRef, live: Option<&Value>, at: &[At]) -> Self {
        let empty = Value::Null;
        let live_or_null = live.unwrap_or(&empty);
        let (spec, status) = (&live_or_null["spec"], &live_or_null["status"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let operation = &status["operationState"];
        let sync = &status["sync"];
        // An operation that is asked for and not begun is as good as running.
        let pending = live_or_null["operation"].is_object();
        Self {
            app: app.clone(),
            exists: live.is_some(),
            sync: text(&sync["status"]),
            health: text(&status["health"]["status"]),
            operation: if pending {
                Some("Running".into())
            } else {
                operation["phase"].as_str().map(str::to_owned)
            },
            message: text(&operation["message"]),
            retries: operation["retryCount"].as_u64().unwrap_or(0),
            operation_since: text(&operation["startedAt"]),
            revisions: revisions(sync),
            at_commit: is_at(spec, &revisions(sync), at) && compared_as_written(spec, &sync["comparedTo"]),
            tried_commit: is_at(spec, &operation_revisions(operation), at),
            errors: errors(status),
            refused: refused(status),
            reconciled_at: text(&status["reconciledAt"]),
            // `automated: {}` is on, too.
            manual: spec["syncPolicy"]["automated"].is_null()
                || spec["syncPolicy"]["automated"]["enabled"] == false,
            deployed: status["history"].as_array().is_some_and(|history| !history.is_empty()),
        }
    }
}

/// Type, message and condition of those that are errors.
fn error_conditions(status: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    conditions
        .filter_map(|one| Some((one["type"].as_str()?, one["message"].as_str().unwrap_or_default(), one)))
        .filter(|(kind, ..)| kind.ends_with("Error"))
}

fn errors(status: &Value) -> Vec<String> {
    error_conditions(status).map(|(kind, message, _)| format!("{kind}: {message}")).collect()
}

fn refused(status: &Value) -> Option<Refused> {
    error_conditions(status).find_map(|(_, message, one)| {
        let message = message.to_lowercase();
        let (_, class) = REFUSALS.iter().find(|(words, _)| message.contains(words))?;
        let since = one["lastTransitionTime"].as_str().unwrap_or_default().to_owned();
        Some(Refused { class: *class, since })
    })
}

/// `revisions` of an Application with several sources, `revision` of one with a single source.
fn revisions(from: &Value) -> Vec<String> {
    match from["revisions"].as_array().filter(|all| !all.is_empty()) {
        Some(all) => all.iter().map(|one| one.as_str().unwrap_or_default().to_owned()).collect(),
        None => {
            from["revision"].as_str().filter(|one| !one.is_empty()).map(str::to_owned).into_iter().collect()
        }
    }
}

/// What an operation was asked to sync, or, when it was asked for the newest, what it found.
fn operation_revisions(operation: &Value) -> Vec<String> {
    let asked = revisions(&operation["operation"]["sync"]);
    if asked.is_empty() { revisions(&operation["syncResult"]) } else { asked }
}

fn sources(of: &Value) -> Vec<&Value> {
    match of["sources"].as_array().filter(|all| !all.is_empty()) {
        Some(all) => all.iter().collect(),
        None => of.get("source").filter(|one| one.is_object()).into_iter().collect(),
    }
}

/// Whether every source that comes from one of the repositories is at that repository's commit.
fn is_at(spec: &Value, revisions: &[String], at: &[At]) -> bool {
    let sources = sources(spec);
    !sources.is_empty()
        && sources.iter().enumerate().all(|(index, source)| {
            let repo = source["repoURL"].as_str().unwrap_or_default();
            match at.iter().find(|one| same_repo(&one.repo, repo)) {
                Some(one) => revisions.get(index) == Some(&one.commit),
                None => revisions.get(index).is_some(),
            }
        })
}

/// Whether the comparison was of the Application as it is written now.
fn compared_as_written(spec: &Value, compared: &Value) -> bool {
    let key = |source: &Value| {
        let text = |name: &str| source[name].as_str().unwrap_or_default().to_owned();
        [text("repoURL"), text("path"), text("targetRevision"), text("chart")]
    };
    let (written, compared) = (sources(spec), sources(compared));
    written.len() == compared.len() && written.iter().zip(&compared).all(|(a, b)| key(a) == key(b))
}

/// As Argo CD compares them: without the last slash and `.git`, whatever the case.
fn same_repo(a: &str, b: &str) -> bool {
    let plain = |url: &str| {
        let url = url.trim_end_matches('/');
        url.strip_suffix(".git").unwrap_or(url).to_lowercase()
    };
    plain(a) == plain(b)
}

/// All Applications that are waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// One row for each, in the order asked for.
    pub rows: Vec<AppStatus>,
}

impl Table {
    /// Whether every one is settled. Ask on two successive looks: between two syncs all can look well for a moment.
    pub fn all_settled(&self) -> bool {
        self.rows.iter().all(AppStatus::is_settled)
    }

    /// Met when all are settled; otherwise how many are, and what the first two lack.
    pub fn verdict(&self) -> Verdict {
        let open: Vec<String> =
            self.rows.iter().filter(|row| !row.is_settled()).map(AppStatus::lacks).collect();
        let done = self.rows.len() - open.len();
        match open.as_slice() {
            [] => Verdict::Met,
            open => {
                let shown = open.iter().take(2).cloned().collect::<Vec<_>>().join("; ");
                let more =
                    if open.len() > 2 { format!("; and {} more", open.len() - 2) } else { String::new() };
                Verdict::NotYet {
                    waiting_for: format!("{done} of {} applications settled; {shown}{more}", self.rows.len()),
                }
            }
        }
    }

    /// What tells this look from another: a digest over all rows with the times of their comparisons.
    pub fn digest(&self) -> String {
        hex::encode(Sha256::digest(json!(self.rows).to_string()))
    }

    /// Whether [`Cluster::refresh_stale`] would have something to do.
    pub fn is_stale(&self, now: Timestamp) -> bool {
        self.rows.iter().any(|row| {
            let behind = !row.at_commit || row.lingers(now) || row.refused.is_some();
            let asks = row.is_left_failed() || row.awaits_its_first_sync();
            row.exists && (behind || row.is_outdated(now) || asks)
        })
    }

    /// Whether an Application is refused by its repository.
    pub fn is_refused(&self) -> bool {
        self.rows.iter().any(|row| row.refused.is_some())
    }

    /// Applications that their repository has refused for at least so long: asking again does not help.
    pub fn refused(&self, now: Timestamp, patience: SignedDuration) -> Option<Failure> {
        let of: Vec<&AppStatus> = self.rows.iter().filter(|row| row.is_refused_for(now, patience)).collect();
        let first = of.first()?;
        let failure = Failure::new(
            Code::new("P0424"),
            first.refused.as_ref()?.class,
            format!("Argo CD cannot use the repository of {}", names(&of)),
        );
        let errors =
            of.iter().flat_map(|row| row.errors.iter().map(move |error| format!("{}: {error}", row.app)));
        Some(
            errors
                .fold(failure, Failure::because)
                .hint("if the password is wrong, mend what `git.server.authRef` names; if the repository or branch is not there, make it; then `platform resume`")
                .hint(format!(
                    "`kubectl -n {} get application {} -o yaml` shows the URL that Argo CD uses, and what it says now",
                    first.app.namespace, first.app.name
                )),
        )
    }

    /// What keeps Applications from converging, in Argo CD's words; `None` while all are well or under way.
    ///
    /// The class says whether waiting may help: an operation that failed at our commit is not tried again by Argo CD
    /// (`config`; see [`Cluster::sync_again`]), whereas an error of comparison may pass (`retryable`).
    pub fn trouble(&self) -> Option<Failure> {
        let of: Vec<&AppStatus> =
            self.rows.iter().filter(|row| row.tried_commit && row.has_failed()).collect();
        if let Some(first) = of.first() {
            let failure = Failure::new(
                Code::new("P0420"),
                Class::Config,
                format!("Argo CD could not sync {}", names(&of)),
            )
            .hint(format!(
                "mend what it says, push, and `platform resume`; details: `kubectl -n {} get application {} -o yaml`",
                first.app.namespace, first.app.name
            ));
            return Some(of.iter().fold(failure, |failure, row| {
                failure.because(format!("{}: sync failed: {}", row.app, row.message))
            }));
        }
        let of: Vec<&AppStatus> =
            self.rows.iter().filter(|row| !row.errors.is_empty() || row.is_retrying()).collect();
        let first = of.first()?;
        let failure = Failure::new(
            Code::new("P0423"),
            Class::Retryable,
            format!("Argo CD reports errors for {}", names(&of)),
        )
        .hint(format!(
            "`kubectl -n {} get application {} -o yaml`, under status.conditions; a repository error is most often a wrong URL or password",
            first.app.namespace, first.app.name
        ));
        let errors = of.iter().flat_map(|row| {
            let retried =
                row.is_retrying().then(|| format!("{}: sync is being retried: {}", row.app, row.message));
            row.errors.iter().map(move |error| format!("{}: {error}", row.app)).chain(retried)
        });
        Some(errors.fold(failure, Failure::because))
    }
}

fn names(rows: &[&AppStatus]) -> String {
    match rows {
        [one] => format!("application {}", one.app),
        [one, rest @ ..] => format!("application {} and {} more", one.app, rest.len()),
        [] => "no application".into(),
    }
}

impl Cluster {
    /// How the expected Applications are. Only reads.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn applications(&self, expected: &[AppRef], at: &[At]) -> Result<Table, Failure> {
        // One list of each namespace: there may be thousands.
        let namespaces: BTreeSet<&str> = expected.iter().map(|app| app.namespace.as_str()).collect();
        let mut found = BTreeMap::new();
        for namespace in namespaces {
            for live in self.list(API_VERSION, "Application", Some(namespace)).await? {
                let name = live["metadata"]["name"].as_str().unwrap_or_default().to_owned();
                found.insert((namespace, name), live);
            }
        }
        let rows = expected.iter().map(|app| {
            let live = found.get(&(app.namespace.as_str(), app.name.clone()));
            AppStatus::read(app, live.map(|it| &**it), at)
        });
        Ok(Table { rows: rows.collect() })
    }

    /// Asks Argo CD to compare those anew that are not at our commit or refused, past its cache of Git, and ends operations for
    /// older commits that are in the way: those that are being retried, or have been going for a minute. One that is
    /// at our commit and synced, but whose last operation failed at another, is asked to sync. What is settled, and
    /// what was asked already, is not written to. Gives back whom it asked.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn refresh_stale(&self, table: &Table) -> Result<Vec<AppRef>, Failure> {
        let mut asked = Vec::new();
        for row in table.rows.iter().filter(|row| row.exists) {
            if row.is_outdated(self.now()) {
                self.end_operation(&row.app).await?;
            }
            if row.at_commit {
                // Argo CD does not sync what is synced, and so the failure of an older commit would stand for ever.
                if row.has_failed() && !row.tried_commit && row.sync == "Synced" && self.sync_one(row).await?
                {
                    asked.push(row.app.clone());
                }
                if !row.lingers(self.now()) && row.refused.is_none() {
                    continue;
                }
            }
            let deed = || format!("could not ask Argo CD to refresh {}", row.app);
            let Some(live) = self.get(&row.app.object()).await? else { continue };
            if live["metadata"]["annotations"][REFRESH].is_string() {
                continue;
            }
            // At our commit only the health is old: that needs no new look at Git.
            let how = if row.at_commit && row.refused.is_none() { "normal" } else { "hard" };
            let body = json!({"metadata": {"annotations": {REFRESH: how}}});
            self.merge(&row.app.object(), &body).await.map_err(|r| r.during(deed()))?;
            asked.push(row.app.clone());
        }
        Ok(asked)
    }

    /// Ends a running operation, as `argocd app terminate-op` does. An Application is neither synced to a newer commit
    /// nor deleted while one runs, and one that is retried runs for minutes.
    pub(super) async fn end_operation(&self, app: &AppRef) -> Result<(), Failure> {
        let body = json!({"status": {"operationState": {"phase": "Terminating"}}});
        match self.merge(&app.object(), &body).await {
            Err(refusal) if !refusal.is_not_found() => {
                Err(refusal.during(format!("could not end the operation of {app}")))
            }
            _ => Ok(()),
        }
    }

    /// Asks Argo CD to sync those again whose operation failed at our commit: on its own it tries a commit once. Asks it, too, to
    /// sync those for the first time that it does not sync by itself. Gives back whom it asked.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn sync_again(&self, table: &Table) -> Result<Vec<AppRef>, Failure> {
        let mut asked = Vec::new();
        let failed = |row: &&AppStatus| row.has_failed() && row.tried_commit;
        for row in table.rows.iter().filter(|row| failed(row) || row.awaits_its_first_sync()) {
            if self.sync_one(row).await? {
                asked.push(row.app.clone());
            }
        }
        Ok(asked)
    }

    async fn sync_one(&self, row: &AppStatus) -> Result<bool, Failure> {
        let Some(live) = self.get(&row.app.object()).await? else { return Ok(false) };
        let policy = &live["spec"]["syncPolicy"];
        let mut sync = json!({"prune": policy["automated"]["prune"].as_bool().unwrap_or(false)});
        if policy["syncOptions"].is_array() {
            sync["syncOptions"] = policy["syncOptions"].clone();
        }
        let body = json!({"operation": {"initiatedBy": {"username": "platform"}, "sync": sync}});
        let deed = || format!("could not ask Argo CD to sync {}", row.app);
        self.merge(&row.app.object(), &body).await.map_err(|r| r.during(deed()))?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests;
