//! Login, requests, pages.

use std::{collections::BTreeMap, sync::Arc};

use http::{Method, Request, header};
use platform_provider::secret;
use platform_spec::{Failure, secret::SecretRef};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::{
    line::{Connect, Connection, Place},
    refusal::Refusal,
    wish::Config,
};

/// The header that says who holds what, and since when.
const FENCE: &str = "x-fence";

/// Ways to clouds that are open, by where they are. Only a convenience: without them everything is asked again.
#[derive(Default)]
pub(crate) struct Sessions {
    open: Mutex<BTreeMap<String, Arc<Session>>>,
}

struct Session {
    connection: Connection,
    token: Mutex<Option<SecretString>>,
}

/// Asks the cloud on behalf of one call.
pub(crate) struct Client<'a> {
    sessions: &'a Sessions,
    place: String,
    session: Arc<Session>,
    fence: Option<String>,
}

/// A thing, as the cloud shows it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Seen {
    pub id: String,
    pub kind: String,
    pub name: String,
    pub region: String,
    pub tags: BTreeMap<String, String>,
    pub spec: Value,
    pub status: String,
    #[serde(default)]
    pub status_message: Option<String>,
    #[serde(default)]
    pub operation: Option<Operation>,
    pub outputs: Value,
    pub stands_on: Vec<String>,
    pub age_ms: u64,
}

/// What is being done to a thing.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Operation {
    pub id: String,
    pub percent: u8,
    pub poll_after_ms: u64,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Seen>,
    #[serde(default)]
    next_page: Option<String>,
}

impl Sessions {
    /// A client for the cloud that the configuration names, or else the one that `source` knows. With a fence, every call
    /// says so.
    ///
    /// # Errors
    /// When there is no way to it.
    pub async fn client(
        &self,
        source: &dyn Connect,
        config: &Config,
        credentials: Option<&SecretRef>,
        fence: Option<String>,
    ) -> Result<Client<'_>, Failure> {
        let place = config.url.clone().unwrap_or_default();
        let mut open = self.open.lock().await;
        let session = match open.get(&place) {
            Some(session) => Arc::clone(session),
            None => {
                let connection = connect(source, config, credentials).await?;
                let session = Arc::new(Session { connection, token: Mutex::default() });
                open.insert(place.clone(), Arc::clone(&session));
                session
            }
        };
        Ok(Client { sessions: self, place, session, fence })
    }
}

async fn connect(
    source: &dyn Connect,
    config: &Config,
    credentials: Option<&SecretRef>,
) -> Result<Connection, Failure> {
    let Some(url) = &config.url else { return source.connect().await };
    let key = credentials.ok_or_else(|| config.wrong("with `url` there must be `credentialsRef`"))?;
    let authority = config.ca_ref.as_ref().ok_or_else(|| config.wrong("with `url` there must be `caRef`"))?;
    let place = Place {
        url: url.clone(),
        ca: secret::read(authority).await?.expose_secret().to_owned(),
        key: secret::read(key).await?,
    };
    place.connect().await
}

