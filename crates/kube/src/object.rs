//! One Kubernetes object, and the name of one.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The label that says whose an object is: the platform's name.
pub const OWNER_LABEL: &str = "platform.dev/name";
/// The label by which other tools see who put an object there.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// Our field manager in server-side apply, and the value of [`MANAGED_BY_LABEL`].
pub const MANAGER: &str = "platform";

/// The name of one object, as a step's output or a condition keeps it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `v1`, `apps/v1`, …
    pub api_version: String,
    /// `Deployment`, …
    pub kind: String,
    /// Namespace; `None` for what has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl ObjectRef {
    /// Names an object within a namespace.
    pub fn namespaced(api_version: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self { namespace: Some(namespace.to_owned()), ..Self::cluster(api_version, kind, name) }
    }

    /// Names an object that has no namespace.
    pub fn cluster(api_version: &str, kind: &str, name: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: None,
            name: name.to_owned(),
        }
    }

    /// The API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// `namespace/name`, or the name alone.
    pub fn place(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}/{}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.place())
    }
}

/// An object as it is wished for. Secret values are kept apart from the rest until the moment of use.
#[derive(Clone)]
pub struct Object {
    value: Value,
    secrets: BTreeMap<String, SecretString>,
}

impl Object {
    /// Takes an object as JSON. `stringData` of a Secret becomes `data`, which is how the API server keeps it, and
    /// `status` is left out: it is the server's.
    ///
    /// # Errors
    /// Says in words what an object lacks: `apiVersion`, `kind` or `metadata.name`.
    pub fn new(mut value: Value) -> Result<Self, String> {
        for (pointer, what) in
            [("/apiVersion", "apiVersion"), ("/kind", "kind"), ("/metadata/name", "metadata.name")]
        {
            if value.pointer(pointer).and_then(Value::as_str).is_none_or(str::is_empty) {
                return Err(format!("an object without `{what}`"));
            }
        }
        let Some(map) = value.as_object_mut() else { return Err("not an object".into()) };
        map.remove("status");
        let mut object = Self { value, secrets: BTreeMap::new() };
        object.fold_string_data();
        Ok(object)
    }

    /// Starts an object of this kind and name.
    pub fn named(id: &ObjectRef) -> Self {
        let mut metadata = json!({"name": id.name});
        if let Some(namespace) = &id.namespace {
            metadata["namespace"] = json!(namespace);
        }
        let value = json!({"apiVersion": id.api_version, "kind": id.kind, "metadata": metadata});
        Self { value, secrets: BTreeMap::new() }
    }

    /// Sets one top-level field, such as `spec`.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.value[key] = value;
        self
    }

    /// Sets one label.
    #[must_use]
    pub fn with_label(mut self, key: &str, value: &str) -> Self {
        self.set_label(key, value);
        self
    }

    /// Sets one key of a Secret's `data`. The value is kept as a secret: it is in neither `Debug` nor [`Object::value`].
    #[must_use]
    pub fn with_secret(mut self, key: &str, value: SecretString) -> Self {
        self.secrets.insert(key.to_owned(), value);
        self
    }

    /// The object's name.
    pub fn id(&self) -> ObjectRef {
        let text = |pointer: &str| {
            self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        ObjectRef {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: Some(text("/metadata/namespace")).filter(|namespace| !namespace.is_empty()),
            name: text("/metadata/name"),
        }
    }

    /// `Deployment`, …
    pub fn kind(&self) -> &str {
        self.value["kind"].as_str().unwrap_or_default()
    }

    /// The object without the values of [`Object::with_secret`].
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Lets a caller change the object before it is applied.
    pub fn value_mut(&mut self) -> &mut Value {
        &mut self.value
    }

    pub(crate) fn set_label(&mut self, key: &str, value: &str) {
        let metadata = entry(&mut self.value, "metadata");
        entry(metadata, "labels")[key] = json!(value);
    }

    pub(crate) fn remove_label(&mut self, key: &str) {
        if let Some(labels) = self.value.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.shift_remove(key);
        }
    }

    pub(crate) fn set_namespace(&mut self, namespace: Option<&str>) {
        let metadata = entry(&mut self.value, "metadata");
        match (namespace, metadata.as_object_mut()) {
            (Some(namespace), _) => metadata["namespace"] = json!(namespace),
            (None, Some(map)) => drop(map.shift_remove("namespace")),
            (None, None) => {}
        }
    }

    /// The object in full, for the wire and for comparing. Short-lived on purpose.
    pub(crate) fn full(&self) -> Value {
        let mut value = self.value.clone();
        if !self.secrets.is_empty() {
            let data = entry(&mut value, "data");
            for (key, secret) in &self.secrets {
                data[key] = json!(BASE64.encode(secret.expose_secret()));
            }
        }
        value
    }

    fn fold_string_data(&mut self) {
        if self.kind() != "Secret" {
            return;
        }
        let Some(Value::Object(plain)) =
            self.value.as_object_mut().and_then(|map| map.shift_remove("stringData"))
        else {
            return;
        };
        let data = entry(&mut self.value, "data");
        for (key, value) in plain {
            if let Value::String(text) = value {
                data[key] = json!(BASE64.encode(text));
            }
        }
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({})", self.id())
    }
}

/// The map under `key`, made when it is missing or null.
fn entry<'a>(value: &'a mut Value, key: &str) -> &'a mut Value {
    if value[key].is_null() {
        value[key] = Value::Object(Map::new());
    }
    &mut value[key]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_data_becomes_data() {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
                            "data": {"a": "MQ=="}, "stringData": {"b": "2"}});
        let object = Object::new(secret).expect("an object");
        assert_eq!(object.value()["data"], json!({"a": "MQ==", "b": "Mg=="}));
        assert!(object.value().get("stringData").is_none());
    }

    #[test]
    fn a_secret_value_shows_only_on_the_wire() {
        let id = ObjectRef::namespaced("v1", "Secret", "n", "s");
        let object = Object::named(&id).with_secret("password", SecretString::from("hunter2"));
        assert!(!format!("{object:?} {}", object.value()).contains("hunter2"));
        assert_eq!(object.full()["data"]["password"], "aHVudGVyMg==");
    }

    #[test]
    fn an_object_without_a_name_is_refused() {
        let error = Object::new(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}})).unwrap_err();
        assert_eq!(error, "an object without `metadata.name`");
    }
}
