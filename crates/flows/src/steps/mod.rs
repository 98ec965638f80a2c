//! The steps that flows are made of, one room for each kind of thing. A step reaches the world through [`Doors`] only.

use std::sync::Arc;

use platform_engine::step::Registry;

use crate::doors::Doors;

pub(crate) mod applications;
pub(crate) mod argocd;
pub(crate) mod cluster;
pub mod dns;
pub(crate) mod objects;
pub(crate) mod register;
pub(crate) mod repository;
pub(crate) mod resource;
pub(crate) mod restores;
pub(crate) mod velero;

/// Names under which steps are registered. A stored plan holds them: they are never given another meaning, only a
/// higher version.
pub mod names {
    /// A resource of a cluster exists.
    pub const RESOURCE_ENSURE: &str = "resource.ensure";
    /// A resource of a cluster is gone, or let go.
    pub const RESOURCE_REMOVE: &str = "resource.remove";
    /// API and nodes are ready.
    pub const CLUSTER_READY: &str = "cluster.ready";
    /// A branch holds a rendered tree.
    pub const REPOSITORY_PUBLISH: &str = "repository.publish";
    /// A repository is let go.
    pub const REPOSITORY_RELEASE: &str = "repository.release";
    /// Argo CD is installed and available.
    pub const ARGOCD_INSTALL: &str = "argocd.install";
    /// Argo CD can pull a repository.
    pub const ARGOCD_REPOSITORY: &str = "argocd.repository";
    /// An Argo CD serves a cluster that is not its own.
    pub const ARGOCD_REGISTER: &str = "argocd.register";
    /// Projects and the root application are there.
    pub const ARGOCD_ROOT: &str = "argocd.root";
    /// Applications are synced and healthy at our commit.
    pub const ARGOCD_SYNCED: &str = "argocd.synced";
    /// Velero has the credentials of its store.
    pub const VELERO_CREDENTIALS: &str = "velero.credentials";
    /// The backup store is available, schedules are enabled.
    pub const VELERO_READY: &str = "velero.ready";
    /// One backup of this installation is Completed.
    pub const BACKUP_FIRST: &str = "backup.first";
    /// Names stand in a zone.
    pub const DNS_PUBLISH: &str = "dns.publish";
    /// Our names are gone from a zone.
    pub const DNS_REMOVE: &str = "dns.remove";
    /// Velero's restores are gone.
    pub const RESTORES_REMOVE: &str = "restores.remove";
    /// Applications are gone, with their load balancers and volumes.
    pub const APPLICATIONS_REMOVE: &str = "applications.remove";
    /// Everything that bears our label is gone from a cluster.
    pub const OBJECTS_REMOVE: &str = "objects.remove";
}

/// Every step of this program.
pub fn registry(doors: &Arc<Doors>) -> Registry {
    let doors = || doors.clone();
    Registry::default()
        .with(names::RESOURCE_ENSURE, 1, resource::EnsureResource(doors()))
        .with(names::RESOURCE_REMOVE, 1, resource::RemoveResource(doors()))
        .with(names::CLUSTER_READY, 1, cluster::ClusterReady(doors()))
        .with(names::REPOSITORY_PUBLISH, 1, repository::PublishRepository(doors()))
        .with(names::REPOSITORY_RELEASE, 1, repository::ReleaseRepository)
        .with(names::ARGOCD_INSTALL, 1, argocd::Install(doors()))
        .with(names::ARGOCD_REPOSITORY, 1, argocd::RepositorySecret(doors()))
        .with(names::ARGOCD_REGISTER, 1, register::Register(doors()))
        .with(names::ARGOCD_ROOT, 1, argocd::Root(doors()))
        .with(names::ARGOCD_SYNCED, 1, applications::Synced(doors()))
        .with(names::VELERO_CREDENTIALS, 1, velero::Credentials(doors()))
        .with(names::VELERO_READY, 1, velero::Ready(doors()))
        .with(names::BACKUP_FIRST, 1, velero::FirstBackup(doors()))
        .with(names::DNS_PUBLISH, 1, dns::Publish(doors()))
        .with(names::DNS_REMOVE, 1, dns::Remove(doors()))
        .with(names::RESTORES_REMOVE, 1, restores::Remove(doors()))
        .with(names::APPLICATIONS_REMOVE, 1, applications::Remove(doors()))
        .with(names::OBJECTS_REMOVE, 1, objects::Remove(doors()))
}
