//! Why the API server, or the way to it, refused. Read once here; everything above reads the class.

use std::{error::Error as StdError, time::Duration};

use platform_spec::{Class, Code, Failure};
use serde_json::Value;

/// A request that did not bring what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The API server answered, and said no.
    #[error("{}", .0.text())]
    Answer(Box<Answer>),
    /// No answer came.
    #[error("the API server could not be reached")]
    Transport(#[source] kube::Error),
    /// An answer came that is not what the API promises.
    #[error("the API server's answer is not JSON")]
    Unreadable(#[source] serde_json::Error),
    /// The kind is not in the server's catalogue.
    #[error("the API server does not serve `{kind}` of `{api_version}`")]
    UnknownKind {
        /// `group/version`.
        api_version: String,
        /// The kind asked for.
        kind: String,
    },
}

/// What the API server said (`metav1.Status`, or plain text from something in between).
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// HTTP status.
    pub http: u16,
    /// `Status.reason`, such as `NotFound`.
    pub reason: String,
    /// `Status.message`, or the body when it was no Status.
    pub message: String,
    /// `Status.details.causes`: reason, message, field.
    pub causes: Vec<Cause>,
    /// How long to wait, when the server said so.
    pub retry_after: Option<Duration>,
}

/// One entry of `Status.details.causes`.
#[derive(Debug, Default)]
pub(crate) struct Cause {
    pub reason: String,
    pub message: String,
    pub field: String,
}

impl Answer {
    /// Reads an unsuccessful answer. `retry_after` is the header of that name.
    pub fn read(http: u16, body: &[u8], retry_after: Option<&str>) -> Self {
        let text = |value: &Value, key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let header = retry_after.and_then(|s| s.trim().parse().ok()).map(Duration::from_secs);
        let Ok(status @ Value::Object(_)) = serde_json::from_slice::<Value>(body) else {
            let message = String::from_utf8_lossy(body).trim().chars().take(500).collect();
            return Self { http, message, retry_after: header, ..Self::default() };
        };
        let details = &status["details"];
        Self {
            http,
            reason: text(&status, "reason"),
            message: text(&status, "message"),
            causes: details["causes"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|cause| Cause {
                    reason: text(cause, "reason"),
                    message: text(cause, "message"),
                    field: text(cause, "field"),
                })
                .collect(),
            retry_after: header.or_else(|| {
                details["retryAfterSeconds"].as_u64().filter(|s| *s > 0).map(Duration::from_secs)
            }),
        }
    }

    fn text(&self) -> String {
        let words = if self.message.is_empty() { "(no message)" } else { &self.message };
        if self.reason.is_empty() {
            format!("HTTP {}: {words}", self.http)
        } else {
            format!("HTTP {} {}: {words}", self.http, self.reason)
        }
    }

    fn has_cause(&self, reason: &str) -> bool {
        self.causes.iter().any(|cause| cause.reason == reason)
    }

    fn verdict(&self) -> (Code, Class, &'static str) {
        let says = |words: &str| self.message.contains(words);
        if says("failed calling webhook") {
            return (
                Code::new("P0410"),
                Class::Retryable,
                "an admission webhook did not answer; look at its Service and Pods, then `platform resume`",
            );
        }
        if says("admission webhook") && says("denied the request") {
            return (
                Code::new("P0410"),
                Class::Config,
                "a policy of the cluster refuses this object; change the object or the policy, then `platform resume`",
            );
        }
        match self.http {
            401 => (
                Code::new("P0404"),
                Class::AuthExpired,
                "get fresh credentials for the cluster (log in again, or renew the kubeconfig), then `platform resume`",
            ),
            403 if self.has_cause("NamespaceTerminating") => (
                Code::new("P0418"),
                Class::ConflictInProgress,
                "the namespace is still being deleted; wait, or see what holds it with `kubectl get namespace NAME -o yaml`",
            ),
            403 if says("exceeded quota") => (
                Code::new("P0419"),
                Class::Quota,
                "raise the ResourceQuota of the namespace, then `platform resume`",
            ),
            403 => (
                Code::new("P0405"),
                Class::Forbidden,
                "the credentials lack this right; `kubectl auth can-i --list` shows what they have",
            ),
            404 => (Code::new("P0409"), Class::NotFound, "`kubectl get` shows what is there"),
            409 => (
                Code::new("P0407"),
                Class::ConflictInProgress,
                "somebody else manages or is changing the object; `kubectl get -o yaml --show-managed-fields` names them",
            ),
            429 => (Code::new("P0406"), Class::Throttled, "nothing to do: the call is made again"),
            408 | 410 | 500..=599 => (
                Code::new("P0415"),
                Class::Retryable,
                "nothing to do at first: the call is made again; `kubectl get --raw /readyz?verbose` shows the server's health",
            ),
            400..=499 => (
                Code::new("P0408"),
                Class::Config,
                "the object is not what this cluster accepts; compare with `kubectl explain`",
            ),
            _ => (Code::new("P0416"), Class::Bug, "report this with the text above"),
        }
    }
}

