//! Whether backups can meet their objectives, and limits on secrets, logs and zones.

use crate::{
    cron,
    platform::{
        Duration, Spec,
        backup::{Backup, Objective, Schedule, Volumes},
        operate::Framework,
        tenancy::Pattern,
    },
    source::{Issue, code},
};

/// The longest that a secret may live.
const MAX_SECRET_AGE: Duration = Duration::from_hours(90 * 24);

pub(super) fn check(spec: &Spec) -> Vec<Issue> {
    let mut issues = Vec::new();
    if let Some(backup) = &spec.backup {
        for (index, objective) in backup.objectives.iter().enumerate() {
            if objective.waiver.is_none() {
                issues.extend(feasible(spec, backup, index, objective));
            }
        }
    }
    secrets(spec, &mut issues);
    logs(spec, &mut issues);
    zones(spec, &mut issues);
    issues
}

/// How much can be lost at worst, and by what; nothing when nothing saves it.
fn worst_loss(spec: &Spec, backup: &Backup, class: &str) -> Option<Option<(Duration, String)>> {
    let least = |fits: &dyn Fn(&Schedule) -> bool| {
        let saving =
            backup.schedules.iter().filter(|schedule| schedule.volumes != Volumes::None && fits(schedule));
        let gaps = saving.filter_map(|schedule| {
            let gap = cron::Schedule::parse(&schedule.cron)?.longest_gap()?;
            Some((gap, format!("the schedule `{}`", schedule.name)))
        });
        gaps.min_by_key(|(gap, _)| *gap)
    };
    match class {
        // Both are in Git, where every commit is kept.
        "config" | "stateless" => None,
        "database" => {
            let database = backup.database.as_ref();
            let log = database.filter(|database| database.pitr).and_then(|database| database.wal_archive_max);
            let dump = database.and_then(|database| database.logical.as_ref()).and_then(|logical| {
                Some((cron::Schedule::parse(&logical.cron)?.longest_gap()?, "the dumps".to_owned()))
            });
            let log = log.map(|longest| (longest, "`database.walArchiveMax`".to_owned()));
            Some([log, dump, least(&|_| true)].into_iter().flatten().min_by_key(|(loss, _)| *loss))
        }
        "volume" => Some(least(&|_| true)),
        tenant => {
            let name = tenant.strip_prefix("tenant/")?;
            let tenancy = spec.tenancy.as_ref()?;
            let tenant = tenancy.tenants.iter().find(|tenant| *tenant.name == *name)?;
            let isolation = tenant.isolation.unwrap_or(tenancy.pattern);
            let cells = crate::model::cells(spec);
            let environments: Vec<&str> = cells
                .iter()
                .filter(|cell| tenant.cells.iter().any(|name| **name == *cell.name))
                .map(|cell| cell.environment.as_str())
                .collect();
            Some(least(&|schedule: &Schedule| {
                let tier = schedule.tiers.is_empty()
                    || environments
                        .iter()
                        .all(|environment| schedule.tiers.iter().any(|tier| **tier == **environment));
                let kind = schedule.isolation.is_none_or(|only: Pattern| only == isolation);
                tier && kind && schedule.namespaces.is_empty()
            }))
        }
    }
}

fn feasible(spec: &Spec, backup: &Backup, index: usize, objective: &Objective) -> Option<Issue> {
    let path = format!("spec.backup.objectives[{index}].rpo");
    let class = &objective.class;
    let allowed = minutes(objective.rpo);
    let message = match worst_loss(spec, backup, class)? {
        Some((loss, _)) if loss <= objective.rpo => return None,
        Some((loss, by)) => {
            format!("`{class}` may lose {allowed} at most, and {by} lets {} be lost", minutes(loss))
        }
        None => format!("`{class}` may lose {allowed} at most, and nothing saves it"),
    };
    Some(Issue::error(code::INFEASIBLE, path, message).hint(
        "save more often (`schedules` with `volumes`, `database.walArchiveMax`), allow more, or write a `waiver:` with the reason",
    ))
}

fn minutes(length: Duration) -> String {
    format!("{} min", length.as_secs() / 60)
}

fn secrets(spec: &Spec, issues: &mut Vec<Issue>) {
    let Some(rotation) = spec.secrets.as_ref().and_then(|secrets| secrets.rotation.as_ref()) else { return };
    if rotation.max_age > MAX_SECRET_AGE {
        issues.push(
            Issue::error(code::LIMIT, "spec.secrets.rotation.maxAge", "secrets live longer than 90 days")
                .hint("write 90d or less"),
        );
    }
    if rotation.warn_at.is_some_and(|warn| warn >= rotation.max_age) {
        issues.push(
            Issue::error(
                code::LIMIT,
                "spec.secrets.rotation.warnAt",
                "the warning comes when it is too late",
            )
            .hint("write less than `maxAge`"),
        );
    }
}

fn logs(spec: &Spec, issues: &mut Vec<Issue>) {
    let Some(compliance) = &spec.compliance else { return };
    // Days as the seed systems keep them: seven years, and six for HIPAA (45 CFR 164.316).
    let days = |framework: &Framework| match framework {
        Framework::Soc2 | Framework::Iso27001 => 2555,
        Framework::Hipaa => 2190,
    };
    let needed = compliance.frameworks.iter().map(days).max().unwrap_or(0);
    if compliance.audit.as_ref().is_some_and(|audit| audit.retention_days < needed) {
        issues.push(
            Issue::error(
                code::LIMIT,
                "spec.compliance.audit.retentionDays",
                "the audit log is not kept long enough",
            )
            .hint(format!("the frameworks ask for {needed} days")),
        );
    }
}

fn zones(spec: &Spec, issues: &mut Vec<Issue>) {
    for (index, zone) in spec.dns.iter().flat_map(|dns| &dns.zones).enumerate() {
        let path = format!("spec.dns.zones[{index}]");
        let dynamic = zone.provider.as_str() == "rfc2136";
        if dynamic && zone.server.is_none() {
            issues.push(
                Issue::error(code::ZONE, path.clone(), format!("the zone `{}` needs a server", zone.name))
                    .hint("write `server: HOST:53`, the primary server of the zone"),
            );
        }
        if dynamic && zone.tsig.is_none() {
            issues.push(
                Issue::warning(code::ZONE, path.clone(), format!("updates of the zone `{}` are not signed", zone.name))
                    .hint("write `tsig: {name: KEY, secretRef: env:NAME}`; a server that takes unsigned updates takes them from anybody"),
            );
        }
        for (key, used) in [("server", zone.server.is_some()), ("tsig", zone.tsig.is_some())] {
            if used && !dynamic && !zone.provider.is_empty() {
                let message = format!("`{key}` is only for zones with `provider: rfc2136`");
                issues.push(Issue::error(code::ZONE, format!("{path}.{key}"), message).hint("leave it out"));
            }
        }
        if zone.auth_ref.is_some() && zone.provider.as_str() != "cloudflare" && !zone.provider.is_empty() {
            let message = "`authRef` is only for zones with `provider: cloudflare`";
            issues.push(Issue::error(code::ZONE, format!("{path}.authRef"), message).hint("leave it out"));
        }
    }
}
