//! The in-memory provider passes the whole conformance suite, in process and in virtual time.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_provider::{ClusterRequest, Provider};
use platform_testkit::{
    conformance::Subject,
    conformance_tests,
    memory::{Fault, MemoryCloud, MemoryProvider, Pace},
};
use serde_json::json;

struct InProcess {
    cloud: MemoryCloud,
    now_ms: Arc<AtomicI64>,
}

async fn in_process() -> InProcess {
    let now_ms = Arc::new(AtomicI64::new(1_800_000_000_000));
    let clock = Arc::clone(&now_ms);
    let now = move || Timestamp::from_millisecond(clock.load(Ordering::SeqCst)).expect("a time");
    InProcess { cloud: MemoryCloud::new(Pace::CLOUD, now), now_ms }
}

fn cluster() -> ClusterRequest {
    let mut cluster = ClusterRequest::new("shop", "eu", "memory");
    cluster.kubernetes_version = Some("1.36".to_owned());
    cluster.spec = json!({"nodes": {"workers": 3}});
    cluster
}

#[async_trait]
impl Subject for InProcess {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(MemoryProvider::new(&self.cloud))
    }

    fn cluster(&self) -> ClusterRequest {
        cluster()
    }

    async fn pass(&self, ms: u64) {
        self.now_ms.fetch_add(ms.cast_signed(), Ordering::SeqCst);
    }

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

    fn put_load_balancer(&self) -> Option<String> {
        self.cloud.put_load_balancer("shop", "eu", "lb-web").map(|_| "lb-web".to_owned())
    }

    fn use_up_quota(&self) -> bool {
        self.cloud.set_quota(Some(0));
        true
    }
}

conformance_tests!(in_process());
