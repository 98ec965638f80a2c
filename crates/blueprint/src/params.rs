//! Parameters: checked against the blueprint's JSON Schema, completed with its defaults.

use jsonschema::Validator;
use serde_json::{Map, Value};

use crate::BlueprintError;

pub(crate) const FILE: &str = "params.schema.json";

/// The schema of a blueprint's parameters, ready for use.
#[derive(Debug)]
pub(crate) struct Params {
    schema: Value,
    validator: Validator,
}

impl Params {
    /// Reads the schema; it must describe an object and refuse unknown parameters.
    pub(crate) fn load(bytes: &[u8]) -> Result<Self, BlueprintError> {
        let invalid = |why: String| BlueprintError::Invalid { file: FILE.to_owned(), why };
        let schema: Value = serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        // An unknown parameter that is quietly ignored is a wish that nobody fulfils.
        if schema["type"] != "object" || schema["additionalProperties"] != Value::Bool(false) {
            return Err(invalid("it must have `type: object` and `additionalProperties: false`".to_owned()));
        }
        let validator =
            jsonschema::validator_for(&schema).map_err(|error| invalid(error.masked().to_string()))?;
        Ok(Self { schema, validator })
    }

    /// The schema itself, for editors.
    pub(crate) fn schema(&self) -> &Value {
        &self.schema
    }

    /// The given parameters with the defaults of the schema's top level; `null` counts as none given.
    ///
    /// Values are not repeated in the errors: someone may have put a secret there.
    pub(crate) fn complete(&self, blueprint: &str, given: &Value) -> Result<Value, BlueprintError> {
        let mut params = match given {
            Value::Null => Value::Object(Map::new()),
            other => other.clone(),
        };
        if let (Some(map), Some(properties)) = (params.as_object_mut(), self.schema["properties"].as_object())
        {
            for (name, property) in properties {
                if let Some(default) = property.get("default")
                    && !map.contains_key(name)
                {
                    map.insert(name.clone(), default.clone());
                }
            }
        }
        let problems: Vec<String> = self
            .validator
            .iter_errors(&params)
            .map(|error| {
                let place = error.instance_path().as_str();
                let place = if place.is_empty() { "params".to_owned() } else { format!("params{place}") };
                format!("{place}: {}", error.masked())
            })
            .collect();
        if problems.is_empty() {
            return Ok(params);
        }
        Err(BlueprintError::Params { blueprint: blueprint.to_owned(), problems })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schema() -> Params {
        Params::load(
            br#"{"type": "object", "additionalProperties": false,
                 "properties": {"replicas": {"type": "integer", "minimum": 1, "default": 2}, "name": {"type": "string"}}}"#,
        )
        .unwrap()
    }

    #[test]
    fn defaults_complete_what_was_given() {
        assert_eq!(schema().complete("b", &Value::Null).unwrap(), json!({"replicas": 2}));
        assert_eq!(schema().complete("b", &json!({"replicas": 5})).unwrap(), json!({"replicas": 5}));
    }

    #[test]
    fn unknown_and_wrong_parameters_are_all_named_and_no_value_is_repeated() {
        let given = json!({"replicas": 0, "name": 17, "colour": "hunter2-canary"});
        let Err(BlueprintError::Params { problems, .. }) = schema().complete("b", &given) else {
            panic!("accepted");
        };
        assert_eq!(problems.len(), 3, "{problems:?}");
        let text = problems.join("\n");
        assert!(
            text.contains("colour") && text.contains("params/replicas") && text.contains("params/name"),
            "{text}"
        );
        assert!(!text.contains("hunter2-canary"), "{text}");
    }

    #[test]
    fn a_schema_that_would_let_unknown_parameters_pass_is_refused() {
        assert!(Params::load(br#"{"type": "object"}"#).is_err());
        assert!(Params::load(b"{").is_err());
    }
}
