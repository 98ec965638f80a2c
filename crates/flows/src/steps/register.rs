//! `argocd.register`: an Argo CD serves a cluster that is not its own. (B18)

use std::sync::Arc;

use async_trait::async_trait;
use platform_engine::step::{Call, Observed, Progress, Step, Wait};
use platform_kube::{
    Cluster, Manifest,
    argocd::{manager, registration},
};
use platform_spec::Failure;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    cluster::wait_for,
    objects::{APPLY, lacking, put},
};
use crate::doors::{Doors, Reach, input};

/// Input of `argocd.register`.
#[derive(Serialize, Deserialize)]
pub(crate) struct Input {
    /// The cluster that is to be served.
    pub reach: Reach,
    /// The cluster that runs Argo CD.
    pub by: Reach,
    /// Argo CD's namespace.
    pub namespace: String,
}

impl Input {
    fn owner(&self) -> &str {
        self.reach.request.platform.as_str()
    }
}

/// Gives an Argo CD an account in another cluster, and tells it of that cluster.
///
/// The token goes from one cluster to the other and is kept nowhere in between.
pub(crate) struct Register(pub Arc<Doors>);

impl Register {
    /// What tells Argo CD of the cluster; `None` as long as there is no token.
    async fn registration(&self, input: &Input, cluster: &Cluster) -> Result<Option<Manifest>, Failure> {
        let Some(credentials) = cluster.manager_credentials().await? else { return Ok(None) };
        let endpoint = self.0.endpoint(&input.reach, &input.by).await?;
        let name = &input.reach.request.cluster;
        Ok(Some(registration(input.owner(), &input.namespace, name, &endpoint, &credentials)))
    }
}

/// Whether Argo CD's pods would reach the cluster: only clusters of the same provider can be brought together.
async fn is_joined(doors: &Doors, input: &Input) -> Result<bool, Failure> {
    if input.by.provider != input.reach.provider {
        return Ok(true);
    }
    doors.provider(&input.by.provider)?.is_joined(&input.by.request, &input.reach.request).await
}

fn token_to_come(input: &Input) -> Wait {
    wait_for(format!("cluster `{}` to make a token for Argo CD", input.reach.request.cluster))
}

#[async_trait]
impl Step for Register {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        let input: Input = input(call)?;
        let cluster = self.0.cluster(&input.reach).await?;
        if let Some(lacking) = lacking(&cluster, &manager(input.owner())).await? {
            return Ok(lacking);
        }
        let Some(registration) = self.registration(&input, &cluster).await? else {
            return Ok(Observed::InProgress(token_to_come(&input)));
        };
        if let Some(lacking) = lacking(&self.0.cluster(&input.by).await?, &registration).await? {
            return Ok(lacking);
        }
        if !is_joined(&self.0, &input).await? {
            return Ok(Observed::Differs { how: "Argo CD's cluster does not reach it".to_owned() });
        }
        Ok(Observed::Matches {
            output: json!({ "by": input.by.request.cluster }),
            ledger: put(&input.reach, "argocd.register", &input.by.request.cluster, true),
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        let name = |reach: &str| call.input[reach]["request"]["cluster"].clone();
        Some(json!({ "register": name("reach"), "by": name("by") }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        let input: Input = input(call)?;
        let cluster = self.0.cluster(&input.reach).await?;
        cluster.apply(&manager(input.owner()), APPLY).await?;
        let Some(registration) = self.registration(&input, &cluster).await? else {
            return Ok(Progress::InProgress(token_to_come(&input)));
        };
        // First: what Argo CD is told of it tries at once.
        if !is_joined(&self.0, &input).await? {
            self.0.provider(&input.by.provider)?.join(&input.by.request, &input.reach.request).await?;
        }
        self.0.cluster(&input.by).await?.apply(&registration, APPLY).await?;
        Ok(Progress::Done {
            output: json!({ "by": input.by.request.cluster }),
            ledger: put(&input.reach, "argocd.register", &input.by.request.cluster, true),
        })
    }
}
