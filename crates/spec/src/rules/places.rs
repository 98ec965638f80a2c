//! Git, providers, clusters, networks, Argo CD: whether things can be where they are said to be.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::{
    platform::{
        Spec,
        argocd::Topology,
        cluster::{Addresses, Cluster, ClusterRole, LoadBalancerKind},
        place::{Provider, ProviderKind, Region},
        value::Cidr,
    },
    secret::SecretRef,
    source::{Issue, code, did_you_mean},
};

/// Versions of Argo CD that a spec may ask for; the first is the one that is proven.
pub const ARGOCD_VERSIONS: [&str; 2] = ["3.5.7", "3.6.1"];
/// Keys of the configuration of `existing`.
const EXISTING_KEYS: [&str; 2] = ["kubeconfigRef", "context"];

pub(super) fn check(spec: &Spec) -> Vec<Issue> {
    let mut issues = Vec::new();
    git(spec, &mut issues);
    for (index, provider) in spec.providers.iter().enumerate() {
        of_provider(index, provider, &mut issues);
    }
    for (index, cluster) in spec.clusters.iter().enumerate() {
        of_cluster(spec, index, cluster, &mut issues);
    }
    networks(spec, &mut issues);
    argocd(spec, &mut issues);
    residency(spec, &mut issues);
    issues
}

fn kind_of<'a>(spec: &'a Spec, cluster: &Cluster) -> Option<&'a ProviderKind> {
    spec.providers.iter().find(|provider| provider.name == cluster.provider).map(|provider| &provider.kind)
}

