//! Bodies of requests: JSON, YAML or protobuf, with a note of keys that come twice.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::{api::Ask, catalog::Resource, dialect, protobuf, refusal::Refusal};

/// A body that was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// The document.
    pub value: Value,
    /// Keys that came twice, as paths; the last one counts.
    pub twice: Vec<String>,
}

/// Types that are understood.
const TYPES: &[&str] = &["application/json", "application/yaml", protobuf::TYPE];

/// Reads an object.
///
/// # Errors
/// 415 for another type, 400 for what cannot be read.
pub fn read(ask: &Ask, resource: &Resource) -> Result<Body, Refusal> {
    match ask.content_type.split(';').next().unwrap_or_default().trim() {
        "" | "application/json" | "*/*" => {
            parse(&ask.body).map_err(|error| dialect::unreadable(resource, &ask.body, &error.to_string()))
        }
        "application/yaml" => yaml(&ask.body),
        protobuf::TYPE => Ok(Body { value: protobuf::read(&ask.body)?, twice: Vec::new() }),
        _ => Err(Refusal::unsupported_media_type(TYPES)),
    }
}

/// Reads options of a deletion, which may be left out, or takes those that are given.
///
/// # Errors
/// As [`read`].
pub fn options(ask: &Ask, given: Option<Value>) -> Result<Value, Refusal> {
    if let Some(options) = given {
        return Ok(options);
    }
    if ask.body.is_empty() {
        return Ok(Value::Null);
    }
    match ask.content_type.split(';').next().unwrap_or_default().trim() {
        "application/yaml" => yaml(&ask.body),
        protobuf::TYPE => return protobuf::read(&ask.body),
        "" | "application/json" | "*/*" => json(&ask.body),
        _ => return Err(Refusal::unsupported_media_type(TYPES)),
    }
    .map(|body| body.value)
}

/// Reads JSON.
///
/// # Errors
/// 400.
pub fn json(text: &[u8]) -> Result<Body, Refusal> {
    parse(text).map_err(unreadable)
}

fn parse(text: &[u8]) -> serde_json::Result<Body> {
    let mut twice = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Noting { twice: &mut twice, path: String::new() }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))?;
    Ok(Body { value, twice })
}

/// Reads YAML, of which JSON is a part.
///
/// # Errors
/// 400.
pub fn yaml(text: &[u8]) -> Result<Body, Refusal> {
    let text = std::str::from_utf8(text).map_err(unreadable)?;
    // Most is JSON, which takes a twentieth of the time. What is wrong with it is said by who reads YAML.
    if text.starts_with('{')
        && let Ok(body) = parse(text.as_bytes())
        && body.twice.is_empty()
    {
        return Ok(body);
    }
    let value = yaml_serde::from_str(text).map_err(unreadable)?;
    Ok(Body { value, twice: Vec::new() })
}

fn unreadable(error: impl fmt::Display) -> Refusal {
    Refusal::bad_request(format!(
        "the object provided is unrecognized (must be of type application/json or application/yaml): {error}"
    ))
}

/// Reads any value, and notes keys that come twice.
struct Noting<'a> {
    twice: &'a mut Vec<String>,
    path: String,
}

impl<'de> DeserializeSeed<'de> for Noting<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Noting<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(Noting {
            twice: self.twice,
            path: format!("{}[{}]", self.path, items.len()),
        })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if path.len() > 10_000 {
                return Err(A::Error::custom("nested too deeply"));
            }
            let value = map.next_value_seed(Noting { twice: self.twice, path: path.clone() })?;
            if object.insert(key, value).is_some() {
                self.twice.push(path);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_comes_twice_is_noted_and_the_last_counts() {
        let body =
            json(br#"{"a": {"b": 1, "b": 2.5}, "c": [{"d": null, "d": "x"}], "e": -3}"#).expect("JSON");
        assert_eq!(body.value, json!({"a": {"b": 2.5}, "c": [{"d": "x"}], "e": -3}));
        assert_eq!(body.twice, ["a.b", "c[0].d"]);
    }

    #[test]
    fn what_cannot_be_read_is_a_bad_request() {
        for wrong in [&b"{"[..], b"{} x", b"", b"\xff"] {
            assert_eq!(json(wrong).expect_err("not JSON").code, 400);
        }
        assert_eq!(yaml(b"a: b\nc: [1]").expect("YAML").value, json!({"a": "b", "c": [1]}));
    }
}
