//! Refusals, as `Status` objects in the words that clients know.

use serde_json::{Value, json};

/// Why a request is refused: an HTTP code, a machine-readable reason, and words.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// The HTTP code.
    pub code: u16,
    /// `NotFound`, `Conflict`, …; clients decide by it.
    pub reason: &'static str,
    /// Words for people; clients print them.
    pub message: String,
    /// What it is about: name, group, kind, causes.
    pub details: Value,
}

/// Which thing a refusal is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Its group; empty for the one without a name.
    pub group: &'a str,
    /// Its plural: `deployments`.
    pub resource: &'a str,
    /// Its name.
    pub name: &'a str,
}

impl About<'_> {
    /// `deployments.apps "web"`; of many, or of one without a name yet, `deployments.apps`.
    fn words(&self) -> String {
        let many = match self.group {
            "" => self.resource.to_owned(),
            group => format!("{}.{group}", self.resource),
        };
        if self.name.is_empty() { many } else { format!("{many} \"{}\"", self.name) }
    }

    fn details(&self) -> Value {
        let mut details = json!({});
        for (key, value) in [("name", self.name), ("group", self.group), ("kind", self.resource)] {
            if !value.is_empty() {
                details[key] = json!(value);
            }
        }
        details
    }
}

impl Refusal {
    /// Anything, without details.
    pub fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: Value::Null }
    }

    /// 404 for a thing.
    pub fn not_found(about: About<'_>) -> Self {
        let message = format!("{} not found", about.words());
        Self { code: 404, reason: "NotFound", message, details: about.details() }
    }

    /// 404 for an address that no API serves: plain text, without a reason; clients make their own words of it.
    pub fn no_such_path() -> Self {
        Self::new(404, "", "404 page not found\n")
    }

    /// 404 for a kind that a built-in version does not have.
    pub fn no_such_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self { details: json!({}), ..Self::new(404, "NotFound", message) }
    }

    /// 500 of an error that the real server has not named.
    pub fn unnamed(message: impl Into<String>) -> Self {
        Self::new(500, "", message)
    }

    /// 422 for a query or for options: `options` is their kind, `ListOptions`.
    pub fn options(options: &str, field: &str, why: impl Into<String>) -> Self {
        Self::invalid("meta.k8s.io", options, "", &[(field.to_owned(), why.into())])
    }

    /// 409: the name is taken.
    pub fn already_exists(about: About<'_>) -> Self {
        let message = format!("{} already exists", about.words());
        Self { code: 409, reason: "AlreadyExists", message, details: about.details() }
    }

    /// 409: the object is not the one the writer has seen.
    pub fn conflict(about: About<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {}: {why}", about.words());
        Self { code: 409, reason: "Conflict", message, details: about.details() }
    }

    /// 409 of a writer that read an older version.
    pub fn outdated(about: About<'_>) -> Self {
        Self::conflict(
            about,
            "the object has been modified; please apply your changes to the latest version and try again",
        )
    }

    /// 403.
    pub fn forbidden(about: About<'_>, why: &str) -> Self {
        let message = match about.resource {
            "" => format!("forbidden: {why}"),
            _ => format!("{} is forbidden: {why}", about.words()),
        };
        Self { code: 403, reason: "Forbidden", message, details: about.details() }
    }

    /// 422: the object is well-formed and not allowed. Causes are pairs of field and words.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[(String, String)]) -> Self {
        let head = match group {
            "" => format!("{kind} \"{name}\" is invalid"),
            group => format!("{kind}.{group} \"{name}\" is invalid"),
        };
        let words: Vec<String> = causes.iter().map(|(field, why)| format!("{field}: {why}")).collect();
        let message = match words.as_slice() {
            [one] => format!("{head}: {one}"),
            several => format!("{head}: [{}]", several.join(", ")),
        };
        let mut details = json!({
            "kind": kind,
            "causes": causes.iter().map(|(field, why)| json!({
                "reason": cause(why),
                "message": why,
                "field": field,
            })).collect::<Vec<_>>(),
        });
        if !group.is_empty() {
            details["group"] = json!(group);
        }
        if !name.is_empty() {
            details["name"] = json!(name);
        }
        Self { code: 422, reason: "Invalid", message, details }
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 410: history before this is gone.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// 415 for a body that is not understood.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let accepted = accepted.join(", ");
        Self::new(
            415,
            "UnsupportedMediaType",
            format!(
                "the body of the request was in an unknown format - accepted media types include: {accepted}"
            ),
        )
    }

    /// The `Status` object.
    pub fn status(&self) -> Value {
        let mut status = json!({
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        });
        if !self.reason.is_empty() {
            status["reason"] = self.reason.into();
        }
        if !self.details.is_null() {
            status["details"] = self.details.clone();
        }
        status
    }
}

/// The type of a field error, by the words it begins with.
fn cause(why: &str) -> &'static str {
    match why {
        _ if why.starts_with("Required value") => "FieldValueRequired",
        _ if why.starts_with("Forbidden") => "FieldValueForbidden",
        _ if why.starts_with("Duplicate value") => "FieldValueDuplicate",
        _ if why.starts_with("Unsupported value") => "FieldValueNotSupported",
        _ if why.starts_with("Too long") => "FieldValueTooLong",
        _ if why.starts_with("Too many") => "FieldValueTooMany",
        _ if why.contains(" in body must be of type ") => "FieldValueTypeInvalid",
        _ => "FieldValueInvalid",
    }
}
