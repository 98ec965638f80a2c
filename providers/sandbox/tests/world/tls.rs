//! The cloud over TLS on a loopback socket, as the sandbox's process serves it.

use std::{net::SocketAddr, sync::Arc};

use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use platform_provider::SecretString;
use platform_provider_sandbox::Place;
use platform_sandbox::cloud::{Cloud, door::Broken};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_rustls::TlsAcceptor;

/// A running server. When it is dropped, it stops.
pub struct Server {
    address: SocketAddr,
    ca: String,
    accepting: JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Server {
    pub async fn start(cloud: Cloud) -> Self {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(authority, KeyPair::generate().expect("a key")).expect("signed");
        let key = KeyPair::generate().expect("a key");
        let server = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = server.signed_by(&key, &authority).expect("signed");
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .expect("versions")
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .expect("a certificate");
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let tls = TlsAcceptor::from(Arc::new(config));
        let accepting = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (tls, cloud) = (tls.clone(), cloud.clone());
                tokio::spawn(async move {
                    let Ok(stream) = tls.accept(socket).await else { return };
                    let service = hyper::service::service_fn(move |request| {
                        let cloud = cloud.clone();
                        async move {
                            match cloud.respond(request).await {
                                Err(Broken::Silence) => std::future::pending().await,
                                answer => answer,
                            }
                        }
                    });
                    // A connection that breaks on purpose is an error here.
                    let _broken = auto::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { address, ca: authority.pem(), accepting }
    }

    /// What the sandbox writes into its `connection.json`.
    pub fn place(&self) -> Place {
        Place {
            url: format!("https://{}", self.address),
            ca: self.ca.clone(),
            key: SecretString::from(super::KEY),
        }
    }
}
