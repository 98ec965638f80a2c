//! A container engine and `kind`, played: the same command lines, words, exit codes and documents as the real programs, with
//! nothing behind them but what this crate has. A cluster of kind is a cluster of the world.
//!
//! A program runs as long as somebody waits for its future. Whoever drops it has killed it, and `kind create cluster` leaves
//! then what the real one leaves: containers without a cluster in them.
//!
//! | room | what it holds |
//! |---|---|
//! | [`client`] | what a program reads and writes where it is called |
//! | `docker` | the engine's commands |
//! | `kind`, `create` | kind's commands; the long one |
//! | `config` | kind's configuration |
//! | `inside` | what runs in nodes: `docker exec` |
//! | `behind` | the clusters behind the nodes: made, asleep, gone |
//! | `state` | everything there is |
//! | `words`, `reply` | command lines; answers |

mod behind;
pub mod client;
mod config;
mod create;
mod docker;
mod inside;
mod kind;
mod reply;
mod state;
mod words;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

pub use behind::{Behind, Joining, standard_objects};

use crate::{
    keep::Book,
    kube::object::Now,
    parts::{
        calls::{Call, CallLog},
        chance::Chance,
        faults::{Faults, Point, Struck},
        transitions::{Pace, Takes},
    },
};
use client::Found;
use reply::Reply;
use state::State;

/// By which kind knows the nodes of a cluster.
const CLUSTER_LABEL: &str = "io.x-k8s.kind.cluster";
/// By which kind knows what a node is to its cluster.
const ROLE_LABEL: &str = "io.x-k8s.kind.role";
/// What kind calls a cluster, and the network of nodes, when nobody says otherwise.
const KIND: &str = "kind";

/// A call of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Its name: `kind`, or anything else for the engine's client.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it finds in its environment, of what it looks for there.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Files that it is told to read, by the paths that it is told.
    #[serde(default)]
    pub files: BTreeMap<String, Found>,
}

/// Something that a program does where it was called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// It writes to its standard output.
    Out(String),
    /// It writes to its standard error.
    Err(String),
    /// It writes a file.
    File {
        /// Which.
        path: String,
        /// What, in full.
        text: String,
    },
    /// It ends.
    Ended(i32),
}

/// Hears what a program says.
pub type Say<'a> = &'a mut (dyn FnMut(Said) + Send);

/// The engine and kind. Clones are the same.
#[derive(Clone)]
pub struct Containers {
    inner: Arc<Inner>,
}

struct Inner {
    state: Mutex<State>,
    chance: Chance,
    pace: Pace,
    now: Now,
    faults: Faults,
    calls: CallLog,
    book: Book,
    behind: OnceLock<Arc<dyn Behind>>,
    /// How the clusters stood when it was last looked.
    stood: Mutex<BTreeMap<String, behind::Stands>>,
}

/// What an engine is made of.
pub struct Parts {
    /// What chance goes by.
    pub seed: u64,
    /// How fast it lives.
    pub pace: Pace,
    /// The time.
    pub now: Now,
    /// What goes wrong.
    pub faults: Faults,
    /// Where calls are written down.
    pub calls: CallLog,
    /// What outlives the process.
    pub book: Book,
}

