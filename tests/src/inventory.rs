//! What is in the cluster, and its return to what it was.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};

use crate::{Bed, BoxError};

/// Kinds that come and go by themselves, or mirror another one.
const VOLATILE: [&str; 6] = [
    "events",
    "events.events.k8s.io",
    "leases.coordination.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "ipaddresses.networking.k8s.io",
];

/// How long controllers may take to finish what was asked of them (a namespace to end, say).
const PATIENCE: Duration = Duration::from_secs(60);

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Object {
    /// `<resource>.<group>/<name>`, as kubectl takes it.
    name: String,
    namespace: String,
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace.as_str() {
            "" => f.write_str(&self.name),
            namespace => write!(f, "{} in {namespace}", self.name),
        }
    }
}

/// The names of all objects in the cluster that can be listed and deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Inventory(BTreeSet<Object>);

impl Inventory {
    /// Lists everything.
    pub(crate) fn take(bed: &Bed) -> Result<Self, BoxError> {
        let found = Self::listed(bed, "list,delete", &VOLATILE, "")?;
        if found.0.is_empty() { Err("kubectl listed nothing".into()) } else { Ok(found) }
    }

    /// Lists every object of every kind that can be listed, by label.
    pub(crate) fn labelled(bed: &Bed, selector: &str) -> Result<Self, BoxError> {
        Self::listed(bed, "list", &[], selector)
    }

    fn listed(bed: &Bed, verbs: &str, without: &[&str], selector: &str) -> Result<Self, BoxError> {
        let verbs = format!("--verbs={verbs}");
        let kinds = bed.kubectl(["api-resources", &verbs, "--no-headers", "--output=name"]);
        let kinds: Vec<_> = kinds.stdout.lines().filter(|kind| !without.contains(kind)).collect();
        if kinds.is_empty() {
            return Err("the API server names no kinds".into());
        }
        // a CRD that was removed a moment ago may still be announced: kubectl says so, and lists the rest
        let listed = bed.kubectl([
            "get",
            &kinds.join(","),
            "--all-namespaces",
            "--ignore-not-found",
            &format!("--selector={selector}"),
            "--output=go-template={{range .items}}{{.apiVersion}}|{{.kind}}|{{.metadata.name}}|{{.metadata.namespace}}\n{{end}}",
        ]);
        let objects = listed.stdout.lines().filter_map(|line| {
            let [version, kind, name, namespace] = line.split('|').collect::<Vec<_>>().try_into().ok()?;
            // `v1` or `group/v1`; kubectl takes Kind.version.group/name
            let kind = match version.split_once('/') {
                Some((group, version)) => format!("{kind}.{version}.{group}"),
                None => kind.to_owned(),
            };
            let namespace = if namespace == "<no value>" { "" } else { namespace };
            Some(Object { name: format!("{kind}/{name}"), namespace: namespace.to_owned() })
        });
        Ok(Self(objects.collect()))
    }

    /// In words, one for each object.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    /// What is here and was not there.
    pub(crate) fn beyond(&self, baseline: &Self) -> Vec<Object> {
        self.0.difference(&baseline.0).cloned().collect()
    }
}

/// What the cluster holds beyond its baseline, after controllers had time to finish.
pub(crate) fn left_over(bed: &Bed) -> Result<Vec<Object>, BoxError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let extra = Inventory::take(bed)?.beyond(bed.baseline());
        if extra.is_empty() || Instant::now() > deadline {
            return Ok(extra);
        }
        // only objects that are on their way out are worth waiting for
        if !extra.iter().any(|object| is_going(bed, object, &extra)) {
            return Ok(extra);
        }
    }
}

/// Whether an object, or the namespace around it, is being deleted; pods and ReplicaSets go when their owner went.
fn is_going(bed: &Bed, object: &Object, extra: &[Object]) -> bool {
    let owned = ["Pod/", "ReplicaSet.", "ControllerRevision.", "APIService."]
        .iter()
        .any(|kind| object.name.starts_with(kind));
    if owned
        && !extra
            .iter()
            .any(|other| other.name.starts_with("Deployment.") || other.name.starts_with("StatefulSet."))
    {
        return true;
    }
    let target = match object.namespace.as_str() {
        "" => object.name.clone(),
        namespace => format!("Namespace/{namespace}"),
    };
    let time = bed.kubectl([
        "get",
        &target,
        "--ignore-not-found",
        "--output=jsonpath={.metadata.name} {.metadata.deletionTimestamp}",
    ]);
    time.stdout.is_empty() || time.stdout.trim_end().contains(' ')
}

/// Takes away by force what a failed test left: finalizers first, since their controllers may be gone.
pub(crate) fn clear(bed: &Bed) -> Result<(), BoxError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let extra = Inventory::take(bed)?.beyond(bed.baseline());
        if extra.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            let names: Vec<_> = extra.iter().map(ToString::to_string).collect();
            return Err(format!("cannot be removed: {}", names.join(", ")).into());
        }
        // owners first: a workload makes its pods anew, a namespace and a CRD take their content along
        for object in &extra {
            let namespace = ["--namespace", object.namespace.as_str()];
            let place = if object.namespace.is_empty() { &[][..] } else { &namespace[..] };
            let unhooked =
                ["Namespace/", "Pod/", "ReplicaSet."].iter().any(|kind| object.name.starts_with(kind));
            if !unhooked {
                let patch =
                    ["patch", &object.name, "--type=merge", "--patch={\"metadata\":{\"finalizers\":null}}"];
                bed.kubectl(patch.iter().chain(place));
            }
            if !object.name.starts_with("Pod/") {
                bed.kubectl(
                    ["delete", &object.name, "--wait=false", "--ignore-not-found"].iter().chain(place),
                );
            }
        }
    }
}
