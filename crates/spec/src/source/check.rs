//! The walk of the file along the JSON Schema of the types.
//!
//! It reads the part of JSON Schema that schemars writes for our types, and some words of our own: `x-refused` (values
//! that are known and not taken, with the reason), `x-hint` (what to write instead of a text without the form), and the formats of [`crate::platform::value`].

use std::collections::{BTreeSet, HashMap};

use regex::Regex;
use serde_json::{Map, Value};

use super::{
    Issue, code, did_you_mean,
    form::{NAME_HINT, form, shown},
    scalar::{Meaning, meaning},
    secrets, shape,
    yaml::{Entry, Kind, Node, Tree},
};

/// What the walk found.
pub(crate) struct Checked {
    /// The file as JSON. Where it was wrong, something harmless of the right type stands.
    pub value: Value,
    /// Everything wrong with the form.
    pub issues: Vec<Issue>,
    /// Paths where something harmless stands instead of what was written; rules say nothing about these.
    pub damaged: BTreeSet<String>,
}

/// Names of technologies that people ask for, and why they are not here.
const REFUSED: [(&str, &str); 2] = [
    ("flux", "only Argo CD is supported as GitOps engine; leave it out"),
    (
        "hnc",
        "the hierarchical namespace controller was archived in April 2025; use `tenancy.engine: capsule`",
    ),
];

/// Checks the whole file against the schema of [`crate::platform::Platform`].
pub(crate) fn check(tree: &Tree, schema: &Value) -> Checked {
    walk(&tree.root, schema, "", false)
}

/// Checks a part of the file against a schema that others wrote: as JSON Schema has it, a map without `additionalProperties`
/// may hold more than its schema names.
pub(crate) fn check_part(node: &Node, schema: &Value, path: &str) -> Checked {
    walk(node, schema, path, true)
}

fn walk(node: &Node, schema: &Value, path: &str, open: bool) -> Checked {
    let mut checker =
        Checker { schema, open, issues: Vec::new(), damaged: BTreeSet::new(), patterns: HashMap::new() };
    let value = checker.value(node, schema, path).unwrap_or_else(|| shape::harmless(schema, schema));
    Checked { value, issues: checker.issues, damaged: checker.damaged }
}

struct Checker<'s> {
    schema: &'s Value,
    /// Maps are open unless their schema closes them.
    open: bool,
    issues: Vec<Issue>,
    damaged: BTreeSet<String>,
    patterns: HashMap<&'s str, Option<Regex>>,
}

impl<'s> Checker<'s> {
    /// The value as the schema wants it, or nothing when it cannot be that.
    fn value(&mut self, node: &Node, schema: &'s Value, path: &str) -> Option<Value> {
        let schema = self.resolve(schema);
        if let Some(options) = schema.get("anyOf").or_else(|| schema.get("oneOf")).and_then(Value::as_array) {
            return if options.iter().all(|option| option.get("const").is_some()) {
                self.scalar(node, schema, path)
            } else {
                self.union(node, options, path)
            };
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("object")
                if schema.get("additionalProperties") == Some(&Value::Bool(true))
                    && schema.get("properties").is_none()
                    && schema.get("propertyNames").is_none() =>
            {
                match &node.kind {
                    Kind::Map(_) => Some(self.free(node, "", path)),
                    _ => self.wrong_type(node, "a map", path),
                }
            }
            Some("object") => match &node.kind {
                Kind::Map(entries) => Some(self.object(node, entries, schema, path)),
                _ => self.wrong_type(node, "a map", path),
            },
            Some("array") => match &node.kind {
                Kind::List(items) => Some(self.list(node, items, schema, path)),
                _ => self.wrong_type(node, "a list", path),
            },
            Some(_) => self.scalar(node, schema, path),
            None => Some(self.free(node, "", path)),
        }
    }

