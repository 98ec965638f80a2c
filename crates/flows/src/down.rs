//! `down`: removes what is ours, in reverse, and ends with a search that does not trust our own memory.

use std::{collections::BTreeMap, time::Duration};

use platform_engine::plan::{Plan, Policy, Retry};
use platform_provider::Resource;
use platform_spec::{StepId, model::Cluster};
use serde_json::{Value, json};

use crate::{
    doors::Reach,
    draft::{Draft, Pace},
    steps::{self, names},
    up::pace,
    wish::{Wish, outputs_of, reach},
};

/// How long `down` waits for something that is being deleted, unless told otherwise: load balancers and volumes of
/// clouds take minutes.
pub const PATIENCE: Duration = Duration::from_secs(600);

/// Plans `down`. Pure: the same wish gives the same plan.
///
/// Velero's restores go first, which nobody but Velero lets go; then applications, with their load balancers and
/// volumes, while the controllers that must release those are still there; then names, Argo CD and everything else
/// that bears our label, the cluster's resources in reverse, and last the repositories, which are only let go.
pub fn down(wish: &Wish, patience: Duration) -> Plan {
    let model = &wish.model;
    let mut plan =
        Draft::new("down", &model.platform, Policy::Forward, &model.spec_digest, &wish.state_digest());
    let deleting =
        Pace { typical_ms: 60_000, deadline_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX) };

    let restores = restores(&mut plan, wish, deleting);
    let mut removed: BTreeMap<&str, StepId> = BTreeMap::new();
    let mut last = Vec::new();
    // Whoever runs Argo CD comes first: it takes the Applications of the clusters that it serves along.
    let (hubs, served): (Vec<&Cluster>, Vec<&Cluster>) =
        model.clusters.iter().partition(|cluster| cluster.argocd == cluster.name);
    for cluster in hubs.into_iter().chain(served) {
        let reach = reach(model, cluster);
        let id = |what: &str| format!("{}/{what}", cluster.name);
        let here = model.namespaces.iter().filter(|namespace| namespace.cluster == cluster.name);
        let ends = wish.ends(&cluster.name);
        let ending = |mut input: Value| {
            if ends {
                input["ends"] = true.into();
            }
            input
        };
        // Its Applications bring Velero, also to the clusters that it serves.
        let serves = model.clusters.iter().filter(|it| it.argocd == cluster.name || it.name == cluster.name);
        let mut before: Vec<&StepId> = serves.filter_map(|it| restores.get(&*it.name)).collect();
        before.extend(removed.get(&*cluster.argocd));
        let namespaces: Vec<&str> = here.map(|namespace| namespace.name.as_str()).collect();
        let applications = plan.step(
            id("applications.remove"),
            format!("applications of `{}`, with their load balancers and volumes", cluster.name),
            names::APPLICATIONS_REMOVE,
            &before,
            deleting,
            Retry::R5,
            ending(json!({ "reach": reach, "namespaces": namespaces })),
        );
        let swept = plan.step(
            id("objects.remove"),
            format!("Argo CD and everything else of ours in `{}`", cluster.name),
            names::OBJECTS_REMOVE,
            &[&applications],
            deleting,
            Retry::R5,
            ending(json!({ "reach": reach, "owner": model.platform, "keys": keys_in(wish, &cluster.name) })),
        );
        removed.insert(&cluster.name, applications);

        // In reverse: what needs a resource goes before it.
        let mut gone: BTreeMap<String, StepId> = BTreeMap::new();
        let resources = [wish.resources[&cluster.name].clone(), dropped(wish, cluster, &reach)].concat();
        for resource in resources.iter().rev() {
            let mut needs = vec![swept.clone()];
            let users = resources.iter().filter(|user| user.needs.contains(&resource.id));
            needs.extend(users.filter_map(|user| gone.get(&user.id).cloned()));
            let step = plan.step(
                id(&format!("{}.remove", resource.id)),
                format!("remove or release {}", resource.title),
                names::RESOURCE_REMOVE,
                &needs.iter().collect::<Vec<_>>(),
                pace(resource),
                Retry::R5,
                json!({ "reach": reach, "resource": resource.id, "outputs": outputs_of(&[], &gone) }),
            );
            plan.sharing(&resource.shares);
            gone.insert(resource.id.clone(), step);
        }
        last.extend(gone.into_values());
    }

    for zone in steps::dns::zones(model) {
        last.push(plan.step(
            format!("dns/{}.remove", zone.name),
            format!("our names in `{}`", zone.name),
            names::DNS_REMOVE,
            &removed.values().collect::<Vec<_>>(),
            Pace::QUICK,
            Retry::R5,
            json!({ "zone": zone, "owner": model.platform }),
        ));
    }
    for repository in wish.repositories() {
        plan.step(
            format!("repository/{}.release", repository.name),
            format!("let go of `{}`; what is in Git stays", repository.name),
            names::REPOSITORY_RELEASE,
            &last.iter().collect::<Vec<_>>(),
            Pace::QUICK,
            Retry::R1,
            json!({ "repository": repository }),
        );
    }
    plan.finish()
}

/// Resources of a cluster that were made, and that the spec does not ask for any more. Nobody says any more what they stood on;
/// that is kept until they are gone.
fn dropped(wish: &Wish, cluster: &Cluster, reach: &Reach) -> Vec<Resource> {
    let declared = &wish.resources[&cluster.name];
    let base: Vec<&str> = declared.iter().filter(|it| it.needs.is_empty()).map(|it| &*it.id).collect();
    let made = wish.ledger.iter().filter(|entry| entry.kind == "resource");
    let here = made.filter(|entry| entry.detail["provider"] == *reach.provider);
    let ids = here.filter_map(|entry| entry.key.strip_prefix(&*cluster.name)?.strip_prefix('/'));
    let unasked = ids.filter(|id| declared.iter().all(|it| it.id != *id));
    unasked
        .map(|id| {
            let title = format!("`{id}`, which the spec does not ask for any more");
            Resource::new(id, &title, platform_provider::Retry::R1).needs(&base)
        })
        .collect()
}

/// Restores of every cluster's Velero, which it has to let go itself, by cluster.
fn restores<'a>(plan: &mut Draft, wish: &'a Wish, deleting: Pace) -> BTreeMap<&'a str, StepId> {
    let Some(backup) = &wish.model.backup else { return BTreeMap::new() };
    let removed = wish.model.clusters.iter().map(|cluster| {
        let mut input = json!({ "reach": reach(&wish.model, cluster), "namespace": backup.namespace });
        if wish.ends(&cluster.name) {
            input["ends"] = true.into();
        }
        let step = plan.step(
            format!("{}/restores.remove", cluster.name),
            format!("restores in `{}`, while Velero is there to let them go", cluster.name),
            names::RESTORES_REMOVE,
            &[],
            deleting,
            Retry::R5,
            input,
        );
        (cluster.name.as_str(), step)
    });
    removed.collect()
}

/// The ledger's lines about objects in a cluster; its resources have steps of their own.
fn keys_in<'a>(wish: &'a Wish, cluster: &str) -> Vec<&'a str> {
    let within = |key: &str| key.strip_prefix(cluster).is_some_and(|rest| rest.starts_with('/'));
    let lines = wish.ledger.iter().filter(|entry| entry.kind != "resource" && within(&entry.key));
    lines.map(|entry| entry.key.as_str()).collect()
}
