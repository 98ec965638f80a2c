//! How to reach a cluster's Kubernetes API.

use jiff::Timestamp;
use platform_spec::{Failure, secret::SecretRef};
use secrecy::SecretString;

/// How to reach a Kubernetes API.
///
/// Deliberately not `Serialize`: it may hold a secret, and what cannot be serialised cannot end up in the journal.
/// The pipe to a child process has its own form of it.
#[derive(Clone, Debug)]
pub struct Access {
    /// The kubeconfig.
    pub kubeconfig: Kubeconfig,
    /// Which of its contexts; `None` means its current one.
    pub context: Option<String>,
    /// When it stops working; ask again before.
    pub expires: Option<Timestamp>,
    /// The URL at which pods of other clusters of the same provider reach the API, once they are
    /// [joined](crate::Provider::join); `None` when it is that of the kubeconfig.
    pub inside: Option<String>,
}

/// A kubeconfig, or where to read it.
#[derive(Clone, Debug)]
pub enum Kubeconfig {
    /// The YAML itself, self-contained: certificates are inlined, paths absolute.
    Value(SecretString),
    /// Where it can be read at the moment of use.
    At(SecretRef),
}

/// How to write to a DNS zone, by RFC 2136.
///
/// Not `Serialize`, for the same reason.
#[derive(Clone, Debug)]
pub struct ZoneAccess {
    /// The primary server, `HOST:PORT`.
    pub server: String,
    /// The name of the key that signs updates.
    pub key: String,
    /// How it signs: `hmac-sha256`.
    pub algorithm: String,
    /// The key, in base64.
    pub secret: SecretString,
}

impl Access {
    /// The kubeconfig's YAML.
    ///
    /// # Errors
    /// When the handle cannot be read ([`crate::secret::read`]).
    pub async fn kubeconfig(&self) -> Result<SecretString, Failure> {
        match &self.kubeconfig {
            Kubeconfig::Value(yaml) => Ok(yaml.clone()),
            Kubeconfig::At(handle) => crate::secret::read(handle).await,
        }
    }
}
