//! What a pod goes through on its node: a pure function of its spec, of what happened so far, and of the time.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::play::workloads::{
    Pace,
    objects::{annotation, at, int, items, text},
};

/// Containers that end with an error soon after they have come up, again and again: names with commas between them, or
/// `true` for all.
pub const CRASH: &str = "sandbox.platform.dev/crash";
/// Containers whose image cannot be pulled.
pub const UNPULLABLE: &str = "sandbox.platform.dev/unpullable";
/// Containers that run and do not become ready.
pub const UNREADY: &str = "sandbox.platform.dev/unready";

/// The first wait after a crash; it doubles with each until [`LONGEST`]. As the real kubelet.
const BACKOFF: i64 = 10;
const LONGEST: i64 = 300;

/// How a pod is made to misbehave, by its annotations. It heals when they are taken away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    crash: Vec<String>,
    unpullable: Vec<String>,
    unready: Vec<String>,
}

impl Faults {
    /// Of a pod.
    pub fn of(pod: &Value) -> Self {
        let named = |key: &str| -> Vec<String> {
            let given = annotation(pod, key);
            let all = || items(&pod["spec"]["containers"]).map(|it| text(&it["name"]).to_owned()).collect();
            match given {
                "" | "false" => Vec::new(),
                "true" => all(),
                given => given.split(',').map(|it| it.trim().to_owned()).collect(),
            }
        };
        Self { crash: named(CRASH), unpullable: named(UNPULLABLE), unready: named(UNREADY) }
    }

    /// Whether a container of that name crashes.
    pub fn crashes(&self, name: &str) -> bool {
        self.crash.iter().any(|it| it == name)
    }

    /// Whether the image of a container of that name cannot be pulled.
    pub fn is_unpullable(&self, name: &str) -> bool {
        self.unpullable.iter().any(|it| it == name)
    }

    /// Whether a container of that name never becomes ready.
    pub fn is_unready(&self, name: &str) -> bool {
        self.unready.iter().any(|it| it == name)
    }
}

/// Where a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Images are pulled, volumes mounted.
    Creating { since: Timestamp },
    /// The container with this number runs before the others.
    Init { index: usize, since: Timestamp },
    /// Its containers run.
    Up { since: Timestamp },
    /// One of them has crashed and waits to be started again.
    Down { since: Timestamp },
    /// It has ended.
    Ended { well: bool, at: Timestamp },
}

/// What has happened to a pod so far.
#[derive(Clone, Debug)]
pub struct Life {
    state: State,
    /// How often its containers were started again.
    pub restarts: i64,
    /// When it was first seen to crash.
    crashing: Option<Timestamp>,
    /// When it last came up before it crashed.
    pub ran: Option<Timestamp>,
    /// When it was first seen to be told to go.
    stopping: Option<Timestamp>,
}

/// What a pod shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is being set up.
    Creating,
    /// An image cannot be pulled.
    Unpullable,
    /// The container with this number runs before the others.
    Init {
        /// Its number.
        index: usize,
        /// Since when.
        since: Timestamp,
    },
    /// It runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// Whether its probes have succeeded.
        probed: bool,
    },
    /// It waits after a crash.
    Backoff {
        /// Since when.
        since: Timestamp,
        /// How long in all, in seconds.
        seconds: i64,
    },
    /// It has ended.
    Ended {
        /// Without an error.
        well: bool,
        /// Since when it ran.
        since: Timestamp,
        /// When it ended.
        at: Timestamp,
    },
}

impl Life {
    /// One that begins now.
    pub fn begin(now: Timestamp) -> Self {
        Self { state: State::Creating { since: now }, restarts: 0, crashing: None, ran: None, stopping: None }
    }

