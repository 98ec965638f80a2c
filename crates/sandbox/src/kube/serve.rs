//! The API over HTTP: in process, and over TLS on a loopback socket.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header},
};
use futures::{StreamExt, stream};
use http_body_util::BodyExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{
    DigitallySignedStruct, DistinguishedName, SignatureScheme,
    client::danger::HandshakeSignatureValid,
    pki_types::{CertificateDer, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use secrecy::ExposeSecret;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::{
    cloud::door::Broken,
    parts::{
        connections::each,
        faults::{Point, Refuses},
    },
};

use super::{
    api::{Answer, Api, Ask},
    auth::{self, Credential, Credentials, Identity, User, Wanted},
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
        self.respond_to(request, User::default()).await
    }

    /// Answers an HTTP request from this user, or from the one that its headers `Impersonate-*` name.
    pub async fn respond_to<B>(&self, request: Request<B>, user: User) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut head, body) = request.into_parts();
        let user = match auth::impersonate(self, user, wanted(&head.headers)) {
            Ok(user) => user,
            Err(refusal) => return written(Answer::from(refusal), Way::default()),
        };
        let text = |name| {
            head.headers.get(name).and_then(|it| HeaderValue::to_str(it).ok()).unwrap_or_default().to_owned()
        };
        let body = match http_body_util::Limited::new(body, LARGEST_BODY).collect().await {
            Ok(body) => body.to_bytes().to_vec(),
            Err(error) => {
                let refusal =
                    Refusal::new(413, "RequestEntityTooLarge", format!("Request entity too large: {error}"));
                return written(Answer::from(refusal), Way::default());
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
            user,
            user_agent: text(header::USER_AGENT),
            body,
        };
        let way = Way { timeout, takes_documents: head.extensions.get::<TakesDocuments>().is_some() };
        let document = head.extensions.remove::<Arc<Value>>().map(Arc::unwrap_or_clone);
        self.answered(&ask, document, way).await
    }

    /// Answers, unless something goes wrong on purpose; what was changed outlives the process before it is said.
    async fn answered(&self, ask: &Ask, document: Option<Value>, way: Way) -> Response<Body> {
        let struck = self.faults.as_ref().map(|faults| faults.next(&point(ask))).unwrap_or_default();
        if !struck.latency().is_zero() {
            tokio::time::sleep(struck.latency()).await;
        }
        if struck.resets_before() {
            return taken_away(Broken::Reset);
        }
        let answer = match struck.refusal() {
            Some(refuses) => refused(&refuses),
            None => written(self.answer_to(ask, document), way),
        };
        let answer = match self.store.kept().await {
            Ok(()) => answer,
            Err(error) => {
                written(Answer::from(Refusal::new(500, "InternalError", error.to_string())), Way::default())
            }
        };
        match () {
            () if struck.resets_after() => taken_away(Broken::Reset),
            () if struck.loses_reply() && answer.status().is_success() => taken_away(Broken::Silence),
            () => answer,
        }
    }
}

/// What a request is to rules about faults: `get configmaps` of `default/name`.
fn point(ask: &Ask) -> Point<'_> {
    let operation = match ask.method.as_str() {
        "GET" => "get",
        "POST" => "create",
        "PUT" => "update",
        "PATCH" => "patch",
        "DELETE" => "delete",
        _ => "other",
    };
    Point { service: "kube", operation, target: &ask.path }
}

/// A refusal that a fault asks for, in the words of an API server.
fn refused(refuses: &Refuses<'_>) -> Response<Body> {
    let (refusal, after) = match refuses {
        Refuses::Throttled { retry_after_s } => (
            Refusal::new(
                429,
                "TooManyRequests",
                "the server has received too many requests and has asked us to try again later",
            ),
            Some(*retry_after_s),
        ),
        Refuses::Error { status, message, .. } => {
            let words = message.unwrap_or("an error on the server has prevented the request from succeeding");
            (Refusal::new(*status, "InternalError", words), None)
        }
        Refuses::Capacity | Refuses::Quota => (
            Refusal::new(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
            None,
        ),
        Refuses::Expired => (Refusal::new(401, "Unauthorized", "Unauthorized"), None),
    };
    let mut response = written(Answer::from(refusal), Way::default());
    if let Some(after) = after {
        response.headers_mut().insert(header::RETRY_AFTER, after.into());
    }
    response
}

/// There is no answer: whoever carries it ends the connection, or leaves it open in silence.
fn taken_away(broken: Broken) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(broken);
    response
}

/// Whom the headers name.
fn wanted(headers: &HeaderMap) -> Wanted {
    let all = |name: &str| -> Vec<String> {
        headers.get_all(name).iter().filter_map(|it| it.to_str().ok()).map(str::to_owned).collect()
    };
    let first = |name: &str| all(name).into_iter().next().unwrap_or_default();
    let extra = headers.keys().filter_map(|name| {
        let key = name.as_str().strip_prefix("impersonate-extra-")?;
        let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy().into_owned();
        Some((key, all(name.as_str())))
    });
    Wanted {
        user: first("impersonate-user"),
        uid: first("impersonate-uid"),
        groups: all("impersonate-group"),
        extra: extra.collect(),
    }
}

