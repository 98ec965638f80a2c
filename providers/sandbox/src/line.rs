//! How requests travel.

use std::{path::Path, sync::Arc, time::Duration};

use async_trait::async_trait;
use http::{Request, Response};
use platform_spec::{Class, Code, Failure};
use secrecy::SecretString;
use serde::Deserialize;

/// Carries a request to the cloud, and its answer back. The request's URI is a path with a query.
#[async_trait]
pub trait Line: Send + Sync {
    /// One request.
    ///
    /// # Errors
    /// When no whole answer came. Perhaps it was done, perhaps not.
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, NoAnswer>;
}

/// No answer came, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(pub String);

/// Says where the sandbox is. Asked before the first call and again after a line has broken: a sandbox that was started
/// anew is at another place.
#[async_trait]
pub trait Connect: Send + Sync {
    /// The way to the sandbox.
    ///
    /// # Errors
    /// When there is none.
    async fn connect(&self) -> Result<Connection, Failure>;
}

/// A way to the sandbox.
#[derive(Clone)]
pub struct Connection {
    /// Carries the requests.
    pub line: Arc<dyn Line>,
    /// The key to log in with.
    pub key: SecretString,
}

/// Where a sandbox is, as it writes it into its `connection.json`.
#[derive(Clone, Debug, Deserialize)]
pub struct Place {
    /// Its URL: `https://127.0.0.1:1234`.
    pub url: String,
    /// The certificate of its own authority, PEM. No other is trusted.
    pub ca: String,
    /// The key to log in with.
    pub key: SecretString,
}

impl Place {
    /// Reads the file.
    ///
    /// # Errors
    /// P0221 when it is not there or cannot be understood.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let unreadable = |cause: &(dyn std::error::Error + 'static)| {
            Failure::new(Code::new("P0221"), Class::Retryable, "could not find the sandbox")
                .because(format!("`{}` does not say where it is", file.display()))
                .caused_by(cause)
                .hint("start it: `platform sandbox start`")
        };
        let bytes = fs_err::read(file).map_err(|cause| unreadable(&cause))?;
        serde_json::from_slice(&bytes).map_err(|cause| unreadable(&cause))
    }
}

#[async_trait]
impl Connect for Place {
    async fn connect(&self) -> Result<Connection, Failure> {
        Ok(Connection { line: Arc::new(Https::new(&self.url, &self.ca)?), key: self.key.clone() })
    }
}

/// How long one request may take: the sandbox never blocks on a long operation, but a fault may ask for latency.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection over loopback may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Over TLS, to a server whose authority is pinned.
struct Https {
    client: reqwest::Client,
    url: String,
}

impl Https {
    fn new(url: &str, ca: &str) -> Result<Self, Failure> {
        let wrong = |cause: &(dyn std::error::Error + 'static)| {
            Failure::new(Code::new("P0218"), Class::Config, "could not use the address of the sandbox")
                .caused_by(cause)
        };
        let authorities =
            reqwest::Certificate::from_pem_bundle(ca.as_bytes()).map_err(|cause| wrong(&cause))?;
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .tls_certs_only(authorities)
            .build()
            .map_err(|cause| wrong(&cause))?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }
}

#[async_trait]
impl Line for Https {
    async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, NoAnswer> {
        let (head, body) = request.into_parts();
        let url = format!("{}{}", self.url, head.uri);
        let sent = self.client.request(head.method, url).headers(head.headers).body(body).send().await;
        let answer = sent.map_err(|error| no_answer(&error))?;
        let mut response = Response::new(Vec::new());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = answer.bytes().await.map_err(|error| no_answer(&error))?.to_vec();
        Ok(response)
    }
}

/// The whole chain in one line: reqwest's own text says only that something failed.
fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let mut words = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = next {
        words.push(cause.to_string());
        next = cause.source();
    }
    NoAnswer(words.join(": "))
}
