//! The API itself: a request in, an answer out. It knows nothing of sockets, and time and chance are given to it.

use std::sync::Arc;

use axum::body::Bytes;
use serde_json::Value;

use super::{
    auth::{Identity, User, rbac::Access, rules::Deed},
    body,
    catalog::{Catalog, Resource},
    contents::Emptying,
    discovery, house,
    object::{Ids, Now},
    read::{self, Form},
    refusal::{About, Refusal},
    request::{Place, Query, Target},
    select::Selector,
    store::{Key, Store},
    watch::Watching,
    write,
};
use crate::parts::faults::Faults;

/// One API server.
#[derive(Clone)]
pub struct Api {
    /// Which resources there are.
    pub catalog: Arc<Catalog>,
    /// What is stored.
    pub store: Arc<Store>,
    /// The time.
    pub now: Now,
    /// Ids and name endings.
    pub ids: Arc<Ids>,
    /// Its keys.
    pub identity: Arc<Identity>,
    /// Who may do what.
    pub access: Arc<Access>,
    /// What is being emptied at the moment.
    pub(super) emptying: Arc<Emptying>,
    /// What goes wrong on purpose; nothing without it.
    pub faults: Option<Faults>,
    /// Whether it counts who owns which fields after every write. Otherwise only server-side apply makes owners: half the
    /// work, which a simulation of a thousand clusters does without.
    pub owners: bool,
}

/// A request, without its transport.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// `GET`, `POST`, …
    pub method: String,
    /// The path, decoded.
    pub path: String,
    /// The query.
    pub query: Query,
    /// `Content-Type`.
    pub content_type: String,
    /// `Accept`.
    pub accept: String,
    /// Who asks; the default may do everything.
    pub user: User,
    /// `User-Agent`: who manages fields, unless the query says.
    pub user_agent: String,
    /// The body.
    pub body: Vec<u8>,
}

/// An answer, without its transport.
pub enum Answer {
    /// A document.
    Json {
        /// The HTTP code.
        code: u16,
        /// The document; objects are those that are stored.
        body: Arc<Value>,
        /// For the header `Warning`, one each.
        warnings: Vec<String>,
    },
    /// Objects as they are stored. [`Answer::whole`] makes the document of it.
    List {
        /// Kind, version and metadata of the list.
        head: Value,
        /// What it holds.
        items: Vec<Arc<Value>>,
    },
    /// Text of some type.
    Text {
        /// The HTTP code.
        code: u16,
        /// Its type.
        content_type: &'static str,
        /// The text.
        body: String,
    },
    /// A document in a binary form.
    Bytes {
        /// Its type.
        content_type: &'static str,
        /// The document.
        body: Bytes,
    },
    /// Changes, as they come.
    Watch(Box<Watching>),
}

impl Answer {
    /// A document that goes well.
    pub fn ok(body: impl Into<Arc<Value>>) -> Self {
        Self::Json { code: 200, body: body.into(), warnings: Vec::new() }
    }

    /// The same, of a list the whole document.
    #[must_use]
    pub fn whole(self) -> Self {
        let Self::List { mut head, items } = self else { return self };
        let items = items.into_iter().map(Arc::unwrap_or_clone).collect();
        if let Some(head) = head.as_object_mut() {
            head.insert("items".to_owned(), Value::Array(items));
        }
        Self::ok(head)
    }

    /// Text that goes well.
    pub fn text(body: impl Into<String>) -> Self {
        Self::Text { code: 200, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        if refusal.reason.is_empty() && refusal.code == 404 {
            return Self::Text {
                code: refusal.code,
                content_type: "text/plain; charset=utf-8",
                body: refusal.message,
            };
        }
        Self::Json { code: refusal.code, body: refusal.status().into(), warnings: Vec::new() }
    }
}

impl Ask {
    /// Who manages the fields that this request writes.
    pub fn manager(&self) -> String {
        match self.query.text("fieldManager") {
            // As the real server: the program's name, which ends at the first slash.
            "" => self.user_agent.split('/').next().unwrap_or_default().to_owned(),
            named => named.to_owned(),
        }
    }
}

/// What a request is about, found in the catalog.
pub(super) struct Subject<'a> {
    pub resource: &'a Resource,
    pub place: &'a Place,
}

