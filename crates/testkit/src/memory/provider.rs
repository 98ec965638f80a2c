//! The provider of the in-memory cloud.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{Timestamp, ToSpan};
use platform_provider::{
    Access, Capabilities, ClusterRequest, Description, Ensured, InventoryRequest, Kubeconfig, Observation,
    Owned, Ownership, Provider, Removed, Resource, ResourceCall, Retry, SecretString, Thing, Wait,
    resource::CONTROL_PLANE,
};
use platform_spec::{
    Class, Code, Failure,
    report::{Finding, Severity},
};
use serde_json::{Value, json};

use super::{
    cloud::{CallRecord, MemoryCloud, Object, Phase, State},
    fault::{Verb, What},
};

/// The tags by which the provider finds its own.
const PLATFORM_TAG: &str = "platform.dev/name";
const CLUSTER_TAG: &str = "platform.dev/cluster";
const RESOURCE_TAG: &str = "platform.dev/resource";

/// The provider of a [`MemoryCloud`]. Remembers nothing itself: a new one on the same cloud is a restarted process.
#[derive(Clone)]
pub struct MemoryProvider {
    cloud: MemoryCloud,
}

/// What a call is about, for the log and the faults.
struct About<'a> {
    verb: Verb,
    cluster: &'a str,
    resource: &'a str,
    token: &'a str,
    attempt: u32,
}

/// What the effect of a call has to know about the fault at it.
struct Struck {
    n: u64,
    stale: bool,
    slower_ms: u64,
    breaks: Option<String>,
}

impl MemoryProvider {
    /// A provider on a cloud.
    pub fn new(cloud: &MemoryCloud) -> Self {
        Self { cloud: cloud.clone() }
    }

    /// One call: log, fault before, effect, fault after.
    async fn call<T>(
        &self,
        about: About<'_>,
        effect: impl FnOnce(&mut State, i64, &Struck) -> Result<T, Failure> + Send,
    ) -> Result<T, Failure> {
        let record = CallRecord {
            n: 0,
            verb: about.verb,
            cluster: about.cluster.to_owned(),
            resource: about.resource.to_owned(),
            token: about.token.to_owned(),
            attempt: about.attempt,
            changed: false,
        };
        let (n, what) = self.cloud.with(|state, _| state.enter(record));
        let what_it_did = format!("could not {} `{}`", word(about.verb), about.resource);
        let refuse = |class| Err(refusal(class, &what_it_did));
        let mut struck = Struck { n, stale: false, slower_ms: 0, breaks: None };
        match &what {
            Some(What::Refuse(class)) => return refuse(*class),
            Some(What::NoCapacityUntil(_)) => return refuse(Class::Capacity),
            Some(What::Hang) => std::future::pending::<()>().await,
            Some(What::Crash) => self.cloud.crash(),
            Some(What::Stale) => struck.stale = true,
            Some(What::Slow(ms)) => struck.slower_ms = *ms,
            Some(What::EndBroken(why)) => struck.breaks = Some(why.clone()),
            Some(What::LoseReply | What::HangAfter | What::CrashAfter) | None => {}
        }
        let result = self.cloud.with(|state, now| effect(state, now, &struck));
        match &what {
            Some(What::LoseReply) => refuse(Class::Retryable),
            Some(What::HangAfter) => std::future::pending().await,
            Some(What::CrashAfter) => {
                self.cloud.crash();
                result
            }
            _ => result,
        }
    }
}

fn word(verb: Verb) -> &'static str {
    match verb {
        Verb::Preflight => "look ahead for",
        Verb::Observe => "look at",
        Verb::Ensure => "make",
        Verb::Remove => "remove",
        Verb::ListOwned => "list what belongs to",
        Verb::Access => "reach",
    }
}

