//! Derived names and hosts that more than one thing would have.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    model::{self, Application, Model},
    platform::{Platform, Spec, cluster::Lifecycle, tenancy::Pattern},
    source::{Issue, code, is_dns_name},
};

/// How many names a message lists before it counts.
const LISTED: usize = 4;

pub(super) fn check(platform: &Platform) -> Vec<Issue> {
    let spec = &platform.spec;
    let model = model::derive(platform);
    let mut issues = Vec::new();
    applications(spec, &model, &mut issues);
    namespaces(spec, &model, &mut issues);
    hosts(spec, &model, &mut issues);
    pages(spec, &model, &mut issues);
    issues
}

fn who(application: &Application) -> String {
    match &application.tenant {
        Some(tenant) => format!("{tenant}/{} in {}", application.app, application.cell),
        None => format!("{} in {}", application.app, application.cell),
    }
}

fn list(of: &[&Application]) -> String {
    let mut names: Vec<String> = of.iter().take(LISTED).map(|application| who(application)).collect();
    if of.len() > LISTED {
        names.push(format!("{} more", of.len() - LISTED));
    }
    names.join(", ")
}

fn applications(spec: &Spec, model: &Model, issues: &mut Vec<Issue>) {
    let mut groups: BTreeMap<(&str, &str), Vec<&Application>> = BTreeMap::new();
    for application in &model.applications {
        groups.entry((&application.argocd, &application.name)).or_default().push(application);
    }
    for ((_, name), group) in groups.into_iter().filter(|(_, group)| group.len() > 1) {
        let path = if spec.tenancy.is_some() { "spec.tenancy.naming.application" } else { "spec.apps" };
        let message = format!("{} applications would be called `{name}`: {}", group.len(), list(&group));
        issues.push(
            Issue::error(code::COLLISION, path, message).hint(
                "make the template tell them apart with {tenant}, {app}, {env} or {cell}, or rename one",
            ),
        );
    }
}

/// A tenant (nobody in particular, when it shares) and an environment.
type Owner<'a> = (Option<&'a str>, &'a str);

/// A namespace belongs to one tenant and one environment, but for tenants that share on purpose.
fn namespaces(spec: &Spec, model: &Model, issues: &mut Vec<Issue>) {
    let mut groups: BTreeMap<(&str, &str), BTreeSet<Owner<'_>>> = BTreeMap::new();
    for application in &model.applications {
        let shared = spec.tenancy.as_ref().is_some_and(|tenancy| {
            let tenant = tenancy
                .tenants
                .iter()
                .find(|tenant| Some(tenant.name.as_str()) == application.tenant.as_deref());
            tenant.and_then(|tenant| tenant.isolation).unwrap_or(tenancy.pattern) == Pattern::Shared
        });
        let owner = application.tenant.as_deref().filter(|_| !shared);
        let place = (application.cluster.as_str(), application.namespace.as_str());
        groups.entry(place).or_default().insert((owner, &application.environment));
    }
    for ((cluster, name), owners) in groups.into_iter().filter(|(_, owners)| owners.len() > 1) {
        let owners: Vec<String> = owners
            .into_iter()
            .map(|(tenant, environment)| format!("{} in {environment}", tenant.unwrap_or("shared")))
            .collect();
        let path = if spec.tenancy.is_some() { "spec.tenancy.naming.namespace" } else { "spec.apps" };
        let message = format!(
            "the namespace `{name}` on `{cluster}` would belong to {} owners: {}",
            owners.len(),
            owners.join(", ")
        );
        issues.push(
            Issue::error(code::COLLISION, path, message).hint(
                "make the template tell them apart with {tenant} and {env}, or write `isolation: shared`",
            ),
        );
    }
}

