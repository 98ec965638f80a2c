//! Velero: `velero.credentials`, `velero.ready`, `backup.first`.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use platform_engine::step::{Call, Observed, Progress, Step, Wait};
use platform_kube::{
    Cluster, Manifest, Object, ObjectRef, Verdict,
    velero::{Backup, Location, aws_file, credentials},
};
use platform_provider::SecretString;
use platform_spec::{Class, Code, Failure, secret::SecretRef};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    cluster::wait_for,
    objects::{APPLY, lacking, put},
};
use crate::doors::{self, Doors, Reach, input};

/// Input of `velero.credentials`.
#[derive(Serialize, Deserialize)]
pub(crate) struct CredentialsInput {
    /// The cluster.
    pub reach: Reach,
    /// Velero's namespace.
    pub namespace: String,
    /// Where the credentials are: an AWS credentials file, or `KEY:SECRET`. Absent: the provider has them.
    pub credentials_ref: Option<SecretRef>,
}

/// Puts the one secret into Velero's namespace that cannot come from Git.
pub(crate) struct Credentials(pub Arc<Doors>);

/// The credentials behind a handle, as Velero's plugin reads them.
///
/// # Errors
/// A handle that leads nowhere; `P0432` for credentials in a form that is not understood.
pub(crate) async fn keys_of(handle: &SecretRef) -> Result<SecretString, Failure> {
    let given = doors::secret(Some(handle)).await?.unwrap_or_default();
    aws_file(given).map_err(|refusal| refusal.because(format!("the credentials are behind `{handle}`")))
}

/// The Secret as it should be now, with its namespace. Without a handle the store is the provider's own.
async fn wanted(
    doors: &Doors,
    reach: &Reach,
    namespace: &str,
    handle: Option<&SecretRef>,
) -> Result<Manifest, Failure> {
    let cloud = match handle {
        Some(handle) => keys_of(handle).await?,
        None => aws_file(doors.provider(&reach.provider)?.store_keys(&reach.request).await?)?,
    };
    let place = Object::named(&ObjectRef::cluster("v1", "Namespace", namespace));
    Ok(credentials(reach.request.platform.as_str(), namespace, cloud).and([place]))
}

impl Credentials {
    async fn manifest(&self, input: &CredentialsInput) -> Result<Manifest, Failure> {
        wanted(&self.0, &input.reach, &input.namespace, input.credentials_ref.as_ref()).await
    }
}

#[async_trait]
impl Step for Credentials {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: CredentialsInput = input(call)?;
        let manifest = self.manifest(&input).await?;
        let cluster = self.0.cluster(&input.reach).await?;
        if let Some(lacking) = lacking(&cluster, &manifest).await? {
            return Ok(lacking);
        }
        let ledger = put(&input.reach, "velero.credentials", &input.namespace, true);
        Ok(Observed::Matches { output: Value::Null, ledger })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "apply": "cloud-credentials", "namespace": call.input["namespace"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: CredentialsInput = input(call)?;
        let manifest = self.manifest(&input).await?;
        self.0.cluster(&input.reach).await?.apply(&manifest, APPLY).await?;
        let ledger = put(&input.reach, "velero.credentials", &input.namespace, true);
        Ok(Progress::Done { output: Value::Null, ledger })
    }
}

/// Input of `velero.ready`.
#[derive(Serialize, Deserialize)]
pub(crate) struct ReadyInput {
    /// The cluster.
    pub reach: Reach,
    /// Velero's namespace.
    pub namespace: String,
    /// Schedules that must be enabled.
    pub schedules: Vec<String>,
    /// Where the credentials of the store are.
    #[serde(default)]
    pub credentials_ref: Option<SecretRef>,
    /// Whether the store is the provider's own, and its credentials too.
    #[serde(default)]
    pub provided: bool,
}

/// The name of the location that the blueprint makes.
const LOCATION: &str = "default";

/// Waits until the backup store is available and the schedules are enabled.
///
/// Acts in two cases only. A store that is not available is a reason to look at what is behind the handle of its
/// credentials: when somebody has mended that since they were handed over, the new ones are handed over, so that a
/// resumed run can go on. And a store whose last validation speaks of other credentials is validated again.
pub(crate) struct Ready(pub Arc<Doors>);

/// How often a store that is not available is looked at: each look reads the credentials, maybe by a program.
const UNAVAILABLE: Duration = Duration::from_secs(5);

impl Ready {
    /// What Velero has been given differs from what there is to give.
    async fn outdated(&self, cluster: &Cluster, input: &ReadyInput) -> Result<Option<Observed>, Failure> {
        match self.manifest(input).await? {
            Some(manifest) => lacking(cluster, &manifest).await,
            None => Ok(None),
        }
    }

    /// What there is to give; nothing when Velero finds its credentials by itself.
    async fn manifest(&self, input: &ReadyInput) -> Result<Option<Manifest>, Failure> {
        let handle = input.credentials_ref.as_ref();
        if handle.is_none() && !input.provided {
            return Ok(None);
        }
        wanted(&self.0, &input.reach, &input.namespace, handle).await.map(Some)
    }