/// A refusal as a cloud words it, classified as a provider must.
fn refusal(class: Class, deed: &str) -> Failure {
    let words = match class {
        Class::Retryable => "InternalError: connection reset by peer",
        Class::Throttled => "ThrottlingException: Rate exceeded",
        Class::Capacity => "InsufficientCapacity: out of host capacity in this zone",
        Class::Quota => "LimitExceeded: the account's limit for this shape is 0",
        Class::AuthExpired => "ExpiredToken: the security token included in the request is expired",
        Class::Forbidden => "AccessDenied: the principal is not allowed to do this",
        Class::ConflictInProgress => "ResourceInUse: another operation is in progress",
        Class::DependencyViolation => "DependencyViolation: the resource has dependent objects",
        Class::NotFound => "NotFound: there is no such resource",
        Class::Config => "ValidationError: the request is not valid",
        Class::Bug => "UnexpectedAnswer: the reply has no known shape",
    };
    let failure = Failure::new(Code::new("P0203"), class, deed).because(words);
    match class {
        Class::Throttled => failure.retry_after_ms(1000),
        Class::DependencyViolation => failure.blocked_by(vec!["network-interface eni-1".to_owned()]),
        _ => failure,
    }
}

fn kind_of(resource: &str) -> &str {
    resource.split('/').next().unwrap_or(resource)
}

fn name_of(platform: &str, cluster: &str, resource: &str) -> String {
    format!("{platform}-{cluster}-{}", resource.replace('/', "-"))
}

/// What a resource is asked to be.
fn intent_of(cluster: &ClusterRequest, resource: &str) -> Value {
    match kind_of(resource) {
        CONTROL_PLANE => json!({"version": cluster.kubernetes_version, "region": cluster.region}),
        "pool" => json!({"nodes": cluster.spec.get("nodes")}),
        _ => json!({"region": cluster.region}),
    }
}

fn make_ms(state: &State, resource: &str) -> u64 {
    match kind_of(resource) {
        CONTROL_PLANE => state.pace.control_plane_ms,
        "pool" => state.pace.pool_ms,
        _ => state.pace.network_ms,
    }
}

/// An object that nobody of us made.
pub(super) fn foreign(platform: &str, cluster: &str, resource: &str) -> Object {
    Object {
        id: String::new(),
        kind: kind_of(resource).to_owned(),
        name: name_of(platform, cluster, resource),
        tags: BTreeMap::new(),
        intent: Value::Null,
        phase: Phase::Ready,
        attached_to: Vec::new(),
        made_at_ms: 0,
    }
}

/// Our objects for a resource, by tags; when there are none, foreign ones of that name.
pub(super) fn find(state: &State, platform: &str, cluster: &str, resource: &str) -> Vec<Object> {
    let tagged = |object: &&Object| {
        let tag = |key: &str| object.tags.get(key).map(String::as_str);
        tag(PLATFORM_TAG) == Some(platform)
            && tag(CLUSTER_TAG) == Some(cluster)
            && tag(RESOURCE_TAG) == Some(resource)
    };
    let ours: Vec<Object> = state.objects.values().filter(tagged).cloned().collect();
    if !ours.is_empty() {
        return ours;
    }
    let name = name_of(platform, cluster, resource);
    state.objects.values().filter(|object| object.tags.is_empty() && object.name == name).cloned().collect()
}

fn found(state: &State, call: &ResourceCall, struck: &Struck) -> Vec<Object> {
    if struck.stale {
        return Vec::new();
    }
    find(state, call.cluster.platform.as_str(), &call.cluster.cluster, &call.resource)
}

fn is_ours(object: &Object) -> bool {
    object.tags.contains_key(PLATFORM_TAG)
}

fn thing(object: &Object) -> Thing {
    Thing {
        external_id: object.id.clone(),
        ownership: if is_ours(object) { Ownership::Owned } else { Ownership::Adopted },
        outputs: json!({"id": object.id, "name": object.name, "zone": object.intent.get("zone")}),
    }
}

/// The wait for a transition that ends at `until_ms`.
fn wait(doing: &str, object: &Object, operation: &str, until_ms: i64, now: i64) -> Wait {
    let left = u64::try_from(until_ms - now).unwrap_or(0);
    Wait {
        operation: json!({"operation": operation}),
        waiting_for: format!("{} `{}` to be {doing}", object.kind, object.name),
        // As providers do: not more often than makes sense, not later than half a minute.
        poll_after_ms: left.clamp(1, 30_000),
    }
}

/// `None` when it is as asked.
fn difference(object: &Object, call: &ResourceCall) -> Option<String> {
    let want = intent_of(&call.cluster, &call.resource);
    let differs = |(key, value): (&String, &Value)| {
        let is = object.intent.get(key).unwrap_or(&Value::Null);
        (is_ours(object) && is != value).then(|| format!("{key} is {is}, wanted {value}"))
    };
    let differences: Vec<String> = want.as_object()?.iter().filter_map(differs).collect();
    (!differences.is_empty()).then(|| differences.join(", "))
}

