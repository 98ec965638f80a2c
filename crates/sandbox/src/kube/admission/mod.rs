//! What is refused or filled in between reading and storing, as the admission plugins of the real server do it that are on
//! by default. Everything that a judgement needs is read before the object is held, since a store that is being changed
//! cannot be asked.
//!
//! | room | what it holds |
//! |---|---|
//! | `pods` | accounts, priorities, tolerations |
//! | `limits`, `needs` | LimitRanges; what a pod needs in all |
//! | `quota` | ResourceQuotas |
//! | `security`, `checks` | the PodSecurity labels of namespaces; the checks of each level |
//! | `storage` | classes, finalizers and growth of claims |
//! | `disruption` | PodDisruptionBudgets and evictions |

mod checks;
mod disruption;
mod limits;
mod needs;
mod pods;
mod quota;
mod security;
mod storage;
#[cfg(test)]
mod tests;

use std::sync::{Arc, MutexGuard, PoisonError};

use serde_json::Value;

pub(super) use disruption::evict;

use super::{
    api::{Api, Subject},
    auth::{self, User, rbac::Index},
    catalog::Resource,
    object::meta,
    refusal::{About, Refusal},
    store::{Change, Key},
};

const PRIORITIES: &str = "scheduling.k8s.io/priorityclasses";
/// Namespaces that stay.
const IMMORTAL: &[&str] = &["default", "kube-system", "kube-public"];

/// 403 about an object, new or not.
fn forbidden(resource: &Resource, object: &Value, why: &str) -> Refusal {
    let about = About { group: &resource.group, resource: &resource.plural, name: meta(object, "name") };
    Refusal::forbidden(about, why)
}

/// Everything that a write is judged by.
pub(super) struct Admission<'a> {
    api: &'a Api,
    resource: &'a Resource,
    user: &'a User,
    /// Of the object that is written, or of the namespace that it lies in.
    labels: Value,
    rights: Option<Arc<Index>>,
    ranges: Vec<Arc<Value>>,
    quotas: Vec<quota::Counted>,
    /// Of storage for claims; of priority for themselves.
    classes: Vec<Arc<Value>>,
    /// Of a namespace whose labels may be about to change.
    pods: Vec<Arc<Value>>,
    /// Held as long as quotas are being judged: what two want at the same time only one may get.
    turn: Option<MutexGuard<'a, ()>>,
}

impl<'a> Admission<'a> {
    /// Reads what a write of this object, or of one to be made there, is judged by. Writes below an object are not judged.
    pub fn of(api: &'a Api, subject: &'a Subject<'a>, user: &'a User) -> Option<Self> {
        let resource = subject.resource;
        if !matches!(subject.place.subresource.as_deref(), None | Some("ephemeralcontainers" | "resize")) {
            return None;
        }
        let namespace = subject.place.namespace.as_deref();
        let all = |plural: &str| -> Vec<Arc<Value>> {
            let within = namespace.unwrap_or_default();
            let listed = api.store.list(&format!("/{plural}").into(), Some(within)).objects;
            listed.into_iter().map(|(_, object)| object).collect()
        };
        let kind = &*resource.stored_as;
        let mut it = Self {
            api,
            resource,
            user,
            labels: Value::Null,
            rights: None,
            ranges: Vec::new(),
            quotas: Vec::new(),
            classes: Vec::new(),
            pods: Vec::new(),
            turn: None,
        };
        if auth::is_about_rights(resource) && !user.may_everything() {
            it.rights = Some(api.access.now(&api.store));
        }
        if let Some(namespace) = namespace {
            let key =
                Key { kind: "/namespaces".into(), namespace: String::new(), name: namespace.to_owned() };
            let found = api.store.get(&key);
            it.labels = found.map(|it| it["metadata"]["labels"].clone()).unwrap_or_default();
            if matches!(kind, "/pods" | "/persistentvolumeclaims") {
                it.ranges = all("limitranges");
            }
            let quotas = all("resourcequotas");
            if !quotas.is_empty() {
                it.turn = Some(api.access.turn().lock().unwrap_or_else(PoisonError::into_inner));
                it.quotas = quotas.into_iter().map(|quota| quota::Counted::of(api, quota)).collect();
            }
        }
        let classes = match kind {
            "/persistentvolumeclaims" => Some("storage.k8s.io/storageclasses"),
            PRIORITIES => Some(PRIORITIES),
            _ => None,
        };
        if let Some(classes) = classes {
            let listed = api.store.list(&classes.into(), None).objects;
            it.classes = listed.into_iter().map(|(_, object)| object).collect();
        }
        if let ("/namespaces", Some(name)) = (kind, subject.place.name.as_deref()) {
            let pods = api.store.list(&"/pods".into(), Some(name)).objects;
            it.pods = pods.into_iter().map(|(_, object)| object).collect();
        }
        Some(it)
    }

