//! What a BackupStorageLocation says, and whether it speaks of what is there now.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::time;
use crate::{object::ObjectRef, wait::Verdict};

/// How long a store may refuse a new installation before we believe it: identity services of clouds tell their stores
/// of new keys within seconds, not at once.
const SETTLING: SignedDuration = SignedDuration::from_secs(30);
/// How long a validation that began with older keys may go on: what is said sooner after a change may be its answer.
const IN_FLIGHT: SignedDuration = SignedDuration::from_secs(5);
/// How long a kubelet may take to hand a changed Secret to a running pod: its sync period of a minute, and the lifetime
/// of its cache (https://kubernetes.io/docs/concepts/configuration/secret/#using-secrets-as-files-from-a-pod).
const VOLUMES: SignedDuration = SignedDuration::from_mins(2);
/// What stores and plugins say when waiting does not help: the keys, the rights or the bucket are wrong. Error codes of
/// S3 (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), of Azure's blob service and of Google's.
const REFUSALS: &[&str] = &[
    "SignatureDoesNotMatch",
    "InvalidAccessKeyId",
    "InvalidToken",
    "ExpiredToken",
    "AccessDenied",
    "NoSuchBucket",
    "NotFound",
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "StatusCode: 401",
    "StatusCode: 403",
    // Some stores know neither the bucket nor its keys of one whose key id they do not know.
    "StatusCode: 404",
    "AuthenticationFailed",
    "AuthorizationFailure",
    "ContainerNotFound",
    "bucket doesn't exist",
];

/// How a BackupStorageLocation stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Location {
    /// Whether it is Available, may become so, or will not.
    pub verdict: Verdict,
    /// Its last answer is too old to be believed, and the next may be a minute away or never come:
    /// [`crate::Cluster::validate_again`] makes it come.
    pub ask_again: bool,
    /// It says that it is not Available, for whatever reason: a reason to see whether the keys are still the right ones.
    pub unavailable: bool,
}

/// `given` is when the credentials were last written.
pub(super) fn read(
    id: &ObjectRef,
    location: Option<&Value>,
    server: Option<&Value>,
    given: Option<Timestamp>,
    now: Timestamp,
) -> Location {
    let waits = |words: String| Location {
        verdict: Verdict::not_yet(words),
        ask_again: false,
        unavailable: location.is_some_and(|live| live["status"]["phase"] == "Unavailable"),
    };
    let Some(live) = location else { return waits(format!("{id}: not there yet")) };
    let Some(server) = server else {
        let namespace = id.namespace.as_deref().unwrap_or_default();
        return waits(format!("Deployment {namespace}/velero: not there yet"));
    };
    let status = &live["status"];
    let made =
        [live, server].into_iter().filter_map(|live| time(&live["metadata"]["creationTimestamp"])).max();
    let Some(at) = time(&status["lastValidationTime"]) else {
        return waits(format!("{id}: not validated yet"));
    };
    if Some(at) < made {
        return waits(format!("{id}: last validated {at}, before this installation"));
    }
    // A pod that starts reads the Secret as it is; one that runs hears of a change later, unless the location names
    // the Secret: then it is read at each validation.
    let changed = given.filter(|given| Some(*given) > made);
    let heard = changed.map(|given| match live["spec"]["credential"].is_object() {
        true => given + IN_FLIGHT,
        false => given + VOLUMES,
    });
    if let Some(heard) = heard
        && at < heard
    {
        let old = waits(format!("{id}: last validated {at}, not since its credentials were changed"));
        return Location { ask_again: now >= heard, ..old };
    }
    let phase = status["phase"].as_str().unwrap_or_default();
    if phase == "Available" {
        return Location { verdict: Verdict::Met, ask_again: false, unavailable: false };
    }
    let settled = heard.max(changed.or(made).map(|since| since + SETTLING));
    let message = status["message"].as_str();
    match message.filter(|said| REFUSALS.iter().any(|words| said.contains(words))) {
        Some(said) if Some(at) >= settled => {
            Location { verdict: Verdict::Never { because: format!("{id}: {said}") }, ..waits(String::new()) }
        }
        Some(said) => Location { ask_again: Some(now) >= settled, ..waits(format!("{id}: {phase}: {said}")) },
        None => waits(format!("{id}: {phase}: {}", message.unwrap_or("no reason given"))),
    }
}

#[cfg(test)]
mod tests;
