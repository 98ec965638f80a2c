//! Where a kubeconfig leads.

use kube::config::Kubeconfig;
use secrecy::{ExposeSecret as _, SecretString};

/// Where an API server is, and how to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its URL, without a slash at the end.
    pub server: String,
    /// The certificate of the authority to believe, PEM in base64, if the kubeconfig holds one.
    pub authority: Option<String>,
    /// The name that its certificate must bear, where that is not the URL's.
    pub server_name: Option<String>,
}

impl Endpoint {
    /// Where a kubeconfig leads; `None` when it leads nowhere. `context` chooses one; without it the current one is meant.
    pub fn of(kubeconfig: &SecretString, context: Option<&str>) -> Option<Self> {
        let file = Kubeconfig::from_yaml(kubeconfig.expose_secret()).ok()?;
        let context = context.map(str::to_owned).or(file.current_context)?;
        let named = file.contexts.into_iter().find(|it| it.name == context)?.context?;
        let cluster = file.clusters.into_iter().find(|it| it.name == named.cluster)?.cluster?;
        Some(Self {
            server: cluster.server?.trim_end_matches('/').to_owned(),
            authority: cluster.certificate_authority_data,
            server_name: cluster.tls_server_name,
        })
    }
}
