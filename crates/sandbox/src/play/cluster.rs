//! One cluster, as its controllers reach it: its API, with a few words for what controllers do all day.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::around::Around;
use crate::kube::{
    Answer, Api, Ask,
    catalog::Resource,
    object::{meta, time},
    request::Query,
    store::Key,
};

/// One cluster.
#[derive(Clone)]
pub struct Cluster {
    /// Its name.
    pub name: Arc<str>,
    /// Its API.
    pub api: Api,
    /// What lies outside of it.
    pub around: Around,
}

/// What the API refused.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Refused {
    /// The HTTP code.
    pub code: u16,
    /// Its words.
    pub message: String,
}

impl Cluster {
    /// The time.
    pub fn now(&self) -> Timestamp {
        (self.api.now)()
    }

    /// The time, as objects hold it.
    pub fn time(&self) -> String {
        time(self.now())
    }

    /// The key of an object of a kind, as it is stored: `apps/deployments`.
    pub fn key(kind: &str, namespace: &str, name: &str) -> Key {
        Key { kind: kind.into(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of the object that controls this one, when it is of a kind.
    pub fn controller_of(object: &Value, kind: &str, stored_as: &str) -> Option<Key> {
        let owners = object["metadata"]["ownerReferences"].as_array()?;
        let owner = owners.iter().find(|it| it["controller"] == true && it["kind"] == kind)?;
        Some(Self::key(stored_as, meta(object, "namespace"), owner["name"].as_str()?))
    }

    /// An object.
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.api.store.get(key)
    }

    /// All objects of a kind, of one namespace or of all.
    pub fn list(&self, kind: &str, namespace: Option<&str>) -> Vec<Arc<Value>> {
        self.api.store.objects(kind, namespace, "")
    }

    /// Makes an object as a controller of that name; it says itself in which namespace.
    ///
    /// # Errors
    /// What the API refuses.
    pub fn create(&self, by: &str, kind: &str, object: &Value) -> Result<Arc<Value>, Refused> {
        let resource = self.resource(kind)?;
        let path = path(&resource, meta(object, "namespace"), "", "");
        self.ask("POST", path, by, object.clone())
    }

    /// Changes an object as it is now; nothing is written when `act` changes nothing. `None`: there is no such object.
    ///
    /// # Errors
    /// What the API refuses.
    pub fn change(
        &self,
        by: &str,
        key: &Key,
        act: impl Fn(&mut Value),
    ) -> Result<Option<Arc<Value>>, Refused> {
        self.rewrite(by, key, "", act)
    }

    /// As [`Self::change`], of the status; other changes that `act` makes are left aside.
    ///
    /// # Errors
    /// What the API refuses.
    pub fn change_status(
        &self,
        by: &str,
        key: &Key,
        act: impl Fn(&mut Value),
    ) -> Result<Option<Arc<Value>>, Refused> {
        self.rewrite(by, key, "status", act)
    }

    /// Deletes an object in the background; one that is not there is what was wanted.
    ///
    /// # Errors
    /// What the API refuses.
    pub fn delete(&self, by: &str, key: &Key) -> Result<(), Refused> {
        self.delete_with(by, key, &json!({}))
    }

    /// As [`Self::delete`], with `DeleteOptions`.
    ///
    /// # Errors
    /// What the API refuses.
    pub fn delete_with(&self, by: &str, key: &Key, options: &Value) -> Result<(), Refused> {
        let resource = self.resource(&key.kind)?;
        match self.ask("DELETE", path(&resource, &key.namespace, &key.name, ""), by, options.clone()) {
            Err(refused) if refused.code != 404 => Err(refused),
            _ => Ok(()),
        }
    }

    /// Records an event about an object; one that says the same again is counted.
    pub fn event(&self, by: &str, about: &Value, kind: &str, reason: &str, message: &str) {
        let namespace = match meta(about, "namespace") {
            "" => "default",
            namespace => namespace,
        };
        // As the real recorder: the object's name and something that differs.
        let begins = format!("{}.", meta(about, "name"));
        let same = self.api.store.objects("/events", Some(namespace), &begins).into_iter().find(|event| {
            event["involvedObject"]["uid"] == about["metadata"]["uid"]
                && event["reason"] == reason
                && event["message"] == message
        });
        let now = self.time();
        if let Some(event) = same {
            let key = Self::key("/events", namespace, meta(&event, "name"));
            // Events tell people what happened; nothing depends on them.
            let _told = self.change(by, &key, |event| {
                event["count"] = (event["count"].as_u64().unwrap_or(1) + 1).into();
                event["lastTimestamp"] = now.clone().into();
            });
            return;
        }
        let event = json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": {
                "namespace": namespace,
                "name": format!("{begins}{}", &self.api.ids.uid()[..13].replace('-', "")),
            },
            "involvedObject": {
                "apiVersion": about["apiVersion"], "kind": about["kind"],
                "name": meta(about, "name"), "namespace": meta(about, "namespace"), "uid": meta(about, "uid"),
                "resourceVersion": meta(about, "resourceVersion"),
            },
            "reason": reason, "message": message, "type": kind,
            "source": { "component": by }, "reportingComponent": by, "reportingInstance": "",
            "firstTimestamp": now, "lastTimestamp": now, "count": 1,
        });
        let _told = self.create(by, "/events", &event);
    }

    fn rewrite(
        &self,
        by: &str,
        key: &Key,
        below: &str,
        act: impl Fn(&mut Value),
    ) -> Result<Option<Arc<Value>>, Refused> {
        let resource = self.resource(&key.kind)?;
        loop {
            let Some(object) = self.get(key) else { return Ok(None) };
            let mut new = Value::clone(&object);
            act(&mut new);
            if new == *object {
                return Ok(Some(object));
            }
            let at = path(&resource, &key.namespace, &key.name, below);
            match self.ask("PUT", at, by, in_version(new, &resource)) {
                // Somebody else was faster; look again.
                Err(refused) if refused.code == 409 => {}
                Err(refused) if refused.code == 404 => return Ok(None),
                answer => return answer.map(Some),
            }
        }
    }

    fn resource(&self, kind: &str) -> Result<Arc<Resource>, Refused> {
        self.api
            .catalog
            .stored(kind)
            .ok_or_else(|| Refused { code: 404, message: format!("there is no resource {kind}") })
    }

    fn ask(&self, method: &str, path: String, by: &str, body: Value) -> Result<Arc<Value>, Refused> {
        let ask = Ask {
            method: method.to_owned(),
            path,
            query: Query::default(),
            content_type: "application/json".to_owned(),
            user_agent: by.to_owned(),
            ..Ask::default()
        };
        match self.api.answer_to(&ask, Some(body)) {
            Answer::Json { code, body, .. } if code < 300 => Ok(body),
            Answer::Json { code, body, .. } => {
                Err(Refused { code, message: body["message"].as_str().unwrap_or_default().to_owned() })
            }
            Answer::Text { code, body, .. } => Err(Refused { code, message: body }),
            Answer::Watch(_) | Answer::Bytes { .. } | Answer::List { .. } => {
                Err(Refused { code: 500, message: "an object was asked for".to_owned() })
            }
        }
    }
}

fn path(resource: &Resource, namespace: &str, name: &str, below: &str) -> String {
    let mut path = match resource.group.as_str() {
        "" => format!("/api/{}", resource.version),
        group => format!("/apis/{group}/{}", resource.version),
    };
    if resource.namespaced {
        path += &format!("/namespaces/{namespace}");
    }
    path += &format!("/{}", resource.plural);
    for part in [name, below] {
        if !part.is_empty() {
            path += &format!("/{part}");
        }
    }
    path
}

/// Objects are stored in the version they were written in; a write must be in that of its address.
fn in_version(mut object: Value, resource: &Resource) -> Value {
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.clone().into();
    object
}
