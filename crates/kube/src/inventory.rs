//! What is left of a platform in a cluster, found by asking the cluster and not our memory; and its removal.

use std::{collections::BTreeSet, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use platform_spec::{Failure, report::Orphan};
use serde_json::Value;

use crate::{
    apply::at_once,
    argocd::TRACKING,
    catalog::Resource,
    client::{Cluster, METADATA_LIST, encode},
    manifest::rank::{self, rank},
    object::{OWNER_LABEL, ObjectRef},
    refusal::Refusal,
    wait::finalizers,
};

/// What to look for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Search {
    /// Objects with the label `platform.dev/name: <owner>`; none when it is empty.
    pub owner: String,
    /// Objects that Argo CD made for one of these Applications (annotation tracking).
    pub applications: Vec<String>,
    /// Volumes claimed from, and load balancers within, one of these namespaces.
    pub namespaces: Vec<String>,
}

impl Search {
    /// Looks for an owner's label only.
    pub fn owner(owner: &str) -> Self {
        Self { owner: owner.to_owned(), ..Self::default() }
    }
}

/// Something that is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remaining {
    /// Which.
    pub object: ObjectRef,
    /// What has to be done by others before it may go.
    pub finalizers: Vec<String>,
    /// Since when it exists.
    pub created: Option<Timestamp>,
    /// Since when it is being deleted.
    pub deleting: Option<Timestamp>,
    /// What it is beyond its kind: a volume of which claim, a load balancer.
    pub note: Option<String>,
    uid: Option<String>,
    controlled: bool,
}

impl Remaining {
    pub(crate) fn of(live: &Value) -> Self {
        let metadata = &live["metadata"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let time = |key: &str| metadata[key].as_str().and_then(|time| time.parse().ok());
        let owners = metadata["ownerReferences"].as_array();
        Self {
            object: ObjectRef {
                api_version: text(&live["apiVersion"]),
                kind: text(&live["kind"]),
                namespace: metadata["namespace"].as_str().map(str::to_owned),
                name: text(&metadata["name"]),
            },
            finalizers: finalizers(live),
            created: time("creationTimestamp"),
            deleting: time("deletionTimestamp"),
            note: None,
            uid: metadata["uid"].as_str().map(str::to_owned),
            controlled: owners.is_some_and(|all| all.iter().any(|one| one["controller"] == true)),
        }
    }

    /// Why it is still there, in words.
    pub fn why(&self) -> String {
        let note = self.note.as_ref().map_or(String::new(), |note| format!(" ({note})"));
        match (self.deleting, self.finalizers.as_slice()) {
            (None, _) => format!("not deleted{note}"),
            (Some(_), []) => format!("being deleted{note}"),
            (Some(_), held) => format!("being deleted, held by finalizer {}{note}", held.join(", ")),
        }
    }

    /// The same for a report. `place` names the cluster.
    pub fn orphan(&self, place: &str, now: Timestamp) -> Orphan {
        let since = self.deleting.or(self.created);
        Orphan {
            place: place.to_owned(),
            kind: self.object.kind.clone(),
            name: self.object.place(),
            why: self.why(),
            age_ms: since
                .map(|since| u64::try_from(now.as_millisecond() - since.as_millisecond()).unwrap_or(0)),
        }
    }
}

impl Cluster {
    /// Everything in the cluster that answers to a search: across all kinds that can be listed, custom ones and those
    /// of aggregated APIs included, events not. Reads metadata only.
    ///
    /// # Guarantees
    /// Works without any memory of ours. Kinds that we may not list, or that their API server cannot list now, are left
    /// out; when our rights do not reach, the answer is that much weaker.
    ///
    /// # Errors
    /// The classified refusal, when the cluster does not answer at all or refuses for another reason.
    pub async fn inventory(&self, search: &Search) -> Result<Vec<Remaining>, Failure> {
        let unread = |r: Refusal| r.during(format!("could not ask what {} serves", self.server()));
        let mut kinds = self.catalog(true).await.map_err(unread)?.listable();
        if search.owner.is_empty() && search.applications.is_empty() {
            kinds.clear();
        }
        let found = at_once(kinds.into_iter().map(|kind| self.search_kind(kind, search)).collect()).await?;
        let mut all: Vec<Remaining> = found.into_iter().flatten().collect();
        if !search.namespaces.is_empty() {
            all.extend(self.volumes(search).await?);
            all.extend(self.load_balancers(search).await?);
        }
        // One object may be found in several ways; what is known of it beyond its kind is kept.
        all.sort_by(|a, b| (&a.object, a.note.is_none()).cmp(&(&b.object, b.note.is_none())));
        all.dedup_by(|a, b| a.object == b.object);
        Ok(all)
    }

