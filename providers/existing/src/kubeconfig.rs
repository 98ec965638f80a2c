//! A kubeconfig: one context of it, checked and self-contained.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD as BASE64};
use platform_provider::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use crate::credential::{Exec, User};

/// Why a kubeconfig cannot be used. None of these repeats a value of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KubeconfigError {
    #[error("it is not YAML{}", .line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    NotYaml { line: Option<usize> },
    #[error("it holds the path of a file and not a kubeconfig; write `file:PATH` instead")]
    APath,
    #[error("it has no `current-context`, and the spec names no context")]
    NoContextNamed,
    #[error("it has no {kind} `{name}`; it has {}", list(.have))]
    Missing { kind: &'static str, name: String, have: Vec<String> },
    #[error("context `{context}` names no {kind}")]
    NotNamed { context: String, kind: &'static str },
    #[error("cluster `{0}` has no `server` with http:// or https://")]
    NoServer(String),
    #[error("`{key}` is not base64")]
    NotBase64 { key: &'static str },
    #[error("`{key}` is a relative path, and this kubeconfig was not read from a file")]
    Relative { key: &'static str },
    #[error("could not read the file that `{key}` names")]
    File {
        key: &'static str,
        #[source]
        cause: std::io::Error,
    },
    #[error("user `{0}` uses `auth-provider`, which Kubernetes has removed; use an `exec` program instead")]
    AuthProvider(String),
    #[error("`exec` of user `{0}` names no command")]
    NoCommand(String),
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// One context of a kubeconfig, with everything that it names.
pub(crate) struct Kubeconfig {
    pub context: String,
    pub server: String,
    /// PEM of the authorities that may sign the server's certificate; `None` means the system's.
    pub authorities: Option<Vec<u8>>,
    pub tls_server_name: Option<String>,
    pub insecure: bool,
    pub proxy: Option<String>,
    pub user: User,
    cluster: Map<String, Value>,
    flat_user: Map<String, Value>,
    namespace: Option<String>,
}

impl Kubeconfig {
    /// Chooses a context (the named one, else the current one) and reads what it names.
    ///
    /// Relative paths are taken from `base`, the kubeconfig's own directory, as kubectl does.
    pub async fn select(
        yaml: &SecretString,
        base: Option<&Path>,
        context: Option<&str>,
    ) -> Result<Self, KubeconfigError> {
        let text = yaml.expose_secret();
        let document: Value = yaml_serde::from_str(text)
            .map_err(|cause| KubeconfigError::NotYaml { line: cause.location().map(|at| at.line()) })?;
        let Value::Object(document) = document else {
            let is_path = !text.trim().contains('\n') && text.trim().starts_with(['/', '~', '.']);
            return Err(if is_path {
                KubeconfigError::APath
            } else {
                KubeconfigError::NotYaml { line: None }
            });
        };
        let current = document.get("current-context").and_then(Value::as_str).filter(|name| !name.is_empty());
        let context = context.or(current).ok_or(KubeconfigError::NoContextNamed)?.to_owned();
        let entry = named(&document, "contexts", "context", &context)?;
        let name_of = |kind| {
            entry
                .get(kind)
                .and_then(Value::as_str)
                .filter(|name| !name.is_empty())
                .ok_or_else(|| KubeconfigError::NotNamed { context: context.clone(), kind })
        };
        let (cluster_name, user_name) = (name_of("cluster")?, name_of("user")?);
        let mut cluster = named(&document, "clusters", "cluster", cluster_name)?.clone();
        let mut flat_user = named(&document, "users", "user", user_name)?.clone();
        let files = Files { base };
        let text_of = |key: &str| cluster.get(key).and_then(Value::as_str).map(str::to_owned);
        let server = text_of("server")
            .filter(|server| server.starts_with("https://") || server.starts_with("http://"))
            .ok_or_else(|| KubeconfigError::NoServer(cluster_name.to_owned()))?;
        let (tls_server_name, proxy) = (text_of("tls-server-name"), text_of("proxy-url"));
        let insecure = cluster.get("insecure-skip-tls-verify").and_then(Value::as_bool).unwrap_or(false);
        let authorities =
            files.inline(&mut cluster, "certificate-authority", "certificate-authority-data").await?;
        let user = user(&mut flat_user, user_name, &files).await?;
        let namespace = entry.get("namespace").and_then(Value::as_str).map(str::to_owned);
        Ok(Self {
            context,
            server,
            authorities,
            tls_server_name,
            insecure,
            proxy,
            user,
            cluster,
            flat_user,
            namespace,
        })
    }

    /// A kubeconfig of this context alone, with every file inlined and every path absolute.
    pub fn flattened(&self) -> Result<SecretString, yaml_serde::Error> {
        let name = &self.context;
        let mut context = json!({"cluster": name, "user": name});
        if let Some(namespace) = &self.namespace {
            context["namespace"] = json!(namespace);
        }
        let document = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [{"name": name, "cluster": self.cluster}],
            "contexts": [{"name": name, "context": context}],
            "users": [{"name": name, "user": self.flat_user}],
        });
        yaml_serde::to_string(&document).map(SecretString::from)
    }

    /// What an `exec` program may know about the cluster (`provideClusterInfo`).
    pub fn cluster_info(&self) -> Value {
        Value::Object(self.cluster.clone())
    }
}

/// The entry `name` of one of the kubeconfig's lists.
fn named<'a>(
    document: &'a Map<String, Value>,
    list: &str,
    kind: &'static str,
    name: &str,
) -> Result<&'a Map<String, Value>, KubeconfigError> {
    let entries = document.get(list).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let name_of = |entry: &Value| entry.get("name").and_then(Value::as_str).map(str::to_owned);
    entries
        .iter()
        .find(|entry| name_of(entry).as_deref() == Some(name))
        .and_then(|entry| entry.get(kind)?.as_object())
        .ok_or_else(|| KubeconfigError::Missing {
            kind,
            name: name.to_owned(),
            have: entries.iter().filter_map(name_of).collect(),
        })
}

