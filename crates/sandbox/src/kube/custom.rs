//! Custom kinds: what a CustomResourceDefinition defines, and how its objects are completed and judged.

use std::fmt;

use serde_json::{Value, json};

use super::{
    catalog::{Resource, Subresource, stored_as},
    object::Causes,
    schema::{Field, Shape},
};

/// What a definition says of one version, beyond what every resource has.
pub struct Custom {
    /// The schema, as it was written.
    pub schema: Value,
    /// Columns of tables.
    pub columns: Vec<Value>,
    /// Where replicas stand, for the subresource `scale`.
    pub scale: Option<ScalePaths>,
    /// Fields by which objects are selected: `spec.color`.
    pub selectable: Vec<String>,
    /// Whether the schema has rules beyond shapes (`x-kubernetes-validations`).
    has_rules: bool,
    judge: Option<jsonschema::Validator>,
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Custom")
            .field("columns", &self.columns)
            .field("scale", &self.scale)
            .finish_non_exhaustive()
    }
}

/// JSON pointers into an object.
#[derive(Clone, Debug, PartialEq)]
pub struct ScalePaths {
    /// Wanted replicas.
    pub wanted: String,
    /// Counted replicas.
    pub counted: String,
    /// The label selector as text.
    pub selector: Option<String>,
}

/// The resources that a definition defines, one for each version that is served.
pub fn resources(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (group, names) = (text(&spec["group"]), &spec["names"]);
    let (plural, kind) = (text(&names["plural"]), text(&names["kind"]));
    let served =
        spec["versions"].as_array().into_iter().flatten().filter(|version| version["served"] == true);
    served
        .map(|version| {
            let number = text(&version["name"]);
            let schema = version["schema"]["openAPIV3Schema"].clone();
            let custom = Custom {
                judge: jsonschema::validator_for(&judged(&schema)).ok(),
                columns: version["additionalPrinterColumns"].as_array().cloned().unwrap_or_default(),
                scale: scale(&version["subresources"]["scale"]),
                selectable: version["selectableFields"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|field| text(&field["jsonPath"]).trim_start_matches('.').to_owned())
                    .collect(),
                has_rules: has_rules(&schema),
                schema,
            };
            let mut subresources = Vec::new();
            let verbs = || ["get", "patch", "update"].map(str::to_owned).to_vec();
            if version["subresources"]["status"].is_object() {
                let kind = (group.clone(), number.clone(), kind.clone());
                subresources.push(Subresource { name: "status".into(), kind, verbs: verbs() });
            }
            if custom.scale.is_some() {
                let kind = ("autoscaling".into(), "v1".into(), "Scale".into());
                subresources.push(Subresource { name: "scale".into(), kind, verbs: verbs() });
            }
            Resource {
                shape: shape(&custom.schema),
                group: group.clone(),
                version: number,
                plural: plural.clone(),
                singular: match names["singular"].as_str() {
                    Some(singular) if !singular.is_empty() => singular.to_owned(),
                    _ => kind.to_lowercase(),
                },
                kind: kind.clone(),
                namespaced: spec["scope"] == "Namespaced",
                short_names: texts(&names["shortNames"]),
                categories: texts(&names["categories"]),
                verbs: ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"]
                    .map(str::to_owned)
                    .to_vec(),
                subresources,
                custom: Some(custom.into()),
                stored_as: stored_as(&group, &plural),
            }
        })
        .collect()
}

/// The shape of custom objects: as their schema says, with the metadata that every object has.
fn shape(schema: &Value) -> Shape {
    let mut schema = schema.clone();
    if schema["properties"].is_object() {
        let metadata = "#/components/schemas/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
        schema["properties"]["metadata"] = json!({ "$ref": metadata });
        schema["properties"]["apiVersion"] = json!({ "type": "string" });
        schema["properties"]["kind"] = json!({ "type": "string" });
    }
    Shape::of(&schema)
}

fn scale(scale: &Value) -> Option<ScalePaths> {
    let pointer = |key: &str| scale[key].as_str().map(|path| path.replace('.', "/"));
    Some(ScalePaths {
        wanted: pointer("specReplicasPath")?,
        counted: pointer("statusReplicasPath")?,
        selector: pointer("labelSelectorPath"),
    })
}

