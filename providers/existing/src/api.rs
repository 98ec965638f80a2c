//! The questions asked of the Kubernetes API, and its refusals classified.

use std::{error::Error, net::SocketAddr, time::Duration};

use platform_provider::{ExposeSecret, SecretString};
use platform_spec::{Class, Code, Failure};
use reqwest::{Certificate, Identity, StatusCode, header::RETRY_AFTER};
use serde_json::Value;

use crate::{credential::Proof, kubeconfig::Kubeconfig};

/// For a connection, on any network that a platform is worth building over.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For an answer: both questions are answered from memory by the API server.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);

/// A Kubernetes API, reached with a kubeconfig's credentials.
pub(crate) struct Api {
    client: reqwest::Client,
    server: String,
    token: Option<SecretString>,
    basic: Option<(String, SecretString)>,
    /// What a person runs to see the same.
    command: String,
    cluster: String,
}

impl Api {
    /// Prepares a client; nothing is sent yet.
    pub async fn new(
        cluster: &str,
        kubeconfig: &Kubeconfig,
        proof: Proof,
        command: String,
    ) -> Result<Self, Failure> {
        let wrong = |what: &str, cause: &dyn std::fmt::Display| {
            Failure::new(
                Code::new("P0211"),
                Class::Config,
                format!("could not use the kubeconfig of cluster `{cluster}`"),
            )
            .because(what)
            .because(cause)
        };
        // kubectl sends no compressed or redirected requests either: an API server that redirects is none.
        let mut client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(ANSWER_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &kubeconfig.authorities {
            let authorities = Certificate::from_pem_bundle(pem)
                .map_err(|cause| wrong("its certificate authority is no PEM", &cause))?;
            client = client.tls_certs_only(authorities);
        }
        if kubeconfig.insecure {
            client = client.tls_danger_accept_invalid_certs(true);
        }
        if let Some(proxy) = &kubeconfig.proxy {
            let proxy =
                reqwest::Proxy::all(proxy).map_err(|_| wrong("its `proxy-url` is no URL", &"not a URL"))?;
            client = client.proxy(proxy);
        }
        if let Some((certificate, key)) = &proof.certificate {
            let mut pem = certificate.clone();
            pem.push(b'\n');
            pem.extend_from_slice(key.expose_secret().as_bytes());
            // Its error may name a part of the key.
            let identity = Identity::from_pem(&pem).map_err(|_| {
                wrong("its client certificate and key do not go together", &"not a certificate and a key")
            })?;
            client = client.identity(identity);
        }
        let mut server = kubeconfig.server.trim_end_matches('/').to_owned();
        if let Some(name) = &kubeconfig.tls_server_name {
            let (renamed, address) =
                rename(&server, name).await.map_err(|cause| wrong("its server has no address", &cause))?;
            client = client.resolve(name, address);
            server = renamed;
        }
        let client = client.build().map_err(|cause| wrong("it makes no HTTPS client", &Chain(&cause)))?;
        Ok(Self {
            client,
            server,
            token: proof.token,
            basic: proof.basic,
            command,
            cluster: cluster.to_owned(),
        })
    }

    /// The server's version, such as `v1.36.3`.
    pub async fn version(&self) -> Result<String, Failure> {
        let version = self.get("/version").await?;
        self.text(&version, "/gitVersion")
    }

    /// What tells this cluster from every other: the UID of its namespace `kube-system`.
    pub async fn identity(&self) -> Result<String, Failure> {
        let namespace = self.get("/api/v1/namespaces/kube-system").await?;
        self.text(&namespace, "/metadata/uid")
    }

    fn text(&self, answer: &Value, pointer: &str) -> Result<String, Failure> {
        answer
            .pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .ok_or_else(|| self.no_kubernetes(format!("its answer has no `{pointer}`")))
    }

    async fn get(&self, path: &str) -> Result<Value, Failure> {
        let mut request = self.client.get(format!("{}{path}", self.server));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose_secret());
        } else if let Some((username, password)) = &self.basic {
            request = request.basic_auth(username, Some(password.expose_secret()));
        }
        let response = request.send().await.map_err(|cause| self.unreachable(&cause))?;
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse::<u64>().ok())
            .map(|seconds| seconds.saturating_mul(1000));
        let body = response.bytes().await.map_err(|cause| self.unreachable(&cause))?;
        let answer = serde_json::from_slice::<Value>(&body);
        if status.is_success() {
            return answer.map_err(|_| self.no_kubernetes("its answer is not JSON".to_owned()));
        }
        let message = answer.ok().and_then(|status| Some(status.get("message")?.as_str()?.to_owned()));
        Err(self.refused(path, status, message, retry_after))
    }

    /// The server has answered, and said no.
    fn refused(
        &self,
        path: &str,
        status: StatusCode,
        message: Option<String>,
        retry_after: Option<u64>,
    ) -> Failure {
        let words =
            format!("{path}: {status}{}", message.map(|text| format!(": {text}")).unwrap_or_default());
        let (code, class) = match status.as_u16() {
            401 => (Code::new("P0213"), Class::AuthExpired),
            403 => (Code::new("P0214"), Class::Forbidden),
            429 => (Code::new("P0212"), Class::Throttled),
            408 | 500..=599 => (Code::new("P0212"), Class::Retryable),
            _ => return self.no_kubernetes(words),
        };
        let failure = Failure::new(code, class, self.deed()).because(words);
        let failure = match retry_after {
            Some(ms) => failure.retry_after_ms(ms),
            None => failure,
        };
        failure.hint(match class {
            Class::AuthExpired => format!("log in again, then check with `{}`", self.command),
            Class::Forbidden => format!(
                "the credentials are good and may not do this; ask for the rights, then check with `{}`",
                self.command.replace("/version", path)
            ),
            _ => format!("see the same with `{}`", self.command),
        })
    }

    /// The server has not answered.
    fn unreachable(&self, cause: &reqwest::Error) -> Failure {
        // Without the URL: it is in the message already.
        let causes = Chain(cause).to_string();
        let (code, class) = match tls_error(cause) {
            Some(rustls::Error::InvalidCertificate(_)) => (Code::new("P0217"), Class::Config),
            Some(rustls::Error::AlertReceived(alert)) if is_about_our_certificate(*alert) => {
                (Code::new("P0213"), Class::AuthExpired)
            }
            _ => (Code::new("P0212"), Class::Retryable),
        };
        let failure = Failure::new(code, class, self.deed()).because(causes);
        failure.hint(match class {
            Class::Config => {
                "the kubeconfig's `certificate-authority-data` has to be of the authority that signed the server's \
                 certificate, and that certificate has to be valid now"
                    .to_owned()
            }
            Class::AuthExpired => format!("get a new client certificate, then check with `{}`", self.command),
            _ => format!("this provider makes no cluster; start it or the way to it, then check with `{}`", self.command),
        })
    }

    fn no_kubernetes(&self, why: String) -> Failure {
        Failure::new(Code::new("P0220"), Class::Config, self.deed()).because(why).hint(format!(
            "`server` in the kubeconfig has to be a Kubernetes API; check with `{}`",
            self.command
        ))
    }

    fn deed(&self) -> String {
        format!("could not ask the Kubernetes API of cluster `{}` at {}", self.cluster, self.server)
    }
}

