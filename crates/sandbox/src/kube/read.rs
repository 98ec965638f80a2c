//! Reading: one object, lists, and the forms in which clients want them.

use std::{borrow::Cow, sync::Arc};

use serde_json::{Value, json};

use super::{
    api::{Answer, Api, Ask, Subject},
    catalog::Resource,
    options,
    refusal::Refusal,
    scale,
    select::Selector,
    table,
    watch::Watching,
};

/// How objects are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Whole,
    /// As rows of a table, for people.
    Table,
    /// Only their metadata.
    Metadata,
}

impl Form {
    /// What a client accepts: `application/json;as=Table;v=v1;g=meta.k8s.io,application/json`.
    pub fn of(accept: &str) -> Self {
        let first = accept
            .split(',')
            .map(str::trim)
            .find(|it| it.starts_with("application/json"))
            .unwrap_or_default();
        match first.split(';').map(str::trim).find_map(|part| part.strip_prefix("as=")) {
            Some("Table") => Self::Table,
            Some("PartialObjectMetadata" | "PartialObjectMetadataList") => Self::Metadata,
            _ => Self::Whole,
        }
    }
}

/// An object in the version and form that were asked for.
pub fn shown(resource: &Resource, object: &Value, form: Form) -> Value {
    match form {
        Form::Whole | Form::Table => in_version(resource, object).into_owned(),
        Form::Metadata => partial(object),
    }
}

/// A whole object in the version that was asked for; most are stored in it.
pub fn in_version<'a>(resource: &Resource, object: &'a Value) -> Cow<'a, Value> {
    let same = object["apiVersion"].as_str().is_some_and(|it| resource.is_version(it))
        && object["kind"] == resource.kind.as_str()
        && &*resource.stored_as != "/events";
    if same { Cow::Borrowed(object) } else { Cow::Owned(name(resource, object.clone())) }
}

/// A whole object in the version that was asked for.
pub fn named(resource: &Resource, object: Arc<Value>) -> Arc<Value> {
    match in_version(resource, &object) {
        Cow::Borrowed(_) => object,
        Cow::Owned(named) => named.into(),
    }
}

fn name(resource: &Resource, mut object: Value) -> Value {
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.as_str().into();
    if &*resource.stored_as == "/events" {
        spell_out(&mut object);
    }
    object
}

/// Some fields of events are written also when nobody has set them.
fn spell_out(event: &mut Value) {
    let nothing = [
        ("eventTime", Value::Null),
        ("firstTimestamp", Value::Null),
        ("lastTimestamp", Value::Null),
        ("reportingComponent", "".into()),
        ("reportingInstance", "".into()),
        ("source", json!({})),
    ];
    for (field, nothing) in nothing {
        if let Some(event) = event.as_object_mut()
            && !event.contains_key(field)
        {
            event.insert(field.into(), nothing);
        }
    }
}

/// An object as a list holds it: those of built-in kinds do not name the kind, for the list does.
fn listed_as(resource: &Resource, object: &Arc<Value>) -> Arc<Value> {
    if resource.custom.is_some() {
        return named(resource, object.clone());
    }
    let mut item = in_version(resource, object).into_owned();
    if let Some(item) = item.as_object_mut() {
        item.shift_remove("apiVersion");
        item.shift_remove("kind");
    }
    item.into()
}

fn partial(object: &Value) -> Value {
    let mut partial = json!({ "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1" });
    partial["metadata"] = object["metadata"].clone();
    partial
}

pub(super) fn get(api: &Api, subject: &Subject<'_>, form: &Form, container: &str) -> Result<Answer, Refusal> {
    let name = subject.place.name.as_deref().unwrap_or_default();
    let object = api.store.get(&subject.key(name)).ok_or_else(|| Refusal::not_found(subject.about(name)))?;
    if subject.place.subresource.as_deref() == Some("scale") {
        return Ok(Answer::ok(scale::of(subject.resource, &object)));
    }
    if &*subject.resource.stored_as == "/pods" && subject.place.subresource.as_deref() == Some("log") {
        return log(&object, container);
    }
    let resource = subject.resource;
    Ok(match form {
        Form::Table => {
            let version = object["metadata"]["resourceVersion"].clone();
            let metadata = json!({ "resourceVersion": version });
            Answer::ok(table::of(resource, &[&*object], metadata, (api.now)(), Rows::Metadata))
        }
        Form::Whole => Answer::ok(named(resource, object)),
        Form::Metadata => Answer::ok(partial(&object)),
    })
}

