//! What all these controllers say of objects: numbers, conditions, owners, pods.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::{
    kube::{
        object::{finalizers, is_going, meta},
        select::Selector,
        store::Key,
    },
    play::{Cluster, cluster::Refused},
};

/// How long a controller waits before it tries again what the API refused. The real ones begin with milliseconds and
/// double; nothing here gets through sooner by asking more often.
pub const AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// A whole number; what is not there is none.
pub fn int(value: &Value) -> i64 {
    value.as_i64().unwrap_or(0)
}

/// A text; what is not there is empty.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// An annotation; empty when it is not there.
pub fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    text(&object["metadata"]["annotations"][key])
}

/// Elements of a list; what is no list has none.
pub fn items(value: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// A number or a share of a total (`25%`), rounded up or down.
pub fn share(value: &Value, total: i64, up: bool) -> i64 {
    let Some(percent) = value.as_str() else { return int(value) };
    let Some(percent) = percent.strip_suffix('%').and_then(|it| it.parse::<i64>().ok()) else { return 0 };
    let part = percent * total;
    if up { (part + 99).div_euclid(100) } else { part.div_euclid(100) }
}

/// A time out of an object.
pub fn at(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// When it was made, and its name: the order in which controllers take things of the same age.
pub fn age(object: &Value) -> (&str, &str) {
    (meta(object, "creationTimestamp"), meta(object, "name"))
}

/// The key of an object that is stored as that kind.
pub fn key_of(kind: &str, object: &Value) -> Key {
    Cluster::key(kind, meta(object, "namespace"), meta(object, "name"))
}

/// The owner that controls an object.
pub fn controller(object: &Value) -> Option<&Value> {
    items(&object["metadata"]["ownerReferences"]).find(|it| it["controller"] == true)
}

/// Whether an object is controlled by that one.
pub fn is_controlled_by(object: &Value, owner: &Value) -> bool {
    controller(object).is_some_and(|it| it["uid"] == owner["metadata"]["uid"])
}

/// A reference to the owner that controls what bears it.
pub fn owned_by(owner: &Value) -> Value {
    json!({
        "apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta(owner, "name"),
        "uid": meta(owner, "uid"), "controller": true, "blockOwnerDeletion": true,
    })
}

/// A condition of a status.
pub fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    items(&status["conditions"]).find(|it| it["type"] == kind)
}

/// Whether a condition of a status is true.
pub fn is_true(status: &Value, kind: &str) -> bool {
    condition(status, kind).is_some_and(|it| it["status"] == "True")
}

/// Sets a condition, in its place if it is there. The time of its last transition stays with its status; `None` as
/// words leaves them out.
pub fn set_condition(status: &mut Value, kind: &str, value: &str, words: Option<(&str, &str)>, now: &str) {
    let mut condition = json!({ "type": kind, "status": value, "lastTransitionTime": now });
    if let Some((reason, message)) = words {
        condition["reason"] = reason.into();
        condition["message"] = message.into();
    }
    if !status["conditions"].is_array() {
        status["conditions"] = json!([]);
    }
    let Some(all) = status["conditions"].as_array_mut() else { return };
    match all.iter_mut().find(|it| it["type"] == kind) {
        Some(old) => {
            if old["status"] == value {
                condition["lastTransitionTime"] = old["lastTransitionTime"].clone();
            }
            for kept in ["observedGeneration", "lastProbeTime"] {
                if let Some(kept_value) = old.get(kept) {
                    condition[kept] = kept_value.clone();
                }
            }
            *old = condition;
        }
        None => all.push(condition),
    }
}

/// Takes a condition away.
pub fn drop_condition(status: &mut Value, kind: &str) {
    if let Some(all) = status["conditions"].as_array_mut() {
        all.retain(|it| it["type"] != kind);
    }
}

/// Writes a count, or leaves it out when it is none, as the API types do.
pub fn count(status: &mut Value, key: &str, number: i64) {
    match number {
        0 => drop(status.as_object_mut().map(|it| it.shift_remove(key))),
        number => status[key] = number.into(),
    }
}

/// Whether a pod has ended by itself.
pub fn is_finished(pod: &Value) -> bool {
    matches!(text(&pod["status"]["phase"]), "Succeeded" | "Failed")
}

/// Whether a pod counts: it has not ended and is not told to.
pub fn is_active(pod: &Value) -> bool {
    !is_finished(pod) && !is_going(pod)
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    is_true(&pod["status"], "Ready")
}

/// Whether a pod has been ready for that many seconds, or how long it still takes.
pub fn availability(pod: &Value, seconds: i64, now: Timestamp) -> Availability {
    let Some(ready) = condition(&pod["status"], "Ready").filter(|it| it["status"] == "True") else {
        return Availability::NotReady;
    };
    let since = at(&ready["lastTransitionTime"]).unwrap_or(now);
    let left = since.duration_until(now);
    let left = SignedDuration::from_secs(seconds) - left;
    if seconds == 0 || left <= SignedDuration::ZERO { Availability::Now } else { Availability::In(left) }
}

/// Whether a pod is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Availability {
    /// It is not even ready.
    NotReady,
    /// It is ready, and will be available after this time.
    In(SignedDuration),
    /// It is.
    Now,
}