/// An outside that knows the lease's epoch refuses an older holder.
fn check_epoch(state: &mut State, call: &ResourceCall) -> Result<(), Failure> {
    let newest = state.epochs.entry(call.cluster.platform.as_str().to_owned()).or_default();
    if call.epoch < *newest {
        return Err(refusal(Class::ConflictInProgress, &format!("could not change `{}`", call.resource))
            .because(format!("the call carries epoch {}, and {newest} has been seen", call.epoch)));
    }
    *newest = call.epoch;
    Ok(())
}

fn look(state: &State, now: i64, call: &ResourceCall, struck: &Struck) -> Observation {
    let objects = found(state, call, struck);
    let [object] = objects.as_slice() else {
        let ids: Vec<&str> = objects.iter().map(|object| object.id.as_str()).collect();
        return match ids.len() {
            0 => Observation::Absent,
            n => Observation::Broken { why: format!("there are {n} of it: {}", ids.join(", ")) },
        };
    };
    match &object.phase {
        Phase::Ready => Observation::Present { thing: thing(object), differs: difference(object, call) },
        Phase::Working { operation, until_ms, .. } => {
            Observation::InProgress(wait("ready", object, operation, *until_ms, now))
        }
        Phase::Going { operation, until_ms } => {
            Observation::InProgress(wait("gone", object, operation, *until_ms, now))
        }
        Phase::Broken(why) => Observation::Broken { why: why.clone() },
    }
}

fn make(state: &mut State, now: i64, call: &ResourceCall, struck: &Struck) -> Result<Ensured, Failure> {
    check_epoch(state, call)?;
    let known = found(state, call, struck).into_iter().next();
    let by_token = || state.tokens.get(&call.token).and_then(|id| state.objects.get(id)).cloned();
    let mut object = match known.or_else(by_token) {
        None => create(state, now, call)?,
        Some(object) => match &object.phase {
            Phase::Ready if difference(&object, call).is_none() => {
                return Ok(Ensured::Done { thing: thing(&object), changed: false });
            }
            Phase::Working { operation, until_ms, .. } => {
                return Ok(Ensured::InProgress(wait("ready", &object, operation, *until_ms, now)));
            }
            Phase::Going { .. } => {
                return Err(refusal(
                    Class::ConflictInProgress,
                    &format!("could not make `{}`", call.resource),
                ));
            }
            Phase::Ready | Phase::Broken(_) => object,
        },
    };
    state.changed(struck.n);
    if let (Some(have), Some(want)) =
        (object.intent.as_object_mut(), intent_of(&call.cluster, &call.resource).as_object())
    {
        have.extend(want.clone());
    }
    let ms = make_ms(state, &call.resource) + struck.slower_ms;
    let operation = state.operation();
    let until_ms = now + ms.cast_signed();
    object.phase = match (ms, &struck.breaks) {
        (0, None) => Phase::Ready,
        (0, Some(why)) => Phase::Broken(why.clone()),
        _ => Phase::Working { operation: operation.clone(), until_ms, breaks: struck.breaks.clone() },
    };
    state.objects.insert(object.id.clone(), object.clone());
    match &object.phase {
        Phase::Broken(why) => {
            Err(refusal(Class::Config, &format!("could not make `{}`", call.resource)).because(why))
        }
        Phase::Ready => Ok(Ensured::Done { thing: thing(&object), changed: true }),
        _ => Ok(Ensured::InProgress(wait("ready", &object, &operation, until_ms, now))),
    }
}

