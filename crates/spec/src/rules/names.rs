//! Names that are there twice, and references that lead nowhere.

use std::collections::HashMap;

use crate::{
    model,
    platform::{Name, Spec, app::Store, git::RepositoryRole, operate::Wave, tenancy::Tenant},
    source::{Issue, code, did_you_mean},
};

/// Who serves a zone without being a provider of clusters.
pub(super) const ZONE_PROVIDERS: [&str; 3] = ["rfc2136", "cloudflare", "hosts-file"];
const OVERLAYS: [&str; 6] = ["kind", "aks", "eks", "gke", "onprem", "default"];

/// The names that references may lead to.
struct Known<'a> {
    environments: Vec<&'a str>,
    regions: Vec<&'a str>,
    geos: Vec<&'a str>,
    providers: Vec<&'a str>,
    cells: Vec<String>,
    repositories: Vec<&'a str>,
    apps: Vec<&'a str>,
    tenants: Vec<&'a str>,
    tiers: Vec<&'a str>,
    strategies: Vec<&'a str>,
    analysis: Vec<&'a str>,
}

impl<'a> Known<'a> {
    fn of(spec: &'a Spec) -> Self {
        fn names<'a, T>(list: &'a [T], name: impl Fn(&'a T) -> &'a Name) -> Vec<&'a str> {
            list.iter().map(|item| name(item).as_str()).collect()
        }
        let tenants: &[Tenant] = spec.tenancy.as_ref().map_or(&[], |tenancy| &tenancy.tenants);
        let environments = names(&spec.environments, |item| &item.name);
        let mut cells: Vec<String> = model::cells(spec).into_iter().map(|cell| cell.name).collect();
        // A cell is called after its environment: where that reference leads nowhere, a missing cell is only the echo.
        let mut wanted = spec.clusters.iter().flat_map(|cluster| &cluster.environments);
        if wanted.any(|name| !environments.contains(&name.as_str())) {
            cells.push(String::new());
        }
        Self {
            environments,
            regions: names(&spec.regions, |item| &item.name),
            geos: spec
                .regions
                .iter()
                .flat_map(|item| item.residency.iter().chain([&item.geo]))
                .map(Name::as_str)
                .collect(),
            providers: names(&spec.providers, |item| &item.name),
            cells,
            repositories: names(&spec.git.repositories, |item| &item.name),
            apps: names(&spec.apps, |item| &item.name),
            tenants: names(tenants, |item| &item.name),
            tiers: spec.tenancy.iter().flat_map(|tenancy| tenancy.tiers.keys()).map(Name::as_str).collect(),
            strategies: spec
                .delivery
                .as_ref()
                .map_or(Vec::new(), |d| names(&d.strategies, |item| &item.name)),
            analysis: spec.delivery.as_ref().map_or(Vec::new(), |d| names(&d.analysis, |item| &item.name)),
        }
    }
}

struct Checker {
    issues: Vec<Issue>,
}

impl Checker {
    /// A reference. A name that is damaged itself is not looked up, and nothing is missed in a list with a damaged name:
    /// it might be the one.
    fn refers<S: AsRef<str>>(&mut self, path: String, what: &str, section: &str, name: &str, known: &[S]) {
        let mut names = known.iter().map(AsRef::as_ref);
        if name.is_empty() || names.any(|known| known == name || known.is_empty()) {
            return;
        }
        let hint = match did_you_mean(name, known.iter().map(AsRef::as_ref)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("`{section}` is empty; add `{name}` there"),
            None => {
                let mut names: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
                names.dedup();
                names.truncate(12);
                format!("`{section}` has: {}", names.join(", "))
            }
        };
        self.issues
            .push(Issue::error(code::DANGLING, path, format!("there is no {what} `{name}`")).hint(hint));
    }

    fn all_refer<S: AsRef<str>>(
        &mut self,
        path: &str,
        what: &str,
        section: &str,
        names: &[Name],
        known: &[S],
    ) {
        for (index, name) in names.iter().enumerate() {
            self.refers(format!("{path}[{index}]"), what, section, name, known);
        }
    }

    fn unique<'a>(&mut self, what: &str, of: impl IntoIterator<Item = (String, &'a str)>) {
        let mut seen: HashMap<&str, String> = HashMap::new();
        for (path, name) in of {
            if name.is_empty() {
                continue;
            }
            if let Some(first) = seen.get(name) {
                let message = format!("there are two {what} called `{name}`");
                self.issues.push(
                    Issue::error(code::TWICE_NAME, path, message)
                        .hint(format!("the first is {first}; rename one")),
                );
            } else {
                seen.insert(name, path);
            }
        }
    }
}

