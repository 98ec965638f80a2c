//! Writing: create, update, patch. What is written is read strictly, completed, judged, and only then stored.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    admission::Admission,
    api::{Answer, Api, Ask, Subject},
    auth,
    body::Body,
    catalog::{Resource, api_version},
    custom, defaults, house, immutable,
    merge::{self, ApplyError},
    names,
    object::{
        self, Causes, carry_over, finalizers, is_going, meta, metadata, name_causes, refuse, stamp, time,
    },
    options,
    patch::Patch,
    read::{in_version, named},
    refusal::Refusal,
    rules, scale, service,
    store::Key,
};

/// One write: what it is about, how it wants to be read, and what the writer should be warned of.
pub(super) struct Writing<'a> {
    pub api: &'a Api,
    pub subject: &'a Subject<'a>,
    pub ask: &'a Ask,
    pub dry_run: bool,
    pub warnings: Vec<String>,
}

/// Who owns the fields of what is written.
#[derive(Clone, Copy, PartialEq)]
enum Owners {
    /// The writer comes to own what differs.
    Track,
    /// Apply has settled it.
    Settled,
}

/// Why nothing was stored.
enum Stop {
    Refused(Refusal),
    /// It would have been stored; this is what it would be.
    DryRun(Box<Value>),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

pub(super) fn create(api: &Api, subject: &Subject<'_>, ask: &Ask, body: Body) -> Result<Answer, Refusal> {
    if let Some(subresource) = subject.place.subresource.as_deref() {
        return house::create_below(api, subject, subresource, &body.value);
    }
    if &*subject.resource.stored_as == "/bindings" {
        return house::bind_pod(api, subject, &body.value);
    }
    let mut writing = Writing::new(api, subject, ask)?;
    if auth::is_review(subject.resource) {
        let mut question = body.value;
        writing.read_strictly(&mut question, &body.twice)?;
        writing.place(&mut question)?;
        complete(subject.resource, &mut question);
        return auth::answer(api, subject.resource, &ask.user, question);
    }
    writing.create(body)
}

pub(super) fn update(api: &Api, subject: &Subject<'_>, ask: &Ask, body: Body) -> Result<Answer, Refusal> {
    let mut writing = Writing::new(api, subject, ask)?;
    let name = subject.place.name.as_deref().unwrap_or_default();
    if subject.place.subresource.as_deref() == Some("scale") {
        return writing.scale(name, &|_| Ok(body.value.clone()));
    }
    let mut new = body.value;
    writing.read_strictly(&mut new, &body.twice)?;
    writing.place(&mut new)?;
    if meta(&new, "name") != name {
        return Err(Refusal::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({name})",
            meta(&new, "name")
        )));
    }
    writing.change(name, Owners::Track, |_| Ok((new, Vec::new())))
}

pub(super) fn patch(
    api: &Api,
    subject: &Subject<'_>,
    ask: &Ask,
    given: Option<Value>,
) -> Result<Answer, Refusal> {
    let mut writing = Writing::new(api, subject, ask)?;
    let name = subject.place.name.as_deref().unwrap_or_default();
    let patch = Patch::read(ask, given)?;
    if subject.place.subresource.as_deref() == Some("scale") {
        return writing.scale(name, &|scale| patch.on(None, scale));
    }
    if let Patch::Apply(config) = patch {
        return writing.apply(name, config);
    }
    let shape = subject.resource.custom.is_none().then_some(&subject.resource.shape);
    writing.change(name, Owners::Track, |old| writing.checked(patch.on(shape, old)?))
}

impl<'a> Writing<'a> {
    pub fn new(api: &'a Api, subject: &'a Subject<'a>, ask: &'a Ask) -> Result<Self, Refusal> {
        let (kind, applies) = match ask.method.as_str() {
            "PUT" => ("UpdateOptions", false),
            "PATCH" => ("PatchOptions", ask.content_type.starts_with("application/apply-patch")),
            _ => ("CreateOptions", false),
        };
        options::check_write(kind, &ask.query, applies)?;
        let dry_run = ask.query.dry_run()?;
        Ok(Self { api, subject, ask, dry_run, warnings: Vec::new() })
    }

