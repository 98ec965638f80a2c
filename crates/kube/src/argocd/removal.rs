//! The end of Applications: root first, so that it recreates nothing; each takes its resources along.

use std::{collections::BTreeSet, sync::Arc};

use platform_spec::Failure;
use serde_json::{Value, json};

use super::{API_VERSION, AppRef, CASCADE, TRACKING};
use crate::{client::Cluster, inventory::Remaining, object::OWNER_LABEL, wait::finalizers};

impl Cluster {
    /// The Applications (and ApplicationSets) of a platform that are still there: those that bear its label, the roots
    /// named, and whatever came from these. Only reads.
    ///
    /// # Errors
    /// The classified refusal.
    pub async fn applications_left(&self, owner: &str, roots: &[AppRef]) -> Result<Vec<Remaining>, Failure> {
        let family = self.family(owner, roots).await?;
        Ok(family.members.iter().map(|live| Remaining::of(live)).collect())
    }

    /// Deletes a platform's Applications with everything that they deployed, as far as it can be done now, and gives
    /// back what is still there. Call it again until nothing is.
    ///
    /// Operations that are running are ended: Argo CD deletes nothing while one runs. Every Application gets the finalizer that makes it take its resources along; then the topmost are deleted, and
    /// Argo CD deletes their children in reverse order of their waves. Children whose parent is gone are deleted here.
    ///
    /// # Guarantees
    /// Never waits. What is being deleted already is not written to.
    ///
    /// # Errors
    /// The classified refusal. Gone already is fine.
    pub async fn remove_applications(
        &self,
        owner: &str,
        roots: &[AppRef],
    ) -> Result<Vec<Remaining>, Failure> {
        let family = self.family(owner, roots).await?;
        for live in family.members.iter().filter(|live| needs_cascade(live)) {
            let app = AppRef::of(live).object();
            let mut all = finalizers(live);
            all.push(CASCADE.to_owned());
            // With the version that was read: another's finalizer must not get lost.
            let body = json!({"metadata": {"finalizers": all, "resourceVersion": live["metadata"]["resourceVersion"]}});
            match self.merge(&app, &body).await {
                Err(refusal) if !refusal.is_not_found() => {
                    return Err(refusal.during(format!("could not make {app} take its resources along")));
                }
                _ => {}
            }
        }
        for live in family.members.iter().filter(|live| is_operating(live)) {
            self.end_operation(&AppRef::of(live)).await?;
        }
        for live in family.topmost() {
            let id = Remaining::of(live).object;
            self.delete(&id, live["metadata"]["uid"].as_str())
                .await
                .map_err(|r| r.during(format!("could not delete {id}")))?;
        }
        self.applications_left(owner, roots).await
    }

    async fn family(&self, owner: &str, roots: &[AppRef]) -> Result<Family, Failure> {
        let (apps, sets) = futures::try_join!(
            self.list(API_VERSION, "Application", None),
            self.list(API_VERSION, "ApplicationSet", None)
        )?;
        // Items of a list need not name their kind.
        let named = |kind: &str, mut live: Arc<Value>| {
            if live["kind"] != kind {
                let live = Arc::make_mut(&mut live);
                live["apiVersion"] = json!(API_VERSION);
                live["kind"] = json!(kind);
            }
            live
        };
        let all = apps
            .into_iter()
            .map(|live| named("Application", live))
            .chain(sets.into_iter().map(|live| named("ApplicationSet", live)));
        Ok(Family::of(owner, roots, all.collect()))
    }
}

fn needs_cascade(live: &Value) -> bool {
    live["kind"] == "Application"
        && live["metadata"]["deletionTimestamp"].is_null()
        // Also with a propagation policy after a slash: `…/background`.
        && !finalizers(live).iter().any(|one| one == CASCADE || one.starts_with(&format!("{CASCADE}/")))
}

fn is_operating(live: &Value) -> bool {
    live["operation"].is_object() && live["status"]["operationState"]["phase"] == "Running"
}

/// Applications and ApplicationSets that came from one platform.
struct Family {
    members: Vec<Arc<Value>>,
}

/// Kind, namespace and name.
type Key = (String, String, String);

impl Family {
    fn of(owner: &str, roots: &[AppRef], all: Vec<Arc<Value>>) -> Self {
        let mut inside: BTreeSet<Key> = all
            .iter()
            .filter(|live| {
                live["metadata"]["labels"][OWNER_LABEL] == *owner
                    || (live["kind"] == "Application" && roots.contains(&AppRef::of(live)))
            })
            .map(|live| key(live))
            .collect();
        loop {
            let more: Vec<Key> = all
                .iter()
                .filter(|live| {
                    !inside.contains(&key(live)) && parents(live, &all).iter().any(|p| inside.contains(p))
                })
                .map(|live| key(live))
                .collect();
            if more.is_empty() {
                break;
            }
            inside.extend(more);
        }
        Self { members: all.into_iter().filter(|live| inside.contains(&key(live))).collect() }
    }

