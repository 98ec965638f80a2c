//! Why not.

use serde_json::{Value, json};

use crate::parts::faults::Refuses;

/// A refusal, as the cloud words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// A word that programs read: `quota_exceeded`.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// What stands in the way, each as `KIND NAME`.
    pub blockers: Vec<String>,
    /// The id of the thing that is there already, for `name_taken` and `token_reused`.
    pub existing: Option<String>,
    /// When to come again, in seconds.
    pub retry_after_s: Option<u64>,
}

impl Refusal {
    /// A refusal.
    pub fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self {
            status,
            code: code.to_owned(),
            message: message.into(),
            blockers: Vec::new(),
            existing: None,
            retry_after_s: None,
        }
    }

    /// The request makes no sense.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "invalid_request", message)
    }

    /// There is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(404, "not_found", format!("there is no {what}"))
    }

    /// A limit of the account is reached.
    pub fn quota(what: &str, used: u64, limit: u64) -> Self {
        Self::new(
            403,
            "quota_exceeded",
            format!("the quota for {what}s is {limit}, and {used} are used; ask for a higher one"),
        )
    }

    /// A zone has no room.
    pub fn capacity(zone: &str) -> Self {
        Self::new(503, "insufficient_capacity", format!("zone {zone} has no room for this now; try another"))
    }

    /// Something is being done to the thing.
    pub fn busy(what: &str, status: &str) -> Self {
        Self::new(409, "operation_in_progress", format!("{what} is {status}; wait until that is over"))
    }

    /// As a rule of the fault script asks for.
    pub fn of_fault(refuses: &Refuses) -> Self {
        match refuses {
            Refuses::Throttled { retry_after_s } => Self {
                retry_after_s: Some(*retry_after_s),
                ..Self::new(429, "throttled", "too many requests; come again later")
            },
            Refuses::Capacity => Self::new(503, "insufficient_capacity", "there is no room for this now"),
            Refuses::Quota => Self::new(403, "quota_exceeded", "a quota of the account is reached"),
            Refuses::Expired => Self::new(401, "auth_expired", "the token has expired; log in again"),
            Refuses::Error { status, code, message } => {
                let (own, words) = in_own_words(*status);
                let code = code.unwrap_or(own);
                let mut refusal = Self::new(*status, code, message.unwrap_or(words));
                if code == "dependency_violation" {
                    refusal.blockers = vec!["network-interface nic-1".to_owned()];
                }
                refusal
            }
        }
    }

    /// The body of the answer.
    pub(super) fn body(&self, request_id: &str) -> Value {
        let mut error = json!({ "code": self.code, "message": self.message, "request_id": request_id });
        if !self.blockers.is_empty() {
            error["blockers"] = json!(self.blockers);
        }
        if let Some(existing) = &self.existing {
            error["existing"] = json!(existing);
        }
        json!({ "error": error })
    }
}

/// What the cloud says with a status when nobody says more.
fn in_own_words(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("invalid_request", "the request is not valid"),
        401 => ("auth_expired", "the token has expired; log in again"),
        403 => ("forbidden", "this key may not do this"),
        404 => ("not_found", "there is no such thing"),
        409 => ("operation_in_progress", "another operation is in progress"),
        429 => ("throttled", "too many requests; come again later"),
        502..=504 => ("unavailable", "the service is not available"),
        500.. => ("internal", "an internal error has occurred"),
        _ => ("refused", "the request was refused"),
    }
}
