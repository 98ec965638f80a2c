//! Tenants with clusters of their own, and shares of traffic.

use std::collections::BTreeMap;

use crate::{
    model,
    platform::{Spec, cluster::Traffic, dns::SharePolicy, tenancy::Pattern},
    source::{Issue, code},
};

/// Whole traffic, in percent.
const ALL: u32 = 100;
/// The longest that answers for a shared host may be remembered (S4-10), in seconds.
const SHARED_TTL: u32 = 60;

pub(super) fn check(spec: &Spec) -> Vec<Issue> {
    let mut issues = Vec::new();
    isolation(spec, &mut issues);
    traffic(spec, &mut issues);
    shared_hosts(spec, &mut issues);
    issues
}

/// A tenant with clusters of its own is nowhere else, and nobody else is there.
fn isolation(spec: &Spec, issues: &mut Vec<Issue>) {
    let Some(tenancy) = &spec.tenancy else { return };
    let cells = model::cells(spec);
    for (index, tenant) in tenancy.tenants.iter().enumerate() {
        let alone = tenant.isolation.unwrap_or(tenancy.pattern) == Pattern::ClusterPerTenant;
        for (at, name) in tenant.cells.iter().enumerate() {
            let Some(cell) = cells.iter().find(|cell| cell.name == **name) else { continue };
            let owner = cell.dedicated_to.as_deref();
            if owner == Some(tenant.name.as_str()) || (owner.is_none() && !alone) {
                continue;
            }
            let (message, hint) = match owner {
                Some(owner) => (
                    format!("the cell `{name}` is on `{}`, which serves `{owner}` alone", cell.cluster),
                    format!("choose another cell for `{}`", tenant.name),
                ),
                None => (
                    format!("`{}` has clusters of its own, and `{}` is not one", tenant.name, cell.cluster),
                    format!(
                        "write `dedicatedTo: {}` at a cluster for its cell, or another `isolation`",
                        tenant.name
                    ),
                ),
            };
            let path = format!("spec.tenancy.tenants[{index}].cells[{at}]");
            issues.push(Issue::error(code::ISOLATION, path, message).hint(hint));
        }
    }
}

fn traffic(spec: &Spec, issues: &mut Vec<Issue>) {
    let mut shares: BTreeMap<&str, Vec<(usize, &Traffic)>> = BTreeMap::new();
    for (index, cluster) in spec.clusters.iter().enumerate() {
        let Some(traffic) = &cluster.traffic else { continue };
        if traffic.standby && (traffic.weight > 0 || traffic.primary) {
            let message = format!("`{}` is standby, and gets traffic all the same", cluster.name);
            issues.push(
                Issue::error(code::TRAFFIC, format!("spec.clusters[{index}].traffic"), message)
                    .hint("a standby has `weight: 0` and is not `primary`"),
            );
        }
        for environment in &cluster.environments {
            shares.entry(environment).or_default().push((index, traffic));
        }
    }
    for (environment, shares) in &shares {
        let sum: u32 = shares.iter().map(|(_, traffic)| u32::from(traffic.weight)).sum();
        let Some((last, _)) = shares.last() else { continue };
        if sum != ALL {
            let message = format!("the weights of `{environment}` add up to {sum}");
            issues.push(
                Issue::error(code::TRAFFIC, format!("spec.clusters[{last}].traffic.weight"), message)
                    .hint("those of one environment's clusters add up to 100"),
            );
        }
        let primaries: Vec<usize> =
            shares.iter().filter(|(_, traffic)| traffic.primary).map(|(index, _)| *index).collect();
        if let [_, second, ..] = primaries.as_slice() {
            let message = format!("`{environment}` has {} primary clusters", primaries.len());
            issues.push(
                Issue::error(code::TRAFFIC, format!("spec.clusters[{second}].traffic.primary"), message)
                    .hint("failover starts from one"),
            );
        }
    }
    let somewhere = shares.values().any(|shares| shares.len() > 1);
    if spec.failover.as_ref().is_some_and(|failover| failover.automatic) && !somewhere {
        issues.push(
            Issue::warning(code::TRAFFIC, "spec.failover.automatic", "traffic has nowhere else to go").hint(
                "write `traffic: {weight: …}` at two clusters of one environment, or `automatic: false`",
            ),
        );
    }
}

fn shared_hosts(spec: &Spec, issues: &mut Vec<Issue>) {
    let Some(dns) = &spec.dns else { return };
    let Some(shared) = &dns.shared_hosts else { return };
    for (index, zone) in dns.zones.iter().enumerate().filter(|(_, zone)| zone.ttl > SHARED_TTL) {
        let message =
            format!("answers for shared hosts in `{}` are remembered for {} s", zone.name, zone.ttl);
        issues.push(
            Issue::error(code::TRAFFIC, format!("spec.dns.zones[{index}].ttl"), message)
                .hint(format!("write {SHARED_TTL} or less: until then, a lost cell is still asked")),
        );
    }
    if shared.policy != SharePolicy::Weighted {
        return;
    }
    let cells = model::cells(spec);
    for (at, name) in shared.across.iter().enumerate() {
        let cluster = cells.iter().find(|cell| cell.name == **name).map(|cell| cell.cluster.as_str());
        let cluster = spec.clusters.iter().find(|known| Some(known.name.as_str()) == cluster);
        if let Some(cluster) = cluster.filter(|cluster| cluster.traffic.is_none()) {
            let message = format!("nothing says what share of traffic `{}` gets", cluster.name);
            issues.push(
                Issue::error(code::TRAFFIC, format!("spec.dns.sharedHosts.across[{at}]"), message)
                    .hint("write `traffic: {weight: …}` at the cluster, or another policy"),
            );
        }
    }
}
