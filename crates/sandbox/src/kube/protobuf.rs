//! Objects as protobuf, in which Go clients send built-in kinds. They are read here; answers are always JSON, which every
//! client accepts beside it.
//!
//! Source of the envelope: "Kubernetes Protobuf encoding" in the API documentation: four bytes, then `runtime.Unknown`.

use std::sync::OnceLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use prost_reflect::{
    DescriptorPool, DynamicMessage, MapKey, MessageDescriptor, ReflectMessage, Value as Field,
};
use serde_json::{Map, Value, json};

use super::{object::is_zero, published::Published, refusal::Refusal};

/// The content type.
pub const TYPE: &str = "application/vnd.kubernetes.protobuf";

const MAGIC: &[u8] = b"k8s\0";
const META: &str = "k8s.io.apimachinery.pkg.apis.meta.v1";
const MESSAGES: &[u8] = include_bytes!("../../data/kubernetes-1.36.proto.zst");

fn pool() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let set = zstd::decode_all(MESSAGES).expect("the embedded data is whole");
        DescriptorPool::decode(set.as_slice()).expect("the embedded data is what data/make wrote")
    })
}

/// Reads an object.
///
/// # Errors
/// 400 for what is no such message, or of a kind that is not built in.
pub fn read(bytes: &[u8]) -> Result<Value, Refusal> {
    let unreadable =
        |why: String| Refusal::bad_request(format!("the object provided is unrecognized: {why}"));
    let decode = |descriptor: MessageDescriptor, bytes: &[u8]| {
        DynamicMessage::decode(descriptor, bytes).map_err(|error| unreadable(error.to_string()))
    };
    let inside = bytes
        .strip_prefix(MAGIC)
        .ok_or_else(|| unreadable("it does not begin as protobuf does here".into()))?;
    let envelope = pool().get_message_by_name("k8s.io.apimachinery.pkg.runtime.Unknown");
    let envelope = decode(envelope.ok_or_else(|| unreadable("there is no envelope".into()))?, inside)?;
    let kind = envelope.get_field_by_name("typeMeta").map(|it| value(&it)).unwrap_or_default();
    let (api_version, kind) = (kind["apiVersion"].clone(), kind["kind"].clone());
    let raw = match envelope.get_field_by_name("raw").as_deref() {
        Some(Field::Bytes(raw)) => raw.clone(),
        _ => return Err(unreadable("the envelope is empty".into())),
    };
    let descriptor = message(api_version.as_str().unwrap_or_default(), kind.as_str().unwrap_or_default());
    let descriptor = descriptor
        .ok_or_else(|| unreadable(format!("no kind {kind} is registered for version {api_version}")))?;
    let mut object = json!({ "apiVersion": api_version, "kind": kind });
    if let (Value::Object(object), Value::Object(fields)) = (&mut object, of(&decode(descriptor, &raw)?)) {
        object.extend(fields);
    }
    Ok(object)
}

/// The message of a kind. Groups are named after their first part, but for two.
fn message(api_version: &str, kind: &str) -> Option<MessageDescriptor> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let package = match group {
        "" => format!("k8s.io.api.core.{version}"),
        "apiextensions.k8s.io" => format!("k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.{version}"),
        "apiregistration.k8s.io" => format!("k8s.io.kube_aggregator.pkg.apis.apiregistration.{version}"),
        group => format!("k8s.io.api.{}.{version}", group.split('.').next().unwrap_or_default()),
    };
    let find = |package: &str| pool().get_message_by_name(&format!("{package}.{kind}"));
    // Options of requests are sent under the group that they are for.
    find(&package).or_else(|| find(META))
}

/// A message as JSON has it.
fn of(message: &DynamicMessage) -> Value {
    let descriptor = message.descriptor();
    let field = |name: &str| message.get_field_by_name(name).map(|it| value(&it)).unwrap_or_default();
    match descriptor.name() {
        "Time" | "MicroTime" if descriptor.full_name().starts_with(META) => {
            time(&field("seconds"), &field("nanos"), descriptor.name() == "MicroTime")
        }
        "Quantity" if descriptor.full_name().ends_with("resource.Quantity") => field("string"),
        "IntOrString" if descriptor.full_name().ends_with("intstr.IntOrString") => {
            if field("type") == 1 {
                field("strVal")
            } else {
                json!(field("intVal").as_i64().unwrap_or(0))
            }
        }
        "FieldsV1" | "RawExtension" | "JSON" if descriptor.fields().len() == 1 => {
            match message.fields().next() {
                Some((_, Field::Bytes(raw))) => serde_json::from_slice(raw).unwrap_or_default(),
                _ => Value::Null,
            }
        }
        _ => {
            let short = short_name(&descriptor);
            let pointers = Published::get().pointers.get(&short);
            let mut object = Map::new();
            for (descriptor, content) in message.fields() {
                let name = descriptor.name();
                let by_pointer = pointers.is_some_and(|it| it.iter().any(|it| it == name));
                let content = value(content);
                // Fields that are no pointers are always sent; a zero there says nothing.
                if content.is_null() || (!by_pointer && is_zero(&content)) {
                    continue;
                }
                match (descriptor.name(), content) {
                    // Go embeds these: their fields stand beside the others.
                    (
                        "handler"
                        | "volumeSource"
                        | "persistentVolumeSource"
                        | "ephemeralContainerCommon"
                        | "ingressRuleValue"
                        | "localObjectReference"
                        | "secretReference",
                        Value::Object(fields),
                    ) if is_embedded(&short, name) => {
                        object.extend(fields);
                    }
                    (_, content) => drop(object.insert(name.to_owned(), content)),
                }
            }
            Value::Object(object)
        }
    }
}

