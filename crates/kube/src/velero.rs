//! Velero: its bootstrap Secret, its storage location, its schedule, and backups.

mod keys;
mod location;
mod restores;

use jiff::Timestamp;
pub use keys::aws_file;
pub use location::Location;
use platform_spec::{Class, Code, Failure};
pub use restores::Restores;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::{
    client::{Cluster, METADATA_LIST},
    manifest::Manifest,
    object::{MANAGED_BY_LABEL, MANAGER, OWNER_LABEL, Object, ObjectRef},
    wait::Verdict,
};

/// Version of Velero's own kinds.
pub const API_VERSION: &str = "velero.io/v1";
/// How often a backup is begun again under another name when Velero's server was restarted in its middle.
const RESTARTS: u32 = 5;

/// The Secret with which Velero reaches its object store.
const CREDENTIALS: &str = "cloud-credentials";
/// The Secret with which Velero reaches its object store: `cloud-credentials`, key `cloud`, in the form that the
/// plugin wants (for AWS an ini file). It cannot come from Git, so it comes from us.
pub fn credentials(owner: &str, namespace: &str, cloud: SecretString) -> Manifest {
    let object = Object::named(&ObjectRef::namespaced("v1", "Secret", namespace, CREDENTIALS))
        .with("type", json!("Opaque"))
        .with_secret("cloud", cloud);
    Manifest::new(owner, [object])
}

/// How a backup stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Backup {
    /// None of this name yet, or those there were are void: [`Cluster::start_backup`] makes the one named here.
    None {
        /// The name that is free.
        next: String,
    },
    /// Not finished. A phase that is unknown to us counts as such.
    Running {
        /// Its name.
        name: String,
        /// What it is doing: `InProgress, 12 of 20 items`.
        waiting_for: String,
    },
    /// Finished without a fault.
    Completed {
        /// Its name.
        name: String,
        /// How many items it holds.
        items: u64,
        /// Warnings counted.
        warnings: u64,
        /// When it was finished, as Velero writes it.
        at: String,
    },
    /// Finished, and no good.
    Failed(Failure),
}

impl Cluster {
    /// Whether a BackupStorageLocation is Available, as found out after it, Velero's Deployment and the Secret
    /// [`credentials`] came to be as they are: an older answer speaks of something else. A store that refuses the keys,
    /// or has no such bucket, will go on doing so: that is [`Verdict::Never`].
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn storage_location(&self, namespace: &str, name: &str) -> Result<Location, Failure> {
        let id = ObjectRef::namespaced(API_VERSION, "BackupStorageLocation", namespace, name);
        let server = ObjectRef::namespaced("apps/v1", "Deployment", namespace, "velero");
        let (location, server, given) =
            futures::try_join!(self.get(&id), self.get(&server), self.credentials_given(namespace))?;
        Ok(location::read(&id, location.as_ref(), server.as_ref(), given, self.now()))
    }

