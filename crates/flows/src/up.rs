//! `up`: everything the spec asks for.
//!
//! Read [`up`] from top to bottom: it is the table of contents.

use std::collections::BTreeMap;

use platform_engine::plan::{Plan, Policy, Retry};
use platform_provider::Resource;
use platform_spec::{Class, Code, Failure, StepId, model::Cluster};
use serde_json::json;

use crate::{
    doors::{Reach, Repository},
    draft::{Draft, Pace, from},
    steps::{self, names},
    wish::{Wish, outputs_of, reach},
};

/// Plans `up`. Pure: the same wish gives the same plan.
///
/// # Errors
/// `P0712` for a topology that this version cannot bring about yet.
pub fn up(wish: &Wish) -> Result<Plan, Failure> {
    one_argocd(wish)?;
    let model = &wish.model;
    let mut plan = Draft::new("up", &model.platform, Policy::Hold, &model.spec_digest, &wish.state_digest());

    let repositories: Vec<(Repository, StepId)> =
        wish.repositories().into_iter().map(|r| (r.clone(), publish(&mut plan, wish, r))).collect();
    let sites: Vec<Site> =
        model.clusters.iter().map(|cluster| Site { wish, cluster, reach: reach(model, cluster) }).collect();
    for hub in sites.iter().filter(|site| site.runs_argocd()) {
        let served: Vec<&Site> =
            sites.iter().filter(|site| site.cluster.argocd == hub.cluster.name).collect();
        let ready: Vec<(&Site, StepId)> = served
            .into_iter()
            .map(|site| {
                let made = site.resources(&mut plan);
                (site, site.ready(&mut plan, &made))
            })
            .collect();
        let own = ready.iter().find(|(site, _)| site.runs_argocd()).map(|(_, ready)| ready);
        let argocd = hub.argocd(&mut plan, own);
        let mut before = hub.repository_secrets(&mut plan, &repositories, &argocd);
        for (site, ready) in &ready {
            before.extend((!site.runs_argocd()).then(|| site.register(&mut plan, hub, ready, &argocd)));
            before.extend(site.velero_credentials(&mut plan, ready));
        }
        let root = hub.bootstrap(&mut plan, &repositories, &before);
        let synced = hub.synced(&mut plan, &repositories, &root);
        for (site, _) in &ready {
            site.backups(&mut plan, &synced);
        }
    }
    names_in_dns(&mut plan, wish);
    Ok(plan.finish())
}

/// One cluster, while its part of the plan is written.
struct Site<'a> {
    wish: &'a Wish,
    cluster: &'a Cluster,
    reach: Reach,
}

