//! The JSON Schema of `platform.yaml`, made from the types: what editors complete by and the parser checks against.

use std::sync::LazyLock;

use schemars::{
    generate::SchemaSettings,
    transform::{RecursiveTransform, Transform},
};
use serde_json::Value;

use crate::platform::Platform;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let settings = SchemaSettings::draft2020_12();
    let mut schema = settings.into_generator().into_root_schema_for::<Platform>();
    RecursiveTransform(without_null).transform(&mut schema);
    schema.insert("title".into(), "platform.yaml".into());
    schema.to_value()
});

/// The JSON Schema (draft 2020-12) of `platform.yaml`.
pub fn schema() -> &'static Value {
    &SCHEMA
}

/// An optional key is left out, never written without a value: a `null` in the file is a mistake.
fn without_null(schema: &mut schemars::Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option.get("type").is_none_or(|kind| kind != "null"));
        if let [only] = options.as_slice() {
            let only = only.as_object().cloned().unwrap_or_default();
            object.shift_remove("anyOf");
            object.extend(only);
        }
    }
}
