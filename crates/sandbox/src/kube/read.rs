//! Reading: one object, lists, and the forms in which clients want them.

use serde_json::{Value, json};

use super::{
    api::{Answer, Api, Ask, Subject},
    catalog::Resource,
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
    let mut object = object.clone();
    object["apiVersion"] = resource.api_version().into();
    object["kind"] = resource.kind.as_str().into();
    match form {
        Form::Whole | Form::Table => object,
        Form::Metadata => partial(&object),
    }
}

fn partial(object: &Value) -> Value {
    json!({
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": object["metadata"],
    })
}

pub(super) fn get(api: &Api, subject: &Subject<'_>, form: &Form) -> Result<Answer, Refusal> {
    let name = subject.place.name.as_deref().unwrap_or_default();
    let object = api.store.get(&subject.key(name)).ok_or_else(|| Refusal::not_found(subject.about(name)))?;
    if subject.place.subresource.as_deref() == Some("scale") {
        return Ok(Answer::ok(scale::of(subject.resource, &object)));
    }
    let resource = subject.resource;
    Ok(Answer::ok(match form {
        Form::Table => {
            let version = object["metadata"]["resourceVersion"].clone();
            table::of(resource, &[&*object], json!({ "resourceVersion": version }), (api.now)())
        }
        form => shown(resource, &object, *form),
    }))
}

pub(super) fn list(api: &Api, subject: &Subject<'_>, ask: &Ask) -> Result<Answer, Refusal> {
    let (resource, query) = (subject.resource, &ask.query);
    let selector = Selector::parse(query.text("labelSelector"), query.text("fieldSelector"))?;
    let begun = Page::read(query.text("continue"))?;
    let after = begun.as_ref().map(|page| (page.namespace.as_str(), page.name.as_str()));
    let listed = api.store.list_after(&resource.stored_as, subject.place.namespace.as_deref(), after);
    // Pages of one list bear the version of the first.
    let revision = begun.as_ref().map_or(listed.revision, |page| page.revision);
    if begun.is_some() && api.store.changes_after(revision).is_err() {
        return Err(Refusal::expired(
            "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        ));
    }
    let mut chosen = listed.objects.iter().filter(|(_, object)| selector.matches(object));
    let limit = query.number("limit")?.filter(|limit| *limit > 0);
    let page: Vec<_> = match limit {
        Some(limit) => chosen.by_ref().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect(),
        None => chosen.by_ref().collect(),
    };
    let remaining = chosen.count();
    let mut metadata = json!({ "resourceVersion": revision.to_string() });
    if remaining > 0
        && let Some((key, _)) = page.last()
    {
        let next = Page { revision, namespace: key.namespace.clone(), name: key.name.clone() };
        metadata["continue"] = next.write().into();
        // How many more match a selector, the real server does not count.
        if query.text("labelSelector").is_empty() && query.text("fieldSelector").is_empty() {
            metadata["remainingItemCount"] = remaining.into();
        }
    }
    let objects: Vec<&Value> = page.iter().map(|(_, object)| &**object).collect();
    let form = Form::of(&ask.accept);
    let items = || -> Vec<Value> {
        let item = |object: &&Value| {
            let mut item = shown(resource, object, form);
            // Lists of built-in kinds name the kind once, for all.
            if resource.custom.is_none() && form == Form::Whole {
                for key in ["apiVersion", "kind"] {
                    item.as_object_mut().map(|item| item.shift_remove(key));
                }
            }
            item
        };
        objects.iter().map(item).collect()
    };
    Ok(Answer::ok(match form {
        Form::Table => table::of(resource, &objects, metadata, (api.now)()),
        Form::Metadata => json!({
            "kind": "PartialObjectMetadataList",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": metadata,
            "items": items(),
        }),
        Form::Whole => json!({
            "kind": format!("{}List", resource.kind),
            "apiVersion": resource.api_version(),
            "metadata": metadata,
            "items": items(),
        }),
    }))
}

pub(super) fn watch(api: &Api, subject: &Subject<'_>, ask: &Ask) -> Result<Answer, Refusal> {
    let query = &ask.query;
    let selector = Selector::parse(query.text("labelSelector"), query.text("fieldSelector"))?;
    let since = match query.text("resourceVersion") {
        "" | "0" => None,
        text => Some(
            text.parse().map_err(|_| Refusal::bad_request(format!("invalid resource version {text:?}")))?,
        ),
    };
    let initial = query.flag("sendInitialEvents")?;
    if initial && query.text("resourceVersionMatch") != "NotOlderThan" {
        return Err(Refusal::new(
            422,
            "Invalid",
            "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
        ));
    }
    let watching =
        Watching::new(api, subject, selector, Form::of(&ask.accept), if initial { None } else { since });
    Ok(Answer::Watch(Box::new(watching.bookmarks(query.flag("allowWatchBookmarks")?, initial))))
}

/// Where a list goes on: opaque to clients.
#[derive(Debug, PartialEq)]
struct Page {
    revision: u64,
    namespace: String,
    name: String,
}

impl Page {
    /// Slashes are in no name, so they part the parts; hexadecimal keeps clients from reading it.
    fn write(&self) -> String {
        hex::encode(format!("{}/{}/{}", self.revision, self.namespace, self.name))
    }

    fn read(text: &str) -> Result<Option<Self>, Refusal> {
        if text.is_empty() {
            return Ok(None);
        }
        let read = || {
            let text = String::from_utf8(hex::decode(text).ok()?).ok()?;
            let mut parts = text.splitn(3, '/');
            let revision = parts.next()?.parse().ok()?;
            Some(Self { revision, namespace: parts.next()?.to_owned(), name: parts.next()?.to_owned() })
        };
        read().map(Some).ok_or_else(|| Refusal::bad_request("continue key is not valid"))
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
        let page = Page { revision: 7, namespace: String::new(), name: "system:node".into() };
        assert_eq!(Page::read(&page.write()).expect("ours"), Some(page));
        assert_eq!(Page::read("zz").expect_err("not ours").code, 400);
    }
}
