//! The control plane: looked at, begun, removed.

use std::{io, time::Duration};

use jiff::Timestamp;
use platform_provider::{
    Ensured, Observation, Ownership, Removed, Thing, Wait, progress, resource::CONTROL_PLANE,
};
use platform_spec::{Class, Code, Failure};
use serde_json::{Value, json};

use crate::{
    engine::Engine,
    job::{Held, Job, Known},
    recipe::Recipe,
    refusal::{Refusal, Why},
    standing::{Inside, Seen, Standing},
    wish::{ATTEMPT_LABEL, DIGEST_LABEL, NODES_LABEL, Wish},
};

/// How long whoever comes again waits with us for what it waits for. Asking nodes time and again takes processor time away
/// from what they wait for.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon it is to come again.
const SOON_MS: u64 = 100;
/// How soon what somebody else does is looked at again.
const ELSEWHERE_MS: u64 = 5_000;

/// How often it is looked whether removed containers are gone, and how soon again. The engine copies half a gigabyte for
/// each that it makes, which takes half a minute on a cold disk.
const LOOKS: u32 = 100;
const LOOK_AGAIN: Duration = Duration::from_millis(400);

/// One call about a control plane.
pub(crate) struct ControlPlane<'a> {
    pub wish: &'a Wish<'a>,
    pub engine: &'a Engine<'a>,
    pub job: Job,
    /// What the caller remembers of an earlier call.
    pub operation: &'a Value,
}

/// How a control plane is found.
enum Found {
    /// As [`Standing`] says, other than a cluster whose nodes run.
    Stands(Standing),
    /// Its nodes run, and it still waits for something.
    Settling { finished: bool, waits_for: String },
    /// It can be used.
    Usable(Thing),
}

