//! One step of a path to a field, and paths.

use std::{cmp::Ordering, fmt};

use serde_json::Value;

use super::value;

/// How a child is found in its parent.
#[derive(Clone, Debug)]
pub enum Element {
    /// A field of an object.
    Field(String),
    /// The item of a list that has these values in these fields, sorted by name.
    Key(Vec<(String, Value)>),
    /// The item of a set with this value.
    Value(Value),
    /// The item at this place of a list.
    Index(i64),
}

/// An element that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ElementError {
    /// Every element has a letter, a colon and more.
    #[error("key must be 2 characters long:")]
    Short,
    /// The second character is no colon.
    #[error("missing colon: {0}")]
    NoColon(String),
    /// What follows `k:` or `v:` is no JSON, or what follows `i:` no number.
    #[error("{0}")]
    Content(String),
}

impl Element {
    /// An element that names a field.
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    /// An element that finds an item by its key fields.
    pub fn key(fields: impl IntoIterator<Item = (String, Value)>) -> Self {
        let mut fields: Vec<_> = fields.into_iter().collect();
        fields.sort_by(|a, b| a.0.cmp(&b.0));
        Self::Key(fields)
    }

    /// Reads `f:name`, `k:{"name":"a"}`, `v:"a"`, `i:0`. Nothing for another letter: a later version may know it.
    pub fn parse(text: &str) -> Result<Option<Self>, ElementError> {
        let content = |cause: &dyn fmt::Display| ElementError::Content(cause.to_string());
        if text.len() < 2 {
            return Err(ElementError::Short);
        }
        let Some((letter, rest)) = text.split_once(':').filter(|(letter, _)| letter.len() == 1) else {
            return Err(ElementError::NoColon(text.to_owned()));
        };
        Ok(Some(match letter {
            "f" => Self::Field(rest.to_owned()),
            "k" => {
                let fields: serde_json::Map<String, Value> =
                    serde_json::from_str(rest).map_err(|cause| content(&cause))?;
                Self::key(fields)
            }
            "v" => Self::Value(serde_json::from_str(rest).map_err(|cause| content(&cause))?),
            "i" => Self::Index(rest.parse().map_err(|cause| content(&cause))?),
            _ => return Ok(None),
        }))
    }

    /// Writes what [`Element::parse`] reads.
    pub fn text(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields: Vec<_> = fields
                    .iter()
                    .map(|(name, value)| format!("{}:{}", value::quote(name, false), value::json(value)))
                    .collect();
                format!("k:{{{}}}", fields.join(","))
            }
            Self::Value(value) => format!("v:{}", value::json(value)),
            Self::Index(index) => format!("i:{index}"),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Field(_) => 0,
            Self::Key(_) => 1,
            Self::Value(_) => 2,
            Self::Index(_) => 3,
        }
    }
}

impl Ord for Element {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Field(a), Self::Field(b)) => a.cmp(b),
            (Self::Key(a), Self::Key(b)) => value::order_of_pairs(a, b),
            (Self::Value(a), Self::Value(b)) => value::order(a, b),
            (Self::Index(a), Self::Index(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Element {}

/// As a part of a path: `.spec`, `[name="a"]`, `[="a"]`, `[0]`.
impl fmt::Display for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, value)| format!("{name}={}", value::print(value))).collect();
                write!(f, "[{}]", fields.join(","))
            }
            Self::Value(value) => write!(f, "[={}]", value::print(value)),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// The way to a field from the top of an object; printed as conflicts print it:
/// `.spec.template.spec.containers[name="a"].image`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(pub Vec<Element>);

impl Path {
    /// A path of field names.
    pub fn fields<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(Element::field).collect())
    }

    /// This path and one element more.
    pub fn then(&self, element: Element) -> Self {
        Self(self.0.iter().cloned().chain([element]).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|element| element.fmt(f))
    }
}