    /// Those to be deleted by us: not on their way, and with no parent that would do it or bring them back.
    fn topmost(&self) -> impl Iterator<Item = &Value> {
        let members = || self.members.iter().map(Arc::as_ref);
        let keys: BTreeSet<Key> = members().map(key).collect();
        members().filter(move |live| {
            let orphaned = !parents(live, &self.members).iter().any(|parent| keys.contains(parent));
            live["metadata"]["deletionTimestamp"].is_null() && orphaned
        })
    }
}

fn key(live: &Value) -> Key {
    let app = AppRef::of(live);
    (live["kind"].as_str().unwrap_or_default().to_owned(), app.namespace, app.name)
}

/// Who made it: the Application in its tracking annotation, or the ApplicationSet that owns it.
fn parents(live: &Value, all: &[Arc<Value>]) -> Vec<Key> {
    let metadata = &live["metadata"];
    let namespace = metadata["namespace"].as_str().unwrap_or_default();
    let mut parents = Vec::new();
    if let Some((tracked_by, _)) =
        metadata["annotations"][TRACKING].as_str().and_then(|id| id.split_once(':'))
    {
        // `app`, or `namespace_app` for one outside Argo CD's own namespace.
        let found = all.iter().filter(|other| other["kind"] == "Application").map(|it| AppRef::of(it)).find(
            |other| {
                (other.name == tracked_by && other.namespace == namespace)
                    || format!("{}_{}", other.namespace, other.name) == tracked_by
            },
        );
        parents.extend(found.map(|app| ("Application".to_owned(), app.namespace, app.name)));
    }
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        if owner["kind"] == "ApplicationSet" {
            let name = owner["name"].as_str().unwrap_or_default().to_owned();
            parents.push(("ApplicationSet".to_owned(), namespace.to_owned(), name));
        }
    }
    // An Application may deploy itself.
    parents.retain(|parent| *parent != key(live));
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str, tracked_by: Option<&str>) -> Value {
        let mut live = json!({"kind": "Application", "metadata": {"namespace": "argocd", "name": name}});
        if let Some(parent) = tracked_by {
            let id = format!("{parent}:argoproj.io/Application:argocd/{name}");
            live["metadata"]["annotations"] = json!({TRACKING: id});
        }
        live
    }

    fn names<'a>(of: impl IntoIterator<Item = &'a Value>) -> Vec<&'a str> {
        of.into_iter().filter_map(|live| live["metadata"]["name"].as_str()).collect()
    }

    fn family(all: Vec<Value>) -> Family {
        let all = all.into_iter().map(Arc::new).collect();
        Family::of("demo", &[AppRef::new("argocd", "root")], all)
    }

    #[test]
    fn the_root_is_deleted_and_the_rest_follows() {
        let mut set = app("tenants", Some("root"));
        set["kind"] = json!("ApplicationSet");
        let mut tenant = app("tenant-a", None);
        tenant["metadata"]["ownerReferences"] = json!([{"kind": "ApplicationSet", "name": "tenants"}]);
        let mut labelled = app("extra", None);
        labelled["metadata"]["labels"] = json!({OWNER_LABEL: "demo"});
        let all =
            vec![app("root", None), app("web", Some("root")), set, tenant, app("stranger", None), labelled];
        let family = family(all);
        assert_eq!(
            names(family.members.iter().map(Arc::as_ref)),
            ["root", "web", "tenants", "tenant-a", "extra"]
        );
        assert_eq!(names(family.topmost()), ["root", "extra"]);
    }

    #[test]
    fn children_of_a_root_that_is_going_are_left_to_it() {
        let mut root = app("root", None);
        root["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(names(family(vec![root, app("web", Some("root"))]).topmost()), Vec::<&str>::new());
    }

    #[test]
    fn labelled_children_of_a_lost_root_are_deleted_by_us() {
        let mut child = app("web", Some("root"));
        child["metadata"]["labels"] = json!({OWNER_LABEL: "demo"});
        assert_eq!(names(family(vec![child]).topmost()), ["web"]);
    }

    #[test]
    fn an_application_that_deploys_itself_is_its_own_root() {
        assert_eq!(names(family(vec![app("root", Some("root"))]).topmost()), ["root"]);
    }

    #[test]
    fn the_finalizer_is_added_once() {
        let mut live = app("root", None);
        assert!(needs_cascade(&live));
        live["metadata"]["finalizers"] = json!([format!("{CASCADE}/background")]);
        assert!(!needs_cascade(&live));
    }
}
