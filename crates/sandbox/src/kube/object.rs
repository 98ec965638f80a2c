//! What every object has: names, versions, times, finalizers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{catalog::Resource, refusal::Refusal};

/// Where an API takes time from.
pub type Now = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Makes ids and name endings. The same seed makes the same ones: a simulation can be played again.
#[derive(Debug)]
pub struct Ids {
    seed: u64,
    count: AtomicU64,
}

impl Ids {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, count: AtomicU64::new(0) }
    }

    fn next(&self) -> [u8; 32] {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(count.to_be_bytes());
        hash.finalize().into()
    }

    /// A UUID of version 4.
    pub fn uid(&self) -> String {
        let bytes = self.next();
        let hex = hex::encode(&bytes[..16]);
        // Version and variant stand at fixed places (RFC 9562, section 5.4).
        let variant = char::from(b"89ab"[usize::from(bytes[16] % 4)]);
        format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32])
    }

    /// Five letters and digits that form no words, as `generateName` gets.
    pub fn ending(&self) -> String {
        const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        self.next()
            .iter()
            .take(5)
            .map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]))
            .collect()
    }
}

/// A time as objects hold it: whole seconds, UTC.
pub fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A time some seconds later, or the end of time.
pub fn later(at: Timestamp, seconds: u64) -> Timestamp {
    let by = jiff::SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Whether a value is what Go calls zero: `null`, `false`, 0, or empty.
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(it) => !it,
        Value::Number(it) => it.as_f64() == Some(0.0),
        Value::String(it) => it.is_empty(),
        Value::Array(it) => it.is_empty(),
        Value::Object(it) => it.is_empty(),
    }
}

/// The metadata; an object without any gets some.
pub fn metadata(object: &mut Value) -> &mut Map<String, Value> {
    if !object["metadata"].is_object() {
        object["metadata"] = json!({});
    }
    match &mut object["metadata"] {
        Value::Object(map) => map,
        _ => unreachable!("it was made an object above"),
    }
}

/// A text of the metadata; empty when it is not there.
pub fn meta<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"][key].as_str().unwrap_or_default()
}