/// Makes a new object, unless a quota or a missing need forbids it.
fn create(state: &mut State, now: i64, call: &ResourceCall) -> Result<Object, Failure> {
    let deed = format!("could not make `{}`", call.resource);
    if state.quota.is_some_and(|quota| state.objects.len() as u64 >= quota) {
        return Err(refusal(Class::Quota, &deed).hint("ask for a higher limit, then `platform resume`"));
    }
    let graph = graph();
    let Some(resource) = graph.iter().find(|resource| resource.id == call.resource) else {
        return Err(unknown(&call.resource));
    };
    let mut below = Vec::new();
    for need in &resource.needs {
        let ready = find(state, call.cluster.platform.as_str(), &call.cluster.cluster, need)
            .into_iter()
            .find(|object| object.phase == Phase::Ready);
        let Some(object) = ready else {
            return Err(
                refusal(Class::Config, &deed).because(format!("it needs `{need}`, which is not ready"))
            );
        };
        below.push(object.id);
    }
    let mut object = foreign(call.cluster.platform.as_str(), &call.cluster.cluster, &call.resource);
    object.tags = call.cluster.tags.clone();
    object.tags.insert(PLATFORM_TAG.to_owned(), call.cluster.platform.as_str().to_owned());
    object.tags.insert(CLUSTER_TAG.to_owned(), call.cluster.cluster.clone());
    object.tags.insert(RESOURCE_TAG.to_owned(), call.resource.clone());
    object.intent = json!({"zone": format!("zone-{}", (call.attempt.max(1) - 1) % 3 + 1)});
    object.attached_to = below;
    let id = state.make(object, now);
    state.tokens.insert(call.token.clone(), id.clone());
    Ok(state.objects[&id].clone())
}

fn take(state: &mut State, now: i64, call: &ResourceCall, struck: &Struck) -> Result<Removed, Failure> {
    check_epoch(state, call)?;
    let Some(mut object) = found(state, call, struck).into_iter().next() else {
        return Ok(Removed::Done);
    };
    if !is_ours(&object) {
        return Ok(Removed::Kept { why: format!("{} `{}` was there before us", object.kind, object.name) });
    }
    match &object.phase {
        Phase::Going { operation, until_ms } => {
            return Ok(Removed::InProgress(wait("gone", &object, operation, *until_ms, now)));
        }
        Phase::Working { .. } => {
            return Err(refusal(Class::ConflictInProgress, &format!("could not remove `{}`", call.resource)));
        }
        Phase::Ready | Phase::Broken(_) => {}
    }
    let by = state.blockers(&object.id);
    if !by.is_empty() {
        return Ok(Removed::Blocked { by });
    }
    state.changed(struck.n);
    let ms = state.pace.remove_ms + struck.slower_ms;
    if ms == 0 {
        state.objects.remove(&object.id);
        return Ok(Removed::Done);
    }
    let operation = state.operation();
    let until_ms = now + ms.cast_signed();
    object.phase = Phase::Going { operation: operation.clone(), until_ms };
    state.objects.insert(object.id.clone(), object.clone());
    Ok(Removed::InProgress(wait("gone", &object, &operation, until_ms, now)))
}

/// By tag, and by attachment to what is tagged.
fn inventory(state: &State, now: i64, owner: &InventoryRequest) -> Vec<Owned> {
    let cluster_of = |object: &Object| -> Option<String> {
        (object.tags.get(PLATFORM_TAG).map(String::as_str) == Some(owner.platform.as_str()))
            .then(|| object.tags.get(CLUSTER_TAG).cloned().unwrap_or_default())
    };
    let attached = |object: &Object| {
        object.attached_to.iter().find_map(|below| state.objects.get(below).and_then(cluster_of))
    };
    let mut owned = Vec::new();
    for object in state.objects.values() {
        let Some(cluster) = cluster_of(object).or_else(|| attached(object)) else { continue };
        if owner.cluster.as_ref().is_some_and(|only| *only != cluster) {
            continue;
        }
        owned.push(Owned {
            kind: object.kind.clone(),
            id: object.id.clone(),
            name: object.name.clone(),
            cluster: Some(cluster),
            age_ms: u64::try_from(now - object.made_at_ms).ok(),
            blocked_by: state.blockers(&object.id),
        });
    }
    owned
}

fn graph() -> Vec<Resource> {
    vec![
        Resource::new("network", "network in memory", Retry::R2).takes(60_000, 600_000),
        Resource::new(CONTROL_PLANE, "control plane in memory", Retry::R2)
            .needs(&["network"])
            .takes(600_000, 1_800_000),
        Resource::new("pool/default", "node pool in memory", Retry::R3)
            .needs(&[CONTROL_PLANE])
            .takes(180_000, 86_400_000),
    ]
}

fn unknown(resource: &str) -> Failure {
    Failure::new(
        Code::new("P0216"),
        Class::Bug,
        format!("the in-memory provider has no resource `{resource}`"),
    )
}

