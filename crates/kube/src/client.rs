//! A connection to one cluster.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, header};
use jiff::Timestamp;
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use platform_spec::{Class, Code, Failure};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::RwLock;

use crate::{
    catalog::{Catalog, Resource},
    object::{MANAGER, ObjectRef},
    refusal::{Answer, Refusal, transport},
};

const JSON: &str = "application/json";
/// Metadata without the rest: an inventory needs no contents, least of all those of Secrets.
pub(crate) const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
/// How long a connection may take to be made, and an answer to come.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a list may be asked to wait and is asked for again here: while a CRD comes or goes, its objects cannot be
/// listed for a second, and an inventory of all kinds should not fail for that.
const LIST_AGAIN: Duration = Duration::from_secs(3);
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// Tells the time.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// One cluster's Kubernetes API. Cheap to clone; clones share connections and the catalogue of kinds.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    server: Arc<str>,
    clock: Now,
    /// Whether who answers is in this process: then documents come and go as they are.
    documents: bool,
    catalog: Arc<RwLock<Option<Arc<Catalog>>>>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({})", self.server)
    }
}

impl Cluster {
    /// Prepares a connection from a kubeconfig's text. `context` chooses one; without it the current one is meant.
    ///
    /// Client certificates, tokens, token files and `exec` programs work as in kubectl; an `exec` program is run here.
    /// The server is not asked anything yet.
    ///
    /// # Guarantees
    /// TLS is verified: `insecure-skip-tls-verify` is refused, and plain http goes to this machine only.
    ///
    /// # Errors
    /// `P0401` for a kubeconfig that cannot be used, `P0404` for credentials that cannot be obtained. Neither repeats
    /// the content of the kubeconfig.
    pub async fn connect(kubeconfig: &SecretString, context: Option<&str>) -> Result<Self, Failure> {
        let text = kubeconfig.expose_secret();
        // Syntax first, by a parser whose errors name a place and do not quote the text.
        yaml_serde::from_str::<Value>(text).map_err(|error| unusable().because(error))?;
        let file =
            Kubeconfig::from_yaml(text).map_err(|_| unusable().because("it is YAML, and no kubeconfig"))?;
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(|error| unusable().caused_by(&error))?;
        refuse_unverified(&config)?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(READ_TIMEOUT);
        config.reset_reader_on_write = true;
        // Refusals are answered by the retry policy above us, which can be seen and stopped.
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        // An error only says that some other part of the program was first.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        // `exec` programs are waited for inside.
        let client = tokio::task::spawn_blocking(move || Client::try_from(config)).await;
        let deed = || format!("could not prepare the connection to {server}");
        match client {
            Ok(Ok(client)) => Ok(Self::from_client(client, &server)),
            Ok(Err(kube::Error::InferKubeconfig(error))) => Err(unusable().caused_by(&error)),
            Ok(Err(error @ (kube::Error::RustlsTls(_) | kube::Error::ProxyProtocolDisabled { .. }))) => {
                Err(unusable().caused_by(&error))
            }
            Ok(Err(error)) => Err(transport(&error, deed())),
            Err(_) => Err(Failure::new(Code::new("P0416"), Class::Bug, deed())),
        }
    }

    /// Takes a client made elsewhere: a test's, or one with a transport of its own. `server` is for messages.
    pub fn from_client(client: Client, server: &str) -> Self {
        let clock = Arc::new(Timestamp::now);
        Self { client, server: server.into(), clock, documents: false, catalog: Arc::default() }
    }

    /// Reaches an API server by a function instead of the network: a simulation answers in the same process. `server` is
    /// for messages. Documents may go as they are: what is sent lies in the request's extensions, an `Arc<Value>`, and an
    /// answer that has one among its own needs no body; the items of a list are a `Vec<Arc<Value>>` beside it.
    pub fn over<B, F>(answer: impl FnMut(Request<Body>) -> F + Send + Clone + 'static, server: &str) -> Self
    where
        F: Future<Output = std::io::Result<http::Response<B>>> + Send + 'static,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let client = Client::new(tower::service_fn(answer), "default");
        Self { documents: true, ..Self::from_client(client, server) }
    }