/// What of each object stands in its row of a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rows {
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
    /// Nothing.
    None,
}

impl Rows {
    fn of(ask: &Ask) -> Result<Self, Refusal> {
        match ask.query.text("includeObject") {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => Err(Refusal::bad_request(format!("unrecognized includeObject value: {other:?}"))),
        }
    }
}

/// What a container has printed: nothing, for none runs; one line says so.
fn log(pod: &Value, container: &str) -> Result<Answer, Refusal> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let all = |list: &str| pod["spec"][list].as_array().cloned().unwrap_or_default();
    let containers = [all("containers"), all("initContainers")].concat();
    let wanted = match container {
        "" => containers.first().and_then(|it| it["name"].as_str()).unwrap_or_default().to_owned(),
        given => given.to_owned(),
    };
    if !containers.iter().any(|it| it["name"] == wanted.as_str()) {
        return Err(Refusal::bad_request(format!("container {wanted} is not valid for pod {name}")));
    }
    let statuses = ["containerStatuses", "initContainerStatuses"].map(|list| &pod["status"][list]);
    let of = |list: &Value| list.as_array()?.iter().find(|it| it["name"] == wanted.as_str()).cloned();
    let status = statuses.into_iter().find_map(of).unwrap_or_default();
    let never_ran = status["lastState"]["terminated"].is_null();
    if let Some(reason) = status["state"]["waiting"]["reason"].as_str().filter(|_| never_ran) {
        let why = format!("container {wanted:?} in pod {name:?} is waiting to start: {reason}");
        return Err(Refusal::bad_request(why));
    }
    Ok(Answer::text("This pod is imitated: no container runs, and nothing was printed.\n"))
}

