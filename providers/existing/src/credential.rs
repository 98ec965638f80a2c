//! How a kubeconfig's user proves who it is.

use std::{path::PathBuf, process::Stdio, time::Duration};

use jiff::Timestamp;
use platform_provider::{ExposeSecret, SecretString};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kubeconfig::Kubeconfig;

/// How long an `exec` program may take: it may have to ask a cloud, and nobody is there to answer a question of its own.
const EXEC_TIMEOUT: Duration = Duration::from_secs(30);

/// A user of a kubeconfig.
pub(crate) struct User {
    /// PEM, the leaf first.
    pub certificate: Option<Vec<u8>>,
    /// PEM.
    pub key: Option<SecretString>,
    pub token: Option<SecretString>,
    pub token_file: Option<PathBuf>,
    pub basic: Option<(String, SecretString)>,
    pub exec: Option<Exec>,
}

/// A program that gives credentials, as kubectl runs it.
pub(crate) struct Exec {
    pub command: String,
    pub args: Vec<String>,
    pub env: Vec<(String, SecretString)>,
    pub api_version: String,
    pub wants_cluster: bool,
    pub wants_terminal: bool,
}

/// What is shown to the server.
#[derive(Default)]
pub(crate) struct Proof {
    /// PEM of the certificate and its key.
    pub certificate: Option<(Vec<u8>, SecretString)>,
    pub token: Option<SecretString>,
    pub basic: Option<(String, SecretString)>,
    /// When it stops working, as far as that can be seen in it.
    pub expires: Option<Timestamp>,
}

/// Why there are no credentials. None of these repeats what a program printed: it may be a token.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error("the client certificate has ended at {0}")]
    Ended(Timestamp),
    #[error("the client certificate cannot be read")]
    Certificate,
    #[error("the user has a client certificate and no key")]
    NoKey,
    #[error("could not read the token file")]
    TokenFile(#[source] std::io::Error),
    #[error("`{command}` wants a terminal (`interactiveMode: Always`), and there is none")]
    Terminal { command: String },
    #[error("could not start `{command}`")]
    Start {
        command: String,
        #[source]
        cause: std::io::Error,
    },
    #[error("`{command}` {how}")]
    Exec { command: String, how: String },
}

#[derive(Deserialize)]
struct ExecCredential {
    #[serde(default)]
    status: ExecStatus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ExecStatus {
    token: Option<SecretString>,
    client_certificate_data: Option<String>,
    client_key_data: Option<SecretString>,
    expiration_timestamp: Option<Timestamp>,
}

impl Kubeconfig {
    /// Collects the user's credentials; runs its `exec` program if it has one.
    pub(crate) async fn proof(&self, now: Timestamp) -> Result<Proof, CredentialError> {
        let user = &self.user;
        let mut proof = Proof { basic: user.basic.clone(), token: user.token.clone(), ..Proof::default() };
        if let Some(path) = &user.token_file {
            let text = fs_err::tokio::read_to_string(path).await.map_err(CredentialError::TokenFile)?;
            proof.token = Some(SecretString::from(text.trim()));
        }
        if let Some(certificate) = &user.certificate {
            let key = user.key.clone().ok_or(CredentialError::NoKey)?;
            proof.certificate = Some((certificate.clone(), key));
        } else if let (None, Some(exec)) = (&proof.token, &user.exec) {
            let status = exec.run(self).await?;
            proof.token = status.token;
            proof.expires = status.expiration_timestamp;
            if let Some(certificate) = status.client_certificate_data {
                let key = status.client_key_data.ok_or(CredentialError::NoKey)?;
                proof.certificate = Some((certificate.into_bytes(), key));
            }
        }
        if let Some((certificate, _)) = &proof.certificate {
            let ends = not_after(certificate).ok_or(CredentialError::Certificate)?;
            if ends <= now {
                return Err(CredentialError::Ended(ends));
            }
            proof.expires = Some(proof.expires.map_or(ends, |expires| expires.min(ends)));
        }
        Ok(proof)
    }
}

/// When the first certificate of a PEM ends.
fn not_after(pem: &[u8]) -> Option<Timestamp> {
    let der = CertificateDer::pem_slice_iter(pem).next()?.ok()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(&der).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

impl Exec {
    /// Runs the program without a shell and reads the `ExecCredential` that it prints.
    async fn run(&self, kubeconfig: &Kubeconfig) -> Result<ExecStatus, CredentialError> {
        let command = self.command.clone();
        if self.wants_terminal {
            return Err(CredentialError::Terminal { command });
        }
        let mut spec = json!({"interactive": false});
        if self.wants_cluster {
            spec["cluster"] = kubeconfig.cluster_info();
        }
        let info: Value = json!({"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec});
        let child = tokio::process::Command::new(&self.command)
            .args(&self.args)
            .envs(self.env.iter().map(|(name, value)| (name, value.expose_secret())))
            .env("KUBERNETES_EXEC_INFO", info.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // For the person's eyes ("run `aws sso login`"), and not for a failure that is stored.
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| CredentialError::Start { command: command.clone(), cause })?;
        let failed = |how: String| CredentialError::Exec { command: command.clone(), how };
        let output = tokio::time::timeout(EXEC_TIMEOUT, child.wait_with_output())
            .await
            .map_err(|_| failed(format!("gave no answer within {} s", EXEC_TIMEOUT.as_secs())))?
            .map_err(|cause| failed(format!("could not be waited for: {cause}")))?;
        if !output.status.success() {
            return Err(failed(format!("ended with {}", output.status)));
        }
        serde_json::from_slice(&output.stdout)
            .map(|credential: ExecCredential| credential.status)
            .map_err(|_| failed("printed no ExecCredential".to_owned()))
    }
}
