//! Providers that are wrong in one way each, and the behaviour that catches them.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use platform_provider::{
    Access, ClusterRequest, Description, Ensured, InventoryRequest, Observation, Owned, Provider, Removed,
    Resource, ResourceCall,
};
use platform_spec::{Class, Failure, report::Finding};
use platform_testkit::{
    conformance::{ALL, Subject},
    memory::{Fault, MemoryCloud, MemoryProvider},
};

/// What is wrong with the provider.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Wrong {
    TokenIsDropped,
    RemoveOnlySaysSo,
    EveryRefusalIsRetryable,
    EnsureAlwaysSaysChanged,
    ForgetsItsPools,
    LookingMakes,
}

struct Sloppy {
    inner: MemoryProvider,
    wrong: Wrong,
    serial: AtomicU64,
}

impl Sloppy {
    fn failed<T>(&self, result: Result<T, Failure>) -> Result<T, Failure> {
        result.map_err(|mut failure| {
            if self.wrong == Wrong::EveryRefusalIsRetryable {
                failure.class = Class::Retryable;
            }
            failure
        })
    }
}

#[async_trait]
impl Provider for Sloppy {
    async fn describe(&self) -> Result<Description, Failure> {
        self.inner.describe().await
    }

    async fn preflight(&self, cluster: &ClusterRequest) -> Result<Vec<Finding>, Failure> {
        self.inner.preflight(cluster).await
    }

    async fn resources(&self, cluster: &ClusterRequest) -> Result<Vec<Resource>, Failure> {
        self.inner.resources(cluster).await
    }

    async fn observe(&self, call: &ResourceCall) -> Result<Observation, Failure> {
        if self.wrong == Wrong::LookingMakes {
            self.inner.ensure(call).await?;
        }
        self.failed(self.inner.observe(call).await)
    }

    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure> {
        let mut call = call.clone();
        if self.wrong == Wrong::TokenIsDropped {
            call.token = format!("fresh-{}", self.serial.fetch_add(1, Ordering::Relaxed));
        }
        let ensured = self.failed(self.inner.ensure(&call).await)?;
        Ok(match ensured {
            Ensured::Done { thing, .. } if self.wrong == Wrong::EnsureAlwaysSaysChanged => {
                Ensured::Done { thing, changed: true }
            }
            other => other,
        })
    }

    async fn remove(&self, call: &ResourceCall) -> Result<Removed, Failure> {
        if self.wrong == Wrong::RemoveOnlySaysSo {
            return Ok(Removed::Done);
        }
        self.failed(self.inner.remove(call).await)
    }

    async fn list_owned(&self, owner: &InventoryRequest) -> Result<Vec<Owned>, Failure> {
        let mut owned = self.inner.list_owned(owner).await?;
        if self.wrong == Wrong::ForgetsItsPools {
            owned.retain(|thing| thing.kind != "pool");
        }
        Ok(owned)
    }

    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure> {
        self.inner.access(cluster).await
    }
}

struct Suspect {
    cloud: MemoryCloud,
    wrong: Wrong,
}

#[async_trait]
impl Subject for Suspect {
    fn provider(&self) -> Arc<dyn Provider> {
        // The serial starts anew with each process, so it must not repeat between them.
        let serial = AtomicU64::new(self.cloud.calls().len() as u64 * 1000);
        Arc::new(Sloppy { inner: MemoryProvider::new(&self.cloud), wrong: self.wrong, serial })
    }

    fn cluster(&self) -> ClusterRequest {
        ClusterRequest::new("shop", "eu", "sloppy")
    }

    async fn pass(&self, _ms: u64) {}

    fn made_and_changed(&self) -> Option<(u64, u64)> {
        Some((self.cloud.made().values().sum(), self.cloud.changes() as u64))
    }

    fn inject(&self, fault: Fault) -> bool {
        self.cloud.inject(fault);
        true
    }

    fn put_foreign(&self, resource: &str) -> bool {
        self.cloud.put_foreign("shop", "eu", resource);
        true
    }
}

#[tokio::test]
async fn each_wrong_provider_is_caught() {
    let cases = [
        (Wrong::TokenIsDropped, "stale_look_makes_no_second_object"),
        (Wrong::RemoveOnlySaysSo, "down_leaves_nothing"),
        (Wrong::RemoveOnlySaysSo, "blockers_are_named"),
        (Wrong::RemoveOnlySaysSo, "adopted_is_never_deleted"),
        (Wrong::EveryRefusalIsRetryable, "refusals_are_classified"),
        (Wrong::EnsureAlwaysSaysChanged, "ensure_twice_changes_once"),
        (Wrong::ForgetsItsPools, "list_owned_sees_everything"),
        (Wrong::LookingMakes, "observe_is_pure"),
    ];
    for (wrong, name) in cases {
        let behaviour = ALL.iter().find(|(behaviour, _)| *behaviour == name).expect(name).1;
        let suspect = Suspect { cloud: MemoryCloud::instant(), wrong };
        assert!(behaviour(&suspect).await.is_err(), "{name} does not notice {wrong:?}");
    }
}
