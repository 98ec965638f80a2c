//! The search that `down` ends with. It does not trust our own memory: it asks clusters, zones and providers what bears
//! our mark.

use jiff::Timestamp;
use platform_kube::inventory::Search;
use platform_spec::{Failure, model::Model, report::Orphan};

use crate::{
    doors::Doors,
    steps::{dns, objects::reach_if_there},
    wish::reach,
};

/// What was found, and where could not be looked.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Things of ours that are still there.
    pub orphans: Vec<Orphan>,
    /// Places that did not answer: nothing is known about them.
    pub blind: Vec<Failure>,
}

/// Searches every place that the spec names.
pub async fn search(doors: &Doors, model: &Model, now: Timestamp) -> Found {
    let mut found = Found::default();
    for cluster in &model.clusters {
        let reach = reach(model, cluster);
        match in_cluster(doors, model, &reach, now).await {
            Ok(orphans) => found.orphans.extend(orphans),
            Err(failure) => found.blind.push(failure),
        }
        match at_provider(doors, &reach).await {
            Ok(orphans) => found.orphans.extend(orphans),
            Err(failure) => found.blind.push(failure),
        }
    }
    for zone in dns::zones(model) {
        match in_zone(doors, &zone, &model.platform).await {
            Ok(orphans) => found.orphans.extend(orphans),
            Err(failure) => found.blind.push(failure),
        }
    }
    found
}

async fn in_cluster(
    doors: &Doors,
    model: &Model,
    reach: &crate::doors::Reach,
    now: Timestamp,
) -> Result<Vec<Orphan>, Failure> {
    let Some(cluster) = reach_if_there(doors, reach).await? else { return Ok(Vec::new()) };
    let name = &reach.request.cluster;
    let search = Search {
        owner: model.platform.clone(),
        applications: model.applications.iter().map(|app| app.name.clone()).collect(),
        namespaces: model
            .namespaces
            .iter()
            .filter(|ns| ns.cluster == *name)
            .map(|ns| ns.name.clone())
            .collect(),
    };
    let place = format!("cluster {name}");
    Ok(cluster.inventory(&search).await?.iter().map(|left| left.orphan(&place, now)).collect())
}

async fn at_provider(doors: &Doors, reach: &crate::doors::Reach) -> Result<Vec<Orphan>, Failure> {
    let owned = doors.provider(&reach.provider)?.list_owned(&reach.request.inventory()).await?;
    Ok(owned
        .into_iter()
        .map(|thing| Orphan {
            place: format!("provider {}", reach.request.provider),
            kind: thing.kind,
            name: thing.name,
            why: match thing.blocked_by.as_slice() {
                [] => "not deleted".into(),
                by => format!("held by {}", by.join(", ")),
            },
            age_ms: thing.age_ms,
        })
        .collect())
}

async fn in_zone(doors: &Doors, zone: &dns::NamedZone, owner: &str) -> Result<Vec<Orphan>, Failure> {
    let Some(dns) = dns::open_if_there(doors, zone, owner).await? else { return Ok(Vec::new()) };
    let owned = dns.list_owned().await?;
    Ok(owned
        .into_iter()
        .map(|name| Orphan {
            place: format!("zone {}", zone.name),
            kind: "dns_record".into(),
            name: name.host,
            why: match name.found.as_slice() {
                [] => "only the record that says it is ours".into(),
                found => found.join(", "),
            },
            age_ms: None,
        })
        .collect())
}
