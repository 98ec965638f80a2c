//! What a sandbox serves: its cloud and its object store over TLS, its zones over UDP and TCP. Clusters have sockets of
//! their own.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use axum::body::Body;
use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::Own;
use crate::{
    cloud::{Cloud, door::Broken},
    keep::{Book, Keeper},
    kube::auth::Identity,
    parts::connections::each,
    s3,
    world::{Addresses, World},
    zone,
};

/// Where everything is served.
pub(super) struct Sockets {
    pub cloud: String,
    pub authority: String,
    pub s3: String,
    pub dns: String,
    /// Served for as long as this lives.
    _served: (s3::Server, zone::Server),
}

/// The book in which it is kept who listens on which port.
const PORTS: &str = "ports";

/// Opens all sockets; they are served until `stop`.
///
/// # Errors
/// When one cannot be opened, or no certificate be made.
pub(super) async fn open(world: &World, own: &Own, stop: CancellationToken) -> io::Result<Sockets> {
    let identity = Identity::kept(&own.identity).map_err(io::Error::other)?;
    let tls = TlsAcceptor::from(Arc::new(config(&identity)?));
    let ports = world.keeper().book(PORTS);
    let cloud = listen(&ports, "cloud").await?;
    let address = cloud.local_addr()?;
    tokio::spawn(accept(cloud, tls, world.cloud().clone(), world.keeper().clone(), stop));
    let s3 = s3::Server::start(
        listen(&ports, "s3").await?,
        Some(Arc::new(config(&identity)?)),
        s3::serve::struck_service(world.gate(), "local", Some(world.faults().clone())),
    )?;
    let dns = zones(&ports, world).await?;
    let addresses = Addresses { s3: format!("https://{}", s3.address), dns: dns.address.to_string() };
    world.reached_at(addresses.clone());
    Ok(Sockets {
        cloud: format!("https://{address}"),
        authority: identity.authority(),
        s3: addresses.s3,
        dns: addresses.dns,
        _served: (s3, dns),
    })
}

fn config(identity: &Identity) -> io::Result<rustls::ServerConfig> {
    let (certificate, key) = identity.server(&[]).map_err(io::Error::other)?;
    let mut config =
        rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
            .map_err(io::Error::other)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The zones on the port that clients know, if it is free for both protocols; else on another.
async fn zones(ports: &Book, world: &World) -> io::Result<zone::Server> {
    world.zones().strike(world.faults().clone());
    let at = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let start = async |port: u16| zone::Server::start(world.zones().clone(), at(port)).await;
    let server = match known(ports, "dns").await? {
        Some(port) => match start(port).await {
            Ok(server) => server,
            Err(_) => start(0).await?,
        },
        None => start(0).await?,
    };
    ports.put("dns", server.address.port().to_string().as_bytes());
    Ok(server)
}

/// The port on which somebody listened in an earlier life.
async fn known(ports: &Book, who: &str) -> io::Result<Option<u16>> {
    let known = ports.load().await.map_err(io::Error::other)?;
    let port = known.into_iter().find(|(name, _)| name == who);
    Ok(port.and_then(|(_, port)| String::from_utf8_lossy(&port).parse().ok()))
}

/// A socket on the port that clients know from an earlier life, if it is free; else on another.
async fn listen(ports: &Book, who: &str) -> io::Result<TcpListener> {
    let port = known(ports, who).await?;
    let bind = async |port: u16| TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    let listener = match port {
        Some(port) => match bind(port).await {
            Ok(listener) => listener,
            Err(_) => bind(0).await?,
        },
        None => bind(0).await?,
    };
    ports.put(who, listener.local_addr()?.port().to_string().as_bytes());
    Ok(listener)
}

async fn accept(
    listener: TcpListener,
    tls: TlsAcceptor,
    cloud: Cloud,
    keeper: Keeper,
    stop: CancellationToken,
) {
    each(listener, stop, move |socket| {
        let (tls, cloud, keeper) = (tls.clone(), cloud.clone(), keeper.clone());
        async move {
            let Ok(stream) = tls.accept(socket).await else { return };
            let service = service_fn(move |request: Request<Incoming>| {
                let (cloud, keeper) = (cloud.clone(), keeper.clone());
                async move { answer(&cloud, &keeper, request).await }
            });
            // A client that goes away in the middle of an answer is its own business; an answer that a fault takes away
            // ends the connection here.
            let _gone = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
}

async fn answer(
    cloud: &Cloud,
    keeper: &Keeper,
    request: Request<Incoming>,
) -> Result<Response<Body>, Broken> {
    match cloud.respond(request).await {
        Err(broken) => broken.end().await,
        Ok(response) => {
            // What the call made elsewhere (a cluster's first objects) outlives the process as well.
            let _told = keeper.kept().await;
            Ok(response)
        }
    }
}