/// In a request's extensions: whoever asks is in this process, and takes the document of an answer (an `Arc<Value>`) from its
/// extensions instead of reading a body; of a list, what it holds lies beside it (a `Vec<Arc<Value>>`). Its own document it
/// may give in the same way.
#[derive(Clone, Copy, Debug)]
pub struct TakesDocuments;

/// How an answer goes to its client.
#[derive(Clone, Copy, Default)]
struct Way {
    /// How long changes are told.
    timeout: Option<Duration>,
    takes_documents: bool,
}

fn written(answer: Answer, way: Way) -> Response<Body> {
    let response = Response::builder();
    let made = match answer {
        Answer::List { head, items } if way.takes_documents => {
            response.extension(Arc::new(head)).extension(items).body(Body::empty())
        }
        list @ Answer::List { .. } => return written(list.whole(), way),
        Answer::Json { code, body, warnings } => {
            let mut response = response.status(code).header(header::CONTENT_TYPE, "application/json");
            for warning in warnings {
                // RFC 9110 leaves `Warning` to those who still use it; clients of Kubernetes do.
                let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
                response = response.header(header::WARNING, format!("299 - \"{text}\""));
            }
            if way.takes_documents && code < 300 {
                response = response.extension(body);
                response.body(Body::empty())
            } else {
                response.body(Body::from(line(&body)))
            }
        }
        Answer::Text { code, content_type, body } => {
            response.status(code).header(header::CONTENT_TYPE, content_type).body(Body::from(body))
        }
        Answer::Bytes { content_type, body } => {
            response.header(header::CONTENT_TYPE, content_type).body(Body::from(body))
        }
        Answer::Watch(watching) => response
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from_stream(lines(*watching, way.timeout))),
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
    // Writing a value into memory cannot fail.
    let mut line = serde_json::to_vec(event).unwrap_or_default();
    line.push(b'\n');
    line.into()
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
    /// Serves an API over TLS on a free port of the loopback interface. `token` is the owner's, instead of the identity's.
    ///
    /// # Errors
    /// When no port can be had, or no certificate be made.
    pub async fn start(api: Api, token: &str) -> std::io::Result<Self> {
        let identity = Identity::kept(api.identity.keep()).map_err(std::io::Error::other)?;
        let api = api.with_identity(identity.with_owner_token(token.into()));
        Self::on(TcpListener::bind(("127.0.0.1", 0)).await?, api, &[])
    }

    /// Serves an API over TLS on a socket, with the API's own identity. `names` are names and addresses under which clients
    /// reach it, beyond `localhost`, the loopback addresses and `kubernetes.default`.
    ///
    /// # Errors
    /// When the socket has no address, or no certificate can be made.
    pub fn on(listener: TcpListener, api: Api, names: &[String]) -> std::io::Result<Self> {
        let address = listener.local_addr()?;
        let (certificate, key) = api.identity.server(names).map_err(std::io::Error::other)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .and_then(|builder| {
                builder
                    .with_client_cert_verifier(Arc::new(JudgedLater { provider }))
                    .with_single_cert(vec![certificate], key)
            });
        let mut config = config.map_err(std::io::Error::other)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let stop = CancellationToken::new();
        let kubeconfig =
            api.identity.kubeconfig("sandbox", address, &Credential::Token(api.identity.owner_token()));
        let kubeconfig = kubeconfig.map_err(std::io::Error::other)?.expose_secret().to_owned();
        tokio::spawn(accept(listener, TlsAcceptor::from(Arc::new(config)), api, stop.clone()));
        Ok(Self { address, kubeconfig, stop })
    }
}

async fn accept(listener: TcpListener, tls: TlsAcceptor, api: Api, stop: CancellationToken) {
    each(listener, stop, move |socket| {
        let (tls, api) = (tls.clone(), api.clone());
        async move {
            let Ok(stream) = tls.accept(socket).await else { return };
            let certificates: Arc<[CertificateDer<'static>]> =
                stream.get_ref().1.peer_certificates().unwrap_or_default().into();
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let (api, certificates) = (api.clone(), certificates.clone());
                async move { Broken::or(known(&api, &certificates, request).await).await }
            });
            // A client that goes away in the middle of an answer is its own business.
            let _gone = auto::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service)
                .await;
        }
    })
    .await;
}

/// Answers whoever shows these certificates, or what the request holds.
async fn known(
    api: &Api,
    certificates: &[CertificateDer<'static>],
    request: Request<hyper::body::Incoming>,
) -> Response<Body> {
    let authorization =
        request.headers().get(header::AUTHORIZATION).and_then(|it| it.to_str().ok()).unwrap_or_default();
    match auth::authenticate(api, &Credentials { certificates, authorization }) {
        Ok(user) => api.respond_to(request, user).await,
        Err(refusal) => written(Answer::from(refusal), Way::default()),
    }
}

/// Takes any certificate, as the real server does: it is judged with the request, by the API's own clock, and one that is
/// not good gets an answer in HTTP.
#[derive(Debug)]
struct JudgedLater {
    provider: Arc<rustls::crypto::CryptoProvider>,
}

impl ClientCertVerifier for JudgedLater {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
