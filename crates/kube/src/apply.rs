//! Looking what differs, and changing only that.

use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use platform_spec::{Class, Code, Failure};
use serde_json::Value;

use crate::{
    catalog::Catalog,
    client::Cluster,
    compare::{self, compare},
    manifest::{Manifest, rank::rank},
    object::{MANAGED_BY_LABEL, OWNER_LABEL, Object, ObjectRef},
    refusal::Refusal,
    wait::{Condition, finalizers},
};

/// Requests on their way at the same time.
const CONCURRENT: usize = 8;

/// Carries requests out, a few at the same time, in order. Takes them already made: a closure that makes them one by
/// one would keep the caller's future from being `Send`.
pub(crate) async fn at_once<T, E>(requests: Vec<impl Future<Output = Result<T, E>>>) -> Result<Vec<T>, E> {
    futures::stream::iter(requests).buffered(CONCURRENT).try_collect().await
}

/// How long the server may take to serve a CRD it has accepted. It is a matter of a second.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(30);

/// What to do with an object that exists and bears nobody's `platform.dev/name`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Leave it alone and say so. Namespaces are excepted: they are used, and not claimed.
    #[default]
    Refuse,
    /// Make it ours: labelled, and so removed by `down`.
    Claim,
    /// Bring it to what we wish without claiming it: never labelled, so never removed.
    Share,
}

/// How to apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Take fields over from other field managers, as Argo CD's documented install does. Otherwise such a field is a
    /// failure that names the manager.
    pub force: bool,
    /// What to do with objects that were there before us.
    pub existing: Existing,
}

/// How wish and reality compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Not there.
    pub missing: Vec<ObjectRef>,
    /// There, and not as wished.
    pub differing: Vec<Differing>,
    /// There, and as wished.
    pub matching: Vec<ObjectRef>,
    /// Those of the last two kinds that were there before us and are not claimed: not ours to remove.
    pub shared: Vec<ObjectRef>,
}

/// An object that is not as wished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differing {
    /// Which.
    pub object: ObjectRef,
    /// Where and why: `spec.replicas is 1, not 2`. Contents of Secrets and ConfigMaps are not shown.
    pub how: Vec<String>,
}

impl Diff {
    /// Whether everything is as wished.
    pub fn is_match(&self) -> bool {
        self.missing.is_empty() && self.differing.is_empty()
    }

    /// Whether nothing of it is there.
    pub fn is_absent(&self) -> bool {
        self.matching.is_empty() && self.differing.is_empty()
    }

    /// One line for people: what is missing and what differs.
    pub fn summary(&self) -> String {
        let named = |what: &str, all: Vec<String>| match all.as_slice() {
            [] => None,
            [one] => Some(format!("{what}: {one}")),
            [one, rest @ ..] => Some(format!("{what}: {one} and {} more", rest.len())),
        };
        let differing = self.differing.iter().map(|one| match one.how.first() {
            Some(how) => format!("{}: {how}", one.object),
            None => one.object.to_string(),
        });
        [
            named("missing", self.missing.iter().map(ObjectRef::to_string).collect()),
            named("differing", differing.collect()),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
    }
}

/// What an apply did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Made.
    pub created: Vec<ObjectRef>,
    /// Changed.
    pub changed: Vec<ObjectRef>,
    /// Left as they were: nothing was sent for them.
    pub unchanged: Vec<ObjectRef>,
    /// Those that are used and not claimed: not ours to remove.
    pub shared: Vec<ObjectRef>,
}

impl Applied {
    /// Everything that is ours: what the ledger should say.
    pub fn owned(&self) -> impl Iterator<Item = &ObjectRef> {
        let all = self.created.iter().chain(&self.changed).chain(&self.unchanged);
        all.filter(|id| !self.shared.contains(id))
    }
}

/// One object beside what was found of it.
struct Look {
    id: ObjectRef,
    /// Path of the object; `None` while its kind is not served.
    path: Option<String>,
    object: Object,
    found: Found,
    shared: bool,
}