fn hosts(spec: &Spec, model: &Model, issues: &mut Vec<Issue>) {
    let shared = spec.dns.as_ref().and_then(|dns| dns.shared_hosts.as_ref());
    let mut behind: BTreeMap<&str, Vec<&Application>> = BTreeMap::new();
    for application in &model.applications {
        if let Some(host) = &application.host {
            behind.entry(host).or_default().push(application);
        }
    }
    for host in &model.hosts {
        let behind = behind.remove(host.name.as_str()).unwrap_or_default();
        let Some(first) = behind.first() else { continue };
        let path = path_of_host(spec, first);
        if !is_dns_name(&host.name) {
            let message = format!("`{}` is not a host name", host.name);
            let hint = "letters, digits and `-` between dots, each part at most 63 characters";
            issues.push(Issue::error(code::HOST, path, message).hint(hint));
            continue;
        }
        let same_thing = behind.iter().all(|app| app.app == first.app && app.tenant == first.tenant);
        let in_turn = host.cells.len() == behind.len();
        let allowed = shared.is_some_and(|shared| {
            host.cells.iter().all(|cell| shared.across.iter().any(|name| **name == **cell))
        });
        if behind.len() > 1 && !(same_thing && in_turn && allowed) {
            let message =
                format!("{} applications want the host `{}`: {}", behind.len(), host.name, list(&behind));
            let hint = if same_thing && in_turn {
                "list the cells in `spec.dns.sharedHosts.across`, or tell them apart with {-env} or {cell}"
            } else {
                "tell them apart with {key}, {tenant}, {-env} or {cell} in the host"
            };
            issues.push(Issue::error(code::HOST, path.clone(), message).hint(hint));
        }
        let local = host.name == "localhost" || host.name.ends_with(".localhost");
        if host.zone.is_none() && !model.dns_zones.is_empty() && !local {
            let zones: Vec<&str> = model.dns_zones.iter().map(|zone| zone.name.as_str()).collect();
            issues.push(
                Issue::error(code::ZONE, path, format!("the host `{}` is in none of the zones", host.name))
                    .hint(format!("the zones are: {}", zones.join(", "))),
            );
        }
    }
}

/// The page of an Argo CD has a host of its own. A cluster that is made when another is lost takes over that one's.
fn pages(spec: &Spec, model: &Model, issues: &mut Vec<Issue>) {
    let mut taken: BTreeMap<&str, String> = BTreeMap::new();
    for host in &model.hosts {
        taken.insert(&host.name, "applications".to_owned());
    }
    for instance in &model.argocd.instances {
        let later = |cluster: &model::Cluster| cluster.lifecycle == Lifecycle::OnDemand;
        let Some(host) = instance.host.as_deref() else { continue };
        if model.cluster(&instance.cluster).is_some_and(later) {
            continue;
        }
        let own = format!("the Argo CD on `{}`", instance.cluster);
        if let Some(first) = taken.insert(host, own.clone()) {
            let overlay =
                model.cluster(&instance.cluster).map_or("default", |cluster| cluster.overlay.as_str());
            let said = spec.argocd.hosts.keys().any(|name| name.as_str() == overlay);
            let path = format!("spec.argocd.hosts.{}", if said { overlay } else { "default" });
            let message = format!("{own} and {first} want the host `{host}`");
            issues.push(
                Issue::error(code::HOST, path, message)
                    .hint("give each page a host of its own, by overlay or with another domain"),
            );
        }
    }
}

/// Where an application's host is written: at the tenant's subscription, else at the app.
fn path_of_host(spec: &Spec, application: &Application) -> String {
    let tenants = spec.tenancy.iter().flat_map(|tenancy| &tenancy.tenants).enumerate();
    for (index, tenant) in
        tenants.filter(|(_, tenant)| Some(tenant.name.as_str()) == application.tenant.as_deref())
    {
        let own = |(at, subscription): (usize, &crate::platform::tenancy::Subscription)| {
            (*subscription.app == *application.app && subscription.host.is_some()).then_some(at)
        };
        if let Some(at) = tenant.subscriptions.iter().enumerate().find_map(own) {
            return format!("spec.tenancy.tenants[{index}].subscriptions[{at}].host");
        }
    }
    let app = spec.apps.iter().position(|app| *app.name == *application.app).unwrap_or_default();
    format!("spec.apps[{app}].host")
}