/// A structural schema in the words of JSON Schema.
fn judged(schema: &Value) -> Value {
    match schema {
        Value::Object(object) => {
            let mut out = serde_json::Map::new();
            for (key, value) in object {
                match key.as_str() {
                    "default" | "description" | "example" | "title" | "nullable" | "externalDocs" => {}
                    _ if key.starts_with("x-kubernetes") => {}
                    "properties" => {
                        let fields = value.as_object().into_iter().flatten();
                        let fields = fields.map(|(name, schema)| (name.clone(), judged(schema))).collect();
                        out.insert(key.clone(), Value::Object(fields));
                    }
                    // Formats that JSON Schema does not know mean nothing here, and `int32` is its type's business.
                    "format" => {}
                    "enum" | "required" | "pattern" => drop(out.insert(key.clone(), value.clone())),
                    _ => drop(out.insert(key.clone(), judged(value))),
                }
            }
            if object.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
                out.insert("type".into(), json!(["integer", "string"]));
            }
            if object.get("nullable") == Some(&Value::Bool(true))
                && let Some(Value::String(kind)) = out.get("type")
            {
                let kinds = json!([kind, "null"]);
                out.insert("type".into(), kinds);
            }
            Value::Object(out)
        }
        Value::Array(items) => Value::Array(items.iter().map(judged).collect()),
        other => other.clone(),
    }
}

fn has_rules(schema: &Value) -> bool {
    match schema {
        Value::Object(object) => {
            object.contains_key("x-kubernetes-validations") || object.values().any(has_rules)
        }
        Value::Array(items) => items.iter().any(has_rules),
        _ => false,
    }
}

/// Takes out what is `null` where it may not be: such a field counts as left out.
pub fn leave_out_nulls(schema: &Value, object: &mut Value) {
    match object {
        Value::Object(fields) => {
            let inside = |key: &str| match &schema["properties"][key] {
                Value::Null => &schema["additionalProperties"],
                found => found,
            };
            fields.retain(|key, value| {
                let schema = inside(key);
                !value.is_null() || !schema.is_object() || schema["nullable"] == true
            });
            for (key, value) in fields.iter_mut() {
                leave_out_nulls(inside(key), value);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out_nulls(&schema["items"], item)),
        _ => {}
    }
}

/// Elements of lists that have keys, or are sets, and come twice.
fn twice(schema: &Value, value: &Value, path: &str, causes: &mut Causes) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let inside = match &schema["properties"][key.as_str()] {
                    Value::Null => &schema["additionalProperties"],
                    found => found,
                };
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                twice(inside, value, &path, causes);
            }
        }
        Value::Array(items) => {
            let keys = schema["x-kubernetes-list-map-keys"].as_array();
            let identity = |item: &Value| match schema["x-kubernetes-list-type"].as_str() {
                Some("set") => Some(item.clone()),
                Some("map") => {
                    let key = |key: &Value| {
                        let key = key.as_str().unwrap_or_default();
                        item.get(key).map(|value| (key.to_owned(), value.clone()))
                    };
                    Some(Value::Object(keys.into_iter().flatten().filter_map(key).collect()))
                }
                _ => None,
            };
            let mut seen = Vec::new();
            for (at, item) in items.iter().enumerate() {
                let path = format!("{path}[{at}]");
                if let Some(identity) = identity(item) {
                    if seen.contains(&identity) {
                        causes.push((path.clone(), format!("Duplicate value: {identity}")));
                    }
                    seen.push(identity);
                }
                twice(&schema["items"], item, &path, causes);
            }
        }
        _ => {}
    }
}

/// Errors after which rules are not looked at.
const BLOCKING: &[&str] = &["Unsupported value", "Required value", "Too long", "Too many"];

/// Fills in what a schema says of fields that are left out.
pub fn fill(shape: &Shape, object: &mut Value) {
    match (shape.resolve(), object) {
        (Shape::Struct(it), Value::Object(object)) => {
            for (name, Field { shape, default, .. }) in &it.fields {
                if let Some(default) = default
                    && object.get(name).is_none_or(Value::is_null)
                {
                    object.insert(name.clone(), default.clone());
                }
                if name != "metadata"
                    && let Some(value) = object.get_mut(name)
                {
                    fill(shape, value);
                }
            }
        }
        (Shape::Map(it), Value::Object(object)) => {
            object.values_mut().for_each(|value| fill(&it.values, value))
        }
        (Shape::List(it), Value::Array(items)) => items.iter_mut().for_each(|item| fill(&it.items, item)),
        _ => {}
    }
}