    /// One of which only the pod's status knows.
    pub fn of(pod: &Value, now: Timestamp) -> Self {
        let mut life = Self::begin(super::bound_at(pod).unwrap_or(now));
        let statuses = || items(&pod["status"]["containerStatuses"]);
        life.restarts = statuses().map(|it| int(&it["restartCount"])).max().unwrap_or(0);
        let running = statuses().filter_map(|it| at(&it["state"]["running"]["startedAt"])).max();
        let crashed = statuses().filter(|it| it["state"]["waiting"]["reason"] == "CrashLoopBackOff");
        let crashed = crashed.filter_map(|it| at(&it["lastState"]["terminated"]["finishedAt"])).max();
        match (running, crashed) {
            (_, Some(since)) => {
                life.state = State::Down { since };
                life.ran = Some(since);
            }
            (Some(since), None) => life.state = State::Up { since },
            (None, None) => {}
        }
        life
    }

    /// Brings it to where it is by now, and says how long it stays there.
    pub fn advance(&mut self, pod: &Value, pace: &Pace, now: Timestamp) -> (Stage, Option<SignedDuration>) {
        let faults = Faults::of(pod);
        let containers: Vec<&str> = items(&pod["spec"]["containers"]).map(|it| text(&it["name"])).collect();
        let crashes = containers.iter().any(|name| faults.crashes(name));
        self.crashing = self.crashing.filter(|_| crashes).or(crashes.then_some(now));
        let policy = text(&pod["spec"]["restartPolicy"]);
        let wait = |due: Timestamp| (due > now).then(|| now.duration_until(due));
        loop {
            match self.state {
                State::Creating { since } => {
                    if containers.iter().any(|name| faults.is_unpullable(name)) {
                        self.state = State::Creating { since: now };
                        return (Stage::Unpullable, None);
                    }
                    let due = since + pace.start;
                    if let Some(left) = wait(due) {
                        return (Stage::Creating, Some(left));
                    }
                    self.state = State::Init { index: 0, since: due };
                }
                State::Init { index, since } => match before(pod).nth(index) {
                    None => self.state = State::Up { since },
                    // It stays beside the others.
                    Some(init) if init["restartPolicy"] == "Always" => {
                        self.state = State::Init { index: index + 1, since };
                    }
                    Some(_) => {
                        let due = since + pace.init;
                        if let Some(left) = wait(due) {
                            return (Stage::Init { index, since }, Some(left));
                        }
                        self.state = State::Init { index: index + 1, since: due };
                    }
                },
                State::Up { since } => {
                    let ready = since + probes(pod, pace);
                    let running = Stage::Running { since, probed: ready <= now };
                    if let Some(noticed) = self.crashing {
                        let due = since.max(noticed) + pace.crash;
                        if let Some(left) = wait(due) {
                            return (running, Some(wait(ready).map_or(left, |it| it.min(left))));
                        }
                        self.ran = Some(since);
                        self.state = match policy {
                            "Never" => State::Ended { well: false, at: due },
                            _ => State::Down { since: due },
                        };
                        continue;
                    }
                    let end = match policy {
                        "Always" => None,
                        _ => Some(since + pace.work),
                    };
                    if let Some(end) = end.filter(|end| *end <= now) {
                        self.ran = Some(since);
                        self.state = State::Ended { well: true, at: end };
                        continue;
                    }
                    return (running, wait(ready).or_else(|| end.and_then(wait)));
                }
                State::Down { since } => {
                    let seconds = backoff(self.restarts);
                    let due = if self.crashing.is_some() {
                        since + SignedDuration::from_secs(seconds)
                    } else {
                        now
                    };
                    if let Some(left) = wait(due) {
                        return (Stage::Backoff { since, seconds }, Some(left));
                    }
                    self.restarts += 1;
                    self.state = State::Up { since: due };
                }
                State::Ended { well, at } => {
                    return (Stage::Ended { well, since: self.ran.unwrap_or(at), at }, None);
                }
            }
        }
    }