    /// Takes the time from somewhere else than the wall clock: what has waited for long is judged by it.
    #[must_use]
    pub fn with_clock(self, clock: Now) -> Self {
        Self { clock, ..self }
    }

    /// What time it is where the cluster is.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The API server's address.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The server's version, such as `v1.36.3`.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn version(&self) -> Result<String, Failure> {
        let version: Value = self
            .get_path("/version")
            .await
            .map_err(|r| r.during(self.deed("could not ask the version of")))?;
        Ok(version["gitVersion"].as_str().unwrap_or_default().to_owned())
    }

    /// What tells this cluster from every other: the uid of its `kube-system` namespace.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn uid(&self) -> Result<String, Failure> {
        let namespace: Value = self
            .get_path("/api/v1/namespaces/kube-system")
            .await
            .map_err(|r| r.during(self.deed("could not ask the identity of")))?;
        Ok(namespace["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
    }

    /// Whether the API server calls itself ready (`/readyz`).
    ///
    /// # Errors
    /// The classified refusal; a server that is up and not ready is `P0415`, retryable.
    pub async fn ready(&self) -> Result<(), Failure> {
        let request = self.request(Method::GET, "/readyz", "*/*", None);
        self.raw(request).await.map(drop).map_err(|r| r.during(self.deed("could not find ready")))
    }

    /// Reads one object; `None` when it, or its kind, is not there.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn get(&self, id: &ObjectRef) -> Result<Option<Value>, Failure> {
        Ok(self.read(id).await?.map(Arc::unwrap_or_clone))
    }

    /// Reads all objects of a kind, in one namespace or in all; none when the kind is not served.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<Arc<Value>>, Failure> {
        let deed = || format!("could not list {kind} in {}", namespace.unwrap_or("all namespaces"));
        match self.resource(api_version, kind).await {
            Ok(resource) => {
                self.list_path(&resource.path(namespace), "", JSON).await.map_err(|r| r.during(deed()))
            }
            Err(Refusal::UnknownKind { .. }) => Ok(Vec::new()),
            Err(refusal) => Err(refusal.during(deed())),
        }
    }

    fn deed(&self, what: &str) -> String {
        format!("{what} the API server {}", self.server)
    }
}

/// What the other rooms of this crate ask for.
impl Cluster {
    /// As [`Cluster::get`], for those who only look: where the server is in this process, nothing is copied.
    pub(crate) async fn read(&self, id: &ObjectRef) -> Result<Option<Arc<Value>>, Failure> {
        self.find(id).await.map_err(|r| r.during(format!("could not read {id}")))
    }

    pub(crate) async fn find(&self, id: &ObjectRef) -> Result<Option<Arc<Value>>, Refusal> {
        let resource = match self.resource(&id.api_version, &id.kind).await {
            Ok(resource) => resource,
            Err(Refusal::UnknownKind { .. }) => return Ok(None),
            Err(refusal) => return Err(refusal),
        };
        self.find_at(&resource.object_path(id.namespace.as_deref(), &id.name)).await
    }

