//! A stage on which the real plans of `up` and `down` are played: the real steps for a provider's resources, on the
//! in-memory cloud, and a strict stand-in for everything that happens inside a cluster, in Git and in DNS.
//!
//! The stand-in is strict where a wrong plan would show: what is made before its foundation, removed before what
//! stands on it, or asked twice to be made under another token, is refused or counted.

#![allow(dead_code, reason = "each test program uses a part of the stage")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use platform_artifact::{Artifacts, Sources};
use platform_blueprint::Blueprint;
use platform_engine::{
    clock::{Clock, SystemClock},
    local::{Ended, Local, Options},
    memory::MemoryStore,
    plan::Plan,
    step::{Call, Observed, Progress, Registry, Step, Wait},
    store::{Holder, Store},
};
use platform_flows::{
    Doors, Wish, doors::Network, down, registry, steps::names, trees::TreeStore, up, wish::Rendered,
};
use platform_gitops::Git;
use platform_provider::Provider;
use platform_spec::{
    Class, Code, Failure, LedgerChange, PlatformName, RunId, event::LedgerEntry, model::Model,
};
use platform_testkit::memory::{MemoryCloud, MemoryProvider, Pace};
use serde_json::{Value, json};

/// Everything that outlives a process: the cloud, the rest of the world, the database, the folder of trees.
pub struct Stage {
    pub cloud: MemoryCloud,
    pub world: World,
    pub store: MemoryStore,
    clock: SystemClock,
    doors: Arc<Doors>,
    model: Model,
    _dir: tempfile::TempDir,
}

/// One of the two flows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Flow {
    Up,
    Down,
}

impl Stage {
    /// An empty world and the starter platform on the in-memory provider.
    pub async fn new() -> Self {
        Self::of(&starter())
    }

    /// The same with production on a cluster of its own, which the Argo CD of the first one serves.
    pub async fn with_two_clusters() -> Self {
        let own = "environments: [dev, prod]";
        let spec = starter();
        assert!(spec.contains(own), "the starter has changed");
        let edge = "    - name: edge\n      provider: here\n      environments: [prod]\n";
        let spec = spec.replace(own, "environments: [dev]");
        Self::of(&spec.replace("\n  argocd:", &format!("{edge}\n  argocd:")))
    }

    fn of(spec: &str) -> Self {
        let clock = SystemClock::start();
        let cloud = MemoryCloud::new(Pace::CLOUD, move || clock.now());
        let dir = tempfile::tempdir().expect("a folder");
        let provider: Arc<dyn Provider> = Arc::new(MemoryProvider::new(&cloud));
        let doors = Doors::new(
            BTreeMap::from([("memory".to_owned(), provider)]),
            Artifacts::new(Sources::new(dir.path().join("artifacts"))).expect("no mirror to be wrong"),
            Arc::new(git(dir.path().join("git"))),
            TreeStore::new(dir.path().join("trees")),
            Arc::new(Network),
        );
        Self {
            cloud,
            world: World::default(),
            store: MemoryStore::default(),
            clock,
            doors: Arc::new(doors),
            model: model(spec),
            _dir: dir,
        }
    }

    pub fn platform(&self) -> PlatformName {
        PlatformName::new(&self.model.platform)
    }

    /// The plan of a flow, made from what the ledger says now.
    pub async fn plan(&self, flow: Flow) -> Plan {
        let ledger = self.store.ledger(&self.platform());
        let (model, revision) = (self.model.clone(), Timestamp::UNIX_EPOCH);
        match flow {
            Flow::Up => {
                let rendered = rendered(&model);
                let wish = Wish::to_have(&self.doors, model, rendered, ledger, revision).await;
                up(&wish.expect("a wish")).expect("a plan")
            }
            Flow::Down => {
                let wish = Wish::to_lose(&self.doors, model, ledger, revision).await;
                down(&wish.expect("a wish"), Duration::from_secs(3_600))
            }
        }
    }

    /// One life of the process: it resumes the run that is there, or starts the flow.
    pub async fn live(&self, flow: Flow) -> Result<Ended, Failure> {
        let local = Local {
            store: Arc::new(self.store.clone()),
            registry: self.registry(),
            clock: Arc::new(self.clock),
        };
        let holder = Holder {
            id: "one".into(),
            user: "u".into(),
            host: "h".into(),
            pid: 1,
            process_start: "0".into(),
        };
        let lease = self
            .store
            .acquire(&self.platform(), &holder, Duration::from_secs(60), self.clock.now(), &|_| false)
            .await
            .expect("nobody else");
        let options = || Options { confirmed: true, ..Options::default() };
        match self.store.resumable() {
            Some(run) => local.resume(&lease, &run, options()).await,
            None => {
                let run = RunId::new(format!("{flow:?}-{}", self.store.runs()).to_lowercase());
                local.start(&lease, run, self.plan(flow).await, options()).await
            }
        }
    }

