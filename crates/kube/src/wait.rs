//! Waits as values: a condition is data, looked at once per call. Who waits, and how long, is the caller's affair.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use platform_spec::{Class, Code, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{client::Cluster, object::ObjectRef};

/// Something that can be so or not yet so. Serialisable, so that a step can keep it in its input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "condition", rename_all = "snake_case")]
pub enum Condition {
    /// Every one of them.
    All {
        /// Which.
        of: Vec<Condition>,
    },
    /// At least one of them.
    Any {
        /// Which.
        of: Vec<Condition>,
    },
    /// A CustomResourceDefinition is Established.
    CrdEstablished {
        /// `<plural>.<group>`.
        name: String,
    },
    /// A Deployment's current generation is Available with all its replicas updated.
    DeploymentAvailable {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// A StatefulSet's current generation has all its replicas ready and updated.
    StatefulSetReady {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// A DaemonSet's current generation runs ready on every node meant.
    DaemonSetReady {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// A Job is Complete. One that has failed never will be.
    JobComplete {
        /// Namespace.
        namespace: String,
        /// Name.
        name: String,
    },
    /// At least so many Nodes exist, and every Node is Ready.
    NodesReady {
        /// How many at least.
        at_least: usize,
    },
    /// A field has a value.
    Field {
        /// Of which object.
        object: ObjectRef,
        /// JSON pointer, such as `/status/phase`.
        pointer: String,
        /// Its value.
        equals: Value,
    },
    /// An object exists and is not being deleted.
    Exists {
        /// Which.
        object: ObjectRef,
    },
    /// An object is gone.
    Absent {
        /// Which.
        object: ObjectRef,
    },
}

/// What looking at a condition found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is so.
    Met,
    /// It may yet become so.
    NotYet {
        /// What is lacking, in words: `argocd/argocd-server: 0 of 1 replicas available`.
        waiting_for: String,
    },
    /// It cannot become so by waiting.
    Never {
        /// Why, in the original words.
        because: String,
    },
}

impl Verdict {
    /// Whether it is so.
    pub fn is_met(&self) -> bool {
        *self == Self::Met
    }

    pub(crate) fn not_yet(waiting_for: impl Into<String>) -> Self {
        Self::NotYet { waiting_for: waiting_for.into() }
    }

    fn words(&self) -> &str {
        match self {
            Self::Met => "",
            Self::NotYet { waiting_for } => waiting_for,
            Self::Never { because } => because,
        }
    }
}

impl Condition {
    /// Every one of these.
    pub fn all_of(of: impl IntoIterator<Item = Self>) -> Self {
        Self::All { of: of.into_iter().collect() }
    }

    /// At least one of these.
    pub fn any_of(of: impl IntoIterator<Item = Self>) -> Self {
        Self::Any { of: of.into_iter().collect() }
    }

    /// What readiness means for an object of this kind; `None` when being there is all.
    pub fn ready(object: &ObjectRef) -> Option<Self> {
        let name = object.name.clone();
        let namespace = object.namespace.clone().unwrap_or_default();
        match (object.group(), object.kind.as_str()) {
            ("apps", "Deployment") => Some(Self::DeploymentAvailable { namespace, name }),
            ("apps", "StatefulSet") => Some(Self::StatefulSetReady { namespace, name }),
            ("apps", "DaemonSet") => Some(Self::DaemonSetReady { namespace, name }),
            ("apiextensions.k8s.io", _) => Some(Self::CrdEstablished { name }),
            _ => None,
        }
    }
}

impl Cluster {
    /// Looks once whether a condition is met.
    ///
    /// # Errors
    /// The classified refusal of the first object that could not be read.
    pub async fn check(&self, condition: &Condition) -> Result<Verdict, Failure> {
        self.look(condition).await
    }

    /// Looks again and again, every second at first and every five later, until the condition is met.
    ///
    /// Refusals that may pass (retryable, throttled) are looked over until the time is up.
    ///
    /// # Errors
    /// `P0414` when the time is up, with what was last waited for; a condition that can never be met, or a refusal that
    /// will not pass, ends the wait at once.
    pub async fn wait(&self, condition: &Condition, timeout: Duration) -> Result<(), Failure> {
        self.wait_every(condition, timeout, Duration::from_secs(1)).await
    }

    /// As [`Cluster::wait`], beginning with this pause.
    pub(crate) async fn wait_every(
        &self,
        condition: &Condition,
        timeout: Duration,
        mut pause: Duration,
    ) -> Result<(), Failure> {
        let begun = tokio::time::Instant::now();
        loop {
            let last = match self.look(condition).await {
                Ok(Verdict::Met) => return Ok(()),
                Ok(Verdict::Never { because }) => {
                    return Err(Failure::new(
                        Code::new("P0421"),
                        Class::Config,
                        "waited for what cannot come",
                    )
                    .because(because));
                }
                Ok(Verdict::NotYet { waiting_for }) => waiting_for,
                Err(failure) if matches!(failure.class, Class::Retryable | Class::Throttled) => {
                    failure.causes.last().cloned().unwrap_or(failure.message)
                }
                Err(failure) => return Err(failure),
            };
            if begun.elapsed() + pause > timeout {
                return Err(timed_out(timeout, &last));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 3 / 2).min(Duration::from_secs(5));
        }
    }

    fn look<'a>(&'a self, condition: &'a Condition) -> BoxFuture<'a, Result<Verdict, Failure>> {
        Box::pin(async move {
            match condition {
                Condition::All { of } => {
                    let found = futures::future::try_join_all(of.iter().map(|one| self.look(one))).await?;
                    Ok(all(found))
                }
                Condition::Any { of } => {
                    let found = futures::future::try_join_all(of.iter().map(|one| self.look(one))).await?;
                    Ok(any(found))
                }
                Condition::NodesReady { at_least } => {
                    Ok(nodes_ready(&self.list("v1", "Node", None).await?, *at_least))
                }
                one => {
                    let Some(object) = subject(one) else { return Ok(Verdict::Met) };
                    let live = self.read(&object).await?;
                    Ok(judge(one, &object, live.as_deref()))
                }
            }
        })
    }
}

/// A wait that took too long.
pub(crate) fn timed_out(timeout: Duration, waiting_for: &str) -> Failure {
    Failure::new(
        Code::new("P0414"),
        Class::Retryable,
        format!("waited {} s in vain", timeout.as_secs()),
    )
    .because(format!("still waiting for {waiting_for}"))
    .hint("`platform resume` goes on waiting; `kubectl get events -A --sort-by=.lastTimestamp` shows what the cluster says")
}

fn all(found: Vec<Verdict>) -> Verdict {
    if let Some(never) = found.iter().find(|one| matches!(one, Verdict::Never { .. })) {
        return never.clone();
    }
    let open: Vec<&str> = found.iter().filter(|one| !one.is_met()).map(Verdict::words).collect();
    match open.as_slice() {
        [] => Verdict::Met,
        [one] => Verdict::not_yet(*one),
        [first, second] => Verdict::not_yet(format!("{first}; {second}")),
        [first, second, rest @ ..] => Verdict::not_yet(format!("{first}; {second}; and {} more", rest.len())),
    }
}

fn any(found: Vec<Verdict>) -> Verdict {
    if found.iter().any(Verdict::is_met) {
        return Verdict::Met;
    }
    let words = |never: bool| {
        let chosen = found.iter().filter(|one| matches!(one, Verdict::Never { .. }) == never);
        chosen.map(Verdict::words).collect::<Vec<_>>().join(", or ")
    };
    match found.iter().all(|one| matches!(one, Verdict::Never { .. })) {
        true => Verdict::Never { because: words(true) },
        false => Verdict::not_yet(words(false)),
    }
}

/// Which object a condition is about.
fn subject(condition: &Condition) -> Option<ObjectRef> {
    let apps =
        |kind, namespace: &str, name: &str| Some(ObjectRef::namespaced("apps/v1", kind, namespace, name));
    match condition {
        Condition::All { .. } | Condition::Any { .. } | Condition::NodesReady { .. } => None,
        Condition::CrdEstablished { name } => {
            Some(ObjectRef::cluster("apiextensions.k8s.io/v1", "CustomResourceDefinition", name))
        }
        Condition::DeploymentAvailable { namespace, name } => apps("Deployment", namespace, name),
        Condition::StatefulSetReady { namespace, name } => apps("StatefulSet", namespace, name),
        Condition::DaemonSetReady { namespace, name } => apps("DaemonSet", namespace, name),
        Condition::JobComplete { namespace, name } => {
            Some(ObjectRef::namespaced("batch/v1", "Job", namespace, name))
        }
        Condition::Field { object, .. } | Condition::Exists { object } | Condition::Absent { object } => {
            Some(object.clone())
        }
    }
}

fn judge(condition: &Condition, id: &ObjectRef, live: Option<&Value>) -> Verdict {
    let place = id.place();
    let Some(live) = live else {
        return match condition {
            Condition::Absent { .. } => Verdict::Met,
            _ => Verdict::not_yet(format!("{id}: not there yet")),
        };
    };
    let going = live["metadata"]["deletionTimestamp"].as_str();
    match condition {
        Condition::Absent { .. } => Verdict::not_yet(match (going, finalizers(live).as_slice()) {
            (None, _) => format!("{id}: still there"),
            (Some(since), []) => format!("{id}: being deleted since {since}"),
            (Some(since), held) => {
                format!("{id}: being deleted since {since}, held by finalizer {}", held.join(", "))
            }
        }),
        Condition::Exists { .. } => match going {
            None => Verdict::Met,
            Some(_) => Verdict::not_yet(format!("{id}: being deleted")),
        },
        Condition::Field { pointer, equals, .. } => match live.pointer(pointer) {
            Some(value) if value == equals => Verdict::Met,
            found => {
                let found = found.map_or("nothing".to_owned(), Value::to_string);
                Verdict::not_yet(format!("{id}: {pointer} is {found}, not {equals}"))
            }
        },
        Condition::CrdEstablished { .. } => match condition_status(live, "Established") {
            Some(("True", _)) => Verdict::Met,
            Some((_, why)) => Verdict::not_yet(format!("CRD {place}: not established: {why}")),
            None => Verdict::not_yet(format!("CRD {place}: not established yet")),
        },
        Condition::JobComplete { .. } => {
            if let Some(("True", _)) = condition_status(live, "Complete") {
                return Verdict::Met;
            }
            match condition_status(live, "Failed") {
                Some(("True", why)) => Verdict::Never { because: format!("Job {place} failed: {why}") },
                _ => Verdict::not_yet(format!("Job {place}: not complete")),
            }
        }
        _ => workload(condition, &place, live),
    }
}

/// The three kinds that run Pods: first the controller must have seen our change, then the numbers count.
fn workload(condition: &Condition, place: &str, live: &Value) -> Verdict {
    let status = &live["status"];
    let number = |key: &str| status[key].as_u64().unwrap_or(0);
    if status["observedGeneration"].as_u64() < live["metadata"]["generation"].as_u64() {
        return Verdict::not_yet(format!("{place}: its controller has not seen the last change"));
    }
    let wanted = live["spec"]["replicas"].as_u64().unwrap_or(1);
    let short = |have: u64, of: u64, what: &str| {
        (have < of).then(|| Verdict::not_yet(format!("{place}: {have} of {of} {what}")))
    };
    let lacking = match condition {
        Condition::DeploymentAvailable { .. } => short(number("updatedReplicas"), wanted, "replicas updated")
            .or_else(|| short(number("availableReplicas"), wanted, "replicas available"))
            .or_else(|| match condition_status(live, "Available") {
                Some(("True", _)) => None,
                Some((_, why)) => Some(Verdict::not_yet(format!("{place}: not available: {why}"))),
                None => Some(Verdict::not_yet(format!("{place}: not available yet"))),
            }),
        Condition::StatefulSetReady { .. } => short(number("readyReplicas"), wanted, "replicas ready")
            .or_else(|| {
                let moved = wanted == 0 || status["updateRevision"] == status["currentRevision"];
                short(u64::from(moved), 1, "revisions rolled out")
            }),
        _ => {
            let wanted = number("desiredNumberScheduled");
            short(number("updatedNumberScheduled"), wanted, "Pods updated")
                .or_else(|| short(number("numberReady"), wanted, "Pods ready"))
        }
    };
    lacking.unwrap_or(Verdict::Met)
}

fn nodes_ready(nodes: &[Arc<Value>], at_least: usize) -> Verdict {
    let waiting: Vec<&str> = nodes
        .iter()
        .filter(|node| condition_status(node, "Ready").is_none_or(|(status, _)| status != "True"))
        .filter_map(|node| node["metadata"]["name"].as_str())
        .collect();
    let ready = nodes.len() - waiting.len();
    match waiting.as_slice() {
        [] if ready >= at_least => Verdict::Met,
        [] => Verdict::not_yet(format!("nodes: {ready} of {at_least} ready")),
        names => Verdict::not_yet(format!(
            "nodes: {ready} of {} ready, not {}",
            nodes.len().max(at_least),
            names.join(", ")
        )),
    }
}

/// Status and message of one of an object's conditions.
pub(crate) fn condition_status<'a>(live: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let found = live["status"]["conditions"].as_array()?.iter().find(|one| one["type"] == kind)?;
    let text = |key: &str| found[key].as_str().filter(|text| !text.is_empty());
    Some((
        text("status").unwrap_or("Unknown"),
        text("message").or(text("reason")).unwrap_or("no reason given"),
    ))
}

/// An object's finalizers.
pub(crate) fn finalizers(live: &Value) -> Vec<String> {
    let list = live["metadata"]["finalizers"].as_array();
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
