//! Backups and waves.

use serde::{Deserialize, Serialize};

use super::{
    Application, Cell, Environment,
    build::{environments, push_new, words},
    objectives::{self, Objective},
};
use crate::{
    platform::{
        self, Duration, Spec,
        backup::{BackupEngine, DrillTarget, StoreKind, Volumes},
        cluster,
        operate::{Gate, WaveSync},
        tenancy::Pattern,
    },
    secret::SecretRef,
};

/// Backups.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Who does it.
    pub engine: BackupEngine,
    /// Its namespace.
    pub namespace: String,
    /// Where to.
    pub store: BackupStore,
    /// How often.
    pub schedules: Vec<Schedule>,
    /// What a restore must achieve.
    pub objectives: Vec<Objective>,
    /// When restores are rehearsed.
    pub drills: Vec<Drill>,
}

/// Where backups go.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupStore {
    /// Kind of store.
    pub kind: StoreKind,
    /// The bucket.
    pub bucket: String,
    /// Directory in the bucket; empty for its root. Each cluster writes to `<prefix>/<cluster>`.
    pub prefix: String,
    /// The region.
    pub region: String,
    /// URL of a store that is not Amazon's.
    pub endpoint: Option<String>,
    /// Whether the bucket is part of the path.
    pub force_path_style: bool,
    /// Where the credentials are.
    pub credentials_ref: Option<SecretRef>,
    /// Whether backups cannot be changed.
    pub object_lock: bool,
    /// Whether it stands somewhere else than the clusters.
    #[serde(default, skip_serializing_if = "super::is_false")]
    pub offsite: bool,
}

impl BackupStore {
    /// Whether it is whatever store a cluster's surroundings bring along, and not one that the spec names.
    pub fn comes_along(&self) -> bool {
        self.kind == StoreKind::S3Compatible
            && self.endpoint.is_none()
            && self.credentials_ref.is_none()
            && !self.offsite
    }
}

/// How often something is backed up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: String,
    /// When, five fields.
    pub cron: String,
    /// How long a backup lives, as Velero reads it: `168h`.
    pub ttl: Duration,
    /// Only these namespaces; empty: all.
    pub namespaces: Vec<String>,
    /// What becomes of volumes.
    pub volumes: Volumes,
    /// Whether objects outside namespaces are saved; absent: Velero decides.
    pub include_cluster_resources: Option<bool>,
    /// On which clusters.
    pub clusters: Vec<String>,
}

/// When restores are rehearsed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// Its name.
    pub name: String,
    /// When.
    pub cron: String,
    /// Only the n-th of those days in a month.
    pub nth: Option<u8>,
    /// Into what.
    pub target: DrillTarget,
    /// Who makes the new cluster.
    pub provider: Option<String>,
}

/// A group of cells (or tenants) that receives a change together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wave {
    /// Its name.
    pub name: String,
    /// Its cells.
    pub cells: Vec<String>,
    /// Its tenants, when the wave is about tenants.
    pub tenants: Vec<String>,
    /// Its applications.
    pub applications: Vec<String>,
    /// How long the change must be healthy before the next wave.
    pub soak: Duration,
    /// What must hold before it begins.
    pub gates: Vec<Gate>,
    /// Who syncs.
    pub sync: WaveSync,
    /// How many cells at the same time; absent: all.
    pub max_parallel: Option<u32>,
}

pub(super) fn backup(spec: &Spec) -> Option<Backup> {
    let backup = spec.backup.as_ref()?;
    let store = &backup.store;
    let on = |schedule: &platform::backup::Schedule, cluster: &cluster::Cluster| {
        let tier = schedule.tiers.is_empty()
            || schedule.tiers.iter().any(|tier| cluster.environments.contains(tier));
        let isolation = match schedule.isolation {
            Some(Pattern::ClusterPerTenant) => cluster.dedicated_to.is_some(),
            Some(_) => cluster.dedicated_to.is_none(),
            None => true,
        };
        tier && isolation
    };
    Some(Backup {
        engine: backup.engine,
        namespace: "velero".to_owned(),
        store: BackupStore {
            kind: store.kind,
            bucket: store.bucket.clone(),
            prefix: store.prefix.clone().unwrap_or_default(),
            region: store.region.as_ref().map_or_else(|| "us-east-1".to_owned(), ToString::to_string),
            endpoint: store.endpoint.clone(),
            force_path_style: store.force_path_style,
            credentials_ref: store.credentials_ref.clone(),
            object_lock: store.object_lock,
            offsite: store.offsite,
        },
        schedules: backup
            .schedules
            .iter()
            .map(|schedule| Schedule {
                name: schedule.name.to_string(),
                cron: schedule.cron.to_string(),
                ttl: schedule.ttl,
                namespaces: words(&schedule.namespaces),
                volumes: schedule.volumes,
                include_cluster_resources: schedule.include_cluster_resources,
                clusters: spec
                    .clusters
                    .iter()
                    .filter(|cluster| on(schedule, cluster))
                    .map(|cluster| cluster.name.to_string())
                    .collect(),
            })
            .collect(),
        objectives: objectives::objectives(spec, backup),
        drills: backup
            .drills
            .iter()
            .map(|drill| Drill {
                name: drill.name.to_string(),
                cron: drill.cron.to_string(),
                nth: drill.nth,
                target: drill.target,
                provider: drill.provider.as_ref().map(ToString::to_string),
            })
            .collect(),
    })
}

