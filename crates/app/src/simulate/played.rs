//! A played world with everything that outlives a process in it: what a run of the program sees, and what is left when it
//! is killed.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use platform_artifact::{Artifacts, Sources};
use platform_engine::{
    clock::{Clock as _, Shifted, SystemClock},
    local::{Ended, Local, Options},
    memory::MemoryStore,
    plan::Plan,
    store::{Holder, Store, StoreError},
};
use platform_flows::{
    Doors, Installs, Wish, down, inventory, registry,
    trees::TreeStore,
    up,
    wish::{self, Rendered},
};
use platform_provider::Provider;
use platform_sandbox::{
    cloud,
    keep::Keeper,
    parts::transitions::Pace,
    play::{argocd::Renderer, repositories::Memory, workloads},
    world::{Settings, World},
};
use platform_spec::{Failure, Model, PlatformName, RunId, report::Orphan};

use super::{git::PlayedGit, roads::Here};
use crate::carry::Flow;

/// When every simulated world begins.
const BEGINNING: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// How long a lease lasts.
const LEASE: Duration = Duration::from_secs(60);

/// What the simulations of a model share, however many there are: what was rendered once is not rendered again.
#[derive(Clone)]
pub struct Shared {
    model: Model,
    rendered: Arc<OnceLock<Rendered>>,
    renderer: Arc<Renderer>,
    installs: Installs,
    folder: Arc<tempfile::TempDir>,
    history: bool,
}

impl Shared {
    /// Nothing rendered yet.
    ///
    /// # Errors
    /// `P0805` when there is no folder for temporary files.
    pub fn new(model: Model) -> Result<Self, Failure> {
        Ok(Self {
            model,
            rendered: Arc::default(),
            renderer: Arc::new(Renderer::lean()),
            installs: Installs::lean(),
            folder: Arc::new(tempfile::tempdir().map_err(|error| super::unplayable(&error))?),
            history: false,
        })
    }

    /// Clusters remember what has changed in them, for whoever wants to read it in the end.
    #[must_use]
    pub fn with_history(self) -> Self {
        Self { history: true, ..self }
    }