/// The finalizers.
pub fn finalizers(object: &Value) -> Vec<&str> {
    object["metadata"]["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

/// Puts the head of an object first, where people look for it, and drops metadata that is empty.
pub fn tidy(object: &mut Value) {
    let Value::Object(fields) = object else { return };
    let rest = std::mem::take(fields);
    let mut rest: Vec<(String, Value)> = rest.into_iter().collect();
    rest.sort_by_key(|(key, _)| match key.as_str() {
        "apiVersion" => 0,
        "kind" => 1,
        "metadata" => 2,
        "status" => 4,
        _ => 3,
    });
    fields.extend(rest);
    if let Some(Value::Object(meta)) = fields.get_mut("metadata") {
        for key in ["labels", "annotations", "finalizers", "ownerReferences"] {
            let empty = match meta.get(key) {
                Some(Value::Object(map)) => map.is_empty(),
                Some(Value::Array(items)) => items.is_empty(),
                Some(Value::Null) => true,
                _ => false,
            };
            if empty {
                meta.shift_remove(key);
            }
        }
    }
}

/// Whether it is told to go.
pub fn is_going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Kinds whose `generation` counts changes of what is asked for; all custom ones do.
const COUNTED: &[&str] = &[
    "/pods",
    "/podtemplates",
    "/replicationcontrollers",
    "apps/daemonsets",
    "apps/deployments",
    "apps/replicasets",
    "apps/statefulsets",
    "batch/cronjobs",
    "batch/jobs",
    "networking.k8s.io/ingresses",
    "networking.k8s.io/networkpolicies",
    "policy/poddisruptionbudgets",
    "apiextensions.k8s.io/customresourcedefinitions",
    "admissionregistration.k8s.io/mutatingwebhookconfigurations",
    "admissionregistration.k8s.io/validatingwebhookconfigurations",
    "admissionregistration.k8s.io/validatingadmissionpolicies",
    "admissionregistration.k8s.io/validatingadmissionpolicybindings",
    "flowcontrol.apiserver.k8s.io/flowschemas",
    "flowcontrol.apiserver.k8s.io/prioritylevelconfigurations",
];

/// Whether objects of a kind count their generations.
pub fn is_counted(resource: &Resource) -> bool {
    resource.custom.is_some() || COUNTED.contains(&&*resource.stored_as)
}

/// Gives a new object what only the server may give.
pub fn stamp(object: &mut Value, resource: &Resource, now: Timestamp, ids: &Ids) {
    let counted = is_counted(resource);
    let meta = metadata(object);
    for servers in ["selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "resourceVersion"] {
        meta.remove(servers);
    }
    meta.insert("uid".into(), ids.uid().into());
    meta.insert("creationTimestamp".into(), time(now).into());
    match counted {
        true => drop(meta.insert("generation".into(), 1.into())),
        false => drop(meta.remove("generation")),
    }
    if resource.has_status()
        && let Some(object) = object.as_object_mut()
        && resource.plural != "namespaces"
    {
        object.remove("status");
    }
}

/// Carries over what a writer cannot change, and counts the generation when what is asked for differs.
pub fn carry_over(old: &Value, new: &mut Value, resource: &Resource) {
    let before = old["metadata"].as_object();
    let meta = metadata(new);
    for servers in [
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generation",
        "generateName",
        "selfLink",
    ] {
        match before.and_then(|before| before.get(servers)) {
            Some(value) => drop(meta.insert(servers.into(), value.clone())),
            None if servers == "generateName" => {}
            None => drop(meta.remove(servers)),
        }
    }
    if is_counted(resource) && asked(old) != asked(new) {
        let generation = old["metadata"]["generation"].as_u64().unwrap_or(0) + 1;
        metadata(new).insert("generation".into(), generation.into());
    }
}

/// What an object asks for: all but who it is and how it is.
fn asked(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    let mut asked: Vec<_> = fields
        .filter(|(key, _)| !matches!(key.as_str(), "metadata" | "status" | "apiVersion" | "kind"))
        .collect();
    asked.sort_by_key(|(key, _)| *key);
    asked
}

/// A list of causes, or nothing wrong.
pub type Causes = Vec<(String, String)>;

/// What is wrong with a name.
pub fn name_causes(resource: &Resource, name: &str) -> Causes {
    let mut causes = Vec::new();
    let invalid = |why: &str| vec![("metadata.name".to_owned(), format!("Invalid value: {name:?}: {why}"))];
    if name.is_empty() {
        causes.push((
            "metadata.name".to_owned(),
            "Required value: name or generateName is required".to_owned(),
        ));
    } else if resource.group == "rbac.authorization.k8s.io" {
        if name.contains(['/', '%']) || matches!(name, "." | "..") {
            causes = invalid("may not contain '/' or '%'");
        }
    } else if matches!(&*resource.stored_as, "/namespaces" | "/services") {
        if !is_label(name) {
            causes = invalid(LABEL);
        }
    } else if !is_subdomain(name) {
        causes = invalid(SUBDOMAIN);
    }
    causes
}

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

fn is_label(name: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    name.len() <= 63
        && edge(name.bytes().next())
        && edge(name.bytes().last())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn is_subdomain(name: &str) -> bool {
    name.len() <= 253
        && name
            .split('.')
            .all(|part| is_label(&part.chars().take(63).collect::<String>()) && !part.is_empty())
}

/// Refuses an object with causes.
///
/// # Errors
/// 422 when there are any.
pub fn refuse(resource: &Resource, name: &str, causes: &Causes) -> Result<(), Refusal> {
    if causes.is_empty() {
        Ok(())
    } else {
        Err(Refusal::invalid(&resource.group, &resource.kind, name, causes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_and_the_same_for_the_same_seed() {
        let (one, two) = (Ids::new(7), Ids::new(7));
        let uid = one.uid();
        assert_eq!(uid, two.uid());
        assert_eq!((uid.len(), uid.as_bytes()[14]), (36, b'4'));
        assert_ne!(one.uid(), uid);
        assert_eq!(one.ending().len(), 5);
    }

    #[test]
    fn a_generation_counts_what_is_asked_for_and_nothing_else() {
        let catalog = super::super::catalog::Catalog::default();
        let deployments = catalog.find("apps", "v1", "deployments").expect("built in");
        let old = json!({"metadata": {"uid": "u", "generation": 4}, "spec": {"replicas": 1}, "status": {}});
        let generation = |mut new: Value| {
            carry_over(&old, &mut new, &deployments);
            (new["metadata"]["generation"].clone(), new["metadata"]["uid"].clone())
        };
        assert_eq!(
            generation(json!({"spec": {"replicas": 1}, "metadata": {"labels": {"a": "b"}}})),
            (json!(4), json!("u"))
        );
        assert_eq!(generation(json!({"spec": {"replicas": 2}})), (json!(5), json!("u")));
    }
}