/// Ten letters and digits that stand for a template: the same ones for the same template. The real ones hash Go's way
/// of printing it, which nothing else can repeat.
pub fn hash(template: &Value, collisions: i64) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut sum = 0x811c_9dc5_u32;
    let mut add =
        |bytes: &[u8]| bytes.iter().for_each(|byte| sum = (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
    walk(template, &mut add);
    if collisions > 0 {
        add(&collisions.to_le_bytes());
    }
    sum.to_string().bytes().map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()])).collect()
}

/// Every value in one order, however its fields came.
fn walk(value: &Value, add: &mut impl FnMut(&[u8])) {
    match value {
        Value::Object(map) => {
            let mut fields: Vec<_> = map.iter().collect();
            fields.sort_by_key(|(key, _)| *key);
            add(b"{");
            for (key, value) in fields {
                add(key.as_bytes());
                add(b":");
                walk(value, add);
            }
            add(b"}");
        }
        Value::Array(items) => {
            add(b"[");
            for item in items {
                walk(item, add);
                add(b",");
            }
            add(b"]");
        }
        other => add(other.to_string().as_bytes()),
    }
}

/// A pod from a template.
pub fn pod_from(template: &Value, owner: &Value) -> Value {
    let mut metadata = json!({ "namespace": meta(owner, "namespace"), "ownerReferences": [owned_by(owner)] });
    for key in ["labels", "annotations", "finalizers"] {
        if let Some(value) = template["metadata"].get(key) {
            metadata[key] = value.clone();
        }
    }
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"] })
}

/// Makes a pod for its owner, and tells.
///
/// # Errors
/// What the API refuses; that is told too.
pub fn create_pod(cluster: &Cluster, by: &str, owner: &Value, pod: &Value) -> Result<Arc<Value>, Refused> {
    match cluster.create(by, "/pods", pod) {
        Ok(pod) => {
            cluster.event(
                by,
                owner,
                "Normal",
                "SuccessfulCreate",
                &format!("Created pod: {}", meta(&pod, "name")),
            );
            Ok(pod)
        }
        Err(refused) => {
            // In a namespace that is going everything is refused; nobody wants to hear of it.
            if !refused.message.contains("because it is being terminated") {
                cluster.event(by, owner, "Warning", "FailedCreate", &format!("Error creating: {refused}"));
            }
            Err(refused)
        }
    }
}

/// Deletes a pod for its owner, and tells.
///
/// # Errors
/// What the API refuses; that is told too.
pub fn delete_pod(cluster: &Cluster, by: &str, owner: &Value, pod: &Value) -> Result<(), Refused> {
    let name = meta(pod, "name");
    match cluster.delete(by, &key_of("/pods", pod)) {
        Ok(()) => {
            cluster.event(by, owner, "Normal", "SuccessfulDelete", &format!("Deleted pod: {name}"));
            Ok(())
        }
        Err(refused) => {
            cluster.event(by, owner, "Warning", "FailedDelete", &format!("Error deleting: {refused}"));
            Err(refused)
        }
    }
}

/// Objects of a kind that belong to an owner: those it controls, without those that its selector does not select any
/// more (they are let go), and with those that it selects and nobody controls (they are taken in).
pub fn claim(cluster: &Cluster, by: &str, kind: &str, owner: &Value) -> Vec<Arc<Value>> {
    let Ok(selector) = Selector::of_object(&owner["spec"]["selector"]) else { return Vec::new() };
    let all = cluster.list(kind, Some(meta(owner, "namespace")));
    all.into_iter().filter_map(|object| claim_one(cluster, by, kind, owner, &selector, object)).collect()
}