/// The waves as written; without a rollout section one for each environment, in the chain's order.
pub(super) fn waves(spec: &Spec, cells: &[Cell], applications: &[Application]) -> Vec<Wave> {
    let Some(rollout) = &spec.rollout else {
        let of = |environment: Environment| {
            let own = |cell: &&Cell| cell.environment == environment.name;
            let cells: Vec<String> = cells.iter().filter(own).map(|cell| cell.name.clone()).collect();
            Wave {
                applications: names_in(applications, |application| cells.contains(&application.cell)),
                name: environment.name,
                cells,
                tenants: Vec::new(),
                soak: environment.soak,
                gates: Vec::new(),
                sync: WaveSync::Auto,
                max_parallel: None,
            }
        };
        return environments(spec).into_iter().map(of).collect();
    };
    let named: Vec<&str> = rollout
        .waves
        .iter()
        .flat_map(|wave| &wave.tenants)
        .map(|name| name.as_str())
        .filter(|name| *name != "*")
        .collect();
    let tenants = spec.tenancy.iter().flat_map(|tenancy| &tenancy.tenants);
    let all: Vec<String> = tenants.map(|tenant| tenant.name.to_string()).collect();
    rollout
        .waves
        .iter()
        .map(|wave| {
            let tenants: Vec<String> = if wave.tenants.iter().any(|name| &**name == "*") {
                all.iter().filter(|name| !named.contains(&name.as_str())).cloned().collect()
            } else {
                wave.tenants.iter().map(ToString::to_string).collect()
            };
            let selected = |cell: &&Cell| {
                wave.cells.iter().any(|name| **name == *cell.name)
                    || wave.environments.iter().any(|name| **name == *cell.environment)
            };
            let own: Vec<String> = cells.iter().filter(selected).map(|cell| cell.name.clone()).collect();
            let mut cells_of_wave = own.clone();
            let reached = |application: &&Application| {
                own.contains(&application.cell)
                    || application.tenant.as_ref().is_some_and(|tenant| tenants.contains(tenant))
            };
            let members: Vec<&Application> = applications.iter().filter(reached).collect();
            for application in &members {
                push_new(&mut cells_of_wave, application.cell.clone());
            }
            Wave {
                name: wave.name.to_string(),
                cells: cells_of_wave,
                tenants,
                applications: members.into_iter().map(|application| application.name.clone()).collect(),
                soak: wave.soak.unwrap_or_default(),
                gates: wave.gates.clone(),
                sync: wave.sync,
                max_parallel: wave.max_parallel,
            }
        })
        .collect()
}

fn names_in(applications: &[Application], of: impl Fn(&Application) -> bool) -> Vec<String> {
    applications
        .iter()
        .filter(|application| of(application))
        .map(|application| application.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_store_that_the_spec_says_nothing_of_comes_along() {
        let store = BackupStore {
            kind: StoreKind::S3Compatible,
            bucket: "backups".into(),
            prefix: String::new(),
            region: "us-east-1".into(),
            endpoint: None,
            force_path_style: false,
            credentials_ref: None,
            object_lock: false,
            offsite: false,
        };
        assert!(store.comes_along());
        let named = [
            BackupStore { kind: StoreKind::S3, ..store.clone() },
            BackupStore { endpoint: Some("https://s3.example.com".into()), ..store.clone() },
            BackupStore { credentials_ref: "env:KEYS".parse().ok(), ..store.clone() },
            BackupStore { offsite: true, ..store.clone() },
        ];
        for store in named {
            assert!(!store.comes_along(), "{store:?}");
        }
    }
}
