//! Whether backups can meet their objectives and outlive what they save, and limits on secrets, logs and zones.

use crate::{
    model::{self, Objective},
    platform::{Duration, Spec, backup::Backup, operate::Framework, value::Retention},
    source::{Issue, code},
};

/// The longest that a secret may live.
const MAX_SECRET_AGE: Duration = Duration::from_hours(90 * 24);

pub(super) fn check(spec: &Spec) -> Vec<Issue> {
    let mut issues = Vec::new();
    if let Some(backup) = &spec.backup {
        let objectives = model::objectives(spec, backup);
        issues.extend(objectives.iter().enumerate().filter_map(|(index, said)| feasible(said, index)));
        store(spec, backup, &mut issues);
    }
    secrets(spec, &mut issues);
    logs(spec, &mut issues);
    zones(spec, &mut issues);
    issues
}

///
fn feasible(objective: &Objective, index: usize) -> Option<Issue> {
    if objective.feasible || objective.waiver.is_some() {
        return None;
    }
    let (class, allowed) = (&objective.class, minutes(objective.rpo));
    let message = match (objective.loss, &objective.saved_by) {
        (Some(loss), Some(by)) => {
            format!("`{class}` may lose {allowed} at most, and {by} lets {} be lost", minutes(loss))
        }
        _ => format!("`{class}` may lose {allowed} at most, and nothing saves it"),
    };
    let path = format!("spec.backup.objectives[{index}].rpo");
    Some(Issue::error(code::INFEASIBLE, path, message).hint(
        "save more often (`schedules` with `volumes`, `database.walArchiveMax`), allow more, or write a `waiver:` with the reason",
    ))
}

/// Whether the store of backups outlives the region it saves, for what has data to lose.
fn store(spec: &Spec, backup: &Backup, issues: &mut Vec<Issue>) {
    let store = &backup.store;
    let Some(region) = store.region.as_ref().filter(|_| !store.cross_region && !store.offsite) else {
        return;
    };
    if !spec.clusters.iter().all(|cluster| cluster.region.as_ref() == Some(region)) {
        return;
    }
    let kept = |class: &str| matches!(class, "config" | "stateless");
    let data = backup.objectives.iter().find(|said| !kept(&said.class) && said.waiver.is_none());
    if let Some(data) = data {
        let message = format!("`{}` is saved in `{region}`, the only region of the clusters", data.class);
        issues.push(
            Issue::error(code::STORE, "spec.backup.store.region", message).hint(
                "choose another region, or write `crossRegion: true` or `offsite: true` where that is so",
            ),
        );
    }
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

/// The data model's rule on audit logs: kept as long as the strictest framework asks, tenants' own included.
fn logs(spec: &Spec, issues: &mut Vec<Issue>) {
    // Days as the seed systems keep them: seven years, and six for HIPAA (45 CFR 164.316).
    let days = |framework: &Framework| match framework {
        Framework::Soc2 | Framework::Iso27001 => 2555,
        Framework::Hipaa => 2190,
    };
    let platform = spec.compliance.iter().flat_map(|compliance| &compliance.frameworks);
    let tenants = spec.tenancy.iter().flat_map(|tenancy| &tenancy.tenants);
    let Some(needed) = platform.chain(tenants.flat_map(|tenant| &tenant.compliance)).map(days).max() else {
        return;
    };
    let audit = spec.compliance.as_ref().and_then(|compliance| compliance.audit.as_ref());
    let metrics = spec.observability.as_ref().and_then(|said| said.retention.as_ref());
    let others = metrics.and_then(|said| said.audit.as_ref()).map(Retention::days);
    let hint = format!("the frameworks ask for {needed} days");
    if audit.is_none() {
        let path = if spec.compliance.is_some() { "spec.compliance" } else { "spec" };
        let message = "a framework asks for audit logs, and nothing says how long they are kept";
        issues.push(
            Issue::error(code::LIMIT, path, message)
                .hint(format!("write `compliance: {{audit: {{retentionDays: {needed}}}}}`")),
        );
    }
    let kept = [
        ("spec.compliance.audit.retentionDays", audit.map(|audit| u64::from(audit.retention_days))),
        ("spec.observability.retention.audit", others),
    ];
    for (path, kept) in kept {
        if kept.is_some_and(|kept| kept < needed) {
            let message = "the audit log is not kept long enough";
            issues.push(Issue::error(code::LIMIT, path, message).hint(hint.clone()));
        }
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