fn claim_one(
    cluster: &Cluster,
    by: &str,
    kind: &str,
    owner: &Value,
    selector: &Selector,
    object: Arc<Value>,
) -> Option<Arc<Value>> {
    let selected = selector.matches(&object);
    let key = key_of(kind, &object);
    match controller(&object) {
        Some(of) if of["uid"] != owner["metadata"]["uid"] => None,
        Some(_) if selected => Some(object),
        Some(_) if is_going(owner) => None,
        Some(_) => {
            let uid = meta(owner, "uid");
            let released = cluster.change(by, &key, |object| {
                if let Some(owners) = object["metadata"]["ownerReferences"].as_array_mut() {
                    owners.retain(|it| it["uid"] != uid);
                }
            });
            // Refused or gone: it will be looked at again with the next change.
            drop(released);
            None
        }
        None if !selected || is_going(owner) || is_going(&object) => None,
        None if kind == "/pods" && is_finished(&object) => None,
        None => {
            let reference = owned_by(owner);
            let adopted = cluster.change(by, &key, |object| {
                let meta = &mut object["metadata"];
                if !meta["ownerReferences"].is_array() {
                    meta["ownerReferences"] = json!([]);
                }
                if let Some(owners) = meta["ownerReferences"].as_array_mut()
                    && owners.iter().all(|it| it["uid"] != reference["uid"])
                {
                    owners.push(reference.clone());
                }
            });
            adopted.ok().flatten()
        }
    }
}

/// Objects of a kind, in the namespace of this one, whose selector selects it: who may want to take it in.
pub fn selecting(cluster: &Cluster, kind: &str, object: &Value) -> Vec<Key> {
    let all = cluster.list(kind, Some(meta(object, "namespace")));
    let selects = |it: &Arc<Value>| {
        it["spec"]["selector"].is_object()
            && Selector::of_object(&it["spec"]["selector"]).is_ok_and(|selector| selector.matches(object))
    };
    all.iter().filter(|it| selects(it)).map(|it| key_of(kind, it)).collect()
}

/// Whose business a dependent object is: its controller's of that kind, or, without a controller, of all that select it.
pub fn owners_of(cluster: &Cluster, object: &Value, kind: &str, stored_as: &str) -> Vec<Key> {
    match controller(object) {
        Some(_) => Cluster::controller_of(object, kind, stored_as).into_iter().collect(),
        None => selecting(cluster, stored_as, object),
    }
}

/// Adds a finalizer.
pub fn hold(object: &mut Value, finalizer: &str) {
    if !finalizers(object).contains(&finalizer) {
        if !object["metadata"]["finalizers"].is_array() {
            object["metadata"]["finalizers"] = json!([]);
        }
        if let Some(all) = object["metadata"]["finalizers"].as_array_mut() {
            all.push(finalizer.into());
        }
    }
}

/// Takes a finalizer away.
pub fn let_go(object: &mut Value, finalizer: &str) {
    if let Some(all) = object["metadata"]["finalizers"].as_array_mut() {
        all.retain(|it| it != finalizer);
    }
}

/// The sooner of two waits.
pub fn sooner(one: Option<SignedDuration>, two: Option<SignedDuration>) -> Option<SignedDuration> {
    match (one, two) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_rounded_as_asked() {
        for (value, total, up, wanted) in [
            (json!("25%"), 3, true, 1),
            (json!("25%"), 3, false, 0),
            (json!(2), 9, true, 2),
            (json!("x"), 9, true, 0),
        ] {
            assert_eq!(share(&value, total, up), wanted, "{value} of {total}");
        }
    }

    #[test]
    fn a_hash_is_of_the_content_and_not_of_its_order() {
        let one = hash(&json!({"a": 1, "b": [1, 2]}), 0);
        assert_eq!(one, hash(&json!({"b": [1, 2], "a": 1}), 0));
        assert_ne!(one, hash(&json!({"b": [2, 1], "a": 1}), 0));
        assert_ne!(one, hash(&json!({"a": 1, "b": [1, 2]}), 1));
        assert!((8..=10).contains(&one.len()), "{one}");
    }

    #[test]
    fn a_condition_keeps_the_time_of_its_last_transition() {
        let mut status = json!({});
        set_condition(&mut status, "Ready", "False", Some(("A", "a")), "1");
        set_condition(&mut status, "Ready", "False", Some(("B", "b")), "2");
        assert_eq!(
            (&status["conditions"][0]["lastTransitionTime"], &status["conditions"][0]["reason"]),
            (&json!("1"), &json!("B"))
        );
        set_condition(&mut status, "Ready", "True", None, "3");
        assert_eq!(
            status["conditions"],
            json!([{"type": "Ready", "status": "True", "lastTransitionTime": "3"}])
        );
    }
}
