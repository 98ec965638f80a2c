//! The OpenAPI document of version 2, made from those of version 3. Programs in Go still read from it, in its binary
//! form, by which keys the elements of lists are told apart. It has definitions and no paths.

use std::sync::OnceLock;

use prost_reflect::prost::encoding::{WireType, encode_key, encode_varint};
use serde_json::{Map, Value, json};

use super::{
    api::{Answer, Api},
    discovery::custom_documents,
    published::Published,
};

/// The binary form: `openapi.v2.Document` of the library gnostic.
const BINARY: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/// The document, in the form that is asked for.
pub fn answer(api: &Api, accept: &str) -> Answer {
    let custom = custom(api);
    // Clients write the version with an `@`.
    if accept.contains("com.github.proto-openapi.spec.v2") {
        static BUILT_IN: OnceLock<Vec<u8>> = OnceLock::new();
        let built_in = BUILT_IN.get_or_init(|| named(&built_in()).0);
        let definitions = Message([built_in.as_slice(), &named(&custom).0].concat());
        let mut document = Message::default();
        document.text(1, "2.0");
        document.message(9, &definitions);
        return Answer::Bytes { content_type: BINARY, body: document.0.into() };
    }
    let mut definitions = built_in();
    definitions.extend(custom);
    Answer::ok(json!({
        "swagger": "2.0",
        "info": { "title": "Kubernetes", "version": Published::get().version },
        "paths": {},
        "definitions": definitions,
    }))
}

fn built_in() -> Map<String, Value> {
    let published = Published::get();
    let documents = published.openapi_paths().filter_map(|path| published.openapi(path));
    let documents = documents.filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let mut definitions = Map::new();
    for document in documents {
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            if !definitions.contains_key(name) {
                definitions.insert(name.clone(), converted(schema, false));
            }
        }
    }
    definitions
}

fn custom(api: &Api) -> Map<String, Value> {
    let mut definitions = Map::new();
    for document in custom_documents(api).values() {
        for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
            let kind = &schema["x-kubernetes-group-version-kind"];
            let definition = if schema["x-kubernetes-preserve-unknown-fields"] == true {
                json!({ "type": "object", "x-kubernetes-group-version-kind": kind })
            } else {
                let mut definition = converted(schema, true);
                let text = json!({ "type": "string" });
                let properties = &mut definition["properties"];
                properties["apiVersion"] = text.clone();
                properties["kind"] = text;
                properties["metadata"] = json!({ "$ref": format!("#/definitions/{OBJECT_META}") });
                definition
            };
            definitions.insert(name.clone(), definition);
        }
    }
    definitions
}

/// A schema of version 3 in version 2. What only validates is left out, as the real server leaves it out of definitions of
/// custom kinds; built-in kinds have no defaults there.
fn converted(schema: &Value, custom: bool) -> Value {
    let below = |schema: &Value| converted(schema, custom);
    let mut new = Map::new();
    for (key, value) in schema.as_object().into_iter().flatten() {
        let value = match key.as_str() {
            "description" | "format" | "type" => value.clone(),
            "default" if custom => value.clone(),
            "required" if !custom => value.clone(),
            "items" => below(value),
            "additionalProperties" if value.is_object() => below(value),
            "additionalProperties" => value.clone(),
            "properties" => {
                let all = value.as_object().into_iter().flatten();
                all.map(|(name, schema)| (name.clone(), below(schema))).collect::<Map<_, _>>().into()
            }
            key if key.starts_with("x-kubernetes-") => value.clone(),
            _ => continue,
        };
        new.insert(key.clone(), value);
    }
    let reference = [&schema["$ref"], &schema["allOf"][0]["$ref"]].into_iter().find_map(Value::as_str);
    if let Some(reference) = reference {
        new.insert("$ref".to_owned(), reference.replace("#/components/schemas/", "#/definitions/").into());
    }
    // A quantity, or a number or a name: both are written as texts.
    if !custom && schema["oneOf"].is_array() {
        new.insert("type".to_owned(), "string".into());
    }
    if custom {
        loosened(&mut new, schema["nullable"] == true);
    }
    new.into()
}

/// Version 2 has no words for what may be nothing, or anything; its readers want no type then, and nothing below.
fn loosened(schema: &mut Map<String, Value>, nullable: bool) {
    let anything = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true));
    if nullable || anything {
        schema.shift_remove("items");
        schema.shift_remove("properties");
    }
    let kind = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    if nullable || (anything && kind == "object") || (kind == "array" && !schema.contains_key("items")) {
        schema.shift_remove("type");
    }
}