    /// Fills in what the cluster decides.
    ///
    /// # Errors
    /// 403 for what cannot be filled in.
    pub fn fill(&self, old: Option<&Value>, new: &mut Value) -> Result<(), Refusal> {
        match (&*self.resource.stored_as, old) {
            ("/pods", None) => {
                limits::fill(&self.ranges(), new);
                pods::account(self.api, self.resource, new)?;
                pods::priority(self.api, self.resource, new)?;
                pods::tolerations(new);
            }
            ("/pods", Some(old)) => {
                pods::keep_priority(old, new);
                pods::tolerations(new);
            }
            ("/persistentvolumeclaims", None) => {
                storage::choose_class(&self.classes, new);
                storage::protect(new, storage::CLAIM);
            }
            ("/persistentvolumes", None) => storage::protect(new, storage::VOLUME),
            _ => {}
        }
        Ok(())
    }

    /// Refuses what the cluster does not allow, and warns of what it will not.
    ///
    /// # Errors
    /// 403, in the words of the plugin that refuses; 422 for labels that are none.
    pub fn judge(&self, old: Option<&Value>, new: &Value, warnings: &mut Vec<String>) -> Result<(), Refusal> {
        let kind = &*self.resource.stored_as;
        if let Some(rights) = &self.rights {
            auth::check(rights, self.user, self.resource, old, new)?;
        }
        if kind == "/persistentvolumeclaims" || (kind == "/pods" && old.is_none()) {
            limits::judge(&self.ranges(), self.resource, new)?;
        }
        if kind == "/namespaces" {
            warnings.extend(security::namespace(old, new, &self.pods)?);
        } else if let Some(pod) = security::pod_of(kind, new) {
            let old = old.and_then(|old| security::pod_of(kind, old));
            warnings.extend(security::pod(self.resource, &self.labels, old, pod, new)?);
        }
        if kind == PRIORITIES {
            pods::one_default(&self.classes, self.resource, new)?;
        }
        if let ("/persistentvolumeclaims", Some(old)) = (kind, old) {
            storage::may_grow(&self.classes, self.resource, old, new)?;
        }
        self.quotas.iter().try_for_each(|quota| quota.judge(self.resource, old, new))
    }

    fn ranges(&self) -> Vec<&Value> {
        self.ranges.iter().map(|it| &**it).collect()
    }

    /// What follows from the write may be writes of their own.
    pub fn is_over(&mut self) {
        self.turn = None;
    }
}

/// Refuses to delete what stays.
///
/// # Errors
/// 403 for the namespaces of the cluster itself.
pub(super) fn may_delete(resource: &Resource, name: &str) -> Result<(), Refusal> {
    if &*resource.stored_as == "/namespaces" && IMMORTAL.contains(&name) {
        let about = About { group: "", resource: "namespaces", name };
        return Err(Refusal::forbidden(about, "this namespace may not be deleted"));
    }
    Ok(())
}

/// Counts again what a change touches: quotas, budgets, claims in use.
pub(super) fn count_again(api: &Api, resource: &Resource, change: &Change) {
    quota::count_again(api, resource, change);
    disruption::count_again(api, resource, change);
    storage::release(api, resource, change);
}