fn named<'a, T>(
    section: &'a str,
    list: &'a [T],
    name: impl Fn(&'a T) -> &'a str + 'a,
) -> impl Iterator<Item = (String, &'a str)> {
    list.iter().enumerate().map(move |(index, item)| (format!("{section}[{index}].name"), name(item)))
}

pub(super) fn check(spec: &Spec) -> Vec<Issue> {
    let mut checker = Checker { issues: Vec::new() };
    let known = Known::of(spec);
    checker.twice(spec);
    checker.places(spec, &known);
    checker.apps(spec, &known);
    checker.tenancy(spec, &known);
    checker.operations(spec, &known);
    checker.issues
}

impl Checker {
    fn twice(&mut self, spec: &Spec) {
        self.unique("environments", named("spec.environments", &spec.environments, |item| &item.name));
        self.unique("regions", named("spec.regions", &spec.regions, |item| &item.name));
        self.unique("providers", named("spec.providers", &spec.providers, |item| &item.name));
        self.unique("clusters", named("spec.clusters", &spec.clusters, |item| &item.name));
        self.unique(
            "repositories",
            named("spec.git.repositories", &spec.git.repositories, |item| &item.name),
        );
        self.unique("apps", named("spec.apps", &spec.apps, |item| &item.name));
        let addons = spec.addons.iter().enumerate();
        self.unique("add-ons", addons.map(|(index, addon)| (format!("spec.addons[{index}]"), addon.name())));
        for (index, cluster) in spec.clusters.iter().enumerate() {
            let section = format!("spec.clusters[{index}].environments");
            let each = cluster.environments.iter().enumerate();
            self.unique(
                "environments here",
                each.map(|(at, name)| (format!("{section}[{at}]"), name.as_str())),
            );
        }
        self.cells(spec);
        if let Some(tenancy) = &spec.tenancy {
            let section = "spec.tenancy.tenants";
            self.unique("tenants", named(section, &tenancy.tenants, |tenant| &tenant.name));
            let ids = tenancy.tenants.iter().enumerate();
            let ids =
                ids.filter_map(|(at, tenant)| Some((format!("{section}[{at}].id"), tenant.id.as_deref()?)));
            self.unique("tenants with the id", ids);
            for (at, tenant) in tenancy.tenants.iter().enumerate() {
                let apps = tenant.subscriptions.iter().enumerate();
                let apps = apps
                    .map(|(n, sub)| (format!("{section}[{at}].subscriptions[{n}].app"), sub.app.as_str()));
                self.unique("subscriptions of this tenant", apps);
            }
        }
        if let Some(delivery) = &spec.delivery {
            self.unique(
                "strategies",
                named("spec.delivery.strategies", &delivery.strategies, |item| &item.name),
            );
            self.unique(
                "measurements",
                named("spec.delivery.analysis", &delivery.analysis, |item| &item.name),
            );
        }
        if let Some(backup) = &spec.backup {
            self.unique("schedules", named("spec.backup.schedules", &backup.schedules, |item| &item.name));
            self.unique("drills", named("spec.backup.drills", &backup.drills, |item| &item.name));
            let classes = backup.objectives.iter().enumerate();
            let classes = classes
                .map(|(at, item)| (format!("spec.backup.objectives[{at}].class"), item.class.as_str()));
            self.unique("objectives for the class", classes);
        }
        if let Some(dns) = &spec.dns {
            self.unique("zones", named("spec.dns.zones", &dns.zones, |item| &item.name));
        }
        if let Some(rollout) = &spec.rollout {
            self.unique("waves", named("spec.rollout.waves", &rollout.waves, |item| &item.name));
        }
        if let Some(identity) = &spec.identity {
            self.unique("groups", named("spec.identity.groups", &identity.groups, |item| &item.name));
        }
    }

    fn cells(&mut self, spec: &Spec) {
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (index, cluster) in spec.clusters.iter().enumerate() {
            for environment in &cluster.environments {
                if environment.is_empty() || cluster.cell.as_ref().is_some_and(|cell| cell.is_empty()) {
                    continue;
                }
                let cell = model::cell_name(cluster, environment);
                let Some(first) = seen.insert(cell.clone(), index).filter(|first| *first != index) else {
                    continue;
                };
                let part = if cluster.cell.is_some() { "cell" } else { "environments" };
                self.issues.push(
                    Issue::error(
                        code::TWICE_CELL,
                        format!("spec.clusters[{index}].{part}"),
                        format!("two clusters have the cell `{cell}`"),
                    )
                    .hint(format!(
                        "the other is spec.clusters[{first}]; give each cluster a `cell` of its own"
                    )),
                );
            }
        }
    }