    /// Asks Velero to look at a BackupStorageLocation again within ten seconds, by forgetting when it last did: that it
    /// looks at any location whose last validation is unknown, whatever the frequency asked for, is its rule
    /// (`IsReadyToValidate` in `internal/storage/storagelocation.go`). Velero keeps no status subresource for it.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn validate_again(&self, namespace: &str, name: &str) -> Result<(), Failure> {
        let id = ObjectRef::namespaced(API_VERSION, "BackupStorageLocation", namespace, name);
        let body = json!({"status": {"lastValidationTime": null}});
        self.merge(&id, &body)
            .await
            .map(drop)
            .map_err(|refusal| refusal.during(format!("could not ask Velero to validate {}", id.place())))
    }

    /// When the Secret [`credentials`] was last written. Reads what the server knows about it, not what is in it.
    async fn credentials_given(&self, namespace: &str) -> Result<Option<Timestamp>, Failure> {
        let path = format!("/api/v1/namespaces/{namespace}/secrets");
        let query = format!("&fieldSelector=metadata.name={CREDENTIALS}");
        let found = self.list_path(&path, &query, METADATA_LIST).await;
        let found = found.map_err(|refusal| {
            refusal.during(format!("could not look at Secret {namespace}/{CREDENTIALS}"))
        })?;
        let writes = found.iter().filter_map(|live| live["metadata"]["managedFields"].as_array()).flatten();
        Ok(writes.filter_map(|write| time(&write["time"])).max())
    }

    /// Whether a Schedule is there and Enabled.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn schedule(&self, namespace: &str, name: &str) -> Result<Verdict, Failure> {
        let id = ObjectRef::namespaced(API_VERSION, "Schedule", namespace, name);
        Ok(schedule_verdict(&id, self.get(&id).await?.as_ref()))
    }

    /// How the backup `base` stands, or the last of its successors `base-2`, `base-3`, … which are made when Velero's
    /// server was restarted in the middle of one. Only reads.
    ///
    /// # Errors
    /// The classified refusal. That a backup failed is no error: see [`Backup::Failed`].
    pub async fn backup(&self, namespace: &str, base: &str) -> Result<Backup, Failure> {
        for round in 1..=RESTARTS {
            let name = if round == 1 { base.to_owned() } else { format!("{base}-{round}") };
            let id = ObjectRef::namespaced(API_VERSION, "Backup", namespace, &name);
            match self.get(&id).await? {
                None => return Ok(Backup::None { next: name }),
                Some(live) if lost_by_restart(&live) && round < RESTARTS => {}
                Some(live) => return Ok(read_backup(&id, &live)),
            }
        }
        Ok(Backup::None { next: base.to_owned() })
    }

    /// Begins a backup of this name by the template of a Schedule, or, without one, of everything. One of the name that
    /// exists is left as it is.
    ///
    /// # Errors
    /// `P0409` when the Schedule is not there; otherwise the classified refusal.
    pub async fn start_backup(
        &self,
        owner: &str,
        namespace: &str,
        name: &str,
        schedule: Option<&str>,
    ) -> Result<(), Failure> {
        let id = ObjectRef::namespaced(API_VERSION, "Backup", namespace, name);
        let deed = || format!("could not begin backup {}", id.place());
        let mut labels = json!({MANAGED_BY_LABEL: MANAGER, OWNER_LABEL: owner});
        let mut spec = json!({"includedNamespaces": ["*"]});
        if let Some(schedule) = schedule {
            let of = ObjectRef::namespaced(API_VERSION, "Schedule", namespace, schedule);
            let live = self.get(&of).await?.ok_or_else(|| {
                Failure::new(Code::new("P0409"), Class::NotFound, deed())
                    .because(format!("{of} is not there"))
                    .hint(format!("`kubectl -n {namespace} get schedules.velero.io` lists what there is"))
            })?;
            labels["velero.io/schedule-name"] = json!(schedule);
            spec = live["spec"]["template"].clone();
        }
        let object = Object::named(&id).with("spec", spec);
        let mut body = object.full();
        body["metadata"]["labels"] = labels;
        match self.create(&id, &body).await {
            Ok(()) => Ok(()),
            Err(refusal) if refusal.http() == Some(409) => Ok(()),
            Err(refusal) => Err(refusal.during(deed())),
        }
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| text.parse().ok())
}

fn schedule_verdict(id: &ObjectRef, live: Option<&Value>) -> Verdict {
    let Some(live) = live else { return Verdict::not_yet(format!("{id}: not there yet")) };
    if live["spec"]["paused"] == true {
        return Verdict::Never { because: format!("{id} is paused") };
    }
    match live["status"]["phase"].as_str().unwrap_or_default() {
        "Enabled" => Verdict::Met,
        "FailedValidation" => {
            Verdict::Never { because: format!("{id}: {}", validation_errors(&live["status"]).join("; ")) }
        }
        "" => Verdict::not_yet(format!("{id}: not looked at by Velero yet")),
        phase => Verdict::not_yet(format!("{id}: {phase}")),
    }
}

/// What Velero writes on backups that it finds unfinished when it starts.
fn lost_by_restart(live: &Value) -> bool {
    let reason = live["status"]["failureReason"].as_str().unwrap_or_default();
    live["status"]["phase"] == "Failed" && reason.contains("during the server starting")
}

fn read_backup(id: &ObjectRef, live: &Value) -> Backup {
    let status = &live["status"];
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let (done, total) =
        (number(&status["progress"]["itemsBackedUp"]), number(&status["progress"]["totalItems"]));
    let name = id.name.clone();
    match status["phase"].as_str().unwrap_or_default() {
        "Completed" => Backup::Completed {
            name,
            items: done,
            warnings: number(&status["warnings"]),
            at: status["completionTimestamp"].as_str().unwrap_or_default().to_owned(),
        },
        phase @ ("PartiallyFailed" | "Failed" | "FailedValidation" | "Deleting") => {
            let (errors, warnings) = (number(&status["errors"]), number(&status["warnings"]));
            let mut failure =
                Failure::new(Code::new("P0431"), Class::Config, format!("backup {} is no good", id.place()))
                    .because(format!(
                        "phase {phase}: {errors} errors, {warnings} warnings, {done} of {total} items"
                    ));
            if let Some(reason) = status["failureReason"].as_str() {
                failure = failure.because(reason);
            }
            failure = validation_errors(status).into_iter().fold(failure, Failure::because);
            let namespace = id.namespace.as_deref().unwrap_or_default();
            Backup::Failed(failure.hint(format!(
                "`velero -n {namespace} backup describe {name} --details` and `backup logs {name}` say more; then `kubectl -n {namespace} delete backups.velero.io {name}` and `platform resume`"
            )))
        }
        "" => Backup::Running { waiting_for: format!("backup {}: not begun", id.place()), name },
        phase => Backup::Running {
            waiting_for: format!("backup {}: {phase}, {done} of {total} items", id.place()),
            name,
        },
    }
}

fn validation_errors(status: &Value) -> Vec<String> {
    let errors = status["validationErrors"].as_array();
    errors.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