/// Why an engine could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The book cannot be read.
    #[error("could not read the book of the containers")]
    Book(#[from] sqlx::Error),
    /// An entry cannot be understood.
    #[error("could not understand the entry `{0}` in the book of the containers")]
    Entry(String, #[source] serde_json::Error),
}

impl Containers {
    /// As the book has it; empty when the book is.
    ///
    /// # Errors
    /// When the book cannot be read, or something in it cannot be understood.
    pub async fn load(parts: Parts) -> Result<Self, LoadError> {
        let Parts { seed, pace, now, faults, calls, book } = parts;
        let chance = Chance::new(seed);
        let mut state = State::new(chance, book.clone(), now());
        let entries = book.load().await?;
        state.load(entries).map_err(|(key, error)| LoadError::Entry(key, error))?;
        let (stood, behind) = (Mutex::default(), OnceLock::new());
        let state = Mutex::new(state);
        Ok(Self { inner: Arc::new(Inner { state, chance, pace, now, faults, calls, book, behind, stood }) })
    }

    /// Says who makes the clusters, and has those made that are known already. Only the first time counts.
    pub fn plug(&self, behind: Arc<dyn Behind>) {
        if self.inner.behind.set(behind).is_ok() {
            self.take_up();
        }
    }

    /// How many things there are by kind: `container`, `network`, `volume`, `image`, `cluster`. The engine's own networks
    /// do not count.
    pub fn count(&self) -> BTreeMap<&'static str, usize> {
        let state = self.state();
        [
            ("container", state.containers.len()),
            ("network", state.networks.len().saturating_sub(3)),
            ("volume", state.volumes.len()),
            ("image", state.images.len()),
            ("cluster", state.clusters.len()),
        ]
        .into()
    }

    /// How many things were ever made, by kind.
    pub fn made(&self) -> BTreeMap<String, u64> {
        self.state().meta.made.clone()
    }

    /// The name of the cluster of kind whose API pods of its neighbours reach at a URL.
    pub fn reached_at(&self, server: &str) -> Option<String> {
        let host = server.strip_prefix("https://")?.strip_suffix(":6443")?;
        self.state().reached_as(host).map(str::to_owned)
    }

    /// The URL of the files behind one of Git's own protocol, as pods of a cluster of kind reach it.
    ///
    /// # Errors
    /// In the words of who asks for a name that nobody has.
    pub fn pulled_at(&self, url: &str, cluster: &str) -> Result<String, String> {
        let (host, path) =
            url.strip_prefix("git://").and_then(|rest| rest.split_once('/')).unwrap_or((url, ""));
        let state = self.state();
        let folder = state.served_as(host, cluster);
        folder.map(|folder| format!("file://{folder}/{path}")).ok_or_else(|| {
            format!("failed to list refs: dial tcp: lookup {host} on 10.96.0.10:53: no such host")
        })
    }

    /// Plays a program to its end; its exit code.
    pub async fn play(&self, ask: &Ask, say: Say<'_>) -> i32 {
        let called = Called::of(ask);
        let service = if ask.program == KIND { "kind" } else { "docker" };
        let point = Point { service, operation: &called.operation, target: &called.target };
        let struck = self.inner.faults.next(&point);
        if !struck.latency().is_zero() {
            tokio::time::sleep(struck.latency()).await;
        }
        let mut reply = if struck.resets_before() {
            Reply::failed(1, BROKEN)
        } else if let Some(refuses) = struck.refusal() {
            Reply::of_fault(&refuses).through(ask)
        } else {
            let reply = self.answer(ask, &struck, say).await;
            if reply.changed
                && let Err(error) = self.inner.book.keeper().kept().await
            {
                tracing::error!(%error, "the containers are not kept");
            }
            if struck.resets_after() {
                Reply { changed: reply.changed, ..Reply::failed(1, BROKEN) }
            } else {
                reply
            }
        };
        self.inner.calls.record(Call {
            seq: 0,
            at: (self.inner.now)(),
            service: service.to_owned(),
            operation: called.operation,
            target: called.target,
            outcome: reply.code.to_string(),
            changed: reply.changed,
            fault: struck.words(),
        });
        if struck.loses_reply() && reply.code == 0 {
            return std::future::pending().await;
        }
        for (text, said) in [
            (std::mem::take(&mut reply.stdout), Said::Out as fn(String) -> Said),
            (std::mem::take(&mut reply.stderr), Said::Err),
        ] {
            if !text.is_empty() {
                say(said(text));
            }
        }
        reply.code
    }

    async fn answer(&self, ask: &Ask, struck: &Struck, say: Say<'_>) -> Reply {
        if ask.program == KIND {
            return self.kind(ask, struck, say).await;
        }
        self.settle();
        let words = client::with_files(ask);
        let reply = match words.split_first() {
            Some((exec, rest)) if exec == "exec" => {
                self.stay(rest).await;
                self.exec(rest)
            }
            _ => {
                let now = (self.inner.now)();
                let mut state = self.state();
                state.machine = struck.machine();
                docker::answer(&mut state, &words, now)
            }
        };
        if reply.changed {
            self.follow();
        }
        reply
    }

    /// Waits as long as something takes.
    async fn takes(&self, seconds: i64, name: &[&str], longer: SignedDuration) {
        let time = self.inner.pace.time(Takes::seconds(seconds), self.inner.chance, name);
        let time = Duration::try_from(time.saturating_add(longer)).unwrap_or_default();
        tokio::time::sleep(time).await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic in between leaves maps that are whole.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the engine's client says when the connection breaks.
const BROKEN: &str = "error during connect: Get \"http://%2Fvar%2Frun%2Fdocker.sock/v1.50/info\": EOF\n";

/// What is called, in the words of rules and of the call log.
struct Called {
    operation: String,
    target: String,
}

impl Called {
    fn of(ask: &Ask) -> Self {
        let words: Vec<&String> = ask.arguments.iter().take_while(|word| !word.starts_with('-')).collect();
        let commands = match docker::command(&ask.arguments) {
            Some((_, taken)) if ask.program != KIND => taken,
            // `create cluster`, `get nodes`, `load docker-image`; `version` alone.
            _ => words.len().min(2),
        };
        let operation: Vec<&str> = words.iter().take(commands).map(|word| word.as_str()).collect();
        let named = |flag: &str| {
            let at = ask.arguments.iter().position(|word| word == flag)?;
            ask.arguments.get(at + 1).cloned()
        };
        let alone = || ask.arguments.get(commands).filter(|word| !word.starts_with('-')).cloned();
        let last = || {
            let creates = operation.last().is_some_and(|word| *word == "create");
            ask.arguments.last().filter(|word| creates && !word.starts_with('-')).cloned()
        };
        let target = named("--name").or_else(alone).or_else(last).unwrap_or_default();
        Self { operation: operation.join("_").replace('-', "_"), target }
    }
}
