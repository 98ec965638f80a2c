//! The PodSecurity labels of namespaces: what is refused, and what is warned of.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde_json::Value;

use super::{checks, forbidden};
use crate::kube::{catalog::Resource, object::meta, refusal::Refusal};

const LABEL: &str = "pod-security.kubernetes.io/";

/// How strict; the order is that of strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Privileged,
    Baseline,
    Restricted,
}

/// A level as some version of Kubernetes understood it; `None` is the latest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    level: Level,
    version: Option<u32>,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        };
        match self.version {
            Some(minor) => write!(f, "{level}:v1.{minor}"),
            None => write!(f, "{level}:latest"),
        }
    }
}

/// What a namespace wants. What it wants written into an audit log is read, to be judged, and goes nowhere.
struct Policy {
    enforce: Rule,
    warn: Rule,
    wrong: Vec<(String, String)>,
}

impl Policy {
    fn of(labels: &Value) -> Self {
        let mut wrong = Vec::new();
        let mut rule = |word: &str, otherwise: Level| {
            let mut note = |label: &str, given: &str, why: &str| {
                wrong.push((format!("metadata.labels[{label}]"), format!("Invalid value: {given:?}: {why}")));
            };
            let (level, version) = (format!("{LABEL}{word}"), format!("{LABEL}{word}-version"));
            let given = labels[level.as_str()].as_str();
            let level = match given {
                None | Some("privileged") => Level::Privileged,
                Some("baseline") => Level::Baseline,
                Some("restricted") => Level::Restricted,
                Some(other) => {
                    note(&level, other, "must be one of privileged, baseline, restricted");
                    otherwise
                }
            };
            let number = match labels[version.as_str()].as_str() {
                None | Some("latest") => None,
                Some(text) => {
                    let minor = text.strip_prefix("v1.").and_then(|it| it.parse().ok());
                    if minor.is_none() {
                        note(&version, text, "must be \"latest\" or \"v1.x\"");
                    }
                    minor
                }
            };
            (given.is_some(), labels[version.as_str()].is_string(), Rule { level, version: number })
        };
        let (_, _, enforce) = rule("enforce", Level::Restricted);
        let _audit = rule("audit", Level::Privileged);
        let (level_given, version_given, mut warn) = rule("warn", Level::Privileged);
        // Whoever is refused a pod is warned of the workload that would make it.
        let refuses = wrong.iter().all(|(field, _)| field != &format!("metadata.labels[{LABEL}enforce]"));
        if !level_given && refuses && enforce.level > warn.level {
            warn.level = enforce.level;
            if !version_given {
                warn.version = enforce.version;
            }
        }
        Self { enforce, warn, wrong }
    }
}

/// The part of an object that becomes a pod: metadata and spec.
pub(super) fn pod_of<'a>(kind: &str, object: &'a Value) -> Option<&'a Value> {
    let template = match kind {
        "/pods" => Some(object),
        "/replicationcontrollers"
        | "apps/replicasets"
        | "apps/deployments"
        | "apps/statefulsets"
        | "apps/daemonsets"
        | "batch/jobs" => object.pointer("/spec/template"),
        "batch/cronjobs" => object.pointer("/spec/jobTemplate/spec/template"),
        _ => None,
    };
    template.filter(|it| it["spec"].is_object())
}

/// Refuses a pod that its namespace does not allow; gives what its writer, or that of a workload, is warned of.
///
/// # Errors
/// 403.
pub(super) fn pod(
    resource: &Resource,
    labels: &Value,
    old: Option<&Value>,
    pod: &Value,
    object: &Value,
) -> Result<Vec<String>, Refusal> {
    let marked = labels.as_object().is_some_and(|it| it.keys().any(|key| key.starts_with(LABEL)));
    let is_pod = &*resource.stored_as == "/pods";
    if !marked || (is_pod && old.is_some_and(|old| !matters(old, pod))) {
        return Ok(Vec::new());
    }
    let policy = Policy::of(labels);
    if is_pod {
        let found = checks::violations(policy.enforce.level, policy.enforce.version, pod);
        if !found.is_empty() {
            let why = format!("violates PodSecurity {:?}: {}", policy.enforce.to_string(), words(&found));
            return Err(forbidden(resource, object, &why));
        }
    }
    let found = checks::violations(policy.warn.level, policy.warn.version, pod);
    let warning = format!("would violate PodSecurity {:?}: {}", policy.warn.to_string(), words(&found));
    Ok(if found.is_empty() { Vec::new() } else { vec![warning] })
}

/// Whether a change of a pod can change what it may: of most fields it cannot.
fn matters(old: &Value, new: &Value) -> bool {
    ["containers", "initContainers", "ephemeralContainers"].iter().any(|kind| {
        let images = |pod: &Value| -> Vec<Value> {
            pod["spec"][*kind].as_array().into_iter().flatten().map(|it| it["image"].clone()).collect()
        };
        images(old) != images(new)
    })
}

fn words(found: &[(&'static str, String)]) -> String {
    let one = |(reason, detail): &(&'static str, String)| format!("{reason} ({detail})");
    found.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Refuses labels that are none; gives warnings of pods that a stricter label would not allow.
///
/// # Errors
/// 422.
pub(super) fn namespace(
    old: Option<&Value>,
    new: &Value,
    pods: &[Arc<Value>],
) -> Result<Vec<String>, Refusal> {
    let policy = Policy::of(&new["metadata"]["labels"]);
    let before = old.map(|old| Policy::of(&old["metadata"]["labels"]));
    let name = meta(new, "name");
    if !policy.wrong.is_empty() && before.as_ref().is_none_or(|before| before.wrong != policy.wrong) {
        return Err(Refusal::invalid("", "Namespace", name, &policy.wrong));
    }
    let Some(before) = before else { return Ok(Vec::new()) };
    let relaxed =
        policy.enforce.version == before.enforce.version && policy.enforce.level <= before.enforce.level;
    if policy.enforce.level == Level::Privileged || relaxed {
        return Ok(Vec::new());
    }
    let mut by_reasons: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for pod in pods {
        let found = checks::violations(policy.enforce.level, policy.enforce.version, pod);
        if !found.is_empty() {
            let reasons: Vec<&str> = found.iter().map(|(reason, _)| *reason).collect();
            by_reasons.entry(reasons.join(", ")).or_default().push(meta(pod, "name"));
        }
    }
    if by_reasons.is_empty() {
        return Ok(Vec::new());
    }
    let mut warnings: Vec<String> = by_reasons
        .iter()
        .map(|(reasons, names)| {
            let first = names.iter().min().copied().unwrap_or_default();
            match names.len() {
                1 => format!("{first}: {reasons}"),
                2 => format!("{first} (and 1 other pod): {reasons}"),
                many => format!("{first} (and {} other pods): {reasons}", many - 1),
            }
        })
        .collect();
    warnings.sort();
    let level = policy.enforce.to_string();
    let head =
        format!("existing pods in namespace {name:?} violate the new PodSecurity enforce level {level:?}");
    warnings.insert(0, head);
    Ok(warnings)
}