impl Site<'_> {
    fn runs_argocd(&self) -> bool {
        self.cluster.argocd == self.cluster.name
    }

    fn id(&self, what: &str) -> String {
        format!("{}/{what}", self.cluster.name)
    }

    /// What the provider declares, in its order.
    fn resources(&self, plan: &mut Draft) -> Vec<StepId> {
        let mut ids: BTreeMap<String, StepId> = BTreeMap::new();
        for resource in &self.wish.resources[&self.cluster.name] {
            let needs: Vec<&StepId> = resource.needs.iter().filter_map(|need| ids.get(need)).collect();
            let input = json!({
                "reach": self.reach,
                "resource": resource.id,
                "outputs": outputs_of(&resource.needs, &ids),
            });
            let pace = pace(resource);
            let retry = retry(resource);
            let id = plan.step(
                self.id(&resource.id),
                resource.title.clone(),
                names::RESOURCE_ENSURE,
                &needs,
                pace,
                retry,
                input,
            );
            plan.sharing(&resource.shares);
            ids.insert(resource.id.clone(), id);
        }
        ids.into_values().collect()
    }

    fn ready(&self, plan: &mut Draft, made: &[StepId]) -> StepId {
        let needs: Vec<&StepId> = made.iter().collect();
        plan.step(
            self.id("ready"),
            format!("Kubernetes API and nodes of `{}`", self.cluster.name),
            names::CLUSTER_READY,
            &needs,
            Pace::SETTLING,
            Retry::R2,
            json!({ "reach": self.reach }),
        )
    }

    fn argocd(&self, plan: &mut Draft, ready: Option<&StepId>) -> StepId {
        let argocd = &self.wish.model.argocd;
        plan.step(
            self.id("argocd.install"),
            format!("Argo CD {}", argocd.version),
            names::ARGOCD_INSTALL,
            ready.as_slice(),
            Pace::SETTLING,
            Retry::R2,
            json!({
                "reach": self.reach,
                "version": argocd.version,
                "namespace": argocd.namespace,
                "poll_interval": argocd.poll_interval,
            }),
        )
    }

    /// Argo CD learns how to pull each repository, before anything asks it to.
    fn repository_secrets(
        &self,
        plan: &mut Draft,
        repositories: &[(Repository, StepId)],
        argocd: &StepId,
    ) -> Vec<StepId> {
        repositories
            .iter()
            .map(|(repository, _)| {
                plan.step(
                    self.id(&format!("argocd.repository/{}", repository.name)),
                    format!("Argo CD may pull `{}`", repository.name),
                    names::ARGOCD_REPOSITORY,
                    &[argocd],
                    Pace::QUICK,
                    Retry::R1,
                    json!({
                        "reach": self.reach,
                        "namespace": self.wish.model.argocd.namespace,
                        "repository": repository,
                    }),
                )
            })
            .collect()
    }

    /// The Argo CD of another cluster may act in this one.
    fn register(&self, plan: &mut Draft, hub: &Site, ready: &StepId, argocd: &StepId) -> StepId {
        plan.step(
            self.id("argocd.register"),
            format!("Argo CD of `{}` serves `{}`", hub.cluster.name, self.cluster.name),
            names::ARGOCD_REGISTER,
            &[ready, argocd],
            Pace::QUICK,
            Retry::R1,
            json!({ "reach": self.reach, "by": hub.reach, "namespace": self.wish.model.argocd.namespace }),
        )
    }

    /// The one secret that Velero needs and that must not be in Git.
    fn velero_credentials(&self, plan: &mut Draft, ready: &StepId) -> Option<StepId> {
        let backup = self.wish.model.backup.as_ref()?;
        let credentials = backup.store.credentials_ref.as_ref();
        if credentials.is_none() && self.cluster.store.is_none() {
            return None;
        }
        Some(plan.step(
            self.id("velero.credentials"),
            "credentials of the backup store",
            names::VELERO_CREDENTIALS,
            &[ready],
            Pace::QUICK,
            Retry::R1,
            json!({ "reach": self.reach, "namespace": backup.namespace, "credentials_ref": credentials }),
        ))
    }

    /// Projects and the root application: from here on everything comes from Git.
    fn bootstrap(
        &self,
        plan: &mut Draft,
        repositories: &[(Repository, StepId)],
        before: &[StepId],
    ) -> StepId {
        let published = repositories.iter().map(|(_, published)| published);
        let needs: Vec<&StepId> = published.chain(before).collect();
        let platform = self.wish.model.platform_repository();
        let (platform, directory) = platform.map(|r| (r.name.clone(), r.root.clone())).unwrap_or_default();
        plan.step(
            self.id("argocd.root"),
            "projects and the root application",
            names::ARGOCD_ROOT,
            &needs,
            Pace::QUICK,
            Retry::R1,
            json!({ "reach": self.reach, "tree": self.wish.trees.get(&platform), "directory": directory }),
        )
    }

    /// Every Application that brings workloads is synced and healthy at the commit that we published.
    fn synced(&self, plan: &mut Draft, repositories: &[(Repository, StepId)], root: &StepId) -> StepId {
        let commits: BTreeMap<&str, serde_json::Value> = repositories
            .iter()
            .map(|(r, published)| (r.in_cluster_url.as_str(), from(published, "/commit")))
            .collect();
        plan.step(
            self.id("argocd.synced"),
            format!("{} applications synced and healthy", self.wish.leaves.len()),
            names::ARGOCD_SYNCED,
            &[root],
            Pace::SYNC,
            Retry::R2,
            json!({
                "reach": self.reach,
                "roots": from(root, "/roots"),
                "applications": self.wish.leaves,
                "commits": commits,
                "namespace": self.wish.model.argocd.namespace,
                "repositories": repositories.iter().map(|(repository, _)| repository).collect::<Vec<_>>(),
            }),
        )
    }

    /// Velero works, its schedules are there, and one backup has gone through.
    fn backups(&self, plan: &mut Draft, synced: &StepId) {
        let Some(backup) = &self.wish.model.backup else { return };
        let schedules: Vec<&str> = backup
            .schedules
            .iter()
            .filter(|schedule| schedule.clusters.contains(&self.cluster.name))
            .map(|schedule| schedule.name.as_str())
            .collect();
        let mut input = json!({
            "reach": self.reach,
            "namespace": backup.namespace,
            "schedules": schedules,
            "credentials_ref": backup.store.credentials_ref,
        });
        if self.cluster.store.is_some() {
            input["provided"] = true.into();
        }
        let ready = plan.step(
            self.id("velero.ready"),
            "backup store available, schedules enabled",
            names::VELERO_READY,
            &[synced],
            Pace::SETTLING,
            Retry::R2,
            input,
        );
        plan.step(
            self.id("backup.first"),
            "first backup",
            names::BACKUP_FIRST,
            &[&ready],
            Pace::SETTLING,
            Retry::R2,
            json!({ "reach": self.reach, "namespace": backup.namespace }),
        );
    }
}