    fn registry(&self) -> Registry {
        let stands = |does| Stands { world: self.world.clone(), does };
        let mut registry = registry(&self.doors);
        for (name, does) in [
            (names::CLUSTER_READY, Does::Look { after: &[] }),
            (names::REPOSITORY_PUBLISH, Does::Make { on: &[], output: || json!({ "commit": "c0ffee" }) }),
            (names::ARGOCD_INSTALL, Does::Make { on: &[], output: || Value::Null }),
            (names::ARGOCD_REPOSITORY, Does::Make { on: &["argocd.install"], output: || Value::Null }),
            (names::VELERO_CREDENTIALS, Does::Make { on: &[], output: || Value::Null }),
            (
                names::ARGOCD_ROOT,
                Does::Make {
                    on: &["argocd.install", "argocd.repository/platform", "repository/platform"],
                    output: || json!({ "roots": [] }),
                },
            ),
            (names::ARGOCD_SYNCED, Does::Look { after: &["argocd.root"] }),
            (names::VELERO_READY, Does::Look { after: &["argocd.root", "velero.credentials"] }),
            (names::BACKUP_FIRST, Does::Make { on: &["argocd.root"], output: || Value::Null }),
            (names::DNS_PUBLISH, Does::Make { on: &["argocd.root"], output: || Value::Null }),
            (names::RESTORES_REMOVE, Does::Remove { what: &[], before: &[] }),
            (
                names::APPLICATIONS_REMOVE,
                Does::Remove { what: &["argocd.root", "backup.first"], before: &[] },
            ),
            (
                names::OBJECTS_REMOVE,
                Does::Remove {
                    what: &["argocd.repository/platform", "argocd.install", "velero.credentials"],
                    before: &["argocd.root"],
                },
            ),
            (names::DNS_REMOVE, Does::Remove { what: &["dns/example.com"], before: &["argocd.root"] }),
        ] {
            registry = registry.with(name, 1, stands(does));
        }
        registry
    }
}

/// Finds `git` in real time: under a paused clock its deadline would pass at once.
fn git(work: PathBuf) -> Git {
    let find = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(Git::find(work)).expect("git is there")
    };
    std::thread::spawn(find).join().expect("no panic")
}

fn starter() -> String {
    platform_spec::starter::starter("existing", std::path::Path::new("/var/lib/platform"))
        .expect("there is a starter")
}

/// A platform, on the in-memory provider.
fn model(spec: &str) -> Model {
    let parsed = platform_spec::parse("platform.yaml", spec).expect("it has no errors");
    let mut model = platform_spec::derive(&parsed.platform);
    for cluster in &mut model.clusters {
        cluster.provider.kind = "memory".into();
    }
    model
}

fn rendered(model: &Model) -> Rendered {
    let blueprint = Blueprint::embedded("starter").expect("it is built in");
    let definition = b"apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n".to_vec();
    let artifacts = blueprint.needed_artifacts(model).into_iter().map(|need| (need.name, definition.clone()));
    let params = serde_json::to_value(&model.blueprint.params).expect("JSON");
    let trees = blueprint.render(model, &params, &artifacts.collect()).expect("it renders");
    Rendered::of(trees).expect("its Applications can be read")
}

/// The world beside the cloud: what exists, and how it came about.
#[derive(Clone, Default)]
pub struct World(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    /// What exists, by name (the step's, without its cluster), with how often it was looked at since it was made.
    things: BTreeMap<String, u32>,
    /// How often each thing was made.
    made: BTreeMap<String, u32>,
    /// Under which tokens.
    tokens: BTreeMap<String, BTreeSet<String>>,
    /// How often each waiting step has looked.
    looks: BTreeMap<String, u32>,
    /// What is told to go, with how often it was looked at since.
    going: BTreeMap<String, u32>,
}

impl World {
    /// What exists.
    pub fn things(&self) -> Vec<String> {
        self.inside(|world| world.things.keys().cloned().collect())
    }

    /// How often each thing was made.
    pub fn made(&self) -> BTreeMap<String, u32> {
        self.inside(|world| world.made.clone())
    }

    fn inside<T>(&self, act: impl FnOnce(&mut Inside) -> T) -> T {
        act(&mut self.0.lock().expect("no panic holds it"))
    }
}

/// How many looks something takes to become ready, or to be gone.
const LOOKS: u32 = 2;