impl Custom {
    /// What the schema has against an object.
    pub fn causes(&self, object: &Value) -> Causes {
        let Some(judge) = &self.judge else { return Causes::new() };
        let mut causes: Causes = judge.iter_errors(object).map(|error| cause(&error)).collect();
        let blocks = |why: &str| {
            BLOCKING.iter().any(|it| why.starts_with(it)) || why.contains(" in body must be of type ")
        };
        if self.has_rules && causes.iter().any(|(_, why)| blocks(why)) {
            let note = "some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";
            causes.push(("<nil>".into(), format!("Invalid value: null: {note}")));
        }
        twice(&self.schema, object, "", &mut causes);
        causes
    }
}

/// A limit as Go writes it: whole numbers without a point.
fn number(limit: &Value) -> String {
    limit.as_f64().map_or_else(|| limit.to_string(), |limit| limit.to_string())
}

/// What is wrong and where, in the real server's words.
fn cause(error: &jsonschema::ValidationError<'_>) -> (String, String) {
    use jsonschema::error::ValidationErrorKind as Kind;
    let mut path = error.instance_path().as_str().trim_start_matches('/').replace('/', ".");
    let value = error.instance();
    let invalid = |why: String| format!("Invalid value: {value}: {path} in body {why}");
    let words = match error.kind() {
        Kind::Required { property } => {
            let property = property.as_str().unwrap_or_default();
            path = if path.is_empty() { property.to_owned() } else { format!("{path}.{property}") };
            "Required value".to_owned()
        }
        Kind::Enum { options } => {
            let options: Vec<String> =
                options.as_array().into_iter().flatten().map(Value::to_string).collect();
            format!("Unsupported value: {value}: supported values: {}", options.join(", "))
        }
        Kind::Minimum { limit } => invalid(format!("should be greater than or equal to {}", number(limit))),
        Kind::Maximum { limit } => invalid(format!("should be less than or equal to {}", number(limit))),
        Kind::MinLength { limit } => invalid(format!("should be at least {limit} chars long")),
        Kind::MaxLength { limit } => format!("Too long: may not be more than {limit} bytes"),
        Kind::MaxItems { limit } => {
            let items = value.as_array().map_or(0, Vec::len);
            format!("Too many: {items}: must have at most {limit} items")
        }
        Kind::MinItems { limit } => invalid(format!("should have at least {limit} items")),
        Kind::Pattern { pattern } => invalid(format!("should match '{pattern}'")),
        Kind::Type { kind } => {
            let is = word(value);
            let wanted = match kind {
                jsonschema::error::TypeKind::Single(one) => one.to_string(),
                // `nullable` makes several of them, and what may be a number or a text.
                jsonschema::error::TypeKind::Multiple(several) => {
                    let several: Vec<String> =
                        several.iter().map(|one| one.to_string()).filter(|one| one != "null").collect();
                    several.join(",")
                }
            };
            format!("Invalid value: \"{is}\": {path} in body must be of type {wanted}: \"{is}\"")
        }
        _ => format!("Invalid value: {value}: {error}"),
    };
    (path, words)
}

fn word(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(it) if it.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The status that a definition gets as soon as it is stored: its names are taken and it is served.
pub fn established(definition: &Value, now: &str) -> Value {
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({
            "type": kind, "status": "True", "reason": reason, "message": message, "lastTransitionTime": now,
        })
    };
    let versions = definition["spec"]["versions"].as_array().into_iter().flatten();
    let stored: Vec<&Value> = versions.filter(|it| it["storage"] == true).map(|it| &it["name"]).collect();
    json!({
        "conditions": [
            condition("NamesAccepted", "NoConflicts", "no conflicts found"),
            condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
        ],
        "acceptedNames": definition["spec"]["names"],
        "storedVersions": stored,
    })
}