    async fn search_kind(&self, kind: Resource, search: &Search) -> Result<Vec<Remaining>, Failure> {
        // A label can be asked for; an annotation has to be looked at.
        let query = match search.applications.is_empty() {
            true => format!("&labelSelector={}", encode(&format!("{OWNER_LABEL}={}", search.owner))),
            false => String::new(),
        };
        let items = match self.list_path(&kind.path(None), &query, METADATA_LIST).await {
            Ok(items) => items,
            // Not ours to list, gone with its CRD, not listable after all, or served by something that is down.
            Err(refusal) if matches!(refusal.http(), Some(403..=406 | 503)) => {
                tracing::debug!(kind = kind.kind, %refusal, "left out of the inventory");
                return Ok(Vec::new());
            }
            Err(refusal) => return Err(refusal.during(format!("could not list {}", kind.plural))),
        };
        let ours = items.into_iter().filter(|live| is_meant(live, search));
        Ok(ours
            .map(|live| {
                let mut live = Arc::unwrap_or_clone(live);
                live["apiVersion"] = kind.api_version().into();
                live["kind"] = kind.kind.clone().into();
                Remaining::of(&live)
            })
            .collect())
    }

    async fn volumes(&self, search: &Search) -> Result<Vec<Remaining>, Failure> {
        let volumes = self.list("v1", "PersistentVolume", None).await?;
        let claimed = |live: &Value| {
            let claim = &live["spec"]["claimRef"];
            let namespace = claim["namespace"].as_str()?;
            let name = claim["name"].as_str().unwrap_or_default();
            let policy = live["spec"]["persistentVolumeReclaimPolicy"].as_str().unwrap_or_default();
            let ours = search.namespaces.iter().any(|one| one == namespace);
            ours.then(|| format!("volume of claim {namespace}/{name}, policy {policy}"))
        };
        Ok(noted(volumes, "PersistentVolume", claimed))
    }

    async fn load_balancers(&self, search: &Search) -> Result<Vec<Remaining>, Failure> {
        let mut all = Vec::new();
        for namespace in &search.namespaces {
            all.extend(self.list("v1", "Service", Some(namespace)).await?);
        }
        let balancer =
            |live: &Value| (live["spec"]["type"] == "LoadBalancer").then(|| "load balancer".to_owned());
        Ok(noted(all, "Service", balancer))
    }

    /// Deletes what bears an owner's label, as far as it can be done now, and gives back what is still there. Call it
    /// again until nothing is.
    ///
    /// In three waves: admission webhooks and custom resources, while their controllers live; then everything else;
    /// then Namespaces. A wave waits until the one before is gone, but not for what has been going for a minute: one
    /// thing held back keeps nothing else. What a controller makes and removes itself is left to it.
    ///
    /// # Guarantees
    /// Never waits. What is being deleted already is not deleted again; gone already is fine. An object that was
    /// replaced by another of the same name since it was listed is left alone.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn remove_owned(&self, owner: &str) -> Result<Vec<Remaining>, Failure> {
        let search = Search::owner(owner);
        let mut left = self.inventory(&search).await?;
        for wave in [Wave::Custom, Wave::Rest, Wave::Namespaces] {
            let now: Vec<&Remaining> = left
                .iter()
                .filter(|one| one.wave() == wave && !one.controlled && one.deleting.is_none())
                .collect();
            if !now.is_empty() {
                self.delete_all(now).await?;
                left = self.inventory(&search).await?;
            }
            if left.iter().any(|one| one.wave() == wave && !one.controlled && !one.is_stuck(self.now())) {
                break;
            }
        }
        Ok(left)
    }

    /// Deletes these objects, as far as it can be done now, and gives back which are still there. Order is the caller's.
    ///
    /// # Guarantees
    /// As [`Cluster::remove_owned`].
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn remove(&self, objects: &[ObjectRef]) -> Result<Vec<Remaining>, Failure> {
        let there = self.still_there(objects).await?;
        self.delete_all(there.iter().filter(|one| one.deleting.is_none()).collect()).await?;
        self.still_there(objects).await
    }