impl Refusal {
    /// Whether the thing asked for is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.http == 404)
    }

    /// HTTP status, when there was an answer.
    pub fn http(&self) -> Option<u16> {
        match self {
            Self::Answer(answer) => Some(answer.http),
            _ => None,
        }
    }

    /// How long the server asked us to wait (429, 503).
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) => answer.retry_after,
            _ => None,
        }
    }

    /// The failure a person sees. `deed` says what was being done to which thing.
    pub fn during(self, deed: impl Into<String>) -> Failure {
        let deed = deed.into();
        match &self {
            Self::Answer(answer) => {
                let (code, class, hint) = answer.verdict();
                let mut failure = Failure::new(code, class, deed).because(&self).hint(hint);
                for cause in &answer.causes {
                    let words = match cause.field.as_str() {
                        "" => cause.message.clone(),
                        field => format!("{field}: {}", cause.message),
                    };
                    if !words.is_empty() && !answer.message.contains(&cause.message) {
                        failure = failure.because(words);
                    }
                }
                let managers = conflicting_managers(answer);
                if !managers.is_empty() {
                    failure = failure.blocked_by(managers);
                }
                match answer.retry_after {
                    Some(wait) => failure.retry_after_ms(wait.as_millis().try_into().unwrap_or(u64::MAX)),
                    None => failure,
                }
            }
            Self::Transport(error) => transport(error, deed),
            Self::Unreadable(_) => Failure::new(Code::new("P0416"), Class::Bug, deed).caused_by(&self),
            Self::UnknownKind { .. } => Failure::new(Code::new("P0412"), Class::NotFound, deed)
                .because(&self)
                .hint("install the CustomResourceDefinition first; `kubectl api-resources` lists what is served"),
        }
    }
}

/// Names of the field managers that a server-side apply collided with: `manager "x" owns .spec.replicas`.
fn conflicting_managers(answer: &Answer) -> Vec<String> {
    answer
        .causes
        .iter()
        .filter(|cause| cause.reason == "FieldManagerConflict")
        .map(|cause| {
            let who = cause.message.split('"').nth(1).unwrap_or(&cause.message);
            format!("field manager `{who}` holds {}", cause.field)
        })
        .collect()
}

/// A failure of connection, TLS or credentials, before any answer.
pub(crate) fn transport(error: &kube::Error, deed: String) -> Failure {
    use rustls::{AlertDescription as Alert, Error as Tls};

    if let kube::Error::Auth(auth) = error {
        return credentials(auth, deed);
    }
    let unreachable = || {
        Failure::new(Code::new("P0402"), Class::Retryable, deed.clone()).caused_by(error).hint(
            "check that the cluster runs and that its address can be reached: `kubectl cluster-info`; then `platform resume`",
        )
    };
    let Some(tls) = find_tls(error) else { return unreachable() };
    match tls {
        Tls::AlertReceived(
            Alert::CertificateExpired
            | Alert::BadCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::CertificateRequired
            | Alert::UnsupportedCertificate
            | Alert::UnknownCA
            | Alert::AccessDenied,
        ) => Failure::new(Code::new("P0404"), Class::AuthExpired, deed)
            .because(tls)
            .hint("the client certificate is refused: renew the kubeconfig, then `platform resume`"),
        Tls::InvalidCertificate(_) | Tls::NoCertificatesPresented | Tls::InvalidMessage(_) => {
            Failure::new(Code::new("P0403"), Class::Config, deed).because(tls).hint(
                "the server's certificate does not fit the kubeconfig: compare `certificate-authority-data` and `server` with the cluster",
            )
        }
        _ => unreachable(),
    }
}

/// Credentials that could not be obtained. The output of a credential program is not repeated but for its stderr:
/// stdout is where it prints the token.
fn credentials(auth: &kube::client::AuthError, deed: String) -> Failure {
    use kube::client::AuthError;
    let failure = Failure::new(Code::new("P0404"), Class::AuthExpired, deed)
        .hint("log in again with the tool named in the kubeconfig's `exec` section, then `platform resume`");
    match auth {
        AuthError::AuthExecRun { cmd, out } => {
            let stderr = String::from_utf8_lossy(&out.stderr);
            failure.because(format!("`{}` ended with {}", program(cmd), out.status)).because(stderr.trim())
        }
        AuthError::AuthExecStart(io) => {
            failure.because(format!("the credential program cannot be started: {io}"))
        }
        AuthError::AuthExecParse(_) => failure.because("the credential program printed no ExecCredential"),
        AuthError::MissingCommand | AuthError::ExecMissingClusterInfo => {
            Failure { class: Class::Config, code: Code::new("P0401"), ..failure }.because(auth)
        }
        other => failure.because(other),
    }
}