    pub(super) fn resource(&self) -> &'a Resource {
        self.subject.resource
    }

    fn create(mut self, body: Body) -> Result<Answer, Refusal> {
        let mut new = body.value;
        self.read_strictly(&mut new, &body.twice)?;
        self.place(&mut new)?;
        self.make(new, Owners::Track)
    }

    /// Makes an object that is not there.
    fn make(&mut self, mut new: Value, owners: Owners) -> Result<Answer, Refusal> {
        let resource = self.resource();
        let base = meta(&new, "generateName").to_owned();
        if meta(&new, "name").is_empty() && !base.is_empty() {
            let name = format!("{base}{}", self.api.ids.ending());
            metadata(&mut new).insert("name".into(), name.into());
        }
        let name = meta(&new, "name").to_owned();
        refuse(resource, &name, &name_causes(resource, &name))?;
        self.in_open_namespace(&name)?;
        if !meta(&new, "resourceVersion").is_empty() {
            return Err(Refusal::unnamed("resourceVersion should not be set on objects to be created"));
        }
        stamp(&mut new, resource, (self.api.now)(), &self.api.ids);
        complete(resource, &mut new);
        if owners == Owners::Track && self.api.owners {
            let blank = merge::blank(&resource.shape, &new);
            self.own(|write| write.track(&blank, &mut new));
        }
        let admission = Admission::of(self.api, self.subject, &self.ask.user);
        if let Some(admission) = &admission {
            admission.fill(None, &mut new)?;
            // What it adds is completed like all else: else the next write of the same would be a change.
            complete(resource, &mut new);
        }
        rules::begin(self.api, resource, &mut new);
        object::tidy(&mut new);
        refuse(resource, &name, &self.causes(None, &new))?;
        let key = self.subject.key(&name);
        if let Some(admission) = &admission {
            admission.judge(None, &new, &mut self.warnings)?;
        }
        let stored = self.store(&key, admission, |_, old| match old {
            Some(_) => Err(Refusal::already_exists(self.subject.about(&name))),
            None => Ok(Some(new)),
        })?;
        let body = named(resource, stored);
        Ok(Answer::Json { code: 201, body, warnings: std::mem::take(&mut self.warnings) })
    }

    /// Server-side apply: makes what is not there, and changes what is.
    fn apply(&mut self, name: &str, config: Body) -> Result<Answer, Refusal> {
        let force = self.ask.query.flag("force")?;
        let mut wanted = config.value;
        self.read_strictly(&mut wanted, &config.twice)?;
        self.place(&mut wanted)?;
        match meta(&wanted, "name").to_owned() {
            given if given.is_empty() => drop(metadata(&mut wanted).insert("name".into(), name.into())),
            given if given == name => {}
            given => {
                return Err(Refusal::bad_request(format!(
                    "the name of the object ({given}) does not match the name on the URL ({name})"
                )));
            }
        }
        let is_there = self.api.store.get(&self.subject.key(name)).is_some();
        if !is_there && self.subject.place.subresource.is_none() {
            let blank = merge::blank(&self.resource().shape, &wanted);
            let made = self.own(|write| write.apply(&blank, &wanted, force)).map_err(not_applied)?;
            return self.make(made.object, Owners::Settled);
        }
        self.change(name, Owners::Settled, |old| {
            let made = self.own(|write| write.apply(old, &wanted, force)).map_err(not_applied)?;
            self.checked(made.object)
        })
    }

    /// What a patch has made, read strictly; and what its writer should be warned of.
    fn checked(&self, mut new: Value) -> Result<(Value, Vec<String>), Refusal> {
        let warnings = self.strictly(&mut new, &[])?;
        Ok((new, warnings))
    }

    /// Calls `act` with what merging has to know of this write.
    fn own<T>(&self, act: impl FnOnce(&merge::Write<'_>) -> T) -> T {
        let resource = self.resource();
        let subresource = self.subject.place.subresource.as_deref().unwrap_or_default();
        let reset = merge::reset_fields(
            &resource.kind,
            resource.custom.is_some(),
            subresource,
            resource.has_status(),
        );
        act(&merge::Write {
            shape: &resource.shape,
            manager: &self.ask.manager(),
            api_version: &resource.api_version(),
            subresource,
            reset: &reset,
            now: &time((self.api.now)()),
        })
    }

    /// Changes an object as `act` says, given the object as it is; what it gives has been read strictly.
    fn change(
        &self,
        name: &str,
        owners: Owners,
        act: impl FnOnce(&Value) -> Result<(Value, Vec<String>), Refusal>,
    ) -> Result<Answer, Refusal> {
        let resource = self.resource();
        let key = self.subject.key(name);
        let mut warnings = Vec::new();
        let mut last = None;
        let mut taken = (&*resource.stored_as == "/services").then(|| service::Taken::of(self.api));
        let admission = Admission::of(self.api, self.subject, &self.ask.user);
        let mut stored = self.store(&key, admission, |admission, old| {
            let old = old.ok_or_else(|| Refusal::not_found(self.subject.about(name)))?;
            let old = &*in_version(resource, old);
            let mut new;
            (new, warnings) = act(old)?;
            if meta(&new, "name") != name {
                return Err(Refusal::bad_request(format!(
                    "the name of the object ({}) does not match the name on the URL ({name})",
                    meta(&new, "name")
                )));
            }
            self.same_object(name, old, &new)?;
            self.only_its_part(old, &mut new);
            complete(resource, &mut new);
            if let Some(taken) = &mut taken {
                service::fill(taken, Some(old), &mut new);
            }
            carry_over(old, &mut new, resource);
            match owners {
                Owners::Track if self.api.owners => self.own(|write| write.track(old, &mut new)),
                Owners::Track => merge::keep_managers(old, &mut new),
                Owners::Settled => {}
            }
            if let Some(admission) = admission {
                admission.fill(Some(old), &mut new)?;
            }
            merge::keep_times(old, &mut new);
            object::tidy(&mut new);
            refuse(resource, name, &self.causes(Some(old), &new))?;
            if let Some(admission) = admission {
                admission.judge(Some(old), &new, &mut warnings)?;
            }
            // The version is no content: a write of the same is none.
            metadata(&mut new).insert("resourceVersion".into(), old["metadata"]["resourceVersion"].clone());
            let finished = is_going(&new) && finalizers(&new).is_empty() && house::may_go(resource, &new);
            if finished {
                last = Some(new.clone());
            }
            Ok((!finished).then_some(new))
        })?;
        // Who lets go of an object sees it as it became, though it was never stored so.
        if let Some(last) = last {
            stored = last.into();
        }
        let body = named(resource, stored);
        Ok(Answer::Json { code: 200, body, warnings: [self.warnings.clone(), warnings].concat() })
    }

    fn scale(
        &mut self,
        name: &str,
        act: &dyn Fn(&Value) -> Result<Value, Refusal>,
    ) -> Result<Answer, Refusal> {
        let resource = self.resource();
        let answer = self.change(name, Owners::Track, |old| {
            let scale = act(&scale::of(resource, old))?;
            self.checked(scale::put(resource, old, &scale))
        })?;
        Ok(match answer {
            Answer::Json { code, body, warnings } => {
                Answer::Json { code, body: scale::of(resource, &body).into(), warnings }
            }
            other => other,
        })
    }

    /// Stores what `act` makes of an object, unless this is a dry run, and gives what is (or would be) there.
    fn store(
        &self,
        key: &Key,
        mut admission: Option<Admission<'_>>,
        act: impl FnOnce(Option<&Admission<'_>>, Option<&Value>) -> Result<Option<Value>, Refusal>,
    ) -> Result<Arc<Value>, Refusal> {
        let change = self.api.store.change(key, |old| {
            let new = act(admission.as_ref(), old)?;
            if self.dry_run {
                return Err(Stop::DryRun(Box::new(new.or_else(|| old.cloned()).unwrap_or_default())));
            }
            Ok(new)
        });
        if let Some(admission) = &mut admission {
            admission.is_over();
        }
        match change {
            Ok(Some(change)) => {
                house::after(self.api, self.resource(), &change);
                // The object as it became, or as it last was.
                Ok(change.object())
            }
            Ok(None) => Ok(self.api.store.get(key).unwrap_or_default()),
            Err(Stop::DryRun(object)) => Ok((*object).into()),
            Err(Stop::Refused(refusal)) => Err(refusal),
        }
    }

    /// Nothing is made in a namespace that is not there or is going.
    fn in_open_namespace(&self, name: &str) -> Result<(), Refusal> {
        let Some(namespace) = self.subject.place.namespace.as_deref() else { return Ok(()) };
        let key = Key { kind: "/namespaces".into(), namespace: String::new(), name: namespace.to_owned() };
        match self.api.store.get(&key) {
            None => Err(Refusal::not_found(super::refusal::About {
                group: "",
                resource: "namespaces",
                name: namespace,
            })),
            Some(found) if is_going(&found) => {
                let why = format!(
                    "unable to create new content in namespace {namespace} because it is being terminated"
                );
                let mut refusal = Refusal::forbidden(self.subject.about(name), &why);
                refusal.details["causes"] = json!([{
                    "reason": "NamespaceTerminating", "field": "metadata.namespace",
                    "message": format!("namespace {namespace} is being terminated"),
                }]);
                Err(refusal)
            }
            Some(_) => Ok(()),
        }
    }

    /// A writer that names a version or an id means that very object.
    fn same_object(&self, name: &str, old: &Value, new: &Value) -> Result<(), Refusal> {
        let (version, uid) = (meta(new, "resourceVersion"), meta(new, "uid"));
        if !uid.is_empty() && uid != meta(old, "uid") {
            return Err(Refusal::conflict(
                self.subject.about(name),
                &format!(
                    "StorageError: invalid object, Code: 4, Key: {}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
                    self.subject.key(name).path(),
                    meta(old, "uid")
                ),
            ));
        }
        if !version.is_empty() && version != meta(old, "resourceVersion") {
            return Err(Refusal::outdated(self.subject.about(name)));
        }
        Ok(())
    }

    /// A write below `status` changes nothing else, and a write to the object changes no status.
    fn only_its_part(&self, old: &Value, new: &mut Value) {
        match self.subject.place.subresource.as_deref() {
            Some("status") => {
                let status = new.as_object_mut().and_then(|new| new.shift_remove("status"));
                let version = meta(new, "resourceVersion").to_owned();
                let others = old.as_object().into_iter().flatten().filter(|(key, _)| *key != "status");
                *new = others.map(|(key, value)| (key.clone(), value.clone())).collect();
                if let Some(status) = status {
                    new["status"] = status;
                }
                metadata(new).insert("resourceVersion".into(), version.into());
            }
            Some("finalize") => {
                let finalizers = new["spec"]["finalizers"].take();
                *new = old.clone();
                new["spec"]["finalizers"] = finalizers;
            }
            _ if self.resource().has_status() => match old.get("status") {
                Some(status) => new["status"] = status.clone(),
                None => drop(new.as_object_mut().map(|new| new.shift_remove("status"))),
            },
            _ => {}
        }
    }

    fn causes(&self, old: Option<&Value>, new: &Value) -> Causes {
        let mut causes = names::metadata_causes(new, self.resource().custom.is_none());
        // The real server asks twice, and tells it twice.
        let late = old.and_then(|old| names::new_finalizers(old, new));
        causes.extend(late.iter().cloned().chain(late.clone()));
        causes.extend(rules::causes(self.resource(), old, new));
        if let Some(old) = old {
            let below = self.subject.place.subresource.as_deref();
            causes.extend(immutable::causes(self.resource(), below, old, new));
        }
        if let Some(custom) = &self.resource().custom {
            causes.extend(custom.causes(new));
        }
        causes
    }
}

fn complete(resource: &Resource, object: &mut Value) {
    match &resource.custom {
        Some(custom) => {
            custom::leave_out_nulls(&custom.schema, object);
            custom::fill(&resource.shape, object);
        }
        None => {
            merge::decode(&resource.shape, object);
            if &*resource.stored_as == "/secrets" {
                rules::decode_string_data(object);
            }
            defaults::fill(resource, object);
        }
    }
    object["apiVersion"] = api_version(&resource.group, &resource.version).into();
    object["kind"] = resource.kind.as_str().into();
    object::tidy(object);
}

fn not_applied(error: ApplyError) -> Refusal {
    let message = error.to_string();
    match error {
        ApplyError::BadRequest(_) => Refusal::bad_request(message),
        ApplyError::Internal(_) => Refusal::new(500, "InternalError", message),
        ApplyError::Conflicts(conflicts) => {
            let cause = |conflict: &merge::Conflict| {
                json!({
                    "reason": "FieldManagerConflict", "message": conflict.to_string(), "field": conflict.path.to_string(),
                })
            };
            let details = json!({ "causes": conflicts.iter().map(cause).collect::<Vec<_>>() });
            Refusal { details, ..Refusal::new(409, "Conflict", message) }
        }
    }
}