enum Found {
    Missing,
    Differs(Vec<String>),
    Matches,
}

impl Cluster {
    /// Compares a manifest with what is there. Only reads.
    ///
    /// # Errors
    /// `P0413` when an object belongs to another platform, `P0417` when one was there before us and
    /// [`Existing::Refuse`] is asked for; otherwise the classified refusal.
    pub async fn observe(&self, manifest: &Manifest, options: Options) -> Result<Diff, Failure> {
        let mut diff = Diff::default();
        for look in self.look_at(manifest.objects(), manifest, options).await? {
            if look.shared {
                diff.shared.push(look.id.clone());
            }
            match look.found {
                Found::Missing => diff.missing.push(look.id),
                Found::Differs(how) => diff.differing.push(Differing { object: look.id, how }),
                Found::Matches => diff.matching.push(look.id),
            }
        }
        Ok(diff)
    }

    /// Brings about what a manifest wishes: Namespaces, then CRDs (and waits until they are served), then the rest in
    /// order. Only what is missing or differs is sent, by server-side apply.
    ///
    /// # Guarantees
    /// Called again it finishes what an interrupted call began; called on what is as wished it sends nothing.
    ///
    /// # Errors
    /// As [`Cluster::observe`]; and the first refusal, after the objects already on their way. `P0407` names the field
    /// managers in the way, `P0412` a kind that is not served, `P0414` a CRD that was not established in time.
    pub async fn apply(&self, manifest: &Manifest, options: Options) -> Result<Applied, Failure> {
        let mut applied = Applied::default();
        for stage in stages(manifest.objects()) {
            let looks = self.look_at(stage, manifest, options).await?;
            let mut established = Vec::new();
            for look in &looks {
                if look.shared {
                    applied.shared.push(look.id.clone());
                }
                match look.found {
                    Found::Missing => applied.created.push(look.id.clone()),
                    Found::Differs(_) => applied.changed.push(look.id.clone()),
                    Found::Matches => applied.unchanged.push(look.id.clone()),
                }
                if let Some(crd @ Condition::CrdEstablished { .. }) = Condition::ready(&look.id) {
                    established.push(crd);
                }
            }
            at_once(looks.into_iter().map(|look| self.send_one(look, options)).collect()).await?;
            if !established.is_empty() {
                self.established(established).await?;
            }
        }
        Ok(applied)
    }

    async fn send_one(&self, look: Look, options: Options) -> Result<(), Failure> {
        if matches!(look.found, Found::Matches) {
            return Ok(());
        }
        let deed = || format!("could not apply {}", look.id);
        let Some(path) = &look.path else {
            let (api_version, kind) = (look.id.api_version.clone(), look.id.kind.clone());
            return Err(Refusal::UnknownKind { api_version, kind }.during(deed()));
        };
        tracing::debug!(object = %look.id, "apply");
        self.apply_at(path, &look.object.full(), options.force).await.map_err(|r| r.during(deed()))?;
        Ok(())
    }

    async fn established(&self, crds: Vec<Condition>) -> Result<(), Failure> {
        self.wait_every(&Condition::All { of: crds }, ESTABLISHED_WITHIN, Duration::from_millis(200)).await
    }

    async fn look_at(
        &self,
        objects: &[Object],
        manifest: &Manifest,
        options: Options,
    ) -> Result<Vec<Look>, Failure> {
        let unread = |r: Refusal| r.during(format!("could not ask what {} serves", self.server()));
        let mut catalog = self.catalog(false).await.map_err(unread)?;
        if !serves_all(&catalog, objects) {
            catalog = self.catalog(true).await.map_err(unread)?;
        }
        at_once(objects.iter().map(|o| self.look_at_one(o, manifest, &catalog, options)).collect()).await
    }

