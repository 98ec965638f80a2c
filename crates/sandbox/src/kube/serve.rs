//! The API over HTTP: in process, and over TLS on a loopback socket.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Request, Response, StatusCode, header},
};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::{
    api::{Answer, Api, Ask},
    refusal::Refusal,
    request::Query,
    watch::Watching,
};

/// A client that wants bookmarks gets one at least this often, as from the real server.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

/// The largest body, as the real server has it.
const LARGEST_BODY: usize = 3 * 1024 * 1024;

impl Api {
    /// Answers an HTTP request from a client that may do everything.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let text = |name| {
            head.headers.get(name).and_then(|it| HeaderValue::to_str(it).ok()).unwrap_or_default().to_owned()
        };
        let body = match http_body_util::Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => body.to_bytes().to_vec(),
            Err(error) => {
                let refusal =
                    Refusal::new(413, "RequestEntityTooLarge", format!("Request entity too large: {error}"));
                return written(Answer::from(refusal), None);
            }
        };
        let query = Query::parse(head.uri.query().unwrap_or_default());
        let timeout = query.number("timeoutSeconds").ok().flatten().map(Duration::from_secs);
        let path = percent_encoding::percent_decode_str(head.uri.path()).decode_utf8_lossy().into_owned();
        let ask = Ask {
            method: head.method.to_string(),
            path,
            query,
            content_type: text(header::CONTENT_TYPE),
            accept: text(header::ACCEPT),
            user_agent: text(header::USER_AGENT),
            body,
        };
        written(self.answer(&ask), timeout)
    }
}

fn written(answer: Answer, timeout: Option<Duration>) -> Response<Body> {
    let response = Response::builder();
    let made = match answer {
        Answer::Json { code, body, warnings } => {
            let mut response = response.status(code).header(header::CONTENT_TYPE, "application/json");
            for warning in warnings {
                // RFC 9110 leaves `Warning` to those who still use it; clients of Kubernetes do.
                let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
                response = response.header(header::WARNING, format!("299 - \"{text}\""));
            }
            response.body(Body::from(format!("{body}\n")))
        }
        Answer::Text { code, content_type, body } => {
            response.status(code).header(header::CONTENT_TYPE, content_type).body(Body::from(body))
        }
        Answer::Watch(watching) => response
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from_stream(lines(*watching, timeout))),
    };
    made.unwrap_or_else(|_| {
        let mut broken = Response::new(Body::from("a header could not be written"));
        *broken.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        broken
    })
}

/// Events, one per line, until the client goes or its time is over.
fn lines(
    watching: Watching,
    timeout: Option<Duration>,
) -> impl futures::Stream<Item = Result<Bytes, Infallible>> + Send {
    let until = timeout.map(|timeout| tokio::time::Instant::now() + timeout);
    stream::unfold(watching, move |mut watching| async move {
        loop {
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                biased;
                event = watching.next() => event,
                () = over => None,
                () = tokio::time::sleep(BOOKMARK_EVERY) => match watching.mark() {
                    Some(mark) => Some(mark),
                    None => continue,
                },
            };
            return event.map(|event| (Ok(line(&event)), watching));
        }
    })
    .boxed()
}

fn line(event: &Value) -> Bytes {
    format!("{event}\n").into()
}

/// A running server. When it is dropped, it stops.
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// A kubeconfig that leads to it, with a token that may do everything.
    pub kubeconfig: String,
    stop: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Server {
    /// Serves an API over TLS on a free port of the loopback interface, with a certificate authority of its own.
    ///
    /// # Errors
    /// When no port can be had, or no key be made.
    pub async fn start(api: Api, token: &str) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let identity = Identity::make().map_err(std::io::Error::other)?;
        let config =
            rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
                .with_safe_default_protocol_versions()
                .and_then(|builder| {
                    builder.with_no_client_auth().with_single_cert(vec![identity.certificate], identity.key)
                });
        let mut config = config.map_err(std::io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stop = CancellationToken::new();
        let kubeconfig = kubeconfig(address, &identity.authority, token);
        let guarded = Guarded { api, token: format!("Bearer {token}").into() };
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), guarded, stop.clone()));
        Ok(Self { address, kubeconfig, stop })
    }
}

/// An API behind a token.
#[derive(Clone)]
struct Guarded {
    api: Api,
    token: Arc<str>,
}

impl Guarded {
    async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let given =
            request.headers().get(header::AUTHORIZATION).map(HeaderValue::as_bytes).unwrap_or_default();
        if given != self.token.as_bytes() {
            return written(Answer::from(Refusal::new(401, "Unauthorized", "Unauthorized")), None);
        }
        self.api.respond(request).await
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, api: Guarded, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((socket, _)) = accepted else { continue };
        let (tls, api) = (tls.clone(), api.clone());
        connections.spawn(async move {
            let Ok(stream) = tls.accept(socket).await else { return };
            let service = hyper::service::service_fn(move |request| {
                let api = api.clone();
                async move { Ok::<_, Infallible>(api.respond(request).await) }
            });
            // A client that goes away in the middle of an answer is its own business.
            let _gone = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

/// Keys and certificates of one server.
struct Identity {
    /// The authority's certificate, PEM.
    authority: String,
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    fn make() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        authority.distinguished_name.push(DnType::CommonName, "platform sandbox");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let mut server = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?;
        server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
        let key = KeyPair::generate()?;
        let certificate = server.signed_by(&key, &authority)?;
        Ok(Self {
            authority: authority.pem(),
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

fn kubeconfig(address: SocketAddr, authority: &str, token: &str) -> String {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let authority = STANDARD.encode(authority);
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: sandbox\n\
         clusters:\n- name: sandbox\n  cluster:\n    server: https://{address}\n    certificate-authority-data: {authority}\n\
         users:\n- name: admin\n  user:\n    token: {token}\n\
         contexts:\n- name: sandbox\n  context:\n    cluster: sandbox\n    user: admin\n"
    )
}