/// Whether a URL leads to this machine or its files, and so nowhere from inside a pod.
fn is_local(url: &str) -> bool {
    if url.starts_with("file:") {
        return true;
    }
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or_default();
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = match host.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host.ends_with(".localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback() || address.is_unspecified())
}

fn git(spec: &Spec, issues: &mut Vec<Issue>) {
    let server = &spec.git.server;
    let (path, url) = match &server.in_cluster_url {
        Some(url) => ("spec.git.server.inClusterUrl", url),
        None => ("spec.git.server.url", &server.url),
    };
    if !is_local(url) {
        return;
    }
    // On clusters that we make, pods have a loopback of their own. A cluster that exists already may be processes of
    // this very machine, and the sandbox is.
    let ours = |cluster: &Cluster| {
        kind_of(spec, cluster)
            .is_some_and(|kind| kind.is_cloud() || matches!(kind.as_str(), "kind" | "machines"))
    };
    let played = |cluster: &Cluster| kind_of(spec, cluster).is_some_and(|kind| kind.as_str() == "sandbox");
    if !spec.clusters.is_empty() && spec.clusters.iter().all(played) {
        return;
    }
    // The container engine of kind brings a folder of this machine to the pods beside it.
    let brought = crate::model::git_folder(spec).and_then(|folder| {
        spec.clusters.iter().find(|cluster| *cluster.name == *folder.cluster).and_then(|it| kind_of(spec, it))
    });
    if brought.is_some_and(|kind| kind.as_str() == "kind") {
        return;
    }
    let message = "Argo CD cannot reach this URL from inside a cluster";
    let issue = if spec.clusters.iter().any(ours) {
        Issue::error(code::LOCAL_GIT, path, message)
    } else {
        Issue::warning(code::LOCAL_GIT, path, message)
    };
    issues.push(issue.hint("write `inClusterUrl` with an address of the server that pods can reach"));
}

fn of_provider(index: usize, provider: &Provider, issues: &mut Vec<Issue>) {
    let path = format!("spec.providers[{index}]");
    if !provider.kind.is_known() && !provider.kind.as_str().is_empty() {
        let near = did_you_mean(provider.kind.as_str(), ProviderKind::KNOWN);
        let known = ProviderKind::KNOWN.join(", ");
        let hint = match near {
            Some(near) => format!("did you mean `{near}`? Known: {known}"),
            None => {
                format!("known: {known}; any other must be installed as a plugin, see `platform providers`")
            }
        };
        let message = format!("the provider kind `{}` is not part of this program", provider.kind);
        issues.push(Issue::warning(code::PLACE, format!("{path}.kind"), message).hint(hint));
    }
    if provider.kind.as_str() != "existing" {
        return;
    }
    for key in provider.config.keys().filter(|key| !EXISTING_KEYS.contains(&key.as_str())) {
        let hint = did_you_mean(key, EXISTING_KEYS).map_or_else(
            || "known: kubeconfigRef, context".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let path = format!("{path}.config.{key}");
        issues.push(Issue::error(code::PLACE, path, format!("`existing` has no setting `{key}`")).hint(hint));
    }
    let reference = provider.config.get("kubeconfigRef");
    let handle = reference.and_then(serde_json::Value::as_str).map(str::parse::<SecretRef>);
    if !matches!(handle, Some(Ok(_))) {
        let (path, message) = match reference {
            Some(_) => (
                format!("{path}.config.kubeconfigRef"),
                "not a handle of a kubeconfig (the value is not shown)",
            ),
            None => (format!("{path}.config"), "`existing` needs `kubeconfigRef`"),
        };
        let hint = "write kubeconfigRef: file:~/.kube/config, or another handle (env:NAME, exec:PROGRAM)";
        issues.push(Issue::error(code::PLACE, path, message).hint(hint));
    }
    if provider.config.get("context").is_some_and(|context| !context.is_string()) {
        let path = format!("{path}.config.context");
        issues.push(Issue::error(code::PLACE, path, "`context` must be a text").hint("put it in quotes"));
    }
}

fn of_cluster(spec: &Spec, index: usize, cluster: &Cluster, issues: &mut Vec<Issue>) {
    let path = format!("spec.clusters[{index}]");
    if cluster.region.is_none() && kind_of(spec, cluster).is_some_and(ProviderKind::is_cloud) {
        let message = format!("the cluster `{}` is in a cloud and names no region", cluster.name);
        issues.push(
            Issue::error(code::PLACE, path.clone(), message)
                .hint("write `region:` with a name from `spec.regions`"),
        );
    }
    if let Some(balancer) = &cluster.load_balancer {
        let listed = matches!(&balancer.addresses, Some(Addresses::List(list)) if !list.is_empty());
        if balancer.kind == LoadBalancerKind::Static && !listed {
            issues.push(
                Issue::error(
                    code::PLACE,
                    format!("{path}.loadBalancer"),
                    "a static load balancer needs its addresses",
                )
                .hint(
                    "write `addresses: [192.0.2.10]` with the addresses under which applications are reached",
                ),
            );
        }
    }
    for (at, pool) in cluster.node_pools.iter().flatten().enumerate() {
        let desired = pool.desired.unwrap_or(pool.min);
        if pool.min > desired || desired > pool.max {
            let path = format!("{path}.nodePools[{at}]");
            issues.push(
                Issue::error(code::PLACE, path, "the pool's numbers contradict one another")
                    .hint("min ≤ desired ≤ max"),
            );
        }
    }
    let platforms = spec.supply_chain.as_ref().map_or(&[][..], |chain| &chain.platforms);
    if let Some(arch) = cluster.arch.or(spec.cluster_defaults.arch)
        && !platforms.is_empty()
    {
        let word = serde_json::to_value(arch).unwrap_or_default();
        let wanted = format!("linux/{}", word.as_str().unwrap_or_default());
        if !platforms.iter().any(|platform| platform.as_str() == wanted) {
            let message = format!("images are not built for `{wanted}`, which this cluster is");
            let path = format!("{path}.arch");
            issues.push(
                Issue::error(code::PLACE, path, message)
                    .hint(format!("add {wanted} to `spec.supplyChain.platforms`")),
            );
        }
    }
}

fn networks(spec: &Spec, issues: &mut Vec<Issue>) {
    let mut seen: Vec<(String, IpNet, usize)> = Vec::new();
    for (index, cluster) in spec.clusters.iter().enumerate() {
        let kubernetes = cluster.kubernetes.as_ref();
        let own = format!("spec.clusters[{index}]");
        let parts: [(String, Option<&Cidr>); 3] = [
            (format!("{own}.kubernetes.podCidr"), kubernetes.and_then(|of| of.pod_cidr.as_ref())),
            (format!("{own}.kubernetes.serviceCidr"), kubernetes.and_then(|of| of.service_cidr.as_ref())),
            (format!("{own}.network.vpcCidr"), cluster.network.as_ref().map(|of| &of.vpc_cidr)),
        ];
        // A default network may repeat from cluster to cluster, and still must not meet the cluster's own.
        let default = spec.cluster_defaults.network.as_ref().filter(|_| cluster.network.is_none());
        let default = default.and_then(|of| of.vpc_cidr.parse::<IpNet>().ok());
        for (path, cidr) in parts {
            let Some(net) = cidr.and_then(|cidr| cidr.parse::<IpNet>().ok()) else { continue };
            let meets = |other: &IpNet| net.contains(other) || other.contains(&net);
            let other = seen
                .iter()
                .find(|(_, other, _)| meets(other))
                .map(|(path, other, _)| (path.as_str(), *other));
            let default = default.filter(meets).map(|net| ("spec.clusterDefaults.network.vpcCidr", net));
            if let Some((other, theirs)) = other.or(default) {
                issues.push(
                    Issue::error(
                        code::OVERLAP,
                        path.clone(),
                        format!("the network {net} overlaps with {theirs}"),
                    )
                    .hint(format!("the other is {other}; choose networks that share no address")),
                );
            }
            seen.push((path, net, index));
        }
    }
}

fn argocd(spec: &Spec, issues: &mut Vec<Issue>) {
    let version = &spec.argocd.version;
    if !version.is_empty() && !ARGOCD_VERSIONS.contains(&version.trim_start_matches('v')) {
        let message = format!("Argo CD {version} is not in the support table");
        issues.push(
            Issue::error(code::ARGOCD, "spec.argocd.version", message)
                .hint("supported: 3.5.7, which is proven here, and 3.6.1"),
        );
    }
    let count = spec.clusters.len();
    let managers = spec.clusters.iter().filter(|cluster| cluster.role == ClusterRole::Management).count();
    let path = "spec.argocd.topology";
    if spec.argocd.topology == Topology::Centralized && count > 1 && managers != 1 {
        let message = format!("one Argo CD for all needs one management cluster, and there are {managers}");
        issues.push(
            Issue::error(code::ARGOCD, path, message).hint("write `role: management` at exactly one cluster"),
        );
    }
    let fits = match spec.argocd.topology {
        Topology::Centralized => count <= 20,
        Topology::PerGroup => count <= 50,
        Topology::Dedicated | Topology::CockpitFleet | Topology::Managed => true,
    };
    if !fits {
        let message = format!("this topology is not made for {count} clusters");
        let hint = "centralized: up to 20; per-group: up to 50; cockpit-fleet or managed beyond";
        issues.push(Issue::warning(code::ARGOCD, path, message).hint(hint));
    }
}

/// S0-50: a tenant's home, cells and backups are where its data may be.
fn residency(spec: &Spec, issues: &mut Vec<Issue>) {
    let cells = crate::model::cells(spec);
    let region = |name: &str| spec.regions.iter().find(|known| *known.name == *name);
    let store = spec.backup.as_ref().and_then(|backup| region(backup.store.region.as_deref()?));
    for (index, tenant) in spec.tenancy.iter().flat_map(|tenancy| &tenancy.tenants).enumerate() {
        if tenant.residency.is_empty() {
            continue;
        }
        let may_be = |place: &Region| {
            tenant.residency.iter().any(|geo| *geo == place.geo || place.residency.contains(geo))
        };
        let mut refuse = |path: String, message: String| {
            let allowed: Vec<&str> = tenant.residency.iter().map(|geo| geo.as_str()).collect();
            let hint = format!("its residency is: {}", allowed.join(", "));
            issues.push(Issue::error(code::RESIDENCY, path, message).hint(hint));
        };
        let name = &tenant.name;
        for (at, own) in tenant.cells.iter().enumerate() {
            let Some(cell) = cells.iter().find(|cell| cell.name == **own) else { continue };
            let place = cell.region.as_deref().and_then(region);
            if !place.is_some_and(may_be) {
                let place = place.map_or("no known region", |place| place.geo.as_str());
                refuse(
                    format!("spec.tenancy.tenants[{index}].cells[{at}]"),
                    format!("the data of `{name}` may not be in the cell `{own}`, which is in `{place}`"),
                );
            }
        }
        if let Some(home) = tenant.region.as_deref().and_then(region).filter(|home| !may_be(home)) {
            refuse(
                format!("spec.tenancy.tenants[{index}].region"),
                format!("the home of `{name}` is `{}`, where its data may not be", home.name),
            );
        }
        if let Some(store) = store.filter(|store| !may_be(store)) {
            refuse(
                "spec.backup.store.region".to_owned(),
                format!("the backups of `{name}` would be in `{}`, where its data may not be", store.name),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_local;

    #[test]
    fn local_urls_are_known_as_such() {
        for url in [
            "http://localhost:7990/scm",
            "https://127.0.0.1/x",
            "http://127.9.9.9",
            "ssh://git@[::1]:22/x",
            "http://git.localhost/x",
            "file:///srv/git",
        ] {
            assert!(is_local(url), "{url}");
        }
        for url in ["https://git.example.com/localhost", "http://10.0.0.1:3000", "ssh://git@192.0.2.1/x"] {
            assert!(!is_local(url), "{url}");
        }
    }
}
