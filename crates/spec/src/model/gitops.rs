//! What Argo CD gets beside applications: its instances, projects and namespaces.

use std::collections::BTreeMap;

use super::{
    Application, ArgoCd, ArgoInstance, Namespace, Project,
    build::{overlay, push_new},
    naming::{Words, fill},
    network,
};
use crate::platform::{
    self, Spec,
    argocd::Topology,
    cluster::{self, ClusterRole},
};

/// The cluster that runs Argo CD for all: the management cluster, else the first.
fn management(spec: &Spec) -> Option<&cluster::Cluster> {
    let role = |cluster: &&cluster::Cluster| cluster.role == ClusterRole::Management;
    spec.clusters.iter().find(role).or_else(|| spec.clusters.first())
}

pub(super) fn argocd(spec: &Spec) -> ArgoCd {
    let instance = |cluster: &cluster::Cluster, clusters: Vec<String>| {
        let overlay = overlay(spec, cluster);
        let hosts = &spec.argocd.hosts;
        let host = hosts.iter().find(|(name, _)| name.as_str() == overlay.as_str());
        let host = host.or_else(|| hosts.iter().find(|(name, _)| name.as_str() == "default"));
        let domain = network::domain(spec, overlay).unwrap_or_default();
        ArgoInstance {
            cluster: cluster.name.to_string(),
            clusters,
            host: host.map(|(_, host)| fill(host, Words { domain: &domain, ..Words::default() })),
        }
    };
    let instances = match spec.argocd.topology {
        Topology::Dedicated | Topology::CockpitFleet => {
            spec.clusters.iter().map(|cluster| instance(cluster, vec![cluster.name.to_string()])).collect()
        }
        Topology::Centralized | Topology::PerGroup | Topology::Managed => management(spec)
            .map(|own| {
                let others = spec.clusters.iter().filter(|cluster| cluster.name != own.name);
                let all =
                    std::iter::once(own).chain(others).map(|cluster| cluster.name.to_string()).collect();
                vec![instance(own, all)]
            })
            .unwrap_or_default(),
    };
    ArgoCd {
        version: spec.argocd.version.clone(),
        topology: spec.argocd.topology,
        bootstrap: spec.argocd.bootstrap,
        namespace: "argocd".to_owned(),
        instances,
        retry: spec.argocd.retry.clone(),
        sync_options: spec.argocd.sync_options.clone(),
        revision_history_limit: spec.argocd.revision_history_limit,
        poll_interval: spec.argocd.poll_interval,
    }
}

pub(super) fn projects(spec: &Spec, applications: &[Application]) -> Vec<Project> {
    let mut out: BTreeMap<(String, String), Project> = BTreeMap::new();
    for application in applications {
        let key = (application.argocd.clone(), application.project.clone());
        let project = out.entry(key).or_insert_with(|| Project {
            name: application.project.clone(),
            argocd: application.argocd.clone(),
            tenants: Vec::new(),
            source_repos: Vec::new(),
            destinations: Vec::new(),
            groups: BTreeMap::new(),
        });
        push_new(&mut project.source_repos, application.source.repo_url.clone());
        push_new(&mut project.destinations, application.destination.clone());
        let tenant = application
            .tenant
            .as_ref()
            .and_then(|name| spec.tenancy.as_ref()?.tenants.iter().find(|tenant| *tenant.name == **name));
        if let Some(tenant) = tenant {
            push_new(&mut project.tenants, tenant.name.to_string());
            let groups = &tenant.groups;
            let roles = [
                ("admin", &groups.admin),
                ("edit", &groups.edit),
                ("sync", &groups.sync),
                ("view", &groups.view),
            ];
            for (role, group) in roles {
                if let Some(group) = group {
                    push_new(project.groups.entry(role.to_owned()).or_default(), group.clone());
                }
            }
        }
    }
    let mut out: Vec<Project> = out.into_values().collect();
    for project in &mut out {
        project.source_repos.sort();
        project.destinations.sort();
    }
    out
}

pub(super) fn namespaces(spec: &Spec, applications: &[Application]) -> Vec<Namespace> {
    let tenancy = spec.tenancy.as_ref();
    let mut out: BTreeMap<(String, String), Namespace> = BTreeMap::new();
    for application in applications {
        let tenant = application
            .tenant
            .as_ref()
            .and_then(|name| tenancy?.tenants.iter().find(|tenant| *tenant.name == **name));
        let key = (application.cluster.clone(), application.namespace.clone());
        let namespace = out.entry(key).or_insert_with(|| Namespace {
            name: application.namespace.clone(),
            cluster: application.cluster.clone(),
            cell: application.cell.clone(),
            environment: application.environment.clone(),
            tenants: Vec::new(),
            labels: application.labels.clone(),
            pod_security: tenancy.map(|tenancy| tenancy.pod_security).unwrap_or_default(),
            quota: BTreeMap::new(),
            limits: BTreeMap::new(),
            network_policy: tenancy.and_then(|tenancy| tenancy.network_policy.clone()),
        });
        let Some(tenant) = tenant else { continue };
        push_new(&mut namespace.tenants, tenant.name.to_string());
        let tier = tenant.tier.as_ref().and_then(|tier| tenancy?.tiers.get(tier));
        if let Some(tier) = tier {
            let text = |map: &BTreeMap<String, platform::value::Quantity>| {
                map.iter()
                    .map(|(key, value)| (key.clone(), value.as_str().to_owned()))
                    .collect::<BTreeMap<_, _>>()
            };
            namespace.quota = text(&tier.quota);
            if let Some(limits) = &tier.limits {
                let parts = [
                    ("max", &limits.max),
                    ("min", &limits.min),
                    ("default", &limits.default),
                    ("default_request", &limits.default_request),
                ];
                namespace.limits = parts
                    .into_iter()
                    .filter(|(_, map)| !map.is_empty())
                    .map(|(name, map)| (name.to_owned(), text(map)))
                    .collect();
            }
        }
    }
    out.into_values().collect()
}
