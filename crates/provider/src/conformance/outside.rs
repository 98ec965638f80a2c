//! Any provider, with whatever it leads to: real time, and nothing that could be made to go wrong.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;

use super::{Need, Subject};
use crate::{ClusterRequest, Provider};

/// A provider as a person has it. Each look at it is a new provider, so for a plugin a new process.
pub struct Outside {
    make: Arc<dyn Fn() -> Arc<dyn Provider> + Send + Sync>,
    cluster: ClusterRequest,
    checks_epochs: bool,
    finds: bool,
    sweeps: bool,
}

impl Outside {
    /// The provider that `make` makes, tried on a cluster, which is made and removed many times.
    pub fn new(make: Arc<dyn Fn() -> Arc<dyn Provider> + Send + Sync>, cluster: ClusterRequest) -> Self {
        Self { make, cluster, checks_epochs: false, finds: false, sweeps: false }
    }

    /// Says that the outside refuses an older epoch.
    #[must_use]
    pub fn with_epochs(mut self) -> Self {
        self.checks_epochs = true;
        self
    }

    /// Says that the provider sweeps.
    #[must_use]
    pub fn that_sweeps(mut self) -> Self {
        self.sweeps = true;
        self
    }

    /// Says that the provider makes no clusters: the one that it is tried on was there before.
    #[must_use]
    pub fn found(mut self) -> Self {
        self.finds = true;
        self
    }
}

#[async_trait]
impl Subject for Outside {
    fn provider(&self) -> Arc<dyn Provider> {
        (self.make)()
    }

    fn cluster(&self) -> ClusterRequest {
        self.cluster.clone()
    }

    async fn pass(&self, ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    fn lacks(&self, need: Need) -> bool {
        match need {
            Need::Makes => self.finds,
            Need::Foreign => !self.finds,
            Need::Sweeps => !self.sweeps,
            Need::Epochs => !self.checks_epochs,
            Need::Count | Need::Faults | Need::Quota => true,
        }
    }

    fn put_foreign(&self, _resource: &str) -> bool {
        self.finds
    }
}