pub(super) fn list(api: &Api, subject: &Subject<'_>, ask: &Ask) -> Result<Answer, Refusal> {
    let (resource, query) = (subject.resource, &ask.query);
    options::check_list(query, false)?;
    let selector = Selector::parse(query.text("labelSelector"), query.text("fieldSelector"))?;
    options::check_fields(resource, selector.fields())?;
    let begun = Page::read(query.text("continue"))?;
    let exact = query.text("resourceVersionMatch") == "Exact";
    let asked = match &begun {
        Some(page) => page.revision,
        None => version(query.text("resourceVersion"))?.filter(|_| exact),
    };
    let namespace = subject.place.namespace.as_deref();
    // Pages of one list are of the version of the first.
    let listed = match asked {
        Some(revision) => api.store.list_at(&resource.stored_as, namespace, revision),
        None => Ok(api.store.list(&resource.stored_as, namespace)),
    };
    let Ok(mut listed) = listed else {
        return Err(match begun {
            None => Refusal::expired("The resourceVersion for the provided list is too old."),
            Some(page) => Refusal {
                go_on: Some(Page { revision: None, ..page }.write()),
                ..Refusal::expired(
                    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
                )
            },
        });
    };
    if let Some(page) = &begun {
        listed.objects.retain(|(key, _)| (&key.namespace, &key.name) > (&page.namespace, &page.name));
    }
    let revision = listed.revision;
    let mut chosen = listed.objects.iter().filter(|(_, object)| selector.matches(object));
    let limit = query.number("limit")?.filter(|limit| *limit > 0);
    let page: Vec<_> = match limit {
        Some(limit) => chosen.by_ref().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect(),
        None => chosen.by_ref().collect(),
    };
    let remaining = chosen.count();
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    if resource.custom.is_some() {
        // Lists of custom kinds are written without a type that would leave it out.
        metadata["continue"] = "".into();
    }
    if remaining > 0
        && let Some((key, _)) = page.last()
    {
        let next =
            Page { revision: Some(revision), namespace: key.namespace.clone(), name: key.name.clone() };
        metadata["continue"] = next.write().into();
        // How many more match a selector, the real server does not count.
        if query.text("labelSelector").is_empty() && query.text("fieldSelector").is_empty() {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    let form = Form::of(&ask.accept);
    let head = |kind: String, api_version: String| json!({ "kind": kind, "apiVersion": api_version, "metadata": metadata });
    Ok(match form {
        Form::Table => {
            let objects: Vec<&Value> = page.iter().map(|(_, object)| &**object).collect();
            Answer::ok(table::of(resource, &objects, metadata, (api.now)(), Rows::of(ask)?))
        }
        Form::Metadata => Answer::List {
            head: head("PartialObjectMetadataList".into(), "meta.k8s.io/v1".into()),
            items: page.iter().map(|(_, object)| partial(object).into()).collect(),
        },
        Form::Whole => Answer::List {
            head: head(format!("{}List", resource.kind), resource.api_version()),
            items: page.iter().map(|(_, object)| listed_as(resource, object)).collect(),
        },
    })
}

pub(super) fn watch(api: &Api, subject: &Subject<'_>, ask: &Ask) -> Result<Answer, Refusal> {
    let query = &ask.query;
    options::check_list(query, true)?;
    let selector = Selector::parse(query.text("labelSelector"), query.text("fieldSelector"))?;
    options::check_fields(subject.resource, selector.fields())?;
    let since = version(query.text("resourceVersion"))?;
    let initial = query.flag("sendInitialEvents")?;
    let form = (Form::of(&ask.accept), Rows::of(ask)?);
    let watching = Watching::new(api, subject, selector, form, if initial { None } else { since });
    Ok(Answer::Watch(Box::new(watching.bookmarks(query.flag("allowWatchBookmarks")?, initial))))
}

/// A version that is asked for; none and zero mean any.
fn version(text: &str) -> Result<Option<u64>, Refusal> {
    if matches!(text, "" | "0") {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| {
        let why = format!("strconv.ParseUint: parsing {text:?}: invalid syntax");
        Refusal::unnamed(format!("resourceVersion: Invalid value: {text:?}: {why}"))
    })
}

/// Where a list goes on: opaque to clients.
#[derive(Debug, PartialEq)]
struct Page {
    /// The version of all pages of the list; of one whose version is forgotten none: it goes on with what is there.
    revision: Option<u64>,
    namespace: String,
    name: String,
}

impl Page {
    /// Slashes are in no name, so they part the parts; hexadecimal keeps clients from reading it.
    fn write(&self) -> String {
        let revision = self.revision.map(|it| it.to_string()).unwrap_or_default();
        hex::encode(format!("{revision}/{}/{}", self.namespace, self.name))
    }

    fn read(text: &str) -> Result<Option<Self>, Refusal> {
        if text.is_empty() {
            return Ok(None);
        }
        let read = || {
            let text = String::from_utf8(hex::decode(text).ok()?).ok()?;
            let mut parts = text.splitn(3, '/');
            let revision = match parts.next()? {
                "" => None,
                text => Some(text.parse().ok()?),
            };
            Some(Self { revision, namespace: parts.next()?.to_owned(), name: parts.next()?.to_owned() })
        };
        read().map(Some).ok_or_else(|| {
            Refusal::bad_request("invalid continue token: continue key is not valid: it was not made here")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        assert_eq!(Form::of("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"), Form::Table);
        assert_eq!(
            Form::of(
                "application/vnd.kubernetes.protobuf,application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
            ),
            Form::Metadata
        );
        assert_eq!(Form::of("*/*"), Form::Whole);
    }

    #[test]
    fn pages_read_what_they_wrote() {
        for revision in [Some(7), None] {
            let page = Page { revision, namespace: String::new(), name: "system:node".into() };
            assert_eq!(Page::read(&page.write()).expect("ours"), Some(page));
        }
        assert_eq!(Page::read("zz").expect_err("not ours").code, 400);
    }
}
