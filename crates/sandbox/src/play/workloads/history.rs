//! ControllerRevisions: the templates that a StatefulSet or DaemonSet had.

use std::sync::Arc;

use serde_json::{Value, json};

use super::objects::{claim, hash, int, key_of, owned_by};
use crate::{
    kube::object::meta,
    play::{Cluster, cluster::Refused},
};

const KIND: &str = "apps/controllerrevisions";

/// The revisions of an owner, oldest first; the last one is of its present template.
pub struct Revisions {
    all: Vec<Arc<Value>>,
}

/// What a revision holds: a patch that gives an owner this template again.
fn data(owner: &Value) -> Value {
    let mut template = owner["spec"]["template"].clone();
    template["$patch"] = "replace".into();
    json!({ "spec": { "template": template } })
}

impl Revisions {
    /// Of an owner; `label` is the one that bears the hash. The one of its present template is made if there is none,
    /// and becomes the newest if it was there before.
    ///
    /// # Errors
    /// What the API refuses.
    pub fn of(cluster: &Cluster, by: &str, owner: &Value, label: &str) -> Result<Self, Refused> {
        let mut all = claim(cluster, by, KIND, owner);
        let order = |it: &Arc<Value>| (int(&it["revision"]), meta(it, "name").to_owned());
        all.sort_by_key(order);
        let (data, next) = (data(owner), all.last().map_or(0, |it| int(&it["revision"])) + 1);
        match all.iter().position(|it| it["data"] == data) {
            Some(place) if place + 1 == all.len() => {}
            Some(place) => {
                let old = all.remove(place);
                let raised = cluster.change(by, &key_of(KIND, &old), |it| it["revision"] = next.into())?;
                all.extend(raised);
            }
            None => all.push(make(cluster, by, owner, label, &data, next)?),
        }
        Ok(Self { all })
    }

    /// The one of the present template.
    pub fn newest(&self) -> &Value {
        self.all.last().map_or(&Value::Null, |it| it)
    }

    /// The one with a name.
    pub fn named(&self, name: &str) -> Option<&Value> {
        self.all.iter().find(|it| meta(it, "name") == name).map(|it| &**it)
    }

    /// Deletes the oldest of those that are not in use, beyond a number.
    ///
    /// # Errors
    /// What the API refuses.
    pub fn forget(&self, cluster: &Cluster, by: &str, owner: &Value, used: &[&str]) -> Result<(), Refused> {
        let limit = usize::try_from(int(&owner["spec"]["revisionHistoryLimit"])).unwrap_or(0);
        let newest = meta(self.newest(), "name");
        let old: Vec<_> = self
            .all
            .iter()
            .filter(|it| meta(it, "name") != newest && !used.contains(&meta(it, "name")))
            .collect();
        for revision in old.iter().take(old.len().saturating_sub(limit)) {
            cluster.delete(by, &key_of(KIND, revision))?;
        }
        Ok(())
    }
}

fn make(
    cluster: &Cluster,
    by: &str,
    owner: &Value,
    label: &str,
    data: &Value,
    revision: i64,
) -> Result<Arc<Value>, Refused> {
    let mut collisions = 0;
    loop {
        let hash = hash(data, collisions);
        let mut labels = owner["spec"]["template"]["metadata"]["labels"].clone();
        labels[label] = hash.as_str().into();
        let mut metadata = json!({
            "name": format!("{}-{hash}", meta(owner, "name")), "namespace": meta(owner, "namespace"),
            "labels": labels, "ownerReferences": [owned_by(owner)],
        });
        if let Some(annotations) = owner["metadata"].get("annotations") {
            metadata["annotations"] = annotations.clone();
        }
        let object = json!({
            "apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata,
            "data": data, "revision": revision,
        });
        match cluster.create(by, KIND, &object) {
            Err(refused) if refused.code == 409 => collisions += 1,
            answer => return answer,
        }
    }
}

/// The template of a revision.
pub fn template(revision: &Value) -> Value {
    let mut template = revision["data"]["spec"]["template"].clone();
    drop(template.as_object_mut().map(|it| it.shift_remove("$patch")));
    template
}
