//! What the provider's verbs do to the cloud: each a function of the cloud's state, the time and the call.

use std::collections::BTreeMap;

use platform_provider::{
    ClusterRequest, Ensured, InventoryRequest, Life, Observation, Owned, Ownership, Removed, Resource,
    ResourceCall, Retry, Thing, Wait,
    life::{ALIVE_UNTIL_TAG, MADE_FOR_TAG},
    resource::CONTROL_PLANE,
};
use platform_spec::{Class, Code, Failure};
use serde_json::{Value, json};

use super::cloud::{Object, Phase, State};

/// The tags by which the provider finds its own.
pub(super) const PLATFORM_TAG: &str = "platform.dev/name";
pub(super) const CLUSTER_TAG: &str = "platform.dev/cluster";
pub(super) const RESOURCE_TAG: &str = "platform.dev/resource";

/// What the effect of a call has to know about the fault at it.
pub(super) struct Struck {
    /// The call's number.
    pub n: u64,
    pub stale: bool,
    pub slower_ms: u64,
    pub breaks: Option<String>,
}

/// A refusal as a cloud words it, classified as a provider must.
pub(super) fn refusal(class: Class, deed: &str) -> Failure {
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
pub(super) fn wait(doing: &str, object: &Object, operation: &str, until_ms: i64, now: i64) -> Wait {
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

pub(super) fn look(state: &State, now: i64, call: &ResourceCall, struck: &Struck) -> Observation {
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

pub(super) fn make(
    state: &mut State,
    now: i64,
    call: &ResourceCall,
    struck: &Struck,
) -> Result<Ensured, Failure> {
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
    if let Some(Life { owner, until }) = &call.cluster.life {
        object.tags.insert(MADE_FOR_TAG.to_owned(), owner.clone());
        object.tags.insert(ALIVE_UNTIL_TAG.to_owned(), Life::tag(*until));
    }
    object.intent = json!({"zone": format!("zone-{}", (call.attempt.max(1) - 1) % 3 + 1)});
    object.attached_to = below;
    let id = state.make(object, now);
    state.tokens.insert(call.token.clone(), id.clone());
    Ok(state.objects[&id].clone())
}

pub(super) fn take(
    state: &mut State,
    now: i64,
    call: &ResourceCall,
    struck: &Struck,
) -> Result<Removed, Failure> {
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
pub(super) fn inventory(state: &State, now: i64, owner: &InventoryRequest) -> Vec<Owned> {
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

pub(super) fn graph() -> Vec<Resource> {
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