async fn user(flat: &mut Map<String, Value>, name: &str, files: &Files<'_>) -> Result<User, KubeconfigError> {
    if flat.get("auth-provider").is_some_and(|value| !value.is_null()) {
        return Err(KubeconfigError::AuthProvider(name.to_owned()));
    }
    let certificate = files.inline(flat, "client-certificate", "client-certificate-data").await?;
    let key = files.inline(flat, "client-key", "client-key-data").await?;
    let key = key.map(|pem| SecretString::from(String::from_utf8_lossy(&pem).into_owned()));
    let secret = |key: &str| {
        flat.get(key).and_then(Value::as_str).filter(|text| !text.is_empty()).map(SecretString::from)
    };
    let (token, password) = (secret("token"), secret("password"));
    let username = flat.get("username").and_then(Value::as_str).map(str::to_owned);
    // A token file is rotated by others, so its path stays, and it is read at each use.
    let token_file = files.absolute(flat, "tokenFile")?;
    let exec = match flat.get_mut("exec") {
        Some(Value::Object(exec)) => Some(self::exec(exec, name, files)?),
        _ => None,
    };
    Ok(User { certificate, key, token, token_file, basic: username.zip(password), exec })
}

fn exec(flat: &mut Map<String, Value>, user: &str, files: &Files<'_>) -> Result<Exec, KubeconfigError> {
    let command = flat.get("command").and_then(Value::as_str).unwrap_or_default();
    if command.is_empty() {
        return Err(KubeconfigError::NoCommand(user.to_owned()));
    }
    // A bare name is looked up on PATH; anything with a slash is a path.
    let command = match command.contains('/') {
        true => files.absolute(flat, "command")?.map(|path| path.display().to_string()).unwrap_or_default(),
        false => command.to_owned(),
    };
    let texts = |value: Option<&Value>| -> Vec<String> {
        let list = value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let env = flat.get("env").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let pair = |entry: &Value| {
        Some((entry.get("name")?.as_str()?.to_owned(), SecretString::from(entry.get("value")?.as_str()?)))
    };
    Ok(Exec {
        command,
        args: texts(flat.get("args")),
        env: env.iter().filter_map(pair).collect(),
        api_version: flat
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or("client.authentication.k8s.io/v1")
            .to_owned(),
        wants_cluster: flat.get("provideClusterInfo").and_then(Value::as_bool).unwrap_or(false),
        wants_terminal: flat.get("interactiveMode").and_then(Value::as_str) == Some("Always"),
    })
}

/// Files that a kubeconfig names.
struct Files<'a> {
    base: Option<&'a Path>,
}

impl Files<'_> {
    /// The bytes behind `data_key`, or of the file that `key` names; from then on only `data_key` is there.
    async fn inline(
        &self,
        section: &mut Map<String, Value>,
        key: &'static str,
        data_key: &'static str,
    ) -> Result<Option<Vec<u8>>, KubeconfigError> {
        if let Some(data) = section.get(data_key).and_then(Value::as_str).filter(|data| !data.is_empty()) {
            let bytes =
                BASE64.decode(data.trim()).map_err(|_| KubeconfigError::NotBase64 { key: data_key })?;
            section.remove(key);
            return Ok(Some(bytes));
        }
        let Some(path) = self.absolute(section, key)? else { return Ok(None) };
        let bytes = fs_err::tokio::read(path).await.map_err(|cause| KubeconfigError::File { key, cause })?;
        section.remove(key);
        section.insert(data_key.to_owned(), Value::String(BASE64.encode(&bytes)));
        Ok(Some(bytes))
    }

    /// Makes the path under `key` absolute, if there is one.
    fn absolute(
        &self,
        section: &mut Map<String, Value>,
        key: &'static str,
    ) -> Result<Option<PathBuf>, KubeconfigError> {
        let Some(path) = section.get(key).and_then(Value::as_str).filter(|path| !path.is_empty()) else {
            return Ok(None);
        };
        let path = match (Path::new(path).is_absolute(), self.base) {
            (true, _) => PathBuf::from(path),
            (false, Some(base)) => base.join(path),
            (false, None) => return Err(KubeconfigError::Relative { key }),
        };
        section.insert(key.to_owned(), Value::String(path.display().to_string()));
        Ok(Some(path))
    }
}