    pub(crate) async fn find_at(&self, path: &str) -> Result<Option<Arc<Value>>, Refusal> {
        match self.ask(self.request(Method::GET, path, JSON, None)).await {
            Ok(value) => Ok(Some(value)),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    pub(crate) async fn get_path(&self, path: &str) -> Result<Value, Refusal> {
        self.call(self.request(Method::GET, path, JSON, None)).await
    }

    /// All pages of a collection. `query` is already encoded.
    pub(crate) async fn list_path(
        &self,
        path: &str,
        query: &str,
        accept: &str,
    ) -> Result<Vec<Arc<Value>>, Refusal> {
        let mut all: Vec<Arc<Value>> = Vec::new();
        let mut more = String::new();
        let mut patience = LIST_AGAIN;
        loop {
            let path = format!("{path}?limit=500{query}{more}");
            let asked = self.raw(self.request(Method::GET, &path, accept, None)).await;
            let page = match asked.and_then(Given::page) {
                Ok((page, items)) => {
                    all.extend(items);
                    page
                }
                Err(refusal) => match refusal.retry_after().filter(|wait| *wait <= patience) {
                    Some(wait) => {
                        let wait = wait.max(Duration::from_millis(100));
                        patience = patience.saturating_sub(wait);
                        tokio::time::sleep(wait).await;
                        continue;
                    }
                    None => return Err(refusal),
                },
            };
            match page["metadata"]["continue"].as_str() {
                Some(token) if !token.is_empty() => more = format!("&continue={}", encode(token)),
                _ => return Ok(all),
            }
        }
    }

    /// Server-side apply under our own field manager. Unknown fields are refused: they would be dropped in silence and
    /// differ for ever.
    pub(crate) async fn apply_at(&self, path: &str, body: &Value, force: bool) -> Result<Value, Refusal> {
        let path = format!("{path}?fieldManager={MANAGER}&force={force}&fieldValidation=Strict");
        self.send(Method::PATCH, &path, "application/apply-patch+yaml", body).await
    }

    /// A JSON merge patch under our own field manager.
    pub(crate) async fn merge_at(&self, path: &str, body: &Value) -> Result<Value, Refusal> {
        let path = format!("{path}?fieldManager={MANAGER}");
        self.send(Method::PATCH, &path, "application/merge-patch+json", body).await
    }

    /// Deletes in the background. Already gone is fine.
    pub(crate) async fn delete_at(&self, path: &str, uid: Option<&str>) -> Result<(), Refusal> {
        let mut body = serde_json::json!({
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"});
        if let Some(uid) = uid {
            body["preconditions"] = serde_json::json!({"uid": uid});
        }
        match self.send(Method::DELETE, path, JSON, &body).await {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is_not_found() => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// A merge patch by name.
    pub(crate) async fn merge(&self, id: &ObjectRef, body: &Value) -> Result<Value, Refusal> {
        let resource = self.resource(&id.api_version, &id.kind).await?;
        self.merge_at(&resource.object_path(id.namespace.as_deref(), &id.name), body).await
    }

    /// Deletion by name; a kind that is not served any more has no objects.
    pub(crate) async fn delete(&self, id: &ObjectRef, uid: Option<&str>) -> Result<(), Refusal> {
        match self.resource(&id.api_version, &id.kind).await {
            Ok(resource) => {
                self.delete_at(&resource.object_path(id.namespace.as_deref(), &id.name), uid).await
            }
            Err(Refusal::UnknownKind { .. }) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Creation, which refuses a name that is taken (409).
    pub(crate) async fn create(&self, id: &ObjectRef, body: &Value) -> Result<(), Refusal> {
        let resource = self.resource(&id.api_version, &id.kind).await?;
        let path = format!("{}?fieldManager={MANAGER}", resource.path(id.namespace.as_deref()));
        self.send(Method::POST, &path, JSON, body).await.map(drop)
    }

    async fn send(&self, method: Method, path: &str, content: &str, body: &Value) -> Result<Value, Refusal> {
        if self.documents {
            let mut request = self.request(method, path, JSON, Some((content, Vec::new())));
            if let Ok(request) = &mut request {
                request.extensions_mut().insert(Arc::new(body.clone()));
            }
            return self.call(request).await;
        }
        let body = serde_json::to_vec(body).map_err(Refusal::Unreadable)?;
        self.call(self.request(method, path, JSON, Some((content, body)))).await
    }

    /// The kind as this server serves it. Unknown ones are looked up anew: a CRD may have been made since.
    pub(crate) async fn resource(&self, api_version: &str, kind: &str) -> Result<Resource, Refusal> {
        if let Some(resource) = self.catalog(false).await?.find(api_version, kind) {
            return Ok(resource.clone());
        }
        let fresh = self.catalog(true).await?;
        fresh.find(api_version, kind).cloned().ok_or_else(|| Refusal::UnknownKind {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        })
    }

    /// What the server serves: as last read, or read again.
    pub(crate) async fn catalog(&self, fresh: bool) -> Result<Arc<Catalog>, Refusal> {
        if !fresh && let Some(catalog) = self.catalog.read().await.clone() {
            return Ok(catalog);
        }
        let accept = kube::core::discovery::v2::ACCEPT_AGGREGATED_DISCOVERY_V2;
        let read = |path| self.raw(self.request(Method::GET, path, accept, None));
        let (core, groups) = futures::try_join!(read("/api"), read("/apis"))?;
        let catalog = Catalog::read([&core.bytes()?, &groups.bytes()?]).map_err(Refusal::Unreadable)?;
        *self.catalog.write().await = Some(Arc::clone(&catalog));
        Ok(catalog)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        accept: &str,
        body: Option<(&str, Vec<u8>)>,
    ) -> Result<Request<Body>, Refusal> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::ACCEPT, accept)
            .header(header::USER_AGENT, concat!("platform/", env!("CARGO_PKG_VERSION")));
        if let Some((content, _)) = &body {
            request = request.header(header::CONTENT_TYPE, *content);
        }
        let body = body.map_or_else(Body::empty, |(_, bytes)| Body::from(bytes));
        request.body(body).map_err(|error| Refusal::Transport(kube::Error::HttpError(error)))
    }

    async fn call(&self, request: Result<Request<Body>, Refusal>) -> Result<Value, Refusal> {
        self.ask(request).await.map(Arc::unwrap_or_clone)
    }

    async fn ask(&self, request: Result<Request<Body>, Refusal>) -> Result<Arc<Value>, Refusal> {
        match self.raw(request).await? {
            Given::Document(document, _) => Ok(document),
            Given::Bytes(bytes) => serde_json::from_slice(&bytes).map(Arc::new).map_err(Refusal::Unreadable),
        }
    }

    async fn raw(&self, request: Result<Request<Body>, Refusal>) -> Result<Given, Refusal> {
        let response = self.client.send(request?).await.map_err(Refusal::Transport)?;
        let (mut head, body) = response.into_parts();
        if let Some(document) = head.extensions.remove::<Arc<Value>>() {
            let items = head.extensions.remove::<Vec<Arc<Value>>>();
            return Ok(Given::Document(document, items.unwrap_or_default()));
        }
        let bytes = body.collect_bytes().await.map_err(Refusal::Transport)?;
        if head.status.is_success() {
            return Ok(Given::Bytes(bytes));
        }
        let retry_after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        Err(Refusal::Answer(Box::new(Answer::read(head.status.as_u16(), &bytes, retry_after))))
    }
}

/// What an answer holds.
enum Given {
    /// The document itself, from who answers in this process; what a list holds lies beside it.
    Document(Arc<Value>, Vec<Arc<Value>>),
    /// Its text.
    Bytes(Bytes),
}

impl Given {
    /// A page of a list, and what it holds.
    fn page(self) -> Result<(Arc<Value>, Vec<Arc<Value>>), Refusal> {
        let bytes = match self {
            Self::Document(page, items) => return Ok((page, items)),
            Self::Bytes(bytes) => bytes,
        };
        let mut page: Value = serde_json::from_slice(&bytes).map_err(Refusal::Unreadable)?;
        let items = match page["items"].take() {
            Value::Array(items) => items.into_iter().map(Arc::new).collect(),
            _ => Vec::new(),
        };
        Ok((page.into(), items))
    }

    fn bytes(self) -> Result<Bytes, Refusal> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Document(it, _) => serde_json::to_vec(&*it).map(Bytes::from).map_err(Refusal::Unreadable),
        }
    }
}

/// Percent-encodes one value of a query.
pub(crate) fn encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte.into());
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

fn unusable() -> Failure {
    Failure::new(Code::new("P0401"), Class::Config, "the kubeconfig cannot be used").hint(
        "`kubectl --kubeconfig FILE config view` shows whether it is complete and which contexts it has",
    )
}

fn refuse_unverified(config: &Config) -> Result<(), Failure> {
    if config.accept_invalid_certs {
        return Err(unusable()
            .because("`insecure-skip-tls-verify` is set: anybody on the way could answer")
            .hint("put the cluster's CA into `certificate-authority-data`"));
    }
    let here = config.cluster_url.host().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    });
    if config.cluster_url.scheme_str() != Some("https") && !here {
        return Err(unusable().because(format!("`server: {}` is not https", config.cluster_url)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