    fn places(&mut self, spec: &Spec, known: &Known<'_>) {
        if !spec.git.repositories.iter().any(|repository| repository.role == RepositoryRole::Platform)
            && !spec.git.repositories.is_empty()
        {
            self.issues.push(
                Issue::error(
                    code::DANGLING,
                    "spec.git.repositories",
                    "no repository has the role `platform`",
                )
                .hint("write `role: platform` at the repository that Argo CD's root Application is in"),
            );
        }
        for (index, cluster) in spec.clusters.iter().enumerate() {
            let path = format!("spec.clusters[{index}]");
            self.refers(
                format!("{path}.provider"),
                "provider",
                "spec.providers",
                &cluster.provider,
                &known.providers,
            );
            if let Some(region) = &cluster.region {
                self.refers(format!("{path}.region"), "region", "spec.regions", region, &known.regions);
            }
            let environments = format!("{path}.environments");
            let section = "spec.environments";
            self.all_refer(&environments, "environment", section, &cluster.environments, &known.environments);
            if let Some(tenant) = cluster.dedicated_to.as_ref().filter(|_| !elsewhere(spec)) {
                let section = "spec.tenancy.tenants";
                self.refers(format!("{path}.dedicatedTo"), "tenant", section, tenant, &known.tenants);
            }
        }
        for name in spec.argocd.hosts.keys() {
            self.refers(format!("spec.argocd.hosts.{name}"), "overlay", "overlays", name, &OVERLAYS);
        }
    }