    /// Which of these objects are there.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn still_there(&self, objects: &[ObjectRef]) -> Result<Vec<Remaining>, Failure> {
        let distinct: BTreeSet<&ObjectRef> = objects.iter().collect();
        let found = at_once(distinct.into_iter().map(|object| self.get(object)).collect()).await?;
        Ok(found.iter().flatten().map(Remaining::of).collect())
    }

    async fn delete_all(&self, these: Vec<&Remaining>) -> Result<(), Failure> {
        at_once(these.into_iter().map(|one| self.delete_one(one)).collect()).await.map(|_: Vec<()>| ())
    }

    async fn delete_one(&self, one: &Remaining) -> Result<(), Failure> {
        match self.delete(&one.object, one.uid.as_deref()).await {
            Ok(()) => Ok(()),
            // Another object has taken its name since.
            Err(refusal) if refusal.http() == Some(409) => Ok(()),
            Err(refusal) => Err(refusal.during(format!("could not delete {}", one.object))),
        }
    }
}

/// What is deleted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wave {
    Custom,
    Rest,
    Namespaces,
}

/// How long a thing may take to go before the others stop waiting for it.
const PATIENCE: SignedDuration = SignedDuration::from_secs(60);

impl Remaining {
    fn wave(&self) -> Wave {
        match rank(&self.object.kind, self.object.group()) {
            // Argo CD cannot finish the deletion of an Application whose project is gone.
            _ if self.object.kind == "AppProject" => Wave::Rest,
            rank::NAMESPACE => Wave::Namespaces,
            rank if rank >= rank::CUSTOM => Wave::Custom,
            _ => Wave::Rest,
        }
    }

    fn is_stuck(&self, now: Timestamp) -> bool {
        self.deleting.is_some_and(|since| now.duration_since(since) > PATIENCE)
    }
}

fn noted(found: Vec<Arc<Value>>, kind: &str, note: impl Fn(&Value) -> Option<String>) -> Vec<Remaining> {
    found
        .into_iter()
        .filter_map(|live| {
            let note = note(&live)?;
            let mut live = Arc::unwrap_or_clone(live);
            live["apiVersion"] = "v1".into();
            live["kind"] = kind.into();
            Some(Remaining { note: Some(note), ..Remaining::of(&live) })
        })
        .collect()
}

fn is_meant(live: &Value, search: &Search) -> bool {
    let metadata = &live["metadata"];
    if metadata["labels"][OWNER_LABEL] == *search.owner {
        return true;
    }
    // `app:…`, or `namespace_app:…` for an Application outside Argo CD's own namespace.
    let tracked_by =
        metadata["annotations"][TRACKING].as_str().and_then(|id| id.split_once(':')).map(|(app, _)| app);
    tracked_by.is_some_and(|app| {
        search
            .applications
            .iter()
            .any(|one| one == app || app.split_once('_').is_some_and(|(_, name)| name == one))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn live() -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {
            "namespace": "n", "name": "c", "creationTimestamp": "2026-11-21T10:00:00Z", "uid": "u"}})
    }

    fn now() -> Timestamp {
        "2026-11-21T10:01:00Z".parse().expect("a time")
    }

    #[test]
    fn an_orphan_says_what_why_and_how_long() {
        let mut live = live();
        assert_eq!(Remaining::of(&live).orphan("demo", now()).why, "not deleted");
        live["metadata"]["deletionTimestamp"] = json!("2026-11-21T10:00:50Z");
        live["metadata"]["finalizers"] = json!(["example.com/hold"]);
        let orphan = Remaining::of(&live).orphan("demo", now());
        assert_eq!((orphan.kind.as_str(), orphan.name.as_str()), ("ConfigMap", "n/c"));
        assert_eq!(orphan.why, "being deleted, held by finalizer example.com/hold");
        assert_eq!(orphan.age_ms, Some(10_000));
    }

    #[test]
    fn labels_and_tracking_annotations_are_meant() {
        let search = Search { owner: "demo".into(), applications: vec!["web".into()], ..Search::default() };
        let with = |key: &str, name: &str, value: &str| {
            let mut live = live();
            live["metadata"][key] = json!({name: value});
            is_meant(&live, &search)
        };
        assert!(with("labels", OWNER_LABEL, "demo"));
        assert!(!with("labels", OWNER_LABEL, "other"));
        assert!(with("annotations", TRACKING, "web:/ConfigMap:n/c"));
        assert!(with("annotations", TRACKING, "team_web:/ConfigMap:n/c"));
        assert!(!with("annotations", TRACKING, "webshop:/ConfigMap:n/c"));
    }
}
