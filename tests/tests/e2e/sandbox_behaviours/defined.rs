//! A definition of a custom kind, with something of everything in its schema, that lives as long as a case.

use std::time::Duration;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    api::DeleteParams,
    runtime::{conditions::is_crd_established, wait::await_condition},
};
use platform_tests::BoxError;
use serde_json::{Value, json};

use super::{
    ask::{post, typed},
    sides::Place,
};

/// How long a definition may take to be served, or not any more.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// A schema with something of everything.
fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "required": ["color"],
                "x-kubernetes-validations": [
                    {"rule": "!has(self.min) || !has(self.max) || self.min <= self.max", "message": "min must not be above max"},
                ],
                "properties": {
                    "color": {"type": "string", "enum": ["red", "blue"]},
                    "size": {
                        "type": "integer", "minimum": 1, "default": 3,
                        "x-kubernetes-validations": [{"rule": "self >= oldSelf", "message": "size must not shrink"}],
                    },
                    "min": {"type": "integer"},
                    "max": {"type": "integer"},
                    "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 4},
                    "none": {"type": "string", "nullable": true},
                    "either": {"x-kubernetes-int-or-string": true},
                    "tags": {"type": "array", "maxItems": 2, "items": {"type": "string"}},
                    "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                    "open": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "inner": {
                        "type": "object", "default": {},
                        "properties": {"mode": {"type": "string", "default": "fast"}},
                    },
                    "parts": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object", "required": ["name"],
                            "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
                        },
                    },
                    "replicas": {"type": "integer"},
                },
            },
            "status": {
                "type": "object",
                "properties": {"seen": {"type": "boolean"}, "replicas": {"type": "integer"}, "selector": {"type": "string"}},
            },
        },
    })
}

/// A definition of `things` in a group of the case's own.
pub(super) fn definition(place: &Place) -> Value {
    let group = format!("{}.example.com", place.namespace);
    json!({
        "metadata": {"name": format!("things.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"], "categories": ["some"]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {
                    "status": {},
                    "scale": {
                        "specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas",
                        "labelSelectorPath": ".status.selector",
                    },
                },
                "additionalPrinterColumns": [
                    {"name": "Color", "type": "string", "jsonPath": ".spec.color"},
                    {"name": "Size", "type": "integer", "jsonPath": ".spec.size", "priority": 1},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "schema": {"openAPIV3Schema": schema()},
            }],
        },
    })
}

/// A definition that serves, and goes with the case.
pub(super) struct Defined {
    place: Place,
    pub api: Api<CustomResourceDefinition>,
    pub name: String,
    /// Where its objects lie.
    pub objects: String,
}

impl Defined {
    pub(super) async fn new(place: &Place, definition: Value) -> Result<Self, BoxError> {
        let api: Api<CustomResourceDefinition> = Api::all(place.client.clone());
        let name = definition["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let group = definition["spec"]["group"].as_str().unwrap_or_default().to_owned();
        api.create(&post(), &typed(definition)).await?;
        let established = await_condition(api.clone(), &name, is_crd_established());
        tokio::time::timeout(PATIENCE, established).await??;
        let objects = format!("/apis/{group}/v1/namespaces/@NS/things");
        let defined = Self { place: place.clone(), api, name, objects };
        defined.until_served(200).await?;
        Ok(defined)
    }

    /// A definition is established a moment before, and gone a moment after, its objects are served.
    pub(super) async fn until_served(&self, code: u16) -> Result<(), BoxError> {
        let asked = async {
            while self.place.get(&self.objects).await?["code"] != code {}
            Ok::<_, BoxError>(())
        };
        tokio::time::timeout(PATIENCE, asked).await?
    }

    pub(super) async fn make(&self, spec: Value) -> Result<Value, BoxError> {
        let body =
            json!({"apiVersion": self.version(), "kind": "Thing", "metadata": {"name": "one"}, "spec": spec});
        self.place.call("POST", &format!("{}?fieldManager=suite", self.objects), body).await
    }

    pub(super) fn version(&self) -> String {
        self.objects.split('/').skip(2).take(2).collect::<Vec<_>>().join("/")
    }

    pub(super) fn one(&self) -> String {
        format!("{}/one", self.objects)
    }

    pub(super) async fn gone(self) -> Result<(), BoxError> {
        self.api.delete(&self.name, &DeleteParams::default()).await?;
        self.until_served(404).await
    }
}