impl Client<'_> {
    /// Things of a kind (or of all: `things`), every page of them.
    pub async fn list(
        &self,
        plural: &str,
        search: &[(&str, impl AsRef<str> + Sync)],
    ) -> Result<Vec<Seen>, Refusal> {
        let mut all = Vec::new();
        let mut page: Option<String> = None;
        loop {
            let path = list_path(plural, search, page.as_deref());
            let Page { items, next_page } = read(&self.ask(Method::GET, &path, &Value::Null).await?)?;
            all.extend(items);
            match next_page {
                Some(next) => page = Some(next),
                None => return Ok(all),
            }
        }
    }

    /// One thing.
    pub async fn get(&self, plural: &str, id: &str) -> Result<Seen, Refusal> {
        read(&self.ask(Method::GET, &format!("/v1/{plural}/{id}"), &Value::Null).await?)
    }

    /// Makes a thing, or finds what the same request has made.
    pub async fn create(&self, plural: &str, body: &Value) -> Result<Seen, Refusal> {
        read(&self.ask(Method::POST, &format!("/v1/{plural}"), body).await?)
    }

    /// Changes keys of a thing's spec.
    pub async fn update(&self, plural: &str, id: &str, spec: &Value) -> Result<Seen, Refusal> {
        let body = json!({ "spec": spec });
        read(&self.ask(Method::PATCH, &format!("/v1/{plural}/{id}"), &body).await?)
    }

    /// Replaces a thing's tags.
    pub async fn retag(
        &self,
        plural: &str,
        id: &str,
        tags: &BTreeMap<String, String>,
    ) -> Result<Seen, Refusal> {
        read(&self.ask(Method::PATCH, &format!("/v1/{plural}/{id}"), &json!({ "tags": tags })).await?)
    }

    /// Begins to remove a thing; `None` when it is gone at once.
    pub async fn delete(&self, plural: &str, id: &str) -> Result<Option<Seen>, Refusal> {
        let answer = self.ask(Method::DELETE, &format!("/v1/{plural}/{id}"), &Value::Null).await?;
        if answer.is_null() { Ok(None) } else { read(&answer).map(Some) }
    }

    /// Anything else.
    pub async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, Refusal> {
        let token = self.token(None).await?;
        match self.send(method.clone(), path, Some(&token), body).await {
            // The token has run out on the way; the key is still good, or login says that it is not.
            Err(refusal) if refusal.code == "auth_expired" => {
                let token = self.token(Some(&token)).await?;
                self.send(method, path, Some(&token), body).await
            }
            answer => answer,
        }
    }

    /// The token, or a new one when `stale` is the one that is known.
    async fn token(&self, stale: Option<&SecretString>) -> Result<SecretString, Refusal> {
        let mut known = self.session.token.lock().await;
        let is_stale =
            |token: &SecretString| stale.is_some_and(|stale| stale.expose_secret() == token.expose_secret());
        if let Some(token) = known.as_ref().filter(|token| !is_stale(token)) {
            return Ok(token.clone());
        }
        let body = json!({ "key": self.session.connection.key.expose_secret() });
        let answer = self.send(Method::POST, "/v1/login", None, &body).await?;
        let token = answer["token"].as_str().map(SecretString::from);
        let token = token.ok_or_else(|| Refusal::unexpected("login gave no token".to_owned()))?;
        *known = Some(token.clone());
        Ok(token)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            let mut bearer = header::HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()))
                .map_err(|_| Refusal::unexpected("the token cannot be sent".to_owned()))?;
            bearer.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, bearer);
        }
        if let Some(fence) = &self.fence {
            request = request.header(FENCE, fence);
        }
        let bytes = if body.is_null() {
            Vec::new()
        } else {
            request = request.header(header::CONTENT_TYPE, "application/json");
            body.to_string().into_bytes()
        };
        let request = request.body(bytes).map_err(|error| Refusal::unexpected(error.to_string()))?;
        let answer = match self.session.connection.line.send(request).await {
            Ok(answer) => answer,
            Err(no_answer) => {
                // Whoever is there now may be another process at another place.
                self.sessions.open.lock().await.remove(&self.place);
                return Err(no_answer.into());
            }
        };
        let status = answer.status();
        if !status.is_success() {
            return Err(Refusal::read(status.as_u16(), answer.headers(), answer.body()));
        }
        if answer.body().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(answer.body())
            .map_err(|error| Refusal::unexpected(format!("the answer is no JSON: {error}")))
    }
}

fn list_path(plural: &str, search: &[(&str, impl AsRef<str>)], page: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(search.iter().map(|(key, value)| (key, value.as_ref()))).append_pair("limit", "100");
    query.extend_pairs(page.map(|page| ("page", page)));
    format!("/v1/{plural}?{}", query.finish())
}

fn read<T: serde::de::DeserializeOwned>(answer: &Value) -> Result<T, Refusal> {
    T::deserialize(answer)
        .map_err(|error| Refusal::unexpected(format!("the answer has another shape: {error}")))
}