/// A message of protobuf in the making.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        encode_key(field, WireType::LengthDelimited, &mut self.0);
        encode_varint(u64::try_from(bytes.len()).unwrap_or(u64::MAX), &mut self.0);
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    fn flag(&mut self, field: u32, flag: bool) {
        encode_key(field, WireType::Varint, &mut self.0);
        encode_varint(flag.into(), &mut self.0);
    }

    /// A message with one field.
    fn of(field: u32, inner: &Self) -> Self {
        let mut message = Self::default();
        message.message(field, inner);
        message
    }
}

/// `Definitions` and `Properties`: schemas by name.
fn named(schemas: &Map<String, Value>) -> Message {
    let mut all = Message::default();
    for (name, schema) in schemas {
        let mut one = Message::default();
        one.text(1, name);
        one.message(2, &written(schema));
        all.message(1, &one);
    }
    all
}

/// `Any`: JSON is YAML.
fn any(value: &Value) -> Message {
    let mut any = Message::default();
    any.text(2, &value.to_string());
    any
}

/// `Schema`.
fn written(schema: &Value) -> Message {
    let mut message = Message::default();
    for (key, value) in schema.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        match key.as_str() {
            "$ref" => message.text(1, text),
            "format" => message.text(2, text),
            "description" => message.text(4, text),
            "default" => message.message(5, &any(value)),
            "required" => {
                let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                names.for_each(|name| message.text(19, name));
            }
            "additionalProperties" => {
                let mut item = Message::default();
                match value.as_bool() {
                    Some(flag) => item.flag(2, flag),
                    None => item.message(1, &written(value)),
                }
                message.message(21, &item);
            }
            "type" => {
                let mut kind = Message::default();
                kind.text(1, text);
                message.message(22, &kind);
            }
            "items" => message.message(23, &Message::of(1, &written(value))),
            "properties" => {
                message.message(25, &value.as_object().map(named).unwrap_or_default());
            }
            extension => {
                let mut one = Message::default();
                one.text(1, extension);
                one.message(2, &any(value));
                message.message(31, &one);
            }
        }
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references<'a>(schema: &'a Value, into: &mut Vec<&'a str>) {
        match schema {
            Value::Object(fields) => fields.iter().for_each(|(key, value)| match value.as_str() {
                Some(to) if key == "$ref" => into.push(to),
                _ => references(value, into),
            }),
            Value::Array(all) => all.iter().for_each(|it| references(it, into)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_to_a_definition() {
        let all = built_in();
        let mut to = Vec::new();
        all.values().for_each(|it| references(it, &mut to));
        assert!(to.len() > 900, "{}", to.len());
        let lost =
            to.iter().find(|it| it.strip_prefix("#/definitions/").is_none_or(|name| !all.contains_key(name)));
        assert_eq!(lost, None);
        let ports = &all["io.k8s.api.core.v1.Container"]["properties"]["ports"];
        assert_eq!(ports["x-kubernetes-list-map-keys"], json!(["containerPort", "protocol"]));
        assert_eq!(all["io.k8s.apimachinery.pkg.api.resource.Quantity"]["type"], "string");
    }

    #[test]
    fn what_version_2_cannot_say_is_left_open() {
        let schema = json!({
            "type": "object",
            "properties": {
                "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": {"a": {"type": "string"}}},
                "maybe": {"type": "array", "nullable": true, "items": {"type": "string"}},
                "list": {"type": "array", "items": {"type": "integer", "minimum": 1, "default": 3}},
            },
            "required": ["list"],
        });
        let wanted = json!({
            "type": "object",
            "properties": {
                "free": {"x-kubernetes-preserve-unknown-fields": true},
                "maybe": {},
                "list": {"type": "array", "items": {"type": "integer", "default": 3}},
            },
        });
        assert_eq!(converted(&schema, true), wanted);
    }

    #[test]
    fn a_schema_is_a_message() {
        let schema =
            json!({"type": "array", "items": {"$ref": "#/definitions/a"}, "x-kubernetes-list-type": "set"});
        let mut wanted = vec![0xb2, 1, 7, 0x0a, 5];
        wanted.extend(b"array");
        wanted.extend([0xba, 1, 19, 0x0a, 17, 0x0a, 15]);
        wanted.extend(b"#/definitions/a");
        wanted.extend([0xfa, 1, 33, 0x0a, 22]);
        wanted.extend(b"x-kubernetes-list-type");
        wanted.extend([0x12, 7, 0x12, 5]);
        wanted.extend(b"\"set\"");
        assert_eq!(written(&schema).0, wanted);
    }
}