impl ControlPlane<'_> {
    fn deed(&self, verb: &str) -> String {
        format!("could not {verb} kind cluster `{}`", self.wish.stem())
    }

    fn folder(&self, verb: &str, error: &io::Error) -> Failure {
        Failure::new(Code::new("P1014"), Class::Config, self.deed(verb))
            .because(format!("the folder of `{}` cannot be used", self.job.log().display()))
            .caused_by(error)
            .hint("see whether there is room, and whose it is: `df -h`, `ls -la`")
    }

    fn recipe(&self) -> Result<Recipe, Failure> {
        Recipe::of(self.wish, &self.job.mirrors())
    }

    /// What is there, from outside.
    pub async fn seen(&self) -> Result<Seen, Refusal> {
        let name = self.wish.stem();
        let (mark, nodes) = tokio::try_join!(self.engine.volume(&name), self.engine.nodes(&name))?;
        let (mark, nodes) = match mark {
            // It was made in this moment, or everything was removed in it.
            None if !nodes.is_empty() => (self.engine.volume(&name).await?, self.engine.nodes(&name).await?),
            mark => (mark, nodes),
        };
        let ours = mark.as_ref().is_some_and(|mark| self.wish.is_ours(&mark.labels));
        let mut seen = Seen { mark, ours, nodes, known: Known::Nothing };
        seen.known = seen.attempt().map_or(Known::Nothing, |attempt| self.job.knows(attempt));
        Ok(seen)
    }

    async fn found(&self, seen: &Seen) -> Result<Found, Refusal> {
        let finished = match seen.standing(Timestamp::now()) {
            Standing::Runs { finished } => finished,
            other => return Ok(Found::Stands(other)),
        };
        let settling = |waits_for: String| Ok(Found::Settling { finished, waits_for });
        let Some(node) = seen.control_plane() else { return settling("a control plane to run".to_owned()) };
        let asked = [
            "kubectl",
            "--kubeconfig",
            "/etc/kubernetes/admin.conf",
            "get",
            "nodes,storageclasses",
            "-o",
            "json",
        ];
        let answer = match self.engine.exec(node.name(), &asked).await {
            Ok(answer) => answer,
            Err(refusal) if matches!(refusal.why, Why::Other | Why::NotThere | Why::NoEngine) => {
                return settling("the Kubernetes API to answer".to_owned());
            }
            Err(refusal) => return Err(refusal),
        };
        let mut inside: Inside =
            serde_json::from_str(&answer).map_err(|error| Refusal::unreadable(self.engine.door, error))?;
        let machines = seen.nodes.iter().filter(|node| node.is_node()).count();
        let machines = u32::try_from(machines).unwrap_or(u32::MAX);
        if self.comes_again() && inside.waits_for(machines).is_some() {
            self.stay_for_nodes(node.name(), &mut inside).await?;
        }
        if let Some(waits_for) = inside.waits_for(machines) {
            return settling(waits_for);
        }
        let outputs = json!({
            "id": node.id,
            "name": self.wish.stem(),
            "network": self.wish.network(),
            "nodes": seen.nodes.iter().filter(|node| node.is_node()).map(|node| node.name()).collect::<Vec<_>>(),
            "image": node.image(),
            "version": inside.version(),
            "digest": seen.digest(),
        });
        Ok(Found::Usable(Thing { external_id: node.id.clone(), ownership: Ownership::Owned, outputs }))
    }

    /// Whether the caller has been here before, and waits.
    fn comes_again(&self) -> bool {
        !self.operation.is_null()
    }

    /// Waits until all nodes are Ready, but not for long.
    async fn stay_for_nodes(&self, node: &str, inside: &mut Inside) -> Result<(), Refusal> {
        let timeout = format!("--timeout={}s", PATIENCE.as_secs());
        let kubectl = ["kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf"];
        let wait = ["wait", "--for=condition=Ready", "node", "--all", &timeout, "-o", "json"];
        // It fails when the time is over, and it is no matter of ours why else: what was seen before counts then.
        let Ok(answer) = self.engine.exec(node, &[&kubectl[..], &wait].concat()).await else { return Ok(()) };
        inside.later(&answer).map_err(|error| Refusal::unreadable(self.engine.door, error))
    }

    /// Looks.
    pub async fn look(&self) -> Result<Observation, Failure> {
        let patience = if self.comes_again() { PATIENCE } else { Duration::ZERO };
        let is_running = self.job.is_running_after(patience).await;
        if is_running.map_err(|error| self.folder("look at", &error))? {
            return Ok(Observation::InProgress(self.at_work()));
        }
        let refused = |refusal: Refusal| refusal.failed(self.deed("look at"));
        let seen = self.seen().await.map_err(refused)?;
        Ok(match self.found(&seen).await.map_err(refused)? {
            // Ours is not there; whose name it has is found by preflight, and by `ensure`.
            Found::Stands(Standing::Absent | Standing::Foreign { .. }) => Observation::Absent,
            Found::Stands(Standing::MadeElsewhere) => Observation::InProgress(self.elsewhere(&seen)),
            Found::Stands(Standing::HalfMade) => {
                self.differs(&seen, "it was begun, and never finished".to_owned())
            }
            Found::Stands(Standing::Stopped { ids }) => {
                self.differs(&seen, format!("{} of its containers stand still", ids.len()))
            }
            Found::Stands(Standing::Lacking { why }) => Observation::Broken { why },
            Found::Stands(Standing::Runs { .. }) => {
                Observation::InProgress(self.settling(&seen, "its nodes to answer".to_owned()))
            }
            Found::Settling { finished: false, waits_for } if !seen.may_be_underway(Timestamp::now()) => {
                Observation::Broken { why: unknown(&waits_for) }
            }
            Found::Settling { waits_for, .. } => Observation::InProgress(self.settling(&seen, waits_for)),
            Found::Usable(thing) => {
                let differs = self.difference(&seen)?;
                Observation::Present { thing, differs }
            }
        })
    }

    /// Makes it, or begins to.
    pub async fn make(&self) -> Result<Ensured, Failure> {
        let Some(held) = self.job.lock().map_err(|error| self.folder("make", &error))? else {
            return Ok(Ensured::InProgress(self.at_work()));
        };
        let refused = |refusal: Refusal| refusal.failed(self.deed("make"));
        let seen = self.seen().await.map_err(refused)?;
        match self.found(&seen).await.map_err(refused)? {
            Found::Stands(Standing::Absent) => self.begin(held).await,
            Found::Stands(Standing::Runs { .. }) => {
                Ok(Ensured::InProgress(self.settling(&seen, "its nodes to answer".to_owned())))
            }
            Found::Stands(Standing::HalfMade) => {
                let ours = self.operation["attempt"].as_str();
                let failed = ours.is_some() && ours == seen.attempt() && seen.known == Known::Unfinished;
                let why = failed.then(|| self.broke_off());
                progress::say(&format!(
                    "removing what is left of `{}`, which was never finished",
                    self.wish.stem()
                ));
                self.take_away(&seen).await.map_err(refused)?;
                match why {
                    // Said, and tried again by whoever called, if that can help.
                    Some(why) => Err(why),
                    None => self.begin(held).await,
                }
            }
            Found::Stands(Standing::Stopped { ids }) => {
                progress::say(&format!("starting {} containers of `{}`", ids.len(), self.wish.stem()));
                self.engine.start(&ids).await.map_err(refused)?;
                Ok(Ensured::InProgress(self.settling(&seen, "its nodes to start".to_owned())))
            }
            Found::Stands(Standing::MadeElsewhere) => Ok(Ensured::InProgress(self.elsewhere(&seen))),
            Found::Stands(Standing::Foreign { why }) => Err(self.foreign(&why)),
            Found::Stands(Standing::Lacking { why }) => Err(self.unusable(&why)),
            Found::Settling { finished: false, waits_for } if !seen.may_be_underway(Timestamp::now()) => {
                Err(self.unusable(&unknown(&waits_for)))
            }
            Found::Settling { waits_for, .. } => Ok(Ensured::InProgress(self.settling(&seen, waits_for))),
            Found::Usable(thing) => match self.difference(&seen)? {
                None => Ok(Ensured::Done { thing, changed: false }),
                Some(how) => Err(Failure::new(Code::new("P1015"), Class::Config, self.deed("change"))
                    .because(how)
                    .because("kind cannot change a cluster once it is made")
                    .hint("make it anew: `platform down`, then `platform up`")),
            },
        }
    }

    /// Puts the mark, and starts kind.
    async fn begin(&self, held: Held) -> Result<Ensured, Failure> {
        let refused = |refusal: Refusal| refusal.failed(self.deed("make"));
        let folder = |error: io::Error| self.folder("make", &error);
        let recipe = self.recipe()?;
        let (name, attempt) = (self.wish.stem(), attempt());
        self.job.prepare(&held, &attempt, &recipe).map_err(folder)?;
        let mut labels = self.wish.labels(CONTROL_PLANE);
        labels.insert(ATTEMPT_LABEL.to_owned(), attempt.clone());
        labels.insert(DIGEST_LABEL.to_owned(), recipe.digest.clone());
        labels.insert(NODES_LABEL.to_owned(), self.wish.nodes().to_string());
        self.engine.make_volume(&name, &labels).await.map_err(refused)?;
        // A volume that was there stays as it was: of two who make it at once, one finds the other's.
        let mark = self.engine.volume(&name).await.map_err(refused)?;
        match mark {
            Some(mark) if mark.labels.get(ATTEMPT_LABEL) == Some(&attempt) => {}
            Some(mark) if !self.wish.is_ours(&mark.labels) => {
                return Err(self.foreign(&format!("volume `{name}` says that it is another platform's")));
            }
            _ => {
                return Err(Failure::new(Code::new("P1012"), Class::ConflictInProgress, self.deed("make"))
                    .because("somebody else began to make it in this moment"));
            }
        }
        let (config, kubeconfig) = (self.job.config(), self.job.kubeconfig());
        let arguments = [
            "create".as_ref(),
            "cluster".as_ref(),
            "--name".as_ref(),
            name.as_ref(),
            "--config".as_ref(),
            config.as_os_str(),
            "--kubeconfig".as_ref(),
            kubeconfig.as_os_str(),
        ];
        progress::say(&format!("kind makes `{name}`; its log is `{}`", self.job.log().display()));
        let started = self.engine.door.leave(&arguments, Some(&self.wish.network()), &held.log);
        let pid = started.map_err(|error| {
            Refusal::silent(
                self.engine.door,
                crate::programs::Who::Kind,
                crate::programs::NoAnswer::NotStarted(error),
            )
            .failed(self.deed("make"))
        })?;
        self.job.started(pid).map_err(folder)?;
        Ok(Ensured::InProgress(self.at_work()))
    }

    /// Removes it.
    pub async fn remove(&self) -> Result<Removed, Failure> {
        let Some(held) = self.job.end().await.map_err(|error| self.folder("remove", &error))? else {
            return Err(Failure::new(Code::new("P1012"), Class::ConflictInProgress, self.deed("remove"))
                .because("`kind create cluster` is at work and cannot be stopped from here"));
        };
        let refused = |refusal: Refusal| refusal.failed(self.deed("remove"));
        let seen = self.seen().await.map_err(refused)?;
        match seen.standing(Timestamp::now()) {
            Standing::Foreign { why } => return Ok(Removed::Kept { why }),
            Standing::Absent => {}
            _ => self.take_away(&seen).await.map_err(refused)?,
        }
        self.job.forget(held).map_err(|error| self.folder("remove", &error))?;
        Ok(Removed::Done)
    }

    /// Nodes first: without the mark nobody would know whose they are. What the engine is still making for a `kind` that was
    /// killed appears when it is made, and is waited for.
    async fn take_away(&self, seen: &Seen) -> Result<(), Refusal> {
        let name = self.wish.stem();
        let enough = if seen.known == Known::Finished { 1 } else { 2 };
        let mut empty = 0;
        for _ in 0..LOOKS {
            let ids = self.engine.node_ids(&name).await?;
            empty = if ids.is_empty() { empty + 1 } else { 0 };
            if empty == enough {
                return self.engine.remove_volumes(&[name]).await;
            }
            self.engine.remove_containers(&ids).await?;
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        Err(Refusal::read(&self.engine.door.engine, &format!("the containers of `{name}` do not go")))
    }

    /// What was asked for, and was not when it was made.
    fn difference(&self, seen: &Seen) -> Result<Option<String>, Failure> {
        let wanted = self.recipe()?.digest;
        Ok((seen.digest() != Some(wanted.as_str())).then(|| {
            "it was made from another configuration: nodes, ports, image, mirrors or patches".to_owned()
        }))
    }

    fn differs(&self, seen: &Seen, how: String) -> Observation {
        let external_id = seen.nodes.first().map_or_else(|| self.wish.stem(), |node| node.id.clone());
        let outputs = json!({ "name": self.wish.stem() });
        let thing = Thing { external_id, ownership: Ownership::Owned, outputs };
        Observation::Present { thing, differs: Some(how) }
    }

    fn foreign(&self, why: &str) -> Failure {
        Failure::new(Code::new("P1005"), Class::Config, self.deed("make")).because(why).hint(format!(
            "if nobody needs it: `kind delete cluster --name {}`; else give the platform or the cluster another name",
            self.wish.stem()
        ))
    }

    fn unusable(&self, why: &str) -> Failure {
        Failure::new(Code::new("P1016"), Class::Config, self.deed("mend"))
            .because(why)
            .hint("`platform down` removes it, `platform up` then makes it anew")
    }

    /// Why the attempt of this run ended too early.
    fn broke_off(&self) -> Failure {
        let words = self.job.last_words();
        let refusal = Refusal::of_words(self.engine.door, crate::programs::Who::Kind, &words.join("\n"));
        let mut failure =
            refusal.failed(format!("`kind create cluster` broke off for `{}`", self.wish.stem()));
        // Whatever kind did not find, it was not the cluster.
        if failure.class == Class::NotFound {
            failure.class = Class::Retryable;
        }
        failure
    }

    fn operation(&self) -> Value {
        json!({ "attempt": self.job.attempt() })
    }

    fn at_work(&self) -> Wait {
        Wait {
            operation: self.operation(),
            waiting_for: format!("kind to make `{}`", self.wish.stem()),
            poll_after_ms: SOON_MS,
        }
    }

    fn settling(&self, seen: &Seen, waiting_for: String) -> Wait {
        Wait { operation: json!({ "attempt": seen.attempt() }), waiting_for, poll_after_ms: SOON_MS }
    }

    fn elsewhere(&self, seen: &Seen) -> Wait {
        Wait {
            operation: json!({ "attempt": seen.attempt() }),
            waiting_for: format!(
                "whoever makes `{}` on another machine, or as another user",
                self.wish.stem()
            ),
            poll_after_ms: ELSEWHERE_MS,
        }
    }
}

fn unknown(waits_for: &str) -> String {
    format!("it waits for {waits_for}, and nobody here knows whether it was ever finished")
}

/// A name that no other attempt has.
fn attempt() -> String {
    format!("{:x}-{:x}", Timestamp::now().as_nanosecond(), std::process::id())
}
