//! What cases ask with: typed interfaces, raw calls, and answers as values.

use axum::http::Request;
use http_body_util::BodyExt;
use k8s_openapi::{NamespaceResourceScope, api::core::v1::ConfigMap};
use kube::{
    Api, Resource,
    api::{PatchParams, PostParams},
    client::Body,
};
use platform_tests::BoxError;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::sides::Place;

/// The manager of every field that a case writes, unless it says otherwise.
pub(super) const MANAGER: &str = "suite";

/// For creating and replacing.
pub(super) fn post() -> PostParams {
    PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() }
}

/// For patches.
pub(super) fn patch() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() }
}

/// An object of a kind, from its fields.
pub(super) fn typed<K: DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).expect("an object of that kind")
}

/// A map with one label and one value.
pub(super) fn map(name: &str, value: &str) -> ConfigMap {
    typed(json!({"metadata": {"name": name, "labels": {"v": value}}, "data": {"k": value}}))
}

/// An answer, or the refusal.
pub(super) fn said<T: Serialize>(answer: kube::Result<T>) -> Value {
    match answer {
        Ok(answer) => serde_json::to_value(answer).expect("a value"),
        Err(kube::Error::Api(status)) => serde_json::to_value(status).expect("a value"),
        Err(other) => json!({ "neither": other.to_string() }),
    }
}

/// The names of a list's items.
pub(super) fn names(list: &Value) -> Vec<Value> {
    list["items"].as_array().into_iter().flatten().map(|it| it["metadata"]["name"].clone()).collect()
}

/// What a server answered.
pub(super) struct Answered {
    pub code: u16,
    pub content_type: String,
    pub warnings: Vec<String>,
    pub body: Vec<u8>,
}

impl Answered {
    /// Code, warnings and body, as a value; a body that is no JSON as text.
    pub(super) fn value(&self) -> Value {
        let text = || Value::from(String::from_utf8_lossy(&self.body).into_owned());
        let body = serde_json::from_slice(&self.body).unwrap_or_else(|_| text());
        json!({ "code": self.code, "warnings": self.warnings, "body": body })
    }
}

impl Place {
    /// Objects of a kind in the case's namespace.
    pub(super) fn of<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The maps in the case's namespace.
    pub(super) fn maps(&self) -> Api<ConfigMap> {
        self.of()
    }

    /// A call in JSON: code, warnings and body. `@NS` in the path is the case's namespace.
    pub(super) async fn call(&self, method: &str, path: &str, body: Value) -> Result<Value, BoxError> {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let content_type = match method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        Ok(self.send(method, path, &[("content-type", content_type)], body).await?.value())
    }

    /// What is at a path.
    pub(super) async fn get(&self, path: &str) -> Result<Value, BoxError> {
        self.call("GET", path, Value::Null).await
    }

    /// Any call.
    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answered, BoxError> {
        let mut request = Request::builder().method(method).uri(path.replace("@NS", &self.namespace));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        // the real server closes a request without a length only when it is over
        request = request.header("content-length", body.len());
        let response = self.client.send(request.body(Body::from(body))?).await?;
        let (head, body) = response.into_parts();
        let text = |name| {
            let values = head.headers.get_all(name).iter();
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect::<Vec<_>>()
        };
        Ok(Answered {
            code: head.status.as_u16(),
            content_type: text("content-type").concat(),
            warnings: text("warning"),
            body: body.collect().await?.to_bytes().to_vec(),
        })
    }
}
