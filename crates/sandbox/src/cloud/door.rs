//! The cloud over HTTP.
//!
//! [`Cloud::respond`] takes any HTTP request: one from a socket, or one that was made in this process. A server hands
//! its connection's end to [`Broken`]: it closes the connection, or leaves it open in silence.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, Request, Response, StatusCode, header},
};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::{
    Cloud,
    acts::Reply,
    refusal::Refusal,
    request::{self, Ask, What},
};
use crate::parts::{calls::Call, faults::Point, ids};

/// The largest body.
const LARGEST_BODY: usize = 1024 * 1024;

/// The header that says who holds what, and since when: `NAME;EPOCH`.
pub const FENCE: &str = "x-fence";

/// There is no answer, because a fault asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The connection breaks. Perhaps it was done, perhaps not.
    #[error("connection reset by peer")]
    Reset,
    /// It was done, and the connection stays open in silence.
    #[error("no answer came")]
    Silence,
}

impl Broken {
    /// Ends a call without an answer as this one does: at once, or never.
    ///
    /// # Errors
    /// Itself, when the connection breaks.
    pub async fn end<T>(self) -> Result<T, Self> {
        match self {
            Self::Silence => std::future::pending().await,
            Self::Reset => Err(self),
        }
    }

    /// An answer, unless its extensions say that a fault has taken it away.
    ///
    /// # Errors
    /// As [`Self::end`].
    pub async fn or(answer: Response<Body>) -> Result<Response<Body>, Self> {
        match answer.extensions().get::<Self>() {
            Some(broken) => broken.end().await,
            None => Ok(answer),
        }
    }
}

impl Cloud {
    /// Answers an HTTP request.
    ///
    /// # Errors
    /// When a fault asks for no answer.
    pub async fn respond<B>(&self, request: Request<B>) -> Result<Response<Body>, Broken>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let body = Limited::new(body, LARGEST_BODY).collect().await.map(|body| body.to_bytes());
        let ask = What::parse(head.method.as_str(), head.uri.path()).and_then(|what| {
            let bytes = body.map_err(|error| Refusal::invalid(error.to_string()))?;
            ask(what, head.uri.query(), &head.headers, &bytes)
        });
        let ask = match ask {
            Ok(ask) => ask,
            Err(refusal) => return Ok(self.refused(&refusal)),
        };
        let operation = ask.what.operation();
        let point = Point { service: "cloud", operation: &operation, target: ask.target() };
        let struck = self.inner.faults.next(&point);
        let latency = struck.latency();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        let mut call = Call {
            seq: 0,
            at: self.now(),
            service: "cloud".to_owned(),
            operation: operation.clone(),
            target: ask.target().to_owned(),
            outcome: "reset".to_owned(),
            changed: false,
            fault: struck.words(),
        };
        if struck.resets_before() {
            self.inner.calls.record(call);
            return Err(Broken::Reset);
        }
        let mut result = match struck.refusal() {
            Some(refuses) => Err(Refusal::of_fault(&refuses)),
            None => self.answer(&ask, &struck),
        };
        if result.as_ref().is_ok_and(|reply| reply.changed)
            && let Err(error) = self.inner.book.keeper().kept().await
        {
            result = Err(Refusal::new(500, "internal", error.to_string()));
        }
        call.at = self.now();
        match &result {
            Ok(reply) => (call.outcome, call.changed) = (reply.status.to_string(), reply.changed),
            Err(refusal) => call.outcome = format!("{} {}", refusal.status, refusal.code),
        }
        self.inner.calls.record(call);
        if struck.resets_after() {
            return Err(Broken::Reset);
        }
        match result {
            Ok(_) if struck.loses_reply() => Err(Broken::Silence),
            Ok(reply) => Ok(answered(&reply)),
            Err(refusal) => Ok(self.refused(&refusal)),
        }
    }

    fn refused(&self, refusal: &Refusal) -> Response<Body> {
        let nth = self.inner.calls.count();
        let request_id = ids::hex_id(self.inner.chance, "req", nth, 16);
        let mut response = json(refusal.status, &refusal.body(&request_id));
        if let Some(after) = refusal.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, after.into());
        }
        response
    }
}

fn ask(what: What, query: Option<&str>, headers: &HeaderMap, body: &[u8]) -> Result<Ask, Refusal> {
    let text = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer =
        text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).map(str::to_owned);
    let fence = headers.get(FENCE).and_then(|value| value.to_str().ok()).map(request::fence).transpose()?;
    let body = if body.is_empty() {
        Value::Null
    } else {
        serde_json::from_slice(body)
            .map_err(|error| Refusal::invalid(format!("the body is no JSON: {error}")))?
    };
    let query = form_urlencoded::parse(query.unwrap_or_default().as_bytes()).into_owned().collect();
    Ok(Ask { what, query, bearer, fence, body })
}

fn answered(reply: &Reply) -> Response<Body> {
    if reply.status == 204 {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    }
    json(reply.status, &reply.body)
}

fn json(status: u16, body: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
