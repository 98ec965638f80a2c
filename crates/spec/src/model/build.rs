//! From the spec to the model.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::*;
use crate::platform::{
    self, Platform, Spec,
    cluster::{self, Addresses, LoadBalancerKind},
    tenancy::{self, Subscription},
};

use self::naming::{LABEL_LIMIT, OBJECT_LIMIT, Words, fill, fit, label_value};

/// Sync wave of applications that belong to nobody in particular, and of tenants' applications.
const APP_WAVE: i32 = 50;
const TENANT_WAVE: i32 = 60;

/// Works out what a spec means.
///
/// # Guarantees
/// Pure: the same spec gives the same model, byte for byte.
/// # Assumptions
/// The spec has passed [`crate::parse`]; a reference that leads nowhere leaves the thing out.
pub fn derive(platform: &Platform) -> Model {
    let spec = &platform.spec;
    let argocd = gitops::argocd(spec);
    let clusters: Vec<Cluster> =
        spec.clusters.iter().map(|cluster| of_cluster(spec, cluster, &argocd)).collect();
    let cells = cells(spec);
    let repositories = repositories(spec);
    let applications = applications(platform, &cells, &clusters, &repositories);
    let hosts = network::hosts(spec, &applications);
    let dns_zones = network::zones(spec);
    Model {
        platform: platform.metadata.name.to_string(),
        owner: platform.metadata.owner.clone(),
        cost_center: platform.metadata.cost_center.clone(),
        labels: labels(platform),
        spec_digest: digest(platform),
        blueprint: BlueprintChoice {
            name: spec.blueprint.name.to_string(),
            version: spec.blueprint.version.clone(),
            params: spec.blueprint.params.clone(),
        },
        git: git_server(spec),
        environments: environments(spec),
        tenants: tenants::tenants(spec, &cells),
        projects: gitops::projects(spec, &applications),
        namespaces: gitops::namespaces(spec, &applications),
        dns_records: network::records(&hosts, &dns_zones, &cells, &clusters),
        storage_classes: storage::storage_classes(spec),
        addons: addons::addons(spec, &clusters),
        backup: operations::backup(spec),
        waves: operations::waves(spec, &cells, &applications),
        contracts: Contracts {
            ingress_class: spec.contracts.ingress_class.to_string(),
            storage_class: spec.contracts.storage_class.to_string(),
            cluster_issuers: words(&spec.contracts.cluster_issuers),
            pull_secret: spec.contracts.pull_secret.as_ref().map(ToString::to_string),
        },
        repositories,
        clusters,
        cells,
        argocd,
        applications,
        hosts,
        dns_zones,
        life: None,
        emulated: false,
    }
}

