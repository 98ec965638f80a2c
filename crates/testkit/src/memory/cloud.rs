//! The outside: objects, transitions that take time, a log of calls.

use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Fault, Verb};

/// A cloud in memory (or in a file). Clones are the same cloud.
#[derive(Clone)]
pub struct MemoryCloud {
    place: Arc<Mutex<Place>>,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    on_crash: Arc<Mutex<Arc<dyn Fn() + Send + Sync>>>,
}

enum Place {
    Memory(Box<State>),
    File(PathBuf),
}

/// How long transitions take, in milliseconds. With 0 a call is done at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Making a network.
    pub network_ms: u64,
    /// Making or changing a control plane.
    pub control_plane_ms: u64,
    /// Making or changing a pool.
    pub pool_ms: u64,
    /// Removing anything.
    pub remove_ms: u64,
}

impl Pace {
    /// Everything at once.
    pub const INSTANT: Self = Self { network_ms: 0, control_plane_ms: 0, pool_ms: 0, remove_ms: 0 };
    /// As a cloud takes its time; for virtual clocks.
    pub const CLOUD: Self =
        Self { network_ms: 60_000, control_plane_ms: 600_000, pool_ms: 180_000, remove_ms: 120_000 };
    /// Just long enough to be seen; for real clocks.
    pub const BRISK: Self = Self { network_ms: 5, control_plane_ms: 10, pool_ms: 5, remove_ms: 5 };
}

/// Something that exists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Object {
    /// The cloud's own id.
    pub id: String,
    /// `network`, `control-plane`, `pool`, `load-balancer`.
    pub kind: String,
    /// Its name; the cloud does not care whether it is unique.
    pub name: String,
    /// Its tags; empty on what we did not make.
    pub tags: BTreeMap<String, String>,
    /// What it was asked to be.
    pub intent: Value,
    /// Where it stands.
    pub phase: Phase,
    /// What it stands on: those cannot be removed before it.
    pub attached_to: Vec<String>,
    /// When it was made, in milliseconds since 1970.
    pub made_at_ms: i64,
}

/// Where an object stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Usable.
    Ready,
    /// Being made or changed.
    Working {
        /// The operation's id.
        operation: String,
        /// When it is done, in milliseconds since 1970.
        until_ms: i64,
        /// Why it ends broken, when it does.
        breaks: Option<String>,
    },
    /// Being removed.
    Going {
        /// The operation's id.
        operation: String,
        /// When it is gone, in milliseconds since 1970.
        until_ms: i64,
    },
    /// It will not mend by waiting.
    Broken(String),
}

/// One call, as the cloud remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRecord {
    /// Its number, from 1.
    pub n: u64,
    /// What was called.
    pub verb: Verb,
    /// The cluster; of an inventory of everything, empty.
    pub cluster: String,
    /// The resource; empty when it is about a cluster.
    pub resource: String,
    /// The client token, where there is one.
    pub token: String,
    /// The attempt, where there is one.
    pub attempt: u32,
    /// Whether something was made, changed or removed by it.
    pub changed: bool,
}

/// Everything the cloud knows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub pace: Pace,
    pub objects: BTreeMap<String, Object>,
    /// Which object a client token has made, kept after the object is gone.
    pub tokens: BTreeMap<String, String>,
    /// How many objects were ever made, by kind.
    pub made: BTreeMap<String, u64>,
    /// The newest lease epoch seen, by platform.
    pub epochs: BTreeMap<String, u64>,
    pub calls: Vec<CallRecord>,
    pub faults: Vec<Fault>,
    pub quota: Option<u64>,
    pub kubeconfigs: BTreeMap<String, String>,
    pub serial: u64,
}

impl MemoryCloud {
    /// An empty cloud in memory whose transitions follow the clock `now`.
    pub fn new(pace: Pace, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self::at(Place::Memory(Box::new(State::new(pace))), now)
    }

    /// An empty cloud in memory where everything happens at once.
    pub fn instant() -> Self {
        Self::new(Pace::INSTANT, Timestamp::now)
    }

