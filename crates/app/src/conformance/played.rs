//! A world with a clock that goes only when it is told to, as a subject.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_provider::{
    ClusterRequest, Provider,
    conformance::{Broken, Subject, fault::Fault},
};
use platform_sandbox::{
    cloud::{self, examined},
    keep::Keeper,
    kube::object::Now,
    parts::transitions::Pace,
    play::{argocd::Renderer, repositories::Memory, workloads},
    world::{Settings, World},
};

use crate::simulate::{KEY, inside};

/// The moment at which every world begins, in milliseconds since 1970.
const BEGINNING: i64 = 1_800_000_000_000;

/// A world with a clock that goes only when it is told to.
pub(super) struct Played {
    world: World,
    clock: Arc<AtomicI64>,
}

impl Played {
    pub async fn new(renderer: Arc<Renderer>) -> Result<Self, Broken> {
        let clock = Arc::new(AtomicI64::new(BEGINNING));
        let ms = clock.clone();
        let now: Now = Arc::new(move || {
            Timestamp::from_millisecond(ms.load(Ordering::SeqCst)).unwrap_or(Timestamp::UNIX_EPOCH)
        });
        let settings = Settings {
            seed: 7,
            secret: 7,
            cloud: cloud::Options::new(KEY.into()),
            pace: Pace::CLOUD,
            pods: workloads::Pace::steady(),
            repositories: Arc::new(Memory::new()),
            renderer,
            keeper: Keeper::memory(),
            rights: false,
            owners: true,
            history: false,
        };
        let world = World::open(settings, now, None).await;
        Ok(Self { world: world.map_err(|error| Broken(error.to_string()))?, clock })
    }

    fn forward(&self, ms: u64) {
        self.clock.fetch_add(ms.cast_signed(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Subject for Played {
    fn provider(&self) -> Arc<dyn Provider> {
        Arc::new(inside(&self.world))
    }

    fn cluster(&self) -> ClusterRequest {
        examined::cluster()
    }

    async fn pass(&self, ms: u64) {
        self.forward(ms);
    }

    fn made_and_changed(&self) -> Option<(u64, u64)> {
        Some(examined::made_and_changed(self.world.cloud()))
    }

    fn inject(&self, fault: Fault) -> bool {
        examined::inject(self.world.cloud(), &fault)
    }

    fn put_foreign(&self, _resource: &str) -> bool {
        examined::put_foreign(self.world.cloud(), KEY, |ms| self.forward(ms))
    }

    fn put_load_balancer(&self) -> Option<String> {
        examined::put_load_balancer(self.world.cloud())
    }

    fn use_up_quota(&self) -> bool {
        examined::use_up_quota(self.world.cloud());
        true
    }
}