/// The program without its arguments, which may carry anything.
fn program(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or(command).trim_matches('"')
}

fn find_tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(tls) = error.downcast_ref::<rustls::Error>() {
            return Some(tls);
        }
        // An io::Error names the source of what it wraps, not what it wraps.
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(tls) = find_tls(inner)
        {
            return Some(tls);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(http: u16, body: &Value) -> Failure {
        Refusal::Answer(Box::new(Answer::read(http, body.to_string().as_bytes(), None))).during("applying it")
    }

    #[test]
    fn each_status_has_its_class() {
        for (http, class, code) in [
            (400, Class::Config, "P0408"),
            (401, Class::AuthExpired, "P0404"),
            (403, Class::Forbidden, "P0405"),
            (404, Class::NotFound, "P0409"),
            (405, Class::Config, "P0408"),
            (409, Class::ConflictInProgress, "P0407"),
            (410, Class::Retryable, "P0415"),
            (422, Class::Config, "P0408"),
            (429, Class::Throttled, "P0406"),
            (500, Class::Retryable, "P0415"),
            (503, Class::Retryable, "P0415"),
            (302, Class::Bug, "P0416"),
        ] {
            let failure = answer(http, &json!({"kind": "Status", "message": "because", "reason": "R"}));
            assert_eq!((failure.class, failure.code.as_str()), (class, code), "HTTP {http}");
            assert_eq!(failure.causes, [format!("HTTP {http} R: because")]);
        }
    }

    #[test]
    fn text_outranks_status_where_kubernetes_overloads_one() {
        let says = |http, message: &str| answer(http, &json!({"message": message})).class;
        assert_eq!(says(500, "Internal error: failed calling webhook \"x\": timeout"), Class::Retryable);
        assert_eq!(says(403, "admission webhook \"x\" denied the request: no"), Class::Config);
        assert_eq!(says(403, "pods \"a\" is forbidden: exceeded quota: q"), Class::Quota);
        let terminating =
            json!({"message": "…", "details": {"causes": [{"reason": "NamespaceTerminating"}]}});
        assert_eq!(answer(403, &terminating).class, Class::ConflictInProgress);
    }

    #[test]
    fn a_field_conflict_names_the_manager() {
        let failure = answer(
            409,
            &json!({"message": "Apply failed with 1 conflict", "reason": "Conflict", "details": {"causes": [{
                "reason": "FieldManagerConflict",
                "message": "conflict with \"kubectl-edit\" using apps/v1",
                "field": ".spec.replicas"}]}}),
        );
        assert_eq!(failure.blockers, ["field manager `kubectl-edit` holds .spec.replicas"]);
        assert_eq!(failure.causes[1], ".spec.replicas: conflict with \"kubectl-edit\" using apps/v1");
    }

    #[test]
    fn waits_as_long_as_the_server_asks() {
        let header = Answer::read(429, b"Too many requests, please try again later.", Some("7"));
        assert_eq!(header.retry_after, Some(Duration::from_secs(7)));
        let body = json!({"details": {"retryAfterSeconds": 3}}).to_string();
        let failure = Refusal::Answer(Box::new(Answer::read(429, body.as_bytes(), None))).during("listing");
        assert_eq!(failure.retry_after_ms, Some(3000));
    }

    #[test]
    fn tls_is_found_behind_io_errors() {
        let tls = |e| kube::Error::Service(Box::new(std::io::Error::other(e)));
        let ca = tls(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer));
        assert_eq!(transport(&ca, "x".into()).class, Class::Config);
        let expired = tls(rustls::Error::AlertReceived(rustls::AlertDescription::CertificateExpired));
        assert_eq!(transport(&expired, "x".into()).class, Class::AuthExpired);
        let refused =
            kube::Error::Service(Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)));
        assert_eq!(transport(&refused, "x".into()).class, Class::Retryable);
    }

    #[test]
    fn what_a_credential_program_prints_is_not_repeated() {
        let out = std::process::Output {
            status: std::process::ExitStatus::default(),
            stdout: b"token-abc".to_vec(),
            stderr: b"session expired".to_vec(),
        };
        let auth = kube::client::AuthError::AuthExecRun { cmd: "aws --secret x".into(), out: Box::new(out) };
        let failure = transport(&kube::Error::Auth(auth), "x".into());
        assert_eq!(failure.class, Class::AuthExpired);
        assert!(failure.causes.iter().any(|c| c == "session expired"));
        assert!(
            !format!("{failure:?}").contains("token-abc") && !format!("{failure:?}").contains("--secret")
        );
    }
}