    fn apps<'a>(&mut self, spec: &'a Spec, known: &Known<'_>) {
        for (index, app) in spec.apps.iter().enumerate() {
            let path = format!("spec.apps[{index}]");
            let section = "spec.git.repositories";
            self.refers(
                format!("{path}.source.repo"),
                "repository",
                section,
                &app.source.repo,
                &known.repositories,
            );
            for name in app.env_values.keys() {
                let path = format!("{path}.envValues.{name}");
                self.refers(path, "environment", "spec.environments", name, &known.environments);
            }
            for name in app.cell_values.keys() {
                self.refers(format!("{path}.cellValues.{name}"), "cell", "cells", name, &known.cells);
            }
            if let (Some(stateful), Some(backup)) = (&app.stateful, &spec.backup) {
                let classes: Vec<&str> = backup.objectives.iter().map(|said| said.class.as_str()).collect();
                let own = stateful.class.as_ref().map(|class| ("class", class));
                let of = |store: &'static str, said: &'a Option<Store>| {
                    said.as_ref().and_then(|said| said.class.as_ref()).map(|class| (store, class))
                };
                let all =
                    [own, of("postgresql.class", &stateful.postgresql), of("redis.class", &stateful.redis)];
                for (key, class) in all.into_iter().flatten() {
                    let path = format!("{path}.stateful.{key}");
                    self.refers(path, "objective for the class", "spec.backup.objectives", class, &classes);
                }
            }
            if let Some(strategy) = &app.delivery {
                let section = "spec.delivery.strategies";
                self.refers(format!("{path}.delivery"), "strategy", section, strategy, &known.strategies);
            }
        }
        for (index, strategy) in spec.delivery.iter().flat_map(|delivery| &delivery.strategies).enumerate() {
            let path = format!("spec.delivery.strategies[{index}]");
            let steps = strategy.steps.iter().enumerate();
            let steps = steps.filter_map(|(at, step)| {
                Some((format!("{path}.steps[{at}].analysis"), step.analysis.as_ref()?))
            });
            let pre = strategy
                .pre_promotion_analysis
                .as_ref()
                .map(|name| (format!("{path}.prePromotionAnalysis"), name));
            let post = strategy
                .post_promotion_analysis
                .as_ref()
                .map(|name| (format!("{path}.postPromotionAnalysis"), name));
            for (path, name) in steps.chain(pre).chain(post) {
                self.refers(path, "measurement", "spec.delivery.analysis", name, &known.analysis);
            }
        }
    }

    fn tenancy(&mut self, spec: &Spec, known: &Known<'_>) {
        let Some(tenancy) = &spec.tenancy else { return };
        if let Some(from) = &tenancy.tenants_from {
            let section = "spec.git.repositories";
            self.refers(
                "spec.tenancy.tenantsFrom.repo".into(),
                "repository",
                section,
                &from.repo,
                &known.repositories,
            );
        }
        for (index, flow) in tenancy.network_policy.iter().flat_map(|policy| &policy.flows).enumerate() {
            let path = format!("spec.tenancy.networkPolicy.flows[{index}]");
            self.refers(format!("{path}.from"), "app", "spec.apps", &flow.from, &known.apps);
            self.refers(format!("{path}.to"), "app", "spec.apps", &flow.to, &known.apps);
        }
        for (index, tenant) in tenancy.tenants.iter().enumerate() {
            let path = format!("spec.tenancy.tenants[{index}]");
            if let Some(tier) = &tenant.tier {
                self.refers(format!("{path}.tier"), "tier", "spec.tenancy.tiers", tier, &known.tiers);
            }
            if let Some(region) = &tenant.region {
                self.refers(format!("{path}.region"), "region", "spec.regions", region, &known.regions);
            }
            self.all_refer(&format!("{path}.cells"), "cell", "cells", &tenant.cells, &known.cells);
            self.all_refer(
                &format!("{path}.residency"),
                "geo",
                "spec.regions[].geo",
                &tenant.residency,
                &known.geos,
            );
            for (at, subscription) in tenant.subscriptions.iter().enumerate() {
                let path = format!("{path}.subscriptions[{at}]");
                self.refers(format!("{path}.app"), "app", "spec.apps", &subscription.app, &known.apps);
                for name in subscription.env_values.keys() {
                    let path = format!("{path}.envValues.{name}");
                    self.refers(path, "environment", "spec.environments", name, &known.environments);
                }
            }
        }
    }

    fn operations(&mut self, spec: &Spec, known: &Known<'_>) {
        if let Some(backup) = &spec.backup {
            if let Some(app) = backup.database.as_ref().and_then(|database| database.app.as_ref()) {
                self.refers("spec.backup.database.app".into(), "app", "spec.apps", app, &known.apps);
            }
            for (index, schedule) in backup.schedules.iter().enumerate() {
                let path = format!("spec.backup.schedules[{index}].tiers");
                self.all_refer(
                    &path,
                    "environment",
                    "spec.environments",
                    &schedule.tiers,
                    &known.environments,
                );
            }
            for (index, objective) in backup.objectives.iter().enumerate() {
                let tenant = objective.class.strip_prefix("tenant/").filter(|_| !elsewhere(spec));
                if let Some(tenant) = tenant {
                    let path = format!("spec.backup.objectives[{index}].class");
                    self.refers(path, "tenant", "spec.tenancy.tenants", tenant, &known.tenants);
                }
            }
            for (index, drill) in backup.drills.iter().enumerate() {
                if let Some(provider) = &drill.provider {
                    let path = format!("spec.backup.drills[{index}].provider");
                    self.refers(path, "provider", "spec.providers", provider, &known.providers);
                }
            }
        }
        if let Some(dns) = &spec.dns {
            let mut servers = known.providers.clone();
            servers.extend(ZONE_PROVIDERS);
            for (index, zone) in dns.zones.iter().enumerate() {
                let path = format!("spec.dns.zones[{index}].provider");
                self.refers(path, "provider", "spec.providers", &zone.provider, &servers);
            }
            for name in dns.domains.keys() {
                self.refers(format!("spec.dns.domains.{name}"), "overlay", "overlays", name, &OVERLAYS);
            }
            if let Some(shared) = &dns.shared_hosts {
                self.all_refer("spec.dns.sharedHosts.across", "cell", "cells", &shared.across, &known.cells);
            }
        }
        for (index, wave) in spec.rollout.iter().flat_map(|rollout| &rollout.waves).enumerate() {
            self.wave(spec, known, index, wave);
        }
    }

    fn wave(&mut self, spec: &Spec, known: &Known<'_>, index: usize, wave: &Wave) {
        let path = format!("spec.rollout.waves[{index}]");
        let environments = format!("{path}.environments");
        self.all_refer(
            &environments,
            "environment",
            "spec.environments",
            &wave.environments,
            &known.environments,
        );
        self.all_refer(&format!("{path}.cells"), "cell", "cells", &wave.cells, &known.cells);
        for (at, tenant) in wave.tenants.iter().enumerate().filter(|_| !elsewhere(spec)) {
            if tenant.as_str() != "*" {
                let path = format!("{path}.tenants[{at}]");
                self.refers(path, "tenant", "spec.tenancy.tenants", tenant, &known.tenants);
            }
        }
    }
}

/// Whether tenants are described in a repository too, where this program has not looked yet.
fn elsewhere(spec: &Spec) -> bool {
    spec.tenancy.as_ref().is_some_and(|tenancy| tenancy.tenants_from.is_some())
}