/// Fields that JSON flattens into their holder.
fn is_embedded(holder: &str, field: &str) -> bool {
    matches!(
        (holder, field),
        ("core.v1.Probe", "handler")
            | ("core.v1.Volume", "volumeSource")
            | ("core.v1.PersistentVolumeSpec", "persistentVolumeSource")
            | ("core.v1.EphemeralContainer", "ephemeralContainerCommon")
            | ("networking.v1.IngressRule", "ingressRuleValue")
            | (
                "core.v1.SecretEnvSource"
                    | "core.v1.SecretKeySelector"
                    | "core.v1.SecretProjection"
                    | "core.v1.ConfigMapEnvSource"
                    | "core.v1.ConfigMapKeySelector"
                    | "core.v1.ConfigMapProjection"
                    | "core.v1.ConfigMapVolumeSource",
                "localObjectReference"
            )
    )
}

/// `core.v1.PodSpec`.
fn short_name(descriptor: &MessageDescriptor) -> String {
    let parts: Vec<&str> = descriptor.full_name().rsplit('.').take(3).collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(".")
}

fn value(field: &Field) -> Value {
    match field {
        Field::Bool(it) => (*it).into(),
        Field::I32(it) | Field::EnumNumber(it) => (*it).into(),
        Field::I64(it) => (*it).into(),
        Field::U32(it) => (*it).into(),
        Field::U64(it) => (*it).into(),
        Field::F32(it) => (*it).into(),
        Field::F64(it) => (*it).into(),
        Field::String(it) => it.as_str().into(),
        Field::Bytes(it) => STANDARD.encode(it).into(),
        Field::Message(it) => of(it),
        Field::List(it) => it.iter().map(value).collect(),
        Field::Map(it) => it
            .iter()
            .map(|(key, content)| {
                let key = match key {
                    MapKey::String(key) => key.clone(),
                    other => format!("{other:?}"),
                };
                let content = match content {
                    // An empty value of a map is a value; an empty list of strings is sent as a message of its own.
                    Field::Message(it) if it.descriptor().name() == "ExtraValue" => {
                        it.get_field_by_name("items").map(|it| value(&it)).unwrap_or_default()
                    }
                    other => value(other),
                };
                (key, content)
            })
            .collect::<Map<_, _>>()
            .into(),
    }
}

fn time(seconds: &Value, nanos: &Value, micro: bool) -> Value {
    let seconds = seconds.as_i64().unwrap_or(0);
    let nanos = nanos.as_i64().and_then(|it| i32::try_from(it).ok()).unwrap_or(0);
    match Timestamp::new(seconds, nanos) {
        // A time that was never set is sent as an empty message.
        _ if seconds == 0 && nanos == 0 => Value::Null,
        Ok(at) if micro => at.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string().into(),
        Ok(at) => super::object::time(at).into(),
        Err(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use prost_reflect::prost::Message;

    use super::*;

    /// Writes a message from JSON, field by field, as a Go client would.
    fn written(name: &str, fields: &[(&str, Field)]) -> DynamicMessage {
        let mut message = DynamicMessage::new(pool().get_message_by_name(name).expect("it exists"));
        for (name, content) in fields {
            message.set_field_by_name(name, content.clone());
        }
        message
    }

    fn envelope(api_version: &str, kind: &str, object: &DynamicMessage) -> Vec<u8> {
        let text = |text: &str| Field::String(text.to_owned());
        let meta = written(
            "k8s.io.apimachinery.pkg.runtime.TypeMeta",
            &[("apiVersion", text(api_version)), ("kind", text(kind))],
        );
        let raw = Field::Bytes(object.encode_to_vec().into());
        let unknown = written(
            "k8s.io.apimachinery.pkg.runtime.Unknown",
            &[("typeMeta", Field::Message(meta)), ("raw", raw)],
        );
        [MAGIC, &unknown.encode_to_vec()].concat()
    }

    #[test]
    fn a_config_map_is_read() {
        let meta = written(
            &format!("{META}.ObjectMeta"),
            &[
                ("name", Field::String("a".into())),
                ("generateName", Field::String(String::new())),
                ("creationTimestamp", Field::Message(written(&format!("{META}.Time"), &[]))),
            ],
        );
        let data = [(MapKey::String("k".into()), Field::String(String::new()))].into();
        let map = written(
            "k8s.io.api.core.v1.ConfigMap",
            &[
                ("metadata", Field::Message(meta)),
                ("data", Field::Map(data)),
                ("immutable", Field::Bool(false)),
            ],
        );
        let object = read(&envelope("v1", "ConfigMap", &map)).expect("it is read");
        let wanted = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": ""}, "immutable": false,
        });
        assert_eq!(object, wanted, "a zero stays where somebody wrote it, and only there");
    }

    #[test]
    fn what_is_no_message_is_a_bad_request() {
        for wrong in [&b"{}"[..], b"", b"k8s\0", b"k8s\0\xff\xff"] {
            assert_eq!(read(wrong).expect_err("not a message").code, 400);
        }
    }

    #[test]
    fn every_stored_kind_has_a_message() {
        let catalog = super::super::catalog::Catalog::default();
        for it in catalog.all() {
            assert!(message(&it.api_version(), &it.kind).is_some(), "{} {}", it.api_version(), it.kind);
        }
    }
}
