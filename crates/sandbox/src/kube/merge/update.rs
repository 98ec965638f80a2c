//! Who owns what after a create, an update or a patch.

use serde_json::Value;

use super::{
    check::{Strictness, check},
    compare::Comparison,
    element::Path,
    fields::Set,
    managed::{Managed, Manager, Operation, Owned, without_managed},
    shapes::reconciled,
};
use crate::kube::schema::Shape;

/// One write of an object by a manager.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The kind's shape.
    pub shape: &'a Shape,
    /// The name the request gave, or the first part of its user agent; empty is `unknown`.
    pub manager: &'a str,
    /// The version the request is in: `apps/v1`.
    pub api_version: &'a str,
    /// The subresource that is written to; empty for the object itself.
    pub subresource: &'a str,
    /// What this endpoint does not let anybody write, with all below it: `status` for the object itself, `spec` for
    /// its status. Nobody comes to own it through this endpoint.
    pub reset: &'a Set,
    /// Now, as RFC 3339 in whole seconds: `2026-01-01T00:00:00Z`.
    pub now: &'a str,
}

impl Write<'_> {
    /// Puts `metadata.managedFields` into `new`, the object as it will be stored but for what the server itself sets
    /// (identity, generation, allocated addresses): that has no owner. `old` is the stored object, or, for a create, what
    /// [`blank`](super::blank) says, since nobody owns what every object of the kind has anyway.
    ///
    /// What `new` says about its managedFields is taken as true when it can be read; an empty list, or one empty entry,
    /// forgets all managers, and an object without managers gets none until something is applied to it. Through a
    /// subresource `new` says nothing.
    pub fn track(&self, old: &Value, new: &mut Value) {
        let given = if self.subresource.is_empty() { asked(old, new) } else { Managed::of(old) };
        let managed = given.unwrap_or_default();
        without_managed(new);
        let created = old["metadata"]["uid"].as_str().is_none_or(str::is_empty);
        if managed.0.is_empty() && !created {
            return;
        }
        // The real server drops all managers of an object that it cannot make sense of.
        if let Some(managed) = self.settled(old, new, managed) {
            managed.write(new);
        }
    }

    /// The managers after the change from `old` to `new`.
    pub(super) fn settled(&self, old: &Value, new: &Value, managed: Managed) -> Option<Managed> {
        let mut old = old.clone();
        without_managed(&mut old);
        for object in [&old, new] {
            check(self.shape, object, Strictness::Lax).ok()?;
        }
        let mut managed = self.reconciled(managed);
        let changes = Comparison::of(self.shape, &old, new).except(self.reset);
        let written = changes.modified.union(&changes.added);
        managed.0.retain(|_, owned| {
            owned.set = owned.set.difference(&written).difference(&changes.removed);
            !owned.set.is_empty()
        });
        let own = written.difference(&untracked());
        if !own.is_empty() {
            let manager = self.manager(Operation::Update);
            let before = managed.0.remove(&manager).map(|owned| owned.set).unwrap_or_default();
            managed.0.insert(manager, self.owned(own.union(&before), Some(self.now.to_owned())));
        }
        managed.cap();
        Some(managed)
    }

    /// The managers, with sets that fit the shape.
    pub(super) fn reconciled(&self, mut managed: Managed) -> Managed {
        for owned in managed.0.values_mut() {
            owned.set = reconciled(self.shape, &owned.set);
        }
        managed
    }

    pub(super) fn manager(&self, operation: Operation) -> Manager {
        Manager::new(self.manager, operation, self.api_version, self.subresource)
    }

    pub(super) fn owned(&self, set: Set, time: Option<String>) -> Owned {
        Owned { set, api_version: self.api_version.to_owned(), time }
    }
}

/// The managers that a request names, or those of the stored object where it names none that can be read.
fn asked(old: &Value, new: &Value) -> Result<Managed, String> {
    match new["metadata"]["managedFields"].as_array().map(Vec::as_slice) {
        Some([]) => return Ok(Managed::default()),
        Some([Value::Object(entry)]) if entry.values().all(Value::is_null) => return Ok(Managed::default()),
        _ => (),
    }
    match Managed::of(new) {
        Ok(managed) if !managed.0.is_empty() => Ok(managed),
        _ => Managed::of(old),
    }
}

/// What has no owner: the object's identity and what only the server writes.
pub(super) fn untracked() -> Set {
    let metadata = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    let top = ["apiVersion", "kind", "metadata"].map(|name| Path::fields([name]));
    Set::of(top.into_iter().chain(metadata.map(|name| Path::fields(["metadata", name]))))
}
