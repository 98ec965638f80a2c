//! Refusals, classified once; the original words are kept as the last cause.

use http::HeaderMap;
use platform_spec::{Class, Code, Failure};
use serde::Deserialize;

use crate::line::NoAnswer;

/// A refusal of the cloud, or no answer.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub class: Class,
    /// The cloud's own code; empty when it said none.
    pub code: String,
    words: String,
    retry_after_ms: Option<u64>,
    pub blockers: Vec<String>,
    /// The id of the thing that is there already.
    pub existing: Option<String>,
    /// Whether the cloud was reached at all.
    reached: bool,
}

#[derive(Deserialize)]
struct Body {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    message: String,
    #[serde(default)]
    request_id: String,
    #[serde(default)]
    blockers: Vec<String>,
    #[serde(default)]
    existing: Option<String>,
}

impl Refusal {
    /// From an answer that is no success.
    pub fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let retry_after_ms = header(http::header::RETRY_AFTER)
            .and_then(|seconds| seconds.parse::<u64>().ok())
            .map(|seconds| seconds * 1000);
        match serde_json::from_slice::<Body>(body) {
            Ok(Body { error }) => Self {
                class: class(status, &error.code),
                words: format!("{status} {}: {} ({})", error.code, error.message, error.request_id),
                code: error.code,
                retry_after_ms,
                blockers: error.blockers,
                existing: error.existing,
                reached: true,
            },
            Err(_) => Self {
                class: class(status, ""),
                code: String::new(),
                words: format!("{status}, without words of the sandbox"),
                retry_after_ms,
                blockers: Vec::new(),
                existing: None,
                reached: true,
            },
        }
    }

    /// An answer that is a success and has not the shape it should have.
    pub fn unexpected(words: String) -> Self {
        Self { class: Class::Bug, words, ..Self::from(NoAnswer(String::new())) }
    }

    /// What was begun and failed at once: the next attempt mends it.
    pub fn of_operation(words: String) -> Self {
        Self { class: Class::Retryable, words, reached: true, ..Self::from(NoAnswer(String::new())) }
    }

    /// As a failure of a deed: "could not make `network` of cluster `eu`".
    pub fn failed(self, deed: &str) -> Failure {
        let code = if self.reached { Code::new("P0203") } else { Code::new("P0221") };
        let mut failure = Failure::new(code, self.class, deed).because(self.words).blocked_by(self.blockers);
        failure.retry_after_ms = self.retry_after_ms;
        match self.class {
            Class::Quota => failure.hint("ask for a higher quota, then `platform resume`"),
            Class::AuthExpired => {
                failure.hint("the sandbox's key has changed: `platform sandbox status` says where it is")
            }
            Class::Retryable if !self.reached => {
                failure.hint("look whether it runs: `platform sandbox status`")
            }
            _ => failure,
        }
    }
}

impl From<NoAnswer> for Refusal {
    fn from(no_answer: NoAnswer) -> Self {
        Self {
            class: Class::Retryable,
            code: String::new(),
            words: no_answer.0,
            retry_after_ms: None,
            blockers: Vec::new(),
            existing: None,
            reached: false,
        }
    }
}

fn class(status: u16, code: &str) -> Class {
    match (code, status) {
        ("throttled", _) | ("", 429) => Class::Throttled,
        ("insufficient_capacity", _) => Class::Capacity,
        ("quota_exceeded", _) => Class::Quota,
        ("auth_expired" | "unauthenticated", _) | ("", 401) => Class::AuthExpired,
        ("forbidden", _) | ("", 403) => Class::Forbidden,
        ("operation_in_progress" | "not_ready" | "stale_epoch" | "token_reused", _) => {
            Class::ConflictInProgress
        }
        ("dependency_violation", _) => Class::DependencyViolation,
        ("not_found", _) | ("", 404) => Class::NotFound,
        ("invalid_request" | "invalid_page" | "immutable" | "cidr_overlap" | "name_taken", _) => {
            Class::Config
        }
        ("internal" | "unavailable", _) | ("", 500..=599) => Class::Retryable,
        _ => Class::Bug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_cloud_has_a_class() {
        let cases = [
            (429, "throttled", Class::Throttled),
            (503, "insufficient_capacity", Class::Capacity),
            (403, "quota_exceeded", Class::Quota),
            (401, "auth_expired", Class::AuthExpired),
            (401, "unauthenticated", Class::AuthExpired),
            (403, "forbidden", Class::Forbidden),
            (409, "operation_in_progress", Class::ConflictInProgress),
            (409, "stale_epoch", Class::ConflictInProgress),
            (409, "dependency_violation", Class::DependencyViolation),
            (404, "not_found", Class::NotFound),
            (400, "cidr_overlap", Class::Config),
            (500, "internal", Class::Retryable),
            (418, "refused", Class::Bug),
        ];
        for (status, code, want) in cases {
            let body =
                format!(r#"{{"error": {{"code": "{code}", "message": "why", "request_id": "req-1"}}}}"#);
            let failure = Refusal::read(status, &HeaderMap::new(), body.as_bytes()).failed("could not");
            assert_eq!(failure.class, want, "{code}");
            assert_eq!(failure.causes, [format!("{status} {code}: why (req-1)")]);
        }
    }

    #[test]
    fn an_answer_of_somebody_else_is_classified_by_its_status() {
        let bare = |status| Refusal::read(status, &HeaderMap::new(), b"<html>").class;
        assert_eq!((bare(502), bare(429), bare(302)), (Class::Retryable, Class::Throttled, Class::Bug));
    }

    #[test]
    fn the_time_to_wait_is_kept() {
        let headers = HeaderMap::from_iter([(http::header::RETRY_AFTER, http::HeaderValue::from(7))]);
        assert_eq!(Refusal::read(429, &headers, b"").failed("could not").retry_after_ms, Some(7000));
    }
}