/// The server's URL under the name that its certificate has, and the address behind its real name.
async fn rename(server: &str, name: &str) -> Result<(String, SocketAddr), std::io::Error> {
    let invalid = |why: &str| std::io::Error::new(std::io::ErrorKind::InvalidInput, why.to_owned());
    let mut url = reqwest::Url::parse(server).map_err(|_| invalid("`server` is no URL"))?;
    let port = url.port_or_known_default().ok_or_else(|| invalid("`server` has no port"))?;
    let host = url.host_str().ok_or_else(|| invalid("`server` has no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let address = tokio::net::lookup_host((host.as_str(), port)).await?.next();
    let address = address.ok_or_else(|| invalid("`server` has no address"))?;
    url.set_host(Some(name)).map_err(|_| invalid("`tls-server-name` is no name"))?;
    Ok((url.to_string().trim_end_matches('/').to_owned(), address))
}

/// An error with its sources, in one line.
struct Chain<'a>(&'a (dyn Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut next = Some(self.0);
        while let Some(error) = next {
            let text = error.to_string();
            if parts.last().is_none_or(|last| !last.ends_with(&text)) {
                parts.push(text);
            }
            next = error.source();
        }
        f.write_str(&parts.join(": "))
    }
}

/// The TLS error in a chain. It hides inside an I/O error, whose `source` skips it.
fn tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| tls_error(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn is_about_our_certificate(alert: rustls::AlertDescription) -> bool {
    use rustls::AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnknownCA
            | Alert::AccessDenied
    )
}