fn about<'a>(verb: Verb, call: &'a ResourceCall) -> About<'a> {
    let ResourceCall { cluster, resource, token, attempt, .. } = call;
    About { verb, cluster: &cluster.cluster, resource, token, attempt: *attempt }
}

fn about_cluster(verb: Verb, cluster: &str) -> About<'_> {
    About { verb, cluster, resource: "", token: "", attempt: 1 }
}

#[async_trait]
impl Provider for MemoryProvider {
    async fn describe(&self) -> Result<Description, Failure> {
        Ok(Description {
            kind: "memory".to_owned(),
            summary: "a cloud in memory, for tests".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            capabilities: Capabilities {
                makes_clusters: true,
                load_balancer: true,
                ..Capabilities::default()
            },
            tools: Vec::new(),
            credentials: Vec::new(),
            config_schema: Value::Null,
        })
    }

    async fn preflight(&self, cluster: &ClusterRequest) -> Result<Vec<Finding>, Failure> {
        self.call(about_cluster(Verb::Preflight, &cluster.cluster), |state, _, _| {
            let wanted = graph().len() as u64;
            let free = state.quota.map(|quota| quota.saturating_sub(state.objects.len() as u64));
            let exists = state.objects.values().any(|o| o.tags.get(CLUSTER_TAG) == Some(&cluster.cluster));
            Ok(free
                .filter(|free| *free < wanted && !exists)
                .map(|free| Finding {
                    code: Code::new("P0203"),
                    severity: Severity::Error,
                    message: format!(
                        "cluster `{}` needs {wanted} objects, the quota leaves {free}",
                        cluster.cluster
                    ),
                    hint: Some("ask for a higher limit".to_owned()),
                    file: None,
                    line: None,
                    column: None,
                    path: None,
                })
                .into_iter()
                .collect())
        })
        .await
    }

    async fn resources(&self, _cluster: &ClusterRequest) -> Result<Vec<Resource>, Failure> {
        Ok(graph())
    }

    async fn observe(&self, call: &ResourceCall) -> Result<Observation, Failure> {
        self.call(about(Verb::Observe, call), |state, now, struck| Ok(look(state, now, call, struck))).await
    }

    async fn ensure(&self, call: &ResourceCall) -> Result<Ensured, Failure> {
        platform_provider::progress::say(&format!("making `{}`", call.resource));
        self.call(about(Verb::Ensure, call), |state, now, struck| make(state, now, call, struck)).await
    }

    async fn remove(&self, call: &ResourceCall) -> Result<Removed, Failure> {
        self.call(about(Verb::Remove, call), |state, now, struck| take(state, now, call, struck)).await
    }

    async fn list_owned(&self, owner: &InventoryRequest) -> Result<Vec<Owned>, Failure> {
        let cluster = owner.cluster.as_deref().unwrap_or_default();
        self.call(about_cluster(Verb::ListOwned, cluster), |state, now, _| Ok(inventory(state, now, owner)))
            .await
    }

    async fn access(&self, cluster: &ClusterRequest) -> Result<Access, Failure> {
        self.call(about_cluster(Verb::Access, &cluster.cluster), |state, now, _| {
            let platform = cluster.platform.as_str();
            if !find(state, platform, &cluster.cluster, CONTROL_PLANE).iter().any(|o| o.phase == Phase::Ready)
            {
                return Err(refusal(
                    Class::NotFound,
                    &format!("could not reach cluster `{}`", cluster.cluster),
                ));
            }
            let yaml = state
                .kubeconfigs
                .get(&cluster.cluster)
                .cloned()
                .unwrap_or_else(|| kubeconfig(&cluster.cluster));
            let now = Timestamp::from_millisecond(now).ok();
            Ok(Access {
                kubeconfig: Kubeconfig::Value(SecretString::from(yaml)),
                context: None,
                expires: now.and_then(|now| now.checked_add(1.hour()).ok()),
            })
        })
        .await
    }
}

/// A kubeconfig that leads nowhere; its token is a bait for tests that look for leaks.
fn kubeconfig(cluster: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: {cluster}\n\
         clusters:\n- name: {cluster}\n  cluster: {{server: 'https://{cluster}.memory.invalid'}}\n\
         contexts:\n- name: {cluster}\n  context: {{cluster: {cluster}, user: {cluster}}}\n\
         users:\n- name: {cluster}\n  user: {{token: memory-token-of-{cluster}}}\n"
    )
}