fn publish(plan: &mut Draft, wish: &Wish, repository: Repository) -> StepId {
    let mut input = json!({
        "repository": repository,
        "owner": wish.model.platform,
        "tree": wish.trees.get(&repository.name),
        "message": format!("platform {}: spec {}", wish.model.platform, &wish.model.spec_digest[..12]),
        "when": wish.revision,
        "known": wish.known_commit(&repository),
        "overwrite_edits": wish.overwrite_edits,
    });
    // On a server somebody else may have a platform of such a name.
    if repository.push_url.starts_with("file://") && !wish.gone.is_empty() {
        input["gone"] = json!(wish.gone);
    }
    plan.step(
        format!("repository/{}", repository.name),
        format!("publish `{}`", repository.name),
        names::REPOSITORY_PUBLISH,
        &[],
        Pace::QUICK,
        Retry::R1,
        input,
    )
}

/// Names of applications, once everything behind them is up.
fn names_in_dns(plan: &mut Draft, wish: &Wish) {
    let hubs = wish.model.argocd.instances.iter();
    let before: Vec<StepId> = hubs.map(|hub| StepId::new(format!("{}/argocd.synced", hub.cluster))).collect();
    let needs: Vec<&StepId> = before.iter().collect();
    for zone in steps::dns::zones(&wish.model) {
        plan.step(
            format!("dns/{}", zone.name),
            format!("{} names in `{}`", zone.hosts.len(), zone.name),
            names::DNS_PUBLISH,
            &needs,
            Pace::QUICK,
            Retry::R1,
            json!({ "zone": zone, "owner": wish.model.platform }),
        );
    }
}

/// Applications are not told apart by the Argo CD that they belong to yet; saying so beats half a platform.
fn one_argocd(wish: &Wish) -> Result<(), Failure> {
    let instances = &wish.model.argocd.instances;
    if instances.len() <= 1 {
        return Ok(());
    }
    let names: Vec<&str> = instances.iter().map(|instance| instance.cluster.as_str()).collect();
    Err(Failure::new(Code::new("P0712"), Class::Config, "the platform has several Argo CDs")
        .because(format!("clusters {} have one each", names.join(", ")))
        .hint("set `argocd.topology: centralized`, or describe one cluster in each spec"))
}

pub(crate) fn pace(resource: &Resource) -> Pace {
    Pace { typical_ms: resource.typical_ms, deadline_ms: resource.deadline_ms }
}

fn retry(resource: &Resource) -> Retry {
    use platform_provider::Retry as P;
    match resource.retry {
        P::R0 => Retry::R0,
        P::R1 => Retry::R1,
        P::R2 => Retry::R2,
        P::R3 => Retry::R3,
        P::R4 => Retry::R4,
        P::R5 => Retry::R5,
    }
}
