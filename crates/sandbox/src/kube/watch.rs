//! Watching: what is there, and then every change.

use std::{collections::VecDeque, sync::Arc};

use serde_json::{Value, json};
use tokio::sync::watch;

use super::{
    api::{Api, Subject},
    catalog::Resource,
    read::{Form, Rows, shown},
    refusal::Refusal,
    select::Selector,
    store::{Change, Store},
    table,
};

/// A client that watches.
pub struct Watching {
    store: Arc<Store>,
    api: Api,
    resource: Resource,
    namespace: Option<String>,
    selector: Selector,
    form: Form,
    rows: Rows,
    /// Whether a table has been sent: only the first one bears the heads of its columns.
    headed: bool,
    revisions: watch::Receiver<u64>,
    /// The revision up to which everything was shown.
    seen: u64,
    ready: VecDeque<Value>,
    bookmarks: bool,
    over: bool,
}

impl Watching {
    /// Begins after a revision; without one with what is there.
    pub(super) fn new(
        api: &Api,
        subject: &Subject<'_>,
        selector: Selector,
        (form, rows): (Form, Rows),
        since: Option<u64>,
    ) -> Self {
        let mut watching = Self {
            store: api.store.clone(),
            api: api.clone(),
            resource: subject.resource.clone(),
            namespace: subject.place.namespace.clone(),
            selector,
            form,
            rows,
            headed: false,
            revisions: api.store.revisions(),
            seen: since.unwrap_or_default(),
            ready: VecDeque::new(),
            bookmarks: false,
            over: false,
        };
        if since.is_none() {
            let listed = watching.store.list(&watching.resource.stored_as, watching.namespace.as_deref());
            watching.seen = listed.revision;
            for (_, object) in listed.objects {
                if watching.selector.matches(&object) {
                    watching.show("ADDED", &object);
                }
            }
        }
        watching
    }

    /// Tells the client by bookmarks how far it has seen; after what was there with a mark that says so.
    pub(super) fn bookmarks(mut self, wanted: bool, initial: bool) -> Self {
        self.bookmarks = wanted;
        if wanted && initial {
            let mut bookmark = self.bookmark();
            bookmark["object"]["metadata"]["annotations"] = json!({ "k8s.io/initial-events-end": "true" });
            self.ready.push_back(bookmark);
        }
        self
    }

    /// The next event, waited for; `None` when the watch is over.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.over {
                return None;
            }
            self.revisions.borrow_and_update();
            self.look();
            if self.ready.is_empty() && self.revisions.changed().await.is_err() {
                return None;
            }
        }
    }

    /// A bookmark of how far the client has seen, if it wants bookmarks.
    pub fn mark(&self) -> Option<Value> {
        self.bookmarks.then(|| self.bookmark())
    }

    fn bookmark(&self) -> Value {
        json!({
            "type": "BOOKMARK",
            "object": {
                "kind": self.resource.kind,
                "apiVersion": self.resource.api_version(),
                "metadata": { "resourceVersion": self.seen.to_string(), "creationTimestamp": null },
            },
        })
    }

    fn look(&mut self) {
        let changes = match self.store.changes_after(self.seen) {
            Ok(changes) => changes,
            Err(gone) => {
                // Events are kept out of the real server's cache: of them etcd itself tells.
                let words = match &*self.resource.stored_as {
                    "/events" | "events.k8s.io/events" => {
                        "The resourceVersion for the provided watch is too old.".to_owned()
                    }
                    _ => format!("too old resource version: {} ({})", self.seen, gone.oldest),
                };
                self.ready.push_back(json!({ "type": "ERROR", "object": Refusal::expired(words).status() }));
                self.over = true;
                return;
            }
        };
        for change in changes {
            self.seen = change.revision;
            if change.key.kind == self.resource.stored_as
                && self.namespace.as_ref().is_none_or(|wanted| change.key.namespace == *wanted)
            {
                self.tell(&change);
            }
        }
    }

    /// To a client that selects, an object that is no longer selected is deleted.
    fn tell(&mut self, change: &Change) {
        let before = change.before.as_ref().is_some_and(|object| self.selector.matches(object));
        let after = change.after.as_ref().is_some_and(|object| self.selector.matches(object));
        let word = match (before, after) {
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
            (false, false) => return,
        };
        match (&change.before, word) {
            // The client is shown what it knew, at the version at which it lost it.
            (Some(before), "DELETED") => {
                let mut last = Value::clone(before);
                last["metadata"]["resourceVersion"] = change.revision.to_string().into();
                self.show(word, &last);
            }
            _ => self.show(word, &change.object()),
        }
    }

    fn show(&mut self, word: &str, object: &Value) {
        let object = match self.form {
            Form::Table => {
                let version = object["metadata"]["resourceVersion"].clone();
                let metadata = json!({ "resourceVersion": version });
                let mut table = table::of(&self.resource, &[object], metadata, (self.api.now)(), self.rows);
                if std::mem::replace(&mut self.headed, true) {
                    table["columnDefinitions"] = Value::Null;
                }
                table
            }
            form => shown(&self.resource, object, form),
        };
        self.ready.push_back(json!({ "type": word, "object": object }));
    }
}
