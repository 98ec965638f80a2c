//! Server-side apply: an object, and what a manager wants of it, become a new object with its owners.

use std::fmt;

use serde_json::Value;

use super::{
    check::{Strictness, check},
    combine::combine,
    compare::Comparison,
    element::Path,
    fields::Set,
    last_applied,
    managed::{Managed, Manager, Operation},
    shapes::{fields_of, with_parents, without},
    update::{Write, untracked},
    value::same,
};

/// What apply made of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Applied {
    /// The object with its managedFields. What the endpoint does not let anybody write is not yet put back, and nothing
    /// is defaulted.
    pub object: Value,
    /// Whether anything but managedFields differs from the live object.
    pub changed: bool,
}

/// Why something is not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The request makes no sense (400).
    #[error("{0}")]
    BadRequest(String),
    /// Others own fields that would change (409).
    #[error("{}", Conflict::summary(.0))]
    Conflicts(Vec<Conflict>),
    /// The configuration has not the shape of its kind; the real server calls that its own mistake (500).
    #[error("{0}")]
    Internal(String),
}

/// A field that another manager owns with another value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Conflict {
    /// Its owner.
    pub manager: Manager,
    /// The field; the `field` of a status cause.
    pub path: Path,
}

/// The `message` of a status cause.
impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conflict with {}", self.manager)
    }
}

impl Conflict {
    /// The message of the status that a list of conflicts becomes.
    pub fn summary(conflicts: &[Self]) -> String {
        if let [one] = conflicts {
            return format!("Apply failed with 1 conflict: {one}: {}", one.path);
        }
        let mut lines = Vec::new();
        for group in conflicts.chunk_by(|a, b| a.manager == b.manager) {
            lines.push(format!("conflicts with {}:", group[0].manager));
            lines.extend(group.iter().map(|conflict| format!("- {}", conflict.path)));
        }
        format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
    }
}

impl Write<'_> {
    /// Applies `config` to the stored object, or, where there is none, to what [`blank`](super::blank) says.
    ///
    /// Fields of `config` become the manager's; with `force` also those that others own with another value. What the
    /// manager applied before and `config` has no more goes, unless another owns it. A `config` that changes nothing
    /// keeps the times of managedFields.
    ///
    /// # Errors
    /// [`ApplyError`]; nothing is applied in part.
    pub fn apply(&self, live: &Value, config: &Value, force: bool) -> Result<Applied, ApplyError> {
        self.admit(config)?;
        let managed = Managed::of(live)
            .map_err(|cause| ApplyError::Internal(format!("failed to decode managed fields: {cause}")))?;
        let managed = self.with_earlier(live, managed);
        let kubectl = self.manager == last_applied::MANAGER;
        let applied = match self.merged(live, config, &managed, force) {
            // Fields that kubectl applied in its own way before are its own.
            Err(ApplyError::Conflicts(conflicts)) if kubectl => {
                match last_applied::others(self, live, conflicts) {
                    Ok(()) => self.merged(live, config, &managed, true),
                    Err(conflicts) => Err(ApplyError::Conflicts(conflicts)),
                }
            }
            other => other,
        };
        let mut applied = applied?;
        if kubectl {
            last_applied::renew(&mut applied.object, config);
        }
        Ok(applied)
    }

    /// Refuses what can be told from the configuration alone.
    fn admit(&self, config: &Value) -> Result<(), ApplyError> {
        if !matches!(config["metadata"]["managedFields"], Value::Null) {
            return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
        }
        check(self.shape, config, Strictness::Strict).map_err(|cause| {
            let metadata = |name: &str| config["metadata"][name].as_str().unwrap_or_default().to_owned();
            ApplyError::Internal(format!(
                "failed to create typed patch object ({}/{}; {}): {cause}",
                metadata("namespace"),
                metadata("name"),
                kind_of(config),
            ))
        })
    }

    /// Before the first apply all that is there belongs to one manager.
    fn with_earlier(&self, live: &Value, managed: Managed) -> Managed {
        if !managed.0.is_empty() {
            return managed;
        }
        let mut bare = live.clone();
        super::managed::without_managed(&mut bare);
        let blank = super::blank(self.shape, live);
        let earlier = Self { manager: "before-first-apply", ..*self };
        earlier.settled(&blank, &bare, managed).unwrap_or_default()
    }

    fn merged(
        &self,
        live: &Value,
        config: &Value,
        managed: &Managed,
        force: bool,
    ) -> Result<Applied, ApplyError> {
        let mut live = live.clone();
        super::managed::without_managed(&mut live);
        let mut managed = self.reconciled(managed.clone());
        let laid = combine(self.shape, Some(&live), Some(config)).unwrap_or_default();
        let me = self.manager(Operation::Apply);
        let set = fields_of(self.shape, config).recursive_difference(self.reset);
        let before = managed.0.remove(&me);
        let time = before.as_ref().and_then(|owned| owned.time.clone());
        managed.0.insert(me.clone(), self.owned(set, time));
        let mut object = match before {
            Some(before) if !before.set.is_empty() => self.pruned(laid, &managed, &before.set),
            _ => laid,
        };

        let changes = Comparison::of(self.shape, &live, &object).except(self.reset);
        let written = changes.modified.union(&changes.added);
        let others = || managed.0.iter().filter(|(manager, _)| **manager != me);
        let conflicts: Vec<_> = others()
            .flat_map(|(manager, owned)| {
                let paths = owned.set.intersection(&written).paths();
                paths.into_iter().map(|path| Conflict { manager: manager.clone(), path })
            })
            .collect();
        if !force && !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
        managed.0.retain(|manager, owned| {
            if *manager != me {
                owned.set = owned.set.difference(&written).difference(&changes.removed);
            } else {
                owned.set = owned.set.difference(&untracked());
            }
            !owned.set.is_empty()
        });
        let changed = !same(&live, &object);
        if changed && let Some(owned) = managed.0.get_mut(&me) {
            owned.time = Some(self.now.to_owned());
        }
        managed.write(&mut object);
        Ok(Applied { object, changed })
    }

    /// The object without what the manager applied before and nobody owns now.
    fn pruned(&self, laid: Value, managed: &Managed, before: &Set) -> Value {
        let shape = self.shape;
        let all = |value: &Value| with_parents(shape, &fields_of(shape, value));
        let less = |set: &Set| without(shape, &laid, set).unwrap_or_default();
        let before = with_parents(shape, before);
        let everything = all(&laid);
        let owned = managed.0.values().fold(Set::new(), |sum, owned| sum.union(&owned.set));

        // What was taken along though it has an owner comes back; then what was never this manager's to take.
        let kept = all(&less(&before)).union(&with_parents(shape, &owned));
        let kept = all(&less(&everything.difference(&kept)));
        less(&everything.difference(&kept).intersection(&before))
    }
}

/// As Go prints a kind: `apps/v1, Kind=Deployment`, `/v1, Kind=ConfigMap`.
fn kind_of(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let slash = if version.contains('/') { "" } else { "/" };
    format!("{slash}{version}, Kind={}", object["kind"].as_str().unwrap_or_default())
}
