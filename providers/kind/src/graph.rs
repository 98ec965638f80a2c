//! What a cluster is made of.

use platform_provider::{Resource, Retry, resource::CONTROL_PLANE};
use platform_spec::{Class, Code, Failure};

use crate::{config::Merge, kubeconfig::KUBECONFIG, wish::Wish};

/// The network of the cluster's containers.
pub(crate) const NETWORK: &str = "network";
/// The registry beside it.
pub(crate) const REGISTRY: &str = "registry";
/// The object store beside it, with its volume.
pub(crate) const STORE: &str = "object-store";
/// The Git server beside it.
pub(crate) const GIT: &str = "git-server";
/// What its nodes have without pulling it.
pub(crate) const IMAGES: &str = "images";

/// One part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Network,
    Registry,
    Store,
    Git,
    ControlPlane,
    Images,
    Kubeconfig,
}

impl Part {
    pub fn id(self) -> &'static str {
        match self {
            Self::Network => NETWORK,
            Self::Registry => REGISTRY,
            Self::Store => STORE,
            Self::Git => GIT,
            Self::ControlPlane => CONTROL_PLANE,
            Self::Images => IMAGES,
            Self::Kubeconfig => KUBECONFIG,
        }
    }

    /// By its id.
    ///
    /// # Errors
    /// P0216 for one that there is none of. One that the spec has no more may still have to be removed.
    pub fn of(id: &str) -> Result<Self, Failure> {
        let (around, inside) = (
            [Self::Network, Self::Registry, Self::Store, Self::Git],
            [Self::ControlPlane, Self::Images, Self::Kubeconfig],
        );
        around.into_iter().chain(inside).find(|part| part.id() == id).ok_or_else(|| {
            Failure::new(
                Code::new("P0216"),
                Class::Bug,
                format!("the provider `kind` has no resource `{id}`"),
            )
        })
    }
}

impl Wish<'_> {
    /// The graph.
    pub fn resources(&self) -> Vec<Resource> {
        let own_network = self.config.network.is_none();
        let mut resources = Vec::new();
        if own_network {
            let title = format!("network `{}` of the container engine", self.network());
            resources.push(Resource::new(NETWORK, &title, Retry::R1).takes(500, 120_000));
        }
        let on = |resource: Resource| if own_network { resource.needs(&[NETWORK]) } else { resource };
        if let Some(registry) = &self.config.registry {
            let title = format!("registry beside the cluster, of `{}`", registry.image);
            let mut resource = on(Resource::new(REGISTRY, &title, Retry::R1).takes(3_000, 900_000));
            // Its image may have to be pulled.
            resource.call_timeout_ms = 300_000;
            resources.push(resource);
        }
        if let Some(bucket) = &self.request.bucket {
            let title = format!("object store beside the cluster, with bucket `{}`", bucket.name);
            let mut resource = on(Resource::new(STORE, &title, Retry::R1).takes(5_000, 900_000));
            resource.call_timeout_ms = 300_000;
            resources.push(resource);
        }
        if let Some(folder) = &self.request.git {
            let title = format!("Git server beside the cluster, of `{}`", folder.path);
            let mut resource = on(Resource::new(GIT, &title, Retry::R1).takes(3_000, 900_000));
            resource.call_timeout_ms = 300_000;
            resources.push(resource);
        }
        let nodes = match self.nodes() {
            1 => "one node".to_owned(),
            n => format!("{n} nodes"),
        };
        let title = format!("kind cluster `{}` of {nodes}", self.stem());
        // R1: one that was begun and broke off is removed and begun anew.
        resources.push(on(Resource::new(CONTROL_PLANE, &title, Retry::R1).takes(40_000, 1_200_000)));
        let images = &self.config.images;
        if !images.names.is_empty() || !images.archives.is_empty() {
            let title = match images.archives.len() {
                0 => format!("{} images on every node", images.names.len()),
                n => format!("{} images and those of {n} archives on every node", images.names.len()),
            };
            let mut resource =
                Resource::new(IMAGES, &title, Retry::R1).needs(&[CONTROL_PLANE]).takes(20_000, 1_200_000);
            resource.call_timeout_ms = 300_000;
            resources.push(resource);
        }
        if !matches!(self.config.merge_kubeconfig, None | Some(Merge::Whether(false))) {
            let title = "the cluster in your own kubeconfig";
            resources
                .push(Resource::new(KUBECONFIG, title, Retry::R1).needs(&[CONTROL_PLANE]).takes(200, 60_000));
        }
        resources
    }
}

#[cfg(test)]
mod tests {
    use platform_provider::{Bucket, ClusterRequest, GitFolder, resource::order};
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_was_asked_for_is_made() {
        let mut request = ClusterRequest::new("demo", "eu", "here");
        let mut ids = |config, around: Option<(Bucket, GitFolder)>| {
            request.config = config;
            (request.bucket, request.git) = around.unzip();
            let resources = Wish::read(&request).expect("a good request").resources();
            let ordered = order("kind", &resources).expect("a good graph");
            ordered.iter().map(|resource| resource.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(ids(json!(null), None), [NETWORK, CONTROL_PLANE]);
        assert_eq!(ids(json!({ "network": "kind" }), None), [CONTROL_PLANE]);
        let all = json!({ "registry": { "image": "registry:3" }, "images": { "names": ["app:1"] }, "mergeKubeconfig": true });
        let bucket = Bucket { name: "backups".into(), region: "eu".into() };
        let folder = GitFolder { path: "/srv/git".into(), image: "git:1".into() };
        let made = ids(all, Some((bucket, folder)));
        assert_eq!(made, [NETWORK, REGISTRY, STORE, GIT, CONTROL_PLANE, IMAGES, KUBECONFIG]);
    }
}