#[derive(Clone, Copy)]
enum Does {
    /// Makes a thing named after the step, on things that must be there.
    Make { on: &'static [&'static str], output: fn() -> Value },
    /// Waits for what controllers do with things that must be there.
    Look { after: &'static [&'static str] },
    /// Removes things, once others are gone.
    Remove { what: &'static [&'static str], before: &'static [&'static str] },
}

struct Stands {
    world: World,
    does: Does,
}

/// The step's thing: `demo/argocd.install` makes `argocd.install`; what belongs to no cluster keeps its whole name.
fn thing(call: &Call) -> String {
    let step = call.step.as_str();
    step.strip_prefix("demo/").unwrap_or(step).to_owned()
}

fn entry(call: &Call) -> LedgerEntry {
    LedgerEntry {
        key: call.step.to_string(),
        kind: "thing".into(),
        external_id: thing(call),
        owned: true,
        detail: Value::Null,
    }
}

fn wait(call: &Call) -> Wait {
    Wait {
        waiting_for: format!("{} to settle", call.step),
        operation: Value::Null,
        look_after: Duration::from_secs(20),
    }
}

fn missing(world: &Inside, call: &Call, on: &[&str]) -> Result<(), Failure> {
    match on.iter().find(|below| !world.things.contains_key(**below)) {
        None => Ok(()),
        Some(below) => Err(Failure::new(
            Code::new("P0203"),
            Class::Config,
            format!("`{}` came before `{below}` was there", call.step),
        )),
    }
}

impl Stands {
    fn dropped(&self, call: &Call, what: &[&str]) -> Vec<LedgerChange> {
        let keys = call.input["keys"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let ours = what
            .iter()
            .map(|name| if name.contains("dns/") { (*name).into() } else { format!("demo/{name}") });
        keys.map(str::to_owned).chain(ours).map(|key| LedgerChange::Drop { key }).collect()
    }
}

#[async_trait]
impl Step for Stands {
    async fn observe(&self, call: &Call) -> Result<Observed, Failure> {
        tokio::task::yield_now().await;
        self.world.inside(|world| match self.does {
            Does::Make { output, .. } => {
                let Some(looks) = world.things.get_mut(&thing(call)) else { return Ok(Observed::Absent) };
                *looks += 1;
                if *looks < LOOKS {
                    return Ok(Observed::InProgress(wait(call)));
                }
                Ok(Observed::Matches { output: output(), ledger: vec![LedgerChange::Put(entry(call))] })
            }
            Does::Look { after } => {
                missing(world, call, after)?;
                let looks = world.looks.entry(thing(call)).or_default();
                *looks += 1;
                if *looks < LOOKS {
                    return Ok(Observed::InProgress(wait(call)));
                }
                Ok(Observed::Matches { output: Value::Null, ledger: Vec::new() })
            }
            Does::Remove { what, .. } => {
                for name in what {
                    let Some(looks) = world.going.get_mut(*name) else { continue };
                    *looks += 1;
                    if *looks >= LOOKS {
                        world.going.remove(*name);
                        world.things.remove(*name);
                    }
                }
                if what.iter().any(|name| world.going.contains_key(*name)) {
                    return Ok(Observed::InProgress(wait(call)));
                }
                if what.iter().any(|name| world.things.contains_key(*name)) {
                    return Ok(Observed::Differs { how: "something is still there".into() });
                }
                Ok(Observed::Matches { output: Value::Null, ledger: self.dropped(call, what) })
            }
        })
    }

    fn intent(&self, call: &Call) -> Option<Value> {
        (!matches!(self.does, Does::Look { .. })).then(|| json!({ "does": call.step }))
    }

    async fn ensure(&self, call: &Call) -> Result<Progress, Failure> {
        tokio::task::yield_now().await;
        self.world.inside(|world| match self.does {
            Does::Make { on, .. } => {
                missing(world, call, on)?;
                let name = thing(call);
                *world.made.entry(name.clone()).or_default() += 1;
                world.tokens.entry(name.clone()).or_default().insert(call.token.clone());
                world.things.insert(name, 0);
                Ok(())
            }
            Does::Look { .. } => {
                Err(Failure::new(Code::new("P0703"), Class::Bug, format!("`{}` only looks", call.step)))
            }
            Does::Remove { what, before } => {
                if let Some(above) = before.iter().find(|above| world.things.contains_key(**above)) {
                    return Err(Failure::new(
                        Code::new("P0203"),
                        Class::Config,
                        format!("`{}` came while `{above}` was still there", call.step),
                    ));
                }
                for name in what {
                    if world.things.contains_key(*name) {
                        world.going.entry((*name).to_owned()).or_default();
                    }
                }
                Ok(())
            }
        })?;
        Ok(Progress::InProgress(wait(call)))
    }
}
