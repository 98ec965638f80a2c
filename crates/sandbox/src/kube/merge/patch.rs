//! Why a patch is refused.

use serde_json::Value;

use super::shapes::kind_of_go;

/// A patch is refused; the message is the status' message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch cannot be read (400).
    #[error("{0}")]
    BadRequest(String),
    /// The patch has too much in it (413).
    #[error("Request entity too large: {0}")]
    TooLarge(String),
    /// The patch does not fit the object (422). The real server does not say how.
    #[error("the server rejected our request due to an error in our request")]
    Rejected,
    /// What the real server calls its own mistake (500).
    #[error("{0}")]
    Internal(String),
}

impl PatchError {
    /// The status code of the answer.
    pub fn code(&self) -> u16 {
        match self {
            Self::BadRequest(_) => 400,
            Self::TooLarge(_) => 413,
            Self::Rejected => 422,
            Self::Internal(_) => 500,
        }
    }

    /// `value` cannot be decoded as this Go type.
    pub(super) fn decode(value: &Value, go_type: &str) -> Self {
        let found = match value {
            Value::Object(_) => "object",
            Value::Array(_) => "array",
            Value::Number(_) => "number",
            other => kind_of_go(other),
        };
        Self::BadRequest(format!(
            "error decoding patch: json: cannot unmarshal {found} into Go value of type {go_type}"
        ))
    }
}
