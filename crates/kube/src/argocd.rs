//! Argo CD: its installation, its repository, the clusters it serves, its Applications, and their end.

mod install;
mod register;
mod removal;
mod status;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::object::ObjectRef;

pub use install::{InstallOptions, install, repository};
pub use register::{manager, registration};
pub use status::{AppStatus, At, Table};

/// Version of Argo CD's own kinds.
pub const API_VERSION: &str = "argoproj.io/v1alpha1";
/// An Application with this finalizer takes its resources along when it is deleted.
pub const CASCADE: &str = "resources-finalizer.argocd.argoproj.io";
/// By annotation tracking, every object says here which Application it came from: `<app>:<group>/<kind>:<ns>/<name>`.
pub const TRACKING: &str = "argocd.argoproj.io/tracking-id";

/// The name of one Application.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AppRef {
    /// Namespace, usually `argocd`.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl AppRef {
    /// Names an Application.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The same as the name of an object.
    pub fn object(&self) -> ObjectRef {
        ObjectRef::namespaced(API_VERSION, "Application", &self.namespace, &self.name)
    }

    fn of(live: &Value) -> Self {
        let text = |key: &str| live["metadata"][key].as_str().unwrap_or_default();
        Self::new(text("namespace"), text("name"))
    }
}

impl std::fmt::Display for AppRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}