    fn resolve(&self, schema: &'s Value) -> &'s Value {
        shape::resolve(self.schema, schema)
    }

    fn object(&mut self, node: &Node, entries: &[Entry], schema: &'s Value, path: &str) -> Value {
        let properties = schema.get("properties").and_then(Value::as_object);
        let required: Vec<&str> = shape::strings(schema.get("required"));
        let mut out = Map::new();
        let mut meant = Vec::new();
        for entry in entries {
            let inner = join(path, &entry.key);
            let known = properties.and_then(|known| known.get(&entry.key));
            let Some(schema) = known.or_else(|| self.schema_of_key(entry, schema, &inner)) else {
                let says_more = ["additionalProperties", "patternProperties"];
                if self.open && says_more.iter().all(|word| schema.get(word).is_none()) {
                    let value = self.free(&entry.value, &entry.key, &inner);
                    out.insert(entry.key.clone(), value);
                } else if self.open || properties.is_some() {
                    meant.extend(self.unknown_key(entry, properties.into_iter().flat_map(Map::keys), &inner));
                }
                continue;
            };
            match self.value(&entry.value, schema, &inner) {
                Some(value) => drop(out.insert(entry.key.clone(), value)),
                None => {
                    self.damaged.insert(inner);
                    if required.contains(&entry.key.as_str()) {
                        out.insert(entry.key.clone(), shape::harmless(self.schema, schema));
                    }
                }
            }
        }
        for key in required {
            if !entries.iter().any(|entry| entry.key == key) {
                self.damaged.insert(join(path, key));
                if let Some(schema) = properties.and_then(|known| known.get(key)) {
                    out.insert(key.to_owned(), shape::harmless(self.schema, schema));
                }
                if meant.iter().any(|near| near == key) {
                    continue;
                }
                let mut issue =
                    Issue::error(code::MISSING_KEY, path, format!("the key `{key}` is missing here"))
                        .at(node.at);
                let described = properties.and_then(|known| known.get(key));
                let described = described.and_then(|of| of.get("description")).and_then(Value::as_str);
                if let Some(words) = described {
                    issue = issue.hint(format!("`{key}`: {}", words.lines().next().unwrap_or_default()));
                }
                self.issues.push(issue);
            }
        }
        Value::Object(out)
    }

    /// The schema of a key that is a name and not a word of the format.
    fn schema_of_key(&mut self, entry: &Entry, schema: &'s Value, path: &str) -> Option<&'s Value> {
        if let Some(patterns) = schema.get("patternProperties").and_then(Value::as_object) {
            let (pattern, inner) = patterns.iter().next()?;
            if !self.matches(pattern, &entry.key) {
                self.bad_name(&entry.key, entry, path);
                self.damaged.insert(path.to_owned());
                return None;
            }
            return Some(inner);
        }
        let inner = schema.get("additionalProperties")?;
        if inner == &Value::Bool(false) {
            return None;
        }
        if let Some(names) = schema.get("propertyNames") {
            let allowed = shape::constants(self.resolve(names));
            if !allowed.contains(&entry.key.as_str()) {
                self.unknown_key(entry, allowed, path);
                return None;
            }
        }
        Some(inner)
    }

    /// Reports a key that is not known, and gives back the one that was probably meant.
    fn unknown_key<K: AsRef<str>>(
        &mut self,
        entry: &Entry,
        known: impl IntoIterator<Item = K>,
        path: &str,
    ) -> Option<String> {
        self.damaged.insert(path.to_owned());
        let known: Vec<K> = known.into_iter().collect();
        let asked_for = match &entry.value.kind {
            Kind::Scalar { text, .. } if entry.key == "engine" => text.as_str(),
            _ => entry.key.as_str(),
        };
        if let Some((name, why)) = REFUSED.iter().find(|(name, _)| *name == asked_for) {
            let message = format!("`{name}` is not supported");
            self.issues.push(Issue::error(code::REFUSED, path, message).hint(*why).at(entry.at));
            return None;
        }
        let near = did_you_mean(&entry.key, known.iter().map(AsRef::as_ref)).map(str::to_owned);
        let hint = match &near {
            Some(near) => format!("did you mean `{near}`?"),
            None if entry.key == "<<" => "merge keys are not read; write the keys out".to_owned(),
            None if known.is_empty() => "nothing can be said here; leave it out".to_owned(),
            None => {
                let mut names: Vec<&str> = known.iter().map(AsRef::as_ref).collect();
                names.sort_unstable();
                format!("known here: {}", names.join(", "))
            }
        };
        let message = format!("the key `{}` is not known here", shown(&entry.key));
        self.issues.push(Issue::error(code::UNKNOWN_KEY, path, message).hint(hint).at(entry.at));
        near
    }

    fn list(&mut self, node: &Node, items: &[Node], schema: &'s Value, path: &str) -> Value {
        if schema.get("minItems").and_then(Value::as_u64).is_some_and(|min| (items.len() as u64) < min) {
            let min = &schema["minItems"];
            self.issues.push(
                Issue::error(
                    code::NOT_ALLOWED,
                    path,
                    format!("the list is too short: at least {min} needed"),
                )
                .at(node.at),
            );
        }
        let Some(inner) = schema.get("items") else { return Value::Array(Vec::new()) };
        let items = items.iter().enumerate().map(|(index, item)| {
            let path = format!("{path}[{index}]");
            self.value(item, inner, &path).unwrap_or_else(|| {
                self.damaged.insert(path);
                shape::harmless(self.schema, inner)
            })
        });
        Value::Array(items.collect())
    }

    /// One of several forms: the first that fits, else the one that is the least wrong.
    fn union(&mut self, node: &Node, options: &'s [Value], path: &str) -> Option<Value> {
        let fits: Vec<&'s Value> = options
            .iter()
            .filter(|option| {
                let schema = self.resolve(option);
                let object = schema.get("type").and_then(Value::as_str) == Some("object");
                let array = schema.get("type").and_then(Value::as_str) == Some("array");
                match node.kind {
                    Kind::Map(_) => object,
                    Kind::List(_) => array,
                    Kind::Scalar { .. } => !object && !array,
                }
            })
            .collect();
        let mut best: Option<(Vec<Issue>, BTreeSet<String>, Option<Value>)> = None;
        for option in fits {
            let issues = std::mem::take(&mut self.issues);
            let damaged = std::mem::take(&mut self.damaged);
            let value = self.value(node, option, path);
            let found = std::mem::replace(&mut self.issues, issues);
            let damage = std::mem::replace(&mut self.damaged, damaged);
            if best.as_ref().is_none_or(|(least, ..)| found.len() <= least.len() && !least.is_empty()) {
                best = Some((found, damage, value));
            }
        }
        let Some((issues, damaged, value)) = best else {
            let words: Vec<&str> =
                options.iter().map(|option| shape::words_for(self.resolve(option))).collect();
            return self.wrong_type(node, &words.join(" or "), path);
        };
        self.issues.extend(issues);
        self.damaged.extend(damaged);
        value
    }

    fn scalar(&mut self, node: &Node, schema: &'s Value, path: &str) -> Option<Value> {
        let words = shape::words_for(schema);
        let Kind::Scalar { text, plain } = &node.kind else { return self.wrong_type(node, words, path) };
        let read = if *plain { meaning(text) } else { Meaning::Text };
        if read == Meaning::Nothing {
            return self.wrong_type(node, words, path);
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => match read {
                Meaning::Value(value @ Value::Bool(_)) => Some(value),
                _ => self.wrong_type(node, words, path),
            },
            Some("integer") => match read {
                Meaning::Value(Value::Number(number)) if !number.is_f64() => {
                    self.within(node, number.as_i64().map_or(f64::INFINITY, |n| n as f64), schema, path)?;
                    Some(Value::Number(number))
                }
                _ => self.wrong_type(node, words, path),
            },
            Some("number") => match read {
                Meaning::Value(Value::Number(number)) => {
                    self.within(node, number.as_f64().unwrap_or(f64::INFINITY), schema, path)?;
                    Some(Value::Number(number))
                }
                _ => self.wrong_type(node, words, path),
            },
            _ => {
                if matches!(read, Meaning::Value(Value::Bool(_))) {
                    return self.wrong_type(node, words, path);
                }
                self.text(node, text, schema, path)
            }
        }
    }

    fn within(&mut self, node: &Node, number: f64, schema: &Value, path: &str) -> Option<()> {
        let min = schema.get("minimum").and_then(Value::as_f64).unwrap_or(f64::NEG_INFINITY);
        let max = schema.get("maximum").and_then(Value::as_f64).unwrap_or(match schema.get("format") {
            Some(format) if format == "uint32" => f64::from(u32::MAX),
            Some(format) if format == "int32" => f64::from(i32::MAX),
            _ => f64::INFINITY,
        });
        if number >= min && number <= max {
            return Some(());
        }
        let bounds = if max.is_finite() { format!("from {min} to {max}") } else { format!("at least {min}") };
        self.issues.push(
            Issue::error(code::NOT_ALLOWED, path, "the number is out of range")
                .hint(format!("write {bounds}"))
                .at(node.at),
        );
        None
    }

    /// A text that has a form: a name, one of some words, a pattern.
    fn text(&mut self, node: &Node, text: &str, schema: &'s Value, path: &str) -> Option<Value> {
        let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
        let good = || Some(Value::String(text.to_owned()));
        if format == "secret-ref" {
            if text.parse::<crate::secret::SecretRef>().is_ok() {
                return good();
            }
            self.issues.push(
                Issue::error(code::SECRET, path, "not a handle of a secret (the value is not shown)")
                    .hint("write env:NAME, file:PATH, exec:PROGRAM or vault:PATH#FIELD; if a secret stood here, replace it")
                    .at(node.at),
            );
            return None;
        }
        if secrets::looks_secret(text) {
            self.secret(node, path);
            return None;
        }
        if let Some(expected) = schema.get("const").and_then(Value::as_str) {
            if text == expected {
                return good();
            }
            let (code, message) = match path {
                "apiVersion" => (code::API_VERSION, format!("apiVersion `{}` is not supported", shown(text))),
                _ => (code::NOT_ALLOWED, format!("must be `{expected}`")),
            };
            self.issues
                .push(Issue::error(code, path, message).hint(format!("supported: {expected}")).at(node.at));
            return None;
        }
        if let Some(why) =
            schema.get("x-refused").and_then(|refused| refused.get(text)).and_then(Value::as_str)
        {
            self.issues.push(
                Issue::error(code::REFUSED, path, format!("`{text}` is not supported")).hint(why).at(node.at),
            );
            return None;
        }
        let words = shape::constants(schema);
        if !words.is_empty() && !words.contains(&text) {
            let hint = match did_you_mean(text, words.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? Allowed: {}", words.join(", ")),
                None => format!("allowed: {}", words.join(", ")),
            };
            self.issues.push(
                Issue::error(code::NOT_ALLOWED, path, "this value is not allowed here")
                    .hint(hint)
                    .at(node.at),
            );
            return None;
        }
        let pattern = schema.get("pattern").and_then(Value::as_str);
        let fits = pattern.is_none_or(|pattern| self.matches(pattern, text));
        if let Err((code, message, hint)) = form(text, format, pattern, fits) {
            let hint = schema.get("x-hint").and_then(Value::as_str).map_or(hint, str::to_owned);
            self.issues.push(Issue::error(code, path, message).hint(hint).at(node.at));
            return None;
        }
        good()
    }

    /// A part of the file that is free: values, parameters, provider configuration.
    fn free(&mut self, node: &Node, key: &str, path: &str) -> Value {
        match &node.kind {
            Kind::Map(entries) => Value::Object(
                entries
                    .iter()
                    .map(|entry| {
                        let inner = self.free(&entry.value, &entry.key, &join(path, &entry.key));
                        (entry.key.clone(), inner)
                    })
                    .collect(),
            ),
            Kind::List(items) => Value::Array(
                items
                    .iter()
                    .enumerate()
                    .map(|(index, item)| self.free(item, key, &format!("{path}[{index}]")))
                    .collect(),
            ),
            Kind::Scalar { text, plain } => {
                let read = if *plain { meaning(text) } else { Meaning::Text };
                let said = read == Meaning::Text && secrets::key_says_secret(key, text);
                if said || secrets::looks_secret(text) {
                    self.secret(node, path);
                    return Value::String(String::new());
                }
                match read {
                    Meaning::Nothing => Value::Null,
                    Meaning::Value(value) => value,
                    Meaning::Text => Value::String(text.clone()),
                    Meaning::Ambiguous(hint) => {
                        let message = "programs disagree on what this unquoted value means";
                        self.issues.push(Issue::error(code::AMBIGUOUS, path, message).hint(hint).at(node.at));
                        Value::Null
                    }
                }
            }
        }
    }

    fn secret(&mut self, node: &Node, path: &str) {
        self.issues.push(
            Issue::error(code::SECRET, path, "a secret stands here in the clear (it is not shown)")
                .hint("replace the secret where it was issued, and write a handle here: env:NAME, file:PATH or vault:PATH#FIELD")
                .at(node.at),
        );
    }

    fn wrong_type(&mut self, node: &Node, expected: &str, path: &str) -> Option<Value> {
        let found = match &node.kind {
            Kind::Map(_) => "a map",
            Kind::List(_) => "a list",
            Kind::Scalar { text, plain: true } => match meaning(text) {
                Meaning::Nothing => "nothing",
                Meaning::Value(Value::Bool(_)) => "a truth value",
                Meaning::Value(Value::Number(_)) => "a number",
                _ => "a text",
            },
            Kind::Scalar { .. } => "a text",
        };
        let quoted = matches!(node.kind, Kind::Scalar { plain: false, .. });
        let hint = match (expected, found) {
            (_, "nothing") => "write a value, or leave the key out",
            ("a text", "a truth value") => "put it in quotes",
            ("a whole number" | "a number" | "true or false", "a text") if quoted => "leave the quotes out",
            ("a whole number", _) => "write a number such as 3",
            ("a number", _) => "write a number such as 0.5",
            ("true or false", _) => "write `true` or `false`",
            ("a list", "a text" | "a number" | "a truth value") => "put it in brackets: `[VALUE]`",
            ("a list", _) => "write `[A, B]`, or one `- ` for each on a line of its own",
            ("a map", _) => "write keys with values: `{KEY: VALUE}`, or one on each line",
            (_, "a list") => "write one value, without brackets",
            _ => "see docs/reference/spec.md for what may stand here",
        };
        let message = format!("{expected} is needed here, and {found} was found");
        let issue = Issue::error(code::WRONG_TYPE, path, message).hint(hint);
        self.issues.push(issue.at(node.at));
        None
    }

    fn bad_name(&mut self, name: &str, entry: &Entry, path: &str) {
        self.issues.push(
            Issue::error(code::BAD_NAME, path, format!("`{}` is not a name", shown(name)))
                .hint(NAME_HINT)
                .at(entry.at),
        );
    }

    fn matches(&mut self, pattern: &'s str, text: &str) -> bool {
        let compiled = self.patterns.entry(pattern).or_insert_with(|| Regex::new(pattern).ok());
        compiled.as_ref().is_some_and(|pattern| pattern.is_match(text))
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