    /// The cloud kept in a file, for several processes one after another or at once; made when there is none. It follows
    /// the real clock.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn in_file(path: &Path, pace: Pace) -> io::Result<Self> {
        if !path.exists() {
            save(path, &State::new(pace))?;
        }
        Ok(Self::at(Place::File(path.to_owned()), Timestamp::now))
    }

    fn at(place: Place, now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self {
            place: Arc::new(Mutex::new(place)),
            now: Arc::new(now),
            on_crash: Arc::new(Mutex::new(Arc::new(|| panic!("the fault script ends this process here")))),
        }
    }

    /// Adds something that goes wrong.
    pub fn inject(&self, fault: Fault) {
        self.with(|state, _| state.faults.push(fault));
    }

    /// Nothing goes wrong any more.
    pub fn heal(&self) {
        self.with(|state, _| state.faults.clear());
    }

    /// What "the process is gone" means here; by default a panic.
    pub fn on_crash(&self, crash: impl Fn() + Send + Sync + 'static) {
        *self.on_crash.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(crash);
    }

    /// Allows so many objects and no more; `None` is no limit.
    pub fn set_quota(&self, quota: Option<u64>) {
        self.with(|state, _| state.quota = quota);
    }

    /// Gives a cluster a kubeconfig that leads somewhere.
    pub fn set_kubeconfig(&self, cluster: &str, yaml: &str) {
        self.with(|state, _| state.kubeconfigs.insert(cluster.to_owned(), yaml.to_owned()));
    }

    /// Puts something there that nobody of us made: a control plane or network of that deterministic name, untagged.
    pub fn put_foreign(&self, platform: &str, cluster: &str, resource: &str) -> String {
        self.with(|state, now| state.make(super::acts::foreign(platform, cluster, resource), now))
    }

    /// Does what a Service of type LoadBalancer does: a load balancer stands on the cluster's network, and keeps it.
    /// `None` when there is no network.
    pub fn put_load_balancer(&self, platform: &str, cluster: &str, name: &str) -> Option<String> {
        self.with(|state, now| {
            let network = super::acts::find(state, platform, cluster, "network").into_iter().next()?;
            let object = Object {
                id: String::new(),
                kind: "load-balancer".to_owned(),
                name: name.to_owned(),
                tags: BTreeMap::new(),
                intent: Value::Null,
                phase: Phase::Ready,
                attached_to: vec![network.id],
                made_at_ms: 0,
            };
            Some(state.make(object, now))
        })
    }

    /// Takes an object away by its id, as somebody else would.
    pub fn take_away(&self, id: &str) {
        self.with(|state, _| state.objects.remove(id));
    }

    /// What exists now, what is going included.
    pub fn objects(&self) -> Vec<Object> {
        self.with(|state, _| state.objects.values().cloned().collect())
    }

    /// How many objects were ever made by calls and by hand, by kind.
    pub fn made(&self) -> BTreeMap<String, u64> {
        self.with(|state, _| state.made.clone())
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.with(|state, _| state.calls.clone())
    }

    /// How many calls have changed something.
    pub fn changes(&self) -> usize {
        self.with(|state, _| state.calls.iter().filter(|call| call.changed).count())
    }

    pub(super) fn crash(&self) {
        let crash = Arc::clone(&self.on_crash.lock().unwrap_or_else(PoisonError::into_inner));
        crash();
    }

    /// One indivisible act on the cloud, after time has done its work.
    ///
    /// # Panics
    /// When the cloud's file is damaged: a test cannot go on.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State, i64) -> T) -> T {
        let now = (self.now)().as_millisecond();
        // A poisoned cloud is a test that has panicked on purpose: `act` is all or nothing for our small maps.
        match &mut *self.place.lock().unwrap_or_else(PoisonError::into_inner) {
            Place::Memory(state) => {
                state.settle(now);
                act(state, now)
            }
            Place::File(path) => {
                let lock = File::create(path.with_extension("lock")).expect("the cloud's lock file");
                lock.lock().expect("the cloud's lock");
                let text = fs_err::read(&*path).expect("the cloud's file");
                let mut state: State = serde_json::from_slice(&text).expect("the cloud's state");
                state.settle(now);
                let result = act(&mut state, now);
                save(path, &state).expect("the cloud's file");
                result
            }
        }
    }
}

/// Beside it first, so that a process killed while writing leaves the old state.
fn save(path: &Path, state: &State) -> io::Result<()> {
    let beside = path.with_extension("new");
    fs_err::write(&beside, serde_json::to_vec(state)?)?;
    fs_err::rename(&beside, path)
}

impl State {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            objects: BTreeMap::new(),
            tokens: BTreeMap::new(),
            made: BTreeMap::new(),
            epochs: BTreeMap::new(),
            calls: Vec::new(),
            faults: Vec::new(),
            quota: None,
            kubeconfigs: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Ends the transitions whose time has come.
    fn settle(&mut self, now: i64) {
        self.objects
            .retain(|_, object| !matches!(object.phase, Phase::Going { until_ms, .. } if until_ms <= now));
        for object in self.objects.values_mut() {
            if let Phase::Working { until_ms, breaks, .. } = &object.phase
                && *until_ms <= now
            {
                object.phase = breaks.clone().map_or(Phase::Ready, Phase::Broken);
            }
        }
    }

    /// Adds an object under a new id.
    pub fn make(&mut self, mut object: Object, now: i64) -> String {
        self.serial += 1;
        object.id = format!("{}-{:04}", object.kind, self.serial);
        object.made_at_ms = now;
        *self.made.entry(object.kind.clone()).or_default() += 1;
        let id = object.id.clone();
        self.objects.insert(id.clone(), object);
        id
    }

    /// A new operation id.
    pub fn operation(&mut self) -> String {
        self.serial += 1;
        format!("op-{:04}", self.serial)
    }

    /// What stands on an object, each as `kind name`.
    pub fn blockers(&self, id: &str) -> Vec<String> {
        let on = self.objects.values().filter(|object| object.attached_to.iter().any(|below| below == id));
        on.map(|object| format!("{} {}", object.kind, object.name)).collect()
    }

    /// Writes the call down and says what goes wrong at it, if anything.
    pub fn enter(&mut self, mut call: CallRecord) -> (u64, Option<super::What>) {
        call.n = self.calls.len() as u64 + 1;
        let struck =
            self.faults.iter_mut().find(|f| f.strikes(call.n, call.verb, &call.resource, call.attempt));
        let what = struck.map(|fault| {
            fault.times = fault.times.map(|times| times - 1);
            fault.what.clone()
        });
        let n = call.n;
        self.calls.push(call);
        (n, what)
    }

    /// Writes down that a call has changed something.
    pub fn changed(&mut self, n: u64) {
        if let Some(call) = self.calls.iter_mut().find(|call| call.n == n) {
            call.changed = true;
        }
    }
}
