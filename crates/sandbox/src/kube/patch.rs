//! Patches, by their content type.

use serde_json::Value;

use super::{
    api::Ask,
    body,
    refusal::{About, Refusal},
    schema::Shape,
};

/// Types that are understood.
const TYPES: &[&str] = &["application/json-patch+json", "application/merge-patch+json"];

/// A patch that was read.
pub(super) enum Patch {
    /// RFC 6902.
    Json(json_patch::Patch),
    /// RFC 7386.
    Merge(Value),
}

impl Patch {
    pub fn read(ask: &Ask) -> Result<Self, Refusal> {
        match ask.content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => {
                let patch = serde_json::from_slice(&ask.body);
                patch.map(Self::Json).map_err(|error| Refusal::bad_request(error.to_string()))
            }
            "application/merge-patch+json" => Ok(Self::Merge(body::json(&ask.body)?.value)),
            other => Err(Refusal::unsupported_media_type(other, TYPES)),
        }
    }

    /// What it makes of an object.
    pub fn on(&self, _shape: Option<&Shape>, old: &Value, about: About<'_>) -> Result<Value, Refusal> {
        let mut new = old.clone();
        match self {
            Self::Json(patch) => {
                let refused = |error: json_patch::PatchError| {
                    let mut refusal = Refusal::new(
                        422,
                        "Invalid",
                        "the server rejected our request due to an error in our request",
                    );
                    refusal.details = serde_json::json!({ "name": about.name, "causes": [{ "message": error.to_string() }] });
                    refusal
                };
                json_patch::patch(&mut new, patch).map_err(refused)?;
            }
            Self::Merge(patch) => json_patch::merge(&mut new, patch),
        }
        Ok(new)
    }
}