    async fn look_at_one(
        &self,
        object: &Object,
        manifest: &Manifest,
        catalog: &Catalog,
        options: Options,
    ) -> Result<Look, Failure> {
        let mut object = object.clone();
        let id = object.id();
        let Some(resource) = catalog.find(&id.api_version, &id.kind) else {
            return Ok(Look { id, path: None, object, found: Found::Missing, shared: false });
        };
        let namespace = id.namespace.as_deref().or(manifest.namespace()).filter(|_| resource.namespaced);
        object.set_namespace(namespace);
        let id = object.id();
        let path = resource.object_path(namespace, &id.name);
        let live = self.find_at(&path).await.map_err(|r| r.during(format!("could not read {id}")))?;
        let Some(live) = live else {
            return Ok(Look { id, path: Some(path), object, found: Found::Missing, shared: false });
        };
        let shared = claim(&id, &live, manifest.owner(), options.existing)?;
        if shared {
            object.remove_label(OWNER_LABEL);
            object.remove_label(MANAGED_BY_LABEL);
        }
        if let Some(since) = live["metadata"]["deletionTimestamp"].as_str() {
            return Err(being_deleted(&id, since, &finalizers(&live)));
        }
        let differences = compare(&object.full(), &live);
        let found = match differences.is_empty() {
            true => Found::Matches,
            false => {
                Found::Differs(differences.into_iter().map(|d| format!("{} {}", d.path, d.why)).collect())
            }
        };
        Ok(Look { id, path: Some(path), object, found, shared })
    }
}

/// Runs of objects that can be made at the same time: Namespaces, CRDs, and then rank by rank.
fn stages(objects: &[Object]) -> impl Iterator<Item = &[Object]> {
    objects.chunk_by(|a, b| {
        let rank = |object: &Object| rank(object.kind(), object.id().group());
        rank(a) == rank(b)
    })
}

fn serves_all(catalog: &Catalog, objects: &[Object]) -> bool {
    objects.iter().map(Object::id).all(|id| catalog.find(&id.api_version, &id.kind).is_some())
}

/// Whether a living object is used without being claimed; refuses what belongs to others.
fn claim(id: &ObjectRef, live: &Value, owner: &str, existing: Existing) -> Result<bool, Failure> {
    let kind = &id.kind;
    match live["metadata"]["labels"][OWNER_LABEL].as_str() {
        Some(whose) if whose == owner => Ok(false),
        Some(whose) => Err(Failure::new(
            Code::new("P0413"),
            Class::Config,
            format!("{id} belongs to platform `{whose}`"),
        )
        .because(format!("its label {OWNER_LABEL} says `{whose}`, and this is platform `{owner}`"))
        .hint(format!("use another namespace or name, or take platform `{whose}` down first"))),
        // We have applied it before, and somebody took the label off: ours still.
        None if existing == Existing::Refuse && kind != "Namespace" && compare::ours(live).is_some() => {
            Ok(false)
        }
        None => match existing {
            Existing::Claim => Ok(false),
            Existing::Share => Ok(true),
            Existing::Refuse if kind == "Namespace" => Ok(true),
            Existing::Refuse => Err(Failure::new(
                Code::new("P0417"),
                Class::Config,
                format!("{id} exists already and is not ours"),
            )
            .because(format!("it has no label {OWNER_LABEL}"))
            .hint(format!(
                "remove it, or give it to this platform: `kubectl label {}{} {} {OWNER_LABEL}={owner}`",
                id.namespace.as_ref().map_or(String::new(), |namespace| format!("-n {namespace} ")),
                kind.to_lowercase(),
                id.name
            ))),
        },
    }
}

fn being_deleted(id: &ObjectRef, since: &str, finalizers: &[String]) -> Failure {
    let failure =
        Failure::new(Code::new("P0418"), Class::ConflictInProgress, format!("{id} is being deleted"))
            .because(format!("since {since}"))
            .hint("wait until it is gone; what holds it is named above");
    match finalizers {
        [] => failure,
        held => failure
            .because(format!("held by finalizer {}", held.join(", ")))
            .blocked_by(held.iter().map(|finalizer| format!("finalizer {finalizer}")).collect()),
    }
}
