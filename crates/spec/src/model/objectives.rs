//! What a restore must achieve, and whether what is saved lets it.

use serde::{Deserialize, Serialize};

use crate::{
    cron,
    platform::{
        Duration, Spec,
        backup::{Backup, Schedule, Volumes},
    },
};

/// What a restore must achieve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// For what.
    pub class: String,
    /// Back within.
    pub rto: Duration,
    /// Losing at most.
    pub rpo: Duration,
    /// Why it need not be met.
    pub waiver: Option<String>,
    /// The most that can be lost; absent when nothing saves it.
    #[serde(default)]
    pub loss: Option<Duration>,
    /// What saves it.
    #[serde(default)]
    pub saved_by: Option<String>,
    /// Whether no more can be lost than may be.
    #[serde(default)]
    pub feasible: bool,
}

pub(crate) fn objectives(spec: &Spec, backup: &Backup) -> Vec<Objective> {
    let of = |said: &crate::platform::backup::Objective| {
        let (loss, saved_by) = least_loss(spec, backup, &said.class).unzip();
        Objective {
            class: said.class.clone(),
            rto: said.rto,
            rpo: said.rpo,
            waiver: said.waiver.clone(),
            feasible: loss.is_some_and(|loss| loss <= said.rpo),
            loss,
            saved_by,
        }
    };
    backup.objectives.iter().map(of).collect()
}

/// How much is lost at most, and what saves the rest; nothing when nothing does.
fn least_loss(spec: &Spec, backup: &Backup, class: &str) -> Option<(Duration, String)> {
    match class {
        // Git keeps every commit.
        "config" | "stateless" => Some((Duration::default(), "Git".to_owned())),
        "database" => {
            let database = backup.database.as_ref();
            let log = database.filter(|database| database.pitr).and_then(|database| database.wal_archive_max);
            let dump = database.and_then(|database| database.logical.as_ref());
            let dump = dump.and_then(|dump| Some((gap(&dump.cron)?, "the dumps".to_owned())));
            let log = log.map(|longest| (longest, "`database.walArchiveMax`".to_owned()));
            let any = by_schedule(backup, |_| true);
            [log, dump, any].into_iter().flatten().min_by_key(|(loss, _)| *loss)
        }
        "volume" => by_schedule(backup, |_| true),
        tenant => of_tenant(spec, backup, tenant.strip_prefix("tenant/")?),
    }
}

/// The longest time between two moments of a schedule.
fn gap(cron: &str) -> Option<Duration> {
    cron::Schedule::parse(cron)?.longest_gap()
}

/// The schedule that lets the least be lost, among those that save volumes.
fn by_schedule(backup: &Backup, fits: impl Fn(&Schedule) -> bool) -> Option<(Duration, String)> {
    let saving =
        backup.schedules.iter().filter(|schedule| schedule.volumes != Volumes::None && fits(schedule));
    saving
        .filter_map(|schedule| Some((gap(&schedule.cron)?, format!("the schedule `{}`", schedule.name))))
        .min_by_key(|(loss, _)| *loss)
}

/// A tenant is saved by what saves all its namespaces in all its environments.
fn of_tenant(spec: &Spec, backup: &Backup, name: &str) -> Option<(Duration, String)> {
    let tenancy = spec.tenancy.as_ref()?;
    let tenant = tenancy.tenants.iter().find(|tenant| *tenant.name == *name)?;
    let isolation = tenant.isolation.unwrap_or(tenancy.pattern);
    let cells = super::cells(spec);
    let own = |cell: &&super::Cell| tenant.cells.iter().any(|name| **name == *cell.name);
    let environments: Vec<&str> = cells.iter().filter(own).map(|cell| cell.environment.as_str()).collect();
    by_schedule(backup, |schedule| {
        let said = |environment: &&str| schedule.tiers.iter().any(|tier| **tier == **environment);
        let everywhere = schedule.tiers.is_empty() || environments.iter().all(said);
        let kind = schedule.isolation.is_none_or(|only| only == isolation);
        everywhere && kind && schedule.namespaces.is_empty()
    })
}
