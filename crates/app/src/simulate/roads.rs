//! The ways from a process into a played world: no sockets, no waiting for anybody outside.

use std::{io, sync::Arc};

use async_trait::async_trait;
use axum_core::body::Body;
use platform_dns::{Dns, Road};
use platform_flows::doors::Roads;
use platform_kube::Cluster;
use platform_provider::Access;
use platform_sandbox::world::World;
use platform_spec::{Class, Code, Failure};
use secrecy::ExposeSecret;

/// The key to the cloud of a played world.
pub(super) const KEY: &str = "simulation";

/// The clusters and zones of a played world.
pub(super) struct Here(pub World);

#[async_trait]
impl Roads for Here {
    async fn cluster(&self, access: &Access) -> Result<Cluster, Failure> {
        let kubeconfig = access.kubeconfig().await?;
        let text = kubeconfig.expose_secret();
        let server = text.lines().find_map(|line| line.trim().strip_prefix("server: "));
        let server = server.unwrap_or_default().trim_matches(['"', '\'']).to_owned();
        let hosted = self.0.clusters().into_iter().find(|it| server == format!("https://{}", it.address));
        let Some(hosted) = hosted else {
            return Err(Failure::new(
                Code::new("P0405"),
                Class::Retryable,
                format!("could not reach the API server {server}"),
            )
            .because("connection refused"));
        };
        let (world, id) = (self.0.clone(), hosted.id.clone());
        Ok(Cluster::over(
            move |request| {
                let (world, id) = (world.clone(), id.clone());
                async move { world.ask_cluster(&id, request).await.map_err(io::Error::other) }
            },
            &server,
        ))
    }

    fn zone(&self, dns: Dns) -> Dns {
        dns.by(Arc::new(Zones(self.0.clone())))
    }
}

/// The zones of a played world.
struct Zones(World);

#[async_trait]
impl Road for Zones {
    async fn exchange(&self, _server: &str, message: Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
        Ok(self.0.ask_zone(&message).await)
    }
}
