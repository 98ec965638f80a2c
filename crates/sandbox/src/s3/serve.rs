//! The store on a loopback socket, in plain HTTP or over TLS.

use std::{net::SocketAddr, sync::Arc};

use hyper::{Request, Response, body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{
    config::{S3Config, StaticConfigProvider},
    service::{S3Service, S3ServiceBuilder},
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::parts::{connections::each, faults::Faults};

use super::{
    gate::Gate,
    wire::{Access, Fate, Secrets, Wire},
};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What answers S3 requests; to be put behind any socket, and whatever shall come between.
pub fn service(gate: &Gate, region: &str) -> S3Service {
    struck_service(gate, region, None)
}

/// As [`service`]; with `faults`, what goes wrong on purpose. What takes an answer away does so in a [`Server`].
pub fn struck_service(gate: &Gate, region: &str, faults: Option<Faults>) -> S3Service {
    let mut builder = S3ServiceBuilder::new(Wire { gate: gate.clone(), region: region.to_owned() });
    builder.set_auth(Secrets(gate.keys.clone()));
    builder.set_access(Access { gate: gate.clone(), now: gate.store.now.clone(), faults });
    // Its own check of the time asks the system's clock; the door checks with the sandbox's.
    let mut config = S3Config::default();
    config.presigned_url_max_skew_time_secs = u32::MAX;
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.build()
}

/// A running server. When it is dropped, it stops.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    /// Serves a store on a socket, with TLS or without.
    ///
    /// # Errors
    /// When the socket has no address.
    pub fn start(
        listener: TcpListener,
        tls: Option<Arc<rustls::ServerConfig>>,
        service: S3Service,
    ) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), service, stop.clone()));
        Ok(Self { address, stop })
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: S3Service,
    stop: CancellationToken,
) {
    each(listener, stop, move |socket| {
        let (tls, service) = (tls.clone(), service.clone());
        async move {
            let service = service_fn(move |request| answer(service.clone(), request));
            let server = auto::Builder::new(TokioExecutor::new());
            // A client that goes away in the middle of an answer is its own business.
            let _gone = match tls {
                Some(tls) => {
                    let Ok(stream) = tls.accept(socket).await else { return };
                    server.serve_connection(TokioIo::new(stream), service).await
                }
                None => server.serve_connection(TokioIo::new(socket), service).await,
            };
        }
    })
    .await;
}

/// An answer, unless a fault takes it away.
async fn answer(service: S3Service, mut request: Request<Incoming>) -> Result<Response<s3s::Body>, BoxError> {
    let fate = Fate::default();
    request.extensions_mut().insert(fate.clone());
    let answer = service.call(request.map(s3s::Body::from)).await?;
    match fate.broken(answer.status().is_success()) {
        Some(broken) => Ok(broken.end().await?),
        None => Ok(answer),
    }
}