    /// How the store stands; `None` when it is available.
    async fn store(
        &self,
        call: &Call,
        cluster: &Cluster,
        input: &ReadyInput,
    ) -> Result<Option<Observed>, Failure> {
        let Location { verdict, ask_again, unavailable } =
            cluster.storage_location(&input.namespace, LOCATION).await?;
        if unavailable && let Some(outdated) = self.outdated(cluster, input).await? {
            return Ok(Some(outdated));
        }
        match verdict {
            Verdict::Met => Ok(None),
            Verdict::NotYet { waiting_for } if ask_again => Ok(Some(Observed::Differs { how: waiting_for })),
            Verdict::NotYet { waiting_for } => {
                let wait = wait_for(waiting_for);
                let look_after = if unavailable { UNAVAILABLE } else { wait.look_after };
                Ok(Some(Observed::InProgress(Wait { look_after, ..wait })))
            }
            Verdict::Never { because } => {
                let words = "the store does not accept the keys, or has no such bucket".to_owned();
                Err(unusable(call, [words, because]))
            }
        }
    }
}

/// `causes` from the outermost to the original words.
fn unusable(call: &Call, causes: impl IntoIterator<Item = String>) -> Failure {
    let failure = Failure::new(Code::new("P0714"), Class::Config, "Velero cannot use what it was given");
    causes
        .into_iter()
        .fold(failure, Failure::because)
        .hint("if the credentials are wrong, mend what `backup.store.credentialsRef` names, then `platform resume`")
        .hint(format!(
            "if the spec is wrong, `platform run abandon {} --because WHY`, correct `backup`, then `platform up`",
            call.run
        ))
}

#[async_trait]
impl Step for Ready {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: ReadyInput = input(call)?;
        let cluster = self.0.cluster(&input.reach).await?;
        if let Some(found) = self.store(call, &cluster, &input).await? {
            return Ok(found);
        }
        for schedule in &input.schedules {
            match cluster.schedule(&input.namespace, schedule).await? {
                Verdict::Met => {}
                Verdict::NotYet { waiting_for } => return Ok(Observed::InProgress(wait_for(waiting_for))),
                Verdict::Never { because } => return Err(unusable(call, [because])),
            }
        }
        Ok(Observed::Matches { output: json!({ "schedules": input.schedules }), ledger: Vec::new() })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(
            json!({ "apply": "cloud-credentials", "validate": LOCATION, "namespace": call.input["namespace"] }),
        )
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: ReadyInput = input(call)?;
        let cluster = self.0.cluster(&input.reach).await?;
        if let Some(manifest) = self.manifest(&input).await? {
            cluster.apply(&manifest, APPLY).await?;
        }
        if cluster.storage_location(&input.namespace, LOCATION).await?.ask_again {
            cluster.validate_again(&input.namespace, LOCATION).await?;
        }
        Ok(Progress::InProgress(wait_for(
            "Velero to look at the backup store with the credentials it has now",
        )))
    }
}

/// Input of `backup.first`.
#[derive(Serialize, Deserialize)]
pub(crate) struct FirstInput {
    /// The cluster.
    pub reach: Reach,
    /// Velero's namespace.
    pub namespace: String,
    /// The schedule whose template it follows.
    #[serde(default)]
    pub schedule: Option<String>,
}

/// Makes one backup of a new installation: the only proof that backups work.
pub(crate) struct FirstBackup(pub Arc<Doors>);

impl FirstInput {
    /// Named after this installation of Velero: an earlier one may have left a backup in the same store.
    async fn name(&self, cluster: &Cluster) -> Result<String, Failure> {
        let namespace = ObjectRef::cluster("v1", "Namespace", &self.namespace);
        let live = cluster.get(&namespace).await?;
        let uid = live.as_ref().and_then(|live| live["metadata"]["uid"].as_str()).ok_or_else(|| {
            Failure::new(Code::new("P0409"), Class::NotFound, "could not name the first backup")
                .because(format!("{namespace} is not there"))
        })?;
        Ok(format!("{}-first-{}", self.reach.request.platform, &uid[..uid.len().min(8)]))
    }
}

#[async_trait]
impl Step for FirstBackup {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: FirstInput = input(call)?;
        let cluster = self.0.cluster(&input.reach).await?;
        let base = input.name(&cluster).await?;
        Ok(match cluster.backup(&input.namespace, &base).await? {
            Backup::None { .. } => Observed::Absent,
            Backup::Running { waiting_for, .. } => Observed::InProgress(wait_for(waiting_for)),
            Backup::Failed(failure) => return Err(failure),
            Backup::Completed { name, items, warnings, .. } => Observed::Matches {
                ledger: put(&input.reach, "backup", &name, false),
                output: json!({ "backup": name, "items": items, "warnings": warnings }),
            },
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        Some(json!({ "backup": "first", "cluster": call.input["reach"]["request"]["cluster"] }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: FirstInput = input(call)?;
        let cluster = self.0.cluster(&input.reach).await?;
        let base = input.name(&cluster).await?;
        if let Backup::None { next } = cluster.backup(&input.namespace, &base).await? {
            let owner = input.reach.request.platform.as_str();
            cluster.start_backup(owner, &input.namespace, &next, input.schedule.as_deref()).await?;
        }
        Ok(Progress::InProgress(wait_for(format!("backup {base}"))))
    }
}