    /// It is told to go: how long it still takes, `None` when it is over.
    pub fn stop(&mut self, pod: &Value, pace: &Pace, now: Timestamp) -> Option<SignedDuration> {
        let since = *self.stopping.get_or_insert(now);
        let grace = SignedDuration::from_secs(int(&pod["metadata"]["deletionGracePeriodSeconds"]));
        let left = pace.stop.min(grace) - since.duration_until(now);
        (left > SignedDuration::ZERO).then_some(left)
    }
}

/// Containers that run before the others.
pub fn before(pod: &Value) -> impl Iterator<Item = &Value> {
    items(&pod["spec"]["initContainers"])
}

fn backoff(restarts: i64) -> i64 {
    let doubled = u32::try_from(restarts).ok().and_then(|it| 2_i64.checked_pow(it));
    doubled.and_then(|it| it.checked_mul(BACKOFF)).unwrap_or(LONGEST).min(LONGEST)
}

/// How long the probes of a pod hold it back: the slowest container counts.
fn probes(pod: &Value, pace: &Pace) -> SignedDuration {
    let delay = |container: &Value| {
        let of = |probe: &str| SignedDuration::from_secs(int(&container[probe]["initialDelaySeconds"]));
        of("startupProbe") + of("readinessProbe")
    };
    let slowest = items(&pod["spec"]["containers"]).map(delay).max().unwrap_or(SignedDuration::ZERO);
    slowest.min(pace.probe)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(policy: &str, annotations: &Value) -> Value {
        json!({
            "metadata": { "annotations": annotations },
            "spec": { "restartPolicy": policy, "containers": [{ "name": "a" }], "initContainers": [{ "name": "i" }] },
        })
    }

    fn after(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_000 + seconds).expect("in range")
    }

    #[test]
    fn a_pod_comes_up_step_by_step() {
        let (pod, pace) = (pod("Always", &json!({})), Pace::steady());
        let mut life = Life::begin(after(0));
        let (stage, wait) = life.advance(&pod, &pace, after(0));
        assert_eq!((stage, wait), (Stage::Creating, Some(pace.start)));
        let created = after(0) + pace.start;
        assert_eq!(life.advance(&pod, &pace, created).0, Stage::Init { index: 0, since: created });
        let up = created + pace.init;
        assert_eq!(life.advance(&pod, &pace, up), (Stage::Running { since: up, probed: true }, None));
        // Who looks later sees the same past.
        let mut late = Life::begin(after(0));
        assert_eq!(late.advance(&pod, &pace, after(500)).0, Stage::Running { since: up, probed: true });
    }

    #[test]
    fn work_ends_well_and_what_crashes_once_and_for_all_does_not() {
        let pace = Pace::steady();
        let stage = |pod: &Value| Life::begin(after(0)).advance(pod, &pace, after(500)).0;
        assert!(matches!(stage(&pod("Never", &json!({}))), Stage::Ended { well: true, .. }));
        let mut life = Life::begin(after(0));
        let crashing = pod("Never", &json!({ CRASH: "a" }));
        life.advance(&crashing, &pace, after(0));
        assert!(matches!(life.advance(&crashing, &pace, after(500)).0, Stage::Ended { well: false, .. }));
    }

    #[test]
    fn a_crash_is_waited_out_longer_each_time_and_heals() {
        let (crashing, pace) = (pod("Always", &json!({ CRASH: "true" })), Pace::steady());
        let mut life = Life::begin(after(0));
        let mut now = after(0);
        let mut waits = Vec::new();
        while waits.len() < 7 {
            match life.advance(&crashing, &pace, now) {
                (Stage::Backoff { seconds, .. }, Some(left)) => {
                    waits.push(seconds);
                    now += left;
                }
                (_, Some(left)) => now += left,
                (stage, None) => panic!("{stage:?} for ever"),
            }
        }
        assert_eq!(waits, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(life.restarts, 6);
        let (stage, wait) = life.advance(&pod("Always", &json!({})), &pace, now);
        assert!(matches!((stage, wait), (Stage::Running { .. }, None)), "{stage:?}");
        assert_eq!(life.restarts, 7);
    }
}