impl Subject<'_> {
    /// Where an object of that name lies.
    pub fn key(&self, name: &str) -> Key {
        Key {
            kind: self.resource.stored_as.clone(),
            namespace: self.place.namespace.clone().unwrap_or_default(),
            name: name.to_owned(),
        }
    }

    /// For refusals.
    pub fn about<'a>(&'a self, name: &'a str) -> About<'a> {
        About { group: &self.resource.group, resource: &self.resource.plural, name }
    }
}

impl Api {
    /// An API server with nothing in it. Its keys come from the seed: see [`Self::with_identity`].
    pub fn new(now: Now, seed: u64) -> Self {
        Self {
            catalog: Arc::default(),
            store: Arc::default(),
            now,
            ids: Arc::new(Ids::new(seed)),
            identity: Arc::new(Identity::seeded(seed)),
            access: Arc::default(),
            emptying: Arc::default(),
            faults: None,
            owners: true,
        }
    }

    /// The same with other keys: one that is served needs keys that nobody can guess.
    pub fn with_identity(self, identity: Identity) -> Self {
        Self { identity: Arc::new(identity), ..self }
    }

    /// Serves what the definitions define that lie in the store: what an earlier life has left there.
    pub fn take_up(&self) {
        let definitions = "apiextensions.k8s.io/customresourcedefinitions".into();
        for (key, definition) in self.store.list(&definitions, None).objects {
            self.catalog.define(&key.name, super::custom::resources(&definition));
        }
        super::house::take_up(self);
    }

    /// Answers a request.
    pub fn answer(&self, ask: &Ask) -> Answer {
        self.answer_to(ask, None).whole()
    }

    /// Answers a request; its object is given by who has it already, or else read from the body. A list may come as
    /// [`Answer::List`].
    pub fn answer_to(&self, ask: &Ask, object: Option<Value>) -> Answer {
        let target = Target::of(&ask.path);
        let answer = self.allowed(ask, &target).and_then(|()| match target {
            Target::Fixed(path) => discovery::answer(self, ask, &path),
            Target::Objects(place) => {
                let form = written_as(&ask.accept)?;
                Ok(form.of(self.objects(ask, &place, object)?))
            }
        });
        answer.unwrap_or_else(Answer::from)
    }

    /// Refuses what who asks may not do.
    fn allowed(&self, ask: &Ask, target: &Target) -> Result<(), Refusal> {
        if ask.user.may_everything() {
            return Ok(());
        }
        let place = match target {
            Target::Objects(place) => place,
            Target::Fixed(_) => {
                let verb = ask.method.to_lowercase();
                return self.allow(&ask.user, &Deed { verb: &verb, path: &ask.path, ..Deed::default() });
            }
        };
        let fields = Selector::parse("", ask.query.text("fieldSelector"));
        let selected = fields.ok().and_then(|it| it.name().map(str::to_owned)).unwrap_or_default();
        let name = place.name.as_deref().unwrap_or_default();
        let watches = ask.query.flag("watch").unwrap_or(false);
        let verb = match (ask.method.as_str(), name.is_empty()) {
            ("GET" | "HEAD", true) if watches => "watch",
            ("GET" | "HEAD", true) => "list",
            ("GET" | "HEAD", false) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "deletecollection",
            ("DELETE", false) => "delete",
            _ => "",
        };
        // A namespace lies in itself: who may read what is in it may be told that it is there.
        let within = if place.plural == "namespaces" { &place.name } else { &place.namespace };
        let deed = Deed {
            verb,
            group: &place.group,
            resource: &place.plural,
            subresource: place.subresource.as_deref().unwrap_or_default(),
            namespace: within.as_deref().unwrap_or_default(),
            name: if name.is_empty() && verb != "create" { &selected } else { name },
            path: "",
        };
        self.allow(&ask.user, &deed)
    }