pub(super) fn words(names: &[platform::Name]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn labels(platform: &Platform) -> BTreeMap<String, String> {
    BTreeMap::from([
        ("platform.dev/name".to_owned(), platform.metadata.name.to_string()),
        ("platform.dev/owner".to_owned(), platform.metadata.owner.clone()),
        ("platform.dev/cost-center".to_owned(), platform.metadata.cost_center.clone()),
    ])
}

/// Over the typed spec and not over the text: a comment is no change.
fn digest(platform: &Platform) -> String {
    let canonical = serde_json::to_vec(platform).unwrap_or_default();
    hex::encode(Sha256::digest(canonical))
}

fn git_server(spec: &Spec) -> GitServer {
    let server = &spec.git.server;
    GitServer {
        kind: server.kind,
        url: server.url.trim_end_matches('/').to_owned(),
        in_cluster_url: in_cluster_url(spec).to_owned(),
        project: server.project.clone(),
        username: server.username.clone().unwrap_or_else(|| "git".to_owned()),
        auth_ref: server.auth_ref.clone(),
        signed_commits: spec.git.signed_commits,
        folder: git_folder(spec),
    }
}

fn in_cluster_url(spec: &Spec) -> &str {
    let server = &spec.git.server;
    server.in_cluster_url.as_deref().unwrap_or(&server.url).trim_end_matches('/')
}

fn repositories(spec: &Spec) -> Vec<Repository> {
    let base = spec.git.server.url.trim_end_matches('/');
    spec.git
        .repositories
        .iter()
        .map(|repository| Repository {
            name: repository.name.to_string(),
            role: repository.role,
            push_url: format!("{base}/{}.git", repository.name),
            in_cluster_url: format!("{}/{}.git", in_cluster_url(spec), repository.name),
            branch: repository.default_branch.clone(),
            root: repository.root.clone().unwrap_or_default(),
        })
        .collect()
}

pub(super) fn environments(spec: &Spec) -> Vec<Environment> {
    let last = spec.environments.iter().map(|environment| environment.order).max();
    let mut out: Vec<Environment> = spec
        .environments
        .iter()
        .map(|environment| Environment {
            name: environment.name.to_string(),
            order: environment.order,
            auto_sync: environment.auto_sync,
            self_heal: environment.self_heal,
            approvals: environment.approvals,
            soak: environment.soak.unwrap_or_default(),
            last: Some(environment.order) == last,
        })
        .collect();
    out.sort_by_key(|environment| environment.order);
    out
}

/// The overlay of the add-ons that a provider's clusters take.
fn default_overlay(kind: &str) -> Overlay {
    match kind {
        "kind" | "sandbox" => Overlay::Kind,
        "aks" => Overlay::Aks,
        "eks" => Overlay::Eks,
        "gke" => Overlay::Gke,
        _ => Overlay::Onprem,
    }
}

pub(crate) fn overlay(spec: &Spec, cluster: &cluster::Cluster) -> Overlay {
    let kind = spec.providers.iter().find(|provider| provider.name == cluster.provider);
    cluster.overlay.unwrap_or_else(|| default_overlay(kind.map_or("", |provider| provider.kind.as_str())))
}

fn of_cluster(spec: &Spec, cluster: &cluster::Cluster, argocd: &ArgoCd) -> Cluster {
    let provider = spec.providers.iter().find(|provider| provider.name == cluster.provider);
    let region = cluster.region.as_ref();
    let serves = |instance: &&ArgoInstance| instance.clusters.iter().any(|name| *name == *cluster.name);
    let own_version = cluster.kubernetes.as_ref().and_then(|kubernetes| kubernetes.version.clone());
    Cluster {
        name: cluster.name.to_string(),
        provider: ProviderChoice {
            name: cluster.provider.to_string(),
            kind: provider.map(|provider| provider.kind.to_string()).unwrap_or_default(),
            credentials_ref: provider.and_then(|provider| provider.credentials_ref.clone()),
            config: provider.map(|provider| provider.config.clone()).unwrap_or_default(),
        },
        region: region.map(ToString::to_string),
        geo: region
            .and_then(|region| spec.regions.iter().find(|known| known.name == *region))
            .map(|region| region.geo.to_string()),
        role: cluster.role,
        lifecycle: cluster.lifecycle,
        overlay: overlay(spec, cluster),
        environments: words(&cluster.environments),
        cells: cluster.environments.iter().map(|environment| cell_name(cluster, environment)).collect(),
        dedicated_to: cluster.dedicated_to.as_ref().map(ToString::to_string),
        kubernetes_version: own_version.or_else(|| spec.kubernetes.version.clone()),
        argocd: argocd
            .instances
            .iter()
            .find(serves)
            .map_or_else(|| cluster.name.to_string(), |instance| instance.cluster.clone()),
        addresses: static_addresses(cluster),
        traffic_weight: cluster.traffic.as_ref().map(|traffic| traffic.weight),
        settings: settings(spec, cluster),
        life: None,
        store: None,
    }
}

fn static_addresses(cluster: &cluster::Cluster) -> Vec<IpAddr> {
    match &cluster.load_balancer {
        Some(balancer) if balancer.kind == LoadBalancerKind::Static => match &balancer.addresses {
            Some(Addresses::List(addresses)) => {
                let mut addresses = addresses.clone();
                addresses.sort_unstable();
                addresses.dedup();
                addresses
            }
            _ => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn settings(spec: &Spec, cluster: &cluster::Cluster) -> Value {
    let json = |value: Result<Value, serde_json::Error>| match value {
        Ok(Value::Object(map)) => map,
        _ => Values::new(),
    };
    let mut out = json(serde_json::to_value(&spec.cluster_defaults));
    merge(&mut out, &json(serde_json::to_value(cluster)));
    Value::Object(out)
}

/// A cluster's cell in one environment. The parser has seen to it that no two are the same.
pub(crate) fn cell_name(cluster: &cluster::Cluster, environment: &str) -> String {
    match &cluster.cell {
        Some(cell) if cluster.environments.len() == 1 => cell.to_string(),
        Some(cell) => fit(&format!("{cell}-{environment}"), LABEL_LIMIT),
        None => environment.to_owned(),
    }
}

pub(crate) fn cells(spec: &Spec) -> Vec<Cell> {
    let of = |cluster: &cluster::Cluster, environment: &str| {
        let name = cell_name(cluster, environment);
        let overlay = overlay(spec, cluster);
        Cell {
            dir: match &cluster.dir {
                Some(dir) if cluster.environments.len() == 1 => dir.clone(),
                Some(dir) => format!("{dir}/{environment}"),
                None => name.clone(),
            },
            name,
            cluster: cluster.name.to_string(),
            environment: environment.to_owned(),
            overlay,
            region: cluster.region.as_ref().map(ToString::to_string),
            domain: network::domain(spec, overlay),
            dedicated_to: cluster.dedicated_to.as_ref().map(ToString::to_string),
        }
    };
    spec.clusters
        .iter()
        .flat_map(|cluster| cluster.environments.iter().map(move |environment| of(cluster, environment)))
        .collect()
}

/// An app that runs in a cell, for a tenant or for everybody.
struct Placement<'a> {
    app: &'a platform::app::App,
    cell: &'a Cell,
    tenant: Option<(&'a tenancy::Tenant, &'a Subscription)>,
}

fn placements<'a>(spec: &'a Spec, cells: &'a [Cell]) -> Vec<Placement<'a>> {
    let Some(tenancy) = &spec.tenancy else {
        let each = |app| cells.iter().map(move |cell| Placement { app, cell, tenant: None });
        return spec.apps.iter().flat_map(each).collect();
    };
    let mut out = Vec::new();
    for tenant in &tenancy.tenants {
        for subscription in tenant.subscriptions.iter().filter(|subscription| subscription.enabled) {
            let Some(app) = spec.apps.iter().find(|app| app.name == subscription.app) else { continue };
            for name in &tenant.cells {
                let Some(cell) = cells.iter().find(|cell| cell.name == **name) else { continue };
                out.push(Placement { app, cell, tenant: Some((tenant, subscription)) });
            }
        }
    }
    out
}

pub(crate) fn applications(
    platform: &Platform,
    cells: &[Cell],
    clusters: &[Cluster],
    repositories: &[Repository],
) -> Vec<Application> {
    let spec = &platform.spec;
    placements(spec, cells)
        .into_iter()
        .filter_map(|placement| application(platform, &placement, clusters, repositories))
        .collect()
}

fn application(
    platform: &Platform,
    placement: &Placement<'_>,
    clusters: &[Cluster],
    repositories: &[Repository],
) -> Option<Application> {
    let Placement { app, cell, tenant } = placement;
    let spec = &platform.spec;
    let environment = spec.environments.iter().find(|known| *known.name == *cell.environment)?;
    let cluster = clusters.iter().find(|cluster| cluster.name == cell.cluster)?;
    let repository = repositories.iter().find(|repository| repository.name == *app.source.repo)?;
    let default_suffix = format!("-{}", environment.name);
    let words = Words {
        tenant: tenant.map_or("", |(tenant, _)| tenant.name.as_str()),
        tenant_id: tenant.map_or("", |(tenant, _)| tenant.id.as_deref().unwrap_or(&tenant.name)),
        app: &app.name,
        key: tenant.and_then(|(_, subscription)| subscription.key.as_deref()).unwrap_or(&app.name),
        env: &environment.name,
        env_suffix: environment.host_suffix.as_deref().unwrap_or(&default_suffix),
        cell: &cell.name,
        domain: cell.domain.as_deref().unwrap_or_default(),
    };
    let (namespace, name, project) = match (&spec.tenancy, tenant) {
        (Some(tenancy), Some((tenant, _))) => (
            fill(tenant.namespace.as_deref().unwrap_or(&tenancy.naming.namespace), words),
            fill(&tenancy.naming.application, words),
            fill(&tenancy.naming.project, words),
        ),
        _ => (fill("{app}-{env}", words), fill("{app}-{cell}", words), platform.metadata.name.to_string()),
    };
    let namespace = fit(&namespace, LABEL_LIMIT);
    let host = tenant.and_then(|(_, subscription)| subscription.host.as_ref()).or(app.host.as_ref());
    let mut values = app.values.clone();
    let mut lay = |layer: Option<&Values>| {
        if let Some(layer) = layer {
            merge(&mut values, layer);
        }
    };
    lay(app.env_values.get(&environment.name));
    lay(app.cell_values.get(&platform::Name::new(&cell.name)));
    if let Some((_, subscription)) = tenant {
        lay(Some(&subscription.values));
        lay(subscription.env_values.get(&environment.name));
    }
    let mut labels = labels(platform);
    if let Some(tenancy) = &spec.tenancy {
        labels.extend(
            tenancy.labels.iter().map(|(key, value)| (key.clone(), label_value(&fill(value, words)))),
        );
    }
    let version = tenant.and_then(|(_, subscription)| subscription.version.clone());
    Some(Application {
        name: fit(&name, OBJECT_LIMIT),
        app: app.name.to_string(),
        tenant: tenant.map(|(tenant, _)| tenant.name.to_string()),
        key: words.key.to_owned(),
        cell: cell.name.clone(),
        cluster: cell.cluster.clone(),
        environment: cell.environment.clone(),
        project: fit(&project, LABEL_LIMIT),
        argocd: cluster.argocd.clone(),
        destination: destination(cluster, &namespace),
        namespace,
        source: Source {
            repository: repository.name.clone(),
            repo_url: repository.in_cluster_url.clone(),
            revision: environment.branch.clone().unwrap_or_else(|| repository.branch.clone()),
            path: fill(&app.source.path, words),
            kind: app.source.kind,
            version: version.or_else(|| app.source.version.clone()),
        },
        values,
        host: host.map(|host| fill(host, words)),
        port: app.port,
        health: app.health.clone(),
        ready: app.ready.clone(),
        auto_sync: environment.auto_sync,
        self_heal: environment.self_heal,
        wave: if tenant.is_some() { TENANT_WAVE } else { APP_WAVE },
        labels,
    })
}

fn destination(cluster: &Cluster, namespace: &str) -> Destination {
    let own = cluster.argocd == cluster.name;
    Destination {
        cluster: cluster.name.clone(),
        name: if own { "in-cluster".to_owned() } else { cluster.name.clone() },
        server: own.then(|| IN_CLUSTER_SERVER.to_owned()),
        namespace: namespace.to_owned(),
    }
}

pub(super) fn push_new<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}