/// What is wrong with a definition itself.
pub fn definition_causes(definition: &Value) -> Causes {
    let mut causes = Causes::new();
    let spec = &definition["spec"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (group, plural) = (text(&spec["group"]), text(&spec["names"]["plural"]));
    let (name, wanted) = (text(&definition["metadata"]["name"]), format!("{plural}.{group}"));
    if name != wanted {
        causes.push((
            "metadata.name".into(),
            format!("Invalid value: {name:?}: must be spec.names.plural+\".\"+spec.group"),
        ));
    }
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    for (at, version) in versions.iter().enumerate() {
        causes.extend(version_causes(&versions, at, version));
    }
    let stored = versions.iter().filter(|it| it["storage"] == true).count();
    if stored != 1 {
        let why = "must have exactly one version marked as storage version";
        causes.push(("spec.versions".into(), format!("Invalid value: {}: {why}", go_versions(&versions))));
    }
    if stored == 0 {
        let why = "Invalid value: null: must have at least one stored version";
        causes.push(("status.storedVersions".into(), why.into()));
    }
    causes
}

/// What is wrong with a version. What all versions have in common, the real server names once, above them.
fn version_causes(versions: &[Value], at: usize, version: &Value) -> Causes {
    let mut causes = Causes::new();
    let alone = versions.len() == 1;
    let schema = &version["schema"]["openAPIV3Schema"];
    let below = |field: &str| match alone {
        true => format!("spec.validation.openAPIV3Schema.{field}"),
        false => format!("spec.versions[{at}].schema.openAPIV3Schema.{field}"),
    };
    if !schema.is_object() {
        causes.push((format!("spec.versions[{at}].schema.openAPIV3Schema"), "Required value".into()));
        if version["selectableFields"].is_array() {
            let path = if alone { "spec".to_owned() } else { format!("spec.versions[{at}]") };
            let why = "Invalid value: \"\": may only be set when validations.schema is included";
            causes.push((format!("{path}.selectableFields"), why.into()));
        }
        return causes;
    }
    let kind = schema["type"].as_str().unwrap_or_default();
    if kind != "object" {
        if version["subresources"]["status"].is_object() {
            let why = "only \"object\" is allowed as the type at the root of the schema if the status subresource is enabled";
            causes.push((below("type"), format!("Invalid value: {kind:?}: {why}")));
        }
        if kind == "array" && schema["items"].is_null() {
            causes.push((below("items"), "Required value: must be specified".into()));
        }
        causes.push(match kind {
            "" => (below("type"), "Required value: must not be empty at the root".into()),
            _ => (below("type"), format!("Invalid value: {kind:?}: must be object at the root")),
        });
    }
    causes
}

/// Versions as Go writes them; what they have in common stands above them.
fn go_versions(versions: &[Value]) -> String {
    let of = |version: &Value| {
        format!(
            "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
            version["name"],
            version["served"],
            version["storage"],
            version["deprecated"] == true,
            version["deprecationWarning"]
        )
    };
    format!("[{}]", versions.iter().map(of).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition() -> Value {
        json!({
            "metadata": {"name": "things.example.com"},
            "spec": {
                "group": "example.com", "scope": "Namespaced",
                "names": {"plural": "things", "kind": "Thing", "shortNames": ["th"]},
                "versions": [{
                    "name": "v1", "served": true, "storage": true,
                    "subresources": {"status": {}, "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {
                        "spec": {"type": "object", "required": ["color"], "properties": {
                            "color": {"type": "string", "enum": ["red", "blue"]},
                            "size": {"type": "integer", "minimum": 1, "default": 3},
                            "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                        }},
                        "status": {"type": "object", "properties": {"size": {"type": "integer"}}},
                    }}},
                }],
            },
        })
    }

    #[test]
    fn a_definition_makes_a_resource_with_its_subresources() {
        let things = resources(&definition()).pop().expect("one version");
        assert_eq!((things.singular.as_str(), &*things.stored_as), ("thing", "example.com/things"));
        assert!(things.has_status() && things.subresource("scale").is_some());
        assert_eq!(definition_causes(&definition()), []);
    }

    #[test]
    fn a_version_is_stored_and_an_object_at_its_root() {
        let mut wrong = definition();
        wrong["spec"]["versions"][0]["storage"] = false.into();
        wrong["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["type"] = "array".into();
        let causes = definition_causes(&wrong);
        let fields: Vec<&str> = causes.iter().map(|(field, _)| field.as_str()).collect();
        let root = "spec.validation.openAPIV3Schema";
        let kind = format!("{root}.type");
        let expected = [&kind, &format!("{root}.items"), &kind, "spec.versions", "status.storedVersions"];
        assert_eq!(fields, expected);
    }

    #[test]
    fn objects_are_completed_and_judged() {
        let things = resources(&definition()).pop().expect("one version");
        let mut object = json!({"metadata": {"name": "x"}, "spec": {"color": "red", "free": {"any": 1}}});
        fill(&things.shape, &mut object);
        assert_eq!(object["spec"], json!({"color": "red", "free": {"any": 1}, "size": 3}));
        let custom = things.custom.as_ref().expect("it is custom");
        assert_eq!(custom.causes(&object), []);
        object["spec"] = json!({"color": "green", "size": 0});
        let causes = custom.causes(&object);
        assert_eq!(causes.len(), 2, "{causes:?}");
        assert!(causes.iter().any(|(path, _)| path == "spec.size"));
        object["spec"] = json!({"size": 2});
        assert_eq!(custom.causes(&object).len(), 1, "what is required");
    }
}
