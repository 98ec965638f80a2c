//! What steps reach the world through. Made anew at every start, never stored.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use platform_artifact::Artifacts;
use platform_dns::Dns;
use platform_engine::step::Call;
use platform_gitops::{Remote, Repositories};
use platform_kube::{Cluster, Endpoint};
use platform_provider::{Access, ClusterRequest, ExposeSecret as _, Provider, SecretString};
use platform_spec::{Class, Code, Failure, secret::SecretRef};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::Mutex;

use crate::{installs::Installs, trees::TreeStore};

/// The doors.
pub struct Doors {
    /// Providers by kind: `existing`, `kind`, …
    pub providers: BTreeMap<String, Arc<dyn Provider>>,
    /// Pinned files from outside.
    pub artifacts: Artifacts,
    /// Git repositories.
    pub git: Arc<dyn Repositories>,
    /// Rendered trees.
    pub trees: TreeStore,
    /// What installs Argo CD.
    pub installs: Installs,
    /// The ways to clusters and zones.
    pub roads: Arc<dyn Roads>,
    clusters: Mutex<HashMap<String, Open>>,
}

/// A connection to a cluster.
struct Open {
    cluster: Cluster,
    /// What it was opened with.
    kubeconfig: SecretString,
    /// When its credentials end, if they do.
    expires: Option<Timestamp>,
}

/// Credentials with less time left are asked for anew: a call may take a minute, and clocks differ.
const ENOUGH: SignedDuration = SignedDuration::from_mins(5);

/// The ways to clusters and zones: the network, or a simulation in this process.
#[async_trait]
pub trait Roads: Send + Sync {
    /// Connects to a cluster.
    ///
    /// # Errors
    /// What is wrong with the kubeconfig.
    async fn cluster(&self, access: &Access) -> Result<Cluster, Failure>;

    /// Sends what is said to a zone's server by this way.
    fn zone(&self, dns: Dns) -> Dns;

    /// What time it is where they lead.
    fn now(&self) -> Timestamp;
}

/// The network.
pub struct Network;

#[async_trait]
impl Roads for Network {
    async fn cluster(&self, access: &Access) -> Result<Cluster, Failure> {
        Cluster::connect(&access.kubeconfig().await?, access.context.as_deref()).await
    }

    fn zone(&self, dns: Dns) -> Dns {
        dns
    }

    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A cluster, as steps name it in their inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reach {
    /// Kind of its provider.
    pub provider: String,
    /// The cluster, as its provider is asked for it.
    pub request: ClusterRequest,
}

/// A repository, as steps name it in their inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// Where this program pushes to.
    pub push_url: String,
    /// Where Argo CD pulls from.
    pub in_cluster_url: String,
    /// The branch.
    pub branch: String,
    /// User name for https.
    pub username: String,
    /// Where the password or token is.
    #[serde(default)]
    pub auth_ref: Option<SecretRef>,
}

impl Doors {
    /// Puts the doors together.
    pub fn new(
        providers: BTreeMap<String, Arc<dyn Provider>>,
        artifacts: Artifacts,
        git: Arc<dyn Repositories>,
        trees: TreeStore,
        roads: Arc<dyn Roads>,
    ) -> Self {
        Self {
            providers,
            artifacts,
            git,
            trees,
            installs: Installs::default(),
            roads,
            clusters: Mutex::default(),
        }
    }

    /// Takes what installs Argo CD from where others have read it.
    #[must_use]
    pub fn with_installs(self, installs: Installs) -> Self {
        Self { installs, ..self }
    }

    /// The provider of a kind.
    ///
    /// # Errors
    /// `P0710` for one that this program does not have.
    pub fn provider(&self, kind: &str) -> Result<&Arc<dyn Provider>, Failure> {
        self.providers.get(kind).ok_or_else(|| {
            let known: Vec<&str> = self.providers.keys().map(String::as_str).collect();
            Failure::new(Code::new("P0710"), Class::Config, format!("there is no provider of kind `{kind}`"))
                .hint(format!("this program has: {}; see `platform providers`", known.join(", ")))
        })
    }

    /// Connects to a cluster. A connection is kept for the life of the process; one whose credentials end, for as long as
    /// its provider leads to the same server and they have some minutes left.
    ///
    /// # Errors
    /// What the provider refuses; what is wrong with the kubeconfig.
    pub async fn cluster(&self, reach: &Reach) -> Result<Cluster, Failure> {
        let name = &reach.request.cluster;
        if let Some(Open { cluster, expires: None, .. }) = self.clusters.lock().await.get(name) {
            return Ok(cluster.clone());
        }
        let access = self.provider(&reach.provider)?.access(&reach.request).await?;
        let kubeconfig = access.kubeconfig().await?;
        let leads_to = |cluster: &Cluster| {
            let endpoint = Endpoint::of(&kubeconfig, access.context.as_deref());
            endpoint.is_some_and(|it| it.server == cluster.server().trim_end_matches('/'))
        };
        let mut open = self.clusters.lock().await;
        if let Some(Open { cluster, expires: Some(expires), kubeconfig: before }) = open.get(name)
            && expires.duration_since(self.roads.now()) > ENOUGH
            && (before.expose_secret() == kubeconfig.expose_secret() || leads_to(cluster))
        {
            return Ok(cluster.clone());
        }
        let cluster = self.roads.cluster(&access).await?;
        open.insert(name.clone(), Open { cluster: cluster.clone(), kubeconfig, expires: access.expires });
        Ok(cluster)
    }

    /// Where a cluster's API server is, as pods of another cluster reach it.
    ///
    /// # Errors
    /// What the provider refuses; `P0401` when the kubeconfig leads nowhere.
    pub async fn endpoint(&self, reach: &Reach, from: &Reach) -> Result<Endpoint, Failure> {
        let access = self.provider(&reach.provider)?.access(&reach.request).await?;
        let endpoint =
            Endpoint::of(&access.kubeconfig().await?, access.context.as_deref()).ok_or_else(|| {
                let words = format!("the kubeconfig of cluster `{}` leads nowhere", reach.request.cluster);
                Failure::new(Code::new("P0401"), Class::Config, words)
            })?;
        Ok(match access.inside {
            Some(server) if reach.provider == from.provider => {
                Endpoint { server, server_name: None, ..endpoint }
            }
            _ => endpoint,
        })
    }

    /// Reads what is needed to push to a repository.
    ///
    /// # Errors
    /// A handle that leads nowhere.
    pub async fn remote(&self, repository: &Repository) -> Result<Remote, Failure> {
        Ok(match secret(repository.auth_ref.as_ref()).await? {
            Some(password) => Remote::with_password(&repository.push_url, &repository.username, password),
            None => Remote::new(&repository.push_url),
        })
    }
}

/// Reads a secret by its handle, if there is one.
///
/// # Errors
/// A handle that leads nowhere.
pub async fn secret(handle: Option<&SecretRef>) -> Result<Option<SecretString>, Failure> {
    match handle {
        Some(handle) => match platform_provider::secret::read(handle).await {
            Ok(secret) => Ok(Some(secret)),
            Err(failure) => Err(failure.hint("inside a run, `platform resume` goes on with it")),
        },
        None => Ok(None),
    }
}

/// Reads a step's input.
///
/// # Errors
/// `P0702`: the plan was made by a program that meant something else by this step.
pub fn input<T: DeserializeOwned>(call: &Call) -> Result<T, Failure> {
    serde_json::from_value(call.input.clone()).map_err(|error| {
        Failure::new(Code::new("P0702"), Class::Bug, format!("step `{}` cannot read its input", call.step))
            .because(error)
    })
}
