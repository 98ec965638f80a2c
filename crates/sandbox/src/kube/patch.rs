//! Patches, by their content type.

use serde_json::{Value, json};

use super::{
    api::Ask,
    body::{self, Body},
    merge::{PatchError, json_patch, merge_patch, strategic_patch},
    refusal::Refusal,
    schema::Shape,
};

/// A patch that was read.
pub(super) enum Patch {
    /// RFC 6902.
    Json(Value),
    /// RFC 7386.
    Merge(Value),
    /// A merge that knows lists; only of built-in kinds.
    Strategic(Value),
    /// Server-side apply.
    Apply(Body),
}

impl Patch {
    /// Of a request, or of who has it already.
    pub fn read(ask: &Ask, given: Option<Value>) -> Result<Self, Refusal> {
        let body = |read: fn(&[u8]) -> Result<Body, Refusal>| match given {
            Some(value) => Ok(Body { value, twice: Vec::new() }),
            None => read(&ask.body),
        };
        match ask.content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Ok(Self::Json(body(body::json)?.value)),
            "application/merge-patch+json" => Ok(Self::Merge(body(body::json)?.value)),
            "application/strategic-merge-patch+json" => Ok(Self::Strategic(body(body::json)?.value)),
            "application/apply-patch+yaml" => body(body::yaml).map(Self::Apply),
            _ => Err(Refusal {
                details: json!({}),
                ..Refusal::new(415, "UnsupportedMediaType", "415: Unsupported Media Type")
            }),
        }
    }

    /// What it makes of an object; `shape` is absent for custom kinds.
    pub fn on(&self, shape: Option<&Shape>, old: &Value) -> Result<Value, Refusal> {
        let patched = match (self, shape) {
            (Self::Json(patch), _) => json_patch(old, patch),
            (Self::Merge(patch), _) => merge_patch(old, patch),
            (Self::Strategic(patch), Some(shape)) => strategic_patch(shape, old, patch),
            (Self::Strategic(_), None) => {
                return Err(Refusal::unsupported_media_type(&[
                    "application/json-patch+json",
                    "application/merge-patch+json",
                    "application/apply-patch+yaml",
                ]));
            }
            (Self::Apply(_), _) => return Err(Refusal::method_not_allowed()),
        };
        patched.map_err(|error| refused(&error))
    }
}

fn refused(error: &PatchError) -> Refusal {
    let reason = match error {
        PatchError::BadRequest(_) => "BadRequest",
        PatchError::TooLarge(_) => "RequestEntityTooLarge",
        PatchError::Rejected => "Invalid",
        PatchError::Internal(_) => "InternalError",
    };
    let refusal = Refusal::new(error.code(), reason, error.to_string());
    match error {
        PatchError::Rejected => Refusal { details: json!({}), ..refusal },
        _ => refusal,
    }
}
