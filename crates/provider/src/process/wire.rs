//! The lines, as types.

use jiff::Timestamp;
use platform_spec::{Failure, secret::SecretRef};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Access, ClusterRequest, Kubeconfig};

/// From the host: the first line, then calls.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum ToPlugin {
    Hello { hello: Hello },
    Call { id: u64, method: String, params: Value },
    Cancel { cancel: u64 },
}

#[derive(Serialize, Deserialize)]
pub(super) struct Hello {
    pub contract: u32,
    /// Comes back in the welcome, so that a program which only repeats or ignores its input is not taken for a plugin.
    pub cookie: String,
}

/// From the plugin: the first line.
#[derive(Serialize, Deserialize)]
pub(super) struct FirstLine {
    pub welcome: Welcome,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Welcome {
    pub contract: u32,
    pub cookie: String,
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub version: String,
}

/// From the plugin: every later line. One of the three is there.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct FromPlugin {
    pub id: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// The request of `prolong`.
#[derive(Serialize, Deserialize)]
pub(super) struct Prolong {
    pub cluster: ClusterRequest,
    pub until: Timestamp,
}

/// An [`Access`] on the pipe, the only place where its secret is serialised.
#[derive(Serialize, Deserialize)]
pub(super) struct AccessLine {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeconfig: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kubeconfig_at: Option<SecretRef>,
    #[serde(default)]
    context: Option<String>,
    #[serde(default)]
    expires: Option<Timestamp>,
    #[serde(default)]
    inside: Option<String>,
}

/// The request of `is_joined` and `join`.
#[derive(Serialize, Deserialize)]
pub(super) struct Join {
    pub cluster: ClusterRequest,
    pub to: ClusterRequest,
}

impl From<Access> for AccessLine {
    fn from(access: Access) -> Self {
        let (kubeconfig, kubeconfig_at) = match access.kubeconfig {
            Kubeconfig::Value(yaml) => (Some(yaml.expose_secret().to_owned()), None),
            Kubeconfig::At(handle) => (None, Some(handle)),
        };
        let Access { context, expires, inside, .. } = access;
        Self { kubeconfig, kubeconfig_at, context, expires, inside }
    }
}

impl AccessLine {
    /// Back again; `None` when it names neither a kubeconfig nor where to read one.
    pub fn into_access(self) -> Option<Access> {
        let kubeconfig = match (self.kubeconfig, self.kubeconfig_at) {
            (Some(yaml), _) => Kubeconfig::Value(SecretString::from(yaml)),
            (None, Some(handle)) => Kubeconfig::At(handle),
            (None, None) => return None,
        };
        Some(Access { kubeconfig, context: self.context, expires: self.expires, inside: self.inside })
    }
}
