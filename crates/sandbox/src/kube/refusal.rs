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
    /// Where a list that cannot be gone on with can be gone on with all the same.
    pub go_on: Option<String>,
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
        Self { code, reason, message: message.into(), details: Value::Null, go_on: None }
    }

    /// 404 for a thing.
    pub fn not_found(about: About<'_>) -> Self {
        let message = format!("{} not found", about.words());
        Self { details: about.details(), ..Self::new(404, "NotFound", message) }
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
        Self { details: about.details(), ..Self::new(409, "AlreadyExists", message) }
    }

    /// 409: the object is not the one the writer has seen.
    pub fn conflict(about: About<'_>, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {}: {why}", about.words());
        Self { details: about.details(), ..Self::new(409, "Conflict", message) }
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
        Self { details: about.details(), ..Self::new(403, "Forbidden", message) }
    }

    /// 422: the object is well-formed and not allowed. Causes are pairs of field and words.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[(String, String)]) -> Self {
        let head = match group {
            "" => format!("{kind} \"{name}\" is invalid"),
            group => format!("{kind}.{group} \"{name}\" is invalid"),
        };
        // A cause that is there twice is told once.
        let mut words: Vec<String> = Vec::new();
        for word in causes.iter().map(|(field, why)| format!("{field}: {why}")) {
            if !words.contains(&word) {
                words.push(word);
            }
        }
        let message = match words.as_slice() {
            [one] => format!("{head}: {one}"),
            several => format!("{head}: [{}]", several.join(", ")),
        };
        let mut details = json!({
            "causes": causes.iter().map(|(field, why)| json!({
                "reason": cause(why),
                "message": why,
                "field": field,
            })).collect::<Vec<_>>(),
        });
        for (key, value) in [("kind", kind), ("group", group), ("name", name)] {
            if !value.is_empty() {
                details[key] = json!(value);
            }
        }
        Self { details, ..Self::new(422, "Invalid", message) }
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
        if let Some(go_on) = &self.go_on {
            status["metadata"]["continue"] = go_on.as_str().into();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_is_there_twice_is_told_once() {
        let causes = ["a", "b", "a"].map(|field| (field.to_owned(), "Required value".to_owned()));
        let refusal = Refusal::invalid("", "Pod", "one", &causes);
        assert_eq!(refusal.message, "Pod \"one\" is invalid: [a: Required value, b: Required value]");
        assert_eq!(refusal.details["causes"].as_array().map(Vec::len), Some(3));
    }
}