    fn objects(&self, ask: &Ask, place: &Place, object: Option<Value>) -> Result<Answer, Refusal> {
        let found = self.catalog.find(&place.group, &place.version, &place.plural);
        let nowhere = || match self.catalog.is_built_in(&place.group, &place.version) {
            true => Refusal::no_such_resource(),
            false => Refusal::no_such_path(),
        };
        let resource = found.ok_or_else(nowhere)?;
        if place.namespace.is_some() && !resource.namespaced {
            return Err(nowhere());
        }
        let subject = Subject { resource: &resource, place };
        let verb = verb(ask, place)?;
        let allowed = match &place.subresource {
            Some(name) => &resource.subresource(name).ok_or_else(Refusal::no_such_path)?.verbs,
            None => &resource.verbs,
        };
        if !allowed.iter().any(|it| it == verb) {
            return Err(Refusal::method_not_allowed());
        }
        let body = |object: Option<Value>| match object {
            Some(value) => Ok(body::Body { value, twice: Vec::new() }),
            None => body::read(ask, &resource),
        };
        match verb {
            "get" => read::get(self, &subject, &Form::of(&ask.accept), ask.query.text("container")),
            "list" => read::list(self, &subject, ask),
            "watch" => read::watch(self, &subject, ask),
            "create" => write::create(self, &subject, ask, body(object)?),
            "update" => write::update(self, &subject, ask, body(object)?),
            "patch" => write::patch(self, &subject, ask, object),
            "delete" => house::delete(self, &subject, ask, object),
            "deletecollection" => house::delete_collection(self, &subject, ask, object),
            _ => Err(Refusal::method_not_allowed()),
        }
    }
}

/// Brings the fields of all objects into the order of their names, as YAML shows them.
fn sorted(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(sorted);
        }
        Value::Array(items) => items.iter_mut().for_each(sorted),
        _ => {}
    }
}

/// How documents are written down.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    Json,
    Yaml,
}

impl Written {
    fn of(self, answer: Answer) -> Answer {
        if self == Self::Json {
            return answer;
        }
        match answer.whole() {
            Answer::Json { code, body, .. } => {
                let mut body = Arc::unwrap_or_clone(body);
                sorted(&mut body);
                let body = yaml_serde::to_string(&body).unwrap_or_default();
                Answer::Text { code, content_type: "application/yaml", body }
            }
            other => other,
        }
    }
}

/// The first form that a client accepts; who accepts protobuf accepts JSON as well.
fn written_as(accept: &str) -> Result<Written, Refusal> {
    let mut forms = accept.split(',').map(|form| form.split(';').next().unwrap_or_default().trim());
    let known = forms.find_map(|form| match form {
        ""
        | "*/*"
        | "application/*"
        | "application/json"
        | "application/vnd.kubernetes.protobuf"
        | "application/cbor"
        | "application/json-seq" => Some(Written::Json),
        "application/yaml" => Some(Written::Yaml),
        _ => None,
    });
    known.ok_or_else(|| {
        let known = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
        let message = format!("406: Not Acceptable\n\nAvailable representations: {known}");
        Refusal { details: serde_json::json!({}), ..Refusal::new(406, "NotAcceptable", message) }
    })
}

/// The verb in the words of discovery and of access rules.
fn verb(ask: &Ask, place: &Place) -> Result<&'static str, Refusal> {
    Ok(match (ask.method.as_str(), place.name.is_some()) {
        ("GET", true) => "get",
        ("GET", false) if ask.query.flag("watch")? => "watch",
        ("GET", false) => "list",
        ("POST", _) => "create",
        ("PUT", true) => "update",
        ("PATCH", true) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => return Err(Refusal::method_not_allowed()),
    })
}