    /// The model's repositories.
    async fn rendered(&self, doors: &Doors) -> Result<Rendered, Failure> {
        match self.rendered.get() {
            Some(rendered) => Ok(rendered.clone()),
            // Two that come at once render the same.
            None => {
                let rendered = wish::render(doors, &self.model).await?;
                Ok(self.rendered.get_or_init(|| rendered).clone())
            }
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// A world, a database and a clock: everything that outlives a process.
pub struct Played {
    /// The world.
    pub world: World,
    /// The database.
    pub store: MemoryStore,
    clock: SystemClock,
    /// By how much the machine's clock is wrong.
    wrong: Mutex<SignedDuration>,
    git: Arc<Memory>,
    shared: Shared,
}

impl Played {
    /// An empty world for a model. Must be called within a runtime whose time is paused.
    ///
    /// # Errors
    /// When the world cannot be made.
    pub async fn new(seed: u64, shared: &Shared) -> Result<Self, Failure> {
        let clock = SystemClock::starting(BEGINNING);
        let git = Arc::new(Memory::new());
        let regions = shared.model.clusters.iter().filter_map(|cluster| cluster.region.as_deref());
        let options = regions
            .fold(cloud::Options::new(super::roads::KEY.into()).unlimited(), |options, region| {
                options.region(region)
            });
        let settings = Settings {
            seed,
            secret: seed,
            cloud: options,
            pace: Pace::CLOUD,
            pods: workloads::Pace::steady(),
            repositories: git.clone(),
            renderer: shared.renderer.clone(),
            keeper: Keeper::memory(),
            rights: false,
            owners: false,
            history: shared.history,
        };
        let now = Arc::new(move || clock.now());
        let world = World::open(settings, now, None).await.map_err(|error| super::unplayable(&error))?;
        Ok(Self {
            world,
            store: MemoryStore::default(),
            clock,
            wrong: Mutex::default(),
            git,
            shared: shared.clone(),
        })
    }

    fn model(&self) -> &Model {
        &self.shared.model
    }

    /// The platform.
    pub fn platform(&self) -> PlatformName {
        PlatformName::new(&self.model().platform)
    }

    /// The time in it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// From its next start on the process has a clock that is wrong by so much.
    pub fn set_clock(&self, wrong_by: SignedDuration) {
        *self.wrong.lock().unwrap_or_else(PoisonError::into_inner) = wrong_by;
    }

    /// The clock of a process that starts now.
    fn its_clock(&self) -> Shifted<SystemClock> {
        let wrong_by = *self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        Shifted::by(wrong_by, self.clock)
    }

    /// The doors of one process.
    ///
    /// # Errors
    /// When artifacts cannot be had.
    pub fn doors(&self) -> Result<Arc<Doors>, Failure> {
        let provider: Arc<dyn Provider> = Arc::new(super::roads::provider(&self.world));
        let kinds = self.model().clusters.iter().map(|cluster| cluster.provider.kind.clone());
        let providers: BTreeMap<_, _> = kinds.map(|kind| (kind, provider.clone())).collect();
        let doors = Doors::new(
            providers,
            Artifacts::new(Sources::new(self.shared.path().join("artifacts")))?,
            Arc::new(PlayedGit(self.git.clone())),
            TreeStore::new(self.shared.path().join("trees")),
            Arc::new(Here(self.world.clone())),
        );
        Ok(Arc::new(doors.with_installs(self.shared.installs.clone())))
    }

    /// The plan of a flow, from what the ledger says now.
    ///
    /// # Errors
    /// What a provider or the blueprint refuses.
    pub async fn plan(&self, doors: &Arc<Doors>, flow: Flow) -> Result<Plan, Failure> {
        let ledger = self.store.ledger(&self.platform());
        let (model, revision) = (self.model().clone(), Timestamp::UNIX_EPOCH);
        Ok(match flow {
            Flow::Up => {
                let rendered = self.shared.rendered(doors).await?;
                up(&Wish::to_have(doors, model, rendered, ledger, revision).await?)?
            }
            Flow::Down => {
                let wish = Wish::to_lose(doors, model, ledger, revision).await?;
                down(&wish, platform_flows::down::PATIENCE)
            }
        })
    }

    /// One life of a process: it resumes the run that is there, or starts the flow.
    ///
    /// # Errors
    /// What keeps the run from being carried out; that the process was killed.
    pub async fn live(&self, flow: Flow, options: Options) -> Result<Ended, Failure> {
        let doors = self.doors()?;
        let clock = self.its_clock();
        let local = Local {
            store: Arc::new(self.store.clone()),
            registry: registry(&doors),
            clock: Arc::new(clock.clone()),
        };
        let holder = Holder {
            id: "simulation".into(),
            user: "simulation".into(),
            host: "simulation".into(),
            pid: 1,
            process_start: "0".into(),
        };
        let lease = self
            .store
            .acquire(&self.platform(), &holder, LEASE, clock.now(), &|_| true)
            .await
            .map_err(StoreError::into_failure)?;
        let options = Options { confirmed: true, actor: "simulation".into(), ..options };
        match self.store.resumable() {
            Some(run) => local.resume(&lease, &run, options).await,
            None => {
                let plan = self.plan(&doors, flow).await?;
                let run = RunId::new(format!("run-{}", self.store.runs() + 1));
                local.start(&lease, run, plan, options).await
            }
        }
    }

    /// The search that `down` ends with.
    ///
    /// # Errors
    /// When a place cannot be looked at.
    pub async fn left(&self) -> Result<Vec<Orphan>, Failure> {
        let found = inventory::search(&*self.doors()?, self.model(), self.now()).await;
        match found.blind.into_iter().next() {
            Some(failure) => Err(failure),
            None => Ok(found.orphans),
        }
    }
}
